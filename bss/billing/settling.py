"""What is paid of a bill: payments matched to bills and parted from them. A bill's state follows what is paid of it; every match is a posting."""
from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from sqlalchemy import select

from bss.billing import journal, states
from bss.billing.journal import Side
from bss.desk import Desk
from bss.refusal import Refusal
from bss.tables import Bill, Payment, PaymentMatch

OPEN = ("sent", "partiallyPaid")


def left_of(payment: Payment) -> Decimal:
    """What of a payment is for no bill and not given back."""
    return payment.amount - payment.matched - payment.refunded


def state_of(bill: Bill) -> str:
    """The state that a sent bill has by what is paid of it."""
    if bill.credited or bill.paid >= bill.gross:
        return "settled"
    return "partiallyPaid" if bill.paid > 0 else "sent"


def follow(desk: Desk, bill: Bill) -> None:
    """Bring a bill to the state that what is paid of it says."""
    to = state_of(bill)
    if to == bill.state:
        return
    if why := states.refusal(states.BILL, bill.state, to):
        raise Refusal("conflict", why, f"bill {bill.number}")
    before, bill.state = bill.state, to
    bill.version += 1
    desk.emit("customerBill.stateChange", bill.id, {"id": bill.id, "number": bill.number, "from": before, "state": to})


def match(desk: Desk, payment: Payment, bill: Bill, amount: Decimal | None = None) -> PaymentMatch | None:
    """So much of a payment is for a bill: as much as both have left where no amount is given. None: neither has anything left. Both are held by the caller."""
    if bill.state not in OPEN:
        raise Refusal("conflict", f"the bill is {bill.state}: {states.BILL.meaning[bill.state]}", f"bill {bill.number or bill.id}", "match an open one")
    if payment.state != "posted" or payment.currency != bill.currency:
        raise Refusal("conflict", f"the payment is {payment.state}, in {payment.currency}", f"payment {payment.id}", f"the bill is in {bill.currency}")
    most = min(left_of(payment), bill.gross - bill.paid)
    part = most if amount is None else amount
    if part > most or part < 0:
        raise Refusal("conflict", f"{part} is more than is left: {left_of(payment)} of the payment, {bill.gross - bill.paid} of the bill", "amount")
    if not part:
        return None
    payment.matched, bill.paid = payment.matched + part, bill.paid + part
    row = desk.add(PaymentMatch(payment_id=payment.id, bill_id=bill.id, amount=part, made=desk.now, user_id=desk.actor.id or None))
    journal.post(desk, f"match/{row.id}", [Side("advance", part), Side("receivable", -part)], currency=bill.currency, customer_id=bill.customer_id,
                 entity="payment_match", entity_id=row.id)
    follow(desk, bill)
    return row


def part(desk: Desk, row: PaymentMatch) -> Bill:
    """A match holds no more: what was paid by it is open again. The bill."""
    bill, payment = desk.session.get_one(Bill, row.bill_id, with_for_update=True), desk.session.get_one(Payment, row.payment_id, with_for_update=True)
    row.undone = desk.now
    payment.matched, bill.paid = payment.matched - row.amount, bill.paid - row.amount
    journal.post(desk, f"match/{row.id}/undone", [Side("receivable", row.amount), Side("advance", -row.amount)], currency=bill.currency,
                 customer_id=bill.customer_id, entity="payment_match", entity_id=row.id)
    follow(desk, bill)
    desk.session.flush()
    return bill


def spread(desk: Desk, payment: Payment, bills: Iterable[Bill]) -> list[PaymentMatch]:
    """A payment for bills, the one that is due first first, until nothing is left of it."""
    found = []
    for bill in sorted(bills, key=lambda one: (one.due is None, one.due, one.id)):
        if left_of(payment) and bill.currency == payment.currency and (row := match(desk, payment, bill)) is not None:
            found.append(row)
    return found


def open_bills(desk: Desk, account_id: str) -> list[Bill]:
    """An account's bills that are not settled, held until the act ends."""
    query = select(Bill).where(Bill.account_id == account_id, Bill.state.in_(OPEN)).order_by(Bill.due, Bill.id).with_for_update()
    return list(desk.session.execute(query).scalars())


def matches_of(desk: Desk, *, payment_id: str = "", bill_id: str = "") -> list[PaymentMatch]:
    """Matches that hold, of a payment or a bill."""
    query = select(PaymentMatch).where(PaymentMatch.undone.is_(None))
    query = query.where(PaymentMatch.payment_id == payment_id) if payment_id else query.where(PaymentMatch.bill_id == bill_id)
    return list(desk.session.execute(query.order_by(PaymentMatch.id)).scalars())
