"""The flows beneath: sums of a service's rows of `flows`, for whoever may see sums, and the rows themselves, for whoever may see traffic (put on record).

A row counts as usage counts it: of each end that is the service's, metered there; of a slot that is closed; of a capture only where no probe told of the slot.
"""
from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from bss.desk import Desk
from bss.moment import iso
from bss.question import EPOCH, IDS, between, closed, moment_of
from bss.refusal import Refusal
from bss.tables import Service
from bss.tracing.rollup import DETAIL, SEEN, STEPS, seen, span_of, within

SHOWN = 500             # rows that are shown at once
_ENDS = (("client", "server"), ("server", "client"))


class Sums(NamedTuple):
    """Of flows of a service: how many rows, flows that were opened, bytes to it and from it."""
    rows: int
    flows: int
    down_bytes: int
    up_bytes: int


class Flow(NamedTuple):
    """A row of flows, from the service's end. own, other: address and port; source: the capture's file, `generated`, or empty for live traffic."""
    time: datetime
    own: str
    other: str
    transport: int
    protocol: str
    application: str
    category: str
    server_name: str
    down_bytes: int
    up_bytes: int
    own_flags: int
    other_flags: int
    source: str
    probe: str
    flow_id: str


class Chosen(NamedTuple):
    """Which flows are meant: those of hours (usage_1h) or minutes (usage_1m); category, application: None any."""
    table: str
    since: datetime
    until: datetime
    category: str | None = None
    application: str | None = None


def sums(desk: Desk, service_ids: Sequence[str], chosen: Chosen) -> Sums:
    """What flows of these services add up to now. Refusal `away`."""
    ids = seen(desk, service_ids, SEEN if chosen.category is None and chosen.application is None else DETAIL)
    if not ids:
        return Sums(0, 0, 0, 0)
    inner, params = _ends(ids, chosen, "interval, up, down")
    (rows, flows, down, up), = desk.office.evidence.rows(f"SELECT count(), countIf(interval = 0), sum(down), sum(up) FROM ({inner})", params,
                                                         "evidence of flows", ids)
    return Sums(int(rows), int(flows), int(down), int(up))


def hourly(desk: Desk, service_ids: Sequence[str], since: datetime, until: datetime) -> dict[datetime, Sums]:
    """The same by hour: one question for all hours of a time."""
    ids = seen(desk, service_ids)
    if not ids:
        return {}
    inner, params = _ends(ids, Chosen("usage_1h", since, until), "time, interval, up, down")
    rows = desk.office.evidence.rows(f"SELECT toInt64(toUnixTimestamp64Second(time)) AS at, count(), countIf(interval = 0), sum(down), sum(up) FROM ({inner}) "
                                     "GROUP BY at ORDER BY at", params, "evidence of flows", ids)
    return {moment_of(int(at)): Sums(int(count), int(flows), int(down), int(up)) for at, count, flows, down, up in rows}


def rows(desk: Desk, service_id: str, chosen: Chosen, most: int = SHOWN) -> list[Flow]:
    """The first rows of flows of a service; that they were looked at is put on record. Refusal `away`."""
    desk.demand("traffic.read")
    service = desk.find(Service, service_id)
    desk.record("traffic.read", service, after={"flows": True, "since": iso(chosen.since), "until": iso(chosen.until)})
    inner, params = _ends([service.id], chosen, "at, own, other, ip_protocol, protocol, application, category, server_name, down, up, own_flags, other_flags, "
                          "source, probe, flow_id")
    found = desk.office.evidence.rows(f"SELECT * FROM ({inner}) ORDER BY at, flow_id LIMIT {int(most)}", params, "evidence of flows", [service.id])
    return [_flow(one) for one in found]


def _flow(one: tuple[Any, ...]) -> Flow:
    at, own, other, transport, protocol, application, category, name, down, up, own_flags, other_flags, source, probe, flow_id = one
    return Flow(EPOCH + timedelta(microseconds=int(at)), str(own), str(other), int(transport), str(protocol), str(application), str(category), str(name),
                int(down), int(up), int(own_flags), int(other_flags), str(source), str(probe), str(flow_id))


def _ends(ids: Sequence[str], chosen: Chosen, names: str) -> tuple[str, dict[str, Any]]:
    """SQL of the rows, once for each end that is one of these services', and its parameters."""
    if chosen.table not in STEPS:
        raise Refusal("invalid", f"{chosen.table!r} is no usage", "table", f"it is {' or '.join(STEPS)}")
    first, last = span_of(chosen.table, chosen.since, chosen.until)
    step, span = STEPS[chosen.table], between(first, last)
    params: dict[str, Any] = {"ids": ",".join(ids)}
    more = ""
    for name, value in (("category", chosen.category), ("application", chosen.application)):
        if value is not None:
            more += f" AND {name} = {{{name}:String}}"
            params[name] = value
    ends = []
    for side, other in _ENDS:
        columns = (f"intDiv(toUnixTimestamp64Micro(interval_start), {step}000000) * {step} AS slot, toUnixTimestamp64Micro(interval_start) AS at, "
                   f"probe, capture_id, interval, source, toString(flow_id) AS flow_id, ip_protocol, protocol, application, category, server_name, "
                   f"{_address(side)} AS own, {_address(other)} AS other, {side}_tcp_flags AS own_flags, {other}_tcp_flags AS other_flags, "
                   f"{side}_bytes AS up, {other}_bytes AS down")
        ends.append(f"SELECT {columns} FROM flows WHERE {within(first, last)} AND {side}_service_id IN {IDS} AND NOT {side}_duplicate{more}")
    return (f"SELECT {names} FROM (SELECT fromUnixTimestamp64Second(slot, 'UTC') AS time, * FROM ({' UNION ALL '.join(ends)})) "
            f"WHERE {closed(chosen.table, span)}"), params


def _address(side: str) -> str:
    return f"concat(replaceOne(toString({side}_ip), '::ffff:', ''), ' ', toString({side}_port))"
