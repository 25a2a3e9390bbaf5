"""TMF620 Product Catalog: `/tmf-api/productCatalogManagement/v4/productOffering`. An offering is published whole, as a version; it is never changed."""
from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from fastapi.responses import JSONResponse, Response

from bss.api import shape
from bss.api.entrance import Who
from bss.catalogue.document import Catalogue
from bss.catalogue.document import Offering as Document
from bss.catalogue.publishing import document_of, holding, newest, publish, retire, version_of
from bss.catalogue.reading import checked
from bss.desk import Desk
from bss.moment import iso
from bss.refusal import Refusal
from bss.tables import Offering

ROOT = "/tmf-api/productCatalogManagement/v4/productOffering"
router = APIRouter(tags=["catalogue"])
At = Annotated[datetime | None, Query(description="as it is sold at this time; else the newest version")]


def told(row: Offering) -> dict[str, Any]:
    """An offering in the shape of TMF620. document: the whole as it was published."""
    document = document_of(row)
    prices = [{"id": one.key, "name": one.name.en, "priceType": "oneTime" if one.type == "one_time" else one.type,
               "recurringChargePeriodType": one.period or None, "recurringChargePeriodLength": 1 if one.period else None,
               "unitOfMeasure": one.unit or None, "price": {"value": str(one.amount), "unit": one.currency},
               "tax": [{"taxRate": str(one.tax_rate), "taxCategory": "VAT", "included": one.tax == "inclusive"}],
               "@type": "ProductOfferingPrice"} for one in document.prices]
    return {"id": row.code, "href": f"{ROOT}/{row.code}?version={row.version}", "version": str(row.version), "name": document.name.en,
            "lifecycleStatus": row.lifecycle, "isBundle": row.kind == "bundle", "category": [{"name": row.kind}], "class": row.class_,
            "validFor": shape.span(row.valid_from, row.valid_to), "productOfferingPrice": prices, "lastUpdate": iso(row.created),
            "bundledProductOffering": [{"id": one.code, "href": f"{ROOT}/{one.code}", "numberRelOfferDefault": one.count} for one in document.bundled],
            "productOfferingTerm": [{"name": "commitment", "duration": {"amount": document.commitment.months, "units": "month"},
                                     "earlyTerminationShare": str(document.commitment.early_share)}] if document.commitment else [],
            "serviceLevelAgreement": {"id": document.sla} if document.sla else None, "channel": [{"name": one} for one in document.channels],
            "marketSegment": [{"name": one} for one in document.segments], "document": row.document, "@type": "ProductOffering"}


@router.get(ROOT)
def listed(who: Who, kind: Annotated[list[str] | None, Query(max_length=6)] = None, at: At = None, id: Annotated[str, Query(max_length=64)] = "",
           offset: shape.Offset = 0, limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Offerings: the newest version of each, or those that are sold at a time; with `id` all versions of one."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("catalogue.read")
        return shape.page(desk.session, newest(kind or (), aware(at), id), offset, limit, told, fields)
    return who.read(look)


@router.get(ROOT + "/{id}")
def one(who: Who, id: str, version: Annotated[int | None, Query(ge=1, le=10 ** 6)] = None, at: At = None, fields: shape.Fields = "") -> JSONResponse:
    """One version of an offering: that one, the one sold at a time, or the one sold now."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("catalogue.read")
        row = version_of(desk, id, version) if version is not None else holding(desk, id, aware(at) or desk.now)
        return shape.one(shape.only(told(row), fields), row.version)
    return who.read(look)


@router.post(ROOT, status_code=201)
def made(who: Who, sent: Annotated[dict[str, Any], Body(description="an offering as bss/samples/catalogue.toml has them; amounts are text")]) -> Response:
    """Publish an offering: the first version of a code, or one that begins later than the last."""
    def act(desk: Desk) -> Response:
        done = publish(desk, Catalogue(offering=(checked(Document, sent),)))[0]
        return shape.one(told(version_of(desk, done.code, done.version)), done.version, 201 if done.new else 200)
    return who.write(act)


@router.post("/fullspan/v1/catalogue", status_code=201)
def loaded(who: Who, sent: Annotated[dict[str, Any], Body(description="sla and offering, as in bss/samples/catalogue.toml")]) -> Response:
    """Publish a whole catalogue, promises of classes among it, or nothing of it."""
    def act(desk: Desk) -> Response:
        done = publish(desk, checked(Catalogue, sent))
        return JSONResponse([{"id": one.code, "version": one.version, "new": one.new} for one in done], 201)
    return who.write(act)


@router.delete(ROOT + "/{id}")
def retired(who: Who, id: str, at: At = None, reason: Annotated[str, Query(max_length=400)] = "") -> Response:
    """Sell an offering no longer, from a time on, now where none is named. What has it keeps it."""
    def act(desk: Desk) -> Response:
        row = retire(desk, id, aware(at) or desk.now, reason)
        return shape.one(told(row), row.version)
    return who.write(act)


def aware(at: datetime | None) -> datetime | None:
    """A time with its zone. Refusal: without."""
    if at is not None and at.tzinfo is None:
        raise Refusal("invalid", "a time without a zone", "at", "write it as 2026-12-01T08:00:00+08:00")
    return at
