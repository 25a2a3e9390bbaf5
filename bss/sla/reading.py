"""What the store is asked for minutes of services: what they carried, what their sensors lost, which minutes are closed, what pings say.

Rows of many minutes come packed, each column of a service as one text of hexadecimal digits: a month of a thousand services has 43 million minutes. A question
is of so many minutes (CELLS) that whoever owns the store answers it whole.
"""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bss.database import lots
from bss.desk import Desk
from bss.question import IDS, MINUTE, between, closed
from bss.sla.degraded import DAYS, median_in_sql

CELLS = 600_000             # minutes of services in a question
LIMIT = 20_000              # services that one names
DAY = 86_400
#: Columns of a minute: name, width in bytes, SQL over the rows of a service and minute.
COLUMNS: tuple[tuple[str, int, str], ...] = (
    ("down_bytes", 8, "sum(down_bytes)"), ("up_bytes", 8, "sum(up_bytes)"), ("down_packets", 4, "sum(down_packets)"), ("up_packets", 4, "sum(up_packets)"),
    ("down_again", 4, "sum(down_retransmissions)"), ("up_again", 4, "sum(up_retransmissions)"), ("flows", 4, "sum(flows)"), ("syn_up", 4, "sum(syn_up)"),
    ("syn_ack_down", 4, "sum(syn_ack_down)"), ("servers", 4, "max(servers)"), ("directions", 4, "groupBitOr(directions)"),
    ("tcp", 4, "sum(up_tcp_packets + down_tcp_packets)"), ("rtt_us", 4, ""))
LIGHT = COLUMNS[:2]
_TYPES: dict[int, np.dtype[Any]] = {4: np.dtype("<u4"), 8: np.dtype("<i8")}
NO_RTT = 0xFFFFFFFF

Carried = dict[str, dict[str, NDArray[Any]]]


class Told(NamedTuple):
    """What one source (a probe, or all captures: '') told of minutes, a column each: whether the minute is closed; and lost at most 1 %; and saw a service. By
    interface the second of these."""
    closed: NDArray[np.bool_]
    good: NDArray[np.bool_]
    saw: NDArray[np.bool_]
    interfaces: Mapping[str, NDArray[np.bool_]]


def carried(desk: Desk, ids: Sequence[str], first: int, last: int, light: bool = False) -> Carried:
    """What services carried in the closed minutes of [first, last), s: by service, arrays of what they have minutes of (`at`: column) and of each of COLUMNS
    (light: of LIGHT). A service that carried nothing is not among them."""
    columns = LIGHT if light else COLUMNS
    span = between(first, last)
    rtt = f"if(empty(h), {NO_RTT}, {median_in_sql('h')})"
    own = ", ".join(f"{sql} AS c{n}" for n, (_, _, sql) in enumerate(columns) if sql)
    packed = ", ".join(_packed(f"toUInt{8 * width}(least({f'c{n}' if sql else rtt}, {2 ** (8 * width - (width == 8)) - 1}))")
                       for n, (_, width, sql) in enumerate(columns))
    inner = (f"SELECT service_id, intDiv(toInt64(toUnixTimestamp64Second(time)) - {first}, {MINUTE}) AS at, {own}"
             f"{'' if light else ', sumForEach(rtt_histogram) AS h'} FROM usage_1m FINAL WHERE service_id IN {IDS} AND {span} AND {closed('usage_1m', span)} "
             "GROUP BY service_id, at HAVING sum(up_packets + down_packets) > 0")
    found: Carried = {}
    for lot in lots(ids, max(1, min(LIMIT, CELLS * MINUTE // max(MINUTE, last - first)))):
        for service, at, *texts in desk.office.evidence.rows(f"SELECT service_id, {_packed('toUInt32(at)')}, {packed} FROM ({inner}) GROUP BY service_id",
                                                             {"ids": ",".join(lot)}, "service level", lot):
            found[str(service)] = {"at": _unpacked(at, 4), **{name: _unpacked(text, width) for (name, width, _), text in zip(columns, texts, strict=True)}}
    return found


def told(desk: Desk, first: int, last: int) -> dict[str, Told]:
    """What each probe told of [first, last), and captures that were replayed (''): those count only where no probe has told of the minute."""
    columns = (last - first) // MINUTE
    rows = desk.office.evidence.rows(
        f"SELECT probe, capture_id = 0, source, intDiv(toInt64(intDiv(toUnixTimestamp64Micro(time), 1000000)) - {first}, {MINUTE}) AS at, sum(frames), "
        "sum(dropped_nic + dropped_kernel + dropped_ring), sum(unread_us), sum(dropped_store) FROM coverage "
        f"WHERE {between(first, last, 'us')} GROUP BY probe, capture_id, source, at", {}, "coverage")
    slots = desk.office.evidence.rows(
        f"SELECT probe, capture_id = 0, intDiv(toInt64(toUnixTimestamp64Second(time)) - {first}, {MINUTE}), rows FROM usage_slots FINAL "
        f"WHERE table_name = 'usage_1m' AND {between(first, last)}", {}, "coverage")
    sums: dict[tuple[str, str], NDArray[np.int64]] = defaultdict(lambda: np.zeros((4, columns), np.int64))
    heard: dict[tuple[str, str], NDArray[np.bool_]] = defaultdict(lambda: np.zeros(columns, bool))
    for probe, live, source, at, *values in rows:
        name = str(probe) if int(live) else ""
        for key in ((name, ""), (name, str(source))) if name else ((name, ""),):
            sums[key][:, int(at)] += np.array([int(one) for one in values])
            heard[key][int(at)] = True
    over: dict[str, NDArray[np.bool_]] = defaultdict(lambda: np.zeros(columns, bool))
    saw: dict[str, NDArray[np.bool_]] = defaultdict(lambda: np.zeros(columns, bool))
    for probe, live, at, some in slots:
        name = str(probe) if int(live) else ""
        over[name][int(at)] = True
        saw[name][int(at)] |= int(some) > 0
    found: dict[str, Told] = {}
    for name in {*over, *(one for one, _ in sums)}:
        of_store = (sums[name, ""][2] < 600_000) & (sums[name, ""][3] == 0)

        def good(key: tuple[str, str], of_store: NDArray[np.bool_] = of_store) -> NDArray[np.bool_]:
            frames, lost = sums[key][0], sums[key][1]
            fine: NDArray[np.bool_] = heard[key] & (lost * 100 <= frames + lost) & of_store
            return fine

        found[name] = Told(over[name], good((name, "")) & over[name], saw[name],
                           {source: good((name, source)) & over[name] for one, source in list(sums) if one == name and source})
    if "" in found:
        live_told = np.zeros(columns, bool)
        for name, one in found.items():
            live_told |= one.closed & (name != "")
        found[""] = found[""]._replace(closed=found[""].closed & ~live_told, good=found[""].good & ~live_told)
    return found


def probes(desk: Desk, spans: Sequence[tuple[int, int]]) -> dict[str, set[str]]:
    """The probes that saw each service in some times."""
    found: dict[str, set[str]] = defaultdict(set)
    where = " OR ".join(f"({between(first, last)})" for first, last in spans)
    for service, probe in desk.office.evidence.rows(f"SELECT DISTINCT service_id, probe FROM usage_1m WHERE capture_id = 0 AND ({where})", {}, "probes"):
        found[str(service)].add(str(probe))
    return found


def pings(desk: Desk, first: int, last: int) -> dict[str, tuple[list[tuple[float, float]], list[tuple[float, float]]]]:
    """By service the times of [first, last), s, in which its test addresses did not answer, and in which one of them did. What a row says holds until the next
    one of the same target, two minutes at most."""
    rows = desk.office.evidence.rows(
        "SELECT probe, target, service_id, state, toUnixTimestamp64Micro(time) FROM link_state WHERE service_id != '' AND "
        f"{between(first - 2 * MINUTE, last, 'us')} ORDER BY probe, target, time", {}, "link state")
    found: dict[str, tuple[list[tuple[float, float]], list[tuple[float, float]]]] = {}
    for (probe, target, service, state, us), following in zip(rows, [*rows[1:], None], strict=False):
        begin = int(us) / 1e6
        end = begin + 2 * MINUTE
        if following is not None and (following[0], following[1]) == (probe, target):
            end = min(end, int(following[4]) / 1e6)
        if end > begin:
            found.setdefault(str(service), ([], []))[state == "up"].append((begin, end))
    return found


def usual_rtt(desk: Desk, day: int) -> dict[str, int]:
    """The median round trip of each service in the four weeks before a day (s), us."""
    span = between(day - DAYS * DAY, day)
    return {str(service): int(us) for service, us in desk.office.evidence.rows(
        f"SELECT service_id, {median_in_sql('h')} FROM (SELECT service_id, sumForEach(rtt_histogram) AS h FROM usage_1m FINAL "
        f"WHERE {span} AND {closed('usage_1m', span)} GROUP BY service_id HAVING sum(rtt_count) > 0)", {}, "service level")}


class Quality(NamedTuple):
    """Of a month of a service: p95 of the medians of minutes, us; segments sent again and sent; rows of usage_1m, and their digest: the sum, modulo 2^256, of
    the SHA-256 of each row's text."""
    rtt_us: int | None
    again: int
    tcp: int
    rows: int
    digest: str


def quality(desk: Desk, ids: Sequence[str], first: int, last: int) -> Iterator[tuple[str, Quality]]:
    """Of services that carried something in [first, last)."""
    span = between(first, last)
    text = ("toString((toUnixTimestamp64Second(time), probe, capture_id, up_packets, down_packets, up_bytes, down_bytes, flows, rtt_count, rtt_sum_us, "
            "rtt_histogram, syn_up, syn_ack_down, servers, up_tcp_packets, down_tcp_packets, up_retransmissions, down_retransmissions, directions))")
    inner = ("SELECT service_id, time, sumForEach(rtt_histogram) AS h, sum(up_retransmissions + down_retransmissions) AS a, "
             f"sum(up_tcp_packets + down_tcp_packets) AS t, count() AS r, sum(reinterpretAsUInt256(SHA256({text}))) AS d "
             f"FROM usage_1m FINAL WHERE service_id IN {IDS} AND {span} AND {closed('usage_1m', span)} GROUP BY service_id, time "
             "HAVING sum(up_packets + down_packets) > 0")
    medians = f"arraySort(groupArrayIf({median_in_sql('h')}, notEmpty(h)))"
    for lot in lots(ids, LIMIT):
        for service, sorted_count, p95, again, tcp, rows, digest in desk.office.evidence.rows(
                f"SELECT service_id, length(m), m[length(m) - intDiv(5 * length(m), 100)], again, tcp, rows, digest FROM (SELECT service_id, {medians} AS m, "
                f"sum(a) AS again, sum(t) AS tcp, sum(r) AS rows, lower(hex(sum(d))) AS digest FROM ({inner}) GROUP BY service_id)",
                {"ids": ",".join(lot)}, "service level", lot):
            yield str(service), Quality(int(p95) if int(sorted_count) else None, int(again), int(tcp), int(rows), str(digest).rjust(64, "0"))


def slots_of(desk: Desk, first: int, last: int) -> list[tuple[str, int, int, str]]:
    """The closed minutes of a time as the store keeps them: probe, revision, rows and digest of each, in order."""
    return [(str(probe), int(revision), int(rows), str(digest)) for probe, revision, rows, digest in desk.office.evidence.rows(
        f"SELECT probe, revision, rows, digest FROM usage_slots FINAL WHERE table_name = 'usage_1m' AND {between(first, last)} "
        "ORDER BY time, probe, capture_id", {}, "service level")]


def _packed(sql: str) -> str:
    """A column of a group as one text, 2 digits a byte, low bytes first."""
    return f"arrayStringConcat(arrayMap(x -> hex(reinterpretAsFixedString(x)), groupArray({sql})))"


def _unpacked(text: Any, width: int) -> NDArray[Any]:
    found: NDArray[Any] = np.frombuffer(bytes.fromhex(str(text)), _TYPES[width])
    return found
