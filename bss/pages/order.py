"""Orders: the list, and one order with its items, milestones, papers, configuration data, history, and what may be done next."""
from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from sqlalchemy import select

from bss.desk import Desk
from bss.orders.acceptance import shown
from bss.orders.states import ORDER
from bss.orders.transition import move
from bss.pages.cell import link, tag, text
from bss.pages.figures import figures
from bss.pages.listing import listed, named
from bss.pages.visitor import Visit
from bss.tables import Configuration, Customer, Milestone, Paper, ProductOrder, Resource, Service, Transition, User

router = APIRouter()
STEPS = ("surveyed", "resourceReserved", "dataConfigured", "installed", "firstTrafficSeen", "rateVerified", "accepted")
SALES = ("acknowledged", "cancelled", "assessingCancellation")         # moves of who sells; others are of who provisions


@router.get("/orders")
def orders(visit: Visit) -> Response:
    """The list."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("order.read")
        found = listed(desk, desk.select(ProductOrder), visit, {"state": ProductOrder.state, "class": ProductOrder.class_, "region": ProductOrder.region},
                       ProductOrder.id.desc())
        whose = named(desk, Customer, [one.customer_id for one in found["rows"]], lambda one: str(desk.shown(one.party.name)))
        owners = named(desk, User, [one.owner_id for one in found["rows"]], lambda user: str(user.login))
        found["cells"] = [[link(one.number, f"/orders/{one.id}"),
                           visit.way("customer.read", whose.get(one.customer_id, ""), f"/customers/{one.customer_id}"),
                           tag(one.state), tag(one.class_), text(one.region), text(visit.time(one.created)), text(visit.time(one.due)),
                           text(owners.get(one.owner_id or "", ""))] for one in found["rows"]]
        return found

    heads = visit.heads("order.number", "order.customer", "list.state", "list.class", "list.region", "order.created", "order.due", "order.owner")
    return visit.page("list", what="order", heads=heads, exported="order", **visit.read(look))


@router.get("/orders/{order_id}")
def order(visit: Visit, order_id: str) -> Response:
    """One of them."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("order.read")
        found = desk.find(ProductOrder, order_id)
        ids = [one.id for one in found.items]

        def some(table: Any, *where: Any, order: Any) -> list[Any]:
            return list(desk.session.execute(select(table).where(*where).order_by(order).limit(200)).scalars())

        reached: dict[str, dict[str, Milestone]] = {}
        for one in some(Milestone, Milestone.item_id.in_(ids), order=Milestone.reached):
            reached.setdefault(one.item_id, {})[one.name] = one
        history = some(Transition, Transition.entity == "order", Transition.entity_id == order_id, order=Transition.time)
        papers = some(Paper, Paper.entity == "product_order", Paper.entity_id == order_id, order=Paper.written) if desk.may("paper.read") else []
        files = some(Configuration, Configuration.item_id.in_(ids), order=Configuration.created) if desk.may("order.advance") else []
        people = select(User).where(User.id.in_([one.user_id for one in history] + [found.owner_id]))
        customer = desk.find(Customer, found.customer_id)
        evidence = [one.evidence for steps in reached.values() for one in steps.values()]
        names = named(desk, Resource, [one for told in evidence for one in told.get("resources", [])], lambda one: str(one.name))
        told = {item.id: [figures(visit, item.wanted, names), [(step, figures(visit, reached.get(item.id, {})[step].evidence, names)) for step in STEPS
                                                              if step in reached.get(item.id, {})]] for item in found.items}
        moves = [to for to in ORDER.get(found.state, ()) if desk.may("order.advance") or (desk.may("order.write") and to in SALES)]
        return {"one": found, "customer": customer, "name": desk.shown(customer.party.name), "reached": reached, "history": history, "papers": papers,
                "files": files, "told": told, "users": {one.id: one.login for one in desk.session.execute(people).scalars()}, "moves": moves,
                "circuits": named(desk, Service, [one.service_id for one in found.items], lambda one: str(one.circuit))}

    return visit.page("order", steps=STEPS, said=visit.request.query_params.get("said", ""), **visit.read(look))


@router.post("/orders/{order_id}/move")
async def step(visit: Visit, order_id: str) -> Response:
    """Move it on."""
    to, reason = visit.form.get("to", ""), visit.form.get("reason", "")
    found = await run_in_threadpool(visit.act, lambda desk: move(desk, order_id, to, reason))
    return visit.back(f"/orders/{order_id}", visit.say("order.moved", state=visit.state(found.state)))


@router.get("/papers/{paper_id}")
def paper(visit: Visit, paper_id: str) -> Response:
    """A paper as it is handed over, such as an acceptance sheet."""
    return visit.document(lambda desk: shown(desk, paper_id, visit.lang))
