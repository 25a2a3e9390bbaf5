"""Which account pays for which service, write-offs of what nobody will pay, and cases of dunning that hold the same services."""
from __future__ import annotations

from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from bss.billing import account, bill, choosing, dunning, payment, states, writeoff
from bss.desk import Desk
from bss.office import Office
from bss.people.entry import COOKIE, digest_of
from bss.people.scope import Actor
from bss.refusal import Refusal
from bss.tables import Bill, BilledOn, BillRun, DunningCase, JournalEntry, Login, Payment, Service, Window, WriteOff
from bss.tickets import window
from bss.working import worker
from tests.bss.conftest import site
from tests.bss.paying import bills, completed, issued, lines, made, people, serving
from tests.bss.selling import act, customer, records, sold
from tests.bss.test_billing_joints import credit, rated
from tests.bss.test_billing_pairs import LOOKS, billed, refused
from tests.bss.test_billing_payments import balanced


def services_of(office: Office, bill_id: str) -> set[str]:
    return {line.service_id or "" for line in lines(office, bill_id)}


# ---- accounts

@pytest.mark.both
def test_a_customer_with_two_accounts_says_which_service_goes_on_which_bill(office: Office, clock: Any) -> None:
    sold(office)
    one, other = customer(office), customer(office, "K2")
    first, second = serving(office, one, "2026-10-01", "home-100"), serving(office, one, "2026-10-01", "line-b")
    foreign = serving(office, other, "2026-10-01", "home-100")
    mine = act(office, lambda desk: account.open_(desk, one).id)
    clock.forward(hours=1)
    second_account = act(office, lambda desk: account.open_(desk, one, name="分公司").id)
    with office.reading() as desk:
        assert [row.id for row in choosing.services_of(desk, one, mine)] == sorted((first, second), key=lambda key: desk.session.get_one(Service, key).circuit)
    with refused(office, second_account):
        act(office, lambda desk: choosing.choose(desk, second_account, [second, foreign]))
    with refused(office, second_account, ("forbidden",)):
        act(office, lambda desk: choosing.choose(desk, second_account, [second]), LOOKS)
    assert act(office, lambda desk: choosing.choose(desk, second_account, [second])) == 1
    assert act(office, lambda desk: choosing.choose(desk, second_account, [second])) == 0

    def lay(desk: Desk) -> None:
        rated(desk, one, second, "traffic", "6.00")
        rated(desk, one, first, "other", "7.00")
        credit(desk, one, second, "2026-10", "400.00")
    act(office, lay)
    found = {row.account_id: row for row in issued(office) if row.customer_id == one}
    assert set(found) == {mine, second_account}
    assert services_of(office, found[mine].id) == {first} and services_of(office, found[second_account].id) == {second}
    assert {line.kind for line in lines(office, found[second_account].id)} == {"recurring", "one_time", "usage", "credit"}
    assert "分公司" in str(found[second_account].parties)
    with office.reading() as desk:
        sources = [line.source for row in found.values() for line in bill.lines_of(desk, row.id)]
        assert len(sources) == len(set(sources)) and records(desk, "billing_account", second_account)[0][0].action == "billing_account.choose"


def test_who_is_limited_to_a_region_sees_what_an_account_pays_for_in_it_and_dunning_all_of_it(office: Office, clock: Any) -> None:
    sold(office)
    one = customer(office)
    here, away = serving(office, one, "2026-11-01", "home-100"), serving(office, one, "2026-11-01", "home-100")

    def elsewhere(desk: Desk) -> None:
        desk.session.get_one(Service, away).region = "遵义"
    act(office, elsewhere)
    row = issued(office)[0]
    clerk, chief = people(office)
    near = Actor(clerk.id, clerk.login, frozenset({"billing"}), regions=("贵阳",))
    assert act(office, lambda desk: [found.id for found in choosing.services_of(desk, one, row.account_id)], near) == [here]
    clock.forward(days=75)
    case = suspended(office, row.id, row.account_id, one, clerk, chief)
    with office.reading() as desk:
        assert set(desk.session.get_one(DunningCase, case).services) == {here, away}
    assert len(act(office, lambda desk: choosing.services_of(desk, one, row.account_id, whole=True), near)) == 2


def test_what_is_put_on_another_account_is_charged_once_whichever_bill_is_made_again(office: Office, clock: Any) -> None:
    sold(office)
    one = customer(office)
    first, second = serving(office, one, "2026-10-01", "home-100"), serving(office, one, "2026-10-01", "line-b")
    mine, other = (act(office, lambda desk: account.open_(desk, one).id) for _ in range(2))
    clock.forward(hours=1)
    act(office, lambda desk: choosing.choose(desk, mine, [first, second]))
    old = issued(office)[0]
    clerk, chief = people(office)
    act(office, lambda desk: choosing.choose(desk, other, [second]))
    # the month that was billed stays where it was, when it is taken back and made anew
    note = act(office, lambda desk: bill.write_credit(desk, old.id, "wrong buyer"), clerk)
    act(office, lambda desk: bill.decide_credit(desk, note.id, True), chief)
    again = issued(office, customers=[one])
    assert [(row.account_id, row.gross) for row in again] == [(mine, old.gross)] and services_of(office, again[0].id) == {first, second}
    clock.forward(days=31)
    following = {row.account_id: services_of(office, row.id) for row in issued(office, "2026-12")}
    assert following == {mine: {first}, other: {second}}
    # an account that is closed pays for nothing: the oldest that is open does
    def settle(desk: Desk) -> None:
        for row in desk.session.query(Bill).filter(Bill.account_id == other):
            row.paid, row.state = row.gross, "settled"
        account.change(desk, other, state="closed")
    act(office, settle)
    with pytest.raises(Refusal, match="the account is closed, and pays for nothing"):
        act(office, lambda desk: choosing.choose(desk, other, [first]))
    clock.forward(days=31)
    assert [(row.account_id, services_of(office, row.id)) for row in issued(office, "2027-01")] == [(mine, {first, second})]


def test_a_bundle_goes_with_its_services_and_an_item_without_one_by_itself(office: Office) -> None:
    sold(office)
    one = customer(office)
    mine, other = (act(office, lambda desk: account.open_(desk, one).id) for _ in range(2))

    def lay(desk: Desk) -> tuple[str, str, str]:
        bundle = completed(desk, one, None, "family-199", "2026-10-05")
        order = bundle.order
        service = desk.add(Service(circuit="Z-1", customer_id=one, offering="home-500", offering_version=1, kind="broadband", class_="home", region="贵阳",
                                   state="active", created=desk.now - timedelta(days=57), activated=desk.now - timedelta(days=57)))
        completed(desk, one, service.id, "home-500", "2026-10-05", 5 * 10 ** 8, bundle="family-199", order=order)
        return service.id, bundle.id, completed(desk, one, None, "static-address", "2026-10-05").id
    service, bundle, item = act(office, lay)
    act(office, lambda desk: choosing.choose(desk, max(mine, other), [service]))
    act(office, lambda desk: choosing.choose(desk, max(mine, other), [item]))
    with pytest.raises(Refusal, match="has a service of its own"):
        def part(desk: Desk) -> str:
            return desk.session.scalars(select(choosing.OrderItem.id).where(choosing.OrderItem.service_id == service)).one()
        act(office, lambda desk: choosing.choose(desk, mine, [part(desk)]))
    assert bundle and {row.account_id for row in bills(office, made(office))} == {max(mine, other)}


def test_merged_customers_keep_which_account_pays_for_what(office: Office) -> None:
    with office.reading() as desk:
        from bss.parties.belongings import owned
        assert {"billed_on", "write_off"} <= set(owned()) and desk.session.query(BilledOn).count() == 0


# ---- dunning with more than one case or account

def suspended(office: Office, bill_id: str, account_id: str, customer_id: str, clerk: Actor, chief: Actor) -> str:
    """A case of a bill whose suspension was proposed and approved."""
    def lay(desk: Desk) -> str:
        return desk.add(DunningCase(bill_id=bill_id, account_id=account_id, customer_id=customer_id, opened=desk.now, state="suspensionProposed",
                                    proposed_by=clerk.id or None, services=[], windows=[])).id
    key = act(office, lay)
    act(office, lambda desk: dunning.move(desk, key, "suspended"), chief)
    return key


def suspended_for_two(office: Office, clock: Any) -> tuple[str, Actor, tuple[Bill, Bill], list[str]]:
    """A service, a clerk, two bills that were not paid, and their cases, which both suspended it."""
    sold(office)
    one = customer(office)
    service = serving(office, one, "2026-11-01", "home-100")
    clerk, chief = people(office)
    first = issued(office)[0]
    clock.forward(days=31)
    second = issued(office, "2026-12")[0]
    clock.forward(days=80)
    return service, clerk, (first, second), [suspended(office, row.id, row.account_id, one, clerk, chief) for row in (first, second)]


def test_two_bills_that_are_not_paid_keep_a_service_suspended_until_both_are(office: Office, clock: Any) -> None:
    service, clerk, (first, second), cases = suspended_for_two(office, clock)
    with office.reading() as desk:
        assert [desk.session.get_one(DunningCase, key).services for key in cases] == [[service], [service]]
    clock.forward(hours=5)

    def pay(row: Bill) -> None:
        act(office, lambda desk: payment.enter(desk, row.gross, account_id=row.account_id, bill_ids=[row.id]), clerk)
        while worker.step(office, "w", timedelta(seconds=60)):
            continue
    pay(first)
    with office.reading() as desk:
        assert desk.session.get_one(Service, service).state == "inactive" and desk.session.get_one(DunningCase, cases[0]).state == "cleared"
        assert sum(row.until is None for row in desk.session.query(Window).filter(Window.kind == "nonpayment")) == 1
    clock.forward(hours=5)
    pay(second)
    with office.reading() as desk:
        assert desk.session.get_one(Service, service).state == "active"
        assert all(row.until is not None for row in desk.session.query(Window).filter(Window.kind == "nonpayment"))


def test_a_disputed_case_keeps_what_it_suspended_and_a_window_that_was_ended_does_not_keep_it_off(office: Office, clock: Any) -> None:
    service, clerk, (first, second), cases = suspended_for_two(office, clock)
    act(office, lambda desk: dunning.move(desk, cases[1], "disputed", "he says that he paid"), clerk)
    clock.forward(hours=5)
    with office.reading() as desk:
        windows = [row.id for row in desk.session.query(Window).filter(Window.kind == "nonpayment")]
    act(office, lambda desk: window.end(desk, windows[0], reason="by hand"))
    for row, case in ((first, cases[0]), (second, cases[1])):
        act(office, lambda desk, row=row: payment.enter(desk, row.gross, account_id=row.account_id, bill_ids=[row.id]), clerk)         # type: ignore[misc]
        act(office, lambda desk, case=case: dunning.resume(desk, {"case": case}))         # type: ignore[misc]
        with office.reading() as desk:
            assert desk.session.get_one(Service, service).state == ("inactive" if row is first else "active")


def test_services_of_another_account_are_not_suspended(office: Office, clock: Any) -> None:
    sold(office)
    one = customer(office)
    first, second = serving(office, one, "2026-11-01", "home-100"), serving(office, one, "2026-11-01", "home-100")
    mine, other = (act(office, lambda desk: account.open_(desk, one).id) for _ in range(2))
    act(office, lambda desk: choosing.choose(desk, mine, [first]))
    act(office, lambda desk: choosing.choose(desk, other, [second]))
    clerk, chief = people(office)
    rows = {row.account_id: row for row in issued(office)}
    clock.forward(days=60)
    suspended(office, rows[mine].id, mine, one, clerk, chief)
    with office.reading() as desk:
        assert [desk.session.get_one(Service, key).state for key in (first, second)] == ["inactive", "active"]


# ---- write-offs

def overdue(office: Office, clock: Any) -> tuple[Bill, str, str]:
    """A bill of 179.00 that is due since 60 days, the service that was suspended for it, and the case."""
    sold(office)
    one = customer(office)
    service = serving(office, one, "2026-11-01", "home-100")
    row = issued(office)[0]
    clock.forward(days=75)
    clerk, chief = Actor("", "a", frozenset({"billing"})), Actor("", "b", frozenset({"manager"}))
    return row, service, suspended(office, row.id, row.account_id, one, clerk, chief)


@pytest.mark.both
def test_a_bad_debt_is_proposed_by_one_and_given_up_by_another(office: Office, clock: Any) -> None:
    row, service, case = overdue(office, clock)
    clerk, chief = people(office)
    act(office, lambda desk: payment.enter(desk, D("79.00"), account_id=row.account_id), clerk)
    asked = act(office, lambda desk: writeoff.propose(desk, row.id, "the company was dissolved"), clerk)
    assert (asked.amount, asked.state) == (D("100.00"), "proposed")
    with refused(office, asked.id, ("forbidden",)) as said:
        act(office, lambda desk: writeoff.move(desk, asked.id, "approved"), Actor(clerk.id, clerk.login, frozenset({"manager"})))
    assert "takes a second person" in said[0]
    act(office, lambda desk: writeoff.move(desk, asked.id, "approved"), chief)
    with office.reading() as desk:
        found, held = desk.session.get_one(Bill, row.id), desk.session.get_one(DunningCase, case)
        assert (found.state, found.paid, held.state, held.reason) == ("settled", D("179.00"), "cleared", f"bill {row.number} is written off")
        assert account.balance(desk, row.account_id) == 0 and account.owed(desk, row.account_id) == 0
    while worker.step(office, "w", timedelta(seconds=60)):
        continue
    with office.reading() as desk:          # nobody paid: it stays suspended
        assert desk.session.get_one(Service, service).state == "inactive"
    assert balanced(office) == {"bank": D("79.00"), "bad_debt": D("100.00"), "revenue.recurring": D("-72.48"), "revenue.one_time": D("-91.74"),
                                "tax": D("-14.78")}
    given = act(office, lambda desk: desk.session.scalars(select(Payment.id).where(Payment.method == "write_off")).one())
    with refused(office, given):
        act(office, lambda desk: payment.reverse(desk, given, "x"))
    with refused(office, given):
        act(office, lambda desk: payment.ask_refund(desk, given, D("1.00"), "x"))
    with pytest.raises(Refusal, match="is no way to pay"):
        act(office, lambda desk: payment.enter(desk, D("1.00"), account_id=row.account_id, method="write_off"))
    # he pays after all
    clock.forward(hours=5)
    act(office, lambda desk: writeoff.move(desk, asked.id, "reversed", "he came back"), clerk)
    with office.reading() as desk:
        found = desk.session.get_one(Bill, row.id)
        assert (found.state, found.paid) == ("partiallyPaid", D("79.00"))
    act(office, lambda desk: payment.enter(desk, D("100.00"), account_id=row.account_id), clerk)
    assert "bad_debt" not in balanced(office) and balanced(office)["bank"] == D("179.00")
    while worker.step(office, "w", timedelta(seconds=60)):
        continue
    with office.reading() as desk:
        assert desk.session.get_one(Service, service).state == "active"
        assert all(one.until is not None for one in desk.session.query(Window).filter(Window.kind == "nonpayment"))
    with office.reading() as desk:
        assert desk.session.query(JournalEntry).filter(JournalEntry.account == "bad_debt").count() == 2


def test_a_bill_whose_write_off_is_approved_is_written_off_again_when_that_was_taken_back(office: Office, clock: Any) -> None:
    row, _service, _case = overdue(office, clock)
    clerk, chief = people(office)
    paid = act(office, lambda desk: payment.enter(desk, D("79.00"), account_id=row.account_id).id, clerk)
    asked = act(office, lambda desk: writeoff.propose(desk, row.id, "dissolved"), clerk)
    act(office, lambda desk: writeoff.move(desk, asked.id, "approved"), chief)
    act(office, lambda desk: payment.reverse(desk, paid, "it bounced"), clerk)
    with refused(office, row.id) as said:
        act(office, lambda desk: writeoff.propose(desk, row.id, "dissolved"), clerk)
    assert said[0] == f"write-off {asked.id} of the bill is approved"
    act(office, lambda desk: writeoff.move(desk, asked.id, "reversed", "his first payment bounced"), clerk)
    assert act(office, lambda desk: writeoff.propose(desk, row.id, "dissolved"), clerk).amount == D("179.00")


def test_a_written_off_bill_that_is_credited_leaves_no_balance(office: Office, clock: Any) -> None:
    row, _service, _case = overdue(office, clock)
    clerk, chief = people(office)
    asked = act(office, lambda desk: writeoff.propose(desk, row.id, "dissolved"), clerk)
    act(office, lambda desk: writeoff.move(desk, asked.id, "approved"), chief)
    note = act(office, lambda desk: bill.write_credit(desk, row.id, "it was never his"), clerk)
    act(office, lambda desk: bill.decide_credit(desk, note.id, True), chief)
    with office.reading() as desk:
        assert account.balance(desk, row.account_id) == 0 and desk.session.get_one(WriteOff, asked.id).state == "reversed"
        assert desk.session.get_one(Bill, row.id).credited
    assert balanced(office) == {}


def test_what_may_still_be_paid_is_not_given_up(office: Office, clock: Any) -> None:
    sold(office)
    one = customer(office)
    serving(office, one, "2026-11-01", "home-100")
    row, (clerk, chief) = issued(office)[0], people(office)
    with refused(office, row.id) as said:
        act(office, lambda desk: writeoff.propose(desk, row.id, "x"), clerk)
    assert "what may still be paid is not given up" in said[0]
    clock.forward(days=40)
    for reason, who, kinds in ((" ", clerk, ("invalid",)), ("x", LOOKS, ("forbidden",))):
        with refused(office, row.id, kinds):
            act(office, lambda desk, reason=reason: writeoff.propose(desk, row.id, reason), who)         # type: ignore[misc]
    asked = act(office, lambda desk: writeoff.propose(desk, row.id, "gone"), clerk)
    with refused(office, row.id):
        act(office, lambda desk: writeoff.propose(desk, row.id, "gone"), clerk)
    act(office, lambda desk: payment.enter(desk, D("9.00"), account_id=row.account_id), clerk)
    with refused(office, asked.id) as said:
        act(office, lambda desk: writeoff.move(desk, asked.id, "approved"), chief)
    assert said[0] == "170.00 CNY of the bill are open now, and 179.00 were proposed"
    act(office, lambda desk: writeoff.move(desk, asked.id, "rejected", "he pays in parts"), chief)
    assert act(office, lambda desk: writeoff.propose(desk, row.id, "gone"), clerk).amount == D("170.00")


@pytest.mark.parametrize("of", states.BILL.ways)
def test_what_is_proposed_in_each_state_of_a_bill(office: Office, of: str) -> None:
    one = customer(office)

    def lay(desk: Desk) -> str:
        made_run = desk.add(BillRun(period="2026-09", anchor=2, whole=False, state="issued", customers=[one], begun=desk.now))
        return billed(desk, one, made_run.id, of, due=(desk.now - timedelta(days=30)).date()).id
    key = act(office, lay)
    if of in ("sent", "partiallyPaid"):
        assert act(office, lambda desk: writeoff.propose(desk, key, "gone")).state == "proposed"
        return
    with refused(office, key):
        act(office, lambda desk: writeoff.propose(desk, key, "gone"))


@pytest.mark.parametrize("before", states.WRITE_OFF.ways)
def test_each_event_of_each_state_of_a_write_off(office: Office, before: str) -> None:
    clerk, chief = people(office)
    for to in states.WRITE_OFF.ways:
        one = customer(office, f"K-{to}")

        def lay(desk: Desk, one: str = one) -> tuple[str, str]:
            of = desk.add(BillRun(period="2026-09", anchor=2, whole=False, state="issued", customers=[one], begun=desk.now))
            row = billed(desk, one, of.id, "sent", due=(desk.now - timedelta(days=30)).date())
            off = writeoff.propose(desk, row.id, "gone")
            off.proposed_by = clerk.id
            return row.id, off.id
        bill_id, key = act(office, lay)
        if before != "proposed":
            act(office, lambda desk, key=key: writeoff.move(desk, key, "rejected" if before == "rejected" else "approved", "x"), chief)   # type: ignore[misc]
        if before == "reversed":
            act(office, lambda desk, key=key: writeoff.move(desk, key, "reversed", "x"), chief)         # type: ignore[misc]
        if to not in {"proposed": ("approved", "rejected"), "approved": ("reversed",)}.get(before, ()):
            with refused(office, key) as said:
                act(office, lambda desk, key=key, to=to: writeoff.move(desk, key, to, "x"), chief)         # type: ignore[misc]
            assert said[0] == states.refusal(states.WRITE_OFF, before, to)
            continue
        act(office, lambda desk, key=key, to=to: writeoff.move(desk, key, to, "x"), chief)         # type: ignore[misc]
        with office.reading() as desk:
            assert desk.session.get_one(WriteOff, key).state == to
            assert desk.session.get_one(Bill, bill_id).state == ("settled" if to == "approved" else "sent")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_pages_of_accounts_that_pay_and_of_write_offs(office: Office, clock: Any, lang: str) -> None:
    row, service, _case = overdue(office, clock)
    other = act(office, lambda desk: account.open_(desk, row.customer_id)).id
    clerk, chief = people(office)

    def enter(desk: Desk) -> None:
        for who in (clerk, chief):
            desk.session.add(Login(id=digest_of(f"cookie-{who.login}"), user_id=who.id, csrf="mark", since=desk.now, seen=desk.now))
    act(office, enter)
    with TestClient(site(office), headers={"accept": "text/html"}) as client:
        def ask(who: Actor, path: str, **form: str) -> str:
            client.cookies.clear()
            client.cookies.set(COOKIE, f"cookie-{who.login}")
            client.cookies.set("lang", lang)
            answer = client.post(path, data={"csrf": "mark", **form}) if form else client.get(path, params={"lang": lang})
            assert answer.status_code == (403 if "reason" not in form and "to" in form and who is clerk and "write-offs" in path else 200), answer.text
            return answer.text
        mine = ask(clerk, f"/bills/accounts/{row.account_id}")
        with office.reading() as desk:
            circuit = desk.session.get_one(Service, service).circuit
        assert circuit in mine and other in mine
        ask(clerk, f"/bills/accounts/{row.account_id}/service", service=service, to=other)
        assert circuit in ask(clerk, f"/bills/accounts/{other}") and circuit not in ask(clerk, f"/bills/accounts/{row.account_id}")
        assert f"/bills/one/{row.id}/write-off" in ask(clerk, "/bills/dunning")
        ask(clerk, f"/bills/one/{row.id}/write-off", reason="dissolved")
        told = ask(clerk, "/bills/dunning")
        assert "dissolved" in told and f"/bills/one/{row.id}/write-off" not in told
        with office.reading() as desk:
            key = desk.session.query(WriteOff).one().id
        assert f"/bills/write-offs/{key}/move" not in told and f"/bills/write-offs/{key}/move" in ask(chief, "/bills/dunning")
        ask(clerk, f"/bills/write-offs/{key}/move", to="approved")
        ask(chief, f"/bills/write-offs/{key}/move", to="approved", reason="so be it")
        assert "so be it" in ask(clerk, "/bills/dunning")
    with office.reading() as desk:
        assert desk.session.get_one(Bill, row.id).state == "settled" and desk.session.get_one(WriteOff, key).state == "approved"
