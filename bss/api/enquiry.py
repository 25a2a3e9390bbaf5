"""Enquiries: `/fullspan/v1/enquiry`."""
from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from bss.api import shape
from bss.api.catalog import aware
from bss.api.contact import Model
from bss.api.entrance import IfMatch, Who
from bss.api.order import Item, Reason, Reference
from bss.api.order import told as order_told
from bss.api.shape import Short
from bss.desk import Desk
from bss.moment import iso
from bss.orders import enquiry
from bss.tables import Enquiry

ROOT = "/fullspan/v1/enquiry"
router = APIRouter(tags=["enquiry"])


class New(Model):
    """Somebody wants something."""
    customer: Reference
    need: enquiry.Need
    number: Annotated[str, Field(max_length=64)] = ""
    channel: Annotated[str, Field(max_length=16)] = "manager"
    region: Annotated[str, Field(max_length=64)] = ""
    place: Annotated[str | None, Field(max_length=400)] = None
    owner: Reference | None = None
    due: datetime | None = None


class Change(Model):
    """Its state."""
    state: Annotated[str, Field(max_length=16)]
    stateReason: Reason = ""


class Survey(Model):
    """What was found on the spot."""
    found: Annotated[dict[str, Any], Field(max_length=100)]


class Win(Model):
    """The order that comes of it."""
    productOrderItem: Annotated[list[Item], Field(min_length=1, max_length=50)]
    owner: Reference | None = None


def told(desk: Desk, row: Enquiry, unmasked: bool = False) -> dict[str, Any]:
    """An enquiry."""
    return {"id": row.id, "href": f"{ROOT}/{row.id}", "number": row.number, "state": row.state, "customer": {"id": row.customer_id}, "region": row.region,
            "channel": row.channel, "need": row.need, "place": desk.shown(row.site, unmasked), "owner": {"id": row.owner_id} if row.owner_id else None,
            "due": iso(row.due), "creationDate": iso(row.created), "@type": "Enquiry"}


@router.get(ROOT)
def listed(who: Who, state: Short = "", region: Short = "", customer: Short = "", offset: shape.Offset = 0, limit: shape.Limit = 100,
           fields: shape.Fields = "") -> JSONResponse:
    """Enquiries, the newest first."""
    return who.read(lambda desk: shape.page(desk.session, enquiry.listed(desk, state, region, customer), offset, limit, lambda row: told(desk, row), fields))


@router.get(ROOT + "/{id}")
def one(who: Who, id: str, unmask: bool = False, reason: Annotated[str, Query(max_length=400)] = "", fields: shape.Fields = "") -> JSONResponse:
    """One enquiry."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("enquiry.read")
        row = desk.find(Enquiry, id)
        return shape.one(shape.only(told(desk, row, unmask and desk.unmask(row, reason)), fields), row.version)
    return who.audited(look) if unmask else who.read(look)


@router.post(ROOT, status_code=201)
def made(who: Who, sent: New) -> Response:
    """Enter an enquiry."""
    def act(desk: Desk) -> Response:
        row = enquiry.enter_need(desk, sent.customer.id, sent.need.model_dump(), channel=sent.channel, region=sent.region, site=sent.place,
                                 owner_id=sent.owner.id if sent.owner else None, due=aware(sent.due), number=sent.number)
        return shape.one(told(desk, row), row.version, 201)
    return who.write(act)


@router.patch(ROOT + "/{id}")
def changed(who: Who, id: str, sent: Change, if_match: IfMatch = None) -> Response:
    """Move an enquiry."""
    def act(desk: Desk) -> Response:
        row = enquiry.move(desk, id, sent.state, sent.stateReason, shape.version_of(if_match))
        return shape.one(told(desk, row), row.version)
    return who.write(act)


@router.post(ROOT + "/{id}/survey")
def surveyed(who: Who, id: str, sent: Survey, if_match: IfMatch = None) -> Response:
    """Note what was found on the spot."""
    def act(desk: Desk) -> Response:
        row = enquiry.survey(desk, id, sent.found, shape.version_of(if_match))
        return shape.one(told(desk, row), row.version)
    return who.write(act)


@router.post(ROOT + "/{id}/order", status_code=201)
def won(who: Who, id: str, sent: Win) -> Response:
    """The order that comes of it, as a draft."""
    def act(desk: Desk) -> Response:
        given = {"owner_id": sent.owner.id} if sent.owner else {}
        row = enquiry.win(desk, id, [one.line() for one in sent.productOrderItem], **given)
        return shape.one(order_told(desk, row), row.version, 201)
    return who.write(act)
