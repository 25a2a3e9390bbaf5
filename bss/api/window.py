"""Windows and link states: `/fullspan/v1/plannedWindow`, `/fullspan/v1/linkState`."""
from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from bss.api import shape
from bss.api.entrance import IfMatch, Who
from bss.api.shape import Short
from bss.desk import Desk
from bss.moment import iso
from bss.refusal import Refusal
from bss.tables import LinkState, Window
from bss.tickets import linkstate, window

PATH = "/fullspan/v1/plannedWindow"
LINKS = "/fullspan/v1/linkState"
router = APIRouter(tags=["window"])
Id = Annotated[str, Field(min_length=1, max_length=64)]


class Planned(BaseModel):
    """A window, to be approved by another one. announced: when its customers were told."""
    model_config = ConfigDict(extra="forbid")
    kind: Literal["maintenance", "customer", "force_majeure", "nonpayment"]
    since: AwareDatetime
    until: AwareDatetime | None = None
    announced: AwareDatetime | None = None
    reason: Annotated[str, Field(min_length=1, max_length=400)]
    serviceIds: Annotated[list[Id], Field(max_length=2000)] = []
    resourceIds: Annotated[list[Id], Field(max_length=2000)] = []


class Changed(BaseModel):
    """Its state (approved, rejected, cancelled), or a sooner end."""
    model_config = ConfigDict(extra="forbid")
    state: Annotated[str | None, Field(max_length=16)] = None
    until: AwareDatetime | None = None
    reason: Annotated[str, Field(max_length=400)] = ""


class Said(BaseModel):
    """A link is down or up, since when; until: and to when. note: how that is known."""
    model_config = ConfigDict(extra="forbid")
    serviceId: Id | None = None
    resourceId: Id | None = None
    state: Literal["down", "up"]
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    note: Annotated[str, Field(min_length=1, max_length=400)]


def told(desk: Desk, row: Window) -> dict[str, Any]:
    """A window. counts: its time does not count for what was promised."""
    services, resources = window.subjects_of(desk, row)
    return {"id": row.id, "href": f"{PATH}/{row.id}", "kind": row.kind, "state": row.state, "region": row.region, "since": iso(row.since),
            "until": iso(row.until), "announced": iso(row.announced), "reason": row.reason, "serviceIds": services, "resourceIds": resources,
            "madeBy": row.made_by, "made": iso(row.made), "approvedBy": row.approved_by, "approved": iso(row.approved), "counts": window.counts(row),
            "evidence": row.evidence, "@type": "PlannedWindow"}


def told_link(row: LinkState) -> dict[str, Any]:
    """A link state."""
    return {"id": row.id, "source": row.source, "state": row.state, "serviceId": row.service_id, "resourceId": row.resource_id, "region": row.region,
            "since": iso(row.since), "until": iso(row.until), "seen": iso(row.seen), "toldBy": row.told_by, "evidence": row.evidence, "@type": "LinkState"}


@router.get(PATH)
def windows(who: Who, kind: Short = "", state: Short = "", region: Short = "", offset: shape.Offset = 0, limit: shape.Limit = 100) -> JSONResponse:
    """Windows, the latest first."""
    def look(desk: Desk) -> JSONResponse:
        return shape.page(desk.session, window.listed(desk, kind=kind, state=state, region=region), offset, limit, lambda row: told(desk, row))
    return who.read(look)


@router.get(PATH + "/{planned_window_id}")
def one(who: Who, planned_window_id: str) -> JSONResponse:
    """One of them."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("ticket.read")
        row = desk.find(Window, planned_window_id)
        return shape.one(told(desk, row), row.version)
    return who.read(look)


@router.post(PATH, status_code=201)
def planned(who: Who, sent: Planned) -> Response:
    """Plan one."""
    def act(desk: Desk) -> Response:
        row = window.plan(desk, kind=sent.kind, since=sent.since, until=sent.until, reason=sent.reason, services=sent.serviceIds, resources=sent.resourceIds,
                          announced=sent.announced)
        return shape.one(told(desk, row), row.version, 201)
    return who.write(act)


@router.patch(PATH + "/{planned_window_id}")
def changed(who: Who, planned_window_id: str, sent: Changed, if_match: IfMatch = None) -> Response:
    """Approve, reject, cancel or end one."""
    def act(desk: Desk) -> Response:
        if (sent.state is None) == (sent.until is None):
            raise Refusal("invalid", "a state or an end is changed", mend="send one of state and until")
        row = (window.end(desk, planned_window_id, sent.until, sent.reason) if sent.state is None
               else window.move(desk, planned_window_id, sent.state, sent.reason, shape.version_of(if_match)))
        return shape.one(told(desk, row), row.version)
    return who.write(act)


@router.get(LINKS)
def links(who: Who, service: Short = "", resource: Short = "", source: Short = "", state: Short = "", current: bool = False, offset: shape.Offset = 0,
          limit: shape.Limit = 100) -> JSONResponse:
    """What is said of links, the newest first. current: what holds now."""
    def look(desk: Desk) -> JSONResponse:
        query = linkstate.listed(desk, service=service, resource=resource, source=source, state=state, current=current)
        return shape.page(desk.session, query, offset, limit, told_link)
    return who.read(look)


@router.post(LINKS, status_code=201)
def said(who: Who, sent: Said) -> Response:
    """Say that a link is down or up, as a person."""
    def act(desk: Desk) -> Response:
        row = linkstate.tell(desk, state=sent.state, service_id=sent.serviceId, resource_id=sent.resourceId, since=sent.since, until=sent.until,
                             evidence={"note": sent.note})
        return JSONResponse(told_link(row), 201)
    return who.write(act)
