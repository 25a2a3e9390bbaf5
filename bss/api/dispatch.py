"""TMF697 Work Order: `/tmf-api/workOrderManagement/v4/workOrder`: who is sent where, for a ticket or an item of an order, and what he says from there."""
from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from bss.api import shape
from bss.api.contact import Model, Reference, aware
from bss.api.entrance import IfMatch, Who
from bss.api.shape import Short
from bss.desk import Desk
from bss.moment import iso
from bss.refusal import Refusal
from bss.tables import Dispatch
from bss.tickets import dispatch

ROOT = "/tmf-api/workOrderManagement/v4/workOrder"
router = APIRouter(tags=["workOrder"])
Answers = Annotated[dict[str, bool | int | float | str | None], Field(max_length=100)]


class Sent(Model):
    """A new dispatch: for a ticket or an item of an order. owner: who is sent; checklist: one for this kind where it is left out."""
    owner: Reference
    kind: Literal["repair", "install", "survey"] = "repair"
    description: Annotated[str, Field(max_length=400)]
    troubleTicket: Reference | None = None
    orderItem: Reference | None = None
    place: Annotated[str | None, Field(max_length=400)] = None
    checklist: Annotated[str, Field(max_length=64)] = ""
    expectedAcceptance: datetime | None = None


class Change(Model):
    """What of a dispatch is changed: its state (with a reason, and answers), or answers alone."""
    state: Annotated[str | None, Field(max_length=16)] = None
    stateReason: Annotated[str, Field(max_length=400)] = ""
    answers: Answers | None = None


def told(desk: Desk, row: Dispatch, whole: bool = False) -> dict[str, Any]:
    """A dispatch in the shape of TMF697. whole: with its questions, and where it is: to who goes there and who sends, masked to others."""
    clear = desk.may("dispatch.write") or (bool(desk.actor.id) and row.owner_id == desk.actor.id)
    shown = {"id": row.id, "href": f"{ROOT}/{row.id}", "externalId": row.number, "workOrderType": row.kind, "state": row.state, "stateReason": row.reason,
             "description": row.task, "place": desk.shown(row.site, clear) if whole else None, "region": row.region, "creationDate": iso(row.assigned),
             "expectedAcceptance": iso(row.due), "acceptedDate": iso(row.accepted), "startDate": iso(row.arrived), "completionDate": iso(row.done),
             "relatedParty": [{"role": "owner", "id": row.owner_id}, *([{"role": "customer", "id": row.customer_id}] if row.customer_id else [])],
             "troubleTicket": {"id": row.ticket_id} if row.ticket_id else None, "orderItem": {"id": row.item_id} if row.item_id else None,
             "checklist": {"id": row.checklist, "version": row.checklist_version}, "@type": "WorkOrder"}
    if not whole:
        return {key: value for key, value in shown.items() if key != "place"}
    found = dispatch.judged(desk, row)
    history = [{"from": one.from_state, "to": one.to_state, "time": iso(one.time), "user": one.user_id, "reason": one.reason}
               for one in dispatch.history(desk, row)]
    return {**shown, "question": dispatch.questions(desk, row).model_dump(mode="json")["question"], "answers": found.answers, "missing": list(found.missing),
            "faults": list(found.faults), "photos": dispatch.photos(desk, row.id), "stateChange": history}


@router.get(ROOT)
def listed(who: Who, state: Short = "", owner: Short = "", ticket: Short = "", item: Short = "", region: Short = "", overdue: bool = False,
           offset: shape.Offset = 0, limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Dispatches, the newest first."""
    return who.read(lambda desk: shape.page(desk.session, dispatch.listed(desk, state, owner, ticket, item, region, overdue), offset, limit,
                                            lambda row: told(desk, row), fields))


@router.get(ROOT + "/{id}")
def one(who: Who, id: str, fields: shape.Fields = "") -> JSONResponse:
    """One of them, with its checklist; that it was looked at is put on record, for it says where somebody lives."""
    def look(desk: Desk) -> JSONResponse:
        row = dispatch.find(desk, id)
        desk.record("dispatch.view", row)
        return shape.one(shape.only(told(desk, row, True), fields), row.version)
    return who.audited(look)


@router.post(ROOT, status_code=201)
def sent(who: Who, sent: Sent) -> Response:
    """Send somebody."""
    due = aware(sent.expectedAcceptance, "expectedAcceptance")

    def act(desk: Desk) -> Response:
        row = dispatch.send(desk, kind=sent.kind, owner_id=sent.owner.id, task=sent.description,
                            ticket_id=sent.troubleTicket.id if sent.troubleTicket else None,
                            item_id=sent.orderItem.id if sent.orderItem else None, site=sent.place, checklist=sent.checklist, due=due)
        return shape.one(told(desk, row, True), row.version, 201)
    return who.write(act)


@router.patch(ROOT + "/{id}")
def changed(who: Who, id: str, sent: Change, if_match: IfMatch = None) -> Response:
    """Move a dispatch on, or answer questions of its checklist."""
    version = shape.version_of(if_match)

    def act(desk: Desk) -> Response:
        if sent.state is not None:
            row = dispatch.move(desk, id, sent.state, sent.stateReason, sent.answers, version)
        elif sent.answers is not None:
            row = dispatch.answer(desk, id, sent.answers, version)
        else:
            raise Refusal("invalid", "state or answers are changed", mend="send one of them")
        return shape.one(told(desk, row, True), row.version)
    return who.write(act)
