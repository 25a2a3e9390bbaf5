"""Tax, part periods and amounts in words: the worked examples to the cent, and what holds of all amounts."""
from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bss.charges.capital import capital
from bss.charges.money import rounded
from bss.charges.proration import Period, Spell, allowance, anchored, change, days, months_left, period_of, prorated, share_of
from bss.charges.tax import Charged, Rule, Taxed, rate_of, taxed

CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])          # how fast the machine is is not what is asked
AMOUNTS = st.integers(-10 ** 9, 10 ** 9).map(lambda cents: D(cents).scaleb(-2))
LINES = st.lists(st.builds(Charged, AMOUNTS, st.sampled_from(["inclusive", "exclusive"]), st.sampled_from([D("0"), D("0.06"), D("0.09"), D("0.13")])),
                 min_size=1, max_size=20)


def exclusive(*amounts: str, rate: str = "0.06") -> list[Charged]:
    return [Charged(D(one), "exclusive", D(rate)) for one in amounts]


def test_tax_is_taken_once_for_a_rate_and_spread_by_largest_remainder() -> None:
    found = taxed(exclusive("10.09", "20.09", "30.09"))
    assert [one.tax for one in found] == [D("0.61"), D("1.21"), D("1.80")] and sum(one.tax for one in found) == D("3.62")
    assert sum(taxed([one])[0].tax for one in exclusive("10.09", "20.09", "30.09")) == D("3.63")            # what a line by itself would come to


def test_an_inclusive_price_holds_its_tax() -> None:
    assert taxed([Charged(D("199.00"), "inclusive", D("0.09"))]) == [Taxed(D("182.57"), D("16.43"), D("199.00"))]


@pytest.mark.parametrize("amounts", [("0.50", "0.50"), ("0.08", "-0.08"), ("10.09", "20.09", "30.09"), ("0.25", "0.25", "0.25", "-0.50")])
def test_a_reversal_is_exact_with_ties_too(amounts: tuple[str, ...]) -> None:
    lines = exclusive(*amounts, rate="0.03")
    assert [Taxed(-one.net, -one.tax, -one.gross) for one in taxed(lines)] == taxed([one._replace(amount=-one.amount) for one in lines])


@CALM
@given(LINES)
def test_the_sum_of_lines_is_the_total_and_a_reversal_is_exact(lines: list[Charged]) -> None:
    found = taxed(lines)
    for mode, rate in {(one.mode, one.rate) for one in lines}:
        some = [(one, each) for one, each in zip(lines, found, strict=True) if (one.mode, one.rate) == (mode, rate)]
        whole = sum((one.amount for one, _ in some), D(0))
        tax = rounded(whole * rate) if mode == "exclusive" else whole - rounded(whole / (1 + rate))
        assert sum((each.tax for _, each in some), D(0)) == tax
        exact = [one.amount * rate if mode == "exclusive" else one.amount * rate / (1 + rate) for one, _ in some]
        assert all(abs(each.tax - one) < D("0.0101") for (_, each), one in zip(some, exact, strict=True))
    assert all(one.net + one.tax == one.gross for one in found)
    assert [(-one.net, -one.tax, -one.gross) for one in found] == [tuple(one) for one in taxed([one._replace(amount=-one.amount) for one in lines])]


def test_what_is_not_rounded_is_no_line() -> None:
    for one in (Charged(D("0.001"), "exclusive", D("0.06")), Charged(D("1"), "included", D("0.06"))):
        with pytest.raises(ValueError, match="line 1"):
            taxed([one])
    assert taxed([Charged(D("100"), "exclusive", D("0.1"))], "JPY") == [Taxed(D("100"), D("10"), D("110"))]


def test_a_rate_goes_by_charge_customer_and_day() -> None:
    rules = [Rule("", "", date(2019, 4, 1), None, D("0.06")), Rule("leased_line", "", date(2019, 4, 1), date(2027, 1, 1), D("0.09")),
             Rule("leased_line", "", date(2027, 1, 1), None, D("0.10")), Rule("leased_line", "individual", date(2019, 4, 1), None, D("0.03")),
             Rule("usage", "", date(2019, 4, 1), None, D("0.05"))]

    def rate(names: tuple[str, ...], customer: str, day: date) -> D:
        return rate_of(rules, names, customer, day, D("0.13"))
    assert rate(("leased_line", "usage"), "organization", date(2026, 12, 31)) == D("0.09")         # the more telling name comes first
    assert rate(("leased_line", "usage"), "organization", date(2027, 1, 1)) == D("0.10")
    assert rate(("leased_line",), "individual", date(2027, 1, 1)) == D("0.03")
    assert rate(("mobile", "usage"), "individual", date(2026, 1, 1)) == D("0.05") and rate(("mobile",), "", date(2026, 1, 1)) == D("0.06")
    assert rate(("mobile",), "", date(2019, 3, 31)) == D("0.13")            # none held: what the price says


@pytest.mark.parametrize(("charge", "active", "whole", "comes_to"), [
    ("24.95", 9, 31, "7.24"), ("24.95", 22, 30, "18.30"), ("24.95", 8, 31, "6.44"), ("24.95", 25, 30, "20.79")])
def test_a_part_is_of_the_full_period(charge: str, active: int, whole: int, comes_to: str) -> None:
    assert rounded(prorated(D(charge), active, whole)) == D(comes_to)


def test_a_change_of_plan() -> None:
    credit, charge = change(D("199"), D("299"), 19, 30)
    assert (credit, charge, credit + charge) == (D("-126.03"), D("189.37"), D("63.34"))
    assert allowance(100 * 10 ** 9, 19, 30) == 63_333 * 10 ** 6           # down to whole megabytes


def test_the_anchor_is_kept_over_short_months() -> None:
    assert [period_of(f"2026-{month:02d}", 31) for month in (1, 2, 3)] == [
        Period(date(2026, 1, 31), date(2026, 2, 28)), Period(date(2026, 2, 28), date(2026, 3, 31)), Period(date(2026, 3, 31), date(2026, 4, 30))]
    assert period_of("2028-02", 30).begin == date(2028, 2, 29) and period_of("2026-11").days == 30
    for name, anchor in (("2026-13", 1), ("2026-1", 1), ("2026-01", 32), ("x", 1)):
        with pytest.raises(ValueError):
            period_of(name, anchor)


@CALM
@given(st.integers(1, 31), st.integers(2000, 2100), st.integers(1, 12))
def test_periods_follow_one_another_without_a_gap(anchor: int, year: int, month: int) -> None:
    this, following = period_of(f"{year}-{month:02d}", anchor), anchored(year, month + 1, anchor)
    assert this.end == following and 27 <= this.days <= 34 and this.begin.day <= anchor


def test_suspended_days_count_by_whose_reason_it_is() -> None:
    spells = [Spell(date(2026, 11, 1), date(2026, 11, 11), D(1)), Spell(date(2026, 11, 11), date(2026, 11, 21), share_of("customer")),
              Spell(date(2026, 11, 21), date(2026, 11, 26), share_of("non_payment")), Spell(date(2026, 11, 26), date(9999, 1, 1), share_of("fault"))]
    assert days(spells, date(2026, 11, 1), date(2026, 12, 1)) == D("20.0")
    assert rounded(prorated(D("300"), days(spells, date(2026, 11, 1), date(2026, 12, 1)), 30)) == D("200.00") and share_of("whatever") == 0


@CALM
@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.lists(st.tuples(st.integers(1, 40), st.sampled_from(["0", "0.5", "1"])), max_size=6),
       st.integers(0, 60), st.integers(0, 60))
def test_days_of_two_parts_are_those_of_the_whole(begin: date, told: list[tuple[int, str]], one: int, other: int) -> None:
    spells, at = [], begin
    for length, share in told:
        spells.append(Spell(at, at + timedelta(days=length), D(share)))
        at += timedelta(days=length)
    middle, end = begin + timedelta(days=one), begin + timedelta(days=one + other)
    assert days(spells, begin, middle) + days(spells, middle, end) == days(spells, begin, end) <= one + other


@pytest.mark.parametrize(("begun", "months", "ended", "left"), [
    (date(2026, 1, 15), 24, date(2026, 1, 15), "24"), (date(2026, 1, 15), 24, date(2027, 7, 15), "6"), (date(2026, 1, 15), 12, date(2027, 1, 15), "0"),
    (date(2026, 1, 15), 12, date(2026, 11, 30), "1.5"), (date(2026, 1, 31), 12, date(2026, 2, 28), "11"), (date(2026, 1, 15), 12, date(2025, 12, 1), "12")])
def test_months_left_of_a_commitment(begun: date, months: int, ended: date, left: str) -> None:
    assert months_left(begun, months, ended) == D(left)


@pytest.mark.parametrize(("amount", "words"), [
    ("0", "零元整"), ("0.05", "伍分"), ("0.50", "伍角整"), ("10", "壹拾元整"), ("325.04", "叁佰贰拾伍元零肆分"), ("1409.50", "壹仟肆佰零玖元伍角整"),
    ("1680.32", "壹仟陆佰捌拾元叁角贰分"), ("6007.14", "陆仟零柒元壹角肆分"), ("16409.02", "壹万陆仟肆佰零玖元零贰分"), ("107000.53", "壹拾万柒仟元伍角叁分"),
    ("10001", "壹万零壹元整"), ("100100", "壹拾万零壹佰元整"), ("100000000", "壹亿元整"), ("100010000.01", "壹亿零壹万元零壹分"),
    ("1000000000000", "壹万亿元整"), ("1200500000000.10", "壹万贰仟零伍亿元壹角整"), ("13280.00", "壹万叁仟贰佰捌拾元整"), ("-199", "(负数)壹佰玖拾玖元整")])
def test_amounts_in_words(amount: str, words: str) -> None:
    assert capital(D(amount)) == words


FIGURES = {character: value for value, character in enumerate("零壹贰叁肆伍陆柒捌玖")}


def read(words: str) -> D:
    """What such words mean, read the other way round."""
    total, section, digit, cents = 0, 0, 0, 0
    for one in words.removesuffix("整"):
        if one in FIGURES:
            digit = FIGURES[one]
        elif one in "拾佰仟":
            section, digit = section + digit * 10 ** ("拾佰仟".index(one) + 1), 0
        elif one in "万亿":
            total, section, digit = (total + section + digit) * 10 ** (4 if one == "万" else 8) if one == "亿" else total + (section + digit) * 10 ** 4, 0, 0
        elif one == "元":
            total, section, digit = total + section + digit, 0, 0
        else:
            cents, digit = cents + digit * (10 if one == "角" else 1), 0
    return D(total) + D(cents).scaleb(-2)


@CALM
@given(st.integers(0, 10 ** 13 - 1))
def test_words_say_the_amount(cents: int) -> None:
    amount: Any = D(cents).scaleb(-2)
    assert read(capital(amount)) == amount and "零零" not in capital(amount)
