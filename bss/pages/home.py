"""The first page: what is under way, what is late, what is mine."""
from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy import func, select

from bss.desk import Desk
from bss.pages.visitor import Visit
from bss.tables import ProductOrder, Service, Ticket
from bss.tickets import holidays, states, ticket

router = APIRouter()
UNDER_WAY = ("acknowledged", "inProgress", "pending", "held", "assessingCancellation", "pendingCancellation")


@router.get("/")
def home(visit: Visit) -> Response:
    """Tiles, and the actor's own orders and tickets."""
    return visit.page("home", **visit.read(_today))


def _today(desk: Desk) -> dict[str, Any]:
    told: dict[str, int] = {}
    if desk.may("order.read"):
        orders = desk.select(ProductOrder).where(ProductOrder.state.in_(UNDER_WAY))

        def count(*more: Any) -> int:
            return desk.session.execute(select(func.count()).select_from(orders.where(*more).subquery())).scalar_one()

        told = {"open_orders": count(), "overdue": count(ProductOrder.due < desk.now, ProductOrder.state != "pending"),
                "at_risk": count(ProductOrder.jeopardy.is_not(None)), "waiting": count(ProductOrder.state == "pending"),
                "held": count(ProductOrder.state == "held")}
    if desk.may("service.read"):
        services = desk.select(Service).where(Service.state == "active")
        told["active_services"] = desk.session.execute(select(func.count()).select_from(services.subquery())).scalar_one()
    own: list[Ticket] = []
    if desk.may("ticket.read"):
        open_ = desk.select(Ticket).where(Ticket.state.in_(states.OPEN))

        def tickets(query: Any) -> int:
            return desk.session.execute(select(func.count()).select_from(query.order_by(None).subquery())).scalar_one()

        told |= {"open_tickets": tickets(open_), "late_tickets": tickets(ticket.listed(desk, overdue=True))}
        if not desk.actor.outside:
            told["unowned_tickets"] = tickets(open_.where(Ticket.owner_id.is_(None)))
            his: Any = open_.where(Ticket.owner_id == desk.actor.id).order_by(Ticket.priority, Ticket.restore_due)
            own = list(desk.session.execute(his.limit(20)).scalars())
    mine = desk.select(ProductOrder).where(ProductOrder.owner_id == desk.actor.id, ProductOrder.state.in_(UNDER_WAY)).order_by(ProductOrder.due).limit(20)
    return {"tiles": told, "tickets": own, "worker": desk.may("ticket.work") and not desk.actor.outside,
            "lacking": sorted({one.year for one in holidays.lacking(desk)}) if desk.may("calendar.write") else [],
            "orders": list(desk.session.execute(mine).unique().scalars()) if desk.may("order.read") else []}
