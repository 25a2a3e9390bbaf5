"""Configuration data: `/fullspan/v1/configuration`."""
from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from bss.api import shape
from bss.api.contact import Model
from bss.api.entrance import Who
from bss.api.order import Reason
from bss.api.shape import Short
from bss.desk import Desk
from bss.moment import iso
from bss.orders import configuration
from bss.tables import Configuration

ROOT = "/fullspan/v1/configuration"
router = APIRouter(tags=["configuration"])


class New(Model):
    """What is rendered, with values beside those of the order."""
    productOrderItem: Annotated[str, Field(max_length=16)]
    values: Annotated[dict[str, Any], Field(max_length=configuration.MOST_VALUES)] = {}


class Step(Model):
    """What is done with it."""
    state: Literal["signed", "refused", "applied", "reverted"]
    reason: Reason = ""


def told(row: Configuration) -> dict[str, Any]:
    """Configuration data."""
    return {"id": row.id, "href": f"{ROOT}/{row.id}", "productOrderItem": row.item_id, "version": row.version, "template": row.template, "state": row.state,
            "text": row.text, "inverse": row.inverse, "conflict": row.conflicts, "creationDate": iso(row.created), "renderedBy": row.rendered_by,
            "signedBy": row.signed_by, "signed": iso(row.signed), "@type": "Configuration"}


@router.get(ROOT)
def listed(who: Who, productOrderItem: Short = "", productOrder: Short = "", offset: shape.Offset = 0, limit: shape.Limit = 100,
           fields: shape.Fields = "") -> JSONResponse:
    """Configuration data, the newest first."""
    return who.read(lambda desk: shape.page(desk.session, configuration.listed(desk, productOrderItem, productOrder), offset, limit, told, fields))


@router.get(ROOT + "/{id}")
def one(who: Who, id: str, fields: shape.Fields = "") -> JSONResponse:
    """One of them."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("order.read")
        row = desk.find(Configuration, id)
        return shape.one(shape.only(told(row), fields), row.version)
    return who.read(look)


@router.post(ROOT, status_code=201)
def made(who: Who, sent: New) -> Response:
    """Render it."""
    def act(desk: Desk) -> Response:
        row = configuration.render(desk, sent.productOrderItem, sent.values)
        return shape.one(told(row), row.version, 201)
    return who.write(act)


@router.patch(ROOT + "/{id}")
def changed(who: Who, id: str, sent: Step) -> Response:
    """Sign or refuse it (a second person), note that a device was told it, or that it was told the inverse."""
    def act(desk: Desk) -> Response:
        if sent.state in ("signed", "refused"):
            row = configuration.sign(desk, id, sent.state == "signed", sent.reason)
        else:
            row = configuration.apply(desk, id, sent.reason) if sent.state == "applied" else configuration.revert(desk, id, sent.reason)
        return shape.one(told(row), row.version)
    return who.write(act)
