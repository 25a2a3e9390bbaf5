"""TMF676 Payment Management: `/tmf-api/payment/v4/payment`; a bank's file, whose a payment is, taking it back, refunds."""
from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime, Field

from bss.api import shape
from bss.api.contact import Model
from bss.api.entrance import IfMatch, Who
from bss.api.order import Reason, Reference
from bss.api.shape import Short
from bss.billing import matching, payment, settling
from bss.desk import Desk
from bss.moment import iso
from bss.running.reading import parse
from bss.tables import Payment, Refund

ROOT = "/tmf-api/payment/v4/payment"
OURS = "/fullspan/v1/payment"
REFUND = "/fullspan/v1/refund"
router = APIRouter(tags=["billing"])
Amount = Annotated[Decimal, Field(gt=0, max_digits=16, decimal_places=2)]
Key = Annotated[str, Field(max_length=32)]


class New(Model):
    """A payment that came in. account: whose, if it is known; bills: that it is for, else the oldest open ones; externalId: what it is known by, once."""
    externalId: Annotated[str, Field(max_length=120)] = ""
    amount: Amount
    currency: Annotated[str, Field(pattern="^([A-Z]{3})?$")] = ""
    account: Reference | None = None
    bills: Annotated[list[Key], Field(max_length=100)] = []
    method: Literal["bank", "cash", "card", "online"] = "bank"
    paymentDate: AwareDatetime | None = None
    payer: Annotated[str, Field(max_length=200)] = ""
    remark: Annotated[str, Field(max_length=400)] = ""


class BankFile(Model):
    """A bank's file: CSV as text."""
    name: Annotated[str, Field(max_length=200)] = "bank.csv"
    content: Annotated[str, Field(max_length=4_000_000)]


class Whose(Model):
    """Whose a payment is: an account, its bills, or what was suggested where neither is said."""
    account: Reference | None = None
    bills: Annotated[list[Key], Field(max_length=100)] = []


class Back(Model):
    """Why it is taken back."""
    reason: Annotated[str, Field(min_length=1, max_length=400)]


class Ask(Model):
    """How much is given back, and why."""
    amount: Amount
    reason: Annotated[str, Field(min_length=1, max_length=400)]


class Move(Model):
    """approved or rejected by a second person; paid."""
    state: Literal["approved", "rejected", "paid"]
    reason: Reason = ""


def told(desk: Desk, row: Payment) -> dict[str, Any]:
    """A payment in the shape of TMF676; who paid is masked."""
    def amount(value: Decimal) -> dict[str, str]:
        return {"unit": row.currency, "value": f"{value:.2f}"}
    items = [{"id": one.id, "item": {"id": one.bill_id, "@referredType": "CustomerBill"}, "amount": amount(one.amount)}
             for one in settling.matches_of(desk, payment_id=row.id)]
    return {"id": row.id, "href": f"{ROOT}/{row.id}", "externalId": None if desk.actor.outside else row.source, "status": row.state, "statusReason": row.reason,
            "paymentDate": iso(row.received), "totalAmount": amount(row.amount), "matchedAmount": amount(row.matched), "refundedAmount": amount(row.refunded),
            "remainingAmount": amount(settling.left_of(row) if row.state == "posted" else Decimal(0)), "paymentMethod": {"@type": row.method},
            "account": {"id": row.account_id} if row.account_id else None, "payer": {"name": desk.shown(row.payer)} if row.payer else None,
            "description": desk.shown(row.remark), "paymentItem": items, "suggestion": [] if desk.actor.outside else row.suggestion, "@type": "Payment"}


def refund_told(row: Refund) -> dict[str, Any]:
    """A refund."""
    return {"id": row.id, "href": f"{REFUND}/{row.id}", "payment": {"id": row.payment_id}, "amount": f"{row.amount:.2f}", "state": row.state,
            "reason": row.reason, "asked": iso(row.asked), "askedBy": row.asked_by, "decided": iso(row.decided), "decidedBy": row.decided_by,
            "paid": iso(row.paid), "@type": "Refund"}


@router.get(ROOT)
def listed(who: Who, status: Short = "", account: Short = "", customer: Short = "", offset: shape.Offset = 0, limit: shape.Limit = 100,
           fields: shape.Fields = "") -> JSONResponse:
    """Payments, the newest first."""
    return who.read(lambda desk: shape.page(desk.session, payment.listed(desk, status, account, customer), offset, limit, lambda row: told(desk, row), fields))


@router.get(ROOT + "/{payment_id}")
def one(who: Who, payment_id: str, fields: shape.Fields = "") -> JSONResponse:
    """One payment, and the bills that it is for."""
    def look(desk: Desk) -> JSONResponse:
        row = payment.find(desk, payment_id)
        return shape.one(shape.only(told(desk, row), fields), row.version)
    return who.read(look)


@router.post(ROOT, status_code=201)
def made(who: Who, sent: New) -> Response:
    """Enter a payment."""
    def act(desk: Desk) -> Response:
        received: datetime | None = sent.paymentDate
        row = payment.enter(desk, sent.amount, account_id=sent.account.id if sent.account else None, method=sent.method, received=received,
                            source=sent.externalId, payer=sent.payer, remark=sent.remark, currency=sent.currency, bill_ids=sent.bills)
        return shape.one(told(desk, row), row.version, 201)
    return who.write(act)


@router.post("/fullspan/v1/bankFile")
def brought(who: Who, sent: BankFile) -> Response:
    """Take a bank's file: what is sure is posted, what is not waits for a person; a line that was taken before is passed over."""
    return who.write(lambda desk: JSONResponse(matching.bring(desk, parse(sent.content.encode(), sent.name, matching.COLUMNS))))


@router.post(OURS + "/{payment_id}/assign")
def assigned(who: Who, payment_id: str, sent: Whose, if_match: IfMatch = None) -> Response:
    """Say whose a payment is."""
    def act(desk: Desk) -> Response:
        desk.demand("payment.write")
        row = matching.confirm(desk, payment_id, sent.account.id if sent.account else "", sent.bills, shape.version_of(if_match))
        return shape.one(told(desk, row), row.version)
    return who.write(act)


@router.post(OURS + "/{payment_id}/reverse")
def reversed_(who: Who, payment_id: str, sent: Back) -> Response:
    """Take a payment back: its bills are open again."""
    def act(desk: Desk) -> Response:
        row = payment.reverse(desk, payment_id, sent.reason)
        return shape.one(told(desk, row), row.version)
    return who.write(act)


@router.post(OURS + "/{payment_id}/refund", status_code=201)
def asked(who: Who, payment_id: str, sent: Ask) -> Response:
    """Ask that something of it is given back."""
    def act(desk: Desk) -> Response:
        row = payment.ask_refund(desk, payment_id, sent.amount, sent.reason)
        return shape.one(refund_told(row), row.version, 201)
    return who.write(act)


@router.get(REFUND)
def refunds(who: Who, state: Short = "", offset: shape.Offset = 0, limit: shape.Limit = 100) -> JSONResponse:
    """Refunds, the newest first."""
    return who.read(lambda desk: shape.page(desk.session, payment.refunds(desk, state), offset, limit, refund_told))


@router.post(REFUND + "/{refund_id}/decision")
def decided(who: Who, refund_id: str, sent: Move) -> Response:
    """Approve or reject a refund, as the second person; or say that it was paid."""
    def act(desk: Desk) -> Response:
        row = payment.move_refund(desk, refund_id, sent.state, sent.reason)
        return shape.one(refund_told(row), row.version)
    return who.write(act)
