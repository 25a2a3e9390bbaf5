"""`/fullspan/v1/roster`: who is on duty in which region at which level; `/fullspan/v1/ticket/{id}/escalation`: who was told of a ticket's clocks."""
from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from bss.api import shape
from bss.api.contact import Model, Reference, aware
from bss.api.entrance import Who
from bss.api.shape import Short
from bss.desk import Desk
from bss.moment import iso
from bss.tables import Roster
from bss.tickets import escalation, roster

ROOT = "/fullspan/v1/roster"
router = APIRouter(tags=["roster"])


class Shift(Model):
    """A shift. region: empty for all."""
    level: Literal["duty", "lead", "manager"]
    user: Reference
    region: Annotated[str, Field(max_length=64)] = ""
    since: datetime
    until: datetime


class Cut(Model):
    """Until when a shift lasts now."""
    until: datetime | None = None


def told(row: Roster) -> dict[str, Any]:
    """A shift."""
    return {"id": row.id, "href": f"{ROOT}/{row.id}", "level": row.level, "region": row.region, "user": {"id": row.user_id},
            "validFor": shape.span(row.since, row.until), "@type": "Shift"}


@router.get(ROOT)
def listed(who: Who, region: Short = "", level: Short = "", since: datetime | None = None, until: datetime | None = None, offset: shape.Offset = 0,
           limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Shifts, the first first: from now on, where no time is named."""
    begin, end = aware(since, "since"), aware(until, "until")
    return who.read(lambda desk: shape.page(desk.session, roster.listed(desk, begin, end, region, level), offset, limit, told, fields))


@router.post(ROOT, status_code=201)
def added(who: Who, sent: Shift) -> Response:
    """Put somebody on duty."""
    begin, end = aware(sent.since, "since"), aware(sent.until, "until")

    def act(desk: Desk) -> Response:
        assert begin is not None and end is not None
        return shape.one(told(roster.add(desk, level=sent.level, user_id=sent.user.id, since=begin, until=end, region=sent.region)), 1, 201)
    return who.write(act)


@router.patch(ROOT + "/{id}")
def cut(who: Who, id: str, sent: Cut) -> Response:
    """End a shift earlier: now, where no time is named."""
    return who.write(lambda desk: shape.one(told(roster.cut(desk, id, aware(sent.until, "until"))), 1))


@router.get("/fullspan/v1/ticket/{id}/escalation")
def escalations(who: Who, id: str) -> JSONResponse:
    """Who was told that 50, 80 and 100 percent of a ticket's clocks had run, and when that was."""
    def look(desk: Desk) -> JSONResponse:
        return JSONResponse([{"ticket": one.ticket_id, "clock": one.clock, "percent": one.percent, "level": one.level, "user": one.user_id,
                              "reached": iso(one.at), "told": iso(one.told)} for one in escalation.told_of(desk, id)])
    return who.read(look)
