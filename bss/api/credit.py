"""`/fullspan/v1/credit`: credits for missed service levels, from draft to bill (each becomes an AppliedCustomerBillingRate of the next one)."""
from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from bss.api import shape
from bss.api.entrance import IfMatch, Who
from bss.api.shape import Short
from bss.desk import Desk
from bss.moment import iso
from bss.sla import credit
from bss.tables import Credit

ROOT = "/fullspan/v1/credit"
router = APIRouter(tags=["service level"])


class Decision(BaseModel):
    """What becomes of a draft; a reason where it is not approved."""
    model_config = ConfigDict(extra="forbid")
    state: Literal["approved", "rejected", "superseded"]
    reason: Annotated[str, Field(max_length=400)] = ""


def told(row: Credit) -> dict[str, Any]:
    """A credit. amount: what is given back, with or without tax as `tax` says."""
    return {"id": row.id, "href": f"{ROOT}/{row.id}", "service": {"id": row.service_id}, "relatedParty": [{"role": "customer", "id": row.customer_id}],
            "region": row.region, "month": row.month, "state": row.state, "amount": {"unit": row.currency, "value": f"{row.amount:f}"},
            "appliedTax": {"mode": row.tax_mode, "taxRate": f"{row.tax_rate:f}"}, "why": row.why, "evidence": row.evidence, "stateReason": row.reason,
            "drafted": iso(row.drafted), "draftedBy": row.drafted_by, "decided": iso(row.decided), "decidedBy": row.decided_by, "applied": iso(row.applied),
            "appliedBy": row.applied_by, "bill": {"id": row.bill_id, "line": row.line_number} if row.bill_id else None, "@type": "AppliedBillingCredit"}


@router.get(ROOT)
def listed(who: Who, state: Short = "", month: Short = "", customer: Short = "", service: Short = "", offset: shape.Offset = 0, limit: shape.Limit = 100,
           fields: shape.Fields = "") -> JSONResponse:
    """Credits, the newest month first."""
    return who.read(lambda desk: shape.page(desk.session, credit.listed(desk, state, month, customer, service), offset, limit, told, fields))


@router.get(ROOT + "/{credit_id}")
def one(who: Who, credit_id: str) -> JSONResponse:
    """One of them."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("sla.read")
        row = desk.find(Credit, credit_id)
        return shape.one(told(row), row.version)
    return who.read(look)


@router.patch(ROOT + "/{credit_id}")
def decided(who: Who, credit_id: str, sent: Decision, if_match: IfMatch = None) -> Response:
    """Approve a draft, reject it, or take it back."""
    version = shape.version_of(if_match)

    def act(desk: Desk) -> Response:
        row = (credit.withdraw(desk, credit_id, sent.reason, version) if sent.state == "superseded" else
               credit.decide(desk, credit_id, sent.state == "approved", sent.reason, version))
        return shape.one(told(row), row.version)
    return who.write(act)
