"""What others know on a bill: rated totals and late ones, what keeps a bill on hold, SLA credits on the next bill, windows of suspensions."""
from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest
from sqlalchemy import select

from bss.billing import bill, dunning, issuing, joints, payment, run
from bss.desk import Desk
from bss.office import Office
from bss.people.scope import Actor
from bss.refusal import Refusal
from bss.services import inventory
from bss.tables import Bill, BillLine, Credit, Outbox, RatedCharge, SlaMonth, Window
from bss.tickets.window import excluded
from tests.bss.paying import bills, issued, lines, made, people, serving
from tests.bss.selling import act, customer, sold


def rated(desk: Desk, customer_id: str, service_id: str, key: str, amount: str, period: str = "2026-11", original: str = "", revision: int = 1,
          state: str = "closed", unit: str = "GB", **evidence: Any) -> str:
    return desk.add(RatedCharge(
        customer_id=customer_id, service_id=service_id, period=period, original_period=original or period, price_key=key, revision=revision,
        name={"en": key, "zh": key}, unit=unit, bytes=2_000_000_001, quantity=D("2.001"), amount=D(amount), currency="CNY", tax="inclusive",
        tax_rate=D("0.09"), evidence={"services": [service_id], **evidence}, state=state, made=desk.now)).id


def credit(desk: Desk, customer_id: str, service_id: str, month: str, amount: str) -> str:
    of = {"service_id": service_id, "customer_id": customer_id, "region": "贵阳", "month": month}
    desk.add(SlaMonth(**of, verdict="breached", total=43200, down=95, state="closed", closed=desk.now, measured_until=desk.now, made=desk.now))
    return desk.add(Credit(**of, state="approved", amount=D(amount), currency="CNY", tax_mode="exclusive", tax_rate=D("0.06"),
                           evidence={"down_minutes": 95}, drafted=desk.now)).id


@pytest.mark.both
def test_rated_totals_are_rounded_on_the_line_and_billed_once(office: Office, clock: Any) -> None:
    sold(office)
    one = customer(office)
    service = serving(office, one, "2026-10-01", "home-100")

    def lay(desk: Desk) -> list[str]:
        return [rated(desk, one, service, "traffic", "6.003000"), rated(desk, one, service, "late", "1.004999", original="2026-10", revision=2),
                rated(desk, one, service, "burst", "5280", unit="Mbps", k=8208, n=8640)]
    keys = act(office, lay)
    found = issued(office)[0]
    rows = {row.price_key: row for row in lines(office, found.id)}
    assert (rows["traffic"].kind, rows["traffic"].amount, rows["traffic"].evidence["exact"]) == ("usage", D("6.00"), "6.003000")
    assert (rows["late"].amount, rows["late"].original_period) == (D("1.00"), "2026-10")
    assert rows["burst"].kind == "percentile" and rows["burst"].evidence["k"] == 8208
    with office.reading() as desk:
        assert {(row.state, row.bill_id) for row in desk.session.scalars(select(RatedCharge).where(RatedCharge.id.in_(keys)))} == {("billed", found.id)}
    clock.forward(days=31)
    assert [row.kind for row in lines(office, issued(office, "2026-12")[0].id)] == ["recurring"]
    # taken back and made anew, the bill has them again, and only it
    clerk, chief = people(office)
    note = act(office, lambda desk: bill.write_credit(desk, found.id, "wrong buyer"), clerk)
    act(office, lambda desk: bill.decide_credit(desk, note.id, True), chief)
    again = issued(office, customers=[one])[0]
    assert again.gross == found.gross and {row.price_key for row in lines(office, again.id)} == {row.price_key for row in lines(office, found.id)}


def test_a_month_whose_usage_is_not_closed_is_not_billed_and_what_is_unknown_holds_the_bill(office: Office) -> None:
    sold(office)
    one, two = customer(office, "K1"), customer(office, "K2")
    service, other = serving(office, one, "2026-10-01", "home-100"), serving(office, two, "2026-10-01", "home-100")
    key = act(office, lambda desk: rated(desk, one, service, "traffic", "6.00", state="provisional"))
    with pytest.raises(Refusal, match="1 rated charges of 2026-11 are not closed"):
        act(office, lambda desk: run.start(desk, "2026-11"))

    def close(desk: Desk) -> None:
        desk.session.get_one(RatedCharge, key).state = "closed"
        rated(desk, two, other, "burst", "0", unit="Mbps", hold="6.1 % of the slots are unknown")
    act(office, close)
    found = {row.customer_id: row for row in bills(office, made(office))}
    assert found[one].state == "new" and (found[two].state, found[two].reason) == ("onHold", "6.1 % of the slots are unknown")


@pytest.mark.both
def test_an_approved_credit_stands_on_the_next_bill_and_is_applied_with_it(office: Office, clock: Any) -> None:
    sold(office)
    one = customer(office)
    service = serving(office, one, "2026-10-01", "line-b")
    first = issued(office)[0]
    key = act(office, lambda desk: credit(desk, one, service, "2026-11", "400.00"))
    assert first.net == D("8000.00")            # 6,000 a month and 2,000 once
    clock.forward(days=31)
    clerk, chief = people(office)
    run_id = made(office, "2026-12", actor=clerk)
    line = next(row for row in lines(office, bills(office, run_id)[0].id) if row.kind == "credit")
    assert (line.amount, line.tax, line.original_period, line.source) == (D("-400.00"), D("-24.00"), "2026-11", f"credit/{key}")
    act(office, lambda desk: run.approve(desk, run_id), chief)
    with pytest.raises(Refusal, match="credit.apply"):
        issuing.issue_all(office, Actor(chief.id, chief.login, frozenset({"manager"})), run_id)
    with office.reading() as desk:
        assert desk.session.get_one(Credit, key).state == "approved" and bills(office, run_id)[0].number is None
    issuing.issue_all(office, clerk, run_id)
    with office.reading() as desk:
        row, sent = desk.session.get_one(Credit, key), bills(office, run_id)[0]
        assert (row.state, row.bill_id, row.line_number) == ("applied", sent.id, line.number) and sent.gross == D("5936.00")
        assert desk.session.scalar(select(Outbox.id).where(Outbox.type == "fullspan.credit.stateChange", Outbox.subject == key))
        assert list(joints.credits(desk, [one], run.period_of("2027-01").begin)) == []


def test_where_a_bill_comes_to_less_than_nothing_it_is_a_balance_to_give_back(office: Office, clock: Any) -> None:
    sold(office)
    one = customer(office)
    service = serving(office, one, "2026-10-01", "home-100", steps=[("terminated", "2026-11-01", "")])
    act(office, lambda desk: credit(desk, one, service, "2026-10", "500.00"))
    clock.forward(hours=1)
    found = issued(office)[0]
    assert found.gross < 0 and found.state == "settled"
    with office.reading() as desk:
        from bss.billing.account import balance
        assert balance(desk, found.account_id) == -found.gross
        assert {row.kind for row in bill.lines_of(desk, found.id)} >= {"credit", "penalty"}
        key = desk.session.scalar(select(payment.Payment.id).where(payment.Payment.account_id == found.account_id))
    asked = act(office, lambda desk: payment.ask_refund(desk, str(key), -found.gross, "the last bill"))
    assert asked.amount == -found.gross
    with pytest.raises(Refusal, match="credit the bill|given back"):
        act(office, lambda desk: payment.reverse(desk, str(key), "x"))


def test_a_suspension_for_non_payment_excludes_its_minutes_until_it_is_paid(office: Office, clock: Any) -> None:
    sold(office)
    one = customer(office)
    service = serving(office, one, "2026-11-01", "home-100")
    found = issued(office)[0]
    clerk, chief = people(office)
    for _day in range(46):
        clock.forward(days=1)
        act(office, lambda desk: dunning.daily(desk, {}))
    with office.reading() as desk:
        case = desk.session.scalars(select(dunning.DunningCase)).one()
    act(office, lambda desk: dunning.move(desk, case.id, "suspended"), chief)
    begun = office.clock()
    clock.forward(hours=5)
    act(office, lambda desk: payment.enter(desk, found.gross, account_id=found.account_id), clerk)
    act(office, lambda desk: dunning.resume(desk, {"case": case.id}))
    clock.forward(hours=5)
    with office.reading() as desk:
        row = desk.session.scalars(select(Window).where(Window.kind == "nonpayment")).one()
        assert (row.state, row.approved_by, row.evidence) == ("approved", chief.id, {"dunning": case.id})
        spells = excluded(desk, [service], begun, office.clock())[service]
        assert [(spell.until - spell.since).total_seconds() for spell in spells] == [5 * 3600]
        assert desk.session.get_one(Bill, found.id).state == "settled" and desk.session.query(BillLine).count() == 2


@pytest.mark.both
def test_a_service_that_is_active_again_by_another_way_is_owed_its_minutes_and_the_others_are_not(office: Office, clock: Any) -> None:
    sold(office)
    one = customer(office)
    first, second = serving(office, one, "2026-11-01", "home-100"), serving(office, one, "2026-11-01", "home-100")
    found = issued(office)[0]
    clerk, chief = people(office)
    for _day in range(46):
        clock.forward(days=1)
        act(office, lambda desk: dunning.daily(desk, {}))
    with office.reading() as desk:
        case = desk.session.scalars(select(dunning.DunningCase)).one()
    act(office, lambda desk: dunning.move(desk, case.id, "suspended"), chief)
    begun = office.clock()
    for service, hours in ((first, 5), (second, 10)):
        clock.forward(hours=5)
        act(office, lambda desk, service=service: inventory.move(desk, service, "active", "he asked"))         # type: ignore[misc]
        with office.reading() as desk:
            spells = excluded(desk, [first, second], begun, office.clock())
            assert [(spell.until - spell.since).total_seconds() for spell in spells[service]] == [hours * 3600]
    clock.forward(hours=5)
    act(office, lambda desk: payment.enter(desk, found.gross, account_id=found.account_id), clerk)
    act(office, lambda desk: dunning.resume(desk, {"case": case.id}))
    with office.reading() as desk:
        spells = excluded(desk, [first, second], begun, office.clock())
        assert [[(spell.until - spell.since).total_seconds() for spell in spells[key]] for key in (first, second)] == [[5 * 3600], [10 * 3600]]
