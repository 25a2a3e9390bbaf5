"""Alarms become tickets: once, of whom they affect, with their causes; storms, windows, flapping, and two who tell the same at once."""
from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from bss.desk import Desk
from bss.office import Office
from bss.refusal import Refusal
from bss.tables import Alarm, AlarmEvent, Contact, Customer, Job, LinkState, Outbox, Resource, Service, ServiceResource, Ticket, Transition, Window
from bss.tickets import alarm, linkstate, storm, tending, ticket, transition, window
from bss.tickets.alarm import Event, Taken, take
from bss.tickets.storm import Down, at_once, causes, explains
from bss.tickets.sweeping import Slot, debounced, intake, slots
from tests.bss.conftest import BEGIN, Clock
from tests.bss.selling import act, customer, person

REGION = "贵阳"


def plant(office: Office, services: int, ports: int = 1, each_customer: bool = True) -> tuple[str, list[str], list[str]]:
    """An OLT with PON ports, and services on them in turn: the OLT, the ports, the services."""
    owners = [customer(office, f"K{n}") for n in range(services if each_customer else 1)]

    def make(desk: Desk) -> tuple[str, list[str], list[str]]:
        olt = desk.add(Resource(kind="olt", name="OLT 1", region=REGION, probe="p1", interface="eth1"))
        held = [desk.add(Resource(kind="pon_port", name=f"0/1/{n}", region=REGION, parent_id=olt.id)).id for n in range(ports)]
        rows = [Service(id=f"S{n:015d}", circuit=f"ZX-{n}", customer_id=owners[n % len(owners)], offering="line-b", offering_version=1, kind="leased_line",
                        class_="B", region=REGION, state="active", down_bps=10 ** 8, up_bps=10 ** 8, created=desk.now) for n in range(services)]
        desk.session.add_all(rows)
        desk.session.flush()
        desk.session.add_all([ServiceResource(service_id=one.id, resource_id=held[n % ports]) for n, one in enumerate(rows)])
        return olt.id, held, [one.id for one in rows]
    return act(office, make)


def event(n: object, service: str = "", state: str = "raised", at: datetime = BEGIN, kind: str = "link_down", **more: Any) -> Event:
    given = {"source": "tmf642", "key": f"a-{service or more.get('resource')}", "severity": "critical", "summary": f"{kind} {state}", **more}
    return Event(event_id=f"e{n}", state=state, kind=kind, at=at, service=service, **given)


def tickets(office: Office) -> list[Ticket]:
    with office.reading() as desk:
        return list(desk.session.execute(select(Ticket).order_by(Ticket.id)).scalars())


@pytest.mark.both
def test_an_alarm_is_a_ticket_once_and_a_clear_resolves_what_nobody_has_begun(office: Office, clock: Clock) -> None:
    _, _, (one, two) = plant(office, 2)
    told = [event(1, one), event(2, one, at=BEGIN + timedelta(seconds=30), key="b"), event(1, one)]
    assert act(office, lambda desk: take(desk, told)) == Taken(2, 1, 1, 1, 0, 0)
    assert act(office, lambda desk: take(desk, [event(1, one)])).new == 0
    row = tickets(office)[0]
    assert (row.kind, row.state, row.priority, row.count, row.service_id, row.alarm_kind) == ("outage", "acknowledged", 1, 2, one, "link_down")
    clock.forward(minutes=10)
    act(office, lambda desk: take(desk, [event(3, one, "cleared", clock.now)]))
    assert tickets(office)[0].state == "acknowledged"           # another alarm of it stands
    act(office, lambda desk: take(desk, [event(4, one, "cleared", clock.now, key="b"), event(5, two, at=clock.now)]))
    row, other = tickets(office)
    assert (row.state, row.restoration["how"], row.restored, other.state) == ("resolved", "cleared", clock.now, "acknowledged")
    act(office, lambda desk: take(desk, [event(6, one, at=clock.now)]))
    assert [(one.state, one.count) for one in tickets(office)] == [("inProgress", 3), ("acknowledged", 1)]         # it is reopened
    worker = person(office, "li", "assurance")
    act(office, lambda desk: transition.act(desk, other.id, "take"), worker)
    act(office, lambda desk: take(desk, [event(7, two, "cleared", clock.now)]))
    assert tickets(office)[1].state == "inProgress"             # somebody works on it: he is told, and decides
    with office.reading() as desk:
        assert [(one.source, one.state, one.until) for one in desk.session.execute(select(LinkState).where(LinkState.subject == two).order_by(
            LinkState.since, LinkState.state)).scalars()] == [("tmf642", "down", None)]         # up at the same moment says nothing


@pytest.mark.both
def test_the_database_keeps_one_ticket_of_a_key(office: Office) -> None:
    _, _, (one,) = plant(office, 1)
    first = act(office, lambda desk: ticket.open_(desk, kind="outage", service_id=one, severity="major", summary="x", dedup_key="k").id)
    assert act(office, lambda desk: ticket.open_(desk, kind="outage", service_id=one, severity="critical", summary="y", dedup_key="k").id) == first
    with pytest.raises(IntegrityError), office.writing() as desk:
        desk.session.execute(text("INSERT INTO ticket SELECT * FROM (SELECT 'T2' AS id, kind, severity, priority, state, reason, customer_id, service_id, "
                                  "resource_id, class, region, summary, channel, dedup_key, alarm_kind, alert_id, evidence, root_cause, parent_id, "
                                  "repeat_of_id, count, raises, flapping, cleared, owner_id, opened_by, began, created, updated, responded, response_due, "
                                  "restore_due, pending_since, pauses, reminded, claimed, claimed_by, restored, restoration, resolved, closed, told, proposal, "
                                  "version FROM ticket) AS t"))


@pytest.mark.both
def test_two_who_take_the_same_alarm_at_once_make_one_ticket(office: Office) -> None:
    _, _, services = plant(office, 6)
    wrong: list[BaseException] = []

    def both(k: int) -> None:
        try:
            for n in range(6):
                # the same event, and another one of the same key
                told = [event(n, services[n]), event(f"{k}-{n}", services[n], at=BEGIN + timedelta(seconds=k), key=f"w{k}-{n}")]
                act(office, lambda desk, told=told: take(desk, told))           # type: ignore[misc]
        except BaseException as error:
            wrong.append(error)
    threads = [threading.Thread(target=both, args=(k,)) for k in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not wrong
    rows = tickets(office)
    assert sorted(str(one.service_id) for one in rows) == services and all(one.count == 4 for one in rows)
    with office.reading() as desk:
        assert desk.session.execute(select(func.count()).select_from(AlarmEvent)).scalar() == 6 + 18
        assert desk.session.execute(select(func.count()).select_from(Transition).where(Transition.entity == "ticket")).scalar() == 6


@pytest.mark.both
def test_ten_thousand_alerts_told_twice_are_the_same_tickets_once(office: Office, clock: Clock) -> None:
    """Issue: storms. 100 services, 100 states of alerts each: raised, updated and cleared again and again."""
    _, _, services = plant(office, 100, 10, each_customer=False)
    clock.forward(hours=10)
    words = ("raised", *["updated"] * 23, "cleared")
    kinds = ("service_silent", "loss", "syn_flood", "service_silent")
    events = [Event("probe", f"{n}-{k}.{s}", f"{n}-{k}", word, kinds[k], "critical", BEGIN + timedelta(minutes=120 * k + 4 * s, seconds=n % 60), "x",
                    service=one, alert_id=f"{n}-{k}") for k in range(4) for s, word in enumerate(words) for n, one in enumerate(services)]
    assert len(events) == 10_000
    first = intake(office, events)
    rows = [(one.id, one.state, one.count, one.parent_id) for one in tickets(office)]
    second = intake(office, events)
    assert (first.new, first.known, second.new, second.known) == (10_000, 0, 0, 10_000)
    assert [(one.id, one.state, one.count, one.parent_id) for one in tickets(office)] == rows
    with office.reading() as desk:
        keys = desk.session.execute(select(Ticket.dedup_key, func.count()).where(Ticket.state.not_in(("closed", "cancelled", "rejected"))).group_by(
            Ticket.dedup_key)).all()
        assert all(count == 1 for _, count in keys) and len(keys) == len(rows) == 300 and sum(one[2] for one in rows) == 400


# ---- storms

def downs(*times: int) -> list[Down]:
    return [Down(f"T{n}", f"S{n}", BEGIN + timedelta(seconds=at)) for n, at in enumerate(times)]


def test_what_falls_at_once() -> None:
    assert [one.ticket_id for one in at_once(downs(0, 60, 120, 121, 400))] == ["T0", "T1", "T2"]
    assert len(at_once([Down("T1", "S1", BEGIN), Down("T2", "S1", BEGIN), Down("T3", "S2", BEGIN)])) == 3
    assert [explains(*one) for one in ((4, 100), (5, 100), (3, 10), (3, 11), (2, 2))] == [False, True, True, False, False]
    assert not explains(5, 100, equipment=False) and explains(30, 100, equipment=False)


def test_a_dead_port_is_not_its_olts_fault_and_a_dead_olt_is() -> None:
    chains = {f"S{n}": (f"P{n % 2}", "O") for n in range(12)}
    totals = {"P0": 6, "P1": 6, "O": 12}
    assert [(one.resource_id, len(one.down)) for one in causes(downs(*[0] * 12)[::2], chains, totals)] == [("P0", 6)]
    assert [(one.resource_id, len(one.down)) for one in causes(downs(*[0] * 12), chains, totals)] == [("O", 12)]
    assert causes(downs(0, 200, 400, 600, 800), chains, totals) == []
    assert causes(downs(0, 0, 0, 0, 0), {f"S{n}": ("site",) for n in range(5)}, {"site": 1000}, ["site"]) == []


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(some.lists(some.tuples(some.integers(0, 11), some.integers(0, 600)), max_size=30), some.integers(1, 4))
def test_every_service_has_one_cause_at_most(fallen: list[tuple[int, int]], ports: int) -> None:
    """Whatever falls when: causes share no ticket, each explains enough within 120 seconds, and nothing that is left would make one."""
    down = [Down(f"T{n}", f"S{service}", BEGIN + timedelta(seconds=at)) for n, (service, at) in enumerate(fallen)]
    chains = {f"S{n}": (f"P{n % ports}", "O") for n in range(12)}
    totals = {**{f"P{k}": len(range(k, 12, ports)) for k in range(ports)}, "O": 12}
    found = causes(down, chains, totals)
    taken = [one.ticket_id for group in found for one in group.down]
    assert len(taken) == len(set(taken))
    for group in found:
        assert explains(len({one.service_id for one in group.down}), totals[group.resource_id])
        assert max(one.at for one in group.down) - min(one.at for one in group.down) <= storm.AT_ONCE
        assert all(group.resource_id in chains[one.service_id] for one in group.down)
    left = [one for one in down if one.ticket_id not in taken]
    assert causes(left, chains, totals) == []


@pytest.mark.both
def test_a_storm_has_one_parent_and_each_customer_is_told_once(office: Office, clock: Clock) -> None:
    olt, ports, services = plant(office, 12, 2)
    intake(office, [event(n, one, at=BEGIN - timedelta(seconds=n * 8)) for n, one in enumerate(services)])
    rows = tickets(office)
    parents = [one for one in rows if one.root_cause]
    assert [one.resource_id for one in parents] == [olt] and all(one.parent_id == parents[0].id for one in rows if not one.root_cause) and len(rows) == 13
    assert {one.restore_due for one in rows} == {BEGIN + timedelta(hours=8)}            # children keep their clocks
    with office.reading() as desk:
        told = desk.session.execute(select(Outbox).where(Outbox.type == "fullspan.troubleTicket.notice")).scalars().all()
        assert len(told) == 12 and {one.data["ticket"] for one in told} == {parents[0].id}
    clock.forward(minutes=1)
    assert act(office, tending.tend) == {"outlasted": 0, "storms": 0, "told": 0, "calmed": 0, "closed": 0}
    worker = person(office, "li", "assurance")
    intake(office, [event(100 + n, one, "cleared", clock.now) for n, one in enumerate(services)])
    act(office, lambda desk: transition.act(desk, parents[0].id, "take"), worker)
    with office.reading() as desk:
        assert {one.state for one in desk.session.execute(select(Ticket).where(Ticket.parent_id == parents[0].id)).scalars()} == {"resolved"}


def test_who_has_an_address_is_written_to_once(office: Office, clock: Clock) -> None:
    _, _, services = plant(office, 3)
    office.settings = office.settings.model_copy(update={"mail": office.settings.mail.model_copy(update={"server": "127.0.0.1:25"})})

    def reached(desk: Desk) -> None:
        for one in desk.session.execute(select(Customer).where(Customer.number.in_(("K0", "K1")))).unique().scalars():
            desk.add(Contact(party_id=one.party_id, medium="email", value=f"{one.number}@example.cn", role="technical"))
    act(office, reached)
    intake(office, [event(n, one) for n, one in enumerate(services)])
    intake(office, [event(10 + n, one, key=f"b{n}") for n, one in enumerate(services)])
    with office.reading() as desk:
        held = desk.session.execute(select(Job).where(Job.kind == "mail.send")).scalars().all()
        assert sorted(json.loads(str(one.personal))["to"] for one in held) == ["K0@example.cn", "K1@example.cn"]
        assert all("1 项业务" in str(one.personal) for one in held)


def test_a_contractor_sees_his_own_tickets_alone(office: Office) -> None:
    _, _, (one, two) = plant(office, 2)
    act(office, lambda desk: take(desk, [event(1, one), event(2, two)]))
    his = person(office, "gong", "contractor", own_work=True)
    rows = tickets(office)
    act(office, lambda desk: ticket.assign(desk, rows[0].id, his.id))
    with office.reading(his) as desk:
        assert [row.id for row in desk.session.execute(ticket.listed(desk)).scalars()] == [rows[0].id]
        for query in (alarm.listed(desk), linkstate.listed(desk), window.listed(desk)):
            assert desk.session.execute(query).scalars().all() == []
    act(office, lambda desk: transition.claim(desk, rows[0].id), his)
    for wrong in (lambda desk: transition.claim(desk, rows[1].id), lambda desk: ticket.note(desk, rows[1].id, "x")):
        with pytest.raises(Refusal, match="there is no ticket"):
            act(office, wrong, his)


def test_a_resource_that_is_down_takes_what_stands_on_it_along(office: Office, clock: Clock) -> None:
    olt, ports, services = plant(office, 4, 2)
    act(office, lambda desk: take(desk, [event(1, "", kind="olt_down", resource=olt)]))
    rows = tickets(office)
    parent = next(one for one in rows if one.root_cause)
    assert sorted(str(one.service_id) for one in rows if one.parent_id == parent.id) == services and len(rows) == 5
    with office.reading() as desk:
        found = linkstate.spells(desk, services, BEGIN - timedelta(hours=1), BEGIN + timedelta(hours=1))
        assert all([(one.since, one.until, one.source) for one in held] == [(BEGIN, BEGIN + timedelta(hours=1), "tmf642")] for held in found.values())
    clock.forward(minutes=7)
    act(office, lambda desk: take(desk, [event(2, "", "cleared", clock.now, kind="olt_down", resource=olt)]))
    assert {one.state for one in tickets(office)} == {"resolved"}
    act(office, lambda desk: take(desk, [event(3, "", "raised", clock.now, kind="olt_down", resource=olt)]))
    assert {one.state for one in tickets(office)} == {"inProgress"} and len(tickets(office)) == 5


# ---- windows, flapping, attacks, power

@pytest.mark.both
def test_a_planned_window_keeps_the_alarm_and_makes_no_ticket(office: Office, clock: Clock) -> None:
    olt, _, (one, two) = plant(office, 2)
    maker, boss = person(office, "li", "assurance", "manager"), person(office, "boss", "manager")
    made = act(office, lambda desk: window.plan(desk, kind="maintenance", since=BEGIN - timedelta(hours=1), until=BEGIN + timedelta(hours=1), reason="cutover",
                                                resources=[olt], announced=BEGIN - timedelta(hours=2)).id, maker)
    with pytest.raises(Refusal, match="second person"):
        act(office, lambda desk: window.move(desk, made, "approved"), maker)
    act(office, lambda desk: window.move(desk, made, "approved"), boss)
    assert act(office, lambda desk: take(desk, [event(1, one)])) == Taken(1, 0, 0, 0, 0, 1)
    with office.reading() as desk:
        assert desk.session.execute(select(Alarm.suppressed)).scalar() == made and tickets(office) == []
        assert window.excluded(desk, [one], BEGIN - timedelta(days=1), BEGIN + timedelta(days=1)) == {one: []}         # it was announced too late to count
    early = act(office, lambda desk: window.plan(desk, kind="maintenance", since=BEGIN + timedelta(days=2), until=BEGIN + timedelta(days=2, hours=1),
                                                 reason="x", services=[two], announced=BEGIN).id, maker)
    with office.reading() as desk:
        assert window.excluded(desk, [two], BEGIN, BEGIN + timedelta(days=3)) == {two: []}
    act(office, lambda desk: window.move(desk, early, "approved"), boss)
    with office.reading() as desk:
        held = window.excluded(desk, [one, two], BEGIN, BEGIN + timedelta(days=2, minutes=30))
        assert held[one] == [] and [(spell.since, spell.until, spell.source, spell.evidence["approved_by"]) for spell in held[two]] == [
            (BEGIN + timedelta(days=2), BEGIN + timedelta(days=2, minutes=30), "maintenance", boss.id)]
    with pytest.raises(Refusal, match="approved already"):
        act(office, lambda desk: window.move(desk, early, "approved"), boss)


@pytest.mark.parametrize("before", [*window.STATES])
@pytest.mark.parametrize("to", [*window.STATES, "gone"])
def test_every_state_of_a_window_is_answered(before: str, to: str) -> None:
    assert (window.refusal(before, to) == "") == (to in window.STATES[before])


def test_what_flaps_is_one_ticket_and_comes_to_rest(office: Office, clock: Clock) -> None:
    _, _, (one,) = plant(office, 1)
    for n in range(6):
        clock.forward(minutes=4)
        act(office, lambda desk, n=n: take(desk, [event(f"r{n}", one, at=clock.now)]))         # type: ignore[misc]
        clock.forward(minutes=4)
        act(office, lambda desk, n=n: take(desk, [event(f"c{n}", one, "cleared", clock.now)]))         # type: ignore[misc]
    rows = tickets(office)
    assert len(rows) == 1 and rows[0].flapping and rows[0].state == "inProgress" and rows[0].count == 6
    clock.forward(minutes=30)
    assert act(office, tending.calm) == 0
    clock.forward(minutes=31)
    assert act(office, tending.calm) == 1
    assert (tickets(office)[0].state, tickets(office)[0].flapping) == ("resolved", False)
    clock.forward(hours=71)
    assert act(office, tending.close) == 0
    clock.forward(hours=2)
    assert act(office, tending.close) == 1 and tickets(office)[0].state == "closed"
    act(office, lambda desk: take(desk, [event("again", one, at=clock.now)]))
    assert tickets(office)[1].repeat_of_id == rows[0].id


def test_an_attack_is_the_victims_ticket_and_what_is_proposed_takes_a_person(office: Office) -> None:
    _, _, (one,) = plant(office, 1)
    act(office, lambda desk: take(desk, [event(1, one, kind="syn_flood", source="probe", severity="high", target="203.0.113.9", alert_id="al1")]))
    row = tickets(office)[0]
    assert (row.kind, row.severity, row.alert_id) == ("attack", "major", "al1")
    assert row.proposal == {"action": "rate_limit", "target": "203.0.113.9", "state": "proposed"}
    boss = person(office, "boss", "manager")
    with pytest.raises(Refusal, match="needs the permission"):
        act(office, lambda desk: transition.decide(desk, row.id, True), person(office, "li", "assurance"))
    with pytest.raises(Refusal, match="a reason is needed"):
        act(office, lambda desk: transition.decide(desk, row.id, False), boss)
    act(office, lambda desk: transition.decide(desk, row.id, True), boss)
    with pytest.raises(Refusal, match="is approved"):
        act(office, lambda desk: transition.decide(desk, row.id, True), boss)


def test_a_device_without_power_is_no_ticket_but_a_window_to_be_approved(office: Office, clock: Clock) -> None:
    _, _, (one,) = plant(office, 1)
    act(office, lambda desk: take(desk, [event(1, one, kind="dying_gasp", source="snmp")]))
    clock.forward(minutes=20)
    act(office, lambda desk: take(desk, [event(2, one, "cleared", clock.now, kind="dying_gasp", source="snmp")]))
    assert tickets(office) == []
    with office.reading() as desk:
        row = desk.session.execute(select(Window)).scalar_one()
        assert (row.kind, row.state, row.since, row.until) == ("customer", "planned", BEGIN, clock.now)
        assert [(spell.since, spell.until) for spell in linkstate.spells(desk, [one], BEGIN, clock.now)[one]] == [(BEGIN, clock.now)]


def test_a_warning_and_what_is_not_known_stay_alarms(office: Office) -> None:
    _, _, (one,) = plant(office, 1)
    found = act(office, lambda desk: take(desk, [event(1, one, severity="warning"), event(2, "nobody's"), event(3, one, key="p", planned=True)]))
    assert (found.new, found.suppressed, tickets(office)) == (3, 3, [])
    with pytest.raises(Refusal, match="has not been yet"):
        act(office, lambda desk: take(desk, [event(9, one, at=BEGIN + timedelta(hours=1))]))
    with pytest.raises(Refusal, match="is no state"):
        act(office, lambda desk: take(desk, [event(9, one, "gone")]))


# ---- pings

def test_two_of_three_raise_and_five_clear() -> None:
    def told(marks: str) -> list[tuple[str, int]]:
        rows = slots([Slot(BEGIN + timedelta(minutes=n), one == "x") for n, one in enumerate(marks)])
        return [(word, int((at - BEGIN).total_seconds()) // 60) for word, at in debounced(rows, False)]
    assert told("..x..x...") == [] and told("..x.x...") == [("raised", 2)] and told(".xx....") == [("raised", 1)]
    assert told(".xx.....") == [("raised", 1), ("cleared", 3)] and told("xx...x.....") == [("raised", 0), ("cleared", 6)]
    assert slots([Slot(BEGIN, True), Slot(BEGIN + timedelta(seconds=20), False)]) == [Slot(BEGIN + timedelta(seconds=20), False)]
