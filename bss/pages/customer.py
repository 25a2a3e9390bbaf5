"""Customers: the list, and one customer with all that is known: contracts, services, orders, contacts, traffic."""
from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from bss.desk import Desk
from bss.pages.cell import link, tag, text
from bss.pages.listing import listed, named
from bss.pages.visitor import Visit, Visitor
from bss.parties.interaction import note
from bss.refusal import Refusal
from bss.tables import Agreement, Customer, Interaction, ProductOrder, Service, User
from bss.tables.party import CHANNELS

router = APIRouter()
SPANS = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}
MOST = 50


@router.get("/customers")
def customers(visit: Visit) -> Response:
    """The list."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("customer.read")
        found = listed(desk, desk.select(Customer).where(Customer.merged_into.is_(None)), visit,
                       {"class": Customer.class_, "region": Customer.region, "state": Customer.state}, Customer.id.desc())
        managers = named(desk, User, [one.manager_id for one in found["rows"]], lambda user: str(user.login))
        found["cells"] = [[link(one.number, f"/customers/{one.id}"), text(desk.shown(one.party.name)), tag(one.class_), text(one.region), tag(one.state),
                           text(managers.get(one.manager_id or "", "")), text(visit.time(one.created))] for one in found["rows"]]
        return found

    heads = visit.heads("customer.number", "customer.name", "customer.class", "customer.region", "list.state", "customer.manager", "customer.since")
    return visit.page("list", what="customer", heads=heads, exported="customer", **visit.read(look))


@router.get("/customers/{customer_id}")
def customer(visit: Visit, customer_id: str) -> Response:
    """One of them; personal fields masked."""
    return _one(visit, customer_id, "")


@router.post("/customers/{customer_id}/unmask")
async def unmask(visit: Visit, customer_id: str) -> Response:
    """The same with personal fields, for a reason that is put on record."""

    return await run_in_threadpool(_one, visit, customer_id, visit.form.get("reason", "") or " ")


@router.post("/customers/{customer_id}/interaction")
async def interaction(visit: Visit, customer_id: str) -> Response:
    """Note a contact."""

    given = {name: visit.form.get(field, "") for name, field in (("channel", "channel"), ("subject", "subject"), ("note", "text"))}
    await run_in_threadpool(visit.act, lambda desk: note(desk, customer_id=customer_id, channel=given["channel"], subject=given["subject"], note=given["note"]))
    return visit.back(f"/customers/{customer_id}", visit.say("customer.saved"))


def _one(visit: Visitor, customer_id: str, reason: str) -> Response:
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("customer.read")
        found = desk.find(Customer, customer_id)
        open_ = desk.unmask(found, reason) if reason else False
        if not open_:
            desk.record("customer.read", found)

        def some(table: Any, order: Any, permission: str) -> list[Any]:
            if not desk.may(permission):
                return []
            return list(desk.session.execute(desk.select(table).where(table.customer_id == customer_id).order_by(order).limit(MOST)).unique().scalars())

        manager = desk.session.get(User, found.manager_id) if found.manager_id else None
        return {"one": found, "manager": manager.login if manager else "", "name": desk.shown(found.party.name, open_), "open_": open_,
                "contacts": [(one.medium, desk.shown(one.value, open_), one.role) for one in found.party.contacts],
                "agreements": some(Agreement, Agreement.valid_from.desc(), "customer.read"), "services": some(Service, Service.id.desc(), "service.read"),
                "orders": some(ProductOrder, ProductOrder.id.desc(), "order.read"),
                "interactions": [(one, one.subject if open_ else desk.shown(one.subject), one.note if open_ else desk.shown(one.note))
                                 for one in some(Interaction, Interaction.time.desc(), "customer.read")],
                **_traffic(desk, customer_id)}

    return visit.page("customer", channels=CHANNELS, said=visit.request.query_params.get("said", ""), **visit.act(look))


def _traffic(desk: Desk, customer_id: str) -> dict[str, Any]:
    """What was measured of the last day, week and month; why not, where it was not."""
    if not desk.may("traffic.read"):
        return {"used": None, "why": ""}
    services = list(desk.session.execute(desk.select(Service).where(Service.customer_id == customer_id).with_only_columns(Service.id)).scalars())
    try:
        return {"used": {name: desk.office.evidence.used(services, desk.now - span, desk.now) for name, span in SPANS.items()}, "why": ""}
    except Refusal as error:
        return {"used": {}, "why": error.what}
