"""Months of services: counted from their minutes, judged against what was promised, closed. A breach becomes a ticket and a drafted credit, with its evidence.

A month is counted as often as its minutes change, until it is closed; each time that it comes out otherwise is a revision of it. Credits are drafted once all
of it is measured. What is undecided gives no credit and no clean bill, and says why.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Select, select

from bss.catalogue.document import Sla
from bss.desk import Desk
from bss.moment import iso
from bss.question import minutes_of
from bss.refusal import Refusal
from bss.sla import charge, credit, facts, keeping, verdict
from bss.sla.credits import credit as given
from bss.sla.credits import largest
from bss.sla.facts import Promises, Span
from bss.sla.keeping import Kept
from bss.sla.reading import Quality
from bss.sla.slots import Bits, painted
from bss.tables import Service, SlaMark, SlaMonth

COUNTED = ("total", "excluded", "unknown", "down", "degraded", "faults", "rtt_us", "again", "tcp", "verdict", "promised", "measured_until")


class Counted(NamedTuple):
    """What the minutes of a month come to. lasted: minutes of each fault; days: local days on which it was active."""
    minutes: verdict.Minutes
    degraded: int
    lasted: list[int]
    days: int


def mark(desk: Desk) -> datetime | None:
    """Until when minutes are judged; None: none was yet."""
    row = desk.session.get(SlaMark, 1)
    return row.measured_until if row is not None else None


def settle(desk: Desk, rows: Sequence[Service], month: str, quality: Mapping[str, Quality] | None = None, evidence: Mapping[str, Any] | None = None,
           ) -> list[SlaMonth]:
    """Count a month of services anew, from the minutes that are kept. quality: what the store says of it, where it was asked; what is known of before holds
    where it was not. Months that are closed stay."""
    begin, (since, until) = facts.month_of(month), facts.span_of(desk, month)
    measured = min(until, mark(desk) or since)
    if measured <= since or not rows:
        return []
    ids = [one.id for one in rows]
    known = {one.service_id: one for one in desk.session.execute(select(SlaMonth).where(
        SlaMonth.service_id.in_(ids), SlaMonth.month == month).with_for_update()).scalars()}
    active = facts.activity(desk, rows, since, measured)
    spells = keeping.held(desk, ids, since, measured)
    promises, prices = Promises(desk), charge.monthly(desk, rows, until) if measured == until else {}
    found = []
    for one in rows:
        row = known.get(one.id)
        if row is not None and row.state == "closed":
            continue
        counted = count(active[one.id], spells.get(one.id, ()), since, measured, desk.office.settings.zone)
        if not counted.minutes.total:
            continue
        promised = promises.of(one, max(since, active[one.id][0][0] if active[one.id] else since))
        row = _write(desk, one, row, month, counted, promised, measured, (quality or {}).get(one.id), quality is not None, dict(evidence or {}))
        found.append(row)
        if measured == until:
            _follow(desk, one, row, counted, promised, prices[one.id], (facts.following(begin) - begin).days)
        elif lost(counted.minutes, (until - measured) // timedelta(minutes=1), promised.availability_percent):
            _warned(desk, one, row, promised)
    return found


def count(active: Sequence[Span], spells: Sequence[Kept], since: datetime, until: datetime, zone: Any = UTC) -> Counted:
    """Count minutes of [since, until)."""
    first, last = minutes_of(since, until)
    columns = (last - first) // 60
    on: Bits = painted([(begin.timestamp(), end.timestamp()) for begin, end in active], first, columns)
    sums = dict.fromkeys(("down", "excluded", "unknown", "degraded", "up"), 0)
    course: list[tuple[int, int, str]] = []
    for one in spells:
        begin, end = (max(0, min(columns, (int(at.timestamp()) - first) // 60)) for at in (one.since, one.until))
        if begin < end:
            if one.reason == "nonpayment":
                on[begin:end] = True
            sums[one.state] += end - begin
            course.append((first + 60 * begin, first + 60 * end, one.state))
    minutes = verdict.Minutes(int(on.sum()), sums["excluded"], sums["unknown"], sums["down"])
    _, lasted = verdict.faults(course, minutes.up)
    hours = np.unique(np.flatnonzero(on) // 60)         # from a local midnight on, so that none of them is of two days
    days = {datetime.fromtimestamp(first + 3600 * int(at), zone).date() for at in hours}
    return Counted(minutes, sums["degraded"], lasted, len(days))


def lost(minutes: verdict.Minutes, left: int, target_percent: Decimal | None) -> bool:
    """Whether a target is missed even if all that is unknown was up and all minutes that are left will be."""
    return verdict.verdict(minutes._replace(total=minutes.total + left), target_percent) == verdict.BREACHED


def minutes_of_month(row: SlaMonth) -> verdict.Minutes:
    """What a row counts."""
    return verdict.Minutes(row.total, row.excluded, row.unknown, row.down)


def objectives(row: SlaMonth) -> list[dict[str, Any]]:
    """What was promised for the month, what was measured, and whether it is kept: met, breached, undecided, or none where nothing was promised or measured."""
    promised = row.promised
    minutes = minutes_of_month(row)
    target = promised.get("availability_percent")
    found = [{"name": "availability", "unit": "%", "target": target, "comparator": ">=", "actual": verdict.percent(minutes.availability),
              "best": verdict.percent(minutes.best), "worst": verdict.percent(minutes.worst), "coverage": verdict.percent(minutes.coverage),
              "verdict": row.verdict}]
    loss = Decimal(row.again) * 100 / row.tcp if row.tcp else None
    for name, unit, wanted, got in (("degraded_minutes", "min", promised.get("degraded_minutes"), row.degraded),
                                    ("rtt_ms", "ms", promised.get("rtt_ms"), None if row.rtt_us is None else Decimal(row.rtt_us) / 1000),
                                    ("loss_percent", "%", promised.get("loss_percent"), loss)):
        said = verdict.NONE if wanted is None or got is None else verdict.MET if Decimal(got) <= Decimal(str(wanted)) else verdict.BREACHED
        shown = None if got is None else str(got) if isinstance(got, int) else f"{got:.4f}"
        found.append({"name": name, "unit": unit, "target": None if wanted is None else str(wanted), "comparator": "<=", "actual": shown, "verdict": said})
    return found


def why(row: SlaMonth) -> str:
    """The reason why a month gives no credit, as a key of words: '' where it is breached."""
    if row.verdict == verdict.BREACHED:
        return ""
    if row.verdict == verdict.UNDECIDED:
        return "undecided"
    if row.verdict == verdict.NONE:
        return "nothing"
    return "degraded" if any(one["verdict"] == verdict.BREACHED for one in objectives(row)[1:]) else "kept"


def close(desk: Desk, rows: Sequence[SlaMonth]) -> int:
    """Close months of services: nothing of them changes any more. How many were open. Who may is looked at; that all of it is measured too."""
    desk.demand("sla.approve")
    done = 0
    for row in rows:
        _, until = facts.span_of(desk, row.month)
        if row.measured_until < until:
            raise Refusal("conflict", f"the month {row.month} is measured until {iso(row.measured_until)} only", f"service {row.service_id}",
                          "wait until all of it is measured")
        if row.state == "open":
            row.state, row.closed, row.closed_by = "closed", desk.now, desk.actor.id or None
            desk.record("sla.close", row, {"state": "open"}, {"state": "closed", "verdict": row.verdict, "revision": row.revision})
            desk.emit("serviceLevel.close", row.service_id, {"id": row.id, "service": row.service_id, "month": row.month, "verdict": row.verdict})
            done += 1
    return done


def listed(desk: Desk, month: str = "", verdict_: str = "", customer: str = "", service: str = "", state: str = "") -> Select[tuple[SlaMonth]]:
    """A query of months of services, the newest first."""
    desk.demand("sla.read")
    query = desk.select(SlaMonth)
    for column, wanted in ((SlaMonth.month, month), (SlaMonth.verdict, verdict_), (SlaMonth.customer_id, customer), (SlaMonth.service_id, service),
                           (SlaMonth.state, state)):
        if wanted:
            query = query.where(column == wanted)
    return query.order_by(SlaMonth.month.desc(), SlaMonth.service_id)


def find(desk: Desk, service_id: str, month: str) -> SlaMonth:
    """A month of a service. Refusal `missing`: it was not counted, or he may not see it."""
    desk.demand("sla.read")
    query: Any = desk.select(SlaMonth).where(SlaMonth.service_id == service_id, SlaMonth.month == month)
    found: SlaMonth | None = desk.session.execute(query).scalar_one_or_none()
    if found is None:
        raise Refusal("missing", f"the month {month} of service {service_id} is not measured yet", "month",
                      "look at the list of its months; one is written 2026-12")
    return found


def _write(desk: Desk, one: Service, row: SlaMonth | None, month: str, counted: Counted, promised: Sla, measured: datetime, quality: Quality | None,
           asked: bool, evidence: dict[str, Any]) -> SlaMonth:
    minutes = counted.minutes
    values: dict[str, Any] = {
        "total": minutes.total, "excluded": minutes.excluded, "unknown": minutes.unknown, "down": minutes.down, "degraded": counted.degraded,
        "faults": len(counted.lasted), "verdict": verdict.verdict(minutes, promised.availability_percent), "measured_until": measured,
        "promised": promised.model_dump(mode="json", by_alias=True)}
    if asked:
        values |= {"rtt_us": quality.rtt_us if quality else None, "again": quality.again if quality else 0, "tcp": quality.tcp if quality else 0}
        evidence |= {"tables": ["usage_1m", "coverage", "link_state"], "rows": quality.rows if quality else 0, "digest": quality.digest if quality else ""}
    if row is None:
        row = desk.add(SlaMonth(service_id=one.id, customer_id=one.customer_id, region=one.region, month=month, made=desk.now, evidence=evidence,
                                **{"again": 0, "tcp": 0, **values}))
        return row
    before = {name: getattr(row, name) for name in COUNTED}
    for name, value in values.items():
        setattr(row, name, value)
    changed = {name for name in COUNTED if getattr(row, name) != before[name]} - {"measured_until"}
    if changed and before["measured_until"] == measured:        # it grew no longer, and came out otherwise
        row.revision += 1
        desk.record("sla.recount", row, {name: before[name] for name in changed if name != "promised"},
                    {name: getattr(row, name) for name in changed if name != "promised"})
    row.made, row.customer_id, row.region = desk.now, one.customer_id, one.region
    row.evidence = {**row.evidence, **evidence}
    return row


def _follow(desk: Desk, one: Service, row: SlaMonth, counted: Counted, promised: Sla, prices: Sequence[tuple[str, charge.Lines]], days: int) -> None:
    """What a whole month brings about. Of several prices that held in it the one that gives most is credited."""
    row.evidence = {**row.evidence, "fault_minutes": counted.lasted}
    ways = [[(part, given(promised.credit, promised.availability_percent, counted.minutes, counted.lasted, part))
             for part in charge.charges(some, days, min(counted.days, days))] for some in prices[:2]]
    credit.draft(desk, row, one, largest(ways))
    if row.verdict == verdict.BREACHED:
        _warned(desk, one, row, promised)


def _warned(desk: Desk, one: Service, row: SlaMonth, promised: Sla) -> None:
    """Open a ticket for a month that is breached, or can't be saved any more; once."""
    if row.ticket_id is None:
        from bss.tickets.ticket import open_
        percent = verdict.percent(minutes_of_month(row).availability)
        row.ticket_id = open_(desk, kind="sla", service_id=one.id, customer_id=one.customer_id, severity="major", dedup_key=f"sla {one.id} {row.month}",
                              summary=f"{one.circuit}: availability {percent} % in {row.month}, {promised.availability_percent} % were promised",
                              evidence={"sla_month": row.id, "month": row.month, "down_minutes": row.down}).id
