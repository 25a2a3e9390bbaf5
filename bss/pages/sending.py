"""A ticket as the field sees it: who was told of its clocks, who was sent, what is known about such faults; and the form by which somebody is sent."""
from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from sqlalchemy import select

from bss.desk import Desk
from bss.pages.field import logins
from bss.pages.visitor import Visit
from bss.tables import Dispatch, Ticket, User
from bss.tables.field import DISPATCHES
from bss.tickets import dispatch, escalation, knowledge, states

router = APIRouter()
SENT = ("contractor", "assurance", "provisioning", "manager")          # roles of who is sent, who is sent most often first


@router.get("/field/tickets/{ticket_id}")
def of_ticket(visit: Visit, ticket_id: str) -> Response:
    """Who was told, who was sent, what is known."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("dispatch.write" if not desk.may("ticket.work") else "ticket.work")
        row = desk.find(Ticket, ticket_id)
        told = escalation.told_of(desk, row.id)
        sent = list(desk.session.execute(desk.select(Dispatch).where(Dispatch.ticket_id == row.id).order_by(Dispatch.assigned.desc()).limit(50)).scalars())
        return {"one": row, "told": told, "sent": sent, "people": workers(desk, row.region) if desk.may("dispatch.write") and row.state in states.OPEN else [],
                "kinds": DISPATCHES, "users": logins(desk, [*(one.user_id for one in told), *(one.owner_id for one in sent)]),      # type: ignore[attr-defined]
                "known": knowledge.suggested(desk, row.id) if desk.may("knowledge.read") else []}

    return visit.page("sending", said=visit.request.query_params.get("said", ""), **visit.read(look))


@router.post("/field/tickets/{ticket_id}/send")
async def send(visit: Visit, ticket_id: str) -> Response:
    """Send somebody."""
    form = visit.form

    def act(desk: Desk) -> Dispatch:
        desk.demand("dispatch.write")
        desk.find(Ticket, ticket_id)
        return dispatch.send(desk, kind=form.get("kind", "repair"), owner_id=form.get("owner", ""), task=form.get("task", ""), ticket_id=ticket_id,
                             site=form.get("site", "").strip() or None)
    row = await run_in_threadpool(visit.act, act)
    return visit.back(f"/field/tickets/{ticket_id}", visit.say("dispatch.sent", number=row.number))


def workers(desk: Desk, region: str) -> list[tuple[str, str]]:
    """(id, log-in) of who may be sent to a region ('' one of the actor's), contractors first."""
    wanted = {region} if region else {*desk.actor.regions}
    found = [one for one in desk.session.execute(select(User).where(User.disabled.is_(False))).scalars()
             if not {*SENT}.isdisjoint(one.roles) and "customer" not in one.roles and (not one.regions or not wanted or wanted & {*one.regions})]
    return [(one.id, one.login) for one in sorted(found, key=lambda one: (min(SENT.index(role) for role in one.roles if role in SENT), one.login))]
