"""Calendars and clocks: BSS.md 4.6. Pure."""
from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bss.catalogue.document import Name
from bss.catalogue.reading import checked
from bss.refusal import Refusal
from bss.tickets.calendar import STANDARD, WEEKDAYS, Calendar, Document, standard
from bss.tickets.clock import due, elapsed, next_run, runs

SHANGHAI, BERLIN, CAIRO = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin"), ZoneInfo("Africa/Cairo")
ALWAYS, OFFICE, DAYS = (standard(key, SHANGHAI, "CN") for key in ("24x7", "business", "workdays"))
HOUR = 3600


def at(text: str, zone: ZoneInfo = SHANGHAI) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def office(zone: ZoneInfo, *hours: str, country: str = "", days: dict[date, tuple[str, ...]] | None = None) -> Calendar:
    week = {day: hours or ("09:00-18:00",) for day in WEEKDAYS[:5]}
    return checked(Document, {"key": "x", "name": Name(en="x", zh="x"), "week": week, "country": country, "days": days or {}}).calendar(zone, "DE")


def test_all_hours_have_no_gap_at_midnight() -> None:
    begin = at("2026-12-31T23:59:59")
    assert elapsed(ALWAYS, begin, begin + timedelta(seconds=2)) == 2 and due(ALWAYS, begin, 15 * 60) == begin + timedelta(minutes=15)
    assert all(runs(ALWAYS, at(f"2026-02-{day:02}T00:00:00")) for day in range(1, 29)) and ALWAYS.always and not DAYS.always
    assert elapsed(DAYS, at("2026-12-01T23:59:59"), at("2026-12-02T00:00:01")) == 2


@pytest.mark.parametrize(("since", "hours", "expected"), [
    ("2026-12-01T20:00", 4, "2026-12-02T13:00"),            # made in the evening: it begins in the morning
    ("2026-12-05T10:00", 4, "2026-12-07T13:00"),            # on a Saturday
    ("2026-12-04T16:00", 4, "2026-12-07T11:00"),            # over a weekend
    ("2026-12-01T09:00", 9, "2026-12-01T18:00"),            # its end is the end of the day, not the next morning
    ("2026-09-30T17:00", 2, "2026-10-08T10:00"),            # over the holidays of the National Day
    ("2026-10-09T17:00", 2, "2026-10-10T10:00"),            # into a Saturday that is worked for them
    ("2026-01-30T17:00", 4, "2026-02-02T12:00"),            # over the end of a month
    ("2028-02-28T17:00", 12, "2028-03-01T11:00"),           # of a leap year, which the published calendar does not have yet
])
def test_office_hours(since: str, hours: int, expected: str) -> None:
    found = due(OFFICE, at(since), hours * HOUR)
    assert found == at(expected) and elapsed(OFFICE, at(since), found) == hours * HOUR


def test_a_pause_over_a_weekend_costs_the_hours_that_were_worked() -> None:
    since = at("2026-12-04T10:00")
    pause = (at("2026-12-04T17:00"), at("2026-12-07T10:00"))
    assert due(OFFICE, since, 8 * HOUR, [pause]) == at("2026-12-07T11:00") and elapsed(OFFICE, since, at("2026-12-07T11:00"), [pause]) == 8 * HOUR
    assert due(ALWAYS, since, 8 * HOUR, [pause]) == at("2026-12-07T11:00")
    assert due(OFFICE, since, 8 * HOUR, [(at("2026-12-05T00:00"), at("2026-12-06T00:00"))]) == due(OFFICE, since, 8 * HOUR)


def test_pauses_that_touch_or_overlap_count_once() -> None:
    since = at("2026-12-01T09:00")
    pauses = [(at(f"2026-12-01T{begin}"), at(f"2026-12-01T{end}"))
              for begin, end in (("11:00", "12:00"), ("10:00", "11:30"), ("12:00", "12:30"), ("15:00", "14:00"))]
    assert elapsed(OFFICE, since, at("2026-12-01T18:00"), pauses) == 6.5 * HOUR


def test_a_holiday_that_is_entered_later_moves_what_is_due() -> None:
    since = at("2026-12-03T17:00")
    later = office(SHANGHAI, days={date(2026, 12, 4): ()})
    assert due(office(SHANGHAI), since, 2 * HOUR) == at("2026-12-04T10:00") and due(later, since, 2 * HOUR) == at("2026-12-07T10:00")
    shorter = office(SHANGHAI, days={date(2026, 12, 4): ("09:00-09:30",), date(2026, 12, 5): ("10:00-12:00",)})
    assert due(shorter, since, 2 * HOUR) == at("2026-12-05T10:30")


def test_hours_of_make_up_days_and_of_saturdays_that_are_usual() -> None:
    document = Document(key="shop", name=Name(en="x", zh="x"), country="CN", week={"monday": ("09:00-12:00", "13:00-17:00"), "saturday": ("10:00-14:00",)},
                        makeup=("08:00-09:00",))
    shop = document.calendar(SHANGHAI, "CN")
    assert elapsed(shop, at("2026-10-10T00:00"), at("2026-10-11T00:00")) == 4 * HOUR           # a make-up day that has hours anyway keeps them
    assert elapsed(shop, at("2026-12-05T00:00"), at("2026-12-06T00:00")) == 4 * HOUR and not shop.works(date(2026, 10, 3))
    assert elapsed(shop, at("2026-09-20T00:00"), at("2026-09-21T00:00")) == HOUR               # a Sunday that is worked
    assert elapsed(shop, at("2026-12-07T00:00"), at("2026-12-08T00:00")) == 7 * HOUR


def test_days_on_which_clocks_change() -> None:
    night = office(BERLIN, "00:00-24:00")
    week = office(BERLIN, "00:00-24:00", days={date(2026, 3, 29): ("00:00-24:00",), date(2026, 10, 25): ("00:00-24:00",)})
    assert elapsed(week, at("2026-03-29T00:00", BERLIN), at("2026-03-30T00:00", BERLIN)) == 23 * HOUR
    assert elapsed(week, at("2026-10-25T00:00", BERLIN), at("2026-10-26T00:00", BERLIN)) == 25 * HOUR
    assert due(week, at("2026-03-29T01:30", BERLIN), HOUR) == at("2026-03-29T03:30", BERLIN)
    assert due(night, at("2026-03-27T23:00", BERLIN), 2 * HOUR) == at("2026-03-30T01:00", BERLIN)
    # hours that begin in the hour that is skipped begin when it is, and none is counted twice
    split = office(BERLIN, days={date(2026, 3, 29): ("01:00-02:30", "02:30-02:45", "02:45-04:00")})
    assert elapsed(split, at("2026-03-29T00:00", BERLIN), at("2026-03-29T12:00", BERLIN)) == 2 * HOUR
    autumn = office(BERLIN, days={date(2026, 10, 25): ("01:00-02:30", "02:30-04:00")})
    assert elapsed(autumn, at("2026-10-25T00:00", BERLIN), at("2026-10-25T12:00", BERLIN)) == 4 * HOUR
    # in Cairo clocks skip the first hour of a Friday
    friday = office(CAIRO, "00:00-24:00")
    assert elapsed(friday, at("2026-04-24T00:00", CAIRO), at("2026-04-25T00:00", CAIRO)) == 23 * HOUR


def test_what_is_told_before_the_deadline_is_told_in_working_time() -> None:
    since, whole = at("2026-12-04T15:00"), 4 * HOUR
    told = [due(OFFICE, since, whole * percent / 100) for percent in (50, 80, 100)]
    assert told == [at("2026-12-04T17:00"), at("2026-12-07T09:12"), at("2026-12-07T10:00")]
    assert all(runs(OFFICE, one) for one in told) and next_run(OFFICE, at("2026-12-05T03:00")) == at("2026-12-07T09:00")


CALENDARS = [ALWAYS, OFFICE, DAYS, office(BERLIN), office(BERLIN, "00:00-24:00"), office(CAIRO, "00:30-03:00", "22:00-24:00"),
             office(ZoneInfo("Australia/Lord_Howe"), "01:00-02:15", "02:15-23:00")]
moments = st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31)).map(lambda one: one.replace(microsecond=0, tzinfo=UTC))
spans = st.tuples(moments, st.integers(0, 20 * 86400)).map(lambda one: (one[0], one[0] + timedelta(seconds=one[1])))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(CALENDARS), moments, st.integers(0, 30 * 86400), st.lists(spans, max_size=4))
def test_due_and_elapsed_are_each_others_inverse(calendar: Calendar, since: datetime, seconds: int, pauses: list[tuple[datetime, datetime]]) -> None:
    end = due(calendar, since, seconds, pauses)
    assert elapsed(calendar, since, end, pauses) == seconds and end >= since
    assert not seconds or elapsed(calendar, since, end - timedelta(microseconds=1), pauses) < seconds


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(CALENDARS), moments, st.integers(0, 40 * 86400), st.integers(0, 40 * 86400), st.lists(spans, max_size=4))
def test_what_ran_is_the_sum_of_its_parts(calendar: Calendar, since: datetime, one: int, other: int, pauses: list[tuple[datetime, datetime]]) -> None:
    middle, end = since + timedelta(seconds=one), since + timedelta(seconds=one + other)
    whole = elapsed(calendar, since, end, pauses)
    assert whole == elapsed(calendar, since, middle, pauses) + elapsed(calendar, middle, end, pauses)
    assert 0 <= whole <= one + other and whole <= elapsed(calendar, since, end)


@pytest.mark.parametrize(("given_", "why"), [
    ({"week": {"monday": ["9:00-12:00"]}}, "no hours, such as"), ({"week": {"monday": ["09:00-12:00", "11:00-13:00"]}}, "overlaps"),
    ({"week": {"monday": ["12:00-12:00"]}}, "ends before"), ({"week": {"monday": []}}, "one weekday at least"),
    ({"week": {"monday": ["20:00-24:30"]}}, "another day"),
    ({"week": {"monday": ["09:00-12:00"]}, "zone": "Mars/Olympus"}, "no time zone"), ({"week": {"monday": ["09:00-12:00"]}, "holidays": []}, "holidays")])
def test_a_calendar_that_is_wrong_is_refused_with_why(given_: dict[str, object], why: str) -> None:
    with pytest.raises(Refusal, match=why):
        checked(Document, {"key": "x", "name": {"en": "x", "zh": "x"}, **given_})


def test_a_clock_is_followed_for_ten_years() -> None:
    with pytest.raises(Refusal, match="3660 days"):
        elapsed(OFFICE, at("2016-01-01T00:00"), at("2026-12-01T00:00"))
    with pytest.raises(Refusal, match="do not pass within"):
        due(office(SHANGHAI, "09:00-09:01"), at("2026-01-01T00:00"), 86400 * 300)
    assert elapsed(OFFICE, at("2026-12-02T00:00"), at("2026-12-01T00:00")) == 0 and STANDARD.keys() == {"24x7", "business", "workdays"}
