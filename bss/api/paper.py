"""Papers people approve: `/fullspan/v1/paper`, and the acceptance sheet of an order."""
from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import Field

from bss.api import shape
from bss.api.contact import Model
from bss.api.entrance import Who
from bss.api.order import Reason
from bss.api.shape import Short
from bss.desk import Desk
from bss.moment import iso
from bss.orders import acceptance, paper
from bss.tables import Paper

ROOT = "/fullspan/v1/paper"
router = APIRouter(tags=["paper"])


class New(Model):
    """A new version. entity: enquiry, product_order or order_item."""
    kind: Annotated[str, Field(max_length=16)]
    entity: Annotated[str, Field(max_length=16)]
    entityId: Annotated[str, Field(max_length=16)]
    content: Annotated[dict[str, Any], Field(max_length=1000)]


class Decision(Model):
    """Approved, or rejected with a reason."""
    approve: bool
    reason: Reason = ""


def told(row: Paper) -> dict[str, Any]:
    """A paper."""
    return {"id": row.id, "href": f"{ROOT}/{row.id}", "kind": row.kind, "entity": row.entity, "entityId": row.entity_id, "version": row.number,
            "state": row.state, "content": row.content, "written": iso(row.written), "writtenBy": row.written_by, "decided": iso(row.decided),
            "decidedBy": row.decided_by, "reason": row.reason, "customer": {"id": row.customer_id}, "@type": "Document"}


@router.get(ROOT)
def listed(who: Who, kind: Short = "", entityId: Short = "", state: Short = "", offset: shape.Offset = 0, limit: shape.Limit = 100,
           fields: shape.Fields = "") -> JSONResponse:
    """Papers, the newest first."""
    return who.read(lambda desk: shape.page(desk.session, paper.listed(desk, kind, entityId, state), offset, limit, told, fields))


@router.get(ROOT + "/{id}")
def one(who: Who, id: str, fields: shape.Fields = "") -> JSONResponse:
    """One paper."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("paper.read")
        row = desk.find(Paper, id)
        return shape.one(shape.only(told(row), fields), row.number)
    return who.read(look)


@router.get(ROOT + "/{id}/html")
def page(who: Who, id: str, lang: Annotated[str, Query(pattern="^(en|zh)?$")] = "") -> HTMLResponse:
    """An acceptance sheet as a page to print."""
    return who.read(lambda desk: HTMLResponse(acceptance.shown(desk, id, lang)))


@router.post(ROOT, status_code=201)
def made(who: Who, sent: New) -> Response:
    """Write a new version."""
    def act(desk: Desk) -> Response:
        row = paper.write(desk, sent.kind, sent.entity, sent.entityId, sent.content)
        return shape.one(told(row), row.number, 201)
    return who.write(act)


@router.post(ROOT + "/{id}/decision")
def decided(who: Who, id: str, sent: Decision) -> Response:
    """Approve or reject it, as the second person."""
    def act(desk: Desk) -> Response:
        row = paper.decide(desk, id, sent.approve, sent.reason)
        return shape.one(told(row), row.number)
    return who.write(act)


@router.post("/fullspan/v1/productOrder/{id}/acceptance", status_code=201)
def accepted(who: Who, id: str) -> Response:
    """Write the acceptance sheet of an order, with what was measured."""
    def act(desk: Desk) -> Response:
        row = acceptance.make(desk, id)
        return shape.one(told(row), row.number, 201)
    return who.write(act)
