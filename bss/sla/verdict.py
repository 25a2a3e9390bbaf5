"""What a month of minutes says: availability, coverage, the two bounds between which it lies, the verdict, faults and allowed downtime. Pure and exact.

Figures are fractions until they are shown, and shown with four decimals cut off: 99.97999 % is 99.9799 %, never 99.9800 %.
"""
from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal, localcontext
from fractions import Fraction
from typing import NamedTuple

MET, BREACHED, UNDECIDED, NONE = "met", "breached", "undecided", "none"
VERDICTS = (MET, BREACHED, UNDECIDED, NONE)
DIGITS = 4


class Minutes(NamedTuple):
    """Minutes of a month in which a service was active, and how many of them were excluded, unknown and down."""
    total: int
    excluded: int = 0
    unknown: int = 0
    down: int = 0

    @property
    def counted(self) -> int:
        """Minutes that are not excluded."""
        return self.total - self.excluded

    @property
    def up(self) -> int:
        """Minutes that were up."""
        return self.counted - self.unknown - self.down

    @property
    def availability(self) -> Fraction | None:
        """Up, of what was up or down; None: nothing was."""
        return _part(self.up, self.counted - self.unknown)

    @property
    def coverage(self) -> Fraction | None:
        """Known, of what counts; None: nothing counts."""
        return _part(self.counted - self.unknown, self.counted)

    @property
    def best(self) -> Fraction | None:
        """The availability if all that is unknown had been up."""
        return _part(self.counted - self.down, self.counted)

    @property
    def worst(self) -> Fraction | None:
        """The availability if all that is unknown had been down."""
        return _part(self.up, self.counted)


def verdict(minutes: Minutes, target_percent: Decimal | None) -> str:
    """breached: the target is missed whatever the unknown minutes were; met: it is kept whatever they were; undecided: it hangs on them; none: nothing was
    promised, or no minute counts."""
    best, worst = minutes.best, minutes.worst
    if target_percent is None or best is None or worst is None:
        return NONE
    target = Fraction(target_percent) / 100
    if best < target:
        return BREACHED
    return MET if worst >= target else UNDECIDED


def percent(share: Fraction | None) -> str:
    """A share as it is shown: percent, four decimals, the rest cut off; '-' where there is none."""
    if share is None:
        return "-"
    cut = share.numerator * 100 * 10 ** DIGITS // share.denominator
    return f"{cut // 10 ** DIGITS}.{cut % 10 ** DIGITS:0{DIGITS}d}"


def allowed(target_percent: Decimal, days: int) -> Decimal:
    """Minutes that a service may be down in a month of so many days without missing its target, exact."""
    return (100 - target_percent) * days * 1440 / 100


class Faults(NamedTuple):
    """number: spells of down minutes, those that only excluded minutes part counting once; down: their minutes, without the excluded ones."""
    number: int
    down: int
    up: int

    @property
    def restore_minutes(self) -> Decimal | None:
        """MTTR: mean minutes from the beginning of a fault to its end; None: there was no fault."""
        return _mean(self.down, self.number)

    @property
    def between_minutes(self) -> Decimal | None:
        """MTBF: minutes up for each fault; None: there was no fault."""
        return _mean(self.up, self.number)


def faults(spells: Sequence[tuple[int, int, str]], up: int) -> tuple[Faults, list[int]]:
    """The faults of a month and how many minutes each lasted. spells: [since, until), s, and state of what was not up, in order of time; up: minutes that
    were."""
    lasted: list[int] = []
    end = None          # of the fault, or of the excluded minutes behind it
    for since, until, state in spells:
        if state == "down":
            if end is not None and since == end:
                lasted[-1] += (until - since) // 60
            else:
                lasted.append((until - since) // 60)
            end = until
        elif state == "excluded" and end is not None and since == end:
            end = until
        else:
            end = None
    return Faults(len(lasted), sum(lasted), up), lasted


def _part(some: int, of: int) -> Fraction | None:
    return Fraction(some, of) if of > 0 else None


def _mean(some: int, count: int) -> Decimal | None:
    if not count:
        return None
    with localcontext(prec=40):
        return (Decimal(some) / count).quantize(Decimal("0.01"), ROUND_DOWN)
