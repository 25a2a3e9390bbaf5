"""The clock of a promise: seconds of working time in a calendar, less the time that it stood. Pure.

Spans are half-open. `due` is the first moment at which so many seconds have run, so that `elapsed` of it gives them back; where they run out with the last
hour of a day that is the end of that hour, not the next morning.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from bss.refusal import Refusal
from bss.tickets.calendar import Calendar

Span = tuple[datetime, datetime]
LONGEST = 3660              # days that a clock is followed for


def elapsed(calendar: Calendar, since: datetime, until: datetime, pauses: Iterable[Span] = ()) -> float:
    """Seconds that ran in [since, until); 0 where it ends before it begins. Refusal: it is longer than a clock is followed for."""
    if until <= since:
        return 0.0
    if (until - since).days > LONGEST:
        raise Refusal("invalid", f"a clock is followed for {LONGEST} days at most", mend="look at the times")
    run = timedelta()
    for begin, end in _running(calendar, since.astimezone(UTC), pauses):
        if begin >= until:
            break
        run += min(end, until) - begin
    return run.total_seconds()


def due(calendar: Calendar, since: datetime, seconds: float, pauses: Iterable[Span] = ()) -> datetime:
    """When so many seconds have run since then, in UTC. Refusal: not within the days that a clock is followed for."""
    left = timedelta(seconds=seconds)
    if left <= timedelta():
        return since.astimezone(UTC)
    for begin, end in _running(calendar, since.astimezone(UTC), pauses):
        if end - begin >= left:
            return begin + left
        left -= end - begin
    raise Refusal("invalid", f"{timedelta(seconds=seconds)} of working time do not pass within {LONGEST} days", mend="look at the calendar")


def runs(calendar: Calendar, at: datetime) -> bool:
    """Whether it is a working hour then."""
    return any(begin <= at < end for begin, end in calendar.spans(at.astimezone(calendar.zone).date()))


def next_run(calendar: Calendar, at: datetime) -> datetime:
    """The first working moment from then on, in UTC. Refusal: none within the days that a clock is followed for."""
    for begin, _ in _working(calendar, at.astimezone(UTC)):
        return begin
    raise Refusal("invalid", f"the calendar has no hour within {LONGEST} days", mend="look at the calendar")


def _running(calendar: Calendar, since: datetime, pauses: Iterable[Span]) -> Iterator[Span]:
    """The spans from a time on in which the clock runs."""
    held = _merged(pauses)
    for begin, end in _working(calendar, since):
        for stop, go in held:
            if go <= begin:
                continue
            if stop >= end:
                break
            if stop > begin:
                yield begin, stop
            begin = go
            if begin >= end:
                break
        if begin < end:
            yield begin, end


def _working(calendar: Calendar, since: datetime) -> Iterator[Span]:
    """The calendar's spans from a time on."""
    if calendar.always:
        yield since, since + timedelta(days=LONGEST + 1)
        return
    day = since.astimezone(calendar.zone).date()
    for _ in range(LONGEST + 2):
        for begin, end in calendar.spans(day):
            if end > since:
                yield max(begin, since), end
        day += timedelta(days=1)


def _merged(pauses: Iterable[Span]) -> list[Span]:
    """Pauses in order, those that touch made one; one that ends before it begins is none."""
    found: list[Span] = []
    for begin, end in sorted(pauses):
        if end <= begin:
            continue
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((begin, end))
    return found
