"""What a second look at rating found: committed rates that change, days at a change of plan, hours of the operator's time at the edges of zones."""
from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event

from bss.catalogue.publishing import publish
from bss.catalogue.reading import of_text
from bss.charges.allowance import Bucket as Pure
from bss.charges.allowance import Line, Window, draw
from bss.charges.percentile import Slot
from bss.desk import Desk
from bss.office import Office
from bss.people.scope import SYSTEM
from bss.rating import burst, closing, month
from bss.rating.month import Calendar
from bss.rating.plan import Catalogue, plans
from bss.rating.rate import Tools
from bss.tables import Draw, OrderItem, ProductOrder, RatedCharge
from tests.bss.conftest import Clock
from tests.bss.metered import BEGIN, GB, NEXT, PERIOD, balances, charges, completed, hour, rated, service, settled, used
from tests.bss.selling import customer, sold

OWN = """
[[offering]]
code = "line-own"
kind = "leased_line"
class = "A"
name = { en = "x", zh = "x" }
valid_from = 2026-01-01T00:00:00+08:00
rates = { down_mbps = 10, most_mbps = 1000 }
[[offering.prices]]
key = "burst"
name = { en = "x", zh = "x" }
type = "usage"
unit = "Mbps"
amount = 60.00
tax = "exclusive"
tax_rate = 0.06
algorithm = "percentile"
percentile = { base = 3000.00 }
"""


@pytest.fixture
def shop(office: Office, clock: Clock) -> str:
    """A customer of September 2026, on the 20th."""
    clock.now = BEGIN + timedelta(days=19)
    sold(office)
    return customer(office, class_="home")


def own(office: Office, shop: str, *changes: tuple[float, int]) -> str:
    """A line that is committed to what was ordered: 100 Mbit/s, and others (days later, Mbit/s)."""
    office.act(SYSTEM, lambda desk: publish(desk, of_text(OWN, "own")))

    def make(desk: Desk) -> str:
        order = desk.add(ProductOrder(number="O", customer_id=shop, region="贵阳", channel="web", class_="A", created=BEGIN, state="completed"))
        row = service(desk, shop, "line-own")
        completed(desk, order, OrderItem(place=1, action="add", offering="line-own", offering_version=1, price={}, service_id=row.id,
                                         wanted={"down_bps": 100 * 10 ** 6}), BEGIN)
        for place, (later, mbps) in enumerate(changes, 2):
            completed(desk, order, OrderItem(place=place, action="modify", offering="line-own", offering_version=1, price={}, service_id=row.id,
                                             wanted={"change": "rate", "down_bps": mbps * 10 ** 6}), BEGIN + timedelta(days=later))
            row.down_bps = mbps * 10 ** 6
        return row.id
    return office.act(SYSTEM, make)


def told(office: Office, shop: str, period: str = PERIOD) -> list[burst.Line]:
    with office.reading() as desk:
        return burst.lines(desk, plans(desk, [shop])[shop], Catalogue(), period)


def test_a_month_is_committed_to_what_was_ordered_then_and_not_to_what_is_now(office: Office, shop: str, clock: Clock) -> None:
    key = own(office, shop, (31.5, 400))            # ordered in October, before September is closed
    (line,) = told(office, shop)
    assert line.cir_bps == 100 * 10 ** 6
    begin, octets = int(BEGIN.timestamp()), round(187.4e6 * 300 / 8)
    settled(office, shop, slots={f"line-own/1/burst|{key}": {key: [Slot(begin + n * 300, octets, 0) for n in range(8640)]}})
    assert [row[3] for row in charges(office, shop)] == [D(3000 + 88 * 60)]
    assert sorted(line.cir_bps // 10 ** 6 for line in told(office, shop, NEXT)) == [100, 400]


def test_each_committed_rate_is_charged_for_its_own_days_and_no_day_twice(office: Office, shop: str, clock: Clock) -> None:
    key = own(office, shop, (10.5, 200))
    one, two = told(office, shop)
    assert [(line.key, line.cir_bps // 10 ** 6, line.followed) for line in (one, two)] == [
        ("line-own/1/burst", 100, True), ("line-own/1/burst@200", 200, False)]
    begin, octets = int(BEGIN.timestamp()), round(187.4e6 * 300 / 8)
    slots = [Slot(begin + n * 300, octets, 0) for n in range(8640)]
    with office.reading() as desk:
        figures = [burst.figure(desk, line, {key: slots}, PERIOD, Calendar(desk.office.settings.zone)) for line in (one, two)]
    assert [(figure.evidence["days"], figure.amount) for figure in figures] == [(10, D(3000 + 88 * 60) * 10 / 30), (20, D(3000) * 20 / 30)]


def test_a_rate_that_comes_back_is_a_line_of_its_own_days(office: Office, shop: str, clock: Clock) -> None:
    """100, 200, 100, 200, 200: no line spans the days of another, what follows on the same rate goes on with its line."""
    key = own(office, shop, (5, 200), (10, 100), (20, 200), (25, 200))
    found = told(office, shop)
    assert [(line.key, line.cir_bps // 10 ** 6, *((at - BEGIN).days for at in line.spans[key])) for line in found] == [
        ("line-own/1/burst", 100, 0, 5), ("line-own/1/burst@100", 100, 10, 20), ("line-own/1/burst@200", 200, 5, 10), ("line-own/1/burst@200/2", 200, 20, 30)]
    begin, low, high = int(BEGIN.timestamp()), round(90e6 * 300 / 8), round(180e6 * 300 / 8)
    slots = [Slot(begin + n * 300, high if 5 <= n // 288 < 10 or n // 288 >= 20 else low, 0) for n in range(8640)]
    with office.reading() as desk:
        figures = [burst.figure(desk, line, {key: [slot for slot in slots if line.spans[key][0].timestamp() <= slot.at < line.spans[key][1].timestamp()]},
                                PERIOD, Calendar(desk.office.settings.zone)) for line in found]
    assert sum(figure.evidence["days"] for figure in figures) == 30 and sum(figure.amount for figure in figures) == D(3000)


# ---- the close

def test_a_close_asks_as_much_for_many_customers_as_for_one(office: Office, clock: Clock) -> None:
    clock.now = BEGIN + timedelta(days=19)
    sold(office)
    shops = [customer(office, f"K{n}", class_="home") for n in range(12)]
    keys = [office.act(SYSTEM, lambda desk, shop=shop: service(desk, shop, "mobile-59").id) for shop in shops]         # type: ignore[misc]
    for key in keys:
        rated(office, used((key, hour(3), "web", 15 * GB), (key, hour(4), "video", 9 * GB)))
    clock.now = BEGIN + timedelta(days=33)
    asked: list[int] = []
    event.listen(office.database.engine, "before_cursor_execute", lambda *_: asked.append(1))

    def cost(some: list[str]) -> int:
        asked.clear()
        assert office.act(SYSTEM, lambda desk: closing.settled(desk, some, PERIOD, Tools(desk), {})) == len(some)
        return len(asked)
    assert cost(shops[1:]) <= cost(shops[:1]) + 2
    assert [charges(office, shop)[0][3] for shop in shops] == [D(12)] * 12
    with office.reading() as desk:
        assert sum(one.bytes for one in desk.session.query(Draw)) + sum(one.bytes for one in desk.session.query(RatedCharge)) == 12 * 24 * GB


def test_what_is_rated_while_a_month_is_being_closed_is_on_a_bill(office: Office, shop: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    key = office.act(SYSTEM, lambda desk: service(desk, shop, "mobile-59").id)
    rated(office, used((key, hour(3), "web", 21 * GB)))
    clock.now = BEGIN + timedelta(days=33)
    late = [used((key, hour(5), "web", 2 * GB))]
    settle = office.act

    def act(actor: Any, what: Any) -> Any:          # another worker rates an hour between the customers' act and the month's end
        found = settle(actor, what)
        if late and found == 1:
            rated(office, late.pop())
        return found
    monkeypatch.setattr(office, "act", act)
    closing.close(office, PERIOD)
    assert [(row[1], row[3]) for row in charges(office, shop)] == [(PERIOD, D(3)), (PERIOD, D(6))]
    with office.reading() as desk:
        assert desk.session.query(RatedCharge).filter(RatedCharge.revision == 0).count() == 0


def test_late_usage_of_what_was_carried_over_and_used_in_a_month_that_is_closed_too_is_charged(office: Office, shop: str, clock: Clock) -> None:
    key = office.act(SYSTEM, lambda desk: service(desk, shop, "mobile-59").id)
    rated(office, used((key, hour(3), "web", 15 * GB)))
    clock.now = BEGIN + timedelta(days=63)
    rated(office, used((key, hour(40), "web", 24 * GB)))
    settled(office, shop)
    settled(office, shop, NEXT)
    assert charges(office, shop) == [] and balances(office, NEXT) == {("data", PERIOD): (5 * GB, 5 * GB), ("data", NEXT): (19 * GB, 20 * GB)}
    rated(office, used((key, hour(4), "web", 3 * GB)))              # late: 2 GB are left over of September, and not 5
    assert balances(office, NEXT) == {("data", PERIOD): (2 * GB, 2 * GB), ("data", NEXT): (20 * GB, 20 * GB)}
    assert charges(office, shop) == [("mobile-59/1/traffic", "2026-11", NEXT, D(6), 1)]


def test_bytes_that_cost_nothing_more_are_on_record_all_the_same(office: Office, shop: str, clock: Clock) -> None:
    key = office.act(SYSTEM, lambda desk: service(desk, shop, "mobile-59").id)
    rated(office, used((key, hour(3), "web", 20 * GB + 2_000_000_001)))
    clock.now = BEGIN + timedelta(days=33)
    settled(office, shop)
    rated(office, used((key, hour(4), "web", 1000)))                # of the same megabyte
    assert [row[3] for row in charges(office, shop)] == [D("6.003")]
    with office.reading() as desk:
        assert sum(one.bytes for one in desk.session.query(RatedCharge)) == 2_000_001_001


# ---- hours of the operator's time

@pytest.mark.parametrize(("zone", "utc"), [("Asia/Shanghai", {15, 16, 17}), ("Asia/Kolkata", {18, 19, 20}), ("UTC", {23, 0, 1}),
                                           ("America/St_Johns", {3, 4, 5})])
def test_a_window_is_of_the_operators_hours(zone: str, utc: set[int]) -> None:
    """23 to 2 o'clock, in winter; an hour belongs to the hour of the day in which it begins, also where that is at half past."""
    night = Pure("n", 100, frozenset({"mobile"}), frozenset({"S"}), 1 << 40, window=Window(23, 2))
    day = int(datetime(2026, 1, 14, tzinfo=UTC).timestamp())
    lines = [Line(day + n * 3600, "S", "mobile", "", "", "r", 1) for n in range(24)]
    found = draw([night], lines, Calendar(ZoneInfo(zone)).clock).lines
    assert {line.at // 3600 % 24 for line, draws, _ in found if draws} == utc


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
def test_a_day_of_another_length_has_its_hours_once(day: str, hours: int) -> None:
    """Where clocks are changed, every hour is of one day, and its hour of the day is the one that clocks show."""
    zone = ZoneInfo("Europe/Berlin")
    calendar, begin = Calendar(zone), int(month.begin_of_day(day, zone).timestamp())
    mine = [at for at in range(begin - 86400, begin + 2 * 86400, 3600) if calendar.day(at) == day]
    assert len(mine) == hours and mine[0] == begin and [calendar.clock(at)[0] for at in (mine[0], mine[-1])] == [0, 23]
    assert month.second(month.begin_of_day(day, zone, 1)) == begin + hours * 3600


def test_a_night_allowance_is_drawn_by_the_operators_night(office: Office, shop: str) -> None:
    def make(desk: Desk) -> str:
        return service(desk, shop, "mobile-packs").id
    key = office.act(SYSTEM, make)
    with office.reading() as desk:
        zone = desk.office.settings.zone
        hours = Catalogue().of(desk, "mobile-packs", 1).allowances
    (night,) = [one for one in hours if one.hours is not None]
    assert night.hours is not None and str(zone) == "Asia/Shanghai" and (night.hours.since, night.hours.until) == (23, 7)
    rated(office, used((key, hour(1, 12), "web", 5 * GB)))             # what holds all day is drawn first
    rated(office, used((key, hour(2, 22), "web", GB), (key, hour(2, 23), "web", 2 * GB), (key, hour(3, 6), "web", 3 * GB), (key, hour(3, 7), "web", 4 * GB)))
    assert balances(office)["night", PERIOD][0] == 5 * GB


def test_the_last_hour_of_a_month_is_of_that_month(office: Office, shop: str, clock: Clock) -> None:
    def make(desk: Desk) -> str:
        return service(desk, shop, "mobile-59").id
    key: Any = office.act(SYSTEM, make)
    clock.now = BEGIN + timedelta(days=31)
    rated(office, used((key, hour(30, 23), "web", GB), (key, hour(31, 0), "web", 2 * GB)))
    assert balances(office)["data", PERIOD][0] == GB and balances(office, NEXT)["data", NEXT][0] == 2 * GB
