"""Charges: the worked definitions to the cent and the byte, and what always holds."""
from __future__ import annotations

import re
import typing
from decimal import Decimal as D
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bss.catalogue.document import Price as Written
from bss.charges import allowance, flat, package, percentile, quantity, registry, tiered, volume
from bss.charges.allowance import Bucket, Line, Window, draw
from bss.charges.money import rounded
from bss.charges.percentile import Slot, Terms
from bss.charges.price import Price, Tier

GB = 10 ** 9
MINUTES = Price(D(0), (Tier(D(1000), D("0.50")), Tier(None, D("0.30"))))
DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_a_charge_is_a_file_and_is_in_the_docs() -> None:
    files = {one.stem for one in Path(flat.__file__).parent.glob("*.py") if re.search(r"^KIND = ", one.read_text(), re.M)}
    assert files == set(registry.found()) == {"flat", "tiered", "volume", "package", "allowance", "percentile"}
    assert set(typing.get_args(Written.model_fields["algorithm"].annotation)) == files - {"allowance"}
    for page in ("business-rating.md", "business-rating.zh-CN.md"):
        told = (DOCS / page).read_text(encoding="utf-8")
        assert set(re.findall(r"^### .*\(`(\w+)`\)$", told, re.M)) == files, page
    assert registry.by_quantity("tiered") is tiered.charge
    with pytest.raises(KeyError):
        registry.by_quantity("percentile")


@pytest.mark.parametrize(("minutes", "graduated", "whole"), [(1500, "650.00", "450.00"), (1000, "500.00", "500.00"), (1001, "500.30", "300.30"), (0, "0", "0")])
def test_tiers_end_where_they_say(minutes: int, graduated: str, whole: str) -> None:
    assert tiered.charge(MINUTES, D(minutes)).amount == D(graduated) and volume.charge(MINUTES, D(minutes)).amount == D(whole)


def test_tiers_that_do_not_grow_are_refused() -> None:
    for tiers in ((), (Tier(D(5), D(1)),), (Tier(None, D(1)), Tier(None, D(1))), (Tier(D(5), D(1)), Tier(D(5), D(1)), Tier(None, D(1)))):
        with pytest.raises(ValueError, match="tier"):
            tiered.charge(Price(D(0), tiers), D(1))


def test_packages_that_were_begun_are_paid_for() -> None:
    price = Price(D(10), size=D(5))
    assert [package.charge(price, D(q)).amount for q in ("0", "0.001", "5", "5.001")] == [0, 10, 10, 20]
    with pytest.raises(ValueError, match="size"):
        package.charge(Price(D(1)), D(1))


def test_a_priced_quantity_is_rounded_up_once() -> None:
    found = flat.charge(Price(D(3)), quantity.of_bytes(2_000_000_001))
    assert found.detail["quantity"] == "2.001" and found.amount == D("6.003") and rounded(found.amount) == D("6.00")
    assert quantity.of_bytes(0) == 0 and quantity.of_bytes(1 << 30, "GiB", "MiB") == 1 and quantity.bytes_of(D("0.5"), "GiB") == 1 << 29


def test_a_part_of_an_allowance_is_whole_megabytes() -> None:
    assert quantity.share(20 * GB, 19, 30) == 12_666_000_000 and quantity.share(1_234_567, 30, 30) == 1_234_567 and quantity.share(GB, 0, 30) == 0
    with pytest.raises(ValueError):
        quantity.share(GB, 31, 30)


# ---- buckets

END = 30 * 86400
EVERYWHERE = frozenset({"mobile", "wlan", "broadband"})
M, W = "S1", "S2"
PLAN = (Bucket("V", 20 * GB, EVERYWHERE, frozenset({M, W}), END, category="video"), Bucket("R", 5 * GB, frozenset({"mobile"}), frozenset({M}), END - 1),
        Bucket("P", 100 * GB, frozenset({"mobile", "wlan"}), frozenset({M, W}), END))


def used(at: int, access: str, category: str, octets: int, application: str = "") -> Line:
    return Line(at * 3600, M if access == "mobile" else W, access, category, application, "r1", octets, access)


def test_the_bundle_across_access_types() -> None:
    usage = [used(1, "mobile", "video", 18 * GB), used(2, "mobile", "web", 12 * GB), used(3, "wlan", "web", 95 * GB), used(4, "wlan", "video", 6 * GB)]
    left = []
    for n in range(1, 5):
        found = draw(PLAN, usage[:n])
        left.append((*(found.left[name] // GB for name in "VRP"), sum(found.overage.values()) // GB))
    assert left == [(2, 5, 100, 0), (2, 0, 93, 0), (2, 0, 0, 2), (0, 0, 0, 6)]
    assert found.overage == {("wlan", W): 6 * GB}
    assert found.draws == {("V", M): 18 * GB, ("R", M): 5 * GB, ("P", M): 7 * GB, ("P", W): 93 * GB, ("V", W): 2 * GB}
    over = flat.charge(Price(D("0.50")), quantity.of_bytes(6 * GB)).amount
    assert rounded(D("199.00")) + rounded(over) == D("202.00")
    assert draw(reversed(PLAN), list(reversed(usage))) == found            # type: ignore[arg-type]


def test_the_order_in_which_buckets_are_drawn() -> None:
    def bucket(name: str, **given: typing.Any) -> Bucket:
        return Bucket(**{"id": name, "left": 1, "access": EVERYWHERE, "services": frozenset({M}), "expires": END, **given})
    ranked = [bucket("z-app", application="YouTube"), bucket("y-category", category="video", expires=END - 1), bucket("x-category", category="video"),
              bucket("w-soon", expires=END - 1), bucket("v-heavy", weight=2), bucket("a"), bucket("b")]
    usage = [Line(0, M, "mobile", "video", "YouTube", "r", n, "p") for n in (1,) * 7]
    taken = [name for _, draws, _ in draw(ranked, usage).lines for name, _ in draws]
    assert taken == [one.id for one in ranked]


def test_what_could_not_be_named_matches_no_application() -> None:
    named = [Bucket("c", 10, EVERYWHERE, frozenset({M}), END, category="unknown"), Bucket("a", 10, EVERYWHERE, frozenset({M}), END, application="unknown")]
    assert draw(named, [Line(0, M, "mobile", "unknown", "unknown", "r", 5)]).draws == {}


@pytest.mark.parametrize(("window", "hours"), [(Window(23, 7), {23, *range(7)}), (Window(8, 20), set(range(8, 20))), (Window(), set(range(24)))])
def test_windows_of_the_day(window: Window, hours: set[int]) -> None:
    one = Bucket("n", 100, EVERYWHERE, frozenset({M}), END, window=window)
    lines = draw([one], [Line(h * 3600, M, "mobile", "", "", "r", 1) for h in range(24)]).lines
    assert {line.at // 3600 for line, draws, _ in lines if draws} == hours


def test_a_night_of_the_weekend_ends_on_monday_morning_and_a_bucket_when_it_expires() -> None:
    night = Bucket("n", 100, EVERYWHERE, frozenset({M}), 5 * 86400, window=Window(22, 6, frozenset({6})))
    sunday = 3 * 86400              # 1970-01-04
    at = [sunday + h * 3600 for h in (0, 21, 22, 23, 24, 29, 30)]
    assert [bool(draws) for _, draws, _ in draw([night], [Line(one, M, "mobile", "", "", "r", 1) for one in at]).lines] == [
        False, False, True, True, True, True, False]
    assert draw([night._replace(expires=sunday + 23 * 3600)], [Line(one, M, "mobile", "", "", "r", 1) for one in at]).left == {"n": 99}


LINES = st.lists(st.builds(Line, st.integers(0, 5).map(lambda h: h * 3600), st.sampled_from([M, W]), st.sampled_from(["mobile", "wlan"]),
                           st.sampled_from(["video", "web", "unknown"]), st.sampled_from(["", "YouTube"]), st.sampled_from(["r1", "r2"]),
                           st.integers(0, 10 ** 11), st.sampled_from(["p1", "p2"])), max_size=12)
BUCKETS = st.lists(st.builds(lambda left, access, who, expires, category, application, weight, window: (left, access, who, expires, category, application,
                                                                                                       weight, window),
                             st.integers(0, 10 ** 11), st.sets(st.sampled_from(["mobile", "wlan"]), min_size=1), st.sets(st.sampled_from([M, W]), min_size=1),
                             st.integers(1, 6).map(lambda h: h * 3600), st.sampled_from(["", "video"]), st.sampled_from(["", "YouTube"]), st.integers(0, 2),
                             st.sampled_from([None, Window(2, 4)])), max_size=5)


@given(LINES, BUCKETS, st.randoms())
def test_to_the_byte_and_in_whatever_order(usage: list[Line], told: list[typing.Any], chance: typing.Any) -> None:
    buckets = [Bucket(f"b{n}", left, frozenset(access), frozenset(who), expires, 0, category, application, weight, window)
               for n, (left, access, who, expires, category, application, weight, window) in enumerate(told)]
    found = draw(buckets, usage)
    assert sum(found.draws.values()) + sum(found.overage.values()) == sum(one.bytes for one in usage)
    assert all(0 <= found.left[one.id] == one.left - sum(n for (name, _), n in found.draws.items() if name == one.id) for one in buckets)
    assert all(line.bytes == over + sum(part for _, part in parts) for line, parts, over in found.lines)
    shuffled, other = list(usage), list(buckets)
    chance.shuffle(shuffled)
    chance.shuffle(other)
    assert draw(other, shuffled) == found


# ---- 95th percentile

@pytest.mark.parametrize(("days", "n", "k"), [(7, 2016, 1916), (28, 8064, 7661), (29, 8352, 7935), (30, 8640, 8208), (31, 8928, 8482)])
def test_the_rank(days: int, n: int, k: int) -> None:
    assert n == days * 288 and percentile.rank(n) == k
    found = percentile.of_values([(octets, octets * 300) for octets in range(1, n + 1)])
    assert (found.k, found.n, found.bytes, found.slot) == (k, n, k, k * 300) and n - k == 5 * n // 100


BURST = Terms(D(8000), D(100), D(60))


def slots(rates: list[tuple[float, float]], unknown: int = 0) -> list[Slot]:
    told = [Slot(n * 300, round(down * 1e6 * 300 / 8), round(up * 1e6 * 300 / 8)) for n, (down, up) in enumerate(rates)]
    return told + [Slot((len(rates) + n) * 300, 0, 0, False) for n in range(unknown)]


def test_a_burstable_line() -> None:
    found = percentile.measure(slots([(187.4, 20)] * 100), BURST)
    assert found.billed is not None and found.billed.mbps == D("187.4") and (found.direction, found.above) == ("in", 100)
    assert percentile.charge(found, BURST).amount == D("13280.00") and rounded(found.hours_above) == D("8.33")
    assert percentile.charge(found, BURST._replace(whole=False)).amount == D("13244.00")
    assert rounded(percentile.charge(found, BURST, 26, 31).amount) == rounded(D(13280) * 26 / 31)
    assert percentile.charge(percentile.measure(slots([(99, 99)] * 20), BURST), BURST).amount == 8000


def test_directions_and_several_ports() -> None:
    rates = [(10.0, 30.0)] * 10 + [(50.0, 0.0)] * 10
    assert percentile.measure(slots(rates), BURST).direction == "in" and percentile.measure(slots(rates), BURST._replace(direction="out")).direction == "out"
    both = percentile.measure(slots(rates), BURST._replace(direction="sum"))
    assert both.billed is not None and both.billed.mbps == 50
    one, two = slots([(60.0, 0), (0, 0)] * 10), slots([(0, 0), (60.0, 0)] * 10)
    summed = percentile.measure(percentile.together([one, two]), BURST)         # at each time one of them is busy: 60, not 120
    assert summed.billed is not None and summed.billed.mbps == 60
    assert not any(slot.known for slot in percentile.together([one, [slot._replace(known=False) for slot in two]]))


def test_what_is_not_known_does_not_count_and_holds_the_bill_above_five_percent() -> None:
    few = percentile.measure(slots([(10.0, 0)] * 95, 5), BURST)
    assert few.billed is not None and (few.billed.n, few.hold) == (95, "")
    many = percentile.measure(slots([(10.0, 0)] * 94, 6), BURST)
    assert many.hold == "6 of 100 slots are not known" and percentile.charge(many, BURST).detail["hold"] == many.hold
    none = percentile.measure(slots([], 10), BURST)
    assert none.billed is None and none.hold
    with pytest.raises(ValueError, match="known"):
        percentile.charge(none, BURST)


@given(st.lists(st.integers(0, 10 ** 12), min_size=1, max_size=200), st.randoms())
def test_the_percentile_is_the_highest_left_when_the_top_five_percent_are_dropped(values: list[int], chance: typing.Any) -> None:
    told = [(octets, n * 300) for n, octets in enumerate(values)]
    kept = sorted(values, reverse=True)[5 * len(values) // 100:]
    found = percentile.of_values(told)
    assert found.bytes == max(kept)
    chance.shuffle(told)
    assert percentile.of_values(told) == found


@given(st.decimals(0, 10 ** 6, places=3))
def test_graduated_is_never_less_than_volume_where_prices_fall(minutes: D) -> None:
    found = tiered.charge(MINUTES, minutes)
    assert found.amount >= volume.charge(MINUTES, minutes).amount
    assert sum(((D(one["to"]) - D(one["from"])) for one in found.detail["tiers"]), D(0)) == minutes
    assert allowance.total({("a", "x"): 1, ("a", "y"): 2}) == {"a": 3}
