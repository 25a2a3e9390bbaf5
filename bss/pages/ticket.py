"""Tickets: the list, and one ticket with its clocks, what it rests on, its cause and children, what was done and said, and what may be done next."""
from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from sqlalchemy import select

from bss.desk import Desk
from bss.moment import read as read_time
from bss.pages.cell import link, number, tag, text
from bss.pages.listing import listed, named
from bss.pages.visitor import Visit, Visitor
from bss.people.permission import allowed
from bss.refusal import Refusal
from bss.tables import Alarm, Customer, Resource, Service, Ticket, User
from bss.tickets import promise, states, ticket, transition
from bss.tracing.rollup import SEEN

router = APIRouter()
MOST = 200
OWN = ("closed", "inProgress", "cancelled")        # moves of a customer


@router.get("/tickets")
def tickets(visit: Visit) -> Response:
    """The list."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("ticket.read")
        filters = {"state": Ticket.state, "kind": Ticket.kind, "severity": Ticket.severity, "class": Ticket.class_, "region": Ticket.region}
        found = listed(desk, desk.select(Ticket), visit, filters, Ticket.id.desc())
        rows = found["rows"]
        circuits = named(desk, Service, [one.service_id for one in rows], lambda one: str(one.circuit))
        places = named(desk, Resource, [one.resource_id for one in rows], lambda one: str(one.name)) if not desk.actor.outside else {}
        owners = named(desk, User, [one.owner_id for one in rows], lambda one: str(one.login))
        found["cells"] = [[link(one.id, f"/tickets/{one.id}"), number(one.priority), text(visit.state(one.kind)), text(visit.state(one.severity)),
                           tag(f"ticket.{one.state}"), text(ticket.summary_of(desk, one)[:80]),
                           link(circuits[one.service_id], f"/services/{one.service_id}") if one.service_id in circuits else text(
                               places.get(one.resource_id or "", "")),
                           text(visit.time(one.created)), text(visit.time(one.restore_due)), text(owners.get(one.owner_id or "", ""))] for one in rows]
        return found

    heads = visit.heads("ticket.id", "ticket.priority", "list.kind", "list.severity", "list.state", "ticket.summary", "ticket.about", "ticket.opened",
                        "ticket.restore_due", "ticket.owner", numbers=("ticket.priority",))
    return visit.page("list", what="ticket", heads=heads, exported="ticket", **visit.read(look))


@router.get("/tickets/{ticket_id}")
def one(visit: Visit, ticket_id: str) -> Response:
    """One of them."""
    return visit.page("ticket", said=visit.request.query_params.get("said", ""), **visit.read(lambda desk: _told(desk, visit, ticket_id)))


def _told(desk: Desk, visit: Visitor, ticket_id: str) -> dict[str, Any]:
    desk.demand("ticket.read")
    row = desk.find(Ticket, ticket_id)
    inside = not desk.actor.outside
    customer = _seen(desk, Customer, row.customer_id, "customer.read")
    service = _seen(desk, Service, row.service_id, "service.read")
    resource = _seen(desk, Resource, row.resource_id, "resource.read")
    related: Any = desk.select(Ticket).where((Ticket.parent_id == row.id) | (Ticket.id == row.parent_id) | (Ticket.id == row.repeat_of_id)).order_by(Ticket.id)
    kin = list(desk.session.execute(related.limit(MOST)).scalars())
    alarms: list[Alarm] = list(desk.session.execute(desk.select(Alarm).where(Alarm.ticket_id == row.id).order_by(Alarm.changed.desc()).limit(MOST))    # type: ignore[arg-type]
                               .scalars()) if inside else []
    history, notes = ticket.history_of(desk, row), ticket.notes_of(desk, row)
    people = {row.owner_id, row.claimed_by, *(one.user_id for one in history), *(one.user_id for one in notes)} - {None}
    users = {one.id: one.login for one in desk.session.execute(select(User).where(User.id.in_(people))).scalars()} if inside else {}
    moves = [to for to in states.TICKET[row.state] if (desk.may("ticket.work") and inside) or (desk.may("ticket.write") and to in OWN
             and (inside or (row.state, to) in (("resolved", "closed"), ("resolved", "inProgress"), ("acknowledged", "cancelled"))))
             and (inside or to != "cancelled" or row.channel != "alarm" or row.kind not in states.MEASURED)]
    said = [{"time": one.time, "kind": one.kind, "text": one.text, "who": users.get(one.user_id or "", "")} for one in notes]
    evidence = _lines(visit, {**row.evidence, **({"alert_id": row.alert_id} if row.alert_id else {})}) if inside else []
    return {"one": row, "summary": ticket.summary_of(desk, row), "customer": customer, "name": desk.shown(customer.party.name) if customer else "",
            "service": service, "circuit": _circuit(desk, row), "resource": resource, "parent": next((one for one in kin if one.id == row.parent_id), None),
            "repeat": next((one for one in kin if one.id == row.repeat_of_id), None), "children": [one for one in kin if one.parent_id == row.id],
            "alarms": alarms, "history": history, "notes": said, "users": users, "moves": moves, "left": promise.left(row, desk.now), "inside": inside,
            "evidence": evidence, "restoration": _lines(visit, row.restoration) if inside else [], "now": desk.now,
            "reasoned": [*states.REASONED, *(["inProgress"] if row.state == "resolved" else [])],
            "works": inside and desk.may("ticket.work") and row.state in states.OPEN,
            "overrides": inside and desk.may("ticket.override") and row.claimed is not None and row.state in states.OPEN,
            "decides": inside and desk.may("ticket.override") and row.proposal.get("state") == "proposed"}


def _seen(desk: Desk, table: Any, key: str | None, permission: str) -> Any:
    """A row that a ticket is about, where the actor may see it: whoever owns a ticket need not own its service."""
    if key is None or not desk.may(permission):
        return None
    return desk.session.execute(desk.select(table).where(table.id == key)).unique().scalar_one_or_none()


def _circuit(desk: Desk, row: Ticket) -> str:
    """Which line it is about: whoever is sent for it has to know, also where the service is not his."""
    return desk.session.get_one(Service, row.service_id).circuit if row.service_id else ""


def _lines(visit: Visitor, told: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What is kept as evidence, as lines for people: name, value, and where it leads."""
    ways = {"alert_id": f"/trace/{told.get('alert_id', '')}/alert", "parent": f"/tickets/{told.get('parent', '')}"}
    if told.get("table") == "usage_1m" and told.get("service") and any(allowed(visit.actor.roles, one) for one in SEEN):
        ways["table"] = f"/trace/{told['service']}/minutes?" + urlencode({"since": told.get("from", ""), "until": told.get("to", "")})
    return [(visit.state(f"evidence.{name}").removeprefix("evidence."), ", ".join(map(str, value)) if isinstance(value, list) else visit.state(str(value)),
             ways.get(name, "")) for name, value in told.items() if value not in (None, "", [], {})]


@router.post("/tickets/{ticket_id}/move")
async def moved(visit: Visit, ticket_id: str) -> Response:
    """Move it on."""
    to, reason = visit.form.get("to", ""), visit.form.get("reason", "")
    found = await run_in_threadpool(visit.act, lambda desk: transition.move(desk, ticket_id, to, reason))
    return visit.back(f"/tickets/{ticket_id}", visit.say("ticket.moved", state=visit.state(f"ticket.{found.state}")))


@router.post("/tickets/{ticket_id}/note")
async def noted(visit: Visit, ticket_id: str) -> Response:
    """Note something."""
    said, internal = visit.form.get("text", visit.form.get("note", "")), bool(visit.form.get("internal"))
    await run_in_threadpool(visit.act, lambda desk: ticket.note(desk, ticket_id, said, internal))
    return visit.back(f"/tickets/{ticket_id}", visit.say("ticket.noted"))


@router.post("/tickets/{ticket_id}/claim")
async def claimed(visit: Visit, ticket_id: str) -> Response:
    """Say that it was restored."""
    at = visit.form.get("at", "").strip()
    when = read_time(at, visit.office.settings.zone, "at") if at else None
    await run_in_threadpool(visit.act, lambda desk: transition.claim(desk, ticket_id, when, visit.form.get("note", "")))
    return visit.back(f"/tickets/{ticket_id}", visit.say("ticket.said_restored"))


@router.post("/tickets/{ticket_id}/override")
async def overridden(visit: Visit, ticket_id: str) -> Response:
    """Resolve it whatever the traffic says."""
    await run_in_threadpool(visit.act, lambda desk: transition.override(desk, ticket_id, visit.form.get("reason", "")))
    return visit.back(f"/tickets/{ticket_id}", visit.say("ticket.moved", state=visit.state("ticket.resolved")))


@router.post("/tickets/{ticket_id}/proposal")
async def decided(visit: Visit, ticket_id: str) -> Response:
    """Approve or reject what is proposed."""
    answer = visit.form.get("decision", "")
    if answer not in ("approve", "reject"):
        await run_in_threadpool(visit.read, lambda desk: desk.find(Ticket, ticket_id))
        raise Refusal("invalid", "it is approved or rejected", "decision")
    await run_in_threadpool(visit.act, lambda desk: transition.decide(desk, ticket_id, answer == "approve", visit.form.get("reason", "")))
    return visit.back(f"/tickets/{ticket_id}", visit.say("ticket.decided"))


@router.post("/tickets/{ticket_id}/children")
async def followed(visit: Visit, ticket_id: str) -> Response:
    """Resolve its children that are measured to be restored."""
    done, left = await run_in_threadpool(visit.act, lambda desk: transition.resolve_children(desk, ticket_id))
    return visit.back(f"/tickets/{ticket_id}", visit.say("ticket.children_done", done=len(done), left=len(left)))
