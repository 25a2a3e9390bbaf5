"""What a detector of faults is given and says: the lines of one slot as arrays in, those that have the fault out; and the firing that becomes of it."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dpi.security.detector import Limits, Rule
from dpi.security.firing import Firing
from dpi.security.metering import SLOT, UNIT
from dpi.security.usual import DEVIATIONS, Usual

SECONDS = SLOT // 1_000_000
LINK, VLAN, SERVICE, NET = range(4)
EARLY = 10                  # slots of what is usual at which a change must be twice as great as later on
_RULE = Rule(all=0, where="", window=SECONDS, limits=Limits(packets=1), victim=True)


@dataclass(frozen=True)
class Look:
    """Lines in one slot; arrays of n, one for each line.

    now METER; kind uint8: LINK, VLAN, SERVICE, NET (what of a local network no service has: silence only); link int64: number of the line's link, -1 none;
    live bool: its link has traffic.
    covered bool: a minute of the link ends here of which coverage tells, all of it read: minute float64[4, n] of it: octets, those of the busiest second, those
    of the busier direction (-1: not to be told), frames. capacity float64: bits a second in each direction, 0 not known.
    spoken, silent int64: slots in which it said something one after the other before it fell silent, and those since; asked: what it left unanswered since.
    partial: the capture ends within the slot. kept: numbers that detectors keep from slot to slot.
    """
    slot: int
    now: Any
    usual: Usual
    kind: Any
    link: Any
    live: Any
    covered: Any
    minute: Any
    capacity: Any
    spoken: Any
    silent: Any
    asked: Any
    partial: bool
    kept: dict[str, Any]

    @property
    def n(self) -> int:
        """How many lines there are."""
        return len(self.now)

    def share(self, side: str) -> tuple[Any, Any]:
        """Of the TCP packets that a side sent: the share that was lost, float64[n], and how many they were."""
        packets = self.now[f"{side}_tcp"].astype(np.float64)
        return np.minimum(self.now[f"{side}_lost"] / np.maximum(packets, 1.0), 1.0), packets

    def middle(self, name: str) -> tuple[Any, Any]:
        """Logarithm to the base of 2 of the geometric mean, us, float64[n], of near_rtt, far_rtt or response, and of how many."""
        count = self.now[f"{name}s"].astype(np.float64)
        return self.now[name] / np.maximum(count, 1.0) / UNIT, count

    def slower(self, name: str, times: float, rise: float, samples: int) -> tuple[Any, Any, Any]:
        """Where the mean of a measure is more than `times` what is usual and `rise` us above it, of so many samples: bool[n]; it, and what is usual, us."""
        value, count = self.middle(name)
        mean, deviation, known = self.usual.of(name, self.n)
        wanted = np.log2(times * (1.0 + EARLY / np.maximum(known, 1)))
        over = (value > mean + np.maximum(wanted, DEVIATIONS * deviation)) & (np.exp2(value) - np.exp2(mean) >= rise)
        return over & (count >= samples) & (known >= 2) & (self.kind != NET), np.exp2(value), np.exp2(mean)

    def lossy(self, side: str, percent: float, floor: float, times: float, packets: int) -> tuple[Any, Any, Any]:
        """Where more than `percent` of what a side sent is lost, or, once what is usual is known, more than `floor` % and `times` that; share and limit, %."""
        value, count = self.share(side)
        mean, deviation, known = self.usual.of(f"{side}_lost", self.n)
        limit = np.where(known >= 2 * EARLY, np.maximum(np.maximum(floor / 100, times * mean), mean + DEVIATIONS * deviation), percent / 100)
        return (value >= limit) & (count >= packets) & (self.kind != NET), value * 100, limit * 100

    def lasting(self, name: str, over: Any, far: Any) -> tuple[Any, Any]:
        """Where something is over its limit for the second slot running, or `far` over it at once: bool[n]; and for how many slots before, int64[n]."""
        newest = self.keep(name)[:self.n]
        before = newest == self.slot - 1
        newest[over] = self.slot
        return over & (before | far), (over & before).astype(np.int64)

    def keep(self, name: str) -> Any:
        """int64[n] that is the same array at the next slot, 0 at first."""
        held = self.kept.get(name)
        if held is None or len(held) < self.n:
            held = np.concatenate([np.zeros(0, np.int64) if held is None else held, np.zeros(self.n - (0 if held is None else len(held)), np.int64)])
            self.kept[name] = held
        return held


@dataclass(frozen=True)
class Found:
    """Lines that have the fault: mask bool[n]; value and limit float64[n] as the summary says them; since int64[n]: for how many slots before this one.

    doubtful bool[n]: lines of which it is not told yet, and which teach as little as those that have it."""
    mask: Any
    value: Any
    limit: Any
    since: Any = None
    doubtful: Any = None


@dataclass(frozen=True)
class Fault(Firing):
    """A line that has a fault in a slot. place: name of a link or VLAN, '' of a service. counted: what was measured."""
    place: str = ""
    line: str = ""              # stable: what alerts of one line have in common
    value: float = 0.0
    limit: float = 0.0
    where: str = ""
    counted: tuple[str, ...] = field(default=())

    @property
    def whom(self) -> str:
        """The line."""
        return self.line

    @property
    def about(self) -> str:
        """The line."""
        return self.line

    def summary(self, chinese: bool = False) -> str:
        """A sentence that a person understands."""
        words = self.detector.summary.zh if chinese else self.detector.summary.en
        line = f"{self.target} 的线路" if chinese else f"the line of {self.target}"
        if self.place:
            line = self.place if self.line.startswith(("vlan ", "network ")) else f"链路 {self.place}" if chinese else f"link {self.place}"
        return words.format(line=line, value=_number(self.value), limit=_number(self.limit), packets=f"{self.packets:,}", flows=f"{self.flows:,}",
                            customers=len(self.customers), seconds=f"{(self.end - self.begin) // 1_000_000:,}")

    @property
    def condition(self) -> str:
        """The rows of `flows` that it was counted from, in SQL."""
        span = f"interval_end >= fromUnixTimestamp64Micro({self.begin}, 'UTC') AND interval_start < fromUnixTimestamp64Micro({self.end}, 'UTC')"
        return f"{self.where} AND {span}" if self.where else span

    @property
    def evidence(self) -> str:
        """What was measured, against what, and where the rows are."""
        return f"{', '.join(self.counted)}; rows: {self.condition}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def fault(**given: Any) -> Fault:
    """A Fault with what all have in common."""
    return Fault(rule=_RULE, source="", port=0, distinct=0, learned=None, final=True, **given)
