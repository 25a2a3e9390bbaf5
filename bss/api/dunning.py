"""Dunning: `/fullspan/v1/dunningCase`. Notices go by the day; suspensions and terminations a person approves."""
from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from bss.api import shape
from bss.api.contact import Model
from bss.api.entrance import IfMatch, Who
from bss.api.order import Reason
from bss.api.shape import Short
from bss.billing import dunning
from bss.billing.journal import today
from bss.desk import Desk
from bss.moment import iso
from bss.tables import Bill, DunningCase

ROOT = "/fullspan/v1/dunningCase"
router = APIRouter(tags=["billing"])


class Change(Model):
    """Where a case goes: disputed and back, proposed, suspended or terminated (a second person), back where that is declined, cleared."""
    state: Annotated[str, Field(max_length=24)]
    stateReason: Reason = ""


def told(desk: Desk, row: DunningCase) -> dict[str, Any]:
    """A case, with what is open of its bill."""
    bill = desk.session.get_one(Bill, row.bill_id)
    return {"id": row.id, "href": f"{ROOT}/{row.id}", "bill": {"id": bill.id, "billNo": bill.number}, "billingAccount": {"id": row.account_id},
            "relatedParty": [{"role": "customer", "id": row.customer_id}], "state": row.state, "stateReason": row.reason, "priorState": row.prior_state,
            "daysOverdue": dunning.days_of(row, bill.due, today(desk)) if bill.due else 0, "open": f"{bill.gross - bill.paid:.2f}", "currency": bill.currency,
            "opened": iso(row.opened), "cleared": iso(row.cleared), "suspendedService": [{"id": one} for one in row.services], "@type": "DunningCase"}


@router.get(ROOT)
def listed(who: Who, state: Short = "", customer: Short = "", offset: shape.Offset = 0, limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Cases, the newest first."""
    return who.read(lambda desk: shape.page(desk.session, dunning.listed(desk, state, customer), offset, limit, lambda row: told(desk, row), fields))


@router.get(ROOT + "/{dunning_case_id}")
def one(who: Who, dunning_case_id: str) -> JSONResponse:
    """One case."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("bill.read")
        row = desk.find(DunningCase, dunning_case_id)
        return shape.one(told(desk, row), row.version)
    return who.read(look)


@router.patch(ROOT + "/{dunning_case_id}")
def changed(who: Who, dunning_case_id: str, sent: Change, if_match: IfMatch = None) -> Response:
    """Take a case on."""
    def act(desk: Desk) -> Response:
        row = dunning.move(desk, dunning_case_id, sent.state, sent.stateReason, shape.version_of(if_match))
        return shape.one(told(desk, row), row.version)
    return who.write(act)
