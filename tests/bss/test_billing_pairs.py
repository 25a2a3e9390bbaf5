"""Every event that people bring about, in every state, at the desk: what is allowed does what it says; what is not is refused with a sentence and an audit row,
and nothing else of it remains, in any table. Runs, credit notes, bills, payments, refunds, dunning."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from sqlalchemy import select

from bss.billing import account, audit, bill, dunning, issuing, payment, settling, states
from bss.database import Table
from bss.desk import Desk
from bss.identifier import fresh
from bss.office import Office
from bss.people.scope import Actor
from bss.refusal import Refusal
from bss.tables import AuditRow, Bill, BillingAccount, BillLine, BillRun, CreditNote, DunningCase, Payment, PaymentMatch, Refund, Service
from tests.bss.paying import people, serving
from tests.bss.selling import act, customer, sold

LOG = ("audit", "audit_head")
LOOKS, BOSS = Actor("", "looks", frozenset({"auditor"})), Actor("", "boss", frozenset({"manager"}))
Event = Callable[[Desk, Any], Any]


def everything(office: Office) -> dict[str, list[Any]]:
    """All rows of all tables but the log."""
    with office.reading() as desk:
        return {name: sorted(map(repr, desk.session.execute(select(table)))) for name, table in Table.metadata.tables.items() if name not in LOG}


def logged(office: Office) -> list[AuditRow]:
    with office.reading() as desk:
        return list(desk.session.scalars(select(AuditRow).order_by(AuditRow.number)))


@contextmanager
def refused(office: Office, key: str, kinds: tuple[str, ...] = ("conflict",)) -> Iterator[list[str]]:
    """What is tried within is refused: by a sentence that is on record of this thing, and nothing else changes."""
    before, known, said = everything(office), len(logged(office)), []        # type: dict[str, list[Any]], int, list[str]
    with pytest.raises(Refusal) as error:
        yield said
    said.append(error.value.what)
    assert error.value.kind in kinds and len(error.value.what.split()) >= 4 and "\n" not in error.value.what, str(error.value)
    assert everything(office) == before
    rows = logged(office)[known:]
    assert [(row.entity_id, row.reason) for row in rows] == [(key, error.value.what)] and rows[0].action.endswith(".refused"), [row.action for row in rows]


def billed(desk: Desk, customer_id: str, run_id: str, state: str, period: str = "2026-09", due: date | None = None) -> Bill:
    """A bill of 1.06 in a state, with one line and an account of its own."""
    owner = account.open_(desk, customer_id, anchor=2)
    sent = state in ("sent", "partiallyPaid", "settled")
    paid = {"partiallyPaid": D("0.50"), "settled": D("1.06")}.get(state, D(0))
    row = desk.add(Bill(account_id=owner.id, customer_id=customer_id, run_id=run_id, period=period, begin=date(2026, 9, 1), end=date(2026, 10, 1), state=state,
                        net=D("1.00"), tax=D("0.06"), gross=D("1.06"), paid=paid, created=desk.now, number=f"ZD{fresh('')[-8:]}" if sent else None,
                        issued=desk.now if sent else None, due=due))
    desk.add(BillLine(bill_id=row.id, number=1, kind="recurring", name={"en": "x", "zh": "x"}, quantity=D(1), begin=date(2026, 9, 1), end=date(2026, 10, 1),
                      amount=D("1.00"), tax_mode="exclusive", tax_rate=D("0.06"), net=D("1.00"), tax=D("0.06"), gross=D("1.06"), live=state != "void",
                      source=f"recurring/{row.id}", evidence={}))
    if paid:
        given = desk.add(Payment(source=fresh("s"), account_id=owner.id, customer_id=customer_id, method="bank", state="posted", amount=paid, matched=paid,
                                 refunded=D(0), received=desk.now, created=desk.now))
        desk.add(PaymentMatch(payment_id=given.id, bill_id=row.id, amount=paid, made=desk.now))
    return row


# ---- runs

OF_BILL = {"trial": "new", "built": "new", "audited": "new", "approved": "validated", "issued": "sent", "cancelled": "void"}
#: Event -> state before -> after.
RUNS: dict[str, dict[str, str]] = {
    "build": {"trial": "built"}, "audit": {"built": "audited", "audited": "audited"}, "approve": {"audited": "approved"}, "issue": {"approved": "issued"},
    "cancel": {"trial": "cancelled", "built": "cancelled", "audited": "cancelled"}, "again": {"trial": "trial", "built": "built", "audited": "built"},
    "clear": {"audited": "audited", "approved": "approved", "issued": "issued"}}


def stepped(event: str, customer_id: str, reason: str = "because") -> Event:
    if event == "clear":
        return lambda desk, key: audit.clear(desk, key, reason, kind="first")
    return lambda desk, key: issuing.take(desk, key, event, reason, [customer_id])


@pytest.mark.parametrize("event", RUNS)
def test_each_event_of_each_state_of_a_run(office: Office, event: str) -> None:
    maker, other = people(office)
    for n, before in enumerate(OF_BILL):
        customer_id = customer(office, f"K{n}")

        def lay(desk: Desk, before: str = before, customer_id: str = customer_id) -> tuple[str, str]:
            run = desk.add(BillRun(period="2026-09", anchor=2, whole=False, state=before, customers=[customer_id], begun=desk.now, begun_by=maker.id))
            return run.id, billed(desk, customer_id, run.id, OF_BILL[before]).id
        key, bill_id = act(office, lay)
        how = stepped(event, customer_id)
        if before not in RUNS[event]:
            with refused(office, key) as said:
                act(office, lambda desk, how=how, key=key: how(desk, key), other)         # type: ignore[misc]
            assert before in said[0]
            continue
        with refused(office, key, ("forbidden",)):
            act(office, lambda desk, how=how, key=key: how(desk, key), LOOKS)        # type: ignore[misc]
        if event in ("cancel", "again", "clear"):
            with refused(office, key, ("invalid",)):
                act(office, lambda desk, key=key, customer_id=customer_id: stepped(event, customer_id, " ")(desk, key), other)        # type: ignore[misc]
        if event == "approve":
            with refused(office, key, ("forbidden",)) as said:
                act(office, lambda desk, how=how, key=key: how(desk, key), Actor(maker.id, maker.login, frozenset({"billing", "manager"})))        # type: ignore[misc]
            assert "takes a second person" in said[0]
        known = len(logged(office))
        act(office, lambda desk, how=how, key=key: how(desk, key), other)         # type: ignore[misc]
        with office.reading() as desk:
            assert desk.session.get_one(BillRun, key).state == RUNS[event][before]
            now = desk.session.get_one(Bill, bill_id).state
        assert now == {"approve": "validated", "issue": "sent", "cancel": "void", "again": "void"}.get(event, OF_BILL[before])
        assert logged(office)[known:] and not any(row.action.endswith(".refused") for row in logged(office)[known:])
    assert set(RUNS) == {"build", "audit", "approve", "issue", "cancel", "again", "clear"} and set(OF_BILL) == set(states.RUN.ways)


def test_a_run_of_some_makes_no_bill_of_others_again(office: Office) -> None:
    one, other = customer(office, "K1"), customer(office, "K2")
    key = act(office, lambda desk: desk.add(BillRun(period="2026-09", anchor=2, whole=False, state="built", customers=[one], begun=desk.now)).id)
    with refused(office, key) as said:
        act(office, lambda desk: issuing.take(desk, key, "again", "because", [one, other]))
    assert said[0] == f"the run is of other customers, not of {other}"


def test_a_run_that_is_not_there_is_refused_on_record(office: Office) -> None:
    for event in ("build", "audit", "approve", "issue", "cancel", "again"):
        with pytest.raises(Refusal, match="there is no bill run W404"):
            act(office, lambda desk, event=event: issuing.take(desk, "W404", event, "x", ["C"]))         # type: ignore[misc]
    with pytest.raises(Refusal, match="is no step of a run"):
        act(office, lambda desk: issuing.take(desk, "W404", "undo"))


# ---- credit notes and bills

def test_each_event_of_each_state_of_a_credit_note(office: Office) -> None:
    clerk, chief = people(office)
    for before in ("draft", "issued", "rejected"):
        for event in ("issue", "reject", "write"):
            customer_id = customer(office, f"K{before}-{event}")

            def lay(desk: Desk, before: str = before, customer_id: str = customer_id) -> tuple[str, str]:
                run = desk.add(BillRun(period="2026-09", anchor=2, whole=False, state="issued", customers=[customer_id], begun=desk.now))
                row = billed(desk, customer_id, run.id, "partiallyPaid")
                row.credited = before == "issued"
                note = desk.add(CreditNote(bill_id=row.id, customer_id=customer_id, reason="x", gross=row.gross, written=desk.now, written_by=clerk.id,
                                           state=before, number=fresh("")[-9:] if before == "issued" else None))
                return row.id, note.id
            bill_id, note_id = act(office, lay)
            ways: dict[str, Event] = {"issue": lambda desk, key: bill.decide_credit(desk, key, True),
                                      "reject": lambda desk, key: bill.decide_credit(desk, key, False, "no"),
                                      "write": lambda desk, _key, bill_id=bill_id: bill.write_credit(desk, bill_id, "once more")}     # type: ignore[misc]
            how = ways[event]
            if (before, event) not in (("draft", "issue"), ("draft", "reject"), ("rejected", "write")):
                with refused(office, bill_id if event == "write" else note_id):
                    act(office, lambda desk, how=how, key=note_id: how(desk, key), chief)         # type: ignore[misc]
                continue
            if event != "write":
                with refused(office, note_id, ("forbidden",)):
                    act(office, lambda desk, how=how, key=note_id: how(desk, key), Actor(clerk.id, clerk.login, frozenset({"manager"})))  # type: ignore[misc]
            act(office, lambda desk, how=how, key=note_id: how(desk, key), chief)         # type: ignore[misc]
            with office.reading() as desk:
                row = desk.session.get_one(Bill, bill_id)
                assert (row.credited, row.state, row.paid) == ((True, "settled", D(0)) if event == "issue" else (False, "partiallyPaid", D("0.50")))
                assert account.balance(desk, row.account_id) == (D("0.50") if event == "issue" else 0)


def test_each_event_of_each_state_of_a_bill_that_money_brings_about(office: Office) -> None:
    """Paid in part, paid whole, a payment taken back, credited."""
    _clerk, chief = people(office)
    for n, before in enumerate(states.BILL.ways):
        for event, after in (("part", "partiallyPaid"), ("whole", "settled"), ("bounce", "sent"), ("write", before)):
            customer_id = customer(office, f"K{n}-{event}")

            def lay(desk: Desk, before: str = before, customer_id: str = customer_id) -> tuple[str, str, str]:
                run = desk.add(BillRun(period="2026-09", anchor=2, whole=False, state="issued", customers=[customer_id], begun=desk.now))
                row = billed(desk, customer_id, run.id, before)
                fund = desk.add(Payment(source=fresh("s"), account_id=row.account_id, customer_id=customer_id, method="bank", state="posted", amount=D("9.00"),
                                        matched=D(0), refunded=D(0), received=desk.now, created=desk.now))
                paid = [one.payment_id for one in settling.matches_of(desk, bill_id=row.id)]
                return row.id, fund.id, paid[0] if paid else ""
            bill_id, fund, paid = act(office, lay)
            if event == "bounce" and not paid:
                continue
            ways: dict[str, Event] = {
                "part": lambda desk, key, fund=fund: payment.use(desk, fund, key, D("0.10")),         # type: ignore[misc]
                "whole": lambda desk, key, fund=fund: payment.use(desk, fund, key),         # type: ignore[misc]
                "bounce": lambda desk, _key, paid=paid: payment.reverse(desk, paid, "bounced"),         # type: ignore[misc]
                "write": lambda desk, key: bill.write_credit(desk, key, "x")}
            how = ways[event]
            allowed = before in {"part": ("sent", "partiallyPaid"), "whole": ("sent", "partiallyPaid"), "bounce": ("partiallyPaid", "settled"),
                                 "write": ("sent", "partiallyPaid", "settled")}[event]
            if not allowed:
                with refused(office, bill_id if event == "write" else fund):
                    act(office, lambda desk, how=how, key=bill_id: how(desk, key), chief)         # type: ignore[misc]
                continue
            act(office, lambda desk, how=how, key=bill_id: how(desk, key), chief)         # type: ignore[misc]
            with office.reading() as desk:
                assert desk.session.get_one(Bill, bill_id).state == after, (before, event)


# ---- payments and refunds

PAYMENTS = {"assign": ("received", "suggested"), "reverse": ("received", "suggested", "posted"), "use": ("posted",), "ask": ("posted",)}


def test_each_event_of_each_state_of_a_payment(office: Office) -> None:
    _clerk, chief = people(office)
    for n, before in enumerate(states.PAYMENT.ways):
        for event, good in PAYMENTS.items():
            customer_id = customer(office, f"K{n}-{event}")

            def lay(desk: Desk, before: str = before, customer_id: str = customer_id) -> tuple[str, str, str]:
                run = desk.add(BillRun(period="2026-09", anchor=2, whole=False, state="issued", customers=[customer_id], begun=desk.now))
                row = billed(desk, customer_id, run.id, "sent")
                known = before in ("posted", "reversed")
                fund = desk.add(Payment(source=fresh("s"), account_id=row.account_id if known else None, customer_id=customer_id if known else None,
                                        method="bank", state=before, amount=D("9.00"), matched=D(0), refunded=D(0), received=desk.now, created=desk.now))
                return fund.id, row.id, row.account_id
            key, bill_id, account_id = act(office, lay)
            ways: dict[str, Event] = {
                "assign": lambda desk, key, account_id=account_id: payment.assign(desk, key, account_id),         # type: ignore[misc]
                "reverse": lambda desk, key: payment.reverse(desk, key, "bounced"),
                "use": lambda desk, key, bill_id=bill_id: payment.use(desk, key, bill_id),         # type: ignore[misc]
                "ask": lambda desk, key: payment.ask_refund(desk, key, D("1.00"), "too much")}
            how = ways[event]
            if before not in good:
                with refused(office, key):
                    act(office, lambda desk, how=how, key=key: how(desk, key), chief)         # type: ignore[misc]
                continue
            with refused(office, key, ("forbidden",)):
                act(office, lambda desk, how=how, key=key: how(desk, key), BOSS)         # type: ignore[misc]
            act(office, lambda desk, how=how, key=key: how(desk, key), chief)         # type: ignore[misc]
            with office.reading() as desk:
                found = desk.session.get_one(Payment, key)
                assert (found.state, found.matched, found.refunded) == {
                    "assign": ("posted", D("1.06"), D(0)), "reverse": ("reversed", D(0), D(0)), "use": ("posted", D("1.06"), D(0)),
                    "ask": ("posted", D(0), D("1.00"))}[event]


def test_each_event_of_each_state_of_a_refund(office: Office) -> None:
    clerk, chief = people(office)
    owner = customer(office)

    def lay(desk: Desk, before: str) -> str:
        mine = account.open_(desk, owner, anchor=2)
        fund = desk.add(Payment(source=fresh("s"), account_id=mine.id, customer_id=owner, method="bank", state="posted", amount=D("9.00"), matched=D(0),
                                refunded=D(0) if before == "rejected" else D("1.00"), received=desk.now, created=desk.now))
        return desk.add(Refund(payment_id=fund.id, customer_id=owner, amount=D("1.00"), state=before, reason="x", asked=desk.now, asked_by=clerk.id)).id
    for before, ways in states.REFUND.ways.items():
        for to in states.REFUND.ways:
            key = act(office, lambda desk, before=before: lay(desk, before))         # type: ignore[misc]
            if to not in ways:
                with refused(office, key):
                    act(office, lambda desk, key=key, to=to: payment.move_refund(desk, key, to), chief)         # type: ignore[misc]
                continue
            if to != "paid":
                with refused(office, key, ("forbidden",)) as said:
                    act(office, lambda desk, key=key, to=to: payment.move_refund(desk, key, to),         # type: ignore[misc]
                        Actor(clerk.id, clerk.login, frozenset({"manager"})))
                assert "takes a second person" in said[0]
            act(office, lambda desk, key=key, to=to: payment.move_refund(desk, key, to), chief)         # type: ignore[misc]
            with office.reading() as desk:
                row = desk.session.get_one(Refund, key)
                assert row.state == to and desk.session.get_one(Payment, row.payment_id).refunded == (D(0) if to == "rejected" else D("1.00"))


# ---- dunning

def case_of(desk: Desk, customer_id: str, state: str, of: str, proposed_by: str | None, services: list[str], due: int = 70) -> tuple[str, str]:
    """A case in a state, of a bill in one, due so many days ago."""
    run = desk.add(BillRun(period="2026-09", anchor=2, whole=False, state="issued", customers=[customer_id], begun=desk.now))
    row = billed(desk, customer_id, run.id, of, due=(desk.now - timedelta(days=due)).date())
    held = services if state in ("suspended", "terminationProposed", "terminated") else []
    return row.id, desk.add(DunningCase(bill_id=row.id, account_id=row.account_id, customer_id=customer_id, opened=desk.now, state=state, services=held,
                                        prior_state="reminded" if state == "disputed" else None, proposed_by=proposed_by,
                                        disputed=(desk.now - timedelta(days=3)).date() if state == "disputed" else None)).id


def answered(before: str, to: str, owing: bool) -> str:
    """Why the desk refuses it, '' where it does not."""
    if why := states.refusal(states.DUNNING, before, to, "reminded"):
        return why
    if to == "cleared" and owing:
        return "of the bill are open"
    if to in dunning.NOTICES and before not in ("disputed", *dunning.PROPOSED):
        return "notices are given by the day"
    return ""


@pytest.mark.parametrize("before", states.DUNNING.ways)
@pytest.mark.parametrize("of", ["sent", "settled"])
def test_each_pair_of_dunning_is_answered_by_the_desk(office: Office, before: str, of: str) -> None:
    sold(office)
    clerk, chief = people(office)
    for to in states.DUNNING.ways:
        customer_id = customer(office, f"K-{to}")
        off = before in ("suspended", "terminationProposed")
        ends = [("inactive", "2026-11-20", "non_payment")] if off else [("terminated", "2026-11-20", "x")] if before == "terminated" else []
        service = serving(office, customer_id, "2026-10-01", "home-100", steps=ends)
        _bill, key = act(office, lambda desk, customer_id=customer_id, service=service: case_of(         # type: ignore[misc]
            desk, customer_id, before, of, clerk.id, [service]))

        def how(desk: Desk, key: str = key, to: str = to) -> DunningCase:
            return dunning.move(desk, key, to, "because")
        if why := answered(before, to, of == "sent"):
            with refused(office, key) as said:
                act(office, how, chief)
            assert why in said[0]
            continue
        with refused(office, key, ("forbidden",)):
            act(office, how, LOOKS)
        if before in dunning.PROPOSED and to in ("suspended", "terminated", "warned"):
            with refused(office, key, ("forbidden",)) as said:
                act(office, how, Actor(clerk.id, clerk.login, frozenset({"manager"})))
            assert "takes a second person" in said[0]
        act(office, how, chief)
        with office.reading() as desk:
            row, mine = desk.session.get_one(DunningCase, key), desk.find(Service, service)
            assert row.state == to
            assert (mine.state, mine.reason) == {
                ("suspensionProposed", "suspended"): ("inactive", "non_payment"), ("terminationProposed", "terminated"): ("terminated", "")}.get(
                (before, to), ("inactive", "non_payment") if off else ("terminated", "") if before == "terminated" else ("active", ""))
            assert (row.disputed is None) == (to != "disputed") and (row.paused == 3) == (before == "disputed" and to != "disputed")


@pytest.mark.parametrize("before", [one for one in states.DUNNING.ways if one != "cleared"])
@pytest.mark.parametrize("event", ["paid", "credited", "day"])
def test_what_is_paid_or_credited_ends_a_case_in_each_state_and_a_day_does_what_it_should(office: Office, before: str, event: str) -> None:
    sold(office)
    clerk, chief = people(office)
    customer_id = customer(office)
    service = serving(office, customer_id, "2026-10-01", "home-100",
                      steps=[("inactive", "2026-11-20", "non_payment")] if before in ("suspended", "terminationProposed") else [])
    bill_id, key = act(office, lambda desk: case_of(desk, customer_id, before, "sent", clerk.id, [service]))
    if event == "paid":
        with office.reading() as desk:
            owner = desk.session.get_one(Bill, bill_id).account_id
        act(office, lambda desk: payment.enter(desk, D("1.06"), account_id=owner), clerk)
    elif event == "credited":
        note = act(office, lambda desk: bill.write_credit(desk, bill_id, "wrong"), clerk)
        act(office, lambda desk: bill.decide_credit(desk, note.id, True), chief)
    else:
        act(office, lambda desk: dunning.daily(desk, {}))
    with office.reading() as desk:
        now = desk.session.get_one(DunningCase, key)
        following = {"noticed": "reminded", "reminded": "warned", "warned": "suspensionProposed", "suspended": "terminationProposed"}
        assert now.state == ("cleared" if event != "day" else following.get(before, before)) and (now.cleared is not None) == (event != "day")
        assert desk.session.query(BillingAccount).count() == 1 and desk.session.query(DunningCase).count() == 1


@pytest.mark.parametrize("of", [one for one in states.BILL.ways if one not in ("sent", "partiallyPaid")])
def test_a_day_opens_no_case_of_a_bill_that_is_not_owed(office: Office, of: str) -> None:
    customer_id = customer(office)

    def lay(desk: Desk) -> None:
        run = desk.add(BillRun(period="2026-09", anchor=2, whole=False, state="issued", customers=[customer_id], begun=desk.now))
        billed(desk, customer_id, run.id, of, due=date(2026, 9, 1))
        dunning.daily(desk, {})
    act(office, lay)
    with office.reading() as desk:
        assert desk.session.query(DunningCase).count() == 0
