"""Usage as it is rated hour by hour, closed with the month, and rated again: balances, charges, thresholds, what comes late."""
from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from bss.charges.money import rounded
from bss.charges.percentile import Slot
from bss.desk import Desk
from bss.evidence import Minute
from bss.office import Office
from bss.people.scope import SYSTEM
from bss.rating import burst, closing, lines, month, threshold, usage
from bss.rating.plan import plans
from bss.rating.rate import Tools
from bss.refusal import Refusal
from bss.services import inventory
from bss.tables import Agreement, Bucket, Draw, OrderItem, Outbox, ProductOrder, RatedCharge, RatedUsage, Recycled, Service, ThresholdEvent
from tests.bss.conftest import Clock
from tests.bss.metered import (
    BEGIN,
    GB,
    NEXT,
    PERIOD,
    balances,
    charges,
    completed,
    family,
    hour,
    rated,
    service,
    settled,
    so_far,
    used,
)
from tests.bss.selling import customer, sold

SQLITE = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)             # where nothing hangs on the database


@pytest.fixture
def shop(office: Office, clock: Clock) -> str:
    """A customer of September 2026, on the 20th."""
    clock.now = BEGIN + timedelta(days=19)
    sold(office)
    return customer(office, class_="home")


def one_of(office: Office, shop: str, offering: str, **given: Any) -> str:
    return office.act(SYSTEM, lambda desk: service(desk, shop, offering, **given).id)


def test_the_bundle_across_access_types(office: Office, shop: str, clock: Clock) -> None:
    ids = family(office, shop)
    for n, (name, category, size) in enumerate((("mobile", "video", 18), ("mobile", "web", 12), ("wlan", "web", 95), ("wlan", "video", 6))):
        rated(office, used((ids[name], hour(2 + n), category, size * GB), (ids["home"], hour(2 + n), "video", 900 * GB)))
    found = balances(office)
    # of its own the mobile plan has 20 GB, the pack 30 GB of video, the venue 500 GB: what is as specific goes by its expiry, weight and name
    assert found["family-199/rollover", PERIOD] == (5 * GB, 5 * GB) and found["family-199/video", PERIOD] == (20 * GB, 20 * GB)
    assert found["video-pack/video", PERIOD] == (4 * GB, 30 * GB) and found["family-199/pool", PERIOD] == (95 * GB, 100 * GB)
    assert so_far(office) == {}
    with office.reading() as desk:          # the broadband is not paid by what it uses: nothing is kept of it, and nothing drawn
        assert {one.service_id for one in desk.session.query(RatedUsage)} == {ids["mobile"], ids["wlan"]}
    rated(office, used((ids["other"], hour(8), "web", 30 * GB)))
    assert so_far(office) == {"family-199/1/mobile-traffic": D("15")}
    clock.now = BEGIN + timedelta(days=33)
    settled(office, shop)
    assert charges(office, shop) == [("family-199/1/mobile-traffic", PERIOD, PERIOD, D(15), 1)]
    after = balances(office)
    assert after["family-199/pool", PERIOD] == (100 * GB, 100 * GB) and after["video-pack/video", PERIOD] == found["video-pack/video", PERIOD]


@SQLITE
def test_the_worked_example(office: Office, shop: str, clock: Clock) -> None:
    """With the three allowances of the example and nothing beside: 3.00 above the 199.00 of the plan."""
    from bss.catalogue.publishing import publish
    from bss.catalogue.reading import of_text
    from tests.bss.selling import SAMPLE

    text = SAMPLE.read_text(encoding="utf-8")
    plain = "".join(f'\n[[offering]]\ncode = "plain-{kind}"\nkind = "{kind}"\nclass = "{kind}"\nname = {{ en = "x", zh = "x" }}\n'
                    'valid_from = 2026-01-01T00:00:00+08:00\n' for kind in ("mobile", "wlan"))
    bundle = text[text.rindex("[[offering]]\ncode = \"family-199\""):].replace("family-199", "example-199").replace(
        'bundled = [{ code = "home-500" }, { code = "mobile-59", count = 2 }, { code = "video-pack" }]',
        'bundled = [{ code = "plain-mobile" }, { code = "plain-wlan" }]')
    office.act(SYSTEM, lambda desk: publish(desk, of_text(plain + bundle, "example")))

    def make(desk: Desk) -> dict[str, str]:
        order = desk.add(ProductOrder(number="O", customer_id=shop, region="贵阳", channel="web", class_="home", created=BEGIN, state="completed"))
        ids = {kind: service(desk, shop, f"{kind}-x", as_sold=f"plain-{kind}").id for kind in ("mobile", "wlan")}
        for place, (code, key) in enumerate((("example-199", None), ("plain-mobile", ids["mobile"]), ("plain-wlan", ids["wlan"]))):
            completed(desk, order, OrderItem(place=place, action="add", offering=code, offering_version=1, price={}, service_id=key,
                                             wanted={"bundle": "example-199"} if key else {}), BEGIN)
        return ids
    ids = office.act(SYSTEM, make)
    usage_told = [(ids["mobile"], hour(2), "video", 18 * GB), (ids["mobile"], hour(3), "web", 12 * GB), (ids["wlan"], hour(4), "web", 95 * GB),
                  (ids["wlan"], hour(5), "video", 6 * GB)]
    left = []
    for told in usage_told:
        rated(office, used(told))
        left.append(tuple((balances(office)[f"example-199/{key}", PERIOD][1] - balances(office)[f"example-199/{key}", PERIOD][0]) // GB
                          for key in ("video", "rollover", "pool")))
    assert left == [(2, 5, 100), (2, 0, 93), (2, 0, 0), (0, 0, 0)]
    assert so_far(office) == {"example-199/1/wlan-traffic": D("3.000")}
    settled(office, shop)
    (row,) = charges(office, shop)
    assert rounded(D("199.00")) + rounded(row[3]) == D("202.00")
    with office.reading() as desk:          # to the byte
        drawn = sum(one.bytes for one in desk.session.query(Draw))
        assert drawn + sum(one.bytes for one in desk.session.query(RatedCharge)) == sum(one[3] for one in usage_told)


@SQLITE
def test_hours_in_any_order_come_to_the_same_once_the_month_is_closed(office: Office, shop: str) -> None:
    ids = family(office, shop)
    told = [(ids[name], hour(day, at), category, 977_777_777 * (day + at)) for name in ("mobile", "wlan", "other") for day in (2, 5, 9) for at in (1, 20)
            for category in ("video", "web")]
    chance = random.Random(3)
    outcome = []
    for period in (0, 1):
        del period
        chance.shuffle(told)
        for one in told:
            rated(office, used(*(two for two in told if two[:2] == one[:2])))
        settled(office, shop)
        outcome.append((charges(office, shop), balances(office)))
        before = office.act(SYSTEM, lambda desk: [(one.bucket_id, one.service_id, one.bytes) for one in desk.session.query(Draw)])
        settled(office, shop)               # again: the same, nothing twice
        assert outcome[-1] == (charges(office, shop), balances(office))
        assert sorted(before) == sorted(office.act(SYSTEM, lambda desk: [(one.bucket_id, one.service_id, one.bytes) for one in desk.session.query(Draw)]))
    assert outcome[0] == outcome[1] and outcome[0][0]


@pytest.mark.both
def test_the_same_hour_twice_counts_once_and_a_corrected_one_replaces_it(office: Office, shop: str) -> None:
    key = one_of(office, shop, "mobile-59")
    rated(office, used((key, hour(3), "web", 15 * GB)))
    rated(office, used((key, hour(3), "web", 15 * GB)))
    assert balances(office)["data", PERIOD] == (15 * GB, 20 * GB)
    rated(office, used((key, hour(4), "web", 7 * GB)))
    assert balances(office)["data", PERIOD][0] == 20 * GB and so_far(office) == {"mobile-59/1/traffic": D(6)}
    found = rated(office, used((key, hour(3), "web", 2_000_000_001)), again=[hour(3)])
    assert found.changed == 1 and balances(office)["data", PERIOD][0] == 9_000_000_001 and so_far(office) == {}
    rated(office, {}, hour(4), again=[hour(4)])             # those flows are another one's now
    assert balances(office)["data", PERIOD][0] == 2_000_000_001
    with office.reading() as desk:
        kept = desk.session.query(RatedUsage).order_by(RatedUsage.day, RatedUsage.revision)
        rows = [(one.revision, one.state, one.up_bytes + one.down_bytes) for one in kept]
        assert rows == [(1, "rated", 15 * GB), (2, "rerated", 2_000_000_001), (1, "rated", 7 * GB), (2, "rerated", 0)]
        assert [one.type for one in desk.session.query(Outbox).filter(Outbox.type == "fullspan.usage.rerate")] == ["fullspan.usage.rerate"] * 2


@pytest.mark.both
def test_what_comes_after_the_close_is_a_difference_on_the_next_bill_and_what_is_older_waits_for_a_person(office: Office, shop: str, clock: Clock) -> None:
    key = one_of(office, shop, "mobile-59", activated=BEGIN - timedelta(days=200), created=BEGIN - timedelta(days=200))
    rated(office, used((key, hour(3), "web", 21 * GB)))
    clock.now = BEGIN + timedelta(days=33)
    settled(office, shop)
    assert charges(office, shop) == [("mobile-59/1/traffic", PERIOD, PERIOD, D(3), 1)]
    rated(office, used((key, hour(4), "web", 2 * GB)))                      # late
    first, late = charges(office, shop)
    assert (first[3], late) == (D(3), ("mobile-59/1/traffic", NEXT, PERIOD, D(6), 2))
    with office.writing() as desk:
        found = closing.charges(desk, [shop], NEXT)[shop]
        closing.billed(desk, [found[0].id], "Y1")
        closing.billed(desk, [found[0].id], "Y1")           # told again
        with pytest.raises(Refusal, match="on bill Y1"):
            closing.billed(desk, [found[0].id], "Y2")
    assert [one[4] for one in charges(office, shop)] == [2]
    rated(office, {}, hour(3), hour(4), again=[hour(3), hour(4)])           # all of it was another one's
    assert [one[3] for one in charges(office, shop)] == [D(6), D(-9)]
    long_ago = hour(3) - 150 * 86400
    found_run = rated(office, used((key, long_ago, "web", 40 * GB)))
    assert found_run.recycled == 40 * GB and len(charges(office, shop)) == 2
    rated(office, used((key, long_ago, "web", 40 * GB)))
    with office.reading() as desk:
        (row,) = desk.session.query(Recycled)
        assert (row.reason, row.octets, row.state, row.service_id) == ("late", 40 * GB, "recycled", key)


def test_unused_traffic_is_there_for_one_month_more(office: Office, shop: str, clock: Clock) -> None:
    key = one_of(office, shop, "mobile-59")
    rated(office, used((key, hour(3), "web", 15 * GB)))
    clock.now = BEGIN + timedelta(days=31)
    rated(office, used((key, hour(31), "web", 1 * GB)))
    assert balances(office, NEXT) == {("data", NEXT): (GB, 20 * GB)}
    settled(office, shop)
    assert balances(office, NEXT) == {("data", PERIOD): (GB, 5 * GB), ("data", NEXT): (0, 20 * GB)}         # what is carried over goes first
    rated(office, used((key, hour(35), "web", 6 * GB)))
    assert balances(office, NEXT) == {("data", PERIOD): (5 * GB, 5 * GB), ("data", NEXT): (2 * GB, 20 * GB)}
    settled(office, shop, NEXT)
    assert balances(office, "2026-11") == {("data", NEXT): (0, 18 * GB), ("data", "2026-11"): (0, 20 * GB)}          # and is not carried over twice


@pytest.mark.both
def test_thresholds_are_told_once_and_not_in_a_row(office: Office, shop: str, clock: Clock) -> None:
    key = one_of(office, shop, "mobile-59")

    def told() -> list[str]:
        office.act(SYSTEM, threshold.tell)
        with office.reading() as desk:
            rows = desk.session.query(Outbox).filter(Outbox.type == "fullspan.usage.threshold").order_by(Outbox.number)
            return [one.data["crossedThresholdInformation"]["thresholdValue"] for one in rows]
    rated(office, used((key, hour(2), "web", 15 * GB)))
    assert told() == []
    rated(office, used((key, hour(3), "web", 1 * GB)))
    assert told() == ["80"] == told()
    rated(office, used((key, hour(4), "web", 9 * GB)))
    assert told() == ["80"]                 # a moment ago it was told of
    clock.forward(minutes=61)
    assert told() == ["80", "100"] == told()
    with office.reading() as desk:
        assert [one.percent for one in desk.session.query(ThresholdEvent).order_by(ThresholdEvent.percent)] == [80, 100]
    other = one_of(office, shop, "mobile-59")
    rated(office, used((other, hour(5), "web", 50 * GB)))
    assert told() == ["80", "100", "100"]           # both at once: the higher one


@SQLITE
def test_usage_of_a_service_that_was_not_in_use_waits_for_a_person(office: Office, shop: str, clock: Clock) -> None:
    key = one_of(office, shop, "mobile-59")
    clock.now = BEGIN + timedelta(days=5)
    office.act(SYSTEM, lambda desk: inventory.move(desk, key, "inactive", "customer"))
    clock.now = BEGIN + timedelta(days=8)
    office.act(SYSTEM, lambda desk: inventory.move(desk, key, "active"))
    rated(office, used((key, hour(2), "web", GB), (key, hour(7), "web", 5 * GB), (key, hour(10), "web", GB)))
    assert balances(office)["data", PERIOD][0] == 2 * GB
    with office.reading() as desk:
        assert [(one.reason, one.octets, one.day) for one in desk.session.query(Recycled)] == [("inactive", 5 * GB, "2026-09-07")]


@SQLITE
def test_a_change_of_plan_shares_out_the_month_and_takes_what_was_used_along(office: Office, shop: str) -> None:
    key = one_of(office, shop, "mobile-59")

    def change(desk: Desk) -> None:
        order = desk.add(ProductOrder(number="O2", customer_id=shop, region="贵阳", channel="web", class_="mobile", created=BEGIN, state="completed"))
        at = BEGIN + timedelta(days=11)             # 19 of 30 days are left
        completed(desk, order, OrderItem(place=1, action="modify", offering="mobile-packs", offering_version=1, price={}, wanted={"change": "price"},
                                         service_id=key), at)
        inventory.change(desk, key, offering="mobile-packs", offering_version=1)
    office.act(SYSTEM, change)
    with office.reading() as desk:
        spells = plans(desk, [shop])[shop].spells[key]
        assert [(one.offering, one.since, one.until) for one in spells] == [
            ("mobile-59", BEGIN, BEGIN + timedelta(days=11)), ("mobile-packs", BEGIN + timedelta(days=11), None)]
    rated(office, used((key, hour(3), "web", 10 * GB), (key, hour(20), "web", 5 * GB), (key, hour(20, 23), "web", GB)))
    found = balances(office)
    assert found["data", PERIOD] == (10_499_000_000, 7_333_000_000 + 3_166_000_000) and found["night", PERIOD] == (GB, 6_333_000_000)
    assert so_far(office) == {"mobile-packs/1/pack": D(15)}          # 4.501 GB: a pack that was begun


@SQLITE
@pytest.mark.parametrize(("offering", "size", "amount"), [
    ("mobile-graduated", 60 * GB, "120"), ("mobile-graduated", 10 * GB, "30"), ("wlan-volume", 100 * GB, "60"), ("wlan-volume", 100 * GB + 1, "40.0004"),
    ("mobile-packs", 15 * GB + 1, "30")])
def test_prices_by_what_is_used(office: Office, shop: str, offering: str, size: int, amount: str) -> None:
    key = one_of(office, shop, offering)
    rated(office, used((key, hour(3), "web", size)))
    settled(office, shop)
    assert [one[3] for one in charges(office, shop)] == [D(amount)]
    with office.reading() as desk:
        (row,) = desk.session.query(RatedCharge)
        assert row.state == "closed" and row.evidence["services"] == {key: row.bytes} and D(row.evidence["computed"]["quantity"]) == row.quantity


@SQLITE
def test_lines_by_the_95th_percentile_are_summed_before_they_are_measured(office: Office, shop: str, clock: Clock) -> None:
    def make(desk: Desk) -> list[str]:
        contract = desk.add(Agreement(number="HT", customer_id=shop, name="x", valid_from=BEGIN))
        return sorted(service(desk, shop, "line-burst", agreement_id=contract.id).id for _ in range(2))
    one, two = office.act(SYSTEM, make)
    begin, octets = int(BEGIN.timestamp()), round(93.7e6 * 300 / 8)
    slots = [Slot(begin + n * 300, octets, 0) for n in range(8640)]
    clock.now = BEGIN + timedelta(days=33)
    settled(office, shop, slots={f"line-burst/1/burst|{one}": {one: slots, two: slots}})
    (row,) = charges(office, shop)
    assert row[3] == D("13280")             # 187.4: 88 above 100
    with office.reading() as desk:
        found = desk.session.query(RatedCharge).one()
        computed = found.evidence["computed"]
        assert (computed["k"], computed["n"], computed["mbps"], computed["hours_above"], found.quantity) == (8208, 8640, "187.4", "720", D(88))
        assert set(found.evidence["services"]) == {one, two} and found.service_id == one and "hold" not in found.evidence
    unknown = [slot._replace(known=n >= 500) for n, slot in enumerate(slots)]
    settled(office, shop, slots={f"line-burst/1/burst|{one}": {one: unknown, two: slots}})
    assert len(charges(office, shop)) == 1          # it comes to the same: nothing is charged again
    settled(office, shop, slots={f"line-burst/1/burst|{one}": {one: [slot._replace(down=0) for slot in slots], two: slots}})
    assert charges(office, shop)[1] == ("line-burst/1/burst", NEXT, PERIOD, D(-5280), 2)


def test_slots_are_whole_and_known_where_each_minute_is() -> None:
    minutes = [Minute(BEGIN + timedelta(minutes=n), n, 1, n != 7) for n in range(12)]
    begin = int(BEGIN.timestamp())
    assert burst.slots(minutes) == [Slot(begin, 10, 5, True), Slot(begin + 300, 35, 5, False)]


def test_months_and_lines() -> None:
    from zoneinfo import ZoneInfo
    zone = ZoneInfo("Asia/Shanghai")
    assert month.of(BEGIN, zone) == PERIOD and month.of(BEGIN - timedelta(seconds=1), zone) == "2026-08" and month.after("2026-12") == "2027-01"
    assert month.after("2026-01", -1) == "2025-12" and month.apart("2025-12", "2026-02") == 2 and month.days("2028-02") == 29
    assert month.within(PERIOD, BEGIN + timedelta(days=11, hours=3), None, zone) == 19 and month.within(PERIOD, BEGIN, BEGIN + timedelta(days=11), zone) == 11
    with pytest.raises(Refusal):
        month.read("2026-13")
    kept = [lines.Kept(hour(3), 2, 5, 1 << 60), lines.Kept(hour(3), 1, 0, 7), lines.Kept(hour(2), 9, 1, 1)]
    assert lines.unpack(lines.pack(kept)) == sorted(kept) and lines.pack(reversed(kept)) == lines.pack(kept) and len(lines.pack(kept)) == 72
    with pytest.raises(ValueError):
        lines.pack([lines.Kept(1, 1, 1, 1)])


def test_a_month_is_closed_when_it_was_collected_and_not_before(office: Office, shop: str, clock: Clock) -> None:
    key = one_of(office, shop, "mobile-59")
    rated(office, used((key, hour(30, 23), "web", 25 * GB)))
    assert closing.monthly(office, {"period": PERIOD}) == 0
    with pytest.raises(Refusal, match="is collected until 2026-10-03 00:00"):
        closing.close(office, PERIOD)
    clock.now = datetime(2026, 10, 2, 16, tzinfo=UTC)
    assert closing.monthly(office, {}) == 0         # no store: nothing is known
    assert closing.close(office, PERIOD) == 1 and closing.close(office, PERIOD) == 0
    with office.reading() as desk:
        assert closing.closed(desk, PERIOD) and not closing.closed(desk, NEXT)
        assert {one.state for one in desk.session.query(Bucket).filter(Bucket.period == PERIOD)} == {"closed"}
        assert usage.of_period(desk, [key], PERIOD)[key][0].at == hour(30, 23) and Tools(desk).names.names
        assert desk.session.get_one(Service, key).state == "active"
