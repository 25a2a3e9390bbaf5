"""TMF678 Customer Bill Management: `/tmf-api/customerBillManagement/v4/customerBill` and appliedCustomerBillingRate; credit notes and the ageing report."""
from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import Field

from bss.api import shape
from bss.api.contact import Model, Unmask
from bss.api.contact import Reason as Why
from bss.api.entrance import IfMatch, Who
from bss.api.order import Reason
from bss.api.shape import Short
from bss.billing import ageing, bill, data, document
from bss.billing.data import ROOT
from bss.desk import Desk
from bss.moment import iso
from bss.refusal import Refusal
from bss.tables import Bill, CreditNote

BILL = f"{ROOT}/customerBill"
RATE = f"{ROOT}/appliedCustomerBillingRate"
NOTE = "/fullspan/v1/creditNote"
MEDIA = {"html": "text/html; charset=utf-8", "pdf": "application/pdf", "csv": "text/csv; charset=utf-8"}
router = APIRouter(tags=["billing"])


class Change(Model):
    """onHold, new, void, validated or sent; what is paid follows from payments."""
    state: Annotated[str, Field(max_length=16)]
    stateReason: Reason = ""


class NewNote(Model):
    """Why a bill is taken back."""
    reason: Annotated[str, Field(min_length=1, max_length=400)]


class Decision(Model):
    """Issued, or rejected with a reason."""
    approve: bool
    reason: Reason = ""


def note_told(row: CreditNote) -> dict[str, Any]:
    """A credit note."""
    return {"id": row.id, "href": f"{NOTE}/{row.id}", "number": row.number, "bill": {"id": row.bill_id}, "state": row.state, "reason": row.reason,
            "amount": f"{-row.gross:.2f}", "written": iso(row.written), "writtenBy": row.written_by, "decided": iso(row.decided), "decidedBy": row.decided_by,
            "@type": "CreditNote"}


@router.get(BILL)
def listed(who: Who, state: Annotated[list[str] | None, Query(max_length=8)] = None, customer: Short = "", billingAccount: Short = "", period: Short = "",
           billRun: Short = "", offset: shape.Offset = 0, limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Bills, the newest first; customers see those that were sent."""
    return who.read(lambda desk: shape.page(
        desk.session, bill.listed(desk, state=state or (), customer_id=customer, account_id=billingAccount, period=period, run_id=billRun), offset, limit,
        lambda row: data.told(desk, row), fields))


@router.get(BILL + "/{bill_id}")
def one(who: Who, bill_id: str, fields: shape.Fields = "") -> JSONResponse:
    """One bill with its lines, by its id or number. That it was read is put on record."""
    def look(desk: Desk) -> JSONResponse:
        row = bill.find(desk, bill_id)
        desk.record("bill.read", row)
        return shape.one(shape.only(data.told(desk, row, lines=True), fields), row.version)
    return who.audited(look)


@router.get(BILL + "/{bill_id}/document", response_class=Response)
def document_of(who: Who, bill_id: str, format: Literal["html", "pdf", "csv"] = "html", lang: Annotated[str, Query(pattern="^(en|zh)?$")] = "",
                unmask: Unmask = False, reason: Why = "") -> Response:
    """A bill as its customer gets it. unmask: with the buyer as he is, which takes a reason."""
    def look(desk: Desk) -> Response:
        open_ = unmask and desk.unmask(bill.find(desk, bill_id), reason)
        if format == "html":
            return HTMLResponse(document.shown(desk, bill_id, lang, open_))
        content = document.pdf(desk, bill_id, lang, open_) if format == "pdf" else data.as_csv(desk, bill_id).encode()
        return Response(content, media_type=MEDIA[format], headers={"Content-Disposition": f'attachment; filename="bill.{format}"'})
    return who.audited(look)


@router.patch(BILL + "/{bill_id}")
def changed(who: Who, bill_id: str, sent: Change, if_match: IfMatch = None) -> Response:
    """Hold a bill, release it, void it, approve and send it by itself."""
    def act(desk: Desk) -> Response:
        row = bill.move(desk, bill_id, sent.state, sent.stateReason, shape.version_of(if_match))
        return shape.one(data.told(desk, row), row.version)
    return who.write(act)


@router.post("/fullspan/v1/customerBill/{bill_id}/creditNote", status_code=201)
def note_written(who: Who, bill_id: str, sent: NewNote) -> Response:
    """Write a credit note of a bill that was sent, for a second person."""
    def act(desk: Desk) -> Response:
        return shape.one(note_told(bill.write_credit(desk, bill_id, sent.reason)), 1, 201)
    return who.write(act)


@router.get(NOTE)
def notes(who: Who, state: Short = "", offset: shape.Offset = 0, limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Credit notes, the newest first; customers see those that were issued."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("bill.read")
        query = desk.select(CreditNote)
        if state:
            query = query.where(CreditNote.state == state)
        if desk.actor.outside:
            query = query.where(CreditNote.state == "issued")
        return shape.page(desk.session, query.order_by(CreditNote.written.desc(), CreditNote.id.desc()), offset, limit, note_told, fields)
    return who.read(look)


@router.post(NOTE + "/{credit_note_id}/decision")
def note_decided(who: Who, credit_note_id: str, sent: Decision) -> Response:
    """Issue it or reject it, as the second person."""
    def act(desk: Desk) -> Response:
        return shape.one(note_told(bill.decide_credit(desk, credit_note_id, sent.approve, sent.reason)), 1)
    return who.write(act)


@router.get(RATE)
def rates(who: Who, customerBill: Short = "", service: Short = "", type: Short = "", offset: shape.Offset = 0, limit: shape.Limit = 100,
          fields: shape.Fields = "") -> JSONResponse:
    """Lines of bills, each with its evidence."""
    def look(desk: Desk) -> JSONResponse:
        known: dict[str, Bill] = {}

        def ready(rows: Any) -> None:
            for found in desk.session.query(Bill).filter(Bill.id.in_({row.bill_id for row in rows})):
                known[found.id] = found
        return shape.page(desk.session, bill.rates_listed(desk, customerBill, service, type), offset, limit,
                          lambda row: data.rate_told(row, known[row.bill_id]), fields, ready)
    return who.read(look)


@router.get(RATE + "/{bill_id}-{number}")
def rate(who: Who, bill_id: str, number: int) -> JSONResponse:
    """One line of a bill."""
    def look(desk: Desk) -> JSONResponse:
        row = bill.find(desk, bill_id)
        found = next((line for line in bill.lines_of(desk, row.id) if line.number == number), None)
        if found is None:
            raise Refusal("missing", f"the bill has no line {number}", "id")
        return shape.one(data.rate_told(found, row), row.version)
    return who.read(look)


@router.get("/fullspan/v1/ageing")
def aged(who: Who, customer: Short = "") -> JSONResponse:
    """What is open of each account, by days overdue."""
    return who.read(lambda desk: JSONResponse([ageing.told(row) for row in ageing.report(desk, customer_id=customer)]))
