"""Rosters: who is on duty, shifts as they are added and cut short; calendars and checklists as they hold, and the holidays of years that are not published."""
from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from bss.desk import Desk
from bss.moment import read
from bss.pages.cell import text
from bss.pages.field import logins
from bss.pages.listing import listed
from bss.pages.sending import workers
from bss.pages.visitor import Visit, Visitor
from bss.refusal import Refusal
from bss.tables import Roster
from bss.tables.field import LEVELS
from bss.tickets import holidays, roster, template
from bss.tickets.calendar import published_until

router = APIRouter()


@router.get("/field/rosters")
def rosters(visit: Visit) -> Response:
    """The shifts that are not over, and the forms by which they are added and cut short."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("ticket.read")
        found = listed(desk, desk.select(Roster).where(Roster.until > desk.now), visit, {"region": Roster.region}, Roster.since)
        people = logins(desk, [one.user_id for one in found["rows"]])
        found["cells"] = [[text(visit.say(f"level.{one.level}")), text(one.region or visit.say("roster.everywhere")), text(people.get(one.user_id, "")),
                           text(visit.time(one.since)), text(visit.time(one.until)), text(visit.say("roster.now") if one.since <= desk.now else "")]
                          for one in found["rows"]]
        writes = desk.may("calendar.write")
        return {**found, "writes": writes, "names": people, "people": workers(desk, "") if writes else [], "levels": LEVELS,
                "regions": list(desk.actor.regions) or ["", *desk.office.settings.regions]}

    heads = visit.heads("roster.level", "roster.region", "roster.user", "roster.since", "roster.until", "roster.now")
    return visit.page("rosters", what="roster", heads=heads, exported="", said=visit.request.query_params.get("said", ""), **visit.read(look))


@router.post("/field/rosters")
async def added(visit: Visit) -> Response:
    """Add a shift."""
    form = visit.form

    def act(desk: Desk) -> Roster:
        desk.demand("calendar.write")
        if not form.get("user"):
            raise Refusal("invalid", "nobody is named", "user", "choose somebody")
        return roster.add(desk, level=form.get("level", ""), user_id=form["user"], region=form.get("region", ""), since=_time(visit, "since"),
                          until=_time(visit, "until"))
    await run_in_threadpool(visit.act, act)
    return visit.back("/field/rosters", visit.say("roster.added"))


@router.post("/field/rosters/{roster_id}/cut")
async def cut(visit: Visit, roster_id: str) -> Response:
    """End a shift sooner, now where no time is named."""
    def act(desk: Desk) -> Roster:
        desk.demand("calendar.write")
        desk.find(Roster, roster_id)
        return roster.cut(desk, roster_id, _time(visit, "at") if visit.form.get("at", "").strip() else None)
    await run_in_threadpool(visit.act, act)
    return visit.back("/field/rosters", visit.say("roster.was_cut"))


@router.get("/field/calendars")
def calendars(visit: Visit) -> Response:
    """What work goes by."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("ticket.read")
        return {**{kind: template.listed(desk, kind) for kind in ("calendar", "checklist")}, "published": published_until(),
                "lacking": sorted({one.year for one in holidays.lacking(desk)}), "writes": desk.may("calendar.write") and not desk.actor.regions}

    return visit.page("calendars", said=visit.request.query_params.get("said", ""), **visit.read(look))


@router.post("/field/calendars/holidays")
async def entered(visit: Visit) -> Response:
    """Enter the holidays of a year that is not published."""
    def act(desk: Desk) -> int:
        desk.demand("calendar.write")
        return len(holidays.enter(desk, holidays.read(visit.form.get("off", "")), holidays.read(visit.form.get("worked", ""), "worked")))
    count = await run_in_threadpool(visit.act, act)
    return visit.back("/field/calendars", visit.say("calendar.entered", count=count))


def _time(visit: Visitor, name: str) -> datetime:
    return read(visit.form.get(name, ""), visit.office.settings.zone, name)
