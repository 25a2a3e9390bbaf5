"""Dunning: `/fullspan/v1/dunningCase`. Notices go by the day; suspensions and terminations a person approves. Write-offs of what nobody will pay."""
from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from bss.api import shape
from bss.api.contact import Model
from bss.api.entrance import IfMatch, Who
from bss.api.order import Reason
from bss.api.shape import Short
from bss.billing import dunning, writeoff
from bss.billing.journal import today
from bss.desk import Desk
from bss.moment import iso
from bss.tables import Bill, DunningCase, WriteOff

ROOT = "/fullspan/v1/dunningCase"
OFF = "/fullspan/v1/writeOff"
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


class NewWriteOff(Model):
    """Why what is open of a bill is given up."""
    reason: Annotated[str, Field(min_length=1, max_length=400)]


class WriteOffMove(Model):
    """approved or rejected, by a second person; reversed, where it is paid after all."""
    state: Literal["approved", "rejected", "reversed"]
    reason: Reason = ""


def off_told(row: WriteOff) -> dict[str, Any]:
    """A write-off."""
    return {"id": row.id, "href": f"{OFF}/{row.id}", "bill": {"id": row.bill_id}, "relatedParty": [{"role": "customer", "id": row.customer_id}],
            "amount": f"{row.amount:.2f}", "state": row.state, "reason": row.reason, "proposed": iso(row.proposed), "proposedBy": row.proposed_by,
            "decided": iso(row.decided), "decidedBy": row.decided_by, "decisionReason": row.why,
            "payment": {"id": row.payment_id} if row.payment_id else None, "@type": "WriteOff"}


@router.post("/fullspan/v1/customerBill/{bill_id}/writeOff", status_code=201)
def proposed(who: Who, bill_id: str, sent: NewWriteOff) -> Response:
    """Propose that what is open of an overdue bill is given up, for a second person."""
    return who.write(lambda desk: shape.one(off_told(writeoff.propose(desk, bill_id, sent.reason)), 1, 201))


@router.get(OFF)
def given_up(who: Who, state: Short = "", bill: Short = "", offset: shape.Offset = 0, limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Write-offs, the newest first."""
    return who.read(lambda desk: shape.page(desk.session, writeoff.listed(desk, state, bill), offset, limit, off_told, fields))


@router.post(OFF + "/{write_off_id}/decision")
def decided(who: Who, write_off_id: str, sent: WriteOffMove, if_match: IfMatch = None) -> Response:
    """Approve a write-off or reject it, as the second person; or take it back."""
    def act(desk: Desk) -> Response:
        row = writeoff.move(desk, write_off_id, sent.state, sent.reason, shape.version_of(if_match))
        return shape.one(off_told(row), row.version)
    return who.write(act)


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
