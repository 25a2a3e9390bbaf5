"""TMF683 Party Interaction: `/tmf-api/partyInteractionManagement/v4/partyInteraction`. What was said is shown to who may see it and says why."""
from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from bss.api import shape
from bss.api.contact import Model, Reason, Reference, Unmask, aware
from bss.api.customer import ROOT as CUSTOMERS
from bss.api.entrance import Who
from bss.api.shape import Short
from bss.desk import Desk
from bss.moment import iso
from bss.parties import interaction
from bss.tables import Interaction

ROOT = "/tmf-api/partyInteractionManagement/v4/partyInteraction"
router = APIRouter(tags=["partyInteraction"])
DIRECTIONS = {"inbound": "in", "outbound": "out", "in": "in", "out": "out"}


class Channel(Model):
    """The channel: hall, manager, web, phone, sms or other."""
    id: Annotated[str, Field(max_length=16)]
    name: Annotated[str | None, Field(max_length=64)] = None


class Note(Model):
    """What was said."""
    text: Annotated[str, Field(max_length=interaction.NOTE)]


class Sent(Model):
    """An interaction as it is sent. relatedParty: the customer; reason: its subject."""
    reason: Annotated[str, Field(max_length=200)]
    relatedParty: Annotated[list[Reference], Field(min_length=1, max_length=1)]
    relatedChannel: Annotated[list[Channel], Field(min_length=1, max_length=1)]
    direction: Annotated[str, Field(max_length=8)] = "inbound"
    interactionDate: datetime | None = None
    note: Annotated[list[Note], Field(max_length=1)] = []


def told(desk: Desk, one: Interaction, clear: bool = False) -> dict[str, Any]:
    """An interaction in the shape of TMF683."""
    return {"id": one.id, "href": f"{ROOT}/{one.id}", "interactionDate": shape.span(one.time, one.time), "reason": desk.shown(one.subject, clear),
            "direction": "inbound" if one.direction == "in" else "outbound", "status": "completed", "creationDate": iso(one.time),
            "relatedChannel": [{"id": one.channel, "@type": "ChannelRef"}],
            "relatedParty": [{"id": one.customer_id, "href": f"{CUSTOMERS}/{one.customer_id}", "role": "customer", "@type": "RelatedParty",
                              "@referredType": "Customer"}, *([{"id": one.user_id, "role": "agent", "@referredType": "User"}] if one.user_id else [])],
            "note": [{"text": desk.shown(one.note, clear)}] if one.note else [], "@type": "PartyInteraction"}


@router.get(ROOT)
def listed(who: Who, customer: Short = "", channel: Short = "", since: datetime | None = None, until: datetime | None = None, offset: shape.Offset = 0,
           limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Interactions, the newest first."""
    begin, end = aware(since, "since"), aware(until, "until")
    return who.read(lambda desk: shape.page(desk.session, interaction.listed(desk, customer=customer, channel=channel, since=begin, until=end), offset, limit,
                                            lambda one: told(desk, one), fields))


@router.get(ROOT + "/{id}")
def one(who: Who, id: str, fields: shape.Fields = "", unmask: Unmask = False, reason: Reason = "") -> JSONResponse:
    """One interaction."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("customer.read")
        found = desk.find(Interaction, id)
        clear = desk.unmask(found, reason) if unmask else False
        desk.record("interaction.view", found)
        return shape.one(shape.only(told(desk, found, clear), fields), 1)
    return who.audited(look)


@router.post(ROOT, status_code=201)
def noted(who: Who, sent: Sent) -> Response:
    """Note an interaction."""
    when = aware(sent.interactionDate, "interactionDate")

    def act(desk: Desk) -> Response:
        found = interaction.note(desk, customer_id=sent.relatedParty[0].id, channel=sent.relatedChannel[0].id, subject=sent.reason, time=when,
                                 direction=DIRECTIONS.get(sent.direction, sent.direction), note=sent.note[0].text if sent.note else "")
        return shape.one(told(desk, found), 1, 201)
    return who.write(act)
