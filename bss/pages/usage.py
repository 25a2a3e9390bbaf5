"""Usage: what is included and what was used, charges and what they were computed from, another plan tried, usage that waits for a person."""
from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from bss.charges.price import text as plain
from bss.desk import Desk
from bss.pages.cell import Cell, link, number, text
from bss.pages.figures import figures
from bss.pages.listing import listed, named
from bss.pages.visitor import Visit, Visitor, octets
from bss.rating import balance, evidence, month, recycling, simulation
from bss.refusal import Refusal
from bss.tables import Bucket, Customer, RatedCharge, Recycled, Service

router = APIRouter()
ROWS = 62               # of a part of a page: two months of days of one service
HOURS = 300


@router.get("/usage")
def usage(visit: Visit) -> Response:
    """What is included, the most used first."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("usage.read")
        found = listed(desk, desk.select(Bucket), visit, {"period": Bucket.period}, (Bucket.used - Bucket.quantity).desc())
        whose = _customers(desk, [one.customer_id for one in found["rows"]])
        found["cells"] = [[link(whose.get(one.customer_id, one.customer_id), f"/usage/{one.customer_id}?period={one.period}"), text(one.name[visit.lang]),
                           text(one.period), text(one.origin if one.origin != one.period else ""), number(octets(one.quantity)), number(octets(one.used)),
                           number(f"{balance.balance(one).percent} %"), text(visit.time(one.expires)), text(visit.say(f"usage.{one.state}"))]
                          for one in found["rows"]]
        return found

    heads = visit.heads("usage.customer", "usage.bucket", "usage.period", "usage.origin", "usage.size", "usage.used", "usage.percent", "usage.expires",
                        "list.state", numbers=("usage.size", "usage.used", "usage.percent"))
    return visit.page("list", what="usage", heads=heads, exported="", **visit.read(look))


@router.get("/charges")
def charges(visit: Visit) -> Response:
    """Charges by use."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("usage.read")
        found = listed(desk, desk.select(RatedCharge), visit, {"period": RatedCharge.period}, RatedCharge.made.desc())
        whose = _customers(desk, [one.customer_id for one in found["rows"]])
        found["cells"] = [[link(whose.get(one.customer_id, one.customer_id), f"/usage/{one.customer_id}?period={one.original_period}"), *_charge(visit, one)]
                          for one in found["rows"]]
        return found

    heads = visit.heads("usage.customer", *CHARGE, numbers=("usage.quantity", "usage.amount"))
    return visit.page("list", what="charges", heads=heads, exported="", **visit.read(look))


CHARGE = ("usage.price", "usage.period", "usage.of_period", "usage.quantity", "usage.amount", "list.state")


def _charge(visit: Visitor, one: RatedCharge) -> list[Cell]:
    return [link(one.name[visit.lang], f"/charges/{one.id}"), text(one.period), text(one.original_period if one.original_period != one.period else ""),
            number(f"{plain(one.quantity)} {one.unit}"), number(f"{plain(one.amount)} {one.currency}"), text(visit.say(f"charges.{one.state}"))]


@router.get("/charges/{charge_id}")
def charge(visit: Visit, charge_id: str) -> Response:
    """What one of them was computed from."""
    def look(desk: Desk) -> dict[str, Any]:
        found = evidence.of(desk, charge_id)
        circuits = named(desk, Service, found.services, lambda one: str(one.circuit))
        unchanged = [one.unchanged for one in found.slots]
        computed = {name: value for name, value in found.charge.evidence["computed"].items() if name not in ("slot", "quantity")}
        return {"one": found.charge, "computed": figures(visit, computed, {}), "chain": found, "circuits": circuits,
                "hours": found.hours[:HOURS], "more": max(0, len(found.hours) - HOURS),
                "changed": unchanged.count(False), "same": unchanged.count(True), "unknown": unchanged.count(None)}

    return visit.page("charge", plain=plain, **visit.act(look))


@router.get("/usage/{customer_id}")
def customer(visit: Visit, customer_id: str, period: str = "", offering: str = "") -> Response:
    """A customer's month: balances, charges, days; and tried on another plan."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("usage.read")
        found: Any = desk.find(Customer, customer_id)
        chosen = balance.period_of(desk, period)
        held = balance.balances(desk, customer_id, chosen)
        costs: list[Any] = list(desk.session.execute(balance.charges(desk, customer_id).where(RatedCharge.original_period == chosen).limit(ROWS)).scalars())
        days: list[Any] = list(desk.session.execute(balance.days(desk, customer_id, period=chosen).limit(ROWS)).scalars())
        may = desk.may("rating.write")
        tried, why = None, ""
        if may and offering:
            try:
                tried = simulation.simulate(desk, customer_id, chosen, offering)
            except Refusal as refusal:
                why = refusal.what
        return {"one": found, "name": desk.shown(found.party.name), "period": chosen, "before": month.after(chosen, -1), "after": month.after(chosen),
                "balances": held, "charges": costs, "days": days, "counted": balance.counted(desk), "offerings": simulation.offered(desk) if may else [],
                "tried": tried, "why": why, "circuits": named(desk, Service, [two.service_id for two in [*costs, *days]], lambda one: str(one.circuit))}

    return visit.page("usage", plain=plain, offering=offering, **visit.act(look))


@router.get("/recycled")
def recycled(visit: Visit) -> Response:
    """What waits for a person, and what was decided."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("usage.read")
        found = listed(desk, desk.select(Recycled), visit, {"state": Recycled.state, "period": Recycled.period}, Recycled.made)
        circuits = named(desk, Service, [one.service_id for one in found["rows"]], lambda one: str(one.circuit))
        whose = _customers(desk, [one.customer_id for one in found["rows"]])
        return {**found, "circuits": circuits, "whose": whose}

    return visit.page("recycled", said=visit.request.query_params.get("said", ""), **visit.read(look))


@router.post("/recycled/{recycled_id}/decide")
async def decide(visit: Visit, recycled_id: str) -> Response:
    """Take it up, or reject it."""
    to, reason = visit.form.get("to", ""), visit.form.get("reason", "")
    found = await run_in_threadpool(visit.act, lambda desk: recycling.decide(desk, recycled_id, to, reason))
    return visit.back("/recycled", visit.say("recycled.decided", state=visit.state(found.state)))


def _customers(desk: Desk, ids: list[str]) -> dict[str, str]:
    return named(desk, Customer, ids, lambda one: str(desk.shown(one.party.name)))
