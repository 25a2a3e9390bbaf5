"""Unknown minutes of which a person knows better: what they were, by what he knows it, decided by somebody else until the month closes. What was found stays
beside it, and only what was unknown is changed.
"""
from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select

from bss.desk import Desk
from bss.moment import iso
from bss.refusal import Refusal
from bss.sla import facts, keeping
from bss.sla import month as months
from bss.sla.keeping import Kept, Said
from bss.tables import Reclassification, Service, SlaMonth
from bss.tables.sla import RECLASSIFIED

TO = ("up", "down", "excluded")


def propose(desk: Desk, service_id: str, since: datetime, until: datetime, to_state: str, reason: str, evidence: Mapping[str, Any]) -> Reclassification:
    """Say that the unknown minutes of [since, until) were up, down or excluded. evidence: by what it is known, such as a note, a ticket, an attachment.
    Refusal: there is none, none of these minutes is unknown, or their month is closed."""
    try:
        desk.demand("sla.write")
        row = desk.find(Service, service_id, lock=True)
        if to_state not in TO:
            raise Refusal("invalid", f"minutes can't become {to_state!r}", "state", f"they can become {', '.join(TO)}")
        if since >= until or since.second or until.second or since.microsecond or until.microsecond:
            raise Refusal("invalid", "it is no time of whole minutes", "since", "write it as 2026-12-01T08:00 and one that is later")
        if not reason.strip() or not any(str(one).strip() for one in evidence.values()):
            raise Refusal("invalid", "a reason and evidence are needed", "evidence", "say by what it is known: a note, a ticket, an attachment")
        _open(desk, row, since, until)
        found = _unknown(desk, service_id, since, until)
        minutes = sum((one.until - one.since).total_seconds() for one in found) // 60
        if not minutes:
            raise Refusal("conflict", "none of these minutes is unknown", "since", "look at the minutes of its month")
        before = [{"from": iso(one.since), "to": iso(one.until), "state": one.state, "reason": one.reason} for one in found]
        made = desk.add(Reclassification(service_id=service_id, since=since, until=until, to_state=to_state, reason=reason.strip()[:400], before=before,
                                         evidence=dict(evidence), minutes=int(minutes), asked=desk.now, asked_by=desk.actor.id or None))
        desk.record("sla.reclassify", made, after={"service": service_id, "since": iso(since), "until": iso(until), "to": to_state, "minutes": made.minutes},
                    reason=reason)
        return made
    except Refusal as refusal:
        raise desk.deny("sla.reclassify", ("service", service_id), refusal, to=to_state, reason=reason) from None


def decide(desk: Desk, reclassification_id: str, approve: bool, answer: str = "") -> Reclassification:
    """Approve it or reject it: somebody who did not say it. Approved, the minutes count as he said, and their month is counted anew."""
    try:
        desk.demand("sla.approve")
        row = desk.find(Reclassification, reclassification_id, lock=True)
        if row.state != "proposed":
            raise Refusal("conflict", f"it is {row.state} already", f"reclassification {row.id}", "propose another one")
        desk.another(row.asked_by, "deciding on a reclassification")
        if not approve and not answer.strip():
            raise Refusal("invalid", "a reason is needed to reject it", "reason", "give one sentence")
        service = desk.find(Service, row.service_id, lock=True)
        row.state, row.answer, row.decided, row.decided_by = "approved" if approve else "rejected", answer.strip()[:400], desk.now, desk.actor.id or None
        if approve:
            month = _open(desk, service, row.since, row.until)
            _change(desk, row)
            months.settle(desk, [service], month)
        desk.record("sla.reclassify.decide", row, {"state": "proposed"}, {"state": row.state}, answer)
        desk.emit("serviceLevel.reclassify", service.id, {"id": row.id, "service": service.id, "state": row.state, "to": row.to_state, "minutes": row.minutes})
        return row
    except Refusal as refusal:
        raise desk.deny("sla.reclassify.decide", ("reclassification", reclassification_id), refusal, approve=approve) from None


def listed(desk: Desk, state: str = "", service: str = "") -> Select[tuple[Reclassification]]:
    """A query of them, the newest first."""
    desk.demand("sla.read")
    if state and state not in RECLASSIFIED:
        raise Refusal("invalid", f"{state!r} is no state of a reclassification", "state", f"states are {', '.join(RECLASSIFIED)}")
    query = desk.select(Reclassification)
    for column, wanted in ((Reclassification.state, state), (Reclassification.service_id, service)):
        if wanted:
            query = query.where(column == wanted)
    return query.order_by(Reclassification.asked.desc(), Reclassification.id.desc())


def _change(desk: Desk, row: Reclassification) -> None:
    before = keeping.held(desk, [row.service_id], row.since, row.until, touching=True).get(row.service_id, [])
    after = keeping.joined(keeping.overlaid(before, [Said(row.id, row.since, row.until, row.to_state)]))
    if after == before:
        raise Refusal("conflict", "none of these minutes is unknown any more", f"reclassification {row.id}", "reject it")
    keeping.write(desk, [row.service_id], keeping.rows_of(row.service_id, after), row.since, row.until)


def _unknown(desk: Desk, service_id: str, since: datetime, until: datetime) -> list[Kept]:
    """The spells of a time that were not known and of which nobody said anything yet, cut to it."""
    return [one._replace(since=max(one.since, since), until=min(one.until, until)) for one in keeping.held(desk, [service_id], since, until).get(service_id, [])
            if one.state == one.measured == "unknown"]


def _open(desk: Desk, service: Service, since: datetime, until: datetime) -> str:
    """The month in which a time lies. Refusal: it lies in two, or the month is closed."""
    month = f"{since.astimezone(desk.office.settings.zone):%Y-%m}"
    if until > facts.span_of(desk, month)[1]:
        raise Refusal("invalid", "it lies in two months", "until", "say it of each month by itself")
    state = desk.session.execute(select(SlaMonth.state).where(SlaMonth.service_id == service.id, SlaMonth.month == month)).scalar_one_or_none()
    if state == "closed":
        raise Refusal("conflict", f"the month {month} of this service is closed", "since", "what is closed does not change")
    return month
