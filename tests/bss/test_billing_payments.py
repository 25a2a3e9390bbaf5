"""Payments and what they pay: entered, matched out of a bank's file, taken back, given back; balances, ageing, a journal that is balanced."""
from __future__ import annotations

from datetime import date
from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from bss.billing import account, ageing, journal, matching, payment, settling
from bss.office import Office
from bss.refusal import Refusal
from bss.running import reading
from bss.tables import Bill, BillingAccount, Customer, JournalEntry, Party, Payment, PaymentMatch, Refund
from tests.bss.paying import issued, people, serving
from tests.bss.selling import act, customer, sold

CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])          # how fast the machine is is not what is asked


def owing(office: Office, *numbers: str, offering: str = "home-100") -> list[Bill]:
    """A bill of each of these customers: 79.00 a month and 100.00 once, from the first of the month on."""
    sold(office)
    for one in numbers:
        serving(office, customer(office, one), "2026-11-01", offering)
    with office.reading() as desk:
        order = {row.id: row.number for row in desk.session.scalars(select(Customer))}
    return sorted(issued(office), key=lambda row: order[row.customer_id])


def state(office: Office, bill_id: str) -> tuple[str, D]:
    with office.reading() as desk:
        row = desk.session.get_one(Bill, bill_id)
        return row.state, row.paid


def balanced(office: Office) -> dict[str, D]:
    """What each account of the journal comes to, debits above zero; each posting is balanced."""
    found: dict[str, D] = {}
    postings: dict[str, D] = {}
    with office.reading() as desk:
        for row in desk.session.scalars(select(JournalEntry)):
            found[row.account] = found.get(row.account, D(0)) + row.debit - row.credit
            postings[row.posting] = postings.get(row.posting, D(0)) + row.debit - row.credit
    assert not any(postings.values()) and sum(found.values()) == 0
    return {name: amount for name, amount in found.items() if amount}


@pytest.mark.both
def test_a_payment_pays_the_oldest_and_what_is_too_much_is_a_balance(office: Office) -> None:
    one = owing(office, "K1")[0]
    part = act(office, lambda desk: payment.enter(desk, D("100.00"), account_id=one.account_id))
    assert state(office, one.id) == ("partiallyPaid", D("100.00"))
    rest = act(office, lambda desk: payment.enter(desk, D("200.00"), account_id=one.account_id, source="CMB-1", payer="云上公司"))
    assert state(office, one.id) == ("settled", D("179.00"))
    with office.reading() as desk:
        assert account.balance(desk, one.account_id) == D("121.00") and account.owed(desk, one.account_id) == 0
    assert balanced(office) == {"bank": D("300.00"), "advance": D("-121.00"), "revenue.recurring": D("-72.48"), "revenue.one_time": D("-91.74"),
                                "tax": D("-14.78")}
    with pytest.raises(Refusal, match="was entered already"):
        act(office, lambda desk: payment.enter(desk, D("1.00"), account_id=one.account_id, source="CMB-1"))
    for amount in (D("0"), D("-1"), D("1.001"), D(10) ** 15):
        with pytest.raises(Refusal, match="no amount that is paid"):
            act(office, lambda desk, amount=amount: payment.enter(desk, amount, account_id=one.account_id))         # type: ignore[misc]
    # it bounces: the bill goes one step back, and the balance that came of it is gone
    act(office, lambda desk: payment.reverse(desk, rest.id, "bounced"))
    assert state(office, one.id) == ("partiallyPaid", D("100.00"))
    act(office, lambda desk: payment.reverse(desk, part.id, "bounced"))
    assert state(office, one.id) == ("sent", D(0)) and balanced(office)["receivable"] == D("179.00") and "bank" not in balanced(office)
    with pytest.raises(Refusal, match="it is reversed already"):
        act(office, lambda desk: payment.reverse(desk, part.id, "again"))


def test_what_is_prepaid_pays_the_next_bill(office: Office, clock: Any) -> None:
    one = owing(office, "K1")[0]
    act(office, lambda desk: account.change(desk, one.account_id, kind="prepaid"))
    act(office, lambda desk: payment.enter(desk, D("300.00"), account_id=one.account_id, method="cash"))
    clock.forward(days=31)
    following = issued(office, "2026-12")[0]
    assert (following.state, following.paid) == ("settled", D("79.00"))
    with office.reading() as desk:
        assert account.balance(desk, one.account_id) == D("42.00")


def test_a_refund_takes_two_people_and_what_is_left(office: Office) -> None:
    one = owing(office, "K1")[0]
    clerk, chief = people(office)
    row = act(office, lambda desk: payment.enter(desk, D("200.00"), account_id=one.account_id), clerk)
    with pytest.raises(Refusal, match="has 21.00 left"):
        act(office, lambda desk: payment.ask_refund(desk, row.id, D("21.01"), "paid too much"), clerk)
    asked = act(office, lambda desk: payment.ask_refund(desk, row.id, D("20.00"), "paid too much"), clerk)
    with pytest.raises(Refusal, match="has 1.00 left"):
        act(office, lambda desk: payment.ask_refund(desk, row.id, D("2.00"), "again"), clerk)
    with pytest.raises(Refusal, match="payment.approve"):
        act(office, lambda desk: payment.move_refund(desk, asked.id, "approved"), clerk)
    with pytest.raises(Refusal, match="can't become paid; it can become approved, rejected"):
        act(office, lambda desk: payment.move_refund(desk, asked.id, "paid"), clerk)
    act(office, lambda desk: payment.move_refund(desk, asked.id, "approved"), chief)
    with pytest.raises(Refusal, match="20.00 of it was given back"):
        act(office, lambda desk: payment.reverse(desk, row.id, "bounced"), clerk)
    act(office, lambda desk: payment.move_refund(desk, asked.id, "paid"), clerk)
    assert balanced(office)["bank"] == D("180.00") and balanced(office)["advance"] == D("-1.00")
    own = act(office, lambda desk: payment.ask_refund(desk, row.id, D("1.00"), "the rest"), chief)
    with pytest.raises(Refusal, match="takes a second person"):
        act(office, lambda desk: payment.move_refund(desk, own.id, "approved"), chief)
    act(office, lambda desk: payment.move_refund(desk, own.id, "rejected", "he wants it kept"))
    with office.reading() as desk:
        assert account.balance(desk, one.account_id) == D("1.00") and {two.state for two in desk.session.scalars(select(Refund))} == {"paid", "rejected"}


def bank(*rows: str) -> Any:
    head = "交易流水号,交易日期,金额,对方户名,摘要"
    return reading.parse("\n".join((head, *rows)).encode("gb18030"), "bank.csv", matching.COLUMNS)


def named(office: Office, number: str, name: str) -> None:
    def change(desk: Any) -> None:
        party = desk.session.get_one(Party, desk.session.scalar(select(Customer.party_id).where(Customer.number == number)))
        party.name = name
    act(office, change)


@pytest.mark.both
def test_a_banks_file_is_matched_by_number_account_and_name(office: Office) -> None:
    rows = owing(office, "K1", "K2", "K3", "K4", "K5")
    for number, name in (("K1", "甲公司"), ("K2", "贵州云上数据有限公司"), ("K3", "贵阳花溪酒店管理有限公司"), ("K4", "贵阳花溪酒店管理公司"), ("K5", "别的")):
        named(office, number, name)
    with office.reading() as desk:
        third = desk.session.get_one(BillingAccount, rows[2].account_id).number
        third_bill, fourth = rows[2].number, rows[3].number
    sheet = bank(f"T1,2026-12-05,179.00,不认识,电信费 {rows[0].number}",
                 "T2,2026/12/06,179.00,贵州云上数据有限公司,", f"T3,2026-12-06,179.00,某人,{third} 11月",
                 "T4,2026-12-07,179.00,贵阳花溪酒店管理,", "T5,2026-12-08,5.00,谁,", "T6,2026-12-08,200.00,张三,K5 话费")
    told = act(office, lambda desk: matching.bring(desk, sheet))
    assert told == {"posted": 3, "suggested": 2, "received": 1, "known": 0}, told
    assert [state(office, one.id)[0] for one in rows] == ["settled", "settled", "settled", "sent", "sent"]
    assert act(office, lambda desk: matching.bring(desk, sheet))["known"] == 6
    with office.reading() as desk:
        waiting = {one.source: one for one in desk.session.scalars(select(Payment).where(Payment.state != "posted"))}
        assert third_bill and waiting["bank/T5"].state == "received" and waiting["bank/T4"].suggestion[0]["bill"] == rows[3].id
        assert 75 <= waiting["bank/T4"].suggestion[0]["score"] < 100 and waiting["bank/T6"].suggestion[0]["by"] == "customer"
    confirmed = act(office, lambda desk: matching.confirm(desk, waiting["bank/T4"].id))
    assert confirmed.state == "posted" and state(office, rows[3].id)[0] == "settled" and fourth
    act(office, lambda desk: matching.confirm(desk, waiting["bank/T6"].id))
    with office.reading() as desk:
        assert account.balance(desk, rows[4].account_id) == D("21.00")
    with pytest.raises(Refusal, match="it is said whose the payment is"):
        act(office, lambda desk: matching.confirm(desk, waiting["bank/T5"].id))
    with pytest.raises(Refusal, match="bank.csv:3: .*no amount; nothing|bank.csv:3"):
        act(office, lambda desk: matching.bring(desk, bank("T8,2026-12-08,1.00,谁,", "T9,2026-12-08,viel,谁,")))
    with office.reading() as desk:
        assert desk.session.scalar(select(Payment.id).where(Payment.source == "bank/T8")) is None
    balanced(office)


def test_two_bills_of_one_amount_and_name_are_for_a_person(office: Office) -> None:
    owing(office, "K1", "K2")           # both are called the same
    told = act(office, lambda desk: matching.bring(desk, bank("T1,2026-12-05,179.00,云上公司,")))
    assert told["suggested"] == 1 and matching.alike("云上公司", "（云上）公司") == 100.0 and matching.alike("", "x") == 0.0


def test_the_ageing_report_has_what_is_open_by_days_overdue(office: Office, clock: Any) -> None:
    rows = owing(office, "K1", "K2")
    act(office, lambda desk: payment.enter(desk, D("79.00"), account_id=rows[0].account_id))
    assert rows[0].due == date(2026, 12, 16)
    for day, band in ((date(2026, 12, 16), "current"), (date(2026, 12, 17), "1-30"), (date(2027, 1, 15), "1-30"), (date(2027, 1, 16), "31-60"),
                      (date(2027, 2, 15), "61-90"), (date(2027, 3, 17), "90+")):
        with office.reading() as desk:
            found = ageing.report(desk, day)
        assert [(one["open"], one[band]) for one in found] == [(D("179.00"), D("179.00")), (D("100.00"), D("100.00"))], day


def test_a_match_takes_no_more_than_there_is(office: Office) -> None:
    one, two = owing(office, "K1", "K2")
    row = act(office, lambda desk: payment.enter(desk, D("200.00"), account_id=one.account_id))
    with pytest.raises(Refusal, match="another account's"):
        act(office, lambda desk: payment.use(desk, row.id, two.id))
    with pytest.raises(Refusal, match="the bill is settled"):
        act(office, lambda desk: payment.use(desk, row.id, one.id))
    with pytest.raises(Refusal, match="no open bill"):
        act(office, lambda desk: payment.enter(desk, D("1.00"), account_id=one.account_id, bill_ids=[two.id]))
    with office.reading() as desk:
        assert desk.session.query(PaymentMatch).count() == 1 and settling.left_of(desk.session.get_one(Payment, row.id)) == D("21.00")


KINDS = ("recurring", "one_time", "usage", "percentile", "credit", "adjustment", "penalty")


@CALM
@given(st.dictionaries(st.sampled_from(KINDS), st.integers(-10 ** 8, 10 ** 8).map(lambda cents: D(cents).scaleb(-2)), min_size=1),
       st.integers(-10 ** 7, 10 ** 7).map(lambda cents: D(cents).scaleb(-2)))
def test_every_posting_of_a_bill_is_balanced_and_so_is_its_reversal(net: dict[str, D], tax: D) -> None:
    sides = journal.of_bill(sum(net.values(), D(0)) + tax, tax, net)
    there, back = journal.lines("bill/x", sides), journal.lines("credit_note/x", journal.turned(sides))
    for rows in (there, back):
        assert sum((row["debit"] for row in rows), D(0)) == sum((row["credit"] for row in rows), D(0))
        assert all(row["debit"] >= 0 and row["credit"] >= 0 and (row["debit"] > 0) != (row["credit"] > 0) for row in rows)
    assert [(row["account"], row["debit"]) for row in there] == [(row["account"], row["credit"]) for row in back]
    if tax or any(net.values()):
        with pytest.raises(ValueError, match="not balanced"):
            journal.lines("x", [*sides, journal.Side("bank", D("0.01"))])
