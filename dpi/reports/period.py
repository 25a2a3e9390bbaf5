"""Spans of time as people name them: 2026-11-01, 2026-11, yesterday, last week, last 7 days. Half-open, in the operator's time zone."""
from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from dpi.errors import UserError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE, _HOUR = 60_000_000, 3_600_000_000
_HINT = "write 2026-11-01, 2026-11-01T08:00, 2026-11, today, yesterday, last week, this month or last 7 days"
_WORDS = re.compile(r"(this|last)\s+(hour|day|week|month|quarter|year)")
_COUNTED = re.compile(r"last\s+(\d{1,4})\s+(minute|hour|day|week)s?")
_STEPS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}


def microseconds(moment: datetime) -> int:
    """Of a moment with a zone, since the epoch."""
    span = moment - _EPOCH
    return (span.days * 86400 + span.seconds) * 1_000_000 + span.microseconds


def local(time: int, zone: tzinfo) -> datetime:
    """Microseconds since the epoch as a moment of the zone."""
    return (_EPOCH + timedelta(microseconds=time)).astimezone(zone)


def start_of(unit: str, moment: datetime) -> datetime:
    """The beginning of the hour, day, week (Monday), month, quarter or year in which a local moment lies."""
    if unit == "hour":
        return moment.replace(minute=0, second=0, microsecond=0)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if unit == "day":
        return day
    if unit == "week":
        return day - timedelta(days=day.weekday())
    if unit == "month":
        return day.replace(day=1)
    if unit == "quarter":
        return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
    return day.replace(month=1, day=1)


def following(unit: str, start: datetime, count: int = 1) -> datetime:
    """The beginning of the unit `count` after (before, where negative) the one that begins at `start`. By the calendar: a day may have 23 hours."""
    if unit == "hour":
        return (start.astimezone(UTC) + timedelta(hours=count)).astimezone(start.tzinfo)
    if unit in ("day", "week"):
        return start + timedelta(days=count * (7 if unit == "week" else 1))
    months = start.year * 12 + start.month - 1 + count * {"month": 1, "quarter": 3, "year": 12}[unit]
    return start.replace(year=months // 12, month=months % 12 + 1, day=1)


def span(text: str, option: str, zone: ZoneInfo, now: int) -> tuple[int, int | None]:
    """First and end (us) of what a person wrote; end None where it names a moment. UserError naming `option` where it is no time."""
    asked, here = " ".join(text.strip().lower().split()), local(now, zone)
    if asked == "now":
        return now, None
    if asked in ("today", "yesterday"):
        first = following("day", start_of("day", here), -(asked == "yesterday"))
        return _both(first, following("day", first))
    if found := _WORDS.fullmatch(asked):
        first = following(found[2], start_of(found[2], here), -(found[1] == "last"))
        return _both(first, following(found[2], first))
    if found := _COUNTED.fullmatch(asked):
        end = now // _MINUTE * _MINUTE         # whole minutes: rollups have no finer ones
        return end - int(found[1]) * round(_STEPS[found[2]].total_seconds()) * 1_000_000, end
    try:
        if re.fullmatch(r"\d{4}-\d{2}", asked):
            first = datetime.fromisoformat(f"{asked}-01").replace(tzinfo=zone)
            return _both(first, following("month", first))
        if re.fullmatch(r"-?\d+(\.\d+)?", asked):
            return round(float(asked) * 1_000_000), None
        moment = datetime.fromisoformat(text.strip())
        return microseconds(moment if moment.tzinfo else moment.replace(tzinfo=zone)), None
    except (ValueError, OverflowError):
        raise UserError(f"not a time: {text!r}", option, _HINT) from None


def _both(first: datetime, end: datetime) -> tuple[int, int]:
    return microseconds(first), microseconds(end)


def period(since: str | None, until: str | None, zone: ZoneInfo, now: int, known: tuple[int, int]) -> tuple[int, int]:
    """The span [begin, end) that --from and --to mean. Without --from all that is `known` of the store; without --to the end of what --from names, or
    of what is known; "now" is the end of the minute that it lies in, and a span that is not over
    ends with the hour. UserError where it ends before it begins."""
    begin, end = known
    if since is not None:
        begin, ended = span(since, "--from", zone, now)
        end = ended if ended is not None else max(-(-now // _MINUTE) * _MINUTE, known[1])
        if ended is not None and begin < now < ended:
            end = min(ended, -(-max(now, known[1]) // _HOUR) * _HOUR)       # what is to come is in no mean, and none of it is missing
    if until is not None:
        end = span(until, "--to", zone, now)[0]
    if end <= begin:
        raise UserError("the period ends before it begins", "--from and --to", "the end is the first moment that is not in it")
    return begin, end
