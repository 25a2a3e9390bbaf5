"""Credits: the list, and one with how it was reached, the month that it is of, and what may be decided."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from bss.desk import Desk
from bss.language import catalogue
from bss.pages.cell import link, number, text
from bss.pages.listing import listed, named
from bss.pages.visitor import Visit, Visitor
from bss.sla import credit as credits
from bss.sla import states
from bss.tables import Credit, Customer, Service, User

router = APIRouter()


@router.get("/credits")
def all_credits(visit: Visit) -> Response:
    """The list."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("sla.read")
        found = listed(desk, desk.select(Credit), visit, {"state": Credit.state, "month": Credit.month, "region": Credit.region}, Credit.id.desc())
        circuits = named(desk, Service, [one.service_id for one in found["rows"]], lambda one: str(one.circuit))
        whose = named(desk, Customer, [one.customer_id for one in found["rows"]], lambda one: str(desk.shown(one.party.name)))
        found["cells"] = [[link(one.month, f"/credits/{one.id}"), link(circuits.get(one.service_id, ""), f"/sla/{one.service_id}/{one.month}"),
                           link(whose.get(one.customer_id, ""), f"/customers/{one.customer_id}"), number(f"{one.amount} {one.currency}"),
                           text(visit.say(f"sla_state.{one.tax_mode}")), text(visit.say(f"sla_state.{one.state}")), text(visit.time(one.drafted)),
                           text(visit.time(one.decided)), text(visit.time(one.applied))] for one in found["rows"]]
        return found

    heads = visit.heads("credit.month", "credit.service", "credit.customer", "credit.amount", "credit.tax", "credit.state", "credit.drafted", "credit.decided",
                        "credit.applied", numbers=("credit.amount",))
    return visit.page("list", what="credit", heads=heads, exported="", **visit.read(look))


@router.get("/credits/{credit_id}")
def one_credit(visit: Visit, credit_id: str) -> Response:
    """One of them."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("sla.read")
        row = desk.find(Credit, credit_id)
        query: Any = desk.select(Customer).where(Customer.id == row.customer_id)
        customer = desk.session.execute(query).unique().scalar_one_or_none()
        people = named(desk, User, [row.drafted_by, row.decided_by, row.applied_by], lambda user: str(user.login))
        moves = [to for event, to in (("approve", "approved"), ("reject", "rejected")) if (row.state, event) in states.STEPS and
                 desk.may(states.PERMISSION[event])]
        return {"one": row, "customer": customer, "name": desk.shown(customer.party.name) if customer else "", "people": people, "moves": moves,
                "service": desk.session.get_one(Service, row.service_id), "why": worded(visit, row.why), "evidence": worded(visit, row.evidence)}

    return visit.page("credit", said=visit.request.query_params.get("said", ""), **visit.read(look))


@router.post("/credits/{credit_id}/decide")
async def decided(visit: Visit, credit_id: str) -> Response:
    """Approve it, or reject it."""
    approve, reason = visit.form.get("to", "") == "approved", visit.form.get("reason", "")
    row = await run_in_threadpool(visit.act, lambda desk: credits.decide(desk, credit_id, approve, reason))
    return visit.back(f"/credits/{credit_id}", visit.say("credit.moved", state=visit.say(f"sla_state.{row.state}")))


def worded(visit: Visitor, told: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a credit was reached by, as people read it."""
    known = catalogue(visit.lang)
    return [(known.get(f"credit_why.{name}", name), known.get(f"credit_is.{value}", str(value))) for name, value in told.items() if value not in (None, "")]
