"""Write-offs of bad debt: what is open of an overdue bill and nobody will pay is given up. One proposes it, another approves it; the bill is then settled by
a payment of ours, which is a debit of the allowance for bad debts, and its dunning ends. Where it is paid after all, the write-off is taken back first."""
from __future__ import annotations

from decimal import Decimal

from sqlalchemy import Select, select

from bss.billing import dunning, journal, payment, settling, states
from bss.billing.journal import Side, today
from bss.desk import Desk
from bss.refusal import Refusal
from bss.tables import Bill, Payment, WriteOff


def propose(desk: Desk, bill_id: str, reason: str) -> WriteOff:
    """Propose that what is open of a bill is given up. Refusal: nothing is, it is not overdue, or it was proposed already."""
    with desk.answering("write_off.propose", ("bill", bill_id), reason=reason):
        desk.demand("dunning.write")
        bill = desk.find(Bill, bill_id, lock=True)
        where = f"bill {bill.number or bill.id}"
        if bill.state not in settling.OPEN:
            raise Refusal("conflict", f"the bill is {bill.state}: {states.BILL.meaning[bill.state]}", where, "nothing of it is open")
        if bill.due is None or bill.due >= today(desk):
            raise Refusal("conflict", f"the bill is due on {bill.due}: what may still be paid is not given up", where, "wait, or credit it")
        query = select(WriteOff).where(WriteOff.bill_id == bill.id, WriteOff.state.in_(("proposed", "approved")))
        if (other := desk.session.execute(query).scalar_one_or_none()) is not None:
            if other.state == "approved":       # the bill is open again where what the write-off paid was taken off it
                raise Refusal("conflict", f"write-off {other.id} of the bill is approved", where, "take that back first, then propose what is open now")
            raise Refusal("conflict", f"write-off {other.id} of the bill waits for a second person", where, "have that decided")
        if not reason.strip():
            raise Refusal("invalid", "a reason is needed to give a debt up", "reason", "say what was tried, and why nobody will pay")
    row = desk.add(WriteOff(bill_id=bill.id, customer_id=bill.customer_id, amount=bill.gross - bill.paid, reason=reason.strip()[:400], proposed=desk.now,
                            proposed_by=desk.actor.id or None))
    desk.record("write_off.propose", row, after={"bill": bill.number, "amount": str(row.amount)}, reason=reason)
    desk.emit("writeOff.create", row.id, {"id": row.id, "bill": bill.id, "state": row.state, "amount": str(row.amount)})
    return row


def move(desk: Desk, write_off_id: str, to: str, reason: str = "", version: int | None = None) -> WriteOff:
    """Approve a write-off or reject it, as the second person; or take an approved one back, so that the bill is owed again."""
    with desk.answering("write_off.move", ("write_off", write_off_id), to=to, reason=reason):
        desk.demand("payment.write" if to == "reversed" else "payment.approve")
        row = desk.find(WriteOff, write_off_id, lock=True)
        if why := states.refusal(states.WRITE_OFF, row.state, to):
            raise Refusal("conflict", why, f"write-off {row.id}")
        if to != "reversed":
            desk.another(row.proposed_by, "deciding on a write-off")
        if to != "approved" and not reason.strip():
            raise Refusal("invalid", f"a reason is needed for {to}", "reason", "give one sentence")
        desk.fresh(row, version)
        before, bill = row.state, desk.find(Bill, row.bill_id, lock=True)
        if to == "approved":
            _given_up(desk, row, bill)
        if to != "reversed":
            row.state, row.decided, row.decided_by, row.why = to, desk.now, desk.actor.id or None, reason.strip()[:400]
        else:
            assert row.payment_id is not None
            payment.taken_back(desk, desk.session.get_one(Payment, row.payment_id, with_for_update=True), reason)
    desk.session.flush()
    desk.record("write_off.move", row, {"state": before}, {"state": row.state, "amount": str(row.amount)}, reason)
    desk.emit("writeOff.stateChange", row.id, {"id": row.id, "bill": row.bill_id, "from": before, "state": row.state, "amount": str(row.amount)})
    return row


def _given_up(desk: Desk, row: WriteOff, bill: Bill) -> None:
    left = bill.gross - bill.paid if bill.state in settling.OPEN else 0
    if left != row.amount:
        raise Refusal("conflict", f"{left} {bill.currency} of the bill are open now, and {row.amount} were proposed", f"bill {bill.number}",
                      "reject it, and propose what is open")
    given = desk.add(Payment(source=f"write_off/{row.id}", account_id=bill.account_id, customer_id=bill.customer_id, method="write_off", state="posted",
                             amount=row.amount, matched=Decimal(0), refunded=Decimal(0), currency=bill.currency, received=desk.now,
                             created=desk.now, user_id=desk.actor.id or None))
    journal.post(desk, f"payment/{given.id}", [Side("bad_debt", row.amount), Side("advance", -row.amount)], currency=bill.currency,
                 customer_id=bill.customer_id, entity="payment", entity_id=given.id)
    row.payment_id = given.id
    settling.match(desk, given, bill)
    dunning.settled(desk, bill, given_up=True)


def listed(desk: Desk, state: str = "", bill_id: str = "") -> Select[tuple[WriteOff]]:
    """A query of write-offs, the newest first."""
    desk.demand("bill.read")
    if desk.actor.outside:
        raise Refusal("forbidden", "what we give up is not for customers to see", "writeOff")
    query = desk.select(WriteOff)
    for column, wanted in ((WriteOff.state, state), (WriteOff.bill_id, bill_id)):
        if wanted:
            query = query.where(column == wanted)
    return query.order_by(WriteOff.proposed.desc(), WriteOff.id.desc())
