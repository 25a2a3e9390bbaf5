"""Which calendar holds: the one that somebody wrote, else the standard one of that key; and what follows where one is changed."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from bss.desk import Desk
from bss.moment import iso
from bss.refusal import Refusal
from bss.tables import ProductOrder, Template
from bss.tickets.calendar import STANDARD, Calendar, Document

_KNOWN = "calendars"            # of a session: those that were read in this act
MOST = 20_000


def calendar_of(desk: Desk, key: str) -> Calendar:
    """A calendar by its key, such as 24x7, business or workdays. Read once an act. Refusal `missing`: there is none."""
    known: dict[str, Calendar] = desk.session.info.setdefault(_KNOWN, {})
    if key not in known:
        query = select(Template.document).where(Template.kind == "calendar", Template.key == key).order_by(Template.version.desc()).limit(1)
        written = desk.session.execute(query).scalar_one_or_none()
        document = STANDARD.get(key) if written is None else Document.model_validate(written)
        if document is None:
            raise Refusal("missing", f"there is no calendar {key!r}", "calendar", "fullspan bss calendar list")
        settings = desk.office.settings
        known[key] = document.calendar(settings.zone, settings.country)
    return known[key]


def forget(desk: Desk) -> None:
    """A calendar was written in this act: what was read before holds no more."""
    desk.session.info.pop(_KNOWN, None)


def follow(desk: Desk, argument: Mapping[str, Any]) -> int:
    """Job: compute anew what is due by a calendar that was changed; how many orders and tickets are due at another time
    now. What was answered keeps the time by which it was to be."""
    desk.demand("system.run")
    key = argument["key"]
    return _orders(desk) if key == "workdays" else _tickets(desk) if key == "business" else 0


def _orders(desk: Desk) -> int:
    from bss.orders import clock, states

    moved = 0
    query = select(ProductOrder).where(ProductOrder.state.in_(states.OPEN), ProductOrder.acknowledged.is_not(None)).order_by(ProductOrder.id).limit(MOST)
    for order in desk.session.execute(query).scalars().unique():
        before, order.due = order.due, clock.due_of(desk, order)
        if order.due != before:
            moved += 1
            desk.record("order.due", order, {"due": iso(before)}, {"due": iso(order.due)}, "the calendar was changed")
            desk.emit("productOrder.attributeValueChange", order.id, {"id": order.id, "due": order.due})
    return moved


def _tickets(desk: Desk) -> int:
    from bss.tables import Ticket
    from bss.tickets.promise import renew
    from bss.tickets.states import OPEN

    moved = 0
    query = select(Ticket).where(Ticket.state.in_(OPEN), Ticket.responded.is_(None)).order_by(Ticket.id).limit(MOST)
    for row in desk.session.execute(query).scalars():
        before = row.response_due
        renew(desk, row)
        if row.response_due != before:
            moved += 1
            desk.record("ticket.due", row, {"response": iso(before)}, {"response": iso(row.response_due)}, "the calendar was changed")
            desk.emit("troubleTicket.attributeValueChange", row.id, {"id": row.id, "responseDue": row.response_due})
    return moved
