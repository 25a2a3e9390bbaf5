"""`/fullspan/v1/inspectionPlan` and `/fullspan/v1/inspection`: what is looked at each period, and what was found."""
from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from bss.api import shape
from bss.api.contact import Model, Reference, aware
from bss.api.dispatch import Answers
from bss.api.entrance import IfMatch, Who
from bss.api.shape import Short
from bss.desk import Desk
from bss.moment import iso
from bss.tables import Inspection, InspectionPlan
from bss.tickets import inspection

PLANS, ROOT = "/fullspan/v1/inspectionPlan", "/fullspan/v1/inspection"
router = APIRouter(tags=["inspection"])


class Plan(Model):
    """A plan. days: of the period in which it is done, 0 the whole; region: that of the resource, where one is named."""
    name: Annotated[str, Field(max_length=200)]
    every: Literal["week", "month", "quarter", "year"]
    owner: Reference
    resource: Reference | None = None
    region: Annotated[str, Field(max_length=64)] = ""
    checklist: Annotated[str, Field(max_length=64)] = "site"
    days: Annotated[int, Field(ge=0, le=366)] = 0
    since: datetime | None = None
    until: datetime | None = None


class PlanChange(Model):
    """Who does it from now on, or when it ends."""
    owner: Reference | None = None
    until: datetime | None = None


class Filled(Model):
    """Answers. state done: it is finished with them."""
    answers: Answers = {}
    note: Annotated[str, Field(max_length=400)] = ""
    state: Literal["due", "done"] = "due"


def plan_told(row: InspectionPlan) -> dict[str, Any]:
    """A plan."""
    return {"id": row.id, "href": f"{PLANS}/{row.id}", "name": row.name, "every": row.every, "days": row.days, "region": row.region,
            "resource": {"id": row.resource_id} if row.resource_id else None, "owner": {"id": row.owner_id}, "checklist": row.checklist,
            "validFor": shape.span(row.since, row.until), "@type": "InspectionPlan"}


def told(desk: Desk, row: Inspection, whole: bool = False) -> dict[str, Any]:
    """An inspection. whole: with its questions."""
    shown = {"id": row.id, "href": f"{ROOT}/{row.id}", "plan": {"id": row.plan_id, "href": f"{PLANS}/{row.plan_id}"}, "period": row.period, "state": row.state,
             "result": row.result or None, "region": row.region, "owner": {"id": row.owner_id}, "due": iso(row.due), "overdue": iso(row.overdue),
             "completionDate": iso(row.done), "completedBy": row.done_by, "note": row.note, "answers": row.answers,
             "troubleTicket": {"id": row.ticket_id} if row.ticket_id else None,
             "checklist": {"id": row.checklist, "version": row.checklist_version}, "@type": "Inspection"}
    if not whole:
        return shown
    return {**shown, "question": inspection.questions(desk, row).model_dump(mode="json")["question"], "photos": inspection.photos(desk, row.id)}


@router.get(PLANS)
def plans(who: Who, region: Short = "", offset: shape.Offset = 0, limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Plans, the newest first."""
    return who.read(lambda desk: shape.page(desk.session, inspection.plans(desk, region), offset, limit, plan_told, fields))


@router.post(PLANS, status_code=201)
def planned(who: Who, sent: Plan) -> Response:
    """Plan something."""
    begin, end = aware(sent.since, "since"), aware(sent.until, "until")

    def act(desk: Desk) -> Response:
        row = inspection.plan(desk, name=sent.name, every=sent.every, owner_id=sent.owner.id, checklist=sent.checklist, days=sent.days, region=sent.region,
                              resource_id=sent.resource.id if sent.resource else None, since=begin, until=end)
        return shape.one(plan_told(row), row.version, 201)
    return who.write(act)


@router.patch(PLANS + "/{id}")
def plan_changed(who: Who, id: str, sent: PlanChange, if_match: IfMatch = None) -> Response:
    """Give a plan to somebody else, or end it."""
    version, end = shape.version_of(if_match), aware(sent.until, "until")

    def act(desk: Desk) -> Response:
        row = inspection.change(desk, id, owner_id=sent.owner.id if sent.owner else None, until=end, version=version)
        return shape.one(plan_told(row), row.version)
    return who.write(act)


@router.get(ROOT)
def listed(who: Who, state: Short = "", owner: Short = "", region: Short = "", plan: Short = "", overdue: bool = False, offset: shape.Offset = 0,
           limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Inspections, the last due first."""
    return who.read(lambda desk: shape.page(desk.session, inspection.listed(desk, state, owner, region, plan, overdue), offset, limit,
                                            lambda row: told(desk, row), fields))


@router.get(ROOT + "/{id}")
def one(who: Who, id: str) -> JSONResponse:
    """One of them, with its questions."""
    def look(desk: Desk) -> JSONResponse:
        row = inspection.find(desk, id)
        return shape.one(told(desk, row, True), row.version)
    return who.read(look)


@router.patch(ROOT + "/{id}")
def filled(who: Who, id: str, sent: Filled, if_match: IfMatch = None) -> Response:
    """Answer its questions; finished, what is wrong becomes a ticket."""
    def act(desk: Desk) -> Response:
        row = inspection.fill(desk, id, sent.answers, sent.note, sent.state == "done", shape.version_of(if_match))
        return shape.one(told(desk, row, True), row.version)
    return who.write(act)
