"""Revenue assurance, each day: traffic that no active service pays for, services that are paid for without traffic, rates above the contract. Each line with
what was measured, over which time, and how much of it is known."""
from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import delete, select

from bss.desk import Desk
from bss.moment import begin_of, iso
from bss.office import Office
from bss.people.scope import SYSTEM, Actor
from bss.refusal import Refusal
from bss.services.inventory import suspended
from bss.tables import Leakage, Service

KINDS = ("unbound", "unknown", "inactive", "silent", "above")
KNOWN = 0.9             # of a day's minutes that must be covered before silence says anything
ABOVE = 1.05            # of the contract's rate that 5 minutes may carry
SMALLEST = 1_000_000    # bytes of a day below which unbound traffic is no line
MOST = 10_000           # lines of a kind


class Line(NamedTuple):
    """kind: unbound (a network without a binding), unknown (an id that no service has), inactive (a service that is not active), silent (active, without
    traffic, though it was looked at), above (5 minutes above the rate of the contract)."""
    kind: str
    subject: str
    customer_id: str | None
    region: str
    bytes: int
    evidence: dict[str, Any]


def find(desk: Desk, day: date) -> list[Line]:
    """The lines of a day of the operator's time zone. Refusal `away`: the store does not answer, and nothing is guessed."""
    desk.demand("report.read")
    since, until = begin_of(day, desk.office.settings.zone), begin_of(day + timedelta(days=1), desk.office.settings.zone)
    evidence = desk.office.evidence
    used, peaks = evidence.services(since, until), evidence.peaks(since, until)
    query: Any = desk.select(Service).where(Service.created < until)
    known: dict[str, Service] = {one.id: one for one in desk.session.execute(query).scalars()}
    everyone = not desk.actor.limited
    span = {"from": iso(since), "to": iso(until)}
    found: list[Line] = []
    if everyone:
        found += [Line("unbound", one.prefix, None, "", one.bytes, {**span, "table": "usage_unbound_1h", "flows": one.flows})
                  for one in evidence.unbound(since, until)[:MOST] if one.bytes >= SMALLEST]
        found += [Line("unknown", service_id[:255], None, "", one.down_bytes + one.up_bytes, {**span, "table": "usage_1m", **one._asdict()})
                  for service_id, one in used.items() if service_id not in known][:MOST]
    waiting = [one for one in known.values() if _active(one, since, until) and one.covered and one.id not in used]
    measured = evidence.measured([one.id for one in waiting], since, until) if waiting else {}
    minutes = (until - since) // timedelta(minutes=1)
    for one in waiting:
        if measured[one.id] >= KNOWN * minutes:
            found.append(_line("silent", one, 0, {**span, "table": "usage_1m", "measured": measured[one.id], "minutes": minutes}))
    for service_id, sums in used.items():
        row = known.get(service_id)
        if row is None:
            continue
        figures = {**span, "table": "usage_1m", **sums._asdict()}
        if _stood_still(row, since, until):
            found.append(_line("inactive", row, sums.down_bytes + sums.up_bytes, {**figures, "state": row.state, "suspended": suspended(row)}))
        peak = peaks.get(service_id)
        if peak is not None and ((row.down_bps and peak.down_bps > ABOVE * row.down_bps) or (row.up_bps and peak.up_bps > ABOVE * row.up_bps)):
            found.append(_line("above", row, sums.down_bytes + sums.up_bytes, {
                **figures, "slot": iso(peak.begin), "down_bps": round(peak.down_bps), "up_bps": round(peak.up_bps), "contract_down_bps": row.down_bps,
                "contract_up_bps": row.up_bps}))
    return sorted(found, key=lambda line: (KINDS.index(line.kind), -line.bytes, line.subject))


def daily(office: Office, argument: Mapping[str, Any], actor: Actor = SYSTEM) -> int:
    """Duty: write the report of a day, `day` of the argument or the one before its `slot`; how many lines. Again, it replaces the former. Without a store
    there is nothing to report."""
    if office.settings.store == "none":
        return 0
    zone = office.settings.zone
    at = datetime.fromisoformat(argument["slot"]) if "slot" in argument else office.clock()
    day = _day(argument.get("day"), at.astimezone(zone).date() - timedelta(days=1))
    with office.reading(actor) as desk:         # the store may take long: nobody waits for us meanwhile
        desk.demand("system.run")
        lines = find(desk, day)
    return office.act(actor, lambda desk: _write(desk, day, lines))


def _write(desk: Desk, day: date, lines: list[Line]) -> int:
    desk.session.execute(delete(Leakage).where(Leakage.day == day.isoformat()))
    for one in lines:
        desk.session.add(Leakage(day=day.isoformat(), kind=one.kind, subject=one.subject, customer_id=one.customer_id, region=one.region, bytes=one.bytes,
                                 evidence=one.evidence, made=desk.now))
    desk.session.flush()
    counts = {kind: sum(one.kind == kind for one in lines) for kind in KINDS}
    desk.record("leakage.daily", ("leakage", day.isoformat()), after=counts)
    desk.emit("leakage.report", day.isoformat(), {"day": day.isoformat(), **counts})
    return len(lines)


def report(desk: Desk, day: date) -> list[Line]:
    """A day's report as it was written."""
    desk.demand("report.read")
    query: Any = desk.select(Leakage).where(Leakage.day == day.isoformat())
    lines = [Line(one.kind, one.subject, one.customer_id, one.region, one.bytes, one.evidence) for one in desk.session.execute(query).scalars()]
    return sorted(lines, key=lambda line: (KINDS.index(line.kind), -line.bytes, line.subject))


def written(desk: Desk, day: date) -> datetime | None:
    """When the report of a day was written; None: it was not, or it has no line."""
    return desk.session.execute(select(Leakage.made).where(Leakage.day == day.isoformat()).limit(1)).scalar_one_or_none()


def _line(kind: str, row: Service, octets: int, evidence: dict[str, Any]) -> Line:
    return Line(kind, row.id, row.customer_id, row.region, octets, evidence)


def _active(row: Service, since: datetime, until: datetime) -> bool:
    """Whether it was active all of a day."""
    return row.state == "active" and row.activated is not None and row.activated <= since and (row.terminated is None or row.terminated >= until)


def _stood_still(row: Service, since: datetime, until: datetime) -> bool:
    """Whether it was not active at any moment of a day: what was activated, suspended or ended on it is not told."""
    if row.state == "terminated":
        return row.terminated is not None and row.terminated <= since
    return row.state != "active" and (row.activated is None or row.activated >= until or suspended(row))


def _day(text: Any, otherwise: date) -> date:
    if text is None:
        return otherwise
    try:
        return datetime.fromisoformat(str(text)).replace(tzinfo=UTC).date()
    except ValueError:
        raise Refusal("invalid", f"{text!r} is no day", "day", "write it as 2026-12-01") from None
