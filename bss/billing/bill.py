"""One bill (TMF678 CustomerBill): held, released, voided, sent by itself; a sent one is never edited: it is credited in full, and a new one is made."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, select, update

from bss.billing import issuing, journal, payment, run, settling, states
from bss.desk import Desk
from bss.refusal import Refusal
from bss.tables import Bill, BillLine, BillRun, CreditNote, Payment
from bss.tables.billing import LINE_KINDS

#: States that people bring a bill to; the rest follows from payments.
MOVED = ("onHold", "new", "validated", "void", "sent")


def move(desk: Desk, bill_id: str, to: str, reason: str = "", version: int | None = None) -> Bill:
    """Bring a bill to another state: hold it, release it, void it, approve it by itself (as the second person), send it. Refusal `conflict` with one sentence
    why not; the attempt is on record."""
    try:
        desk.demand("bill.approve" if to in ("validated", "sent") else "bill.write")
        bill = desk.find(Bill, bill_id, lock=True)
        if why := states.refusal(states.BILL, bill.state, to):
            raise Refusal("conflict", why, f"bill {bill.number or bill.id}")
        if to not in MOVED or bill.number is not None:
            raise Refusal("conflict", f"a bill is {to} by what is paid of it", f"bill {bill.number or bill.id}", "enter the payment")
        if to in ("onHold", "void") and not reason.strip():
            raise Refusal("invalid", f"a reason is needed for {to}", "reason", "give one sentence")
        desk.fresh(bill, version)
        before = bill.state
        if to == "validated":
            _validated(desk, bill)
        if to == "void":
            run.void(desk, [bill.id], reason)
            bill = desk.find(Bill, bill_id)
        elif to == "sent":
            _sent(desk, bill)
        else:
            bill.state, bill.reason = to, reason[:400]
            desk.session.flush()
        desk.record("bill.move", bill, {"state": before}, {"state": bill.state}, reason)
        desk.emit("customerBill.stateChange", bill.id, {"id": bill.id, "number": bill.number, "from": before, "state": bill.state})
        return bill
    except Refusal as refusal:
        raise desk.deny("bill.move", ("bill", bill_id), refusal, to=to, reason=reason) from None


def _validated(desk: Desk, bill: Bill) -> None:
    """By itself a bill is approved after its run was: one that was on hold then, or was made by a run of a few customers."""
    of = desk.session.get_one(BillRun, bill.run_id)
    desk.another(of.begun_by, "approving a bill")
    if of.state not in ("approved", "issued"):
        raise Refusal("conflict", f"its run is {of.state}", f"run {of.id}", "have the run audited and approved")
    from bss.billing.audit import waiting

    if left := waiting(desk, bill.id):
        raise Refusal("conflict", f"of what was found nobody has cleared: {', '.join(left)}", f"bill {bill.id}", "clear it with a reason")


def _sent(desk: Desk, bill: Bill) -> None:
    of = desk.session.get_one(BillRun, bill.run_id)
    if of.state not in ("approved", "issued"):
        raise Refusal("conflict", f"its run is {of.state}", f"run {of.id}", "have the run approved")
    issuing.applicable(desk, bill_id=bill.id)
    bill.version -= 1           # issuing takes the next one
    issuing.issue(desk, [bill])
    desk.record("bill.issue", bill, after={"number": bill.number})


def write_credit(desk: Desk, bill_id: str, reason: str) -> CreditNote:
    """A credit note in full of a bill that was sent, as a draft for a second person."""
    with desk.answering("credit_note.write", ("bill", bill_id), reason=reason):
        desk.demand("bill.write")
        bill = desk.find(Bill, bill_id, lock=True)
        if bill.number is None or bill.credited:
            raise Refusal("conflict", "the bill is credited already" if bill.credited else f"the bill is {bill.state}: it was never sent",
                          f"bill {bill.number or bill.id}", "void it" if bill.number is None else "")
        query = select(CreditNote.id).where(CreditNote.bill_id == bill.id, CreditNote.state == "draft")
        if (other := desk.session.execute(query).scalar()) is not None:
            raise Refusal("conflict", f"credit note {other} of the bill waits for a second person", f"bill {bill.number}", "have that decided")
        if not reason.strip():
            raise Refusal("invalid", "a reason is needed to credit a bill", "reason", "give one sentence")
    row = desk.add(CreditNote(bill_id=bill.id, customer_id=bill.customer_id, reason=reason[:400], gross=bill.gross, written=desk.now,
                              written_by=desk.actor.id or None))
    desk.record("credit_note.write", row, after={"bill": bill.number, "gross": str(bill.gross)}, reason=reason)
    return row


def decide_credit(desk: Desk, note_id: str, approve: bool, reason: str = "") -> CreditNote:
    """Issue a credit note, or reject it, as the second person. What the bill charged may be charged again; what was paid of it is the account's balance."""
    with desk.answering("credit_note.decide", ("credit_note", note_id), issue=approve, reason=reason):
        return _decided(desk, note_id, approve, reason)


def _decided(desk: Desk, note_id: str, approve: bool, reason: str) -> CreditNote:
    desk.demand("bill.approve")
    row = desk.find(CreditNote, note_id, lock=True)
    if row.state != "draft":
        raise Refusal("conflict", f"the credit note is {row.state}", f"credit note {row.number or row.id}")
    desk.another(row.written_by, "issuing a credit note")
    if not approve and not reason.strip():
        raise Refusal("invalid", "a reason is needed to reject it", "reason", "give one sentence")
    row.state, row.decided, row.decided_by = "issued" if approve else "rejected", desk.now, desk.actor.id or None
    if approve:
        row.number = issuing.numbers(desk, "credit_note", 1)[0]
        _credit(desk, desk.find(Bill, row.bill_id, lock=True), row)
    desk.session.flush()
    desk.record("credit_note.decide", row, {"state": "draft"}, {"state": row.state, "number": row.number}, reason)
    desk.emit("creditNote.stateChange", row.id, {"id": row.id, "number": row.number, "bill": row.bill_id, "state": row.state})
    return row


def _credit(desk: Desk, bill: Bill, note: CreditNote) -> None:
    if bill.gross < 0:          # what it owed is the customer's balance: it goes back with it, or he had it twice
        query = select(Payment).where(Payment.source == f"credit/{bill.id}").with_for_update()
        if (owed := desk.session.execute(query).scalar_one_or_none()) is not None:
            payment.taken_back(desk, owed, f"credit note {note.number}")
    for one in settling.matches_of(desk, bill_id=bill.id):
        paid = desk.session.get_one(Payment, one.payment_id)
        if paid.method == "write_off":          # nobody gave it: it is no balance of the customer's
            payment.taken_back(desk, paid, f"credit note {note.number}")
        else:
            settling.part(desk, one)
    net: dict[str, Decimal] = defaultdict(Decimal)
    for kind, amount in desk.session.execute(select(BillLine.kind, BillLine.net).where(BillLine.bill_id == bill.id)).tuples():
        net[kind] += amount
    journal.post(desk, f"credit_note/{note.id}", journal.turned(journal.of_bill(bill.gross, bill.tax, net)), currency=bill.currency,
                 customer_id=bill.customer_id, entity="credit_note", entity_id=note.id)
    desk.session.execute(update(BillLine).where(BillLine.bill_id == bill.id).values(live=False))
    bill.credited = True
    settling.follow(desk, bill)
    from bss.billing import dunning

    dunning.settled(desk, bill)


def listed(desk: Desk, *, state: Sequence[str] = (), customer_id: str = "", account_id: str = "", period: str = "",
           run_id: str = "") -> Select[tuple[Bill]]:
    """A query of bills, the newest first. Customers see those that were sent alone."""
    desk.demand("bill.read")
    query = desk.select(Bill)
    if state:
        query = query.where(Bill.state.in_(state))
    for column, wanted in ((Bill.customer_id, customer_id), (Bill.account_id, account_id), (Bill.period, period), (Bill.run_id, run_id)):
        if wanted:
            query = query.where(column == wanted)
    if desk.actor.outside:
        query = query.where(Bill.number.is_not(None))
    return query.order_by(Bill.period.desc(), Bill.id.desc())


def find(desk: Desk, key: str) -> Bill:
    """A bill by its id or number. Customers find those that were sent alone."""
    desk.demand("bill.read")
    found: Any = desk.session.execute(listed(desk).where((Bill.id == key) | (Bill.number == key))).scalar_one_or_none()
    if found is None:
        raise Refusal("missing", f"there is no bill {key}", mend="look at the list of those you may see")
    row: Bill = found
    return row


def lines_of(desk: Desk, bill_id: str) -> list[BillLine]:
    """Its lines in order."""
    return list(desk.session.execute(select(BillLine).where(BillLine.bill_id == bill_id).order_by(BillLine.number)).scalars())


def rates_listed(desk: Desk, bill_id: str = "", service_id: str = "", kind: str = "") -> Select[tuple[BillLine]]:
    """A query of lines (AppliedCustomerBillingRate). Refusal: there is no such kind."""
    desk.demand("bill.read")
    if kind and kind not in LINE_KINDS:
        raise Refusal("invalid", f"{kind!r} is no kind of line", "type", f"kinds are {', '.join(LINE_KINDS)}")
    query = desk.select(BillLine)
    for column, wanted in ((BillLine.bill_id, bill_id), (BillLine.service_id, service_id), (BillLine.kind, kind)):
        if wanted:
            query = query.where(column == wanted)
    if desk.actor.outside:
        query = query.where(BillLine.bill_id.in_(select(Bill.id).where(Bill.number.is_not(None))))
    return query.order_by(BillLine.bill_id.desc(), BillLine.number)


def taxes_of(lines: Sequence[BillLine]) -> list[dict[str, Any]]:
    """Sums of a bill by rate of tax."""
    found: dict[Decimal, list[Decimal]] = {}
    for one in lines:
        known = found.setdefault(one.tax_rate, [Decimal(0), Decimal(0), Decimal(0)])
        for k, amount in enumerate((one.net, one.tax, one.gross)):
            known[k] += amount
    return [{"rate": rate, "net": net, "tax": tax, "gross": gross} for rate, (net, tax, gross) in sorted(found.items())]
