"""Every state of bills, runs, payments, refunds and dunning, and where each may go: the tables against the plan's, and what the desk answers; then by days."""
from __future__ import annotations

import itertools
from datetime import date, timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from sqlalchemy import select

from bss import audit
from bss.billing import account, bill, dunning, payment, run, states
from bss.desk import Desk
from bss.identifier import fresh
from bss.office import Office
from bss.refusal import Refusal
from bss.tables import Bill, BillLine, BillRun, DunningCase, Interaction, Job, Outbox, Payment, Refund, Service
from bss.working import worker
from tests.bss.paying import issued, people, serving
from tests.bss.selling import act, customer, records, sold

#: The plan's tables, written once more.
PLAN = {
    "BILL": """new: onHold validated void
onHold: new void
validated: sent void
void:
sent: partiallyPaid settled
partiallyPaid: settled sent
settled: partiallyPaid sent""",
    "RUN": """trial: built cancelled
built: audited trial cancelled
audited: approved trial cancelled
approved: issued
issued:
cancelled:""",
    "PAYMENT": """received: suggested posted reversed
suggested: received posted reversed
posted: reversed
reversed:""",
    "REFUND": """asked: approved rejected
approved: paid rejected
rejected:
paid:""",
    "DUNNING": """noticed: reminded disputed cleared
reminded: warned disputed cleared
warned: suspensionProposed disputed cleared
suspensionProposed: suspended warned disputed cleared
suspended: terminationProposed disputed cleared
terminationProposed: terminated suspended disputed cleared
disputed: reminded cleared
terminated: cleared
cleared:"""}
WANTED = {name: {before: set(ways.split()) for before, _, ways in (one.partition(":") for one in table.splitlines())} for name, table in PLAN.items()}
PAIRS = [(name, before, to) for name, table in WANTED.items() for before, to in itertools.product(table, table)]


@pytest.mark.parametrize(("name", "before", "to"), PAIRS)
def test_each_pair_is_allowed_or_refused_in_a_sentence(name: str, before: str, to: str) -> None:
    course: states.Course = getattr(states, name)
    why = states.refusal(course, before, to, "reminded")
    assert (why == "") == (to in WANTED[name][before]) == states.allowed(course, before, to, "reminded")
    assert not why or (len(why.split()) >= 4 and "\n" not in why)
    assert set(course.ways) == set(course.meaning) == set(WANTED[name]) and "is no state" in states.refusal(course, before, "x")


def test_each_pair_of_bills_is_answered_by_the_desk(office: Office) -> None:
    maker, other = people(office)
    customer_id = customer(office)

    def rows(desk: Desk) -> dict[tuple[str, str], str]:
        owner = account.open_(desk, customer_id)
        of = desk.add(BillRun(period="2026-11", anchor=1, whole=False, state="issued", customers=[customer_id], begun=desk.now, begun_by=maker.id))
        found = {}
        for n, (before, to) in enumerate(itertools.product(WANTED["BILL"], WANTED["BILL"])):
            sent = before in ("sent", "partiallyPaid", "settled")
            found[before, to] = desk.add(Bill(
                account_id=owner.id, customer_id=customer_id, run_id=of.id, period="2026-11", revision=n + 1, begin=date(2026, 11, 1), end=date(2026, 12, 1),
                state=before, net=D("1.00"), tax=D("0.06"), gross=D("1.06"), created=desk.now, number=f"X{n}" if sent else None,
                paid={"partiallyPaid": D("0.50"), "settled": D("1.06")}.get(before, D(0)))).id
            desk.add(BillLine(bill_id=found[before, to], number=1, kind="recurring", name={"en": "x", "zh": "x"}, quantity=D(1), begin=date(2026, 11, 1),
                              end=date(2026, 12, 1), amount=D("1.00"), tax_mode="exclusive", tax_rate=D("0.06"), net=D("1.00"), tax=D("0.06"),
                              gross=D("1.06"), source=f"recurring/{n}", evidence={}))
        return found
    whys = {}
    for (before, to), key in act(office, rows).items():
        if to in WANTED["BILL"][before] and to in bill.MOVED and before not in ("sent", "partiallyPaid", "settled"):
            assert act(office, lambda desk, key=key, to=to: bill.move(desk, key, to, "because"), other).state == to         # type: ignore[misc]
            continue
        with pytest.raises(Refusal) as error:
            act(office, lambda desk, key=key, to=to: bill.move(desk, key, to, "because"), other)             # type: ignore[misc]
        assert error.value.kind == "conflict" and error.value.what == (states.refusal(states.BILL, before, to) or f"a bill is {to} by what is paid of it")
        whys[key] = error.value.what
    with office.reading() as desk:
        refused = {row.entity_id: row.reason for row, _ in records(desk, "bill") if row.action == "bill.move.refused"}
        assert refused == whys and audit.check(desk.session) > len(whys)


def test_each_pair_of_refunds_and_payments_is_answered_by_the_desk(office: Office) -> None:
    customer_id = customer(office)

    def rows(desk: Desk) -> tuple[str, dict[Any, str], dict[Any, str]]:
        owner = account.open_(desk, customer_id)

        def paid(state: str) -> str:
            return desk.add(Payment(source=fresh("s"), account_id=owner.id, customer_id=customer_id, method="bank", state=state, amount=D("9.00"), matched=D(0),
                                    refunded=D("1.00") if state == "posted" else D(0), received=desk.now, created=desk.now)).id
        refunds = {(before, to): desk.add(Refund(payment_id=paid("posted"), customer_id=customer_id, amount=D("1.00"), state=before, reason="x",
                                                 asked=desk.now)).id for before, to in itertools.product(WANTED["REFUND"], WANTED["REFUND"])}
        found = {before: paid(before) for before in WANTED["PAYMENT"]}
        for one in found.values():
            desk.session.get_one(Payment, one).refunded = D(0)
        return owner.id, refunds, found
    owner_id, refunds, payments = act(office, rows)
    for (before, to), key in refunds.items():
        if to in WANTED["REFUND"][before]:
            assert act(office, lambda desk, key=key, to=to: payment.move_refund(desk, key, to)).state == to        # type: ignore[misc]
        else:
            with pytest.raises(Refusal) as error:
                act(office, lambda desk, key=key, to=to: payment.move_refund(desk, key, to))          # type: ignore[misc]
            assert error.value.what == states.refusal(states.REFUND, before, to)
    for before, key in payments.items():
        ways = {"posted": lambda desk, key=key: payment.assign(desk, key, owner_id), "reversed": lambda desk, key=key: payment.reverse(desk, key, "x")}
        for to, how in ways.items():
            with office.reading() as desk:
                now = desk.session.get_one(Payment, key).state
            if to in WANTED["PAYMENT"][now]:
                assert act(office, how).state == to          # type: ignore[arg-type]
            else:
                with pytest.raises(Refusal) as error:
                    act(office, how)          # type: ignore[arg-type]
                assert error.value.what == states.refusal(states.PAYMENT, now, to), before


def cases(office: Office) -> dict[str, DunningCase]:
    with office.reading() as desk:
        return {one.customer_id: one for one in desk.session.scalars(select(DunningCase).where(DunningCase.state != "cleared"))}


def days(office: Office, clock: Any, count: int) -> None:
    """Each day the worker's duty is done once."""
    for _ in range(count):
        clock.forward(days=1)
        act(office, lambda desk: dunning.daily(desk, {}))


@pytest.mark.both
def test_dunning_goes_by_days_and_takes_a_person(office: Office, clock: Any) -> None:
    sold(office)
    one, two = customer(office, "K1"), customer(office, "K2")
    service = serving(office, one, "2026-11-01", "home-100")
    serving(office, two, "2026-11-01", "home-100")
    rows = {row.customer_id: row for row in issued(office)}
    clerk, chief = people(office)
    seen: dict[str, int] = {}
    for day in range(1, 46):
        days(office, clock, 1)
        for state in {case.state for case in cases(office).values()}:
            seen.setdefault(state, day - 15)            # due on the fifteenth day
    assert seen == {"noticed": 0, "reminded": 7, "warned": 15, "suspensionProposed": 30}
    case = cases(office)[one]
    with office.reading() as desk:
        assert desk.session.query(Interaction).filter(Interaction.customer_id == one).count() == 3
        assert desk.session.query(Outbox).filter(Outbox.type == "fullspan.dunningCase.notice", Outbox.subject == case.id).count() == 3
    for who, to, why in ((clerk, "suspended", "dunning.approve"), (chief, "terminated", "can't become terminated"), (chief, "warned", "a reason is needed")):
        with pytest.raises(Refusal, match=why):
            act(office, lambda desk, to=to: dunning.move(desk, case.id, to), who)         # type: ignore[misc]
    # the one is suspended, of the other it is declined: it is proposed again a week later
    act(office, lambda desk: dunning.move(desk, case.id, "suspended"), chief)
    act(office, lambda desk: dunning.move(desk, cases(office)[two].id, "warned", "he pays tomorrow"), chief)
    with office.reading() as desk:
        held = desk.session.get_one(Service, service)
        assert (held.state, held.reason) == ("inactive", "non_payment") and cases(office)[one].services == [service]
    days(office, clock, 6)
    assert cases(office)[two].state == "warned"
    days(office, clock, 1)
    assert cases(office)[two].state == "suspensionProposed"
    days(office, clock, 23)
    assert cases(office)[one].state == "terminationProposed"
    # what is paid clears the case, and the worker takes the service up again
    act(office, lambda desk: payment.enter(desk, D("179.00"), account_id=rows[one].account_id), clerk)
    with office.reading() as desk:
        assert desk.session.get_one(DunningCase, case.id).state == "cleared" and desk.session.query(Job).filter(Job.kind == "billing.resume").count() == 1
    while worker.step(office, "w", timedelta(seconds=60)):
        continue
    with office.reading() as desk:
        assert desk.session.get_one(Service, service).state == "active"
    with pytest.raises(Refusal, match="stays so"):
        act(office, lambda desk: dunning.move(desk, case.id, "disputed", "x"), clerk)


def test_a_dispute_stops_the_days_and_a_bounced_payment_begins_anew(office: Office, clock: Any) -> None:
    sold(office)
    one = customer(office)
    serving(office, one, "2026-11-01", "home-100")
    row = issued(office)[0]
    clerk, chief = people(office)
    days(office, clock, 15 + 8)
    case = cases(office)[one]
    assert case.state == "reminded"
    with pytest.raises(Refusal, match="notices are given by the day"):
        act(office, lambda desk: dunning.move(desk, case.id, "warned"), clerk)
    act(office, lambda desk: dunning.move(desk, case.id, "disputed", "the line was down"), clerk)
    with pytest.raises(Refusal, match="it is disputed, and nothing is done meanwhile: it goes back to reminded"):
        act(office, lambda desk: dunning.move(desk, case.id, "warned"), chief)
    days(office, clock, 40)
    assert cases(office)[one].state == "disputed"
    with pytest.raises(Refusal, match="179.00 CNY of the bill are open"):
        act(office, lambda desk: dunning.move(desk, case.id, "cleared", "so he says"), clerk)
    act(office, lambda desk: dunning.move(desk, case.id, "reminded", "it was not down"), clerk)
    assert cases(office)[one].paused == 40
    days(office, clock, 6)
    assert cases(office)[one].state == "reminded"
    days(office, clock, 1)
    assert cases(office)[one].state == "warned"
    with pytest.raises(Refusal, match="the bill is due since 15 days: that is proposed after 30"):
        act(office, lambda desk: dunning.move(desk, case.id, "suspensionProposed"), clerk)
    paid = act(office, lambda desk: payment.enter(desk, D("179.00"), account_id=row.account_id), clerk)
    assert cases(office) == {}
    act(office, lambda desk: payment.reverse(desk, paid.id, "bounced"), clerk)
    days(office, clock, 1)
    again = cases(office)[one]
    assert (again.id != case.id, again.state) == (True, "noticed") and dunning.days_of(again, row.due or date.max, date(2026, 12, 16) + timedelta(days=9)) == 9


def test_who_proposed_does_not_decide_and_a_termination_ends_services(office: Office, clock: Any) -> None:
    sold(office)
    one = customer(office)
    service = serving(office, one, "2026-11-01", "home-100")
    issued(office)
    clerk, chief = people(office)
    days(office, clock, 15 + 16)
    clock.forward(days=20)
    case = cases(office)[one]
    assert case.state == "warned"
    act(office, lambda desk: dunning.move(desk, case.id, "suspensionProposed"), chief)
    with pytest.raises(Refusal, match="takes a second person"):
        act(office, lambda desk: dunning.move(desk, case.id, "suspended"), chief)
    act(office, lambda desk: dunning.move(desk, case.id, "suspended"))
    clock.forward(days=40)
    act(office, lambda desk: dunning.daily(desk, {}))
    with pytest.raises(Refusal, match="a reason is needed for terminated"):
        act(office, lambda desk: dunning.move(desk, case.id, "terminated"), chief)
    act(office, lambda desk: dunning.move(desk, case.id, "terminated", "unpaid for 90 days"), chief)
    with office.reading() as desk:
        assert desk.session.get_one(Service, service).state == "terminated" and run.listed(desk) is not None
    assert clerk.id != chief.id
