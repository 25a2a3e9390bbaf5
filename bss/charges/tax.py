"""Tax: once for each rate on the sum of a bill's lines, then spread over them, so that lines and totals agree to the minor unit.

A line's amount holds its tax (inclusive) or does not (exclusive). Of exclusive lines at a rate: tax = rounded(sum x rate). Of inclusive ones:
net = rounded(sum / (1 + rate)), tax = sum - net. A line gets its exact tax cut to the minor unit; what is left over goes to the lines of the largest
remainders, ties to the lower line. Half goes away from zero and a negative sum is spread as its positive is: a reversal is exact, line by line.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import ROUND_FLOOR, Decimal
from typing import NamedTuple

from bss.charges.money import EXACT, MINOR, rounded

MODES = ("inclusive", "exclusive")


class Charged(NamedTuple):
    """A line before tax. amount: rounded to the minor unit; mode: of MODES; rate: 0.06 for 6 %."""
    amount: Decimal
    mode: str
    rate: Decimal


class Taxed(NamedTuple):
    """A line after it: net + tax = gross."""
    net: Decimal
    tax: Decimal
    gross: Decimal


class Rule(NamedTuple):
    """A rate that holds for a kind of charge and a kind of customer ('' any) for supplies on days since one and before another."""
    charge: str
    customer: str
    since: date
    until: date | None
    rate: Decimal


def rate_of(rules: Iterable[Rule], charges: Sequence[str], customer: str, supplied: date, otherwise: Decimal) -> Decimal:
    """The rate of a charge that goes by several names (the most telling first), to a kind of customer, supplied on a day. Where several rules hold: that of
    the more telling name, then one that names the customer's kind, then the younger. otherwise: where none does, which is what the price says."""
    best: tuple[tuple[int, bool, date], Decimal] | None = None
    for one in rules:
        if one.charge not in ("", *charges) or one.customer not in ("", customer) or supplied < one.since or (one.until is not None and supplied >= one.until):
            continue
        rank = (len(charges) - charges.index(one.charge) if one.charge else 0, bool(one.customer), one.since)
        if best is None or rank > best[0]:
            best = rank, one.rate
    return otherwise if best is None else best[1]


def taxed(lines: Sequence[Charged], currency: str = "CNY") -> list[Taxed]:
    """Net, tax and gross of each line, in their order. ValueError: an amount is not in whole minor units, or a mode is none."""
    unit = Decimal(1).scaleb(-MINOR.get(currency, 2))
    groups: dict[tuple[str, Decimal], list[int]] = {}
    for number, one in enumerate(lines):
        if one.mode not in MODES or one.amount != rounded(one.amount, currency):
            raise ValueError(f"line {number + 1}: {one}")
        groups.setdefault((one.mode, one.rate), []).append(number)
    found: list[Taxed] = [Taxed(Decimal(0), Decimal(0), Decimal(0))] * len(lines)
    for (mode, rate), numbers in groups.items():
        amounts = [lines[number].amount for number in numbers]
        for number, amount, tax in zip(numbers, amounts, _spread(amounts, mode, rate, unit, currency), strict=True):
            found[number] = Taxed(amount - tax, tax, amount) if mode == "inclusive" else Taxed(amount, tax, amount + tax)
    return found


def _spread(amounts: Sequence[Decimal], mode: str, rate: Decimal, unit: Decimal, currency: str) -> list[Decimal]:
    """The tax of each of these lines of one rate."""
    whole = sum(amounts, Decimal(0))
    turned = (whole or next((one for one in amounts if one), Decimal(0))) < 0
    if turned:
        return [-one for one in _spread([-one for one in amounts], mode, rate, unit, currency)]
    total = rounded(EXACT.multiply(whole, rate), currency) if mode == "exclusive" else whole - rounded(EXACT.divide(whole, 1 + rate), currency)
    exact = [EXACT.multiply(one, rate) if mode == "exclusive" else EXACT.divide(EXACT.multiply(one, rate), 1 + rate) for one in amounts]
    floors = [one.quantize(unit, ROUND_FLOOR, EXACT) for one in exact]
    over = int((total - sum(floors, Decimal(0))) / unit)
    first = sorted(range(len(amounts)), key=lambda k: (floors[k] - exact[k], k))
    for k in first[:over]:
        floors[k] += unit
    return floors
