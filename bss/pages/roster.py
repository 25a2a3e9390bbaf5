"""Rosters: who is on duty; calendars and checklists as they hold."""
from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from bss.desk import Desk
from bss.pages.cell import tag, text
from bss.pages.field import logins
from bss.pages.listing import listed
from bss.pages.visitor import Visit
from bss.tables import Roster
from bss.tickets import template

router = APIRouter()


@router.get("/field/rosters")
def rosters(visit: Visit) -> Response:
    """The shifts that are not over."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("ticket.read")
        found = listed(desk, desk.select(Roster).where(Roster.until > desk.now), visit, {"region": Roster.region}, Roster.since)
        people = logins(desk, [one.user_id for one in found["rows"]])
        found["cells"] = [[tag(one.level), text(one.region or visit.say("roster.everywhere")), text(people.get(one.user_id, "")), text(visit.time(one.since)),
                           text(visit.time(one.until)), text(visit.say("roster.now") if one.since <= desk.now else "")] for one in found["rows"]]
        return found

    heads = visit.heads("roster.level", "roster.region", "roster.user", "roster.since", "roster.until", "roster.now")
    return visit.page("list", what="roster", heads=heads, exported="", **visit.read(look))


@router.get("/field/calendars")
def calendars(visit: Visit) -> Response:
    """What work goes by."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("ticket.read")
        return {kind: template.listed(desk, kind) for kind in ("calendar", "checklist")}

    return visit.page("calendars", **visit.read(look))
