"""Windows: the list, and one of them, which a second person approves."""
from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from sqlalchemy import select

from bss.desk import Desk
from bss.pages.cell import link, tag, text
from bss.pages.listing import listed, named
from bss.pages.visitor import Visit
from bss.tables import Resource, Service, User, Window
from bss.tickets import window

router = APIRouter()


@router.get("/windows")
def windows(visit: Visit) -> Response:
    """The list."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("ticket.read")
        found = listed(desk, desk.select(Window), visit, {"kind": Window.kind, "state": Window.state, "region": Window.region}, Window.since.desc())
        people = named(desk, User, [one.made_by for one in found["rows"]], lambda one: str(one.login))
        found["cells"] = [[link(one.id, f"/windows/{one.id}"), text(visit.state(f"window.{one.kind}")), tag(f"window.{one.state}"), text(one.region),
                           text(visit.time(one.since)), text(visit.time(one.until)), text(visit.time(one.announced)), text(one.reason[:80]),
                           text(people.get(one.made_by or "", "")), text(visit.say("window.yes" if window.counts(one) else "window.no"))]
                          for one in found["rows"]]
        return found

    heads = visit.heads("window.id", "list.kind", "list.state", "list.region", "window.since", "window.until", "window.announced", "window.reason",
                        "window.made_by", "window.counts")
    return visit.page("list", what="window", heads=heads, exported="", **visit.read(look))


@router.get("/windows/{planned_window_id}")
def one(visit: Visit, planned_window_id: str) -> Response:
    """One of them."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("ticket.read")
        row = desk.find(Window, planned_window_id)
        services, resources = window.subjects_of(desk, row)
        circuits = named(desk, Service, services, lambda one: str(one.circuit))
        places = named(desk, Resource, resources, lambda one: str(one.name))
        users = {one.id: one.login for one in desk.session.execute(select(User).where(User.id.in_([row.made_by, row.approved_by]))).scalars()}
        moves = [to for to in window.STATES[row.state] if desk.may("window.write" if to == "cancelled" else "window.approve")]
        return {"one": row, "circuits": circuits, "places": places, "users": users, "moves": moves, "counts": window.counts(row),
                "announces": row.kind == "maintenance"}

    return visit.page("window", said=visit.request.query_params.get("said", ""), **visit.read(look))


@router.post("/windows/{planned_window_id}/move")
async def moved(visit: Visit, planned_window_id: str) -> Response:
    """Approve, reject or cancel it."""
    to, reason = visit.form.get("to", ""), visit.form.get("reason", "")
    found = await run_in_threadpool(visit.act, lambda desk: window.move(desk, planned_window_id, to, reason))
    return visit.back(f"/windows/{planned_window_id}", visit.say("window.moved", state=visit.state(f"window.{found.state}")))
