"""Bills: the list, one bill whose every line opens what it rests on, its document; credit notes; what is overdue."""
from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from sqlalchemy import select

from bss.billing import ageing as ages
from bss.billing import bill as bills
from bss.billing import document, journal, settling
from bss.desk import Desk
from bss.pages.cell import Cell, link, number, tag, text
from bss.pages.figures import figures
from bss.pages.listing import listed, named
from bss.pages.visitor import HEADERS, Visit, Visitor
from bss.tables import Bill, BillFinding, BillingAccount, CreditNote, Customer, Payment, Service, User

router = APIRouter()
SHOWN = 500             # lines of a page


def whose(desk: Desk, ids: list[str]) -> dict[str, str]:
    """Names of customers, as the actor is shown them."""
    return named(desk, Customer, ids, lambda one: str(desk.shown(one.party.name)))


@router.get("/bills")
def all_bills(visit: Visit) -> Response:
    """The list."""
    def look(desk: Desk) -> dict[str, Any]:
        found = listed(desk, bills.listed(desk), visit, {"state": Bill.state, "period": Bill.period}, Bill.id.desc())
        names = whose(desk, [one.customer_id for one in found["rows"]])
        found["cells"] = [[link(one.number or visit.say("bill.no_number"), f"/bills/one/{one.id}"), link(names.get(one.customer_id, ""),
                                                                                                        f"/customers/{one.customer_id}"),
                           text(one.period), tag(one.state), number(f"{one.gross:,.2f}"), number(f"{one.paid:,.2f}"), text(one.currency),
                           text(one.due or ""), text(one.reason)] for one in found["rows"]]
        return found

    heads = visit.heads("bill.number", "bill.customer", "bill.period", "list.state", "bill.gross", "bill.paid", "account.currency", "bill.due", "bill.why",
                        numbers=("bill.gross", "bill.paid"))
    return visit.page("bills", what="bill", heads=heads, here_is="bills", **visit.read(look))


@router.get("/bills/one/{bill_id}")
def one(visit: Visit, bill_id: str) -> Response:
    """One of them. That it was looked at is put on record."""
    return visit.page("bill", said=visit.request.query_params.get("said", ""), **visit.act(lambda desk: _told(desk, visit, bill_id)))


def _told(desk: Desk, visit: Visitor, bill_id: str) -> dict[str, Any]:
    row = bills.find(desk, bill_id)
    desk.record("bill.read", row)
    account, customer = desk.session.get_one(BillingAccount, row.account_id), desk.session.get_one(Customer, row.customer_id)
    lines = bills.lines_of(desk, row.id)[:SHOWN]
    circuits = named(desk, Service, [line.service_id for line in lines], lambda service: str(service.circuit))
    matches = settling.matches_of(desk, bill_id=row.id)
    payments = {payment.id: payment for payment in desk.session.scalars(select(Payment).where(Payment.id.in_([match.payment_id for match in matches])))}
    notes = list(desk.session.scalars(select(CreditNote).where(CreditNote.bill_id == row.id).order_by(CreditNote.written)))
    if desk.actor.outside:
        notes = [note for note in notes if note.state == "issued"]
        matches = [match for match in matches if payments[match.payment_id].method != "write_off"]
    findings = list(desk.session.scalars(select(BillFinding).where(BillFinding.bill_id == row.id).order_by(BillFinding.kind))) if desk.may("bill.write") else []
    entries = journal.rows_of(desk, row.id) if desk.may("journal.read") else []
    moves = [to for to in ("onHold", "new", "validated", "sent", "void") if row.number is None and _may(desk, row, to)]
    return {"one": row, "account": account, "customer": customer, "name": desk.shown(customer.party.name), "circuits": circuits,
            "lines": [(line, _evidence(visit, line.evidence)) for line in lines], "rates": bills.taxes_of(lines), "matches": matches, "payments": payments,
            "notes": notes,
            "findings": [(one, figures(visit, one.detail, {})) for one in findings],
            "entries": entries, "accounts": journal.ACCOUNTS, "moves": moves, "percent": document.percent,
            "users": named(desk, User, [note.written_by for note in notes], lambda user: str(user.login)) if desk.may("bill.write") else {},
            "credit": row.number is not None and not row.credited and desk.may("bill.write") and not any(note.state == "draft" for note in notes)}


def _may(desk: Desk, row: Bill, to: str) -> bool:
    from bss.billing import states

    return desk.may("bill.approve" if to in ("validated", "sent") else "bill.write") and states.allowed(states.BILL, row.state, to)


def _evidence(visit: Visitor, evidence: dict[str, Any]) -> list[tuple[str, str]]:
    """What a line rests on, as people read it."""
    flat = {name: value for name, value in evidence.items() if not isinstance(value, dict | list)}
    nested = {name: value for name, value in evidence.items() if isinstance(value, dict | list) and value}
    return figures(visit, flat, {}) + [(name, str(value)) for name, value in nested.items()]


@router.post("/bills/one/{bill_id}/move")
async def moved(visit: Visit, bill_id: str) -> Response:
    """Hold it, release it, void it, approve it, send it."""
    to, reason = visit.form.get("to", ""), visit.form.get("reason", "")
    row = await run_in_threadpool(visit.act, lambda desk: bills.move(desk, bill_id, to, reason))
    return visit.back(f"/bills/one/{bill_id}", visit.say("bill.done", state=visit.state(row.state)))


@router.post("/bills/one/{bill_id}/credit")
async def credited(visit: Visit, bill_id: str) -> Response:
    """Write a credit note of it."""
    reason = visit.form.get("reason", "")
    await run_in_threadpool(visit.act, lambda desk: bills.write_credit(desk, bill_id, reason))
    return visit.back(f"/bills/one/{bill_id}", visit.say("bill.written"))


@router.post("/bills/notes/{credit_note_id}/decide")
async def decided(visit: Visit, credit_note_id: str) -> Response:
    """Issue a credit note or reject it, as the second person."""
    approve, reason = visit.form.get("approve") == "yes", visit.form.get("reason", "")
    row = await run_in_threadpool(visit.act, lambda desk: bills.decide_credit(desk, credit_note_id, approve, reason))
    return visit.back(f"/bills/one/{row.bill_id}", visit.say("bill.done", state=visit.state(row.state)))


@router.get("/bills/one/{bill_id}/document")
def shown(visit: Visit, bill_id: str) -> Response:
    """As its customer gets it."""
    return visit.document(lambda desk: document.shown(desk, bill_id, visit.lang))


@router.get("/bills/one/{bill_id}/pdf")
def pdf(visit: Visit, bill_id: str) -> Response:
    """The same as PDF."""
    content = visit.act(lambda desk: document.pdf(desk, bill_id, visit.lang))
    return Response(content, media_type="application/pdf", headers={**HEADERS, "Content-Disposition": 'attachment; filename="bill.pdf"'})


@router.get("/bills/ageing")
def ageing(visit: Visit) -> Response:
    """What is open of each account, by days overdue."""
    def look(desk: Desk) -> dict[str, Any]:
        rows = ages.report(desk)
        names = whose(desk, [one["customer"] for one in rows[:SHOWN]])
        cells: list[list[Cell]] = [[link(one["number"], f"/bills/accounts/{one['account']}"),
                                    link(names.get(one["customer"], ""), f"/customers/{one['customer']}"), text(one["currency"]),
                                    *(number(f"{one[band]:,.2f}") for band in ages.NAMES), number(f"{one['open']:,.2f}"),
                                    number(f"{one['balance']:,.2f}")] for one in rows[:SHOWN]]
        return {"cells": cells, "total": len(rows), "offset": 0, "size": SHOWN, "choices": {}, "chosen": {}}

    heads = visit.heads("bill.account", "bill.customer", "account.currency")
    heads += [{"words": visit.say("bill.current") if band == "current" else band, "n": True} for band in ages.NAMES]
    heads += [{"words": visit.say("bill.open"), "n": True}, {"words": visit.say("bill.balance"), "n": True}]
    return visit.page("bills", what="bill", heads=heads, here_is="ageing", **visit.read(look))
