"""What the SQL of panels is put together from.

Macros are those of the plugin grafana-clickhouse-datasource. A column `time` is renamed `at` before it is put in slots: an alias `time` would otherwise be
what the time filter means. Variables go in as ${name:sqlstring}, which Grafana quotes; the plugin's own way of quoting lets a quote in a value out.
"""
from __future__ import annotations

from collections.abc import Mapping

from dpi.dataclass import dataclass

TIME = "$__timeFilter(time)"
SLOT = "$__timeInterval(at) AS time"
SECONDS = "greatest($__interval_s, 60)"
#: Seconds of the range that is looked at.
RANGE = "greatest(toUnixTimestamp($__toTime) - toUnixTimestamp($__fromTime), 1)"


@dataclass(frozen=True)
class Place:
    """A link as [links.NAME] of the settings names it; '' matches every interface, every probe."""
    name: str
    interface: str = ""
    probe: str = ""
    site: str = ""
    capacity_bps: int = 0


def quoted(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def chosen(name: str, column: str = "") -> str:
    """Condition that a variable makes; none where all are chosen."""
    return f"$__conditionalAll({column or name} IN (${{{name}:sqlstring}}), ${name})"


def _first(places: tuple[Place, ...], value: Mapping[str, str], other: str) -> str:
    parts = []
    for place in places:
        match = [f"probe = {quoted(place.probe)}"] if place.probe else []
        match += [f"interface = {quoted(place.interface)}"] if place.interface else []
        parts.append(f"{' AND '.join(match) or '1'}, {value[place.name]}")
    return f"multiIf({', '.join(parts)}, {other})" if parts else other


def link(places: tuple[Place, ...]) -> str:
    """SQL: the name of the link that a row was seen on; where none is named so, probe and interface."""
    return _first(places, {place.name: quoted(place.name) for place in places}, "if(interface = '', toString(probe), concat(probe, ' ', interface))")


def site(places: tuple[Place, ...]) -> str:
    """SQL: the site of that link; where none is named, the probe."""
    return _first(places, {place.name: quoted(place.site or place.name) for place in places}, "toString(probe)")


def capacity(places: tuple[Place, ...]) -> str:
    """SQL: bits a second that the link carries; where the settings have none, what the dashboard's field says, in Mbit/s."""
    other = "toFloat64OrZero(${capacity:sqlstring}) * 1e6"
    return _first(places, {place.name: f"toFloat64({place.capacity_bps})" if place.capacity_bps else other for place in places}, other)


#: Wire bytes to and from our side. Where neither side is local, or both are, what servers send is down.
DOWN = "if(server_local AND NOT client_local, client_wire_bytes, server_wire_bytes)"
UP = "if(server_local AND NOT client_local, server_wire_bytes, client_wire_bytes)"
WIRE = "client_wire_bytes + server_wire_bytes"


def slots(columns: str, more: str = "1") -> str:
    """Rows of flows by minute, five minutes or hour, whichever is fine enough for the slots shown: the others are not read."""
    tiers = (("flows_1m", "$__interval_s < 300"), ("flows_5m", "$__interval_s >= 300 AND $__interval_s < 3600"), ("flows_1h", "$__interval_s >= 3600"))
    return _union(tiers, columns, more)


def totals(columns: str, more: str = "1") -> str:
    """The same for one figure over the whole range: by minute up to six hours, by five minutes up to three days, beyond by hour."""
    tiers = (("flows_1m", f"{RANGE} <= 21600"), ("flows_5m", f"{RANGE} > 21600 AND {RANGE} <= 259200"), ("flows_1h", f"{RANGE} > 259200"))
    return _union(tiers, columns, more)


LONG = f"{RANGE} > 259200"
SHORT = f"{RANGE} <= 259200"


def used(columns: str, more: str = "1") -> str:
    """Usage of services by minute, or by hour where the slots shown are no finer."""
    return _union((("grafana_usage_1m", "$__interval_s < 3600"), ("grafana_services_1h", "$__interval_s >= 3600")), columns, more)


def days(of: str, columns: str, more: str = "1", short: str = "") -> str:
    """Rows of a rollup by hour, or beyond three days by day: the whole of the days that begin in the range, and of the first one. of: its name up to
    the step; short: the name of the one by hour, where it is another."""
    began = "time >= toStartOfDay(toDateTime64($__fromTime, 0, 'UTC')) AND time <= $__toTime"
    return (f"(SELECT time AS at, {columns} FROM {short or f'{of}_1h'} WHERE {TIME} AND {SHORT} AND {more} UNION ALL "
            f"SELECT time AS at, {columns} FROM {of}_1d WHERE {began} AND {LONG} AND {more})")


def _union(tiers: tuple[tuple[str, str], ...], columns: str, more: str) -> str:
    return "(" + " UNION ALL ".join(f"SELECT time AS at, {columns} FROM {table} WHERE {TIME} AND {when} AND {more}" for table, when in tiers) + ")"


def lines(inner: str, values: Mapping[str, str]) -> str:
    """A series for each of some columns of an inner query that has `time`: values: what a series is called -> its column."""
    pairs = ", ".join(f"({quoted(name)}, toFloat64({column}))" for name, column in values.items())
    return (f"SELECT time, tupleElement(pair, 1) AS series, tupleElement(pair, 2) AS value FROM ({inner}) ARRAY JOIN [{pairs}] AS pair ORDER BY time, series")


def leading(of: str, column: str, value: str, other: str, most: int = 10, factor: str = "1", empty: str = "-") -> str:
    """A series for each of the `most` values of a column with the highest sum of `value`, and one for all others. of: a relation with `at`, which is read
    once; empty: what the empty text is called."""
    course = f"SELECT {SLOT}, {column} AS name, sum({value}) AS size FROM {of} GROUP BY time, name"
    each = f"SELECT name, groupArray((time, size)) AS slots, sum(size) AS total FROM ({course}) GROUP BY name"
    ranked = (f"SELECT if(name = '', {quoted(empty)}, toString(name)) AS called, slots, row_number() OVER (ORDER BY total DESC, name) AS place FROM ({each})")
    return (f"SELECT tupleElement(slot, 1) AS time, if(place <= {most}, called, {quoted(other)}) AS series, sum(tupleElement(slot, 2)) * {factor} AS value "
            f"FROM ({ranked}) ARRAY JOIN slots AS slot GROUP BY time, series ORDER BY time, series")


#: Middle of a bin of delays_1h, delays_5m and dns_5m, us.
MIDDLE = "bin + greatest(bitShiftRight(roundToExp2(bin), 1), 1) / 2"


def percentile(share: float, when: str = "1", count: str = "measures") -> str:
    """SQL: the delay below which `share` of the measures lie, ms, interpolated between bins; NULL where nothing was measured."""
    return (f"if(sumIf({count}, {when}) = 0, NULL, quantileInterpolatedWeightedIf({share})(toFloat64({MIDDLE}), {count}, {when}) / 1000)")


def ratio(part: str, whole: str) -> str:
    """SQL: a share of sums, NULL where there is nothing to share."""
    return f"if(sum({whole}) = 0, NULL, sum({part}) / sum({whole}))"


RETRANSMITTED = ratio("client_retransmissions + server_retransmissions", "client_tcp_packets + server_tcp_packets")
LATE = ratio("client_out_of_order + server_out_of_order", "client_tcp_packets + server_tcp_packets")
UNANSWERED = ratio("tcp_unanswered", "tcp_opened")


def octaves(of: str, where: str, count: str = "measures") -> str:
    """A heatmap's rows: `time`, then a column for each doubling of the delay from 0.25 ms to over 8 s, its least delay as its name."""
    edges = [0, *(250 << k for k in range(16))]
    cells = []
    for k, edge in enumerate(edges):
        inside = f"{MIDDLE} >= {edge}" + (f" AND {MIDDLE} < {edges[k + 1]}" if k + 1 < len(edges) else "")
        cells.append(f"sumIf({count}, {inside}) AS `{edge / 1000:g} ms`")
    return f"SELECT {SLOT}, {', '.join(cells)} FROM (SELECT time AS at, * FROM {of} WHERE {TIME} AND {where}) GROUP BY time ORDER BY time"
