"""`/fullspan/v1/assurance`: events whose services are guarded (通信保障), and their reports by hour."""
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
from bss.language import LANGUAGES
from bss.moment import iso
from bss.tables import Assurance
from bss.tickets import assurance, bulletin
from bss.tickets.assurance import Thresholds

ROOT = "/fullspan/v1/assurance"
router = APIRouter(tags=["assurance"])


class Planned(Model):
    """An event. roster: who is on duty for it, the first responsible; freeze: nothing is changed on its services meanwhile."""
    name: Annotated[str, Field(max_length=200)]
    service: Annotated[list[Reference], Field(min_length=1, max_length=assurance.MOST)]
    since: datetime
    until: datetime
    thresholds: Thresholds = Thresholds()
    roster: Annotated[list[Reference], Field(max_length=50)] = []
    freeze: bool = True
    region: Annotated[str, Field(max_length=64)] = ""


class Change(Model):
    """approved, rejected: by somebody who did not plan it; cancelled: called off."""
    state: Literal["approved", "rejected", "cancelled"]
    reason: Annotated[str, Field(max_length=400)] = ""


def told(desk: Desk, row: Assurance) -> dict[str, Any]:
    """An event."""
    return {"id": row.id, "href": f"{ROOT}/{row.id}", "name": row.name, "state": row.state, "region": row.region, "validFor": shape.span(row.since, row.until),
            "service": [{"id": one} for one in assurance.services_of(desk, row.id)], "thresholds": row.thresholds,
            "roster": [{"id": one} for one in row.roster], "freeze": row.freeze, "owner": {"id": row.owner_id} if row.owner_id else None,
            "made": iso(row.made), "madeBy": row.made_by,
            "decided": iso(row.decided), "decidedBy": row.decided_by, "reason": row.reason, "@type": "EventAssurance"}


@router.get(ROOT)
def listed(who: Who, state: Short = "", region: Short = "", at: datetime | None = None, offset: shape.Offset = 0, limit: shape.Limit = 100,
           fields: shape.Fields = "") -> JSONResponse:
    """Events, the newest first. at: those that last then."""
    when = aware(at, "at")
    return who.read(lambda desk: shape.page(desk.session, assurance.listed(desk, state, region, when), offset, limit, lambda row: told(desk, row), fields))


@router.get(ROOT + "/{id}")
def one(who: Who, id: str) -> JSONResponse:
    """One of them."""
    def look(desk: Desk) -> JSONResponse:
        row = assurance.find(desk, id)
        return shape.one(told(desk, row), row.version)
    return who.read(look)


@router.post(ROOT, status_code=201)
def planned(who: Who, sent: Planned) -> Response:
    """Plan one, as a draft."""
    begin, end = aware(sent.since, "since"), aware(sent.until, "until")

    def act(desk: Desk) -> Response:
        assert begin is not None and end is not None
        row = assurance.plan(desk, name=sent.name, services=[one.id for one in sent.service], since=begin, until=end,
                             thresholds=sent.thresholds.model_dump(), roster=[one.id for one in sent.roster], freeze=sent.freeze, region=sent.region)
        return shape.one(told(desk, row), row.version, 201)
    return who.write(act)


@router.patch(ROOT + "/{id}")
def changed(who: Who, id: str, sent: Change) -> Response:
    """Approve, reject or call off one."""
    def act(desk: Desk) -> Response:
        row = assurance.cancel(desk, id, sent.reason) if sent.state == "cancelled" else assurance.decide(desk, id, sent.state == "approved", sent.reason)
        return shape.one(told(desk, row), row.version)
    return who.write(act)


@router.get(ROOT + "/{id}/report")
def reports(who: Who, id: str) -> JSONResponse:
    """Its reports, the newest first, as figures and as text in both languages."""
    def look(desk: Desk) -> JSONResponse:
        name = assurance.find(desk, id).name
        return JSONResponse([{"hour": iso(one.hour), "written": iso(one.written), "content": one.content,
                              "text": {lang: bulletin.text_of(desk, name, one.content, lang) for lang in LANGUAGES}} for one in bulletin.reports(desk, id)])
    return who.read(look)
