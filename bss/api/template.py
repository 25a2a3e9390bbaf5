"""`/fullspan/v1/calendar`, `/holidays`, `/checklist`, `/scorecardTemplate`: the documents that work goes by. Sent again they become a new version, and the
highest holds."""
from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from bss.api import shape
from bss.api.contact import aware
from bss.api.entrance import Who
from bss.desk import Desk
from bss.moment import iso
from bss.moment import read as read_time
from bss.sla.scorecard import Card
from bss.tickets import clock, holidays, template, timetable
from bss.tickets.calendar import Document, published_until
from bss.tickets.checklist import Checklist

V1 = "/fullspan/v1"
PATHS = {"calendar": "calendar", "checklist": "checklist", "scorecard": "scorecardTemplate"}
router = APIRouter(tags=["template"])
Key = Annotated[str, Query(max_length=64)]
When = Annotated[str, Query(max_length=40, description="a time with its offset, or a day")]


class Holidays(BaseModel):
    """Days off, and days that are worked instead."""
    model_config = ConfigDict(extra="forbid")
    off: Annotated[list[date], Field(max_length=366)] = []
    worked: Annotated[list[date], Field(max_length=366)] = []


def told(one: template.One) -> dict[str, Any]:
    """A document. version 0: the standard one."""
    return {"id": one.key, "href": f"{V1}/{PATHS[one.kind]}/{one.key}", "version": one.version, "document": one.document.model_dump(mode="json", by_alias=True),
            "@type": one.kind.title()}


def _all(who: Who, kind: str) -> JSONResponse:
    def look(desk: Desk) -> JSONResponse:
        desk.demand("ticket.read")
        return JSONResponse([told(one) for one in template.listed(desk, kind)])
    return who.read(look)


def _one(who: Who, kind: str, key: str) -> JSONResponse:
    def look(desk: Desk) -> JSONResponse:
        desk.demand("ticket.read")
        found = template.current(desk, kind, key)
        history = [{"version": one.version, "written": iso(one.written), "user": one.user_id} for one in template.versions(desk, kind, key)]
        return shape.one({**told(found), "history": history}, found.version)
    return who.read(look)


def _put(who: Who, kind: str, document: Document | Checklist | Card) -> Response:
    def act(desk: Desk) -> Response:
        found = template.put(desk, kind, document)
        return shape.one(told(found), found.version, 201)
    return who.write(act)


@router.get(f"{V1}/calendar")
def calendars(who: Who) -> JSONResponse:
    """All calendars that hold."""
    return _all(who, "calendar")


@router.get(V1 + "/calendar/{key}")
def calendar(who: Who, key: str) -> JSONResponse:
    """One calendar, and when it was changed."""
    return _one(who, "calendar", key)


@router.post(f"{V1}/calendar", status_code=201)
def calendar_put(who: Who, document: Document) -> Response:
    """Write a calendar; what is due by it is computed anew."""
    return _put(who, "calendar", document)


@router.get(f"{V1}/holidays")
def lacking(who: Who) -> JSONResponse:
    """Until which year holidays are published, and which calendars lack those of this year or of the next."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("ticket.read")
        return JSONResponse({"publishedUntil": published_until(), "lacking": [one._asdict() for one in holidays.lacking(desk)]})
    return who.read(look)


@router.post(f"{V1}/holidays", status_code=201)
def entered(who: Who, sent: Holidays) -> Response:
    """Enter days off and make-up days of a year that is not published, in all calendars that go by China's."""
    def act(desk: Desk) -> Response:
        return JSONResponse([{"id": one.key, "version": one.version} for one in holidays.enter(desk, sent.off, sent.worked)], 201)
    return who.write(act)


@router.get(V1 + "/calendar/{key}/due")
def due(who: Who, key: str, since: When, minutes: Annotated[int, Query(ge=0, le=10 ** 6)]) -> JSONResponse:
    """When so many minutes of a calendar have run."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("ticket.read")
        zone = desk.office.settings.zone
        begin = aware(read_time(since, zone, "since"), "since")
        assert begin is not None
        end = clock.due(timetable.calendar_of(desk, key), begin, minutes * 60)
        lacks = holidays.between(desk, key, begin.astimezone(zone).date(), end.astimezone(zone).date())
        return JSONResponse({"since": iso(begin), "minutes": minutes, "due": iso(end), "dueThere": iso(end, zone), "holidaysLacking": lacks})
    return who.read(look)


@router.get(f"{V1}/checklist")
def checklists(who: Who) -> JSONResponse:
    """All checklists that hold."""
    return _all(who, "checklist")


@router.get(V1 + "/checklist/{key}")
def checklist(who: Who, key: str) -> JSONResponse:
    """One checklist, and when it was changed."""
    return _one(who, "checklist", key)


@router.post(f"{V1}/checklist", status_code=201)
def checklist_put(who: Who, document: Checklist) -> Response:
    """Write a checklist; visits that have begun keep the one they have."""
    return _put(who, "checklist", document)


@router.get(f"{V1}/scorecardTemplate")
def cards(who: Who) -> JSONResponse:
    """What is scored of customers, orders and contractors."""
    return _all(who, "scorecard")


@router.get(V1 + "/scorecardTemplate/{key}")
def card(who: Who, key: str) -> JSONResponse:
    """One of them, and when it was changed."""
    return _one(who, "scorecard", key)


@router.post(f"{V1}/scorecardTemplate", status_code=201)
def card_put(who: Who, document: Card) -> Response:
    """Write one."""
    return _put(who, "scorecard", document)
