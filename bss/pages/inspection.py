"""Inspections and their plans: the lists, and the forms by which a plan is made, handed over and ended."""
from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from bss.desk import Desk
from bss.moment import read
from bss.pages.cell import link, tag, text
from bss.pages.field import logins
from bss.pages.listing import listed, named
from bss.pages.sending import workers
from bss.pages.visitor import Visit
from bss.refusal import Refusal
from bss.tables import Inspection, InspectionPlan, Resource
from bss.tables.field import EVERY
from bss.tickets import inspection, template

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
    """The plans, and the form for another one."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("resource.read")
        found = listed(desk, desk.select(InspectionPlan), visit, {"region": InspectionPlan.region}, InspectionPlan.id.desc())
        resources = named(desk, Resource, [one.resource_id for one in found["rows"]], lambda one: str(one.name))
        people = logins(desk, [one.owner_id for one in found["rows"]])
        found["cells"] = [[link(one.name, f"/field/plans/{one.id}"), tag(one.every), text(one.days), text(one.region),
                           link(resources.get(one.resource_id or "", ""), f"/resources/{one.resource_id}") if one.resource_id else text(""),
                           text(people.get(one.owner_id, "")), text(visit.time(one.since)), text(visit.time(one.until))] for one in found["rows"]]
        writes = desk.may("dispatch.write")
        return {**found, "writes": writes, "people": workers(desk, "") if writes else [], "every": EVERY,
                "regions": list(desk.actor.regions) or desk.office.settings.regions,
                "checklists": [one for one in template.listed(desk, "checklist") if one.document.visit == "inspection"] if writes else []}

    heads = visit.heads("inspection.name", "inspection.every", "inspection.days", "list.region", "inspection.resource", "inspection.owner", "inspection.since",
                        "inspection.until")
    return visit.page("plans", what="inspection", heads=heads, exported="", said=visit.request.query_params.get("said", ""), **visit.read(look))


@router.post("/field/plans")
async def made(visit: Visit) -> Response:
    """Make a plan."""
    form = visit.form

    def act(desk: Desk) -> InspectionPlan:
        desk.demand("dispatch.write")
        days = form.get("days", "").strip() or "0"
        if not form.get("owner") or not days.isdigit():
            raise Refusal("invalid", "who does it is not said, or the days are no number", "owner, days", "fill them in")
        return inspection.plan(desk, name=form.get("name", ""), every=form.get("every", ""), owner_id=form["owner"], checklist=form.get("checklist", "site"),
                               days=min(int(days), 1000), region=form.get("region", "").strip(), resource_id=form.get("resource", "").strip() or None)
    row = await run_in_threadpool(visit.act, act)
    return visit.back(f"/field/plans/{row.id}", visit.say("inspection.planned"))


@router.get("/field/plans/{plan_id}")
def plan(visit: Visit, plan_id: str) -> Response:
    """One plan, with its inspections."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("resource.read")
        row = desk.find(InspectionPlan, plan_id)
        query: Any = desk.select(Inspection).where(Inspection.plan_id == row.id).order_by(Inspection.due.desc()).limit(100)
        done = list(desk.session.execute(query).scalars())
        writes = desk.may("dispatch.write") and (row.until is None or row.until > desk.now)
        return {"one": row, "done": done, "users": logins(desk, [row.owner_id, *(one.owner_id for one in done)]), "writes": writes,
                "people": workers(desk, row.region) if writes else [], "resource": named(desk, Resource, [row.resource_id], lambda one: str(one.name))}

    return visit.page("plan", said=visit.request.query_params.get("said", ""), **visit.read(look))


@router.post("/field/plans/{plan_id}/change")
async def changed(visit: Visit, plan_id: str) -> Response:
    """Hand a plan over, or end it (now, where no time is named)."""
    form = visit.form

    def act(desk: Desk) -> InspectionPlan:
        desk.demand("dispatch.write")
        desk.find(InspectionPlan, plan_id)
        if form.get("owner"):
            return inspection.change(desk, plan_id, owner_id=form["owner"])
        at = form.get("until", "").strip()
        return inspection.change(desk, plan_id, until=read(at, visit.office.settings.zone, "until") if at else desk.now)
    await run_in_threadpool(visit.act, act)
    return visit.back(f"/field/plans/{plan_id}", visit.say("inspection.changed"))
