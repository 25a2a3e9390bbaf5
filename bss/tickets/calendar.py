"""Calendars: in which hours work is counted. A document (TOML, JSON) with hours by weekday, the holidays and make-up days that a country publishes, and days of
the operator's own, which come before both.

Hours are of the wall clock of the calendar's zone: a day on which clocks change is shorter or longer there, and a time that such a day does not have is the
moment of the change. For years that the published calendar does not have yet, weekdays decide until somebody enters the days.
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from typing import Annotated, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import chinese_calendar
import chinese_calendar.constants
from pydantic import AfterValidator, Field, model_validator

from bss.catalogue.document import Code, Name, Written

DAY = 86400
#: Seconds of a day's wall clock, [begin, end), in order.
Hours = tuple[tuple[int, int], ...]
WHOLE: Hours = ((0, DAY),)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
OFFICE = ("09:00-18:00",)


class Calendar(NamedTuple):
    """One calendar, ready for use. week: hours from Monday on; country: whose published days count, '' none; makeup: hours of its make-up days; days: of the
    operator's own, () a holiday."""
    key: str
    zone: ZoneInfo
    week: tuple[Hours, ...]
    country: str
    makeup: Hours
    days: Mapping[date, Hours]

    def hours(self, day: date) -> Hours:
        """The hours of a day; () where nobody works."""
        if day in self.days:
            return self.days[day]
        usual = self.week[day.weekday()]
        published = _published(day) if self.country == "CN" else ""
        return () if published == "holiday" else self.makeup if published == "makeup" and not usual else usual

    def knows(self, year: int) -> bool:
        """Whether it has the holidays of a year: it goes by none, they are published, or somebody entered days of that year."""
        return self.country != "CN" or year <= published_until() or any(day.year == year for day in self.days)

    def works(self, day: date) -> bool:
        """Whether people work on a day."""
        return bool(self.hours(day))

    @property
    def always(self) -> bool:
        """Whether it has all hours of all days."""
        return not self.country and not self.days and all(one == WHOLE for one in self.week)

    def spans(self, day: date) -> list[tuple[datetime, datetime]]:
        """A day's hours as moments in UTC."""
        found = ((_moment(self.zone, day, begin), _moment(self.zone, day, end)) for begin, end in self.hours(day))
        return [(begin, end) for begin, end in found if begin < end]


@cache
def published_until() -> int:
    """The last year whose holidays the published calendar has."""
    last: date = max(chinese_calendar.constants.holidays)
    return last.year


@lru_cache(maxsize=8192)
def _published(day: date) -> str:
    """What China's published calendar says of a day: holiday, makeup; '' where it is as its weekday, or of a year that the calendar does not have yet."""
    try:
        free, name = chinese_calendar.get_holiday_detail(day)
    except NotImplementedError:
        return ""
    if free:
        return "holiday" if name else ""
    return "makeup" if day.weekday() > 4 else ""


@lru_cache(maxsize=65536)
def _moment(zone: ZoneInfo, day: date, seconds: int) -> datetime:
    """The moment at which clocks of a zone show so many seconds of a day; of a time that they show twice the first, of one that they skip the moment at which
    they do."""
    shown = datetime.combine(day, time()) + timedelta(seconds=seconds)
    early = shown.replace(tzinfo=zone).astimezone(UTC)
    if early.astimezone(zone).replace(tzinfo=None) == shown:
        return early
    low, high = int(shown.replace(tzinfo=zone, fold=1).timestamp()), int(early.timestamp())
    while low < high:               # the first second at which clocks are beyond it
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).replace(tzinfo=None) >= shown:
            high = middle
        else:
            low = middle + 1
    return datetime.fromtimestamp(low, UTC)


# ---- as it is written

def _hours(texts: Iterable[str]) -> Hours:
    found: list[tuple[int, int]] = []
    for text in texts:
        told = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)", text)
        if told is None:
            raise ValueError(f"{text!r} are no hours, such as 09:00-12:00")
        begin, end = int(told[1]) * 3600 + int(told[2]) * 60, int(told[3]) * 3600 + int(told[4]) * 60
        if end > DAY or begin >= end or found and begin < found[-1][1]:
            raise ValueError(f"{text!r} ends before it begins, overlaps the hours before it, or is of another day")
        found.append((begin, end))
    return tuple(found)


def _checked(texts: tuple[str, ...]) -> tuple[str, ...]:
    _hours(texts)
    return texts


def _known(name: str) -> str:
    if name:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("is no time zone, such as Asia/Shanghai") from None
    return name


Texts = Annotated[tuple[Annotated[str, Field(max_length=11)], ...], Field(max_length=12), AfterValidator(_checked)]


class Document(Written):
    """A calendar as it is written. zone: empty for the operator's; country: CN for China's published holidays and make-up days, empty for none, `operator` for
    the operator's country; week: hours of each weekday, one that is left out has none; makeup: hours of make-up days, those of Monday where left out; days:
    hours of days of one's own, [] for a holiday."""
    key: Code
    name: Name
    zone: Annotated[str, Field(max_length=64), AfterValidator(_known)] = ""
    country: Literal["", "CN", "operator"] = ""
    week: dict[Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"], Texts]
    makeup: Texts | None = None
    days: Annotated[dict[date, Texts], Field(max_length=4000)] = {}

    @model_validator(mode="after")
    def _some(self) -> Document:
        if not any(self.week.values()):
            raise ValueError("a calendar has hours on one weekday at least, or no clock would ever run in it")
        return self

    def calendar(self, zone: ZoneInfo, country: str) -> Calendar:
        """Ready for use by an operator of a zone and country."""
        week = tuple(_hours(self.week.get(day, ())) for day in WEEKDAYS)        # type: ignore[call-overload]
        makeup = _hours(self.makeup) if self.makeup is not None else week[0] or next(one for one in week if one)
        where = country if self.country == "operator" else self.country
        return Calendar(self.key, ZoneInfo(self.zone) if self.zone else zone, week, where if where == "CN" else "", makeup,
                        {day: _hours(texts) for day, texts in self.days.items()})


def _usual(hours: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {day: hours for day in WEEKDAYS[:5]}


#: What is there where nobody has written another one of that key.
STANDARD: dict[str, Document] = {one.key: one for one in (
    Document(key="24x7", name=Name(en="All hours", zh="全天候"), week={day: ("00:00-24:00",) for day in WEEKDAYS}),        # type: ignore[misc]
    Document(key="business", name=Name(en="Office hours", zh="工作时间"), country="operator", week=_usual(OFFICE)),          # type: ignore[arg-type]
    Document(key="workdays", name=Name(en="Working days, midnight to midnight", zh="工作日(零点至零点)"), country="operator",
             week=_usual(("00:00-24:00",))),        # type: ignore[arg-type]
)}


def standard(key: str, zone: ZoneInfo, country: str) -> Calendar:
    """One of STANDARD, for an operator. KeyError: it is none of them."""
    return STANDARD[key].calendar(zone, country)
