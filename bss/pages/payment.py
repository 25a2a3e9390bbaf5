"""Payments: the list with those that wait for a person, a bank's file, and what is given back."""
from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from sqlalchemy import select

from bss.billing import matching, payment, settling
from bss.desk import Desk
from bss.pages.bill import whose
from bss.pages.visitor import ROWS, Visit
from bss.refusal import Refusal
from bss.running.reading import parse
from bss.tables import Bill, BillingAccount, Payment

router = APIRouter()
WAITING = ("received", "suggested")


@router.get("/bills/payments")
def payments(visit: Visit) -> Response:
    """The list: what waits for a person first."""
    def look(desk: Desk) -> dict[str, Any]:
        waiting: list[Any] = list(desk.session.execute(payment.listed(desk).where(Payment.state.in_(WAITING)).limit(ROWS)).scalars()) if desk.may(
            "payment.write") else []
        rows: list[Any] = list(desk.session.execute(payment.listed(desk).where(Payment.state.not_in(WAITING)).limit(ROWS)).scalars())
        refunds: list[Any] = list(desk.session.execute(payment.refunds(desk).limit(ROWS)).scalars())
        told = {one["bill"]: one for row in waiting for one in row.suggestion}
        bills = {one.id: one for one in desk.session.scalars(select(Bill).where(Bill.id.in_(list(told))))}
        accounts = {one.id: one.number for one in desk.session.scalars(select(BillingAccount).where(BillingAccount.id.in_([row.account_id for row in rows])))}
        return {"waiting": waiting, "rows": rows, "refunds": refunds, "bills": bills, "accounts": accounts, "left": settling.left_of,
                "names": whose(desk, [one.customer_id for one in (*rows, *bills.values()) if one.customer_id]), "shown": desk.shown}
    return visit.page("payments", said=visit.request.query_params.get("said", ""), **visit.read(look))


@router.post("/bills/payments")
async def entered(visit: Visit) -> Response:
    """Enter one, on the account with this number."""
    try:
        amount = Decimal(visit.form.get("amount", "").replace(",", ""))
    except InvalidOperation:
        raise Refusal("invalid", f"{visit.form.get('amount', '')[:20]!r} is no amount", "amount", "write it as 199.00") from None

    def act(desk: Desk) -> None:
        desk.demand("payment.write")
        payment.enter(desk, amount, account_id=_account(desk, visit.form.get("account", "")), method=visit.form.get("method", "bank"),
                      source=visit.form.get("source", ""), payer=visit.form.get("payer", ""), remark=visit.form.get("remark", ""))
    await run_in_threadpool(visit.act, act)
    return visit.back("/bills/payments", visit.say("payment.entered"))


def _account(desk: Desk, named: str) -> str | None:
    """The id of an account by its number; None where none is named."""
    if not named.strip():
        return None
    found = desk.session.execute(desk.select(BillingAccount).where(BillingAccount.number == named.strip())).scalar_one_or_none()
    return desk.find(BillingAccount, named.strip()).id if found is None else str(found.id)         # type: ignore[attr-defined]


@router.post("/bills/payments/file")
async def brought(visit: Visit) -> Response:
    """Take a bank's file."""
    file: Any = (await visit.request.form()).get("file")
    if not hasattr(file, "read"):
        raise Refusal("invalid", "no file was sent", "file", "choose the bank's file")
    content, name = await file.read(), str(file.filename or "bank.csv")[:200]
    told = await run_in_threadpool(visit.act, lambda desk: matching.bring(desk, parse(content, name, matching.COLUMNS)))
    return visit.back("/bills/payments", visit.say("payment.brought", **told))


@router.post("/bills/payments/{payment_id}/confirm")
async def confirmed(visit: Visit, payment_id: str) -> Response:
    """Say whose it is: what was suggested, or an account by its number."""
    bill, account = visit.form.get("bill", ""), visit.form.get("account", "")

    def act(desk: Desk) -> None:
        desk.demand("payment.write")
        desk.find(Payment, payment_id)
        matching.confirm(desk, payment_id, _account(desk, account) or "", (bill,) if bill else ())
    await run_in_threadpool(visit.act, act)
    return visit.back("/bills/payments", visit.say("payment.entered"))


@router.post("/bills/payments/{payment_id}/reverse")
async def reversed_(visit: Visit, payment_id: str) -> Response:
    """Take it back."""
    reason = visit.form.get("reason", "")
    await run_in_threadpool(visit.act, lambda desk: payment.reverse(desk, payment_id, reason))
    return visit.back("/bills/payments", visit.say("payment.reversed"))


@router.post("/bills/payments/{payment_id}/refund")
async def asked(visit: Visit, payment_id: str) -> Response:
    """Ask that what it has left is given back."""
    reason = visit.form.get("reason", "")

    def act(desk: Desk) -> None:
        desk.demand("payment.write")
        payment.ask_refund(desk, payment_id, settling.left_of(desk.find(Payment, payment_id)), reason)
    await run_in_threadpool(visit.act, act)
    return visit.back("/bills/payments", visit.say("payment.asked"))


@router.post("/bills/refunds/{refund_id}/move")
async def decided(visit: Visit, refund_id: str) -> Response:
    """Approve a refund or reject it, as the second person; or say that it was paid."""
    to, reason = visit.form.get("to", ""), visit.form.get("reason", "")
    row = await run_in_threadpool(visit.act, lambda desk: payment.move_refund(desk, refund_id, to, reason))
    return visit.back("/bills/payments", visit.say("payment.moved", state=visit.state(row.state)))
