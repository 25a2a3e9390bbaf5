"""What the columns of the usage tables are, as SQL over `flows`: the one place where it is said. docs/usage.md says the same in words.

A row of `flows` is looked at twice, once for each side. What the client sent is up for the client's service and down for the server's.
"""
from __future__ import annotations

from collections.abc import Sequence

from dpi.schema import TABLES

MINUTE, HOUR = 60, 3600
BINS = 26               # of a histogram of round trips: the last begins at 2^25 us, 34 s
SERVERS = 1000          # distinct servers of a service and minute that are told apart
STEPS = {"usage_1m": MINUTE, "usage_1h": HOUR, "usage_unbound_1h": HOUR}
_SLOT = ("time", "probe", "capture_id")
_OWN = ("revision", "stored_time")
_DUPLICATES = ("duplicate_packets", "duplicate_bytes")
#: The number of a round trip's bin; of powers of two log2 is exact once it is rounded.
_BIN = "toUInt8(least({bins}, if({rtt} < 2, 0, round(log2(roundToExp2({rtt}))))))"


def keys(table: str) -> tuple[str, ...]:
    """The columns that tell the rows of one slot apart."""
    return tuple(name for name in TABLES[table].order if name not in _SLOT)


def figures(table: str) -> tuple[str, ...]:
    """The columns that are counted, in the table's order."""
    return tuple(name for name in TABLES[table].names if name not in (*_SLOT, *_OWN, *keys(table)))


def slot(step: int, at: str = "toUnixTimestamp64Micro(src.interval_start)") -> str:
    """The slot in which a time of so many us lies, in s; times before 1970 as well."""
    return f"intDiv({at} - positiveModulo({at}, {step * 1_000_000}), 1000000)"


def _volumes(side: str, other: str, measured: str) -> dict[str, str]:
    return {f"{way}_{what}": f"sumIf(src.{who}_{what}, {measured})"
            for what in ("packets", "bytes", "wire_bytes") for way, who in (("up", side), ("down", other))}


def _sums(table: str, side: str) -> dict[str, str]:
    """Column -> aggregate over the rows of one side, in a form whose sums over both sides are the column."""
    other = "server" if side == "client" else "client"
    measured = "1" if table == "usage_unbound_1h" else f"NOT src.{side}_duplicate"
    client = "1" if side == "client" else "0"
    tcp = f"{measured} AND src.ip_protocol = 6"
    sums = _volumes(side, other, measured)
    sums["flows"] = f"countIf({measured} AND src.interval = 0)"
    for what in ("packets", "bytes"):
        sums[f"duplicate_{what}"] = f"sumIf(src.client_{what} + src.server_{what}, src.{side}_duplicate)"
    if table == "usage_1m":
        rtt = f"assumeNotNull(src.{side}_rtt_us)"
        known = f"{measured} AND src.{side}_rtt_us IS NOT NULL"
        sums |= {
            "rtt_count": f"countIf({known})", "rtt_sum_us": f"sumIf(toUInt64({rtt}), {known})",
            "rtt_histogram": f"sumMapIf([{_BIN.format(bins=BINS - 1, rtt=rtt)}], [toUInt64(1)], {known})",
            "syn_up": f"sumIf(toUInt64(greatest(src.folded, 1)), {tcp} AND {client} AND src.interval = 0 AND bitTest(src.client_tcp_flags, 1))",
            "syn_ack_down": f"uniqExactIf(src.flow_id, {tcp} AND {client} AND bitAnd(src.server_tcp_flags, 18) = 18)",
            "servers": f"groupUniqArrayIf({SERVERS})(src.server_ip, {measured} AND {client} AND src.interval = 0)",
            "up_tcp_packets": f"sumIf(src.{side}_packets, {tcp})", "down_tcp_packets": f"sumIf(src.{other}_packets, {tcp})",
            "up_retransmissions": f"sumIf(toUInt64(src.{side}_retransmissions), {measured})",
            "down_retransmissions": f"sumIf(toUInt64(src.{other}_retransmissions), {measured})"}
    return sums


def _network(side: str) -> str:
    """The /24 of IPv4 or the /48 of IPv6 in which an address lies."""
    return f"tupleElement(IPv6CIDRToRange(src.{side}_ip, if({_mapped(f'src.{side}_ip')}, 120, 48)), 1)"


def _mapped(address: str) -> str:
    return f"({address} BETWEEN toIPv6('::ffff:0.0.0.0') AND toIPv6('::ffff:255.255.255.255'))"


def _side(table: str, side: str, where: str) -> str:
    """The rows of one side, by slot and key."""
    bound = f"src.{side}_service_id != ''"
    named = {"service_id": f"src.{side}_service_id", "customer_id": f"src.{side}_customer_id", "category": "src.category",
             "application": "src.application", "rules_version": "src.rules_version", "prefix": _network(side)}
    wanted = bound if table != "usage_unbound_1h" else f"src.{side}_service_id = '' AND src.{side}_local"
    sums = _sums(table, side)
    chosen = [f"{slot(STEPS[table])} AS at", *(f"{named[key]} AS k_{key}" for key in keys(table)),
              *(f"{sums[name]} AS s_{name}" for name in figures(table) if name in sums)]
    return f"SELECT {', '.join(chosen)} FROM flows AS src WHERE {where} AND {wanted} GROUP BY at, {', '.join(f'k_{key}' for key in keys(table))}"


def _final(name: str) -> str:
    """A column, from the sums of both sides."""
    if name == "directions":
        return "toUInt8((f_up_packets > 0) + 2 * (f_down_packets > 0))"
    if name == "rtt_histogram":
        places = f"arrayMap(k -> arrayElement(tupleElement(histogram, 2), indexOf(tupleElement(histogram, 1), toUInt8(k))), range({BINS}))"
        return f"if(f_rtt_count = 0, emptyArrayUInt64(), {places})"
    return f"f_{name}"


def _summed(name: str) -> str:
    if name == "rtt_histogram":
        return "sumMap(tupleElement(s_rtt_histogram, 1), tupleElement(s_rtt_histogram, 2)) AS histogram"
    if name == "servers":
        return f"toUInt32(length(groupUniqArrayArray({SERVERS})(s_servers))) AS f_servers"
    return f"sum(s_{name}) AS f_{name}"


def rows(table: str, where: str) -> str:
    """SELECT of the rows of that usage table that the flows `where` (about `src`, the table flows) make: `at` (s), its keys and its figures, in the table's
    order. Rows in which nothing was counted are left out."""
    counted = [name for name in figures(table) if name != "directions"]
    sides = " UNION ALL ".join(_side(table, side, where) for side in ("client", "server"))
    inner = (f"SELECT at, {', '.join(f'k_{key}' for key in keys(table))}, {', '.join(map(_summed, counted))} FROM ({sides}) "
             f"GROUP BY at, {', '.join(f'k_{key}' for key in keys(table))}")
    named = [f"{_prefix() if key == 'prefix' else f'k_{key}'} AS {key}" for key in keys(table)]
    chosen = ["at", *named, *(f"{_final(name)} AS {name}" for name in figures(table))]
    some = " OR ".join(f"f_{name} != 0" for name in counted if name != "rtt_histogram")
    return f"SELECT {', '.join(chosen)} FROM ({inner}) WHERE {some}"


def _prefix() -> str:
    return (f"concat(replaceOne(toString(k_prefix), '::ffff:', ''), if({_mapped('k_prefix')}, '/24', '/48'))")


def stored(table: str, where: str, revision: bool = False) -> str:
    """SELECT of the rows that the usage table holds now, in the same form; `where` is about `at`, probe and capture_id. revision: as the last column."""
    some = " OR ".join(f"{name} != 0" for name in figures(table) if name != "rtt_histogram")
    last = ", revision" if revision else ""
    return (f"SELECT toInt64(toUnixTimestamp64Second(time)) AS at, {', '.join((*keys(table), *figures(table)))}{last} FROM {table} FINAL "
            f"WHERE {where}{'' if revision else f' AND ({some})'}")


def digests(table: str, select: str) -> str:
    """Of the rows of `select` by slot: at, how many rows, their bytes, their digest."""
    volume = "up_bytes + down_bytes"
    line = f"toString(tuple({', '.join((*keys(table), *figures(table)))}))"
    return (f"SELECT at, count() AS held, sum({volume}) AS octets, "
            f"lower(hex(SHA256(arrayStringConcat(arraySort(groupArray({line})), '\\n')))) AS digest FROM ({select}) GROUP BY at")


#: The digest of a slot without rows: SHA-256 of nothing.
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def chosen(slots: Sequence[int], step: int) -> str:
    """WHERE of the flows in these slots (s), of the source {probe:String}, {capture:UInt64}."""
    first, last = min(slots), max(slots) + step
    span = (f"src.interval_start >= fromUnixTimestamp64Micro({first * 1_000_000}, 'UTC') "
            f"AND src.interval_start < fromUnixTimestamp64Micro({last * 1_000_000}, 'UTC')")
    gaps = "" if (last - first) // step == len(slots) else f" AND {slot(step)} IN ({', '.join(map(str, slots))})"
    return f"src.probe = {{probe:String}} AND src.capture_id = {{capture:UInt64}} AND {span}{gaps}"


def chosen_stored(slots: Sequence[int]) -> str:
    """The same of the rows of a usage table."""
    first, last = min(slots), max(slots)
    gaps = "" if len(slots) == 1 else f" AND at IN ({', '.join(map(str, slots))})"
    return (f"probe = {{probe:String}} AND capture_id = {{capture:UInt64}} AND time >= fromUnixTimestamp64Second({first}, 'UTC') "
            f"AND time <= fromUnixTimestamp64Second({last}, 'UTC'){gaps}")
