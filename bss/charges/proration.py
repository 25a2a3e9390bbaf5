"""Part periods: charge x active days / days of the FULL period, whatever of it is left. Days are dates of the operator's zone, half-open.

A period begins on an account's anchor day; where a month is too short, on its last day, and the anchor is kept for the months after. Days on which a service
is suspended count by whose reason it is. What is included is prorated the same way, down to whole megabytes. One-off fees never are.
"""
from __future__ import annotations

import calendar
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from bss.charges.money import EXACT, rounded

MEGABYTE = 10 ** 6
#: How much of a day's charge is paid for it while a service is suspended, by whose reason that is.
SHARES = {"customer": Decimal("0.5"), "non_payment": Decimal(1), "fault": Decimal(0)}


class Period(NamedTuple):
    """Days from `begin` on and before `end`."""
    begin: date
    end: date

    @property
    def days(self) -> int:
        """How many."""
        return (self.end - self.begin).days


class Spell(NamedTuple):
    """Days of one kind. share: of a day's charge that is paid for each."""
    begin: date
    end: date
    share: Decimal


def anchored(year: int, month: int, anchor: int) -> date:
    """The day of a month on which a period begins; month may be 0 or 13 and beyond. anchor: 1 to 31."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return date(year, month, min(anchor, calendar.monthrange(year, month)[1]))


def period_of(name: str, anchor: int = 1) -> Period:
    """The period that begins in a month ('2026-11'). ValueError: it is no month, or the anchor no day of one."""
    year, _, month = name.partition("-")
    if not (len(year) == 4 and len(month) == 2 and 1 <= int(month) <= 12 and 1 <= anchor <= 31):
        raise ValueError(f"{name}, anchor {anchor}")
    return Period(anchored(int(year), int(month), anchor), anchored(int(year), int(month) + 1, anchor))


def share_of(reason: str) -> Decimal:
    """What a suspended day costs. A reason that nobody has named is ours to answer for: it costs nothing."""
    return SHARES.get(reason, Decimal(0))


def days(spells: Iterable[Spell], begin: date, end: date) -> Decimal:
    """Charged days in [begin, end): each counts by the share of its spell, a day of no spell not at all."""
    found = Decimal(0)
    for one in spells:
        span = (min(one.end, end) - max(one.begin, begin)).days
        if span > 0:
            found += one.share * span
    return found


def without(spells: Iterable[Spell], taken: Iterable[tuple[date, date]]) -> list[Spell]:
    """Spells without the days of these times, which were charged already."""
    left = list(spells)
    for begin, end in taken:
        parts = [(one, (one.begin, min(one.end, begin))) for one in left] + [(one, (max(one.begin, end), one.end)) for one in left]
        left = [Spell(since, until, one.share) for one, (since, until) in parts if since < until]
    return sorted(left)


def prorated(charge: Decimal, charged: Decimal | int, whole: int) -> Decimal:
    """A charge for some days of a period of `whole` days, not rounded."""
    return EXACT.divide(EXACT.multiply(charge, Decimal(charged)), Decimal(whole))


def change(old: Decimal, new: Decimal, left: Decimal | int, whole: int, currency: str = "CNY") -> tuple[Decimal, Decimal]:
    """A change of plan: what is credited of the old one and charged of the new one for the days left, each a line and rounded as one."""
    return -rounded(prorated(old, left, whole), currency), rounded(prorated(new, left, whole), currency)


def allowance(octets: int, charged: Decimal | int, whole: int) -> int:
    """Included bytes of a part period, down to whole megabytes of 10^6."""
    return int(prorated(Decimal(octets), charged, whole) // MEGABYTE) * MEGABYTE


def months_left(begin: date, months: int, ended: date) -> Decimal:
    """Of a commitment of so many months since a day, what is left on the day it ended: whole months, and of the last one its share of days. 0: none."""
    until = anchored(begin.year, begin.month + months, begin.day)
    if ended >= until:
        return Decimal(0)
    gone = max((ended.year - begin.year) * 12 + ended.month - begin.month, 0)
    while gone and anchored(begin.year, begin.month + gone, begin.day) > ended:
        gone -= 1
    this, following = anchored(begin.year, begin.month + gone, begin.day), anchored(begin.year, begin.month + gone + 1, begin.day)
    return Decimal(months - gone - 1) + EXACT.divide(Decimal((following - max(ended, begin)).days), Decimal((following - this).days))
