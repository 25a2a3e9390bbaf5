"""Whatever is tried with a ticket, a dispatch or a window in any of their states is answered: it is done, or refused in a sentence that is on record. And what
nobody gets past: what is still down is neither rejected nor proved by a test of before."""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from bss import api, pages
from bss.desk import Desk
from bss.office import Office
from bss.people import user
from bss.people.scope import SYSTEM, Actor
from bss.refusal import Refusal
from bss.settings import Mail
from bss.tables import Contact, Customer, Dispatch, Job, OrderItem, Service, Template, TicketNote
from bss.tickets import dispatch, linkstate, restoration, states, tending, ticket, timetable, transition, window
from bss.tickets.alarm import Event, take
from bss.tickets.calendar import STANDARD
from bss.tracing import chain
from bss.tracing.alert import Alert
from tests.bss.conftest import Clock
from tests.bss.selling import act, customer, ordered, person, records, sold
from tests.bss.test_tickets_alarms import plant, tickets
from tests.bss.test_tickets_traffic import S, ago, asked, store  # noqa: F401

Deed = Callable[[Desk, str], Any]


def tried(office: Office, actor: Actor, entity: str, key: str, deed: Deed) -> str:
    """'' where it was done; else why not, which is on record."""
    with office.reading() as desk:
        before = len(records(desk, entity, key))
    try:
        act(office, lambda desk: deed(desk, key), actor)
    except Refusal as refusal:
        with office.reading() as desk:
            kept = [row for row, _ in records(desk, entity, key)]
        assert len(kept) == before + 1 and kept[0].action.endswith(".refused") and kept[0].reason == refusal.what[:400], refusal
        assert len(refusal.what.split()) >= 4 and "\n" not in refusal.what
        return refusal.what
    return ""


DEEDS: dict[str, Deed] = {
    **{event: lambda desk, key, event=event: transition.act(desk, key, event, "because") for event in states.EVENTS},        # type: ignore[misc]
    "note": lambda desk, key: ticket.note(desk, key, "words"), "claim": lambda desk, key: transition.claim(desk, key),
    "override": lambda desk, key: transition.override(desk, key, "because"), "severity": lambda desk, key: ticket.rated(desk, key, "minor"),
    "decide": lambda desk, key: transition.decide(desk, key, True), "assign": lambda desk, key: ticket.assign(desk, key, desk.actor.id),
    "relate": lambda desk, key: ticket.relate(desk, key, None),
    "send": lambda desk, key: dispatch.send(desk, kind="repair", owner_id=desk.actor.id, task="look", ticket_id=key)}
#: In which states each is done, of a complaint; `override` needs somebody else's claim, `decide` a proposal, which these have.
DONE = {"take": "acknowledged", "wait": "inProgress held", "hold": "inProgress pending", "resume": "pending held",
        "resolve": "acknowledged inProgress pending held", "reject": "acknowledged", "cancel": "acknowledged pending held", "close": "resolved",
        "reopen": "resolved", **dict.fromkeys(("note", "severity", "assign", "relate", "send"), "acknowledged inProgress pending held resolved"),
        "claim": "acknowledged inProgress pending held", "override": "acknowledged inProgress pending held", "decide": " ".join(states.STATES)}


@pytest.mark.parametrize("deed", DEEDS)
def test_every_deed_in_every_state_of_a_ticket_is_answered(office: Office, deed: str) -> None:
    _, _, (service,) = plant(office, 1)
    boss, other = person(office, "boss", "manager"), person(office, "other", "assurance")

    def made(desk: Desk, state: str) -> str:
        row = ticket.open_(desk, kind="complaint", service_id=service, severity="major", summary="slow")
        row.state, row.claimed, row.claimed_by, row.proposal = state, desk.now, other.id, {"action": "block", "target": "x", "state": "proposed"}
        row.pending_since = desk.now if state == "pending" else None
        return row.id
    done = set()
    for state in states.STATES:
        key = act(office, lambda desk, state=state: made(desk, state))         # type: ignore[misc]
        if not tried(office, boss, "ticket", key, DEEDS[deed]):
            done.add(state)
    assert done == set(DONE[deed].split())


@pytest.mark.parametrize("to", dispatch.STATES)
def test_every_move_in_every_state_of_a_dispatch_is_answered(office: Office, to: str) -> None:
    _, _, (service,) = plant(office, 1)
    gong, boss = person(office, "gong", "contractor"), person(office, "boss", "manager")
    for state in dispatch.STATES:
        def made(desk: Desk, state: str = state) -> str:
            key = ticket.open_(desk, kind="complaint", service_id=service, severity="major", summary="slow").id
            row = dispatch.send(desk, kind="repair", owner_id=gong.id, task="look", ticket_id=key)
            row.state = state
            return row.id
        key = act(office, made)
        why = tried(office, boss if to == "cancelled" else gong, "dispatch", key, lambda desk, key: dispatch.move(desk, key, to, "because"))
        assert (why == "") == (to in dispatch.TABLE[state]), (state, why)
        answered = tried(office, gong, "dispatch", key, lambda desk, key: dispatch.answer(desk, key, {"cause": "cut"}))
        assert (answered == "") == (act(office, lambda desk, key=key: desk.session.get_one(Dispatch, key).state) in ("accepted", "arrived"))       # type: ignore[misc]


@pytest.mark.parametrize("to", [*window.STATES, "end"])
def test_every_move_in_every_state_of_a_window_is_answered(office: Office, clock: Clock, to: str) -> None:
    _, _, (service,) = plant(office, 1)
    planner, boss = person(office, "planner", "assurance"), person(office, "boss", "manager")
    for state in window.STATES:
        def made(desk: Desk, state: str = state) -> str:
            row = window.plan(desk, kind="maintenance", since=desk.now + timedelta(hours=30), until=desk.now + timedelta(hours=33), reason="cut-over",
                              services=[service])
            row.state = state
            return row.id
        key = act(office, made, planner)
        if to == "end":
            why = tried(office, boss, "planned_window", key, lambda desk, key: window.end(desk, key, desk.now + timedelta(hours=31)))
            assert (why == "") == (state in ("planned", "approved"))
        else:
            why = tried(office, boss, "planned_window", key, lambda desk, key: window.move(desk, key, to, "because"))
            assert (why == "") == (to in window.STATES[state]), (state, why)


# ---- what nobody gets past

def down(office: Office, service: str, **given: Any) -> str:
    return act(office, lambda desk: ticket.open_(desk, kind="outage", service_id=service, severity="critical", summary="los", **given).id)


def test_what_is_still_down_is_not_rejected_or_withdrawn(asked: Office) -> None:          # noqa: F811
    gong, lin, boss = person(asked, "gong", "contractor"), person(asked, "lin", "assurance"), person(asked, "boss", "manager")
    with asked.reading() as desk:
        owner = desk.session.execute(select(Customer.id)).scalar_one()
    his = Actor("", "his", frozenset({"customer"}), customers=(owner,))
    silent, alarmed, well = down(asked, S[1], began=ago(40)), down(asked, S[3], began=ago(40), channel="alarm"), down(asked, S[0], began=ago(40))
    act(asked, lambda desk: ticket.assign(desk, silent, gong.id), lin)
    for who, key, to in ((gong, silent, "rejected"), (lin, silent, "rejected"), (lin, silent, "cancelled"), (lin, alarmed, "rejected")):
        if to == "rejected" or who is lin:
            why = tried(asked, who, "ticket", key, lambda desk, key, to=to: transition.move(desk, key, to, "it is fine"))       # type: ignore[misc]
            assert f"it is not {to} while it may go on: " in why and "service ZX-" in why
    assert "not a customer's to withdraw" in tried(asked, his, "ticket", alarmed, lambda desk, key: transition.move(desk, key, "cancelled", "x"))
    assert not tried(asked, lin, "ticket", well, lambda desk, key: transition.move(desk, key, "rejected", "it works"))
    # his own word he takes back; a manager answers for what he does; and the cause speaks for its child
    assert not tried(asked, his, "ticket", down(asked, S[6], channel="web"), lambda desk, key: transition.move(desk, key, "cancelled", "x"))
    act(asked, lambda desk: ticket.relate(desk, alarmed, silent), lin)
    assert not tried(asked, lin, "ticket", alarmed, lambda desk, key: transition.move(desk, key, "cancelled", "double"))
    assert not tried(asked, boss, "ticket", silent, lambda desk, key: transition.move(desk, key, "rejected", "a test"))


def test_traffic_of_before_the_fault_is_no_speed_test(asked: Office, monkeypatch: pytest.MonkeyPatch) -> None:          # noqa: F811
    """Nor is one that is long ago: the line that carried its full rate and went silent may be down again."""
    key = down(asked, S[1], began=ago(50))              # full rate until it fell silent 40 minutes ago
    assert "carries nothing" in tried(asked, person(asked, "lin", "assurance"), "ticket", key, lambda desk, key: transition.move(desk, key, "resolved"))
    tested = down(asked, S[5], began=ago(40))
    monkeypatch.setattr(restoration, "TESTED", timedelta(minutes=10))
    assert "carries nothing" in tried(asked, person(asked, "li", "assurance"), "ticket", tested, lambda desk, key: transition.move(desk, key, "resolved"))
    monkeypatch.setattr(restoration, "TESTED", timedelta(hours=1))
    assert act(asked, lambda desk: transition.move(desk, tested, "resolved")).restoration["how"] == "speed_test"


def test_ones_own_word_is_no_link_state(asked: Office) -> None:          # noqa: F811
    """Or who works on a silent line would resolve it by saying that it is up."""
    lin, li = person(asked, "lin", "assurance"), person(asked, "li", "assurance")
    key = down(asked, S[1], began=ago(40))
    resolve = lambda desk, key: transition.move(desk, key, "resolved")          # noqa: E731
    act(asked, lambda desk: linkstate.tell(desk, state="up", service_id=S[1], since=ago(5), evidence={"note": "looks fine"}), lin)
    assert "no link state" in tried(asked, lin, "ticket", key, resolve)
    act(asked, lambda desk: ticket.assign(desk, key, lin.id), li)
    assert "no link state" in tried(asked, li, "ticket", key, resolve)           # nor does a colleague take it over for him
    act(asked, lambda desk: ticket.assign(desk, key, li.id), li)
    assert not tried(asked, li, "ticket", key, resolve) and tickets(asked)[0].restoration["how"] == "link"


def test_who_said_that_it_works_does_not_override_whoever_said_it_first(office: Office) -> None:
    _, _, (service,) = plant(office, 1)
    gong, boss, chief = person(office, "gong", "contractor"), person(office, "boss", "manager"), person(office, "chief", "manager")
    key = down(office, service)
    act(office, lambda desk: ticket.assign(desk, key, gong.id))
    for who in (gong, boss):
        act(office, lambda desk: transition.claim(desk, key), who)
    assert "second person" in tried(office, boss, "ticket", key, lambda desk, key: transition.override(desk, key, "he is sure"))
    assert not tried(office, chief, "ticket", key, lambda desk, key: transition.override(desk, key, "seen on site"))


@pytest.fixture
def mailed(office: Office) -> Iterator[Office]:
    office.settings = office.settings.model_copy(update={"mail": Mail(server="127.0.0.1:25")})
    yield office


def test_who_has_to_act_is_reminded_on_working_days_1_3_and_5_and_then_it_is_resolved(mailed: Office, clock: Clock) -> None:
    """From a Tuesday on, over a weekend of which the Saturday is worked, with a holiday: working days are Wed 2, Fri 4, Sat 5, Mon 7, Tue 8, Wed 9."""
    _, _, (service,) = plant(mailed, 1)
    lin = person(mailed, "lin", "assurance")

    def begin(desk: Desk) -> str:
        document = STANDARD["workdays"].model_dump(mode="json") | {"days": {"2026-12-03": [], "2026-12-05": ["00:00-24:00"]}}
        desk.add(Template(kind="calendar", key="workdays", version=1, document=document, written=desk.now))
        timetable.forget(desk)
        customer = desk.session.execute(select(Customer)).scalar_one()
        desk.add(Contact(party_id=customer.party_id, medium="email", value="it@customer.example", role="technical"))
        return ticket.open_(desk, kind="complaint", service_id=service, severity="minor", summary="slow").id
    key = act(mailed, begin)
    act(mailed, lambda desk: transition.act(desk, key, "take"), lin)
    act(mailed, lambda desk: transition.act(desk, key, "wait", "the room is locked"), lin)
    told: dict[str, int] = {}
    while clock.now < datetime(2026, 12, 12, tzinfo=UTC) and tickets(mailed)[0].state == "pending":
        for name, count in act(mailed, tending.remind).items():
            if count:
                told[f"{clock.now.astimezone(mailed.settings.zone):%m-%d} {name}"] = count
        clock.forward(hours=1)
    assert told == {"12-02 reminded": 1, "12-05 reminded": 1, "12-08 reminded": 1, "12-09 resolved": 1}
    row = tickets(mailed)[0]
    assert row.state == "resolved"
    with mailed.reading() as desk:
        notes = desk.session.execute(select(TicketNote).where(TicketNote.kind == "told")).scalars().all()
        assert len(notes) == 3 and not any(one.internal for one in notes)
        keys = sorted(one.argument["key"] for one in desk.session.query(Job).filter(Job.kind == "mail.send"))
        assert [one for one in keys if one.endswith("/customer")] == [f"{key}/pending/0/{n}/customer" for n in (1, 2, 3)]
    clock.now = row.resolved + timedelta(hours=72) - timedelta(seconds=1) if row.resolved else clock.now
    assert act(mailed, tending.close) == 0
    clock.forward(seconds=1)
    assert act(mailed, tending.close) == 1 and tickets(mailed)[0].state == "closed"         # 72 hours of silence


def test_what_outlasts_its_window_becomes_a_ticket(office: Office, clock: Clock) -> None:
    """A cut-over that went wrong is a fault from the end of its window on, though its alarm was told only once."""
    _, _, (one, two, three) = plant(office, 3)
    planner, boss = person(office, "planner", "assurance"), person(office, "boss", "manager")
    held = act(office, lambda desk: window.plan(desk, kind="maintenance", since=clock.now - timedelta(hours=1), until=clock.now + timedelta(hours=1),
                                                reason="cut-over", services=[one, two]), planner).id
    act(office, lambda desk: window.move(desk, held, "approved"), boss)
    act(office, lambda desk: setattr(desk.session.get_one(Service, three), "state", "inactive"))
    told = [Event("tmf642", f"e{n}", f"a{n}", "raised", "link_down", "critical", clock.now, "los", service=key) for n, key in enumerate((one, two, three))]
    assert act(office, lambda desk: take(desk, told)).suppressed == 3
    clock.forward(minutes=50)
    act(office, lambda desk: take(desk, [Event("tmf642", "e9", "a1", "cleared", "link_down", "critical", clock.now, "up", service=two)]))
    assert act(office, tending.tend)["outlasted"] == 0
    clock.forward(minutes=10)
    assert act(office, tending.tend)["outlasted"] == 1 and act(office, tending.tend)["outlasted"] == 0
    row = tickets(office)[0]
    assert (row.service_id, row.kind, row.began, row.channel) == (one, "outage", clock.now, "alarm") and row.evidence["outlasted"] == held
    act(office, lambda desk: setattr(desk.session.get_one(Service, three), "state", "active"))
    clock.forward(minutes=1)
    assert act(office, tending.tend)["outlasted"] == 1 and {made.service_id for made in tickets(office)} == {one, three}


def test_nobody_is_under_way_for_a_ticket_that_was_withdrawn(office: Office) -> None:
    _, _, (service,) = plant(office, 1)
    gong, boss = person(office, "gong", "contractor"), person(office, "boss", "manager")
    sent = act(office, lambda desk: dispatch.send(desk, kind="repair", owner_id=gong.id, task="look", ticket_id=ticket.open_(
        desk, kind="complaint", service_id=service, severity="minor", summary="slow").id))
    act(office, lambda desk: transition.move(desk, str(sent.ticket_id), "cancelled", "he has found it himself"), boss)
    with office.reading() as desk:
        row = desk.session.get_one(Dispatch, sent.id)
        assert row.state == "cancelled" and str(sent.ticket_id) in row.reason
        assert [step.to_state for step in dispatch.history(desk, row)] == ["assigned", "cancelled"]
    assert tried(office, gong, "dispatch", sent.id, lambda desk, key: dispatch.move(desk, key, "accepted"))


@pytest.mark.parametrize(("gap", "en", "zh"), [(-2100, "said 35.0 min before it was restored", "报恢复比实测早 35.0 分钟"),
                                               (90, "said 1.5 min after it was measured", "报恢复比实测晚 1.5 分钟")])
def test_a_claim_that_came_too_early_is_said_as_such(office: Office, gap: int, en: str, zh: str) -> None:
    _, _, (one,) = plant(office, 1)

    def make(desk: Desk) -> str:
        user.make(desk, "boss", "Boss", "a long password", ["manager"])
        row = ticket.open_(desk, kind="outage", service_id=one, severity="critical", summary="los")
        row.claimed, row.restored, row.restoration = desk.now, desk.now, {"how": "traffic", "gap_seconds": gap}
        return row.id
    key = office.act(SYSTEM, make)
    with TestClient(pages.add_to(api.application(office), office), headers={"accept": "text/html"}) as client:
        client.post("/login", data={"login": "boss", "password": "a long password"})
        assert en in client.get(f"/tickets/{key}?lang=en").text and zh in client.get(f"/tickets/{key}?lang=zh").text


def test_what_an_alert_says_is_told_in_the_operators_language(office: Office) -> None:
    one = Alert("a" * 16, "syn_flood", "high", "raised", office.clock(), office.clock(), 1, "", "", "", "SYN flood", "SYN 洪水", "", "", "p1", 0, "", "")
    for lang, said in (("en", "SYN flood"), ("zh", "SYN 洪水")):
        office.settings = office.settings.model_copy(update={"lang": lang})
        with office.reading() as desk:
            assert chain._called(desk, one) == said


@pytest.mark.both
def test_somebody_is_sent_once_for_an_item_by_two_at_once(office: Office) -> None:
    customer(office)
    sold(office)
    order_id, gong = ordered(office, started=True), person(office, "gong", "contractor")
    with office.reading() as desk:
        item = desk.session.execute(select(OrderItem.id).where(OrderItem.order_id == order_id)).scalars().first()
    ready, found = threading.Barrier(4), []

    def send() -> None:
        ready.wait()
        for _ in range(3):
            try:
                found.append(act(office, lambda desk: dispatch.send(desk, kind="install", owner_id=gong.id, task="install", item_id=item).id))
            except Refusal as refusal:
                assert "under way for it already" in refusal.what
    threads = [threading.Thread(target=send) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(found) == 1
