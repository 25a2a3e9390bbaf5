"""Spans of time as people name them."""
from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dpi.errors import UserError
from dpi.reports.period import following, local, microseconds, period, span, start_of

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
NOW = microseconds(datetime(2026, 11, 29, 15, 30, tzinfo=SHANGHAI))     # a Sunday


def moment(text: str, zone: ZoneInfo = SHANGHAI) -> int:
    return microseconds(datetime.fromisoformat(text).replace(tzinfo=zone))


@pytest.mark.parametrize(("words", "first", "end"), [
    ("yesterday", "2026-11-28", "2026-11-29"), ("today", "2026-11-29", "2026-11-30"), ("last week", "2026-11-16", "2026-11-23"),
    ("this week", "2026-11-23", "2026-11-30"), ("Last  Month", "2026-10-01", "2026-11-01"), ("this year", "2026-01-01", "2027-01-01"),
    ("last quarter", "2026-07-01", "2026-10-01"), ("2026-02", "2026-02-01", "2026-03-01"), ("last hour", "2026-11-29T14:00", "2026-11-29T15:00"),
    ("last 7 days", "2026-11-22T15:30", "2026-11-29T15:30"),
])
def test_words(words: str, first: str, end: str) -> None:
    assert span(words, "--from", SHANGHAI, NOW) == (moment(first), moment(end))


def test_moments_are_in_the_zone_unless_they_say_another() -> None:
    assert span("2026-11-01", "--from", SHANGHAI, NOW) == (moment("2026-11-01"), None)
    assert span("2026-11-01T08:00Z", "--from", SHANGHAI, NOW) == (moment("2026-11-01T16:00"), None)
    assert span("1700000000.5", "--from", SHANGHAI, NOW) == (1_700_000_000_500_000, None)
    for wrong in ("soon", "2026-13-01", "last fortnight", "", "last x days"):
        with pytest.raises(UserError, match="--from: not a time"):
            span(wrong, "--from", SHANGHAI, NOW)


def test_a_day_may_have_23_or_25_hours() -> None:
    for day, hours in (("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24)):
        first = datetime.fromisoformat(day).replace(tzinfo=BERLIN)
        assert microseconds(following("day", first)) - microseconds(first) == hours * 3_600_000_000
        assert len({microseconds(following("hour", first, n)) for n in range(hours + 1)}) == hours + 1


def test_the_end_is_not_in_it() -> None:
    known = (moment("2026-01-01"), moment("2026-11-29T15:00"))
    assert period(None, None, SHANGHAI, NOW, known) == known
    assert period("yesterday", None, SHANGHAI, NOW, known) == (moment("2026-11-28"), moment("2026-11-29"))
    assert period("2026-11-01", "2026-11-02", SHANGHAI, NOW, known) == (moment("2026-11-01"), moment("2026-11-02"))
    assert period("last month", "today", SHANGHAI, NOW, known) == (moment("2026-10-01"), moment("2026-11-29"))
    assert period("2026-11-01", None, SHANGHAI, NOW, known) == (moment("2026-11-01"), NOW)
    # whole minutes, for rollups have no finer ones; what is to come is no part of a day or month that is not over
    odd = NOW + 12_345_678
    assert span("last 7 days", "--from", SHANGHAI, odd) == (moment("2026-11-22T15:30"), moment("2026-11-29T15:30"))
    assert period("2026-11-01", None, SHANGHAI, odd, known) == (moment("2026-11-01"), moment("2026-11-29T15:31"))
    assert period("today", None, SHANGHAI, odd, known) == (moment("2026-11-29"), moment("2026-11-29T16:00"))
    assert period("this month", None, SHANGHAI, odd, (known[0], moment("2026-11-30T12:00"))) == (moment("2026-11-01"), moment("2026-11-30T12:00"))
    with pytest.raises(UserError, match="ends before it begins"):
        period("2026-11-02", "2026-11-02", SHANGHAI, NOW, known)


@given(some.integers(0, 4_000_000_000), some.sampled_from(["hour", "day", "week", "month", "quarter", "year"]), some.sampled_from([SHANGHAI, BERLIN]))
def test_every_moment_is_in_the_unit_that_it_begins(seconds: int, unit: str, zone: ZoneInfo) -> None:
    here = local(seconds * 1_000_000, zone)
    first = start_of(unit, here)
    assert microseconds(first) <= seconds * 1_000_000 < microseconds(following(unit, first))
    assert following(unit, following(unit, first), -1) == first
