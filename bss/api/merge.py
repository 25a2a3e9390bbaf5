"""Duplicates, and merging them: `/fullspan/v1/duplicate`, `/fullspan/v1/merge`."""
from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import Field
from sqlalchemy import or_

from bss.api import shape
from bss.api.contact import Id, Model, Text
from bss.api.customer import ROOT as CUSTOMERS
from bss.api.entrance import Who
from bss.desk import Desk
from bss.moment import iso
from bss.parties import duplicate, merging
from bss.tables import Customer, Merge

ROOT = "/fullspan/v1/merge"
router = APIRouter(tags=["merge"])


class Sent(Model):
    """Two customers that are one. choose: field -> kept or gone, whose value is kept (fields are class, region, state, manager_id, marketing_consent, kind,
    name, legal_id, tax)."""
    kept: Id
    gone: Id
    choose: dict[str, Annotated[str, Field(max_length=8)]] = {}
    reason: Text = ""


class Why(Model):
    """Why it is done."""
    reason: Text = ""


def told(one: Merge) -> dict[str, Any]:
    """A merge."""
    return {"id": one.id, "href": f"{ROOT}/{one.id}", "kept": {"id": one.kept_id, "href": f"{CUSTOMERS}/{one.kept_id}"}, "gone": {
        "id": one.gone_id, "href": f"{CUSTOMERS}/{one.gone_id}"}, "time": iso(one.time), "user": one.user_id, "undone": iso(one.undone), "@type": "Merge"}


def _short(desk: Desk, one: Customer) -> dict[str, Any]:
    return {"id": one.id, "href": f"{CUSTOMERS}/{one.id}", "number": one.number, "name": desk.shown(one.party.name), "class": one.class_, "region": one.region,
            "status": one.state}


@router.get("/fullspan/v1/duplicate")
def duplicates(who: Who, customer: Annotated[str, Query(max_length=64)] = "", limit: shape.Limit = 100) -> JSONResponse:
    """Pairs of customers that may be one, the surest first, with what they share and how alike their names are (0 to 100)."""
    return who.read(lambda desk: JSONResponse([
        {"first": _short(desk, pair.first), "second": _short(desk, pair.second), "score": pair.score, "reasons": list(pair.reasons), "@type": "Duplicate"}
        for pair in duplicate.candidates(desk, customer, limit)]))


@router.get(ROOT)
def listed(who: Who, customer: Annotated[str, Query(max_length=64)] = "", offset: shape.Offset = 0, limit: shape.Limit = 100,
           fields: shape.Fields = "") -> JSONResponse:
    """Merges, the newest first."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("customer.read")
        query = desk.select(Merge).order_by(Merge.time.desc(), Merge.id.desc())
        if customer:
            query = query.where(or_(Merge.kept_id == customer, Merge.gone_id == customer))
        return shape.page(desk.session, query, offset, limit, told, fields)
    return who.read(look)


@router.get(ROOT + "/{id}")
def one(who: Who, id: str) -> JSONResponse:
    """One merge."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("customer.read")
        return JSONResponse(told(desk.find(Merge, id)))
    return who.read(look)


@router.post(ROOT, status_code=201)
def merged(who: Who, sent: Sent) -> Response:
    """Merge two customers."""
    return who.write(lambda desk: JSONResponse(told(merging.merge(desk, sent.kept, sent.gone, sent.choose, sent.reason)), 201))


@router.post(ROOT + "/{id}/undo")
def parted(who: Who, id: str, why: Why | None = None) -> Response:
    """Part them again, as they were."""
    return who.write(lambda desk: JSONResponse(told(merging.unmerge(desk, id, why.reason if why else ""))))
