"""Tickets: states, priorities, keys, who does what; pure things first, then on both databases."""
from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bss.desk import Desk
from bss.office import Office
from bss.refusal import Refusal
from bss.tables import Ticket
from bss.tickets import cause, states, ticket, transition
from bss.tickets.promise import CLASSES, of_class, wall_due
from tests.bss.conftest import Clock
from tests.bss.selling import act, customer, person, records, served, sold

T0 = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)


# ---- states

@pytest.mark.parametrize("before", states.STATES)
@pytest.mark.parametrize("to", states.STATES)
def test_every_state_is_answered_from_every_other(before: str, to: str) -> None:
    """BSS 4.6: what the table has is allowed, and the rest is refused in a sentence that names both."""
    why = states.refusal(before, to)
    assert (why == "") == (to in states.TICKET[before])
    if why:
        assert len(why) > 15 and (before in why or to in why) and why[0].islower() and not why.endswith("."), why


@pytest.mark.parametrize("before", states.STATES)
@pytest.mark.parametrize("event", [*states.EVENTS, "explode"])
def test_every_act_is_answered_in_every_state(before: str, event: str) -> None:
    why = states.refused(before, event)
    allowed = event in states.EVENTS and states.EVENTS[event] in states.TICKET[before] and before in states.BEGINS.get(event, states.STATES)
    assert (why == "") == allowed, (before, event, why)


@pytest.mark.parametrize("before", states.STATES)
def test_every_state_answers_what_an_alarm_says(before: str) -> None:
    assert states.raised(before) == ("" if before in states.TERMINAL else "inProgress" if before == "resolved" else before)
    for worked in (False, True):
        for flapping in (False, True):
            after = states.cleared(before, worked, flapping)
            assert after == before or after == "resolved" and before in ("acknowledged", "inProgress") and not worked and not flapping


def test_the_table_is_that_of_the_definition() -> None:
    assert {(a, b) for a, held in states.TICKET.items() for b in held} == {
        ("acknowledged", "inProgress"), ("acknowledged", "resolved"), ("acknowledged", "rejected"), ("acknowledged", "cancelled"),
        ("inProgress", "pending"), ("pending", "inProgress"), ("inProgress", "held"), ("held", "inProgress"), ("pending", "held"), ("held", "pending"),
        ("pending", "resolved"), ("pending", "cancelled"), ("held", "resolved"), ("held", "cancelled"), ("inProgress", "resolved"),
        ("resolved", "closed"), ("resolved", "inProgress")}


@pytest.mark.parametrize(("class_", "wanted"), [("A", (1, 1, 2)), ("B", (1, 2, 3)), ("C", (2, 3, 3)), ("home", (3, 3, 4)), ("wlan", (3, 4, 4))])
def test_priority_by_class_and_severity(class_: str, wanted: tuple[int, int, int]) -> None:
    assert tuple(states.priority(class_, one) for one in ("critical", "major", "minor")) == wanted


@given(some.lists(some.text("abc01-", max_size=4), min_size=3, max_size=3), some.lists(some.text("abc01-", max_size=4), min_size=3, max_size=3))
def test_a_key_is_of_three_parts_that_do_not_run_together(one: list[str], other: list[str]) -> None:
    assert (states.dedup_key(*one) == states.dedup_key(*other)) == (one == other)


@pytest.mark.parametrize(("text", "kind"), [("lossOfSignal", "loss_of_signal"), ("Loss of signal", "loss_of_signal"), ("linkDown", "link_down"),
                                            ("syn_flood", "syn_flood"), ("--", ""), ("x" * 65, "")])
def test_kinds_are_written_in_one_way(text: str, kind: str) -> None:
    assert cause.kind_of(text) == kind


def test_what_says_that_a_service_is_down_is_one_fault_of_it() -> None:
    assert len({cause.key_of(kind, "S1", resource) for kind in ("link_down", "service_silent", "ping_down") for resource in (None, "R1")}) == 1
    assert cause.key_of("loss", "S1", None) != cause.key_of("loss", "S1", "R1") != cause.key_of("syn_flood", "S1", "R1")


# ---- promises

def test_promises_of_classes() -> None:
    """BSS 4.1: first response 15, 30, 60 min, 4 h, 8 h; restore 4, 8, 24, 48, 72 h."""
    assert [(of_class(one).response, of_class(one).restore, of_class(one).business) for one in ("A", "B", "C", "home", "wlan")] == [
        (15, 240, False), (30, 480, False), (60, 1440, False), (240, 2880, True), (480, 4320, True)]
    assert of_class("none") == CLASSES["B"]


@given(some.integers(1, 5000), some.lists(some.tuples(some.integers(0, 4000), some.integers(1, 900)), max_size=4))
def test_a_clock_that_stood_is_due_later_by_as_much(minutes: int, pauses: list[tuple[int, int]]) -> None:
    at, held = 0, []
    for gap, length in pauses:
        held.append((T0 + timedelta(minutes=at + gap), T0 + timedelta(minutes=at + gap + length)))
        at += gap + length
    due = wall_due(T0, minutes, held)
    stood = sum((min(end, due) - begin for begin, end in held if begin < due), timedelta())
    assert due - T0 - stood == timedelta(minutes=minutes)


# ---- on a database

def test_first_response_in_business_hours_and_a_holiday_that_is_added_later(office: Office, clock: Clock) -> None:
    """A home line at 17:00 on Thursday 24 December 2026: four business hours are over on Friday at 12:00 - and on Monday where Friday becomes a day off."""
    from bss.tables import Template
    from bss.tickets import timetable
    from bss.tickets.calendar import STANDARD

    sold(office)
    customer(office, class_="home")
    service = served(office, state="active", offering="home-100")
    clock.now = datetime(2026, 12, 24, 9, 0, tzinfo=UTC)
    key = act(office, lambda desk: ticket.open_(desk, kind="complaint", service_id=service, severity="minor", summary="x").id)

    def look() -> Ticket:
        with office.reading() as desk:
            return desk.find(Ticket, key)
    assert (look().response_due, look().restore_due) == (datetime(2026, 12, 25, 4, 0, tzinfo=UTC), clock.now + timedelta(hours=48))

    def holiday(desk: Desk) -> int:
        document = STANDARD["business"].model_dump(mode="json") | {"days": {"2026-12-25": []}}
        desk.add(Template(kind="calendar", key="business", version=1, document=document, written=desk.now))
        timetable.forget(desk)
        return timetable.follow(desk, {"key": "business"})
    assert act(office, holiday) == 1
    assert look().response_due == datetime(2026, 12, 28, 4, 0, tzinfo=UTC)

def opened(office: Office, **more: object) -> tuple[str, str]:
    """A service of class A, and a ticket about it."""
    sold(office)
    customer(office)
    service = served(office, state="active")
    given: dict[str, object] = {"kind": "complaint", "severity": "major", "summary": "他说网慢", "channel": "phone", **more}
    return service, act(office, lambda desk: ticket.open_(desk, service_id=service, **given).id)        # type: ignore[arg-type]


def test_a_complaint_from_its_beginning_to_its_end(office: Office, clock: Clock) -> None:
    service, key = opened(office)
    worker = person(office, "wang", "assurance")

    def look() -> Ticket:
        with office.reading() as desk:
            return desk.find(Ticket, key)
    row = look()
    assert (row.state, row.priority, row.responded) == ("acknowledged", 1, None)
    assert row.response_due == T0 + timedelta(minutes=15) and row.restore_due == T0 + timedelta(hours=4)
    clock.forward(minutes=5)
    act(office, lambda desk: transition.act(desk, key, "take"), worker)
    assert look().responded == clock.now
    clock.forward(minutes=5)
    with pytest.raises(Refusal, match="a reason is needed"):
        act(office, lambda desk: transition.act(desk, key, "wait"), worker)
    act(office, lambda desk: transition.act(desk, key, "wait", "he is not at home"), worker)
    clock.forward(hours=2)
    act(office, lambda desk: transition.act(desk, key, "resume"), worker)
    assert look().restore_due == T0 + timedelta(hours=6)
    act(office, lambda desk: transition.act(desk, key, "resolve"), worker)
    with pytest.raises(Refusal, match="closed, or worked on again"):
        act(office, lambda desk: transition.move(desk, key, "held", "x"), worker)
    act(office, lambda desk: transition.act(desk, key, "close"), worker)
    with pytest.raises(Refusal, match="stays so"):
        act(office, lambda desk: transition.move(desk, key, "inProgress", "x"), worker)
    with office.reading() as desk:
        row = desk.find(Ticket, key)
        assert [(one.from_state, one.to_state) for one in ticket.history_of(desk, row)] == [
            ("", "acknowledged"), ("acknowledged", "inProgress"), ("inProgress", "pending"), ("pending", "inProgress"), ("inProgress", "resolved"),
            ("resolved", "closed")]
        assert sum(one.action == "ticket.move.refused" for one, _ in records(desk, "ticket", key)) == 3
    again = act(office, lambda desk: ticket.open_(desk, kind="complaint", service_id=service, severity="minor", summary="again", channel="phone").repeat_of_id)
    assert again == key
    clock.forward(days=31)
    assert act(office, lambda desk: ticket.open_(desk, kind="complaint", service_id=service, severity="minor", summary="x").repeat_of_id) is None
