"""What is measured of guarded services, minute by minute, and what of it is beyond an event's thresholds. The words of what the store is asked are here: closed
minutes of `usage_1m`, with what `coverage` says of them. A minute that is not covered is beyond nothing, and is told as not measured."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from bss.desk import Desk
from bss.evidence import Evidence
from bss.moment import iso
from bss.office import Office
from bss.people.scope import SYSTEM
from bss.question import IDS, MINUTE, between, closed, minutes_of, moment_of
from bss.refusal import Refusal
from bss.tables import Service, Ticket
from bss.tickets import assurance
from bss.tickets.assurance import Thresholds
from bss.tickets.states import OPEN, dedup_key
from bss.tickets.ticket import again, live, open_, said

BACK, LAG = 6, 1            # minutes: what is looked at, and how many of the newest are not, for they close late
THOUSANDTH = Decimal("0.001")
KINDS = {"silent": ("outage", "critical"), "loss": ("quality", "major"), "rtt": ("quality", "major"), "rate": ("quality", "major")}


class Seen(NamedTuple):
    """A minute of a service. loss_percent, rtt_ms: None where nothing was there to be measured; covered: it was looked at, and at most 1 % was lost."""
    at: datetime
    down_bytes: int
    up_bytes: int
    loss_percent: Decimal | None
    rtt_ms: Decimal | None
    covered: bool


class Beyond(NamedTuple):
    """Something beyond a threshold. kind: silent, loss, rtt, rate; at: the minute, of silence its first."""
    kind: str
    at: datetime
    value: str
    limit: str


def seen(evidence: Evidence, service_ids: Sequence[str], since: datetime, until: datetime) -> dict[str, list[Seen]]:
    """The minutes of services that begin in a time, in order, those without traffic among them. Refusal `away`: the store does not answer."""
    first, last = minutes_of(since, until)
    span = between(first, last)
    rows = evidence.rows(
        "SELECT service_id, toInt64(toUnixTimestamp64Second(time)) AS at, sum(up_tcp_packets + down_tcp_packets), "
        "sum(up_retransmissions + down_retransmissions), "
        f"sum(rtt_sum_us), sum(rtt_count) FROM usage_1m FINAL WHERE service_id IN {IDS} AND {span} AND {closed('usage_1m', span)} GROUP BY service_id, at",
        {"ids": ",".join(service_ids)}, "event assurance", service_ids)
    told = {(str(one[0]), int(one[1])): tuple(map(int, one[2:])) for one in rows}
    found: dict[str, list[Seen]] = {}
    for service_id in service_ids:
        found[service_id] = []
        for minute in evidence.minutes(service_id, since, until):
            segments, again, rtt, count = told.get((service_id, int(minute.begin.timestamp()) // MINUTE * MINUTE), (0, 0, 0, 0))
            found[service_id].append(Seen(minute.begin, minute.down_bytes, minute.up_bytes, _rounded(Decimal(100 * again), segments),
                                          _rounded(Decimal(rtt) / 1000, count), minute.covered))
    return found


def beyond(limits: Thresholds, minutes: Iterable[Seen]) -> list[Beyond]:
    """What of a service's minutes is beyond the thresholds. Pure. Silence is told once for as long as it lasts."""
    found: list[Beyond] = []
    silent: list[Seen] = []
    for one in minutes:
        if one.covered and not one.down_bytes and not one.up_bytes:
            silent.append(one)
            if limits.silent_minutes is not None and len(silent) == limits.silent_minutes:
                found.append(Beyond("silent", silent[0].at, str(len(silent)), str(limits.silent_minutes)))
            continue
        silent = []
        if not one.covered:
            continue
        if limits.loss_percent is not None and one.loss_percent is not None and one.loss_percent > limits.loss_percent:
            found.append(Beyond("loss", one.at, str(one.loss_percent), str(limits.loss_percent)))
        if limits.rtt_ms is not None and one.rtt_ms is not None and one.rtt_ms > limits.rtt_ms:
            found.append(Beyond("rtt", one.at, str(one.rtt_ms), str(limits.rtt_ms)))
        rate = Decimal(one.down_bytes * 8) / (MINUTE * 10 ** 6)
        if limits.down_mbps is not None and rate < limits.down_mbps:
            found.append(Beyond("rate", one.at, str(rate.quantize(THOUSANDTH)), str(limits.down_mbps)))
    return found


def _rounded(total: Decimal, count: int) -> Decimal | None:
    return (total / count).quantize(THOUSANDTH) if count else None


def watch(office: Office, argument: Mapping[str, Any]) -> int:
    """Duty: look at the last closed minutes of all events that last; how many tickets are open for what was found. What goes on gets no second ticket."""
    if office.settings.store == "none":
        return 0
    now = moment_of(int(office.clock().timestamp()) // MINUTE * MINUTE)
    since, until = moment_of(int(now.timestamp()) - (BACK + LAG) * MINUTE), moment_of(int(now.timestamp()) - LAG * MINUTE)
    with office.reading(SYSTEM) as desk:
        desk.demand("system.run")
        events = [(one.id, Thresholds.model_validate(one.thresholds), assurance.services_of(desk, one.id), max(one.since, since), min(one.until, until))
                  for one in assurance.running(desk, since, until)]
    opened = 0
    for key, limits, ids, begin, end in events:
        if begin >= end:
            continue
        for service_id, minutes in seen(office.evidence, ids, begin, end).items():
            for kind in KINDS:
                found = [one for one in beyond(limits, minutes) if one.kind == kind]
                if found:
                    opened += office.act(SYSTEM, lambda desk, key=key, service_id=service_id, found=found: _open(desk, key, service_id, found))   # type: ignore[misc]
    return opened


def _open(desk: Desk, assurance_id: str, service_id: str, found: list[Beyond]) -> int:
    first, event = found[0], assurance.find(desk, assurance_id)
    kind, severity = KINDS[first.kind]
    circuit = desk.find(Service, service_id).circuit
    what = f"{event.name}: {circuit} {first.kind} {first.value}" + (f" > {first.limit}" if first.kind not in ("rate", "silent") else "")
    key = dedup_key(service_id, f"assurance.{first.kind}", assurance_id)
    evidence = {"assurance": assurance_id, "table": "usage_1m", "service": service_id, "from": iso(first.at), "to": iso(found[-1].at),
                "beyond": [[one.kind, iso(one.at), one.value, one.limit] for one in found[:20]]}
    if (known := live(desk, [key]).get(key)) is not None:
        return _goes_on(desk, known, found, what, evidence)
    try:
        open_(desk, kind=kind, service_id=service_id, severity=severity, summary=what, began=first.at, dedup_key=key, evidence=evidence)
    except Refusal as refused:
        if refused.kind != "conflict":          # the service ended, or its customer was merged, meanwhile
            raise
        return 0
    return 1


def _goes_on(desk: Desk, row: Ticket, found: list[Beyond], what: str, evidence: Mapping[str, Any]) -> int:
    """The ticket is there: what lasts is one raise of it however often it is looked at, and what begins again after some minutes of quiet is another."""
    last, until = found[-1].at, datetime.fromisoformat(str(row.evidence["to"]))
    if last <= until or (row.resolved is not None and row.state == "resolved" and last < row.resolved):
        return int(row.state in OPEN)
    if row.state == "resolved" or last > until + timedelta(minutes=BACK):
        again(desk, row, last, said(desk, "raised", what=what), evidence)
    row.evidence, row.updated = {**row.evidence, "to": evidence["to"]}, desk.now
    return 1
