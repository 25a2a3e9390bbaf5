"""Money over months in a random order: paid, bounced, credited, made anew, given back, written off; the journal says what bills and payments say after each."""
from __future__ import annotations

import random
from collections import defaultdict
from decimal import Decimal as D
from typing import Any

import pytest
from sqlalchemy import func, select

from bss.billing import account, audit, bill, choosing, dunning, issuing, payment, run, settling, writeoff
from bss.charges.proration import period_of
from bss.desk import Desk
from bss.office import Office
from bss.people.scope import Actor
from bss.rating import month
from bss.refusal import Refusal
from bss.tables import Bill, BillLine, Credit, CreditNote, DunningCase, JournalEntry, Payment, PaymentMatch, RatedCharge, Refund, Service, WriteOff
from tests.bss.paying import people, serving
from tests.bss.selling import act, customer, sold
from tests.bss.test_billing_joints import credit, rated


def checked(desk: Desk) -> None:
    """What holds at any time."""
    session = desk.session
    sums: dict[str, D] = defaultdict(D)
    postings: dict[str, D] = defaultdict(D)
    for row in session.scalars(select(JournalEntry)):
        sums[row.account] += row.debit - row.credit
        postings[row.posting] += row.debit - row.credit
    assert not any(postings.values()), postings
    by_bill: dict[str, D] = defaultdict(D)
    by_payment: dict[str, D] = defaultdict(D)
    for one in session.scalars(select(PaymentMatch).where(PaymentMatch.undone.is_(None))):
        by_bill[one.bill_id] += one.amount
        by_payment[one.payment_id] += one.amount
    bills, payments = list(session.scalars(select(Bill))), list(session.scalars(select(Payment)))
    for row in bills:
        assert row.paid == by_bill[row.id], row.number
        if row.number is not None:
            assert row.state == settling.state_of(row) and 0 <= row.paid <= max(row.gross, D(0))
            assert not (row.credited and row.paid)
    for paid in payments:
        assert paid.matched == by_payment[paid.id] and (paid.state == "posted" or not paid.matched)
    posted = [paid for paid in payments if paid.state == "posted"]
    given = sum((one.amount for one in session.scalars(select(Refund).where(Refund.state == "paid"))), D(0))
    assert sums["receivable"] == sum((row.gross - row.paid for row in bills if row.number is not None and not row.credited and row.gross > 0), D(0))
    assert sums["advance"] == given - sum((paid.amount - paid.matched for paid in posted), D(0))
    assert sums["bank"] == sum((paid.amount for paid in posted if paid.method == "bank"), D(0)) - given
    assert sums["bad_debt"] == sum((paid.amount for paid in posted if paid.method == "write_off"), D(0))
    assert not any(settling.left_of(paid) for paid in posted if paid.method == "write_off"), "what nobody gave is nobody's balance"
    alive = session.execute(select(BillLine.source, func.count()).join(Bill).where(Bill.state != "void", Bill.credited.is_(False)).group_by(BillLine.source))
    assert all(count == 1 for _, count in alive)
    days: dict[str, list[int]] = defaultdict(list)
    for line in session.scalars(select(BillLine).join(Bill).where(Bill.state != "void", Bill.credited.is_(False), BillLine.kind == "recurring")):
        days["/".join(line.source.split("/")[:3])] += range(line.begin.toordinal(), line.end.toordinal())
    assert all(len(told) == len(set(told)) for told in days.values()), "a day was charged twice"
    for case in session.scalars(select(DunningCase).where(DunningCase.state != "cleared")):
        assert session.get_one(Bill, case.bill_id).state in settling.OPEN
    assert session.scalar(select(func.count()).select_from(WriteOff).where(WriteOff.state == "approved")) == sum(paid.method == "write_off" for paid in posted)


def whole(desk: Desk, last: str) -> None:
    """Once all that was credited is made anew: every day, every charge, every credit and what is paid once stands on one bill that holds, and on no other."""
    rows = list(desk.session.scalars(select(BillLine).join(Bill).where(Bill.number.is_not(None), Bill.credited.is_(False))))
    until = period_of(last).end.toordinal()
    for service in desk.session.scalars(select(Service)):
        mine = [line for line in rows if line.service_id == service.id]
        told = sorted(day for line in mine if line.kind == "recurring" for day in range(line.begin.toordinal(), line.end.toordinal()))
        assert told == list(range(period_of("2026-10").begin.toordinal(), until)), (service.id, told[:1], told[-1:])
        assert sum(line.kind == "one_time" for line in mine) == 1
    for charge in desk.session.scalars(select(RatedCharge)):
        assert sum(line.source == f"rated/{charge.id}" for line in rows) == 1 and charge.state == "billed"
    for one in desk.session.scalars(select(Credit)):
        assert sum(line.source == f"credit/{one.id}" for line in rows) == 1 and one.state == "applied"


class Walk:
    """Acts that people do, each with what is there; what is refused is refused."""

    def __init__(self, office: Office, clock: Any, seed: int) -> None:
        self.office, self.clock, self.chance, self.period = office, clock, random.Random(seed), "2026-10"
        self.clerk, self.chief = people(office)
        self.done: dict[str, int] = defaultdict(int)

    def one(self, desk: Desk, table: Any, *where: Any) -> Any:
        rows = list(desk.session.scalars(select(table).where(*where).order_by(table.id)))
        if not rows:
            raise Refusal("missing", "there is none of that", "x")
        return self.chance.choice(rows)

    def amount(self) -> D:
        return D(self.chance.choice([1, 1000, 7900, 17900, 60000, 999999])).scaleb(-2)

    def pay(self, desk: Desk) -> None:
        payment.enter(desk, self.amount(), account_id=self.one(desk, account.BillingAccount).id)

    def bounce(self, desk: Desk) -> None:
        payment.reverse(desk, self.one(desk, Payment).id, "bounced")

    def use(self, desk: Desk) -> None:
        payment.use(desk, self.one(desk, Payment, Payment.state == "posted").id, self.one(desk, Bill, Bill.state.in_(settling.OPEN)).id)

    def ask(self, desk: Desk) -> None:
        row = self.one(desk, Payment, Payment.state == "posted", Payment.amount > Payment.matched + Payment.refunded)
        payment.ask_refund(desk, row.id, self.chance.choice([settling.left_of(row), D("0.01")]), "too much")

    def refund(self, desk: Desk) -> None:
        payment.move_refund(desk, self.one(desk, Refund).id, self.chance.choice(["approved", "rejected", "paid"]))

    def write(self, desk: Desk) -> None:
        bill.write_credit(desk, self.one(desk, Bill).id, "wrong")

    def decide(self, desk: Desk) -> None:
        bill.decide_credit(desk, self.one(desk, CreditNote, CreditNote.state == "draft").id, self.chance.random() < 0.8, "no")

    def give_up(self, desk: Desk) -> None:
        writeoff.propose(desk, self.one(desk, Bill, Bill.state.in_(settling.OPEN)).id, "gone")

    def off(self, desk: Desk) -> None:
        writeoff.move(desk, self.one(desk, WriteOff).id, self.chance.choice(["approved", "approved", "rejected", "reversed"]), "x")

    def dun(self, desk: Desk) -> None:
        dunning.daily(desk, {})

    def choose(self, desk: Desk) -> None:
        service = self.one(desk, Service)
        choosing.choose(desk, self.one(desk, account.BillingAccount, account.BillingAccount.customer_id == service.customer_id).id, [service.id])

    def bills(self, period: str, customers: list[str]) -> None:
        """A run, whole or of some, from its begin to its end."""
        key = act(self.office, lambda desk: run.start(desk, period, 1, customers).id, self.clerk)
        run.build(self.office, self.clerk, key)
        act(self.office, lambda desk: run.look_over(desk, key), self.clerk)
        for kind in ("first", "zero", "change", "negative"):
            act(self.office, lambda desk, kind=kind: audit.clear(desk, key, "so be it", kind=kind), self.clerk)         # type: ignore[misc]
        act(self.office, lambda desk: run.approve(desk, key), self.chief)
        issuing.issue_all(self.office, self.clerk, key)

    def finish(self) -> None:
        """What was credited is made anew, and two months more are billed."""
        for _ in range(2):
            self.period = month.after(self.period)
            self.clock.forward(days=31)
            self.bills(self.period, [])
        with self.office.reading() as desk:
            gone = sorted({(row.period, row.customer_id) for row in desk.session.scalars(select(Bill).where(Bill.credited.is_(True)))})
        for period, one in gone:
            self.bills(period, [one])

    def step(self) -> None:
        name = self.chance.choice(["pay", "pay", "bounce", "use", "ask", "refund", "refund", "write", "decide", "decide", "give_up", "off", "off", "dun",
                                   "choose", "anew", "anew", "month"])
        try:
            if name == "month":
                self.period = month.after(self.period)
                self.clock.forward(days=31)
                self.bills(self.period, [])
            elif name == "anew":
                with self.office.reading() as desk:
                    row = self.one(desk, Bill, Bill.credited.is_(True))
                self.bills(row.period, [row.customer_id])
            else:
                who = self.chief if name in ("decide", "refund", "off") else self.clerk
                who = who if name != "off" else Actor(self.chief.id, self.chief.login, frozenset({"billing", "manager"}))
                act(self.office, getattr(self, name), who)
            self.done[name] += 1
        except Refusal:
            pass


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
@pytest.mark.parametrize("seed", range(8))
def test_the_journal_is_what_bills_and_payments_say_whatever_is_done(office: Office, clock: Any, seed: int) -> None:
    sold(office)
    walk = Walk(office, clock, seed)
    for n in range(3):
        one = customer(office, f"K{n}")
        services = [serving(office, one, "2026-09-10", name) for name in ("home-100", "line-b")]

        def lay(desk: Desk, one: str = one, services: list[str] = services, n: int = n) -> None:
            for _ in range(1 + (n > 0)):
                account.open_(desk, one)
            rated(desk, one, services[0], "traffic", "6.003", period="2026-11")
            if n:
                credit(desk, one, services[0], "2026-10", "60000.00" if n == 2 else "40.00")
        act(office, lay)
    walk.bills(walk.period, [])
    for _ in range(90):
        walk.step()
        with office.reading() as desk:
            checked(desk)
    walk.finish()
    with office.reading() as desk:
        checked(desk)
        whole(desk, walk.period)
    assert walk.done["pay"] and sum(walk.done.values()) > 20, dict(walk.done)
