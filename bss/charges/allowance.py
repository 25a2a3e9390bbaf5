"""Allowances: what is included is drawn before anything is priced, in an order that is total, so that it comes out the same whenever it is computed.

Usage is taken in order of (hour, service, category, application, version of the rules). Of the buckets that match a line and have something left the first
one is drawn: the most specific (application, then category, then any), of these the one that expires first, then the heaviest, then the lowest id. What no
bucket covers is overage. To the byte: drawn + overage = usage.
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

KIND = "allowance"
HOUR = 3600
#: What the probe calls traffic that it could not name: it matches no bucket of an application or category.
UNNAMED = frozenset({"", "unknown", "encrypted", "unclassified"})


class Window(NamedTuple):
    """Hours of the day in which a bucket holds, [since, until) of the operator's time, over midnight where until <= since; days: 0 Monday .. 6 Sunday."""
    since: int = 0
    until: int = 24
    days: frozenset[int] = frozenset(range(7))


class Bucket(NamedTuple):
    """left: bytes; access, services: whose usage it covers; application, category: '' any; begins, expires: s, of hours that begin in [begins, expires)."""
    id: str
    left: int
    access: frozenset[str]
    services: frozenset[str]
    expires: int
    begins: int = 0
    category: str = ""
    application: str = ""
    weight: int = 0
    window: Window | None = None

    @property
    def rank(self) -> tuple[int, int, int, str]:
        """Its place among those that match."""
        return (0 if self.application else 1 if self.category else 2, self.expires, -self.weight, self.id)


class Line(NamedTuple):
    """Usage of a service in an hour. at: s, when the hour begins; price: under which overage of it counts."""
    at: int
    service: str
    access: str
    category: str
    application: str
    rules: str
    bytes: int
    price: str = ""


class Drawn(NamedTuple):
    """draws: (bucket, service) -> bytes; overage: (price, service) -> bytes; left: bucket -> bytes; lines: of each line, in the order they were taken:
    the line, what was drawn from which bucket, and what was over."""
    draws: dict[tuple[str, str], int]
    overage: dict[tuple[str, str], int]
    left: dict[str, int]
    lines: list[tuple[Line, tuple[tuple[str, int], ...], int]]


def local(at: int) -> tuple[int, int]:
    """Hour of the day and day of the week of a time, in UTC."""
    return at // HOUR % 24, (at // 86400 + 3) % 7


def draw(buckets: Collection[Bucket], usage: Iterable[Line], clock: Callable[[int], tuple[int, int]] = local) -> Drawn:
    """Draw usage from buckets. clock: hour and weekday of a time in the operator's zone."""
    ranked = sorted(buckets, key=lambda one: one.rank)
    left = {one.id: one.left for one in ranked}
    if len(left) != len(ranked):
        raise ValueError("two buckets have the same id")
    fitting: dict[tuple[str, str, str, str], Sequence[Bucket]] = {}
    draws: dict[tuple[str, str], int] = {}
    overage: dict[tuple[str, str], int] = {}
    told: list[tuple[Line, tuple[tuple[str, int], ...], int]] = []
    for line in sorted(usage, key=order):
        rest, taken = line.bytes, []
        key = line[1:5]
        if (some := fitting.get(key)) is None:
            some = fitting[key] = [one for one in ranked if _fits(one, line)]
        for one in some:
            if not rest:
                break
            part = min(rest, left[one.id])
            if part and one.begins <= line.at < one.expires and (one.window is None or _open(one.window, *clock(line.at))):
                left[one.id] -= part
                rest -= part
                taken.append((one.id, part))
                draws[one.id, line.service] = draws.get((one.id, line.service), 0) + part
        if rest:
            overage[line.price, line.service] = overage.get((line.price, line.service), 0) + rest
        told.append((line, tuple(taken), rest))
    return Drawn(draws, overage, left, told)


def order(line: Line) -> tuple[int, str, str, str, str, str, int]:
    """The order in which usage is taken."""
    return line.at, line.service, line.category, line.application, line.rules, line.price, line.bytes


def total(values: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """Sums by what stands first in the keys."""
    found: dict[str, int] = {}
    for (first, _), octets in values.items():
        found[first] = found.get(first, 0) + octets
    return found


def _fits(bucket: Bucket, line: Line) -> bool:
    if line.access not in bucket.access or line.service not in bucket.services:
        return False
    if bucket.application and (line.application in UNNAMED or bucket.application != line.application):
        return False
    return not bucket.category or (line.category not in UNNAMED and bucket.category == line.category)


def _open(window: Window, hour: int, day: int) -> bool:
    if window.since < window.until:
        return window.since <= hour < window.until and day in window.days
    if hour >= window.since:
        return day in window.days
    return hour < window.until and (day - 1) % 7 in window.days         # it began the day before
