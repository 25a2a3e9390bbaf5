"""Scorecards, checklists, periods, words, thresholds, states of dispatches: what needs no database."""
from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bss.refusal import Refusal
from bss.sla.scorecard import STANDARD as CARDS
from bss.sla.scorecard import Figures, fill, median, percent, ranking, score, shown
from bss.tickets import dispatch
from bss.tickets.assurance import Thresholds
from bss.tickets.checklist import STANDARD as LISTS
from bss.tickets.checklist import judge
from bss.tickets.inspection import period_of
from bss.tickets.knowledge import words_of
from bss.tickets.watching import Seen, beyond

T0 = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)


# ---- scorecards (BSS.md 4.10)

EXAMPLE = {"resource-answer": ("92", "66.7"), "activation": ("95", "76.9"), "mttr": ("5.2", "70.0"), "availability": ("99.93", "95.6")}


def test_the_worked_example_comes_to_77_6() -> None:
    total = fill(CARDS["customer"], {key: Figures(Decimal(value), 12) for key, (value, _) in EXAMPLE.items()})
    assert {one.kpi.key: shown(one.score) for one in total.scored} == {key: points for key, (_, points) in EXAMPLE.items()}
    assert shown(total.total) == "77.6" and total.ranked and [str(one.kpi.weight) for one in total.scored] == ["15", "25", "35", "25"]


def test_a_figure_without_data_shares_its_weight_out() -> None:
    figures = {key: Figures(Decimal(value), 9) for key, (value, _) in EXAMPLE.items() if key != "mttr"}
    total = fill(CARDS["customer"], figures)
    # (15 x 66.667 + 25 x 76.923 + 25 x 95.556) / 65
    assert shown(total.total) == "81.7" and not total.ranked and total.cases == 9
    mttr = next(one for one in total.scored if one.kpi.key == "mttr")
    assert mttr.score is None and mttr.share == 0 and shown(mttr.score) == "n/a" and sum(one.share for one in total.scored) == pytest.approx(100)
    nothing = fill(CARDS["customer"], {})
    assert nothing.total is None and not nothing.ranked and shown(nothing.total) == "n/a"


@given(st.decimals(-100, 200, places=3), st.decimals(-100, 100, places=3), st.decimals(-100, 100, places=3))
def test_a_score_is_from_0_to_100_and_rises_towards_the_target(value: Decimal, floor: Decimal, target: Decimal) -> None:
    if floor == target:
        return
    points = score(value, floor, target)
    nearer = value + (target - floor) / 7
    assert 0 <= points <= 100 and score(floor, floor, target) == 0 and score(target, floor, target) == 100 and score(nearer, floor, target) >= points


@given(st.dictionaries(st.sampled_from([one.kpi[k].key for one in CARDS.values() for k in range(len(one.kpi))]), st.decimals(0, 200, places=2)))
def test_a_total_lies_between_its_scores(values: dict[str, Decimal]) -> None:
    for card in CARDS.values():
        total = fill(card, {key: Figures(value, 1) for key, value in values.items()})
        scores = [one.score for one in total.scored if one.score is not None]
        assert (total.total is None) == (not scores)
        if total.total is not None:
            assert min(scores) - Decimal("1e-20") <= total.total <= max(scores) + Decimal("1e-20")


def test_few_cases_are_shown_and_not_ranked() -> None:
    def card(value: int, cases: int) -> Any:
        return fill(CARDS["contractor"], {"response": Figures(Decimal(value), cases)})
    found = ranking([("few", card(98, 9)), ("good", card(97, 10)), ("same", card(97, 30)), ("last", card(81, 10)), ("none", fill(CARDS["contractor"], {}))])
    assert [(key, place) for key, _, place in found] == [("good", 1), ("same", 1), ("last", 3), ("few", None), ("none", None)]


def test_figures_of_none_are_none() -> None:
    assert percent(0, 0) == Figures(None, 0) and percent(1, 3).value == Decimal(100) / 3 and median([]) is None
    assert median([Decimal(3), Decimal(1)]) == 2 and median([Decimal(9), Decimal(1), Decimal(4)]) == 4


# ---- dispatches

@pytest.mark.parametrize("before", dispatch.STATES)
@pytest.mark.parametrize("to", [*dispatch.STATES, "exploded"])
def test_every_state_of_a_dispatch_is_answered_from_every_other(before: str, to: str) -> None:
    why = dispatch.refusal(before, to)
    assert (why == "") == (to in dispatch.TABLE[before])
    assert not why or (len(why) > 15 and why[0] in "aiw'" and not why.endswith("."))


# ---- checklists

def test_answers_are_judged() -> None:
    site = LISTS["site"]
    found = judge(site, {"temperature": "36.5", "humidity": 40, "alarms": False}, photos=0)
    assert found.answers == {"temperature": "36.5", "humidity": "40", "alarms": False}
    assert found.missing == ("clean", "photo") and found.faults == ("temperature", "alarms")
    whole = judge(site, {"temperature": 20, "humidity": 40, "alarms": True, "clean": True}, photos=1)
    assert whole.missing == () and whole.faults == ()
    assert judge(site, {"temperature": None, "clean": " "}).answers == {}


@pytest.mark.parametrize(("given_", "why"), [({"height": 1}, "no question 'height'"), ({"alarms": "yes"}, "true or false"),
                                             ({"temperature": "warm"}, "no number"), ({"temperature": True}, "no number"),
                                             ({"temperature": "nan"}, "no number"), ({"photo": "x"}, "asks for a photo")])
def test_wrong_answers_are_refused(given_: dict[str, Any], why: str) -> None:
    with pytest.raises(Refusal, match=why):
        judge(LISTS["site"], given_)
    with pytest.raises(Refusal, match="400 printable"):
        judge(LISTS["repair"], {"cause": "x" * 401})


# ---- periods

@pytest.mark.parametrize(("every", "day", "expected"), [
    ("week", date(2026, 12, 6), ("2026-W49", date(2026, 11, 30), date(2026, 12, 7))),
    ("week", date(2027, 1, 2), ("2026-W53", date(2026, 12, 28), date(2027, 1, 4))),
    ("month", date(2026, 12, 31), ("2026-12", date(2026, 12, 1), date(2027, 1, 1))),
    ("quarter", date(2026, 11, 30), ("2026-Q4", date(2026, 10, 1), date(2027, 1, 1))),
    ("quarter", date(2026, 4, 1), ("2026-Q2", date(2026, 4, 1), date(2026, 7, 1))), ("year", date(2028, 2, 29), ("2028", date(2028, 1, 1), date(2029, 1, 1)))])
def test_periods(every: str, day: date, expected: tuple[str, date, date]) -> None:
    assert period_of(every, day) == expected


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.sampled_from(["week", "month", "quarter", "year"]))
def test_periods_follow_each_other_without_a_gap(day: date, every: str) -> None:
    one = period_of(every, day)
    assert one.begin <= day < one.end and period_of(every, one.end).begin == one.end and period_of(every, one.begin) == one


# ---- words

def test_words_of_both_languages() -> None:
    assert words_of("光功率低 on PON-port 3") == ["光功", "功率", "率低", "on", "pon-port", "pon", "port", "3"]
    assert words_of("断") == ["断"] and words_of("a , ;") == [] and words_of("syn_flood") == ["syn_flood", "syn", "flood"]


@given(st.text(max_size=60))
def test_every_word_fits_its_column(text: str) -> None:
    assert all(0 < len(one) <= 64 for one in words_of(text))


# ---- thresholds

def minute(n: int, down: int = 10 ** 6, up: int = 10 ** 5, loss: str | None = "0.1", rtt: str | None = "8", covered: bool = True) -> Seen:
    return Seen(T0 + timedelta(minutes=n), down, up, None if loss is None else Decimal(loss), None if rtt is None else Decimal(rtt), covered)


def test_what_is_beyond_a_threshold_is_told_with_its_minute() -> None:
    limits = Thresholds(loss_percent=Decimal("0.5"), rtt_ms=Decimal(20), down_mbps=Decimal("0.1"), silent_minutes=2)
    seen = [minute(0), minute(1, loss="0.6"), minute(2, rtt="20.1"), minute(3, down=749_999), minute(4, down=750_000, loss=None, rtt=None)]
    assert [(one.kind, one.at, one.value) for one in beyond(limits, seen)] == [
        ("loss", seen[1].at, "0.6"), ("rtt", seen[2].at, "20.1"), ("rate", seen[3].at, "0.100")]


def test_silence_is_told_once_and_what_was_not_measured_is_no_silence() -> None:
    limits = Thresholds(silent_minutes=2)
    quiet = [minute(n, 0, 0, None, None) for n in range(4)]
    assert [(one.kind, one.at, one.value) for one in beyond(limits, quiet)] == [("silent", T0, "2")]
    unknown = [minute(0, 0, 0, None, None), minute(1, 0, 0, None, None, covered=False), minute(2, 0, 0, None, None)]
    assert beyond(limits, unknown) == [] and beyond(limits, [minute(0, covered=False, loss="9", rtt="900")]) == []
    assert beyond(Thresholds(loss_percent=None, rtt_ms=None, silent_minutes=None), [*quiet, minute(5, loss="99", rtt="999")]) == []
