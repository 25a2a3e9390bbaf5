"""Availability, verdict, faults, degraded minutes and credits: the worked examples to the cent, and what always holds. No database."""
from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bss.catalogue.document import CreditTerms, Sla, written
from bss.catalogue.reading import read
from bss.sla import states
from bss.sla.credits import Charge, credit, largest
from bss.sla.degraded import BINS, ROW, Carried, degraded, median_us, p95_us
from bss.sla.verdict import BREACHED, MET, NONE, UNDECIDED, Minutes, allowed, faults, percent, verdict
from tests.bss.selling import SAMPLE

EXAMPLE = Minutes(43200, 120, 60, 95)
MRC = Charge(Decimal(8000), 30, 30)
TERMS = {one.key: one.credit for one in read(SAMPLE).sla}
B = TERMS["line-b"]
SPELL, TOTAL = (CreditTerms.model_validate({"model": "hour", "hours": hours}) for hours in ("spell", "total"))


def test_the_worked_month() -> None:
    assert EXAMPLE.availability == Fraction(42925, 43020) and percent(EXAMPLE.availability) == "99.7791"
    assert EXAMPLE.coverage is not None and f"{float(EXAMPLE.coverage) * 100:.2f}" == "99.86"
    assert (percent(EXAMPLE.best), percent(EXAMPLE.worst)) == ("99.7794", "99.6402")
    assert [verdict(EXAMPLE, Decimal(one)) for one in ("99.9", "99.7", "99.5")] == [BREACHED, UNDECIDED, MET] and verdict(EXAMPLE, None) == NONE
    assert verdict(Minutes(0), Decimal(99)) == verdict(Minutes(10, 10), Decimal(99)) == NONE and percent(Minutes(5, 0, 5).availability) == "-"


@pytest.mark.parametrize(("target", "days", "minutes"), [("99.99", 30, "4.32"), ("99.9", 30, "43.2"), ("99.5", 30, "216"), ("99.99", 31, "4.464"),
                                                         ("99.9", 31, "44.64"), ("99.5", 31, "223.2")])
def test_allowed_downtime(target: str, days: int, minutes: str) -> None:
    assert allowed(Decimal(target), days) == Decimal(minutes)


def test_what_is_shown_is_cut_off_and_what_is_compared_is_exact() -> None:
    near = Minutes(10_000_001, 0, 0, 1000)              # 99.99000000099... %
    assert percent(near.availability) == "99.9900" and verdict(near, Decimal("99.99")) == MET
    under = Minutes(9_999_999, 0, 0, 1000)
    assert percent(under.availability) == "99.9899" and verdict(under, Decimal("99.99")) == BREACHED
    assert percent(Fraction(1)) == "100.0000" and percent(Fraction(0)) == "0.0000"


def test_faults_leave_excluded_time_out() -> None:
    at = [(60 * a, 60 * b, state) for a, b, state in ((0, 10, "down"), (10, 70, "excluded"), (70, 90, "down"), (200, 205, "down"), (205, 210, "unknown"),
                                                      (210, 215, "down"), (300, 310, "excluded"))]
    found, lasted = faults(at, 1000)
    assert lasted == [30, 5, 5] and (found.number, found.down) == (3, 40)
    assert (found.restore_minutes, found.between_minutes) == (Decimal("13.33"), Decimal("333.33"))
    none, _ = faults([(0, 60, "unknown")], 1000)
    assert none.restore_minutes is None and none.between_minutes is None


def test_the_worked_credits() -> None:
    def of(terms: CreditTerms | None, lasted: list[int]) -> Decimal:
        return credit(terms, Decimal("99.9"), EXAMPLE, lasted, MRC).amount
    assert of(B, [95]) == Decimal("400.00")
    assert of(TOTAL, [5, 5, 85]) == of(TOTAL, [95]) == Decimal("533.33")
    assert of(SPELL, [5, 5, 85]) == Decimal("1066.67") and of(SPELL, [95]) == Decimal("533.33")
    ten = CreditTerms.model_validate({"model": "hour", "hour_percent": "10"})
    assert of(ten, [60] * 3) == Decimal("2400.00") and of(ten, [60] * 11) == Decimal("8000.00")             # 10 % an hour, 100 % at most
    assert of(CreditTerms.model_validate({"model": "hour", "cap_percent": "27.5"}), [60] * 9) == Decimal("2200.00")
    for target, why in (("99.7", "hangs on minutes"), ("99.5", "not missed")):
        none = credit(B, Decimal(target), EXAMPLE, [95], MRC)
        assert none.amount == 0 and why in none.why["reason"]
    assert credit(None, Decimal("99.9"), EXAMPLE, [95], MRC).amount == 0


@pytest.mark.parametrize(("days", "lasted", "hours", "amount"), [
    (31, [95], 2, "516.13"), (28, [95], 2, "571.43"), (30, [60], 1, "266.67"), (30, [61], 2, "533.33"), (30, [1, 1, 1], 3, "800.00")])
def test_a_days_charge_is_of_that_month_and_an_hour_counts_once_it_began(days: int, lasted: list[int], hours: int, amount: str) -> None:
    found = credit(SPELL, Decimal("99.9"), Minutes(days * 1440, 0, 0, 95), lasted, Charge(Decimal(8000), days, days))
    assert (found.amount, found.why["hours"]) == (Decimal(amount), hours)


@pytest.mark.parametrize(("key", "target", "down", "share"), [
    ("line-a", "99.99", 5, 5), ("line-a", "99.99", 43, 5), ("line-a", "99.99", 44, 10), ("line-a", "99.99", 216, 10), ("line-a", "99.99", 217, 25),
    ("line-a", "99.99", 432, 25), ("line-a", "99.99", 433, 50), ("line-b", "99.9", 44, 5), ("line-b", "99.9", 433, 25), ("line-b", "99.9", 2161, 100),
    ("line-b", "99.9", 43200, 100)])
def test_bands_are_half_open_and_of_each_class(key: str, target: str, down: int, share: int) -> None:
    assert credit(TERMS[key], Decimal(target), Minutes(43200, 0, 0, down), [down], MRC).amount == Decimal(8000) * share / 100


def test_a_part_month_gives_of_what_is_charged_and_the_largest_is_taken() -> None:
    half = Charge(Decimal(8000), 30, 15)
    assert credit(B, Decimal("99.9"), EXAMPLE, [95], half).amount == Decimal("200.00")
    assert credit(SPELL, Decimal("99.9"), EXAMPLE, [60] * 20, half).amount == Decimal("4000.00")           # no more than was charged
    ways = [[(MRC, credit(B, Decimal("99.9"), EXAMPLE, [95], MRC))], [(half, credit(B, Decimal("99.9"), EXAMPLE, [95], half))]]
    assert largest(ways) == ways[0] and list(largest([])) == [] and list(largest([[(MRC, credit(None, None, EXAMPLE, [], MRC))]])) == []


MONTHS = st.tuples(st.integers(1, 44640), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)).map(
    lambda one: Minutes(one[0], x := int(one[0] * one[1] * 0.3), u := int((one[0] - x) * one[2]), int((one[0] - x - u) * one[3] ** 4)))
TARGETS = st.sampled_from([Decimal(one) for one in ("99.99", "99.9", "99.5", "99", "98")])
MODELS = st.sampled_from([*filter(None, TERMS.values()), TOTAL, SPELL, CreditTerms.model_validate({**TERMS["line-a"].model_dump(), "basis": "best"})    # type: ignore[union-attr]
                          ])


@given(MONTHS, TARGETS)
def test_bounds_hold_and_decide(minutes: Minutes, target: Decimal) -> None:
    best, worst, found = minutes.best, minutes.worst, verdict(minutes, target)
    if best is None or worst is None:
        assert found == NONE
        return
    assert worst <= best and (minutes.availability is None or worst <= minutes.availability <= best)
    for unknown_up in {0, minutes.unknown // 2, minutes.unknown}:           # whatever the unknown minutes were
        told = verdict(minutes._replace(unknown=0, down=minutes.down + minutes.unknown - unknown_up), target)
        assert found == UNDECIDED or told == found


@given(MONTHS, TARGETS, MODELS, st.integers(1, 10 ** 7))
def test_unknown_minutes_are_never_credited(minutes: Minutes, target: Decimal, terms: CreditTerms, cents: int) -> None:
    charge = Charge(Decimal(cents) / 100, 31, 31)
    lasted = [minutes.down] if minutes.down else []
    got = credit(terms, target, minutes, lasted, charge).amount
    assert 0 <= got <= charge.amount.quantize(Decimal("0.01")) * terms.cap_percent / 100 + Decimal("0.01")
    all_up = credit(terms, target, minutes._replace(unknown=0), lasted, charge).amount
    if all_up == 0 and verdict(minutes._replace(unknown=0), target) != BREACHED:
        assert got == 0                     # what would not be missed with all of them up gives nothing
    if terms.model == "hour" or terms.basis == "best":
        assert got == all_up                # they change nothing at all
    worst = credit(terms, target, minutes._replace(unknown=0, down=minutes.down + minutes.unknown), [minutes.down + minutes.unknown], charge).amount
    assert got <= worst


@given(MONTHS, st.integers(0, 100), TARGETS, MODELS)
def test_more_downtime_never_gives_less(minutes: Minutes, more: int, target: Decimal, terms: CreditTerms) -> None:
    more = min(more, minutes.up)
    charge = Charge(Decimal(8000), 30, 30)
    less = credit(terms, target, minutes, [minutes.down], charge).amount
    assert credit(terms, target, minutes._replace(down=minutes.down + more), [minutes.down + more], charge).amount >= less


def test_terms_of_before_stay_as_they_were_and_wrong_ones_are_refused() -> None:
    old = {"key": "k", "name": {"en": "k", "zh": "k"}, "valid_from": "2026-01-01T00:00:00+08:00"}
    assert "credit" not in written(Sla.model_validate(old)) and Sla.model_validate(old).credit is None
    band = {"low": "99", "high": "99.9", "share_percent": "5"}
    for wrong in ({"model": "tier"}, {"model": "hour", "bands": [band]}, {"model": "tier", "bands": [{**band, "high": "99"}]},
                  {"model": "tier", "bands": [band, {**band, "low": "99.5"}]}, {"model": "tier", "bands": [{**band, "share_percent": 5.5}]}):
        with pytest.raises(ValidationError):
            CreditTerms.model_validate(wrong)
    assert all(terms is not None for terms in TERMS.values())


def test_every_event_of_a_credit_is_answered_in_every_state() -> None:
    for state in states.STATES:
        for event in states.EVENTS:
            why = states.refusal(state, event)
            assert (why == "") == ((state, event) in states.STEPS) and (not why or " " in why)
    assert states.refusal("drafted", "eat") and {after for after in states.STEPS.values()} | {"drafted"} == set(states.STATES)


# ---- how good it was

RATE = np.array([100_000_000], np.int64)


def minutes_of(share: list[float], again: list[float], rtt: list[int]) -> Carried:
    octets = np.array([[int(one * 750_000_000) for one in share]], np.int64)
    return Carried(octets, octets // 10, np.full((1, len(share)), 1000), np.array([[int(one * 1000) for one in again]]), np.array([rtt]))


@pytest.mark.parametrize(("share", "again", "rtt", "bad"), [
    (0.5, 0.021, 10, True), (0.5, 0.02, 10, False), (0.5, 0.0, 21, True), (0.5, 0.0, 20, False), (0.1, 0.03, 10, True), (0.0999, 0.03, 10, False),
    (0.8999, 0.03, 10, True), (0.9, 0.03, 10, False), (1.0, 0.5, 90, False), (0.5, 0.0, -1, False)])
def test_a_minute_is_degraded_below_the_floor_with_a_reason(share: float, again: float, rtt: int, bad: bool) -> None:
    n = ROW
    found = degraded(np.ones((1, n), bool), minutes_of([share] * n, [again] * n, [rtt] * n), RATE, np.array([0]), np.array([90]), np.full((1, n), 10))
    assert found.all() == bad and found.any() == bad
    shorter = minutes_of([share] * (n - 1) + [0], [again] * n, [rtt] * n)
    less = degraded(np.ones((1, n), bool), shorter, RATE, np.array([0]), np.array([90]), np.full((1, n), 10))
    assert not less.any()
    none = degraded(np.ones((1, n), bool), minutes_of([share] * n, [again] * n, [rtt] * n), RATE, np.array([0]), np.array([0]), np.full((1, n), 10))
    assert not none.any()           # nothing is promised


@given(st.lists(st.integers(0, 1000), min_size=BINS, max_size=BINS))
def test_the_median_of_a_histogram_lies_in_its_bin(counts: list[int]) -> None:
    found = median_us(counts)
    values = [k for k, count in enumerate(counts) for _ in range(count)]
    if not values:
        assert found == -1
        return
    bin_ = values[(len(values) - 1) // 2]
    assert 2 ** bin_ <= found <= 2 ** (bin_ + 1)


@given(st.lists(st.integers(0, 10 ** 6), max_size=400))
def test_the_95th_percentile_drops_the_top_5_percent(values: list[int]) -> None:
    found = p95_us(np.array([*values, -1, -1]))
    ordered: Any = sorted(values)
    kept = ordered[:len(ordered) - 5 * len(ordered) // 100]
    assert found == (kept[-1] if kept else None)
