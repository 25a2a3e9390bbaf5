"""Where bills meet what others know: rated usage (bss.rating), SLA credits (bss.sla), windows in which nobody is owed service (bss.tickets)."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from sqlalchemy import func, select

from bss.database import lots
from bss.desk import Desk
from bss.rating import closing
from bss.sla import credit
from bss.tables import Credit, RatedCharge, Window
from bss.tickets import window


def unclosed(desk: Desk, period: str, customers: Sequence[str] = ()) -> str:
    """Why a period's bills can't be made before its usage is closed: '' where they can. A 95th percentile is known with the close and not before, so that it
    is not enough to look at the charges that are there. customers: of these alone."""
    if closing.closed(desk, period):
        return ""
    query = select(func.count()).select_from(RatedCharge).where(RatedCharge.period == period, RatedCharge.state == "provisional")
    if count := sum(desk.session.execute(query.where(RatedCharge.customer_id.in_(lot)) if lot else query).scalar_one() for lot in [*lots(customers)] or [[]]):
        return f"{count} rated charges of {period} are not closed"
    if closing.due(desk, period, customers):
        return f"the usage of {period} is not closed"
    return ""


def charges(desk: Desk, customer_ids: Sequence[str], period: str) -> Iterator[tuple[str, RatedCharge, str]]:
    """Rated charges that are closed and on no bill, by customer; and why one keeps its bill on hold, '' where it does not."""
    for customer_id, found in closing.waiting(desk, customer_ids, period).items():
        for one, why in found:
            yield customer_id, one, why


def charged(desk: Desk, bills: Mapping[str, str]) -> None:
    """They are on these bills, which were issued: charge -> bill."""
    closing.billed_of(desk, bills)


def credits(desk: Desk, customer_ids: Sequence[str], before: date) -> Iterator[tuple[str, Credit]]:
    """Approved credits of months before a day that are on no bill, by customer."""
    for customer_id, found in credit.waiting_of(desk, customer_ids, before).items():
        for one in found:
            yield customer_id, one


def applied(desk: Desk, lines: Sequence[tuple[str, int]], bill_id: str) -> None:
    """Credits (id, number of the line) are on this bill, which was issued."""
    for credit_id, number in lines:
        credit.applied(desk, desk.session.get_one(Credit, credit_id), bill_id, number)


def window_begun(desk: Desk, case_id: str, services: Sequence[str], proposed_by: str | None) -> list[str]:
    """From now on these services are suspended because somebody does not pay: nobody is owed their minutes. Ids of the windows that say so."""
    if not services:
        return []
    made = window.decided(desk, kind="nonpayment", service_ids=services, since=desk.now, until=None, reason="suspended for non-payment", made_by=proposed_by,
                          approved_by=desk.actor.id or None, evidence={"dunning": case_id})
    return [one.id for one in made]


def window_ended(desk: Desk, ids: Sequence[str]) -> None:
    """They are taken up again. A window that somebody has ended or cancelled is over already."""
    for one in ids:
        row = desk.find(Window, one, lock=True)
        if row.state == "approved" and row.until is None and desk.now > row.since:
            window.end(desk, one, reason="what was owed is paid")
