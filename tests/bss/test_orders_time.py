"""The clock of an order, reminders, risk and dwell times."""
from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from bss.office import Office
from bss.orders import clock, dwell, jeopardy, reminding
from bss.orders import order as orders
from bss.orders.milestone import NAMES, reach
from bss.orders.transition import move
from bss.people.scope import Actor
from bss.settings import Mail, Settings
from bss.tables import Job, Outbox, ProductOrder, User
from tests.bss.conftest import BEGIN, Clock
from tests.bss.selling import act, customer, line, ordered, person, sold

SHANGHAI = clock.usual(Settings())


def state_of(office: Office, order_id: str) -> ProductOrder:
    return act(office, lambda desk: desk.find(ProductOrder, order_id))


# ---- the clock

def test_the_clock_knows_holidays_and_working_saturdays() -> None:
    assert not SHANGHAI.works(date(2026, 10, 1)) and SHANGHAI.works(date(2026, 10, 10))       # a Saturday that is worked for the holiday
    assert not SHANGHAI.works(date(2026, 12, 5)) and clock.usual(Settings(country="DE")).works(date(2026, 10, 1)) and SHANGHAI.works(date(2031, 1, 7))


@given(st.datetimes(datetime(2026, 1, 1), datetime(2026, 11, 1)), st.integers(0, 40 * 86400))
def test_after_and_elapsed_are_each_others_inverse(since: datetime, seconds: int) -> None:
    begin, span = since.replace(tzinfo=UTC), timedelta(seconds=seconds)
    end = clock.after(begin, span, SHANGHAI)
    assert clock.elapsed(begin, end, SHANGHAI) == span
    middle = begin + (end - begin) / 2
    assert clock.elapsed(begin, middle, SHANGHAI) + clock.elapsed(middle, end, SHANGHAI) == span


def test_there_is_no_gap_at_midnight_nor_when_clocks_change() -> None:
    berlin = clock.usual(Settings(timezone="Europe/Berlin", country="DE"))
    spring = datetime(2026, 3, 27, 22, 59, 59, tzinfo=UTC)                                  # a second before Saturday there
    assert clock.elapsed(spring, spring + timedelta(days=2, hours=24), berlin) == timedelta(seconds=1) + timedelta(hours=24, seconds=59 * 60 + 59)
    friday = datetime(2026, 12, 4, 15, 59, 59, tzinfo=UTC)                                  # 23:59:59 in Shanghai
    assert clock.after(friday, timedelta(seconds=2), SHANGHAI) == datetime(2026, 12, 6, 16, 0, 1, tzinfo=UTC)


def test_pending_stops_the_clock_and_a_weekend_in_it_costs_nothing(office: Office, clock: Clock) -> None:
    customer(office)
    sold(office)
    order_id = ordered(office, started=True)                # a Tuesday at nine: ten working days are Tuesday the 15th at nine
    due = datetime(2026, 12, 15, 1, tzinfo=UTC)
    assert state_of(office, order_id).due == due
    clock.forward(days=3, hours=9)                          # Friday, 18:00
    act(office, lambda desk: move(desk, order_id, "pending", "the customer builds a room"))
    clock.forward(days=2, hours=15)                         # Monday, 09:00: 6 hours of Friday and 9 of Monday were worked
    act(office, lambda desk: move(desk, order_id, "inProgress"))
    found = state_of(office, order_id)
    assert found.due == due + timedelta(hours=15) and found.pending_seconds == 15 * 3600 and found.pending_since is None
    act(office, lambda desk: move(desk, order_id, "pending", "again"))
    clock.forward(hours=1)
    act(office, lambda desk: move(desk, order_id, "inProgress"))
    assert state_of(office, order_id).due == due + timedelta(hours=16)


# ---- reminders, risk, dwell

def test_who_is_responsible_is_reminded_once_a_day(office: Office, clock: Clock) -> None:
    customer(office)
    sold(office)
    owner = person(office, "owner", "provisioning")
    order_id, waiting = ordered(office, started=True, owner=owner), ordered(office, line("static-address", 0))
    act(office, lambda desk: move(desk, waiting, "pending", "waits"))

    def run() -> dict[str, int]:
        return act(office, reminding.remind)
    assert run() == {}
    clock.forward(days=1)
    assert run() == {"pending": 1} and run() == {}
    clock.now = datetime(2026, 12, 13, 2, tzinfo=UTC)
    assert run() == {}                                      # a Sunday
    clock.now = datetime(2026, 12, 14, 2, tzinfo=UTC)
    assert run() == {"dueTomorrow": 1} and run() == {}
    clock.now = datetime(2026, 12, 16, 2, tzinfo=UTC)
    assert run() == {"overdue": 1}
    clock.now = datetime(2027, 1, 5, 2, tzinfo=UTC)
    assert run() == {"overdue": 1, "timeout": 1} and state_of(office, waiting).state == "cancelled"
    with office.reading() as desk:
        told_of = [one.data["kind"] for one in desk.session.execute(select(Outbox).where(Outbox.type == "fullspan.productOrder.reminder")
                                                                    .order_by(Outbox.number)).scalars()]
        assert told_of == ["pending", "dueTomorrow", "overdue", "overdue"] and desk.session.query(Job).filter(Job.kind == "mail.send").count() == 0
        for kind in reminding.WORDS:
            subject, text = reminding.words(desk, desk.find(ProductOrder, order_id), kind, "why")
            assert desk.find(ProductOrder, order_id).number in subject and text and "云上" not in subject + text and desk.session.query(User).count() == 1


def test_risk_is_by_what_the_rest_took_before_and_told_once(office: Office, clock: Clock) -> None:
    customer(office)
    sold(office)

    def past(desk: Any) -> None:
        """25 lines that took 8 working days from their reservation on."""
        desk.now = BEGIN - timedelta(days=60)
        for n in range(25):
            made = orders.enter(desk, desk.session.execute(select(ProductOrder.customer_id)).scalar() or act_customer, [line()], number=f"P{n}")
            made.acknowledged, made.state = desk.now, "completed"
            made.items[0].state = "completed"
            reach(desk, made.items[0], "resourceReserved")
            made.completed = clock_after(desk.now, timedelta(days=8 if n < 20 else 1))
    act_customer = act(office, lambda desk: desk.session.execute(select(ProductOrder.customer_id)).scalar()) or customer(office, "K9")

    def clock_after(since: datetime, span: timedelta) -> datetime:
        return clock_module.after(since, span, clock_module.usual(office.settings))
    from bss.orders import clock as clock_module
    act(office, past)
    order_id = ordered(office, started=True, customer_id=act_customer)
    act(office, lambda desk: reach(desk, desk.find(ProductOrder, order_id).items[0], "resourceReserved"))
    assert act(office, jeopardy.watch) == 0                 # ten days are left, eight are needed
    clock.forward(days=2)
    assert act(office, jeopardy.watch) == 0                 # eight are left
    clock.forward(hours=1)
    assert act(office, jeopardy.watch) == 1 and act(office, jeopardy.watch) == 0
    with office.reading() as desk:
        alert = desk.session.execute(select(Outbox).where(Outbox.type == "fullspan.productOrder.jeopardyAlert")).scalar_one()
        assert "80 of 100 needed up to 8.0 working days" in alert.data["why"] and alert.subject == order_id
    act(office, lambda desk: [reach(desk, desk.find(ProductOrder, order_id).items[0], name) for name in NAMES[2:6]])
    assert act(office, jeopardy.watch) == 0 and state_of(office, order_id).jeopardy is None


def test_without_history_the_share_of_the_time_decides(office: Office, clock: Clock) -> None:
    customer(office)
    sold(office)
    ordered(office, started=True)
    clock.forward(days=4)                                   # a Saturday: half of ten working days is not gone
    assert act(office, jeopardy.watch) == 0
    clock.forward(days=5)
    assert act(office, jeopardy.watch) == 1


def test_dwell_times_are_those_of_the_steps(office: Office, clock: Clock) -> None:
    customer(office)
    sold(office)
    keys = [ordered(office, line("static-address", 0)) for _ in range(4)]
    for key, hours in zip(keys, (1, 2, 3)):
        clock.now = BEGIN + timedelta(hours=hours)
        act(office, lambda desk, key=key: move(desk, key, "inProgress"))         # type: ignore[misc]
    clock.now = BEGIN + timedelta(hours=30)
    found = {one["state"]: one for one in act(office, dwell.report)}
    assert found["acknowledged"]["count"] == 3 and found["acknowledged"]["median_hours"] == 2.0 and found["acknowledged"]["p90_hours"] == 3.0
    assert found["acknowledged"]["open"] == 1 and found["acknowledged"]["longest_open_hours"] == 30.0
    assert found["acknowledged"]["longest_open"] == state_of(office, keys[3]).number
    assert found["inProgress"]["open"] == 3 and found["inProgress"]["count"] == 0 and found["draft"]["count"] == 4
    elsewhere = Actor("U1", "far", frozenset({"manager"}), ("遵义",))
    assert act(office, dwell.report, elsewhere) == []


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=50), st.integers(1, 100))
def test_quantiles_are_nearest_ranks(values: list[float], share: int) -> None:
    found = dwell.quantile(values, share)
    assert found in values and sum(one <= found for one in values) * 100 >= share * len(values)


def test_a_mail_goes_to_who_is_responsible_once_and_names_nobody(office: Office, clock: Clock) -> None:
    customer(office)
    sold(office)
    owner = person(office, "owner", "provisioning")
    act(office, lambda desk: setattr(desk.session.get_one(User, owner.id), "email", "owner@example.cn"))
    office.settings = office.settings.model_copy(update={"mail": Mail(server="127.0.0.1:25")})
    ordered(office, started=True, owner=owner)
    clock.now = datetime(2026, 12, 16, 2, tzinfo=UTC)
    assert act(office, reminding.remind) == {"overdue": 1} and act(office, jeopardy.watch) == 1
    with office.reading() as desk:
        sent = desk.session.execute(select(Job).where(Job.kind == "mail.send").order_by(Job.key)).scalars().all()
        assert [one.key.split("/")[1] for one in sent] == ["jeopardy", "overdue"]
        assert all("owner@example.cn" in (one.personal or "") and "云上" not in (one.personal or "") and "owner@" not in str(one.argument) for one in sent)
