"""Holidays of years that the published calendar does not have yet: which are lacking, and days as somebody enters them, once for all calendars that go by
China's. A country publishes the days of a year late in the year before; until they are here weekdays decide, and that is said."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

from bss.desk import Desk
from bss.refusal import Refusal
from bss.tickets import template
from bss.tickets.calendar import published_until
from bss.tickets.timetable import calendar_of

AHEAD = timedelta(days=60)          # that a year is asked for before it begins
MOST = 366                          # days that are entered at once


class Lacking(NamedTuple):
    """A year that a calendar goes by weekdays in, though it should have holidays."""
    calendar: str
    year: int


def lacking(desk: Desk) -> list[Lacking]:
    """What is to be entered for this year, or for the next where it is near."""
    zone = desk.office.settings.zone
    years = sorted({desk.now.astimezone(zone).year, (desk.now + AHEAD).astimezone(zone).year})
    return [Lacking(one.key, year) for one in template.listed(desk, "calendar") for year in years if not calendar_of(desk, one.key).knows(year)]


def between(desk: Desk, key: str, first: date, last: date) -> list[int]:
    """The years of a time of which a calendar does not know the holidays."""
    calendar = calendar_of(desk, key)
    return [year for year in range(first.year, last.year + 1) if not calendar.knows(year)]


def enter(desk: Desk, off: Sequence[date], worked: Sequence[date] = ()) -> list[template.One]:
    """Enter days off and make-up days in all calendars that go by China's days; what is due is computed anew. Refusal: no day, a day in both, or one of a year
    that is published."""
    desk.demand("calendar.write")
    days = [*off, *worked]
    if not 0 < len(days) <= MOST or len(set(days)) < len({*off}) + len({*worked}):
        raise Refusal("invalid", f"1 to {MOST} days are entered at once, none as both", "off", "name the days off, and those that are worked instead")
    if early := sorted(one for one in days if one.year <= published_until()):
        raise Refusal("conflict", f"the days of {early[0].year} are published", "off", "to work otherwise load a calendar with days of its own")
    made = []
    for one in template.listed(desk, "calendar"):
        calendar = calendar_of(desk, one.key)
        if calendar.country == "CN":
            told = one.document.model_dump(mode="json", by_alias=True)
            hours = [_text(begin, end) for begin, end in calendar.makeup]
            told["days"] = {**told["days"], **{day.isoformat(): [] for day in off}, **{day.isoformat(): hours for day in worked}}
            made.append(template.put(desk, "calendar", told))
    if not made:
        raise Refusal("conflict", "no calendar goes by China's holidays", "country", "load a calendar with days of its own")
    return made


def read(text: str, where: str = "off") -> list[date]:
    """Days as somebody writes them: 2027-01-01, or 2027-02-05/2027-02-11 for several, with spaces, commas or lines between."""
    found: list[date] = []
    for word in text.replace(",", " ").replace("\uff0c", " ").replace("\u3001", " ").split():
        first, _, last = word.partition("/")
        try:
            begin, end = date.fromisoformat(first), date.fromisoformat(last or first)
        except ValueError:
            raise Refusal("invalid", f"{word!r} is no day", where, "write 2027-01-01, or 2027-02-05/2027-02-11") from None
        if not begin <= end <= begin + timedelta(days=MOST):
            raise Refusal("invalid", f"{word!r} ends before it begins", where)
        found += [begin + timedelta(days=n) for n in range((end - begin).days + 1)]
    return found


def _text(begin: int, end: int) -> str:
    return f"{begin // 3600:02}:{begin % 3600 // 60:02}-{end // 3600:02}:{end % 3600 // 60:02}"
