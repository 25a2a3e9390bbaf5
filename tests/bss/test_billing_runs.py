"""A run of bills: what is charged and once, the audit, the second person, numbers, the bill that is made again."""
from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest
from sqlalchemy import select

from bss.billing import account, audit, bill, issuing, journal, making, run
from bss.office import Office
from bss.refusal import Refusal
from bss.tables import AuditRow, Bill, BillFinding, BillingAccount, BillLine, BillRun, CreditNote, JournalEntry, Outbox
from tests.bss.paying import bills, completed, issued, lines, made, people, said, serving, step
from tests.bss.selling import act, customer, records, sold


def test_a_month_of_every_kind_of_recurring_charge(office: Office) -> None:
    sold(office)
    whole, part, changed, stood, gone, base, home = (customer(office, f"K{n}") for n in range(7))
    serving(office, whole, "2026-10-01")
    serving(office, part, "2026-11-10")
    moved = serving(office, changed, "2026-10-01", "home-100")
    act(office, lambda desk: completed(desk, changed, moved, "home-500", "2026-11-12", action="modify", change="price"))
    serving(office, stood, "2026-10-01", steps=[("inactive", "2026-11-11", "customer"), ("active", "2026-11-21", "")])
    serving(office, gone, "2026-01-05", "line-b", steps=[("terminated", "2026-11-16", "")])
    serving(office, base, "2026-06-01", imported=True)
    act(office, lambda desk: completed(desk, home, None, "family-199", "2026-10-05"))
    account_id = act(office, lambda desk: account.open_(desk, home, kind="postpaid").id)
    found = {one.customer_id: one for one in bills(office, made(office))}
    assert found[home].account_id == account_id and len(found) == 7
    assert said(office, found[whole].id) == [("recurring", "port", "8000.00"), ("one_time", "setup", "3000.00")]
    assert (found[whole].net, found[whole].tax, found[whole].gross) == (D("11000.00"), D("660.00"), D("11660.00"))
    assert said(office, found[part].id) == [("recurring", "port", "5600.00"), ("one_time", "setup", "3000.00")]           # 21 of 30 days
    # 19 of 30 days left: what is left of the old plan is credited, and the new one charged for it
    assert said(office, found[changed].id) == [("recurring", "access", "79.00"), ("recurring", "access", "69.03"), ("one_time", "setup", "100.00"),
                                               ("adjustment", "access", "-50.03")]
    assert said(office, found[stood].id)[0] == ("recurring", "port", "6666.67")           # 20 days and 10 halves
    lost = {one.kind: one for one in lines(office, found[gone].id)}
    # 15 days of 6,000; of twelve months one and 19 of 30 days are left, of which 30 % are paid
    assert lost["recurring"].amount == D("3000.00") and lost["penalty"].amount == D("2940.00") and lost["penalty"].evidence["months_left"] == "1.633333"
    assert said(office, found[base].id) == [("recurring", "port", "8000.00")] and lines(office, found[base].id)[0].evidence["offering"] == "line-a"
    assert said(office, found[home].id)[0] == ("recurring", "bundle", "199.00")
    assert (found[home].net, found[home].tax) == (D("182.57"), D("16.43"))


def test_the_next_month_charges_nothing_twice(office: Office, clock: Any) -> None:
    sold(office)
    one = customer(office)
    serving(office, one, "2026-11-10")
    first = issued(office)
    clock.forward(days=31)
    second = issued(office, "2026-12")
    assert said(office, second[0].id) == [("recurring", "port", "8000.00")] and [one.number for one in (*first, *second)] == ["ZD0000000001", "ZD0000000002"]
    with office.reading() as desk:
        sources = list(desk.session.scalars(select(BillLine.source)))
        assert len(sources) == len(set(sources)) == 3
    with pytest.raises(Refusal, match="there is a run of 2026-12 already"):
        act(office, lambda desk: run.start(desk, "2026-12"))
    with pytest.raises(Refusal, match="is not known before"):
        act(office, lambda desk: run.start(desk, "2027-01"))


@pytest.mark.both
def test_the_database_refuses_a_second_line_and_a_second_run(office: Office) -> None:
    sold(office)
    serving(office, customer(office), "2026-11-10")
    row = issued(office)[0]

    def twice(desk: Any) -> None:
        line = bill.lines_of(desk, row.id)[0]
        values = {one.key: getattr(line, one.key) for one in BillLine.__table__.columns} | {"number": 99}
        desk.session.add(BillLine(**values))
        desk.session.flush()
    with pytest.raises(Refusal, match="the database refuses it"):
        act(office, twice)
    with pytest.raises(Refusal, match="the database refuses it"):
        act(office, lambda desk: desk.add(BillRun(period="2026-11", anchor=1, whole=True, begun=desk.now)))


def test_a_run_goes_by_two_people_and_by_what_was_found(office: Office, clock: Any) -> None:
    sold(office)
    one, two, free = customer(office, "K1"), customer(office, "K2"), customer(office, "K3")
    serving(office, one, "2026-10-01", "home-100")
    serving(office, two, "2026-10-01", "home-100")
    stood = serving(office, free, "2026-10-01", "home-100")
    issued(office)
    act(office, lambda desk: [step(desk, desk.find(making.Service, stood), to, day, why) for to, day, why in (
        ("inactive", "2026-12-01", "fault"), ("active", "2026-12-31", ""))])
    act(office, lambda desk: completed(desk, two, None, "static-address", "2026-12-05"))
    clock.forward(days=31)
    maker, other = people(office)
    key = act(office, lambda desk: run.start(desk, "2026-12").id, maker)
    with pytest.raises(Refusal, match="can't become approved; it can become built"):
        act(office, lambda desk: run.approve(desk, key), other)
    run.build(office, maker, key)
    assert dict(act(office, lambda desk: run.look_over(desk, key), maker)) == {"change": 2}
    with pytest.raises(Refusal, match="nobody has cleared: 2 change"):
        act(office, lambda desk: run.approve(desk, key), other)
    with office.reading() as desk:
        found = {desk.session.get_one(Bill, row.bill_id).customer_id: row for row in desk.session.scalars(select(BillFinding).where(BillFinding.run_id == key))}
        assert set(found) == {one, free} and found[free].detail["gross"] == "2.55" and found[free].detail["last"] == "179.00"
        assert records(desk, "bill_run", key)[0][0].action == "bill_run.approve.refused"
    with pytest.raises(Refusal, match="a reason is needed"):
        act(office, lambda desk: audit.clear(desk, key, " ", kind="change"), maker)
    act(office, lambda desk: audit.clear(desk, key, "it stood still", [found[free].id]), maker)
    assert dict(act(office, lambda desk: run.look_over(desk, key), maker)) == {"change": 2}           # found again, and cleared still
    act(office, lambda desk: audit.clear(desk, key, "ordered more", kind="change"), maker)
    with pytest.raises(Refusal, match="takes a second person"):
        act(office, lambda desk: run.approve(desk, key), maker)
    with pytest.raises(Refusal, match="the run is audited"):
        act(office, lambda desk: issuing.lot(desk, key), other)
    act(office, lambda desk: run.approve(desk, key), other)
    issuing.issue_all(office, other, key)
    assert [one.state for one in bills(office, key)] == ["sent"] * 3 and act(office, lambda desk: run.find(desk, key)).state == "issued"
    assert act(office, lambda desk: issuing.lot(desk, key), other) == 0


def test_some_bills_are_made_again_before_the_approval(office: Office) -> None:
    sold(office)
    one, two = customer(office, "K1"), customer(office, "K2")
    service = serving(office, one, "2026-11-10")
    serving(office, two, "2026-11-10")
    key = made(office)
    before = {row.customer_id: row for row in bills(office, key)}
    act(office, lambda desk: step(desk, desk.find(making.Service, service), "terminated", "2026-11-20"))
    act(office, lambda desk: run.again(desk, key, [one], "its end was noted late"))
    after = {row.customer_id: row for row in bills(office, key)}
    assert after[two].id == before[two].id and after[one].id != before[one].id and after[one].revision == 2
    assert said(office, after[one].id)[0] == ("recurring", "port", "2666.67")
    with office.reading() as desk:
        assert desk.session.get_one(Bill, before[one].id).state == "void" and run.find(desk, key).state == "built"
        assert not [line for line in bill.lines_of(desk, before[one].id) if line.live]
    act(office, lambda desk: run.cancel(desk, key, "begun too early"))
    assert bills(office, key) == [] and len(bills(office, made(office))) == 2


def test_a_lot_that_is_made_again_makes_nothing_again(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    sold(office)
    monkeypatch.setattr(run, "LOT", 2)
    monkeypatch.setattr(issuing, "LOT", 2)
    for n in range(5):
        serving(office, customer(office, f"K{n}"), "2026-11-10", "home-100")
    key = act(office, lambda desk: run.start(desk, "2026-11").id)
    assert act(office, lambda desk: run.lot(desk, key)) == 2

    def back(desk: Any) -> None:
        desk.find(BillRun, key).cursor = ""            # as if a kill had come before it was moved
    act(office, back)
    run.build(office, people(office)[0], key)
    found = bills(office, key)
    assert len(found) == 5 and len({one.customer_id for one in found}) == 5 and act(office, lambda desk: run.lot(desk, key)) == 0
    act(office, lambda desk: run.look_over(desk, key))
    act(office, lambda desk: audit.clear(desk, key, "begins", kind="first"))
    act(office, lambda desk: run.approve(desk, key))
    assert act(office, lambda desk: issuing.lot(desk, key)) == 2 and act(office, lambda desk: run.find(desk, key)).state == "approved"
    issuing.issue_all(office, people_again(office), key)
    assert sorted(str(one.number) for one in bills(office, key)) == [f"ZD{n:010d}" for n in range(1, 6)]


def people_again(office: Office) -> Any:
    from tests.bss.selling import person
    return person(office, "issuer", "billing")


@pytest.mark.both
def test_a_sent_bill_is_credited_and_made_anew(office: Office) -> None:
    sold(office)
    one = customer(office)
    serving(office, one, "2026-11-10")
    row, maker = issued(office)[0], people(office)
    for to in ("void", "onHold", "new", "validated"):
        with pytest.raises(Refusal, match="write a credit note, and a new bill"):
            act(office, lambda desk, to=to: bill.move(desk, row.id, to, "because"))           # type: ignore[misc]
    with pytest.raises(Refusal, match="there is a run|has a bill|nothing"):
        if not bills(office, made(office, customers=[one])):
            raise Refusal("conflict", "nothing is made beside a bill that holds")
    note = act(office, lambda desk: bill.write_credit(desk, row.id, "charged from the wrong day"), maker[0]).id
    with pytest.raises(Refusal, match="second person"):
        act(office, lambda desk: bill.decide_credit(desk, note, True), maker[0])
    with pytest.raises(Refusal, match="waits for a second person"):
        act(office, lambda desk: bill.write_credit(desk, row.id, "again"), maker[0])
    done = act(office, lambda desk: bill.decide_credit(desk, note, True), maker[1])
    assert (done.number, done.state, done.gross) == ("HZ0000000001", "issued", row.gross)
    with pytest.raises(Refusal, match="the credit note is issued"):
        act(office, lambda desk: bill.decide_credit(desk, note, False, "no"), maker[1])
    again = issued(office, customers=[one])
    assert len(again) == 1 and (again[0].revision, again[0].replaces_id, again[0].number) == (2, row.id, "ZD0000000002")
    assert [line.amount for line in lines(office, again[0].id)] == [line.amount for line in lines(office, row.id)]
    with office.reading() as desk:
        old = desk.session.get_one(Bill, row.id)
        assert old.credited and old.state == "settled" and old.gross == row.gross
        entries = desk.session.scalars(select(JournalEntry)).all()
        assert sum(entry.debit for entry in entries) == sum(entry.credit for entry in entries) == 3 * row.gross
        back = [entry for entry in entries if entry.posting == f"credit_note/{note}"]
        there = [entry for entry in entries if entry.posting == f"bill/{row.id}"]
        assert [(entry.account, entry.debit, entry.credit) for entry in back] == [(entry.account, entry.credit, entry.debit) for entry in there]
        assert desk.session.get_one(CreditNote, note).decided_by == maker[1].id


def test_a_bill_on_hold_goes_its_own_way(office: Office) -> None:
    sold(office)
    one, two = customer(office, "K1"), customer(office, "K2")
    serving(office, one, "2026-11-10")
    odd = serving(office, two, "2026-10-01", imported=True)
    act(office, lambda desk: completed(desk, two, odd, "line-a", "2026-11-15", 2 * 10 ** 8, "modify", "rate"))        # what it cost before is on no record
    maker, other = people(office)
    key = made(office, actor=maker)
    found = {row.customer_id: row for row in bills(office, key)}
    assert found[two].state == "onHold" and "is not on record" in found[two].reason
    act(office, lambda desk: run.approve(desk, key), other)
    issuing.issue_all(office, other, key)
    assert {row.customer_id: row.state for row in bills(office, key)} == {one: "sent", two: "onHold"}
    with pytest.raises(Refusal, match="can't become validated; it can become new, void"):
        act(office, lambda desk: bill.move(desk, found[two].id, "validated"), other)
    act(office, lambda desk: bill.move(desk, found[two].id, "new", "agreed with the customer"), maker)
    with pytest.raises(Refusal, match="takes a second person"):
        act(office, lambda desk: bill.move(desk, found[two].id, "validated"), maker)
    act(office, lambda desk: bill.move(desk, found[two].id, "validated"), other)
    sent = act(office, lambda desk: bill.move(desk, found[two].id, "sent"), other)
    assert (sent.number, sent.state) == ("ZD0000000002", "sent") and sent.due is not None
    with office.reading() as desk:
        assert desk.session.scalar(select(Outbox.id).where(Outbox.type == "fullspan.customerBill.create", Outbox.subject == sent.id))


def test_accounts_have_anchors_and_rates_of_tax_are_data(office: Office, clock: Any) -> None:
    sold(office)
    one, two = customer(office, "K1"), customer(office, "K2")
    serving(office, one, "2026-10-20")
    serving(office, two, "2026-10-20")
    key = act(office, lambda desk: account.open_(desk, one, anchor=15, tax={"name": "云上公司", "number": "91520100MA6DXXXX0X"}).id)
    act(office, lambda desk: account.enter_rate(desk, "leased_line", "organization", run.period_of("2026-10").begin, D("0.09")))
    with pytest.raises(Refusal, match="is no rate of tax"):
        act(office, lambda desk: account.enter_rate(desk, "leased_line", "somebody", run.period_of("2026-10").begin, D("0.09")))
    with pytest.raises(Refusal, match="'leased-line' is no kind of charge: the rate would be of nothing"):
        act(office, lambda desk: account.enter_rate(desk, "leased-line", "", run.period_of("2026-10").begin, D("0.09")))
    found = issued(office, "2026-10", anchor=15)
    assert len(found) == 1 and found[0].account_id == key and (str(found[0].begin), str(found[0].end)) == ("2026-10-15", "2026-11-15")
    rows = lines(office, found[0].id)
    assert [(row.kind, row.amount, row.tax_rate) for row in rows] == [("recurring", D("6709.68"), D("0.09")), ("one_time", D("3000.00"), D("0.09"))]
    assert "91520100MA6DXXXX0X" in str(found[0].parties) and found[0].tax == D("873.87")
    assert [row.customer_id for row in issued(office)] == [two]
    with pytest.raises(Refusal, match="the account has bills"):
        act(office, lambda desk: account.change(desk, key, anchor=1))
    with pytest.raises(Refusal, match="anchor"):
        act(office, lambda desk: account.open_(desk, two, anchor=32))
    with office.reading() as desk:
        assert desk.session.query(BillingAccount).count() == 2 and desk.session.query(AuditRow).filter(AuditRow.action == "bill.issue").count() == 2
        assert {row["account"] for row in journal.sums(desk, found[0].issued.date(), found[0].issued.date().replace(year=2027))} == {  # type: ignore[union-attr]
            "1122", "222101", "600101", "600102"}
