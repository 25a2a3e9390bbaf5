"""Orders at risk: what is left of the time is less than what the remaining milestones took, in the past, for 80 of 100 items of the same class and kind.

With fewer than 20 of those in a year the time itself decides: at risk where less than a fifth of it is left, or less than a share for each milestone that is
missing. An order is told of once; when the risk is gone that is told too.
"""
from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from bss.catalogue.publishing import version_of
from bss.desk import Desk
from bss.moment import iso
from bss.orders import clock, states
from bss.orders.dwell import quantile
from bss.orders.milestone import NAMES, reached
from bss.orders.transition import needs_check
from bss.tables import Milestone, Offering, OrderItem, ProductOrder

PATH = NAMES[:6]                    # surveyed ... rateVerified
ENOUGH, HISTORY, MOST = 20, timedelta(days=365), 2000
SHARE = 0.2                         # of the whole time, below which an order is at risk whatever it has reached


def watch(desk: Desk, argument: Mapping[str, Any] | None = None) -> int:
    """Look at every open order with a due time; how many were told of as at risk now. A job: asked again it tells nothing twice."""
    desk.demand("system.run")
    told, history = 0, History(desk)
    query = select(ProductOrder).where(ProductOrder.state.in_(("acknowledged", "inProgress", "held")), ProductOrder.due.is_not(None)).order_by(ProductOrder.due)
    for order in desk.session.execute(query.limit(10 * MOST)).scalars():
        why = at_risk(desk, order, history)
        if why and order.jeopardy is None:
            order.jeopardy, told = desk.now, told + 1
            desk.record("order.jeopardy", order, after={"due": iso(order.due), "why": why})
            desk.emit("productOrder.jeopardyAlert", order.id, {"id": order.id, "number": order.number, "due": order.due, "owner": order.owner_id, "why": why})
            from bss.orders.reminding import mail
            mail(desk, order, "jeopardy", why)
        elif not why and order.jeopardy is not None:
            order.jeopardy = None
            desk.emit("productOrder.jeopardyCleared", order.id, {"id": order.id, "number": order.number})
    return told


class History:
    """How long the milestones that remain took before, by class, kind and the last one that was reached: read once an act."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._known = desk, dict[tuple[str, str, str], list[float]]()

    def p80(self, class_: str, kind: str, last: str) -> timedelta | None:
        """Working time from that milestone (or acknowledgement, '') to the end, for 80 of 100. None: fewer than ENOUGH are known."""
        key = class_, kind, last
        if key not in self._known:
            self._known[key] = self._read(class_, kind, last)
        found = self._known[key]
        return timedelta(seconds=quantile(found, 80)) if len(found) >= ENOUGH else None

    def _read(self, class_: str, kind: str, last: str) -> list[float]:
        desk = self._desk
        query = select(ProductOrder.acknowledged, ProductOrder.completed, Milestone.reached).join(OrderItem, OrderItem.order_id == ProductOrder.id).join(
            Offering, (Offering.code == OrderItem.offering) & (Offering.version == OrderItem.offering_version)).outerjoin(
            Milestone, (Milestone.item_id == OrderItem.id) & (Milestone.name == last)).where(
            OrderItem.action == "add", OrderItem.state == "completed", ProductOrder.completed > desk.now - HISTORY, Offering.class_ == class_,
            Offering.kind == kind).order_by(ProductOrder.completed.desc()).limit(MOST)
        rows = desk.session.execute(query).tuples()
        return [clock.elapsed(begin, end, clock.days(desk)).total_seconds() for acknowledged, end, at in rows
                if (begin := at if last else acknowledged) is not None and end is not None]


def at_risk(desk: Desk, order: ProductOrder, history: History) -> str:
    """Why an order is at risk, in a sentence; '' where it is not."""
    left = clock.left(desk, order)
    if left < timedelta():
        return "it is overdue"
    whole = clock.DAY * clock.activation_days(desk, order)
    for item in order.items:
        if item.state in states.TERMINAL or item.action != "add" or not needs_check(desk, item):
            continue
        known = reached(desk, item)
        last = next((name for name in reversed(PATH) if name in known), "")
        missing = len(PATH) - (PATH.index(last) + 1 if last else 0)
        version = version_of(desk, item.offering, item.offering_version)
        needed = history.p80(version.class_, version.kind, last)
        if needed is not None:
            if left < needed:
                return f"{_days(left)} are left, and from {last or 'acknowledgement'} on 80 of 100 needed up to {_days(needed)}"
        elif missing and left < whole * max(SHARE, missing / len(PATH) / 2):
            return f"{_days(left)} of {_days(whole)} are left, and {missing} milestones are missing after {last or 'acknowledgement'}"
    return f"{_days(left)} of {_days(whole)} are left" if left < whole * SHARE and not any(item.action == "add" for item in order.items) else ""


def _days(span: timedelta) -> str:
    return f"{span / clock.DAY:.1f} working days"
