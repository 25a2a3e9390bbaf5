"""Scorecards (后评估): figures become scores from 0 to 100, and the scores one total by their weights. Pure.

score = 100 x clamp((value - floor) / (target - floor), 0, 1); total = sum of weight x score / sum of the weights that have a figure. A figure that is not there
takes no part, and its weight is shared out among the others by theirs. Fewer cases than `enough` are shown, and not ranked.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any, NamedTuple

from pydantic import Field, model_validator

from bss.catalogue.document import Code, Name, Written

TENTH = Decimal("0.1")
Figure = Annotated[Decimal, Field(ge=-10 ** 9, le=10 ** 9)]


class Kpi(Written):
    """One figure. weight: its share; floor, target: where its score is 0 and 100 (the target may be the lower one)."""
    key: Code
    name: Name
    unit: Annotated[str, Field(max_length=16)] = "%"
    weight: Annotated[Decimal, Field(gt=0, le=100)]
    floor: Figure
    target: Figure

    @model_validator(mode="after")
    def _differ(self) -> Kpi:
        if self.floor == self.target:
            raise ValueError("floor and target are the same, so nothing lies between")
        return self


class Card(Written):
    """What is scored of whom. key: customer, order, contractor; enough: cases from which on it is ranked."""
    key: Code
    name: Name
    enough: Annotated[int, Field(ge=1, le=100_000)] = 10
    kpi: Annotated[tuple[Kpi, ...], Field(min_length=1, max_length=40)]

    @model_validator(mode="after")
    def _keys(self) -> Card:
        keys = [one.key for one in self.kpi]
        if len(set(keys)) != len(keys):
            raise ValueError("two figures have the same key")
        return self


class Figures(NamedTuple):
    """A figure as it was found. value None: no data; cases: it is of; evidence: where it was read."""
    value: Decimal | None
    cases: int = 0
    evidence: Mapping[str, Any] = {}


class Scored(NamedTuple):
    """A figure and its score, None where there is no data. share: of the total, percent, after the weights without data were shared out."""
    kpi: Kpi
    value: Decimal | None
    score: Decimal | None
    share: Decimal
    cases: int
    evidence: Mapping[str, Any]


class Total(NamedTuple):
    """A card filled in. total: None where no figure has data; cases: the most of a figure; ranked: it may be compared with others."""
    total: Decimal | None
    scored: tuple[Scored, ...]
    cases: int
    ranked: bool


def score(value: Decimal, floor: Decimal, target: Decimal) -> Decimal:
    """0 to 100, at full precision."""
    part = (value - floor) / (target - floor)
    return 100 * min(max(part, Decimal(0)), Decimal(1))


def fill(card: Card, figures: Mapping[str, Figures]) -> Total:
    """Score what is there of a card's figures."""
    found = {one.key: figures.get(one.key, Figures(None)) for one in card.kpi}
    whole = sum((one.weight for one in card.kpi if found[one.key].value is not None), Decimal(0))
    scored, total = [], Decimal(0)
    for one in card.kpi:
        figure = found[one.key]
        points = None if figure.value is None else score(figure.value, one.floor, one.target)
        share = one.weight / whole if points is not None else Decimal(0)
        total += share * (points or 0)
        scored.append(Scored(one, figure.value, points, 100 * share, figure.cases, figure.evidence))
    cases = max((one.cases for one in scored), default=0)
    return Total(total if whole else None, tuple(scored), cases, bool(whole) and cases >= card.enough)


def shown(value: Decimal | None) -> str:
    """As people read it: one decimal, half up; n/a where there is none."""
    return "n/a" if value is None else str(value.quantize(TENTH, ROUND_HALF_UP))


def percent(part: int, whole: int) -> Figures:
    """A share of cases; no data where there is no case."""
    return Figures(Decimal(100 * part) / whole if whole else None, whole)


def median(values: Sequence[Decimal]) -> Decimal | None:
    """The middle one, or the mean of the two that are; None of none."""
    ranked = sorted(values)
    if not ranked:
        return None
    middle = len(ranked) // 2
    return ranked[middle] if len(ranked) % 2 else (ranked[middle - 1] + ranked[middle]) / 2


def mean(values: Sequence[Decimal]) -> Decimal | None:
    """Their mean; None of none."""
    return sum(values, Decimal(0)) / len(values) if values else None


def ranking(totals: Iterable[tuple[str, Total]]) -> list[tuple[str, Total, int | None]]:
    """Cards with their places, the best first, the same place for the same total as it is shown; those that are not ranked come after, without one."""
    rows = sorted(totals, key=lambda one: (not one[1].ranked, -(one[1].total or Decimal(-1)), one[0]))
    found: list[tuple[str, Total, int | None]] = []
    for number, (key, total) in enumerate(rows, 1):
        same = bool(found) and found[-1][2] is not None and shown(found[-1][1].total) == shown(total.total)
        found.append((key, total, None if not total.ranked else found[-1][2] if same else number))
    return found


def _kpi(key: str, en: str, zh: str, weight: str, floor: str, target: str, unit: str = "%") -> Kpi:
    return Kpi(key=key, name=Name(en=en, zh=zh), unit=unit, weight=Decimal(weight), floor=Decimal(floor), target=Decimal(target))


#: The cards where nobody has written others.
STANDARD: dict[str, Card] = {one.key: one for one in (
    Card(key="customer", name=Name(en="Customer", zh="客户后评估"), kpi=(
        _kpi("resource-answer", "Resource answer within one working day", "资源核查一个工作日内答复", "15", "80", "98"),
        _kpi("activation", "On-time activation, verified by measurement", "按时开通(实测验证)", "25", "85", "98"),
        _kpi("mttr", "Mean time to restore, class A", "A类平均修复时长", "35", "8", "4", "h"),
        _kpi("availability", "Measured availability", "实测可用率", "25", "99.5", "99.95"))),
    Card(key="order", name=Name(en="Order", zh="订单后评估"), kpi=(
        _kpi("resource-answer", "Resource answer within one working day", "资源核查一个工作日内答复", "15", "80", "98"),
        _kpi("activation", "On-time activation, verified by measurement", "按时开通(实测验证)", "40", "85", "98"),
        _kpi("early-faults", "Faults within 30 days of completion", "竣工后30天内故障数", "20", "3", "0", ""),
        _kpi("availability", "Measured availability since completion", "竣工后实测可用率", "25", "99.5", "99.95"))),
    Card(key="contractor", name=Name(en="Contractor", zh="代维后评估"), kpi=(
        _kpi("response", "Dispatches accepted in time", "按时响应率", "20", "80", "98"),
        _kpi("restore", "Tickets measured as restored in time", "实测按时修复率", "30", "80", "98"),
        _kpi("first-time-fix", "First-time fix: no repeat in 30 days", "一次修复率(30天内无重复)", "20", "80", "98"),
        _kpi("gap", "Claimed against measured restoration, median", "报修复与实测修复差(中位数)", "20", "60", "5", "min"),
        _kpi("evidence", "Done with complete evidence", "现场凭证完整率", "10", "80", "100"))),
)}
