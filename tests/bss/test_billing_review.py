"""What a second look at bills and payments found, one test a fault: whose a payment is, bills that owe something, who sends a credit, months not closed."""
from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from sqlalchemy import select

from bss.billing import account, bill, issuing, matching, payment, run
from bss.office import Office
from bss.parties import finding
from bss.refusal import Refusal
from bss.tables import Bill, CreditNote, Customer, Party, Payment, UsageHour
from tests.bss.paying import bills, issued, lines, made, people, serving
from tests.bss.selling import act, customer, person, records, sold
from tests.bss.test_billing_joints import credit, rated
from tests.bss.test_billing_payments import balanced, bank, owing, state


def called(office: Office, number: str, name: str) -> None:
    """A customer has this name, and is found by it."""
    def change(desk: Any) -> None:
        party = desk.session.get_one(Party, desk.session.scalar(select(Customer.party_id).where(Customer.number == number)))
        party.name = name
        finding.index(desk, party.id)
    act(office, change)


def brought(office: Office, *rows: str) -> dict[str, int]:
    return act(office, lambda desk: matching.bring(desk, bank(*rows)))


def test_a_name_that_is_almost_the_same_pays_nobodys_bill(office: Office) -> None:
    row = owing(office, "K1")[0]
    called(office, "K1", "中国工商银行股份有限公司贵阳分行")
    assert matching.alike("中国工商银行股份有限公司贵阳分行", "中国工商银行股份有限公司贵州分行") > 92
    assert brought(office, "T1,2026-12-05,179.00,中国工商银行股份有限公司贵州分行,")["suggested"] == 1 and state(office, row.id)[0] == "sent"
    assert brought(office, "T2,2026-12-05,179.00,中国工商银行股份有限公司 贵阳分行,")["posted"] == 1 and state(office, row.id)[0] == "settled"


@pytest.mark.both
def test_a_name_that_two_customers_have_pays_nobodys_bill_also_where_one_alone_owes(office: Office) -> None:
    row = owing(office, "K1")[0]
    customer(office, "K2", region="遵义")
    for number in ("K1", "K2"):
        called(office, number, "张伟")
    assert brought(office, "T1,2026-12-05,179.00,张伟,")["suggested"] == 1 and state(office, row.id)[0] == "sent"


def test_more_bills_of_one_amount_than_are_compared_are_for_a_person(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    owing(office, "K1", "K2")
    called(office, "K1", "甲公司")
    called(office, "K2", "甲公司")
    monkeypatch.setattr(matching, "NAMES", 0)
    monkeypatch.setattr(matching, "_called", lambda *_: 1)
    assert brought(office, "T1,2026-12-05,179.00,甲公司,")["posted"] == 0


def test_the_beginning_of_a_longer_number_is_no_bill(office: Office) -> None:
    one, two = owing(office, "K1", "K2")
    assert brought(office, f"T1,2026-12-05,50.00,谁,{one.number}1")["received"] == 1 and state(office, one.id)[0] == "sent"
    # of two numbers one is no bill that is open: what is for it is not known
    assert brought(office, f"T2,2026-12-05,300.00,谁,{two.number} ZD9999999999")["suggested"] == 1 and state(office, two.id)[0] == "sent"
    assert brought(office, f"T3,2026-12-05,100.00,谁,付{two.number}款")["posted"] == 1 and state(office, two.id) == ("partiallyPaid", D("100.00"))


def test_a_payment_of_just_one_bill_of_an_account_pays_that_bill(office: Office, clock: Any) -> None:
    first = owing(office, "K1")[0]
    clock.forward(days=31)
    second = issued(office, "2026-12")[0]
    with office.reading() as desk:
        number = desk.session.get_one(account.BillingAccount, first.account_id).number
    assert second.gross == D("79.00") and brought(office, f"T1,2027-01-05,79.00,谁,{number}")["posted"] == 1
    assert (state(office, first.id)[0], state(office, second.id)[0]) == ("sent", "settled")


def test_two_bills_that_were_suggested_together_are_paid_together(office: Office, clock: Any) -> None:
    first = owing(office, "K1")[0]
    clock.forward(days=31)
    second = issued(office, "2026-12")[0]
    assert brought(office, f"T1,2027-01-05,260.00,谁,{first.number} {second.number}")["suggested"] == 1
    with office.reading() as desk:
        key = desk.session.scalars(select(Payment.id)).one()
    act(office, lambda desk: matching.confirm(desk, key))
    assert (state(office, first.id)[0], state(office, second.id)[0]) == ("settled", "settled")


@pytest.mark.both
def test_a_bill_that_owed_something_and_is_credited_gives_it_once(office: Office, clock: Any) -> None:
    sold(office)
    one = customer(office)
    service = serving(office, one, "2026-10-01", "home-100")
    issued(office)
    act(office, lambda desk: credit(desk, one, service, "2026-11", "500.00"))
    clock.forward(days=31)
    found = issued(office, "2026-12")[0]
    assert found.gross < 0
    clerk, chief = people(office)
    note = act(office, lambda desk: bill.write_credit(desk, found.id, "wrong buyer"), clerk)
    act(office, lambda desk: bill.decide_credit(desk, note.id, True), chief)
    with office.reading() as desk:
        assert account.balance(desk, found.account_id) == 0
    assert balanced(office).get("advance", D(0)) == 0
    again = issued(office, "2026-12", customers=[one])[0]
    with office.reading() as desk:
        assert again.gross == found.gross and account.balance(desk, found.account_id) == -found.gross
    assert balanced(office)["advance"] == found.gross
    # once it was given back, the bill that owed it can't be taken back
    with office.reading() as desk:
        key = desk.session.scalars(select(Payment.id).where(Payment.source == f"credit/{again.id}")).one()
    act(office, lambda desk: payment.ask_refund(desk, key, -again.gross, "he leaves"), clerk)
    note = act(office, lambda desk: bill.write_credit(desk, again.id, "wrong buyer"), clerk)
    with pytest.raises(Refusal, match="of it was given back, or is about to be"):
        act(office, lambda desk: bill.decide_credit(desk, note.id, True), chief)
    with office.reading() as desk:
        assert desk.session.get_one(CreditNote, note.id).state == "draft" and not desk.session.get_one(Bill, again.id).credited
        assert records(desk, "credit_note", note.id)[0][0].action == "credit_note.decide.refused"


@pytest.mark.parametrize("size", ["few", "whole"])
def test_who_may_not_apply_credits_is_told_before_anything_is_sent(office: Office, clock: Any, size: str) -> None:
    sold(office)
    one = customer(office)
    service = serving(office, one, "2026-10-01", "line-b")
    act(office, lambda desk: credit(desk, one, service, "2026-10", "400.00"))
    clerk, manager = person(office, "clerk", "billing"), person(office, "manager", "manager")
    key = made(office, customers=[one] if size == "few" else [], actor=clerk)
    act(office, lambda desk: run.approve(desk, key), manager)
    for how in (lambda desk: issuing.take(desk, key, "issue"), lambda desk: bill.move(desk, bills(office, key)[0].id, "sent")):
        with pytest.raises(Refusal, match="1 SLA credits stand on what would be sent.*'credit.apply'.*billing send it"):
            act(office, how, manager)
    with pytest.raises(Refusal, match="'credit.apply'"):
        issuing.issue_all(office, manager, key)
    with office.reading() as desk:
        assert bills(office, key)[0].number is None and run.find(desk, key).state == "approved" and desk.session.query(run.job.Job).count() == 0
        assert {row.action for row, _ in records(desk, "bill_run", key)} >= {"bill_run.issue.refused"}
    # nor does he who approved the credit send it
    both = person(office, "both", "billing", "manager")

    def approved_by(desk: Any) -> None:
        desk.session.query(issuing.Credit).one().decided_by = both.id
    act(office, approved_by)
    with pytest.raises(Refusal, match="takes a second person beside who approved it"):
        issuing.issue_all(office, both, key)
    issuing.issue_all(office, clerk, key)
    assert bills(office, key)[0].state == "sent"


def test_who_began_or_wrote_it_does_not_approve_it_and_that_he_tried_is_on_record(office: Office) -> None:
    sold(office)
    serving(office, customer(office), "2026-11-10")
    boss = person(office, "boss", "billing", "manager")
    key = made(office, actor=boss)
    with pytest.raises(Refusal, match="takes a second person"):
        act(office, lambda desk: run.approve(desk, key), boss)
    act(office, lambda desk: run.approve(desk, key))
    issuing.issue_all(office, boss, key)
    note = act(office, lambda desk: bill.write_credit(desk, bills(office, key)[0].id, "wrong"), boss)
    with pytest.raises(Refusal, match="takes a second person"):
        act(office, lambda desk: bill.decide_credit(desk, note.id, True), boss)
    with office.reading() as desk:
        said = {(row.entity, row.action) for entity in ("bill_run", "credit_note") for row, _ in records(desk, entity)}
        assert {("bill_run", "bill_run.approve.refused"), ("credit_note", "credit_note.decide.refused")} <= said


def test_an_amount_in_parts_of_a_cent_pays_nothing_and_our_own_names_are_taken(office: Office) -> None:
    row = owing(office, "K1")[0]
    paid = act(office, lambda desk: payment.enter(desk, D("500.00"), account_id=row.account_id))
    for amount in (D("0.001"), D("-1"), D("0")):
        with pytest.raises(Refusal, match="no amount that is paid"):
            act(office, lambda desk, amount=amount: payment.use(desk, paid.id, row.id, amount))         # type: ignore[misc]
    for source in (f"credit/{row.id}", "write_off/V1", " entry/P1"):
        with pytest.raises(Refusal, match="what our own payments are known by"):
            act(office, lambda desk, source=source: payment.enter(desk, D("1.00"), account_id=row.account_id, source=source))         # type: ignore[misc]


def test_what_was_not_known_at_first_and_is_known_now_keeps_no_bill_on_hold(office: Office) -> None:
    sold(office)
    one, two, three = (customer(office, f"K{n}") for n in range(3))

    def lay(desk: Any) -> None:
        for owner, told in ((one, [("0", "nothing is known"), ("8000", "")]), (two, [("7000", "600 of 8640 slots are not known"), ("0", "")]),
                            (three, [("8000", ""), ("-100", "600 of 8640 slots are not known")])):
            for revision, (amount, hold) in enumerate(told, 1):
                rated(desk, owner, services[owner], "burst", amount, unit="Mbps", revision=revision, **({"hold": hold} if hold else {}))
    services = {owner: serving(office, owner, "2026-10-01", "home-100") for owner in (one, two, three)}
    act(office, lay)
    found = {row.customer_id: row for row in bills(office, made(office))}
    assert {owner: row.state for owner, row in found.items()} == {one: "new", two: "new", three: "onHold"}
    assert [(line.kind, line.amount) for line in lines(office, found[one].id) if line.kind == "percentile"] == [("percentile", D("8000.00"))]


def test_a_month_whose_percentiles_are_not_measured_is_not_billed(office: Office) -> None:
    sold(office)
    one = customer(office)
    service = serving(office, one, "2026-10-01", "line-burst")
    office.settings = office.settings.model_copy(update={"store": "chdb:///nowhere"})

    def measured(desk: Any) -> None:
        """Since the middle of November hours are rated."""
        desk.add(UsageHour(hour=desk.now - timedelta(days=15), probe="p", capture="0", revision=1, digest="x", rows=1, bytes=1, rated=desk.now))
    act(office, measured)
    assert act(office, lambda desk: run.start(desk, "2026-10").id)          # nobody has measured it
    with pytest.raises(Refusal, match="the usage of 2026-11 is not closed"):
        act(office, lambda desk: run.start(desk, "2026-11"))

    other = customer(office, "K2")
    serving(office, other, "2026-10-01", "home-100")                        # who is not paid by what he uses need not wait
    assert act(office, lambda desk: run.start(desk, "2026-11", customers=[other]).id)
    with pytest.raises(Refusal, match="is not closed"):
        act(office, lambda desk: run.start(desk, "2026-11", customers=[one]))

    def close(desk: Any) -> None:
        from bss.rating import closing
        rated(desk, one, service, "burst", "8000", unit="Mbps")
        closing._mark(desk, "2026-11", 1)
    act(office, close)
    assert {row.customer_id: row.gross for row in bills(office, made(office))}[one] == D("8000.00")
