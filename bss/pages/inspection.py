"""Inspections and their plans: the lists."""
from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from bss.desk import Desk
from bss.pages.cell import link, tag, text
from bss.pages.field import logins
from bss.pages.listing import listed, named
from bss.pages.visitor import Visit
from bss.tables import Inspection, InspectionPlan, Resource

router = APIRouter()


@router.get("/field/inspections")
def inspections(visit: Visit) -> Response:
    """The list."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("resource.read")
        found = listed(desk, desk.select(Inspection), visit, {"state": Inspection.state, "region": Inspection.region}, Inspection.due.desc())
        plans = named(desk, InspectionPlan, [one.plan_id for one in found["rows"]], lambda one: str(one.name))
        people = logins(desk, [one.owner_id for one in found["rows"]])
        found["cells"] = [[link(plans.get(one.plan_id, one.id), f"/work/inspection/{one.id}"), text(one.period), tag(one.state), tag(one.result) if one.result
                           else text(""), text(one.region), text(people.get(one.owner_id, "")), text(visit.time(one.due)), text(visit.time(one.done)),
                           text(one.ticket_id)] for one in found["rows"]]
        return found

    heads = visit.heads("inspection.name", "inspection.period", "list.state", "inspection.result", "list.region", "inspection.owner", "inspection.due",
                        "inspection.done", "inspection.ticket")
    return visit.page("list", what="inspection", heads=heads, exported="", **visit.read(look))


@router.get("/field/plans")
def plans(visit: Visit) -> Response:
    """The plans."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("resource.read")
        found = listed(desk, desk.select(InspectionPlan), visit, {"region": InspectionPlan.region}, InspectionPlan.id.desc())
        resources = named(desk, Resource, [one.resource_id for one in found["rows"]], lambda one: str(one.name))
        people = logins(desk, [one.owner_id for one in found["rows"]])
        found["cells"] = [[text(one.name), tag(one.every), text(one.days), text(one.region), link(resources.get(one.resource_id or "", ""),
                           f"/resources/{one.resource_id}") if one.resource_id else text(""), text(people.get(one.owner_id, "")), text(visit.time(one.since)),
                           text(visit.time(one.until))] for one in found["rows"]]
        return found

    heads = visit.heads("inspection.name", "inspection.every", "inspection.days", "list.region", "inspection.resource", "inspection.owner", "inspection.since",
                        "inspection.until")
    return visit.page("list", what="inspection", heads=heads, exported="", **visit.read(look))
