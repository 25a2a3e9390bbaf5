"""Payments (TMF676): entered, matched to bills, taken back when they bounce, given back with a second person. What is for no bill is the account's balance."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, select

from bss import identifier
from bss.billing import dunning, journal, settling, states
from bss.billing.journal import Side
from bss.charges.money import MINOR, rounded
from bss.desk import Desk
from bss.refusal import Refusal
from bss.tables import Bill, BillingAccount, Payment, Refund, WriteOff
from bss.tables.payment import METHODS

OURS = ("credit", "write_off")          # that nobody brought us
ENTERED = tuple(one for one in METHODS if one not in OURS)
#: What a payment is a debit of, by how it came in; "bank" of the rest.
SIDES = {"cash": "cash", "credit": "receivable", "write_off": "bad_debt"}


def amount_of(amount: Decimal, currency: str, where: str = "amount") -> Decimal:
    """An amount of money that moves. Refusal: it is none, or not in whole minor units."""
    if not amount.is_finite() or currency not in MINOR or amount <= 0 or amount >= Decimal(10) ** 14 or amount != rounded(amount, currency):
        raise Refusal("invalid", f"{amount} {currency} is no amount that is paid", where, "write it above zero and in whole minor units, such as 199.00 CNY")
    return amount


def enter(desk: Desk, amount: Decimal, *, account_id: str | None, method: str = "bank", received: datetime | None = None, source: str = "", payer: str = "",
          remark: str = "", currency: str = "", bill_ids: Sequence[str] = ()) -> Payment:
    """Enter a payment of an account, and pay its bills with it: these, else the oldest that are open. source: what it is known by elsewhere, once."""
    desk.demand("payment.write")
    account = desk.find(BillingAccount, account_id) if account_id else None
    row = record(desk, amount, method=method, received=received, source=source, payer=payer, remark=remark,
                 currency=currency or (account.currency if account else "CNY"))
    if account is not None:
        post(desk, row, account, bill_ids)
    return row


def record(desk: Desk, amount: Decimal, *, method: str, received: datetime | None, source: str, payer: str, remark: str, currency: str) -> Payment:
    """A payment that nobody knows yet whose it is."""
    if method not in ENTERED:
        raise Refusal("invalid", f"{method!r} is no way to pay", "method", f"ways are {', '.join(ENTERED)}")
    key = identifier.fresh(Payment.LETTER)
    if source.strip().partition("/")[0] in (*OURS, "entry"):
        raise Refusal("invalid", f"{source.strip()[:40]!r} is what our own payments are known by", "source", "write the bank's number, or leave it out")
    named = source.strip()[:120] or f"entry/{key}"
    if desk.session.execute(select(Payment.id).where(Payment.source == named)).first():
        raise Refusal("conflict", f"the payment {named} was entered already", "source", "look it up")
    row = desk.add(Payment(id=key, source=named, method=method, amount=amount_of(amount, currency), matched=Decimal(0), refunded=Decimal(0), currency=currency,
                           received=received or desk.now, payer=payer.strip()[:200] or None, remark=remark.strip()[:400] or None, created=desk.now,
                           user_id=desk.actor.id or None))
    desk.record("payment.enter", row, after={"amount": str(amount), "currency": currency, "method": method, "source": named})
    desk.emit("payment.create", row.id, {"id": row.id, "amount": str(amount), "currency": currency, "state": row.state})
    return row


def post(desk: Desk, row: Payment, account: BillingAccount, bill_ids: Sequence[str] = ()) -> None:
    """Put a payment on an account, and pay bills with it."""
    _allowed(desk, row, "posted")
    if row.currency != account.currency:
        raise Refusal("conflict", f"the account is in {account.currency}, the payment in {row.currency}", f"account {account.number}")
    before = row.state
    row.account_id, row.customer_id, row.state, row.suggestion, row.version = account.id, account.customer_id, "posted", [], row.version + 1
    journal.post(desk, f"payment/{row.id}", [Side(SIDES.get(row.method, "bank"), row.amount), Side("advance", -row.amount)],
                 currency=row.currency, customer_id=row.customer_id, entity="payment", entity_id=row.id)
    desk.session.flush()
    bills = settling.open_bills(desk, account.id)
    if bill_ids:
        named = {one.id: one for one in bills} | {str(one.number): one for one in bills}
        if unknown := [one for one in bill_ids if one not in named]:
            raise Refusal("conflict", f"the account has no open bill {unknown[0]}", "bill", "look at its bills")
        bills = [named[one] for one in dict.fromkeys(bill_ids)]
    found = settling.spread(desk, row, bills)
    for bill in bills:
        dunning.settled(desk, bill)
    desk.session.flush()
    desk.record("payment.post", row, {"state": before}, {"state": "posted", "account": account.id, "bills": [one.bill_id for one in found],
                                                         "balance": str(settling.left_of(row))})
    desk.emit("payment.stateChange", row.id, {"id": row.id, "from": before, "state": "posted", "account": account.id, "matched": str(row.matched)})


def assign(desk: Desk, payment_id: str, account_id: str, bill_ids: Sequence[str] = (), version: int | None = None) -> Payment:
    """Say whose a payment is that was not known, or was only thought to be known. Refusal: it is on an account already."""
    with desk.answering("payment.assign", ("payment", payment_id), account=account_id, bills=list(bill_ids)):
        desk.demand("payment.write")
        row = desk.find(Payment, payment_id, lock=True)
        if version is not None and version != row.version:
            raise Refusal("stale", f"the payment was changed meanwhile: it is version {row.version}", mend="read it again")
        post(desk, row, desk.find(BillingAccount, account_id), bill_ids)
    return row


def use(desk: Desk, payment_id: str, bill_id: str, amount: Decimal | None = None) -> Payment:
    """Pay a bill out of what a payment has left."""
    with desk.answering("payment.use", ("payment", payment_id), bill=bill_id):
        desk.demand("payment.write")
        row, bill = desk.find(Payment, payment_id, lock=True), desk.find(Bill, bill_id, lock=True)
        if amount is not None:
            amount_of(amount, row.currency)
        if row.account_id != bill.account_id:
            raise Refusal("conflict", "the bill is another account's", f"bill {bill.number or bill.id}", "enter the payment on that account")
        if settling.match(desk, row, bill, amount) is None:
            raise Refusal("conflict", "nothing is left of the payment, or of the bill", f"payment {row.id}")
    row.version += 1
    dunning.settled(desk, bill)
    desk.record("payment.use", row, after={"bill": bill.id, "matched": str(row.matched)})
    return row


def reverse(desk: Desk, payment_id: str, reason: str) -> Payment:
    """Take a payment back that bounced or was entered by mistake: its bills are open again, each one step back."""
    with desk.answering("payment.reverse", ("payment", payment_id), reason=reason):
        desk.demand("payment.write")
        row = desk.find(Payment, payment_id, lock=True)
        _allowed(desk, row, "reversed")
        if not reason.strip():
            raise Refusal("invalid", "a reason is needed to take a payment back", "reason", "give one sentence")
        if row.method in OURS:
            why, mend = ("it is what a bill owed the customer", "credit the bill") if row.method == "credit" else ("it is a write-off", "take that back")
            raise Refusal("conflict", why, f"payment {row.id}", mend)
        taken_back(desk, row, reason)
    return row


def taken_back(desk: Desk, row: Payment, reason: str) -> None:
    """A payment holds no more. It is held by the caller. Refusal `conflict`: something of it was given back."""
    if row.refunded:
        raise Refusal("conflict", f"{row.refunded} of it was given back, or is about to be", f"payment {row.id}", "reject the refund first")
    before = row.state
    parted = [settling.part(desk, one).id for one in settling.matches_of(desk, payment_id=row.id)]
    row.state, row.reason, row.version = "reversed", reason[:400], row.version + 1
    if row.method == "write_off":
        given_up = desk.session.execute(select(WriteOff).where(WriteOff.payment_id == row.id).with_for_update()).scalar_one()
        if why := states.refusal(states.WRITE_OFF, given_up.state, "reversed"):
            raise Refusal("conflict", why, f"write-off {given_up.id}")
        given_up.state, given_up.why = "reversed", reason.strip()[:400]
    if before == "posted":
        journal.post(desk, f"payment/{row.id}/back", [Side("advance", row.amount), Side(SIDES.get(row.method, "bank"), -row.amount)],
                     currency=row.currency, customer_id=row.customer_id, entity="payment", entity_id=row.id)
    desk.session.flush()
    desk.record("payment.reverse", row, {"state": before}, {"state": "reversed", "bills": parted}, reason)
    desk.emit("payment.stateChange", row.id, {"id": row.id, "from": before, "state": "reversed"})


def _allowed(desk: Desk, row: Payment, to: str) -> None:
    if why := states.refusal(states.PAYMENT, row.state, to):
        raise desk.deny("payment.move", row, Refusal("conflict", why, f"payment {row.id}"), to=to)


# ---- refunds

def ask_refund(desk: Desk, payment_id: str, amount: Decimal, reason: str) -> Refund:
    """Ask that something of a payment is given back: of what it has left, which is kept for it from now on."""
    with desk.answering("refund.ask", ("payment", payment_id), amount=str(amount), reason=reason):
        desk.demand("payment.write")
        row = desk.find(Payment, payment_id, lock=True)
        amount_of(amount, row.currency)
        if not reason.strip():
            raise Refusal("invalid", "a reason is needed to give money back", "reason", "give one sentence")
        if row.state != "posted" or amount > settling.left_of(row):
            raise Refusal("conflict", f"the payment is {row.state} and has {settling.left_of(row)} left", f"payment {row.id}", "credit the bill first")
    assert row.customer_id is not None
    row.refunded, row.version = row.refunded + amount, row.version + 1
    refund = desk.add(Refund(payment_id=row.id, customer_id=row.customer_id, amount=amount, reason=reason[:400], asked=desk.now,
                             asked_by=desk.actor.id or None))
    desk.record("refund.ask", refund, after={"payment": row.id, "amount": str(amount)}, reason=reason)
    return refund


def move_refund(desk: Desk, refund_id: str, to: str, reason: str = "") -> Refund:
    """Approve a refund or reject it, as the second person; or say that it was paid."""
    try:
        desk.demand("payment.write" if to == "paid" else "payment.approve")
        refund = desk.find(Refund, refund_id, lock=True)
        if why := states.refusal(states.REFUND, refund.state, to):
            raise Refusal("conflict", why, f"refund {refund.id}")
        if to in ("approved", "rejected"):
            desk.another(refund.asked_by, "deciding on a refund")
            refund.decided, refund.decided_by = desk.now, desk.actor.id or None
        payment = desk.session.get_one(Payment, refund.payment_id, with_for_update=True)
        before, refund.state, refund.version = refund.state, to, refund.version + 1
        if to == "rejected":
            payment.refunded, payment.version = payment.refunded - refund.amount, payment.version + 1
        if to == "paid":
            refund.paid = desk.now
            journal.post(desk, f"refund/{refund.id}", [Side("advance", refund.amount), Side("bank", -refund.amount)], currency=payment.currency,
                         customer_id=refund.customer_id, entity="refund", entity_id=refund.id)
        desk.session.flush()
        desk.record("refund.move", refund, {"state": before}, {"state": to}, reason)
        desk.emit("refund.stateChange", refund.id, {"id": refund.id, "payment": payment.id, "from": before, "state": to, "amount": str(refund.amount)})
        return refund
    except Refusal as refusal:
        raise desk.deny("refund.move", ("refund", refund_id), refusal, to=to, reason=reason) from None


def find(desk: Desk, payment_id: str) -> Payment:
    """A payment. Customers find those that are theirs: what we gave up is not."""
    desk.demand("bill.read")
    row = desk.find(Payment, payment_id)
    if desk.actor.outside and row.method == "write_off":
        raise Refusal("missing", f"there is no payment {payment_id}", mend="look at the list of those you may see")
    return row


def listed(desk: Desk, state: str = "", account_id: str = "", customer_id: str = "") -> Select[tuple[Payment]]:
    """A query of payments, the newest first; customers see what was paid, and not what we gave up."""
    desk.demand("bill.read")
    query = desk.select(Payment)
    if desk.actor.outside:
        query = query.where(Payment.method != "write_off")
    for column, wanted in ((Payment.state, state), (Payment.account_id, account_id), (Payment.customer_id, customer_id)):
        if wanted:
            query = query.where(column == wanted)
    return query.order_by(Payment.received.desc(), Payment.id.desc())


def refunds(desk: Desk, state: str = "") -> Select[tuple[Refund]]:
    """A query of refunds, the newest first."""
    desk.demand("bill.read")
    query = desk.select(Refund)
    return (query.where(Refund.state == state) if state else query).order_by(Refund.asked.desc(), Refund.id.desc())


def told(row: Payment) -> dict[str, Any]:
    """Figures of a payment, without who paid."""
    return {"id": row.id, "state": row.state, "amount": f"{row.amount:.2f}", "matched": f"{row.matched:.2f}", "refunded": f"{row.refunded:.2f}",
            "balance": f"{settling.left_of(row) if row.state == 'posted' else Decimal(0):.2f}", "currency": row.currency}
