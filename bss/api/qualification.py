"""TMF645 Service Qualification: `/tmf-api/serviceQualificationManagement/v4/checkServiceQualification`."""
from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from bss.api import shape
from bss.api.contact import Model
from bss.api.entrance import Who
from bss.api.order import Reference
from bss.api.shape import Short
from bss.desk import Desk
from bss.moment import iso
from bss.orders import qualification
from bss.refusal import Refusal
from bss.tables import Qualification

ROOT = "/tmf-api/serviceQualificationManagement/v4/checkServiceQualification"
router = APIRouter(tags=["qualification"])


class Ask(Model):
    """What is checked: an order or an enquiry."""
    productOrder: Reference | None = None
    enquiry: Reference | None = None


def told(row: Qualification) -> dict[str, Any]:
    """A check in the shape of TMF645."""
    items = []
    for number, one in enumerate(row.found.get("items", []), 1):
        told_of: dict[str, Any] = {"id": str(number), "state": "done", "qualificationItemResult": one["result"], "productOrderItem": one.get("item") or None,
                                   "service": {"category": one["kind"], "bps": one["bps"]}, "candidate": one["candidates"], "measured": one.get("measured")}
        if one["why"]:
            told_of["eligibilityUnavailabilityReason"] = [{"code": one["result"], "label": one["why"]}]
        if "alternative_bps" in one:
            told_of["alternateServiceProposal"] = [{"id": "1", "bps": one["alternative_bps"]}]
        items.append(told_of)
    return {"id": row.id, "href": f"{ROOT}/{row.id}", "state": row.state, "qualificationResult": row.result, "checkServiceQualificationDate": iso(row.created),
            "effectiveQualificationDate": iso(row.done), "region": row.region, "serviceQualificationItem": items,
            "productOrder": {"id": row.order_id} if row.order_id else None, "enquiry": {"id": row.enquiry_id} if row.enquiry_id else None,
            "relatedParty": [{"role": "customer", "id": row.customer_id}], "@type": "CheckServiceQualification"}


@router.get(ROOT)
def listed(who: Who, productOrder: Short = "", enquiry: Short = "", offset: shape.Offset = 0, limit: shape.Limit = 100,
           fields: shape.Fields = "") -> JSONResponse:
    """Checks, the newest first."""
    return who.read(lambda desk: shape.page(desk.session, qualification.listed(desk, productOrder, enquiry), offset, limit, told, fields))


@router.get(ROOT + "/{id}")
def one(who: Who, id: str, fields: shape.Fields = "") -> JSONResponse:
    """One check."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("enquiry.read")
        return shape.one(shape.only(told(desk.find(Qualification, id)), fields), 1)
    return who.read(look)


@router.post(ROOT, status_code=201)
def made(who: Who, sent: Ask) -> Response:
    """Check an order or an enquiry now."""
    def act(desk: Desk) -> Response:
        if (sent.productOrder is None) == (sent.enquiry is None):
            raise Refusal("invalid", "an order or an enquiry is checked", "productOrder", "name one of both")
        if sent.productOrder is not None:
            row = qualification.of_order(desk, sent.productOrder.id)
        else:
            row = qualification.of_enquiry(desk, sent.enquiry.id if sent.enquiry else "")
        return shape.one(told(row), 1, 201)
    return who.write(act)
