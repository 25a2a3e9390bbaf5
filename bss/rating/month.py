"""Periods: months of the operator's time zone, as 'YYYY-MM'. An hour belongs to the day and month in which it begins."""
from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from bss.moment import begin_of
from bss.refusal import Refusal

HOUR = 3600


def read(text: str, where: str = "period") -> str:
    """A period as somebody writes it. Refusal: it is none."""
    if not re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", text):
        raise Refusal("invalid", f"{text[:20]!r} is no month", where, "write it as 2026-12")
    return text


def of(moment: datetime, zone: ZoneInfo) -> str:
    """The period in which a time lies."""
    return moment.astimezone(zone).strftime("%Y-%m")


def first(period: str) -> date:
    """Its first day."""
    return date(int(period[:4]), int(period[5:]), 1)


def after(period: str, months: int = 1) -> str:
    """The period so many months later."""
    number = int(period[:4]) * 12 + int(period[5:]) - 1 + months
    return f"{number // 12:04d}-{number % 12 + 1:02d}"


def apart(earlier: str, later: str) -> int:
    """How many months lie between them."""
    return (int(later[:4]) - int(earlier[:4])) * 12 + int(later[5:]) - int(earlier[5:])


def span(period: str, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """[begin, end), UTC."""
    return begin_of(first(period), zone), begin_of(first(after(period)), zone)


def days(period: str) -> int:
    """How many it has."""
    return (first(after(period)) - first(period)).days


def within(period: str, since: datetime, until: datetime | None, zone: ZoneInfo) -> int:
    """On how many days of a period something held: from the day it began on, and before the day it ended."""
    begin, end = first(period), first(after(period))
    start = max(begin, since.astimezone(zone).date())
    stop = end if until is None else min(end, until.astimezone(zone).date())
    return max(0, (stop - start).days)


def second(moment: datetime) -> int:
    """A time in s."""
    return int(moment.timestamp())


def seconds(period: str, zone: ZoneInfo) -> tuple[int, int]:
    """[begin, end), s."""
    begin, end = span(period, zone)
    return second(begin), second(end)


class Calendar:
    """Day, hour and weekday of hours in the operator's zone, which are looked up once each."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone
        self._days: dict[int, str] = {}
        self._clock: dict[int, tuple[int, int]] = {}

    def day(self, at: int) -> str:
        """The day in which an hour begins (s), as YYYY-MM-DD."""
        if (found := self._days.get(at)) is None:
            found = self._days[at] = self._local(at).date().isoformat()
        return found

    def clock(self, at: int) -> tuple[int, int]:
        """Hour of the day, and day of the week from Monday 0 on."""
        if (found := self._clock.get(at)) is None:
            local = self._local(at)
            found = self._clock[at] = local.hour, local.weekday()
        return found

    def _local(self, at: int) -> datetime:
        return datetime.fromtimestamp(at, UTC).astimezone(self.zone)


def begin_of_day(day: str, zone: ZoneInfo, later: int = 0) -> datetime:
    """When a day (or one so many days later) begins, UTC."""
    return begin_of(date.fromisoformat(day) + timedelta(days=later), zone)
