"""Credits: drafted where a month was breached, approved or rejected by somebody else, applied to the next bill by a third.

Of a month, a service and a tax one credit lives, and the database sees to it: several breaches are not added, the largest holds. Computing a month anew
replaces a draft. What is approved is of a closed month, so nothing it stands on changes any more.
"""
from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Select, select

from bss.database import lots
from bss.desk import Desk
from bss.refusal import Refusal
from bss.sla import states
from bss.sla.credits import Charge, Credited
from bss.tables import Credit, Service, SlaMonth


def draft(desk: Desk, month: SlaMonth, service: Service, parts: Sequence[tuple[Charge, Credited]]) -> list[Credit]:
    """Drafts of a month, one for each tax, in place of those that were drafted before; nothing where nothing is given. One that is as before stays, and so does
    what is approved or applied."""
    desk.demand("credit.draft")
    query = select(Credit).where(Credit.service_id == service.id, Credit.month == month.month, Credit.state.in_(states.LIVE)).with_for_update()
    live = {(one.tax_mode, one.tax_rate): one for one in desk.session.execute(query).scalars()}
    wanted = {(charge.tax, charge.tax_rate): (charge, credited) for charge, credited in parts if credited.amount > 0}
    if any(one.state != "drafted" for one in live.values()):
        return []
    made = []
    for key, one in live.items():
        if key not in wanted or wanted[key][1].amount != one.amount:
            happen(desk, one, "supersede", f"revision {month.revision} of the month")
        else:
            one.why, one.evidence = wanted.pop(key)[1].why, _evidence(month)
    desk.session.flush()                # those that end, before those that take their places
    for charge, credited in wanted.values():
        row = desk.add(Credit(service_id=service.id, customer_id=service.customer_id, region=service.region, month=month.month, amount=credited.amount,
                              currency=charge.currency, tax_mode=charge.tax, tax_rate=charge.tax_rate, why=credited.why, evidence=_evidence(month),
                              drafted=desk.now, drafted_by=desk.actor.id or None))
        desk.record("credit.draft", row, after={"service": service.id, "month": month.month, "amount": str(row.amount), "currency": row.currency})
        desk.emit("credit.create", row.id, {"id": row.id, "customer": row.customer_id, "service": service.id, "month": month.month, "state": row.state,
                                            "amount": str(row.amount), "currency": row.currency})
        made.append(row)
    return made


def decide(desk: Desk, credit_id: str, approve: bool, reason: str = "", version: int | None = None) -> Credit:
    """Approve a draft or reject it: somebody who did not draft it. Refusal: its month is open, or it is no draft; the attempt is on record."""
    event = "approve" if approve else "reject"
    try:
        desk.demand(states.PERMISSION[event])
        row = desk.find(Credit, credit_id, lock=True)
        if why := states.refusal(row.state, event):
            raise Refusal("conflict", why, f"credit {row.id}", "look at the list of drafts")
        desk.another(row.drafted_by, "deciding on a credit")
        if not approve and not reason.strip():
            raise Refusal("invalid", "a reason is needed to reject a credit", "reason", "give one sentence")
        if approve and not _closed(desk, row):
            raise Refusal("conflict", f"the month {row.month} of its service is open: its figures may change", f"credit {row.id}", "close the month first")
        desk.fresh(row, version)
        row.decided, row.decided_by = desk.now, desk.actor.id or None
        return happen(desk, row, event, reason)
    except Refusal as refusal:
        raise desk.deny(f"credit.{event}", ("credit", credit_id), refusal, reason=reason) from None


def withdraw(desk: Desk, credit_id: str, reason: str, version: int | None = None) -> Credit:
    """Take a draft back, in favour of another one to come (`supersede`)."""
    try:
        desk.demand(states.PERMISSION["supersede"])
        row = desk.find(Credit, credit_id, lock=True)
        if why := states.refusal(row.state, "supersede"):
            raise Refusal("conflict", why, f"credit {row.id}", "look at the list of drafts")
        if not reason.strip():
            raise Refusal("invalid", "a reason is needed to take a draft back", "reason", "give one sentence")
        desk.fresh(row, version)
        return happen(desk, row, "supersede", reason)
    except Refusal as refusal:
        raise desk.deny("credit.supersede", ("credit", credit_id), refusal, reason=reason) from None


def waiting(desk: Desk, customer_id: str, before: date) -> list[Credit]:
    """The approved credits of a customer that no bill has yet, of months that end before a day, in order."""
    return waiting_of(desk, [customer_id], before)[customer_id]


def waiting_of(desk: Desk, customer_ids: Collection[str], before: date) -> dict[str, list[Credit]]:
    """The same of many customers, asked once: of each, also of those without any."""
    desk.demand("sla.read")
    found: dict[str, list[Credit]] = {one: [] for one in customer_ids}
    for lot in lots(list(found)):
        query: Any = desk.select(Credit).where(Credit.customer_id.in_(lot), Credit.state == "approved", Credit.month < f"{before:%Y-%m}")
        for one in desk.session.execute(query.order_by(Credit.month, Credit.service_id, Credit.id)).scalars():
            found[one.customer_id].append(one)
    return found


def applied(desk: Desk, credit: Credit, bill_id: str, line_number: int) -> Credit:
    """It became a line of a bill. Refusal: it is not approved, is on another bill, or who applies it approved it."""
    try:
        desk.demand(states.PERMISSION["apply"])
        row = desk.find(Credit, credit.id, lock=True)
        if row.state == "applied" and (row.bill_id, row.line_number) == (bill_id, line_number):
            return row                  # a bill run that was resumed
        if why := states.refusal(row.state, "apply"):
            raise Refusal("conflict", why, f"credit {row.id}", "look at those that wait")
        desk.another(row.decided_by, "applying a credit")
        row.applied, row.applied_by, row.bill_id, row.line_number = desk.now, desk.actor.id or None, bill_id, line_number
        row.version += 1
        return happen(desk, row, "apply", f"bill {bill_id}, line {line_number}")
    except Refusal as refusal:
        raise desk.deny("credit.apply", credit, refusal, bill=bill_id) from None


def happen(desk: Desk, row: Credit, event: str, reason: str = "") -> Credit:
    """Take a step that is allowed."""
    before, row.state = row.state, states.STEPS[row.state, event]
    if reason:
        row.reason = reason[:400]
    desk.record(f"credit.{event}", row, {"state": before}, {"state": row.state, "amount": str(row.amount)}, reason)
    desk.emit("credit.stateChange", row.id, {"id": row.id, "customer": row.customer_id, "service": row.service_id, "from": before, "state": row.state})
    return row


def listed(desk: Desk, state: str = "", month: str = "", customer: str = "", service: str = "") -> Select[tuple[Credit]]:
    """A query of credits, the newest month first."""
    desk.demand("sla.read")
    if state and state not in states.STATES:
        raise Refusal("invalid", f"{state!r} is no state of a credit", "state", f"states are {', '.join(states.STATES)}")
    query = desk.select(Credit)
    for column, wanted in ((Credit.state, state), (Credit.month, month), (Credit.customer_id, customer), (Credit.service_id, service)):
        if wanted:
            query = query.where(column == wanted)
    return query.order_by(Credit.month.desc(), Credit.id.desc())


def _closed(desk: Desk, row: Credit) -> bool:
    found = desk.session.execute(select(SlaMonth.state).where(SlaMonth.service_id == row.service_id, SlaMonth.month == row.month)).scalar_one_or_none()
    return found == "closed"


def _evidence(month: SlaMonth) -> dict[str, Any]:
    return {"sla_month": month.id, "service": month.service_id, "month": month.month, "revision": month.revision, "down_minutes": month.down,
            "digest": month.evidence.get("digest", "")}
