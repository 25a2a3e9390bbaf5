"""The worked definitions of rating and bills that no other test has with its own figures, to the cent and the byte; and what holds of all of them."""
from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bss.billing import charging, states
from bss.billing.draft import Draft, summed
from bss.charges import flat, percentile, quantity
from bss.charges.allowance import Bucket, Line, draw
from bss.charges.capital import capital
from bss.charges.money import rounded
from bss.charges.percentile import Slot, Terms
from bss.charges.price import Price
from bss.charges.proration import Spell, period_of, share_of
from bss.charges.tax import taxed
from bss.evidence import Minute
from bss.office import Office
from bss.people.scope import SYSTEM
from bss.rating import burst, month
from bss.tables import Recycled
from tests.bss.conftest import Clock
from tests.bss.metered import BEGIN, GB, charges, rated, service, settled, used
from tests.bss.selling import customer, sold
from tests.bss.test_billing_days import plan, price, standing

CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
BURST = Terms(D(8000), D(100), D(60))


# ---- 95th percentile

@pytest.mark.parametrize(("days", "n", "ours", "librenms", "clickhouse"), [
    (7, 2016, 1916, 1915, 1916), (28, 8064, 7661, 7661, 7661), (29, 8352, 7935, 7934, 7935), (30, 8640, 8208, 8208, 8209), (31, 8928, 8482, 8482, 8482)])
def test_the_table_of_ranks(days: int, n: int, ours: int, librenms: int, clickhouse: int) -> None:
    """Ours is pinned because tools differ: LibreNMS takes the array at round(n / 100 x 95) - 1, ClickHouse's quantileExact at floor(0.95 n)."""
    assert n == days * 288 and percentile.rank(n) == ours
    assert (n * 95 + 50) // 100 == librenms and n * 95 // 100 + 1 == clickhouse


def test_thirty_days_have_36_hours_free() -> None:
    assert timedelta(seconds=(8640 - percentile.rank(8640)) * percentile.SLOT) == timedelta(hours=36)


def test_a_rate_is_bytes_times_eight_over_300_seconds_and_a_part_month_a_part_of_the_whole_fee() -> None:
    slots = [Slot(n * 300, 7_027_500_000, 1) for n in range(288)]             # 187.4 Mbit/s
    found = percentile.measure(slots, BURST)
    assert found.billed is not None and found.billed.mbps == D("187.4")
    assert rounded(percentile.charge(found, BURST).amount) == D("13280.00")
    assert rounded(percentile.charge(found, BURST._replace(whole=False)).amount) == D("13244.00")
    assert rounded(percentile.charge(found, BURST, 26, 31).amount) == D("11138.06")
    assert rounded(percentile.charge(found, BURST, 21, 30).amount) == D("9296.00")


@CALM
@given(st.lists(st.tuples(st.integers(0, 10 ** 11), st.integers(0, 10 ** 11), st.booleans()), min_size=1, max_size=120), st.integers(0, 10 ** 12))
def test_what_is_not_known_is_never_charged_whatever_it_says(told: list[tuple[int, int, bool]], other: int) -> None:
    slots = [Slot(n * 300, down, up, known) for n, (down, up, known) in enumerate(told)]
    found, without = percentile.measure(slots, BURST), percentile.measure([one for one in slots if one.known], BURST)
    changed = percentile.measure([one if one.known else one._replace(down=other, up=other) for one in slots], BURST)
    assert found.billed == without.billed == changed.billed and found.above == without.above and found.known == sum(known for *_, known in told)
    unknown = len(told) - found.known
    assert bool(found.hold) == (unknown * 100 > 5 * len(told) or not found.known)


@CALM
@given(st.lists(st.booleans(), min_size=5, max_size=40))
def test_a_slot_with_one_minute_that_is_not_covered_is_not_known(covered: list[bool]) -> None:
    minutes = [Minute(BEGIN + timedelta(minutes=n), 10, 1, known) for n, known in enumerate(covered)]
    assert [one.known for one in burst.slots(minutes)] == [all(covered[n:n + 5]) for n in range(0, len(covered) - 4, 5)]


# ---- bundles

def test_the_bundle_to_the_byte_and_each_row_to_the_cent() -> None:
    mobile, wlan = "S1", "S2"
    both = frozenset({mobile, wlan})
    buckets = [Bucket("V", 20 * GB, frozenset({"mobile", "wlan", "broadband"}), both, 9 * 10 ** 9, category="video"),
               Bucket("R", 5 * GB, frozenset({"mobile"}), frozenset({mobile}), 8 * 10 ** 9),
               Bucket("P", 100 * GB, frozenset({"mobile", "wlan"}), both, 9 * 10 ** 9)]
    rates = {"mobile": D("3"), "wlan": D("0.50")}
    rows = [("mobile", "video", 18), ("mobile", "other", 12), ("wlan", "other", 95), ("wlan", "video", 6)]
    usage = [Line(n * 3600, mobile if access == "mobile" else wlan, access, category, "", "r", size * GB, access) for n, (access, category, size) in
             enumerate(rows)]
    found, told, before = draw(buckets, usage), [], D(0)
    for n in range(1, 5):
        part = draw(buckets, usage[:n])
        cost = sum((flat.charge(Price(rates[access]), quantity.of_bytes(octets)).amount for (access, _), octets in part.overage.items()), D(0))
        told.append((*(part.left[name] for name in "VRP"), rounded(cost - before)))
        before = cost
    assert told == [(2 * GB, 5 * GB, 100 * GB, D("0.00")), (2 * GB, 0, 93 * GB, D("0.00")), (2 * GB, 0, 0, D("1.00")), (0, 0, 0, D("2.00"))]
    assert sum(found.draws.values()) + sum(found.overage.values()) == 131 * GB and rounded(D("199.00") + before) == D("202.00")


# ---- late usage

@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("months", "taken"), [(1, True), (2, True), (3, False)])
def test_late_usage_goes_on_a_bill_for_two_periods_and_then_waits_for_a_person(office: Office, clock: Clock, months: int, taken: bool) -> None:
    clock.now = BEGIN + timedelta(days=19)
    sold(office)
    one = customer(office, class_="home")
    key = office.act(SYSTEM, lambda desk: service(desk, one, "mobile-59").id)
    zone = office.settings.zone
    clock.now = month.span(month.after("2026-09", months), zone)[0] + timedelta(days=3)
    for n in range(months):
        settled(office, one, month.after("2026-09", n))
    rated(office, used((key, int(BEGIN.timestamp()) + 3600, "web", 21 * GB)))
    with office.reading() as desk:
        waiting = [(row.reason, row.octets) for row in desk.session.query(Recycled)]
    assert (charges(office, one), waiting) == (([("mobile-59/1/traffic", month.after("2026-09", months), "2026-09", D(3), 1)], []) if taken
                                               else ([], [("late", 21 * GB)]))


# ---- bills

def test_a_change_from_199_to_299_with_19_of_30_days_left() -> None:
    one = standing(plan(date(2026, 1, 1), price("199.00"), added=True), plan(date(2026, 11, 12), price("299.00")))
    told = [(draft.kind, draft.amount) for draft in charging.recurring(one, period_of("2026-11"), "2026-11")]
    assert sorted(told) == [("adjustment", D("-126.03")), ("recurring", D("189.37")), ("recurring", D("199.00"))]
    assert sum(amount for _, amount in told) - D("199.00") == D("63.34")


@pytest.mark.parametrize(("reason", "amount"), [("customer", "250.00"), ("non_payment", "300.00"), ("fault", "200.00"), ("whatever", "200.00")])
def test_ten_suspended_days_of_thirty_by_reason(reason: str, amount: str) -> None:
    spells = [Spell(date(2026, 1, 1), date(2026, 11, 11), D(1)), Spell(date(2026, 11, 11), date(2026, 11, 21), share_of(reason)),
              Spell(date(2026, 11, 21), date(9999, 1, 1), D(1))]
    one = standing(plan(date(2026, 1, 1), price("300.00"), added=True))._replace(spells=spells)
    (draft,) = charging.recurring(one, period_of("2026-11"), "2026-11")
    assert draft.amount == D(amount)


@pytest.mark.parametrize(("anchor", "begin", "end", "amount"), [
    (29, date(2026, 2, 28), date(2026, 3, 29), "310.00"), (30, date(2026, 2, 28), date(2026, 3, 30), "310.00"),
    (31, date(2026, 2, 28), date(2026, 3, 31), "310.00"),
    (31, date(2026, 4, 30), date(2026, 5, 31), "310.00"), (29, date(2028, 2, 29), date(2028, 3, 29), "310.00")])
def test_a_whole_period_is_the_whole_charge_on_anchors_at_a_months_end(anchor: int, begin: date, end: date, amount: str) -> None:
    name = f"{begin:%Y-%m}"
    one = standing(plan(date(2020, 1, 1), price("310.00"), added=True))
    (draft,) = charging.recurring(one, period_of(name, anchor), name)
    assert (draft.begin, draft.end, draft.amount) == (begin, end, D(amount))


def test_the_days_of_dunning() -> None:
    from bss.billing import dunning
    assert dunning.NOTICES == {"noticed": 0, "reminded": 7, "warned": 15} and dunning.PROPOSED == {"suspensionProposed": 30, "terminationProposed": 60}
    assert {to: days for days, _, to in states.DUE} == {"reminded": 7, "warned": 15, "suspensionProposed": 30, "terminationProposed": 60}


@pytest.mark.parametrize(("amount", "words"), [
    ("0.00", "零元整"), ("0.01", "壹分"), ("0.05", "伍分"), ("0.15", "壹角伍分"), ("10.00", "壹拾元整"), ("10.05", "壹拾元零伍分"), ("1.10", "壹元壹角整"),
    ("100000001.01", "壹亿零壹元零壹分"), ("100000000.50", "壹亿元伍角整"), ("1000010.00", "壹佰万零壹拾元整"), ("20000000", "贰仟万元整"),
    ("-0.05", "(负数)伍分"),
    ("-10.00", "(负数)壹拾元整"), ("-0.001", "零元整"), ("0.005", "壹分"),
    ("99999999.99", "玖仟玖佰玖拾玖万玖仟玖佰玖拾玖元玖角玖分")])
def test_amounts_in_words_at_their_edges(amount: str, words: str) -> None:
    assert capital(D(amount)) == words


CENTS = st.integers(-10 ** 8, 10 ** 8).map(lambda cents: D(cents).scaleb(-2))
DRAFTS = st.lists(st.builds(lambda n, amount, mode, rate: Draft("recurring", f"S{n}", f"k{n}", {"en": "x", "zh": "x"}, "day", D(1), date(2026, 11, 1),
                                                                date(2026, 12, 1), amount, mode, rate, f"s{n}", {}),
                            st.integers(0, 99), CENTS, st.sampled_from(["inclusive", "exclusive"]), st.sampled_from([D("0"), D("0.06"), D("0.09"), D("0.13")])),
                  min_size=1, max_size=25)


@CALM
@given(DRAFTS, st.randoms())
def test_the_sum_of_lines_is_the_total_in_whatever_order_they_came(drafts: list[Draft], chance: Any) -> None:
    found = summed(drafts, [], "organization")
    for name in ("net", "tax", "gross"):
        assert sum((row[name] for row in found.rows), D(0)) == getattr(found, name)
    assert found.net + found.tax == found.gross and all(row["net"] + row["tax"] == row["gross"] for row in found.rows)
    assert all(row[name] == rounded(row[name]) for row in found.rows for name in ("net", "tax", "gross"))
    distinct = {draft.source: draft for draft in drafts}
    one, other = list(distinct.values()), list(distinct.values())
    chance.shuffle(other)
    assert summed(one, [], "organization") == summed(other, [], "organization") and taxed([]) == []
