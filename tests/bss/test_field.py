"""Work in the field on both databases: who is told when, who is sent, what is looked at, what is guarded, what is known, how it is scored."""
from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, update

from bss.desk import Desk
from bss.evidence import Evidence
from bss.office import Office
from bss.orders import fulfilment
from bss.orders.attachment import attach, listed
from bss.orders.transition import move as move_order
from bss.people.scope import SYSTEM, Actor
from bss.refusal import Refusal
from bss.sla import evaluation
from bss.tables import (
    Article,
    ArticleWord,
    Customer,
    Escalation,
    Inspection,
    Job,
    OrderItem,
    Outbox,
    ProductOrder,
    Resource,
    SlaMonth,
    Ticket,
    User,
)
from bss.tickets import assurance, bulletin, dispatch, escalation, inspection, knowledge, roster, template, timetable, watching
from bss.tickets import ticket as tickets
from bss.tickets.calendar import Document
from bss.tickets.dispatch import STATES, TABLE
from tests.bss.conftest import BEGIN, Clock
from tests.bss.selling import Told, act, customer, ordered, person, records, served, sold

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
REPAIR: dict[str, Any] = {"safe": True, "cause": "cut fibre", "work": "spliced", "tested": True}


def begun(office: Office) -> str:
    """A customer and one active A line; its id."""
    customer(office)
    sold(office)
    return served(office, state="active")


def opened(office: Office, service_id: str, kind: str = "outage", **given: Any) -> str:
    return act(office, lambda desk: tickets.open_(desk, kind=kind, service_id=service_id, severity="major", summary="光功率低 loss", **given).id)


def of(office: Office, ticket_id: str) -> Ticket:
    return act(office, lambda desk: desk.find(Ticket, ticket_id))


def shift(office: Office, level: str, who: Actor, region: str = "", hours: float = 1000) -> str:
    return act(office, lambda desk: roster.add(desk, level=level, user_id=who.id, since=BEGIN - timedelta(hours=1), until=BEGIN + timedelta(hours=hours),
                                               region=region).id)


# ---- calendars

def test_a_holiday_that_is_entered_later_moves_what_is_due(office: Office, clock: Clock) -> None:
    customer(office)
    sold(office)
    order_id = ordered(office, started=True)                # a Tuesday, 09:00: ten working days
    document = timetable.STANDARD["workdays"].model_dump(mode="json") | {"days": {"2026-12-07": [], "2026-12-12": ["00:00-24:00"], "2026-12-14": []}}
    one = act(office, lambda desk: template.put(desk, "calendar", document))
    assert (one.key, one.version) == ("workdays", 1) and act(office, lambda desk: template.put(desk, "calendar", document)).version == 1
    with office.reading() as desk:
        job = desk.session.execute(select(Job).where(Job.kind == "calendar.follow")).scalar_one()
    assert act(office, lambda desk: timetable.follow(desk, job.argument)) == 1 and act(office, lambda desk: timetable.follow(desk, job.argument)) == 0
    order = act(office, lambda desk: desk.find(ProductOrder, order_id))
    assert order.due == datetime(2026, 12, 16, 1, tzinfo=UTC)           # two days off, a Saturday worked
    assert act(office, lambda desk: template.current(desk, "calendar", "workdays").document.days[date(2026, 12, 7)]) == ()
    with pytest.raises(Refusal, match="there is no calendar 'mars'"):
        act(office, lambda desk: timetable.calendar_of(desk, "mars"))
    with pytest.raises(Refusal, match="holds in all regions"):
        act(office, lambda desk: template.put(desk, "calendar", document), person(office, "m", "manager", regions=("贵阳",)))
    assert {one.key for one in act(office, lambda desk: template.listed(desk, "calendar"))} == {"24x7", "business", "workdays"}


# ---- rosters and escalation

def test_who_is_on_duty(office: Office, clock: Clock) -> None:
    one, two, gone = (person(office, name, "assurance") for name in ("one", "two", "gone"))
    shift(office, "duty", one)
    shift(office, "duty", two, "贵阳", hours=2)
    shift(office, "lead", gone)
    act(office, lambda desk: desk.session.execute(update(User).where(User.id == gone.id).values(disabled=True)))

    def duty(level: str, region: str) -> str | None:
        return act(office, lambda desk: user.login if (user := roster.on_duty(desk, level, region)) else None)
    assert (duty("duty", "贵阳"), duty("duty", "遵义"), duty("lead", "贵阳"), duty("manager", "贵阳")) == ("two", "one", None, None)
    clock.forward(hours=2)
    assert duty("duty", "贵阳") == "one"
    row = act(office, lambda desk: desk.session.execute(roster.listed(desk, region="")).scalars().first())
    assert row is not None
    act(office, lambda desk: roster.cut(desk, row.id))
    assert duty("duty", "贵阳") is None
    with pytest.raises(Refusal, match="anyway"):
        act(office, lambda desk: roster.cut(desk, row.id))
    with pytest.raises(Refusal, match="does not work in 遵义"):
        there = person(office, "there", "assurance")
        act(office, lambda desk: desk.session.execute(update(User).where(User.id == there.id).values(regions=["贵阳"])))
        shift(office, "duty", there, "遵义")


def told(office: Office, ticket_id: str) -> list[tuple[str, int, str | None]]:
    with office.reading() as desk:
        users = {user.id: user.login for user in desk.session.execute(select(User)).scalars()}
        return [(one.clock, one.percent, users.get(one.user_id or "")) for one in escalation.told_of(desk, ticket_id)]


@pytest.mark.both
def test_clocks_are_told_of_at_50_80_and_100_percent_once(office: Office, clock: Clock) -> None:
    service = begun(office)
    owner, lead, boss = person(office, "owner", "assurance"), person(office, "lead", "assurance"), person(office, "boss", "manager")
    shift(office, "lead", lead, "贵阳")
    shift(office, "manager", boss)
    act(office, lambda desk: desk.session.execute(update(User).values(email="x@example.cn")))
    key = opened(office, service)                           # A: 15 minutes, 4 hours
    watch = lambda: act(office, escalation.watch)           # noqa: E731
    clock.forward(minutes=7)
    assert watch() == 0
    clock.forward(seconds=30)
    assert watch() == 1 and watch() == 0 and told(office, key) == [("response", 50, None)]         # nobody owns it, and nobody is on duty
    clock.forward(minutes=4.5)
    assert watch() == 1 and told(office, key)[-1] == ("response", 80, "lead")
    act(office, lambda desk: tickets.assign(desk, key, owner.id), lead)         # a person acted: it is answered
    clock.forward(minutes=60)
    assert watch() == 0
    clock.forward(minutes=48)
    assert watch() == 1 and told(office, key)[-1] == ("restore", 50, "owner")
    clock.forward(minutes=1000)
    assert watch() == 2 and told(office, key)[-2:] == [("restore", 80, "lead"), ("restore", 100, "boss")] and watch() == 0
    with office.reading() as desk:
        rows = desk.session.execute(select(Escalation).where(Escalation.clock == "restore").order_by(Escalation.percent)).scalars().all()
        assert [one.at for one in rows] == [BEGIN + timedelta(hours=4) * share / 100 for share in (50, 80, 100)]
        events = desk.session.execute(select(Outbox).where(Outbox.type == "fullspan.troubleTicket.escalation")).scalars().all()
        assert len(events) == 5 and all("x@" not in str(one.data) for one in events)


def test_a_clock_that_stands_is_told_of_to_nobody_and_mail_is_in_the_operators_language(office: Office, clock: Clock) -> None:
    from bss.settings import Mail
    from bss.tickets.transition import move

    office.settings = office.settings.model_copy(update={"mail": Mail(server="127.0.0.1:25")})
    service = begun(office)
    owner = person(office, "owner", "assurance")
    act(office, lambda desk: setattr(desk.session.get_one(User, owner.id), "email", "o@example.cn"))
    key = opened(office, service)
    act(office, lambda desk: tickets.assign(desk, key, owner.id), owner)
    act(office, lambda desk: move(desk, key, "inProgress"), owner)
    act(office, lambda desk: move(desk, key, "pending", "the customer opens the room"), owner)
    clock.forward(hours=3)
    assert act(office, escalation.watch) == 0
    act(office, lambda desk: move(desk, key, "inProgress"), owner)
    clock.forward(hours=1, minutes=59)
    assert act(office, escalation.watch) == 0
    clock.forward(minutes=1)
    assert act(office, escalation.watch) == 1
    with office.reading() as desk:
        job = desk.session.execute(select(Job).where(Job.kind == "mail.send")).scalar_one()
        assert job.personal is not None and "修复时限已用 50 %" in job.personal.encode().decode("unicode_escape", "ignore") + job.personal


def test_a_response_in_office_hours_is_told_of_in_office_hours(office: Office, clock: Clock) -> None:
    customer(office, class_="home")
    sold(office)
    clock.now = datetime(2026, 12, 4, 8, 0, tzinfo=UTC)     # a Friday, 16:00 in Shanghai; home: 4 office hours
    service = served(office, state="active", offering="home-100")
    key = opened(office, service, "quality")
    assert of(office, key).response_due == datetime(2026, 12, 7, 3, 0, tzinfo=UTC)
    clock.now = datetime(2026, 12, 6, 3, 0, tzinfo=UTC)     # a Sunday: 2 of 4 hours have run
    act(office, escalation.watch)
    assert [one for one in told(office, key) if one[0] == "response"] == [("response", 50, None)]
    with office.reading() as desk:
        assert desk.session.execute(select(Escalation.at).where(Escalation.clock == "response")).scalar() == datetime(2026, 12, 4, 10, 0, tzinfo=UTC)
    clock.now = datetime(2026, 12, 7, 2, 12, tzinfo=UTC)    # Monday, 10:12: 80 percent
    act(office, escalation.watch)
    assert ("response", 80, None) in told(office, key)


def test_a_holiday_moves_the_answer_that_a_ticket_waits_for(office: Office, clock: Clock) -> None:
    customer(office, class_="home")
    sold(office)
    clock.now = datetime(2026, 12, 3, 8, 0, tzinfo=UTC)     # a Thursday, 16:00 in Shanghai: two of four office hours are of Friday
    key = opened(office, served(office, state="active", offering="home-100"), "quality")
    before = of(office, key)
    assert before.response_due == datetime(2026, 12, 4, 3, 0, tzinfo=UTC)
    document = timetable.STANDARD["business"].model_dump(mode="json") | {"days": {"2026-12-04": []}}
    act(office, lambda desk: template.put(desk, "calendar", document))
    assert act(office, lambda desk: timetable.follow(desk, {"key": "business"})) == 1
    after = of(office, key)
    assert after.response_due == datetime(2026, 12, 7, 3, 0, tzinfo=UTC) and after.restore_due == before.restore_due


@pytest.mark.both
def test_two_workers_at_once_tell_everybody_once(office: Office, clock: Clock) -> None:
    service = begun(office)
    for n in range(8):
        opened(office, service, "other" if n else "outage")
    clock.forward(hours=5)
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(act(office, escalation.watch))) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    with office.reading() as desk:
        assert sum(found) == 8 * 6 == desk.session.query(Escalation).count()
        assert desk.session.query(Outbox).filter(Outbox.type == "fullspan.troubleTicket.escalation").count() == 48


# ---- dispatches

def test_a_contractor_is_sent_works_and_is_done(office: Office, clock: Clock) -> None:
    service, boss = begun(office), person(office, "boss", "assurance")
    field = person(office, "field", "contractor", own_work=True)
    key = opened(office, service)
    row = act(office, lambda desk: dispatch.send(desk, kind="repair", owner_id=field.id, task="find the cut", ticket_id=key, site="中山路 8 号"), boss)
    assert row.state == "assigned" and row.due == BEGIN + timedelta(minutes=30) and of(office, key).owner_id == field.id and row.region == "贵阳"
    with pytest.raises(Refusal, match="under way for it already"):
        act(office, lambda desk: dispatch.send(desk, kind="repair", owner_id=field.id, task="again", ticket_id=key), boss)
    with pytest.raises(Refusal, match="can't become done"):
        act(office, lambda desk: dispatch.move(desk, row.id, "done"), field)
    clock.forward(minutes=10)
    act(office, lambda desk: dispatch.move(desk, row.id, "accepted"), field)
    clock.forward(minutes=30)
    act(office, lambda desk: dispatch.move(desk, row.id, "arrived", answers={"safe": True}), field)
    act(office, lambda desk: dispatch.answer(desk, row.id, {**REPAIR, "power": "-21.5"}), field)
    with pytest.raises(Refusal, match="still lacks photo"):
        act(office, lambda desk: dispatch.move(desk, row.id, "done"), field)
    file = act(office, lambda desk: attach(desk, "dispatch", row.id, "cut.png", PNG), field)
    clock.forward(hours=1)
    done = act(office, lambda desk: dispatch.move(desk, row.id, "done"), field)
    assert (done.accepted, done.arrived, done.done) == (BEGIN + timedelta(minutes=10), BEGIN + timedelta(minutes=40), BEGIN + timedelta(minutes=100))
    assert done.answers == {**REPAIR, "power": "-21.5"}
    with office.reading(field) as desk:
        assert [one.id for one in desk.session.execute(listed(desk, row.id)).scalars()] == [file.id]
        assert [one.to_state for one in dispatch.history(desk, row)] == ["assigned", "accepted", "arrived", "done"]
    with office.reading() as desk:
        assert [one.reason for one, _ in records(desk, "dispatch", row.id) if one.action == "dispatch.move.refused"] == [
            "the checklist still lacks photo",
            "a dispatch that is assigned (he has not answered yet) can't become done; it can become accepted, declined, cancelled"]


def test_others_do_not_see_it_and_do_not_work_on_it(office: Office) -> None:
    service, field, other = begun(office), person(office, "field", "contractor", own_work=True), person(office, "other", "contractor", own_work=True)
    near, there = person(office, "near", "contractor"), person(office, "there", "assurance", regions=("遵义",))
    key = opened(office, service)
    row = act(office, lambda desk: dispatch.send(desk, kind="repair", owner_id=field.id, task="x", ticket_id=key))
    file = act(office, lambda desk: attach(desk, "dispatch", row.id, "cut.png", PNG))
    for who in (other, there):
        with pytest.raises(Refusal, match="there is no dispatch"):
            act(office, lambda desk: dispatch.move(desk, row.id, "accepted"), who)
        with office.reading(who) as desk:
            assert not desk.session.execute(dispatch.listed(desk)).scalars().all()
            if who is other:
                assert not desk.session.execute(listed(desk)).scalars().all()
    with pytest.raises(Refusal, match="somebody else was sent"):
        act(office, lambda desk: dispatch.move(desk, row.id, "accepted"), near)
    with pytest.raises(Refusal, match="permission 'dispatch.write'"):
        act(office, lambda desk: dispatch.move(desk, row.id, "cancelled", "x"), field)
    act(office, lambda desk: dispatch.move(desk, row.id, "declined", "no car"), field)
    assert file.customer_id == act(office, lambda desk: desk.find(Ticket, key)).customer_id


def test_somebody_is_sent_for_an_item_of_an_order_and_may_be_done_with_a_reason(office: Office) -> None:
    customer(office)
    sold(office)
    order_id = ordered(office, started=True)
    field = person(office, "field", "contractor")
    item = act(office, lambda desk: desk.session.execute(select(OrderItem.id).where(OrderItem.order_id == order_id)).scalar_one())
    row = act(office, lambda desk: dispatch.send(desk, kind="install", owner_id=field.id, task="install it", item_id=item))
    key = row.id
    for to, reason in (("accepted", ""), ("arrived", ""), ("done", "the battery of the camera is empty")):
        row = act(office, lambda desk, to=to, reason=reason: dispatch.move(desk, key, to, reason), field)      # type: ignore[misc]
    assert row.state == "done" and row.reason.startswith("the battery") and act(office, lambda desk: dispatch.judged(desk, row)).missing
    for to in STATES:
        with pytest.raises(Refusal):
            act(office, lambda desk, to=to: dispatch.move(desk, row.id, to, "x"))       # type: ignore[misc]
    assert TABLE["done"] == ()
    with pytest.raises(Refusal, match="is for repair"):
        act(office, lambda desk: dispatch.send(desk, kind="survey", owner_id=field.id, task="x", item_id=item, checklist="repair"))


# ---- inspections

@pytest.mark.both
def test_a_plan_is_due_once_a_period_late_and_missed(office: Office, clock: Clock) -> None:
    field = person(office, "field", "contractor")
    port = act(office, lambda desk: desk.add(Resource(kind="olt", name="OLT-1", region="贵阳")).id)
    plan = act(office, lambda desk: inspection.plan(desk, name="OLT room", every="month", owner_id=field.id, resource_id=port, days=10))
    assert act(office, inspection.make) == {"made": 1, "overdue": 0, "missed": 0} and act(office, inspection.make)["made"] == 0
    row = act(office, lambda desk: desk.session.execute(select(Inspection)).scalar_one())
    assert (row.period, row.region, row.due) == ("2026-12", "贵阳", datetime(2026, 12, 10, 16, tzinfo=UTC))
    clock.now = datetime(2026, 12, 12, 1, tzinfo=UTC)
    assert act(office, inspection.make) == {"made": 0, "overdue": 1, "missed": 0} and act(office, inspection.make)["overdue"] == 0
    good = {"temperature": 20, "humidity": 40, "alarms": False, "clean": True}
    with pytest.raises(Refusal, match="still lacks photo"):
        act(office, lambda desk: inspection.fill(desk, row.id, good, finish=True), field)
    act(office, lambda desk: attach(desk, "inspection", row.id, "room.png", PNG), field)
    done = act(office, lambda desk: inspection.fill(desk, row.id, good, "a lamp is red", finish=True), field)
    assert (done.state, done.result, done.done_by) == ("done", "fault", field.id) and done.ticket_id is not None
    made = of(office, done.ticket_id)
    assert (made.kind, made.resource_id) == ("inspection", port) and made.evidence["answers"] == {"alarms": False}
    with pytest.raises(Refusal, match="that is done is not filled"):
        act(office, lambda desk: inspection.fill(desk, row.id, good), field)
    clock.now = datetime(2027, 1, 5, tzinfo=UTC)
    assert act(office, inspection.make)["made"] == 1
    clock.now = datetime(2027, 2, 1, tzinfo=UTC)
    assert act(office, inspection.make) == {"made": 1, "overdue": 1, "missed": 1}
    act(office, lambda desk: inspection.change(desk, plan.id, until=clock.now + timedelta(days=1)))
    clock.now = datetime(2027, 3, 2, tzinfo=UTC)
    assert act(office, inspection.make) == {"made": 0, "overdue": 1, "missed": 1}
    with pytest.raises(Refusal, match="is not for inspections"):
        act(office, lambda desk: inspection.plan(desk, name="x", every="week", owner_id=field.id, region="贵阳", checklist="repair"))


# ---- event assurance

class Measured(Told):
    """Minutes that a test writes down, with retransmissions and round trips of a service beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.quality: list[tuple[Any, ...]] = []

    def rows(self, sql: str, parameters: Any, what: str, ids: Any = ()) -> list[tuple[Any, ...]]:
        assert "usage_slots" in sql and "FINAL" in sql and what == "event assurance"
        return [one for one in self.quality if one[0] in ids]


def guarded(office: Office, service: str, hours: float = 3, **given: Any) -> str:
    planner, boss = person(office, "planner", "assurance"), person(office, "boss", "manager")
    key = act(office, lambda desk: assurance.plan(desk, name="Marathon", services=[service], since=BEGIN, until=BEGIN + timedelta(hours=hours),
                                                  roster=[planner.id], **given), planner).id
    with pytest.raises(Refusal, match="permission"):
        act(office, lambda desk: assurance.decide(desk, key, True), planner)
    act(office, lambda desk: assurance.decide(desk, key, True), boss)
    return key


def test_who_plans_an_event_does_not_approve_it(office: Office) -> None:
    service, boss = begun(office), person(office, "boss", "manager")
    key = act(office, lambda desk: assurance.plan(desk, name="Gala", services=[service], since=BEGIN, until=BEGIN + timedelta(hours=3)), boss).id
    with pytest.raises(Refusal, match="takes a second person"):
        act(office, lambda desk: assurance.decide(desk, key, True), boss)
    other = person(office, "other", "manager")
    with pytest.raises(Refusal, match="a reason is needed"):
        act(office, lambda desk: assurance.decide(desk, key, False), other)
    act(office, lambda desk: assurance.decide(desk, key, False, "the date is wrong"), other)
    with pytest.raises(Refusal, match="it is rejected"):
        act(office, lambda desk: assurance.decide(desk, key, True), other)
    with pytest.raises(Refusal, match="loss_percent"):
        act(office, lambda desk: assurance.plan(desk, name="x", services=[service], since=BEGIN, until=BEGIN + timedelta(hours=3),
                                                thresholds={"loss_percent": 101}))


def test_nothing_is_changed_on_a_service_while_its_event_lasts(office: Office, clock: Clock) -> None:
    from bss.orders.order import acknowledge, enter
    from bss.orders.wanted import Line
    from tests.bss.selling import checked

    service = begun(office)
    guarded(office, service)

    def change(desk: Desk) -> str:
        wanted = {"change": "rate", "down_bps": 2 * 10 ** 8, "up_bps": 2 * 10 ** 8}
        row = enter(desk, str(desk.session.execute(select(Customer.id)).scalar_one()), [
            Line.model_validate({"action": "modify", "offering": "line-a", "service_id": service, "wanted": wanted})])
        acknowledge(desk, row.id)
        checked(desk, row)
        return row.id
    order_id = act(office, change)
    with pytest.raises(Refusal, match="is guarded for an event until 2026-12-01T12:00:00\\+08:00") as refused:
        act(office, lambda desk: move_order(desk, order_id, "inProgress"))
    assert refused.value.kind == "locked"
    item = act(office, lambda desk: desk.session.execute(select(OrderItem.id).where(OrderItem.order_id == order_id)).scalar_one())
    with pytest.raises(Refusal, match="is guarded for an event"):
        act(office, lambda desk: fulfilment.reserve(desk, item, []))
    act(office, lambda desk: move_order(desk, order_id, "pending", "until the event is over"))          # which changes nothing on the service
    clock.forward(hours=3)
    assert act(office, lambda desk: move_order(desk, order_id, "inProgress")).state == "inProgress"
    with office.reading() as desk:
        assert [one.action for one, _ in records(desk, "product_order", order_id)].count("order.move.refused") == 1


def test_no_window_is_planned_on_a_guarded_service(office: Office) -> None:
    from bss.tickets import window

    service = begun(office)
    guarded(office, service)

    def plan(hours: float, kind: str = "maintenance") -> Any:
        return act(office, lambda desk: window.plan(desk, kind=kind, since=BEGIN + timedelta(hours=hours), until=BEGIN + timedelta(hours=hours + 2), reason="x",
                                                    services=[service]))
    with pytest.raises(Refusal, match="is guarded for an event"):
        plan(2)
    assert plan(3).state == "planned" and plan(1, "force_majeure").state == "planned"


def test_minutes_beyond_a_threshold_open_one_ticket_and_each_hour_is_reported_in_both_languages(office: Office, clock: Clock) -> None:
    service = begun(office)
    key = guarded(office, service, thresholds={"loss_percent": "0.5", "rtt_ms": 20, "silent_minutes": 2})
    told = Measured()
    office.__dict__["evidence"] = told
    office.settings = office.settings.model_copy(update={"store": "chdb:///nowhere"})
    told.say(service, BEGIN, *[(7_500_000, 750_000)] * 60)
    seconds = int(BEGIN.timestamp())
    told.quality = [(service, seconds + 60 * n, 1000, 6 if n == 4 else 1, 60_000, 10) for n in range(60)]
    clock.forward(minutes=8)
    assert watching.watch(office, {}) == 1 and watching.watch(office, {}) == 1
    with office.reading() as desk:
        made = desk.session.execute(select(Ticket)).scalar_one()
        assert (made.kind, made.severity, made.count) == ("quality", "major", 1) and made.evidence["beyond"][0][:1] + made.evidence["beyond"][0][2:] == [
            "loss", "0.600", "0.5"]
    assert bulletin.hourly(office, {}) == 0                 # the hour is not over
    clock.now = BEGIN + timedelta(minutes=66)
    assert bulletin.hourly(office, {}) == 1 and bulletin.hourly(office, {}) == 0
    with office.reading() as desk:
        report = bulletin.reports(desk, key)[0]
        figures = report.content["services"][0]
        assert report.hour == BEGIN and (figures["measured"], figures["minutes"], figures["down_bytes"], figures["peak_down_bps"]) == (
            60, 60, 60 * 7_500_000, 1_000_000)
        assert (figures["worst_loss_percent"], figures["worst_rtt_ms"], len(figures["beyond"])) == ("0.600", "6.000", 1)
        assert report.content["tickets"] == [made.id]
        english, chinese = (bulletin.text_of(desk, "Marathon", report.content, lang) for lang in ("en", "zh"))
        assert "measured 60 of 60 minutes" in english and "worst loss 0.600 %" in english and made.id in english
        assert "已测 60/60 分钟" in chinese and "丢包率 % 0.600" in chinese
    clock.now = BEGIN + timedelta(minutes=130)
    office.__dict__["evidence"] = Evidence("none")
    with pytest.raises(Refusal, match="nothing is measured"):
        bulletin.hourly(office, {})
    with office.reading() as desk:
        assert len(bulletin.reports(desk, key)) == 1        # nothing is guessed where the store is away


def test_what_goes_on_is_one_raise_and_what_begins_again_another(office: Office, clock: Clock) -> None:
    """A fault that lasts does not flap because it is looked at each minute."""
    service = begun(office)
    guarded(office, service, thresholds={"loss_percent": "0.5", "rtt_ms": None, "silent_minutes": None})
    told = Measured()
    office.__dict__["evidence"] = told
    office.settings = office.settings.model_copy(update={"store": "chdb:///nowhere"})
    told.say(service, BEGIN, *[(7_500_000, 750_000)] * 120)
    seconds = int(BEGIN.timestamp())
    told.quality = [(service, seconds + 60 * n, 1000, 50 if n < 20 or n >= 60 else 1, 60_000, 10) for n in range(120)]

    def look() -> Ticket:
        with office.reading() as desk:
            return desk.session.execute(select(Ticket)).scalar_one()
    for _ in range(30):
        clock.forward(minutes=1)
        watching.watch(office, {})
    assert (look().count, look().flapping, look().evidence["to"]) == (1, False, "2026-12-01T01:19:00Z")
    act(office, lambda desk: setattr(desk.session.get_one(Ticket, look().id), "state", "resolved"))
    act(office, lambda desk: setattr(desk.session.get_one(Ticket, look().id), "resolved", desk.now))
    clock.now = BEGIN + timedelta(minutes=65)
    watching.watch(office, {})
    watching.watch(office, {})
    assert (look().count, look().state) == (2, "inProgress")


# ---- knowledge

@pytest.mark.both
def test_what_is_known_is_found_by_words_of_both_languages_and_by_kind(office: Office) -> None:
    import tomllib

    from tests.bss.selling import SAMPLE

    service = begun(office)
    articles = tomllib.loads((SAMPLE.parent / "knowledge.toml").read_text(encoding="utf-8"))["article"]
    ids = [act(office, lambda desk, one=one: knowledge.write(desk, one)).id for one in articles]       # type: ignore[misc]

    def titles(*given: Any) -> list[str]:
        return [one.article.title["en"] for one in act(office, lambda desk: knowledge.search(desk, *given))]
    assert titles("光功率")[0] == titles("optical power")[0] == "Received optical power is low" and titles("no such word at all zzz") != []
    assert titles("xyzzy") == [] and titles("", ("syn_flood",)) == ["A flood against a customer"] and len(titles()) == len(articles)
    assert set(titles("", ("outage",))) == {"A service is silent", "Received optical power is low"}
    key = opened(office, service)
    assert act(office, lambda desk: knowledge.suggested(desk, key))[0].article.title["zh"] == "光功率低"
    act(office, lambda desk: knowledge.write(desk, {**articles[1], "title": {"en": "Splitters", "zh": "分光器"}}, ids[1], 1))
    assert titles("splitters") == ["Splitters"] and "Received optical power is low" not in titles("光功率")
    with pytest.raises(Refusal, match="version 2, not 1"):
        act(office, lambda desk: knowledge.write(desk, articles[1], ids[1], 1))
    act(office, lambda desk: knowledge.retire(desk, ids[1]))
    with office.reading() as desk:
        assert titles("splitters") == [] and not desk.session.execute(select(ArticleWord).where(ArticleWord.article_id == ids[1])).first()
        assert desk.session.get_one(Article, ids[1]).retired
    with pytest.raises(Refusal, match="permission 'knowledge.write'"):
        act(office, lambda desk: knowledge.retire(desk, ids[0]), person(office, "k", "contractor"))


# ---- scorecards

def test_a_contractors_card_is_of_what_was_measured(office: Office, clock: Clock) -> None:
    service, field = begun(office), person(office, "field", "contractor")

    def fault(accepted: int, restored: int, claimed: int, how: str = "traffic", repeats: str | None = None) -> str:
        key = opened(office, service)
        row = act(office, lambda desk: dispatch.send(desk, kind="repair", owner_id=field.id, task="x", ticket_id=key))

        def happen(desk: Desk) -> None:
            at = desk.now
            ticket, sent = desk.find(Ticket, key), desk.find(dispatch.Dispatch, row.id)
            sent.accepted, sent.state = at + timedelta(minutes=accepted), "accepted"
            ticket.claimed, ticket.claimed_by, ticket.repeat_of_id = at + timedelta(minutes=claimed), field.id, repeats
            ticket.restored = ticket.resolved = at + timedelta(minutes=restored)
            ticket.state, ticket.dedup_key = "closed", None
            ticket.restoration = {"how": how} if how == "override" else {"how": how, "gap_seconds": (claimed - restored) * 60}
        act(office, happen)
        return key
    first = fault(10, 60, 65)
    clock.forward(days=1)
    fault(20, 200, 150, repeats=first)                      # claimed 50 minutes before it was so
    clock.forward(days=1)
    fault(45, 300, 301)                                     # accepted late, restored late
    clock.forward(days=1)
    fault(5, 30, 20, "override")
    clock.forward(days=1)
    declined = opened(office, service)                      # what somebody else mended is no case of his
    row = act(office, lambda desk: dispatch.send(desk, kind="repair", owner_id=field.id, task="x", ticket_id=declined, due=desk.now + timedelta(days=50)))
    act(office, lambda desk: dispatch.move(desk, row.id, "declined", "no car"), field)

    def mended(desk: Desk) -> None:
        ticket = desk.find(Ticket, declined)
        ticket.restored = ticket.resolved = desk.now + timedelta(days=1)
        ticket.state = "closed"
    act(office, mended)
    clock.forward(days=40)
    card, found = act(office, lambda desk: evaluation.one(desk, "contractor", field.id))
    values = {one.kpi.key: one.value for one in found.total.scored}
    assert values == {"response": Decimal(75), "restore": Decimal(50), "first-time-fix": Decimal(75), "gap": Decimal(5), "evidence": None}
    restore = next(one for one in found.total.scored if one.kpi.key == "restore")
    assert len(restore.evidence["overrides"]) == 1 and not found.total.ranked and found.total.cases == 4
    gap = next(one for one in found.total.scored if one.kpi.key == "gap")
    assert gap.evidence["claimed_too_early"] == 1 and gap.score == 100
    everybody = act(office, lambda desk: evaluation.all_of(desk, "contractor"))[1]
    assert [(one.name, one.place) for one in everybody] == [("field", None)]
    other = person(office, "other", "contractor")
    with pytest.raises(Refusal, match="there is no contractor"):
        act(office, lambda desk: evaluation.one(desk, "contractor", field.id), other)
    with pytest.raises(Refusal, match="sees his own card"):
        act(office, lambda desk: evaluation.all_of(desk, "customer"), other)
    assert [one.name for one in act(office, lambda desk: evaluation.all_of(desk, "contractor"), other)[1]] == ["other"]


def test_an_orders_and_a_customers_card(office: Office, clock: Clock) -> None:
    customer_id = customer(office)
    sold(office)
    service = served(office, state="active")
    in_time, late = ordered(office, started=True), ordered(office, started=True)

    def finish(desk: Desk) -> None:
        for key, days in ((in_time, 5), (late, 40)):
            order = desk.find(ProductOrder, key)
            order.state, order.completed = "completed", BEGIN + timedelta(days=days)
            order.items[0].state, order.items[0].verified, order.items[0].service_id = "completed", "measured", service
    act(office, finish)
    clock.now = BEGIN + timedelta(days=6)
    key = opened(office, service, began=clock.now - timedelta(hours=3))

    def mend(desk: Desk) -> None:
        row = desk.find(Ticket, key)
        row.restored = row.resolved = row.began + timedelta(hours=5, minutes=42)
        row.pauses = [[(row.began + timedelta(hours=1)).isoformat(), (row.began + timedelta(hours=1, minutes=30)).isoformat()]]
        row.state = "closed"
    act(office, mend)
    clock.now = BEGIN + timedelta(days=60)
    found = {one.kpi.key: one for one in act(office, lambda desk: evaluation.one(desk, "customer", customer_id))[1].total.scored}
    assert found["activation"].value == 50 and found["activation"].cases == 2
    assert found["mttr"].value == Decimal("5.2") and found["mttr"].score == 70                  # as in the worked example
    assert found["resource-answer"].value == 100 and found["resource-answer"].cases == 2
    assert found["availability"].value is None              # no month is judged yet

    def judged(desk: Desk) -> None:
        for month, total, excluded, unknown, down in (("2026-12", 43200, 120, 60, 95), ("2027-01", 44640, 0, 40, 0)):
            desk.add(SlaMonth(service_id=service, customer_id=customer_id, region="贵阳", month=month, total=total, excluded=excluded, unknown=unknown,
                              down=down, verdict="met", measured_until=desk.now, made=desk.now))
    act(office, judged)
    figure = act(office, lambda desk: evaluation.one(desk, "customer", customer_id))[1].total.scored[3]
    assert figure.value == Decimal(100 * (43020 + 44600 - 95)) / (43020 + 44600) and figure.evidence["months"] == ["2026-12", "2027-01"]
    assert act(office, lambda desk: evaluation.one(desk, "order", late))[1].total.scored[3].value == 100         # from the month of its completion on
    everybody = act(office, lambda desk: evaluation.all_of(desk, "customer"))[1]
    assert [(one.name, one.place) for one in everybody] == [("K1", None)]
    one = {line.kpi.key: line.value for line in act(office, lambda desk: evaluation.one(desk, "order", in_time))[1].total.scored}
    assert one["activation"] == 100 and one["early-faults"] == 1
    assert act(office, lambda desk: evaluation.one(desk, "order", late))[1].total.scored[1].value == 0
    assert len(act(office, lambda desk: evaluation.all_of(desk, "order"))[1]) == 2


def test_documents_of_a_file_come_in_whole_or_not_at_all(office: Office) -> None:
    from tests.bss.selling import SAMPLE

    kept = template.read(SAMPLE.parent / "field.toml")
    made = act(office, lambda desk: template.put_all(desk, kept))
    assert [(one.kind, one.key, one.version) for one in made] == [("calendar", "business", 1), ("checklist", "site-battery", 1), ("scorecard", "contractor", 1)]
    assert isinstance(made[0].document, Document)
    assert act(office, lambda desk: template.current(desk, "checklist", "site-battery")).document.visit == "inspection"
    with pytest.raises(Refusal, match="permission"):
        act(office, lambda desk: template.put_all(desk, kept), person(office, "a", "assurance"))
    with pytest.raises(Refusal, match="field.toml:.*write it as TOML|Expected|expected"):
        template.of_text("[[calendar]\n", "field.toml")
    assert act(office, lambda desk: timetable.calendar_of(desk, "business"), SYSTEM).makeup == ((9 * 3600, 18 * 3600),)
