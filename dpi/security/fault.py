"""What a detector of faults is given and says: the lines of one slot as arrays in, those that have the fault out; and the firing that becomes of it."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any

import numpy as np

from dpi.dataclass import dataclass
from dpi.security.detector import Limits, Rule
from dpi.security.firing import Firing
from dpi.security.metering import METER, SLOT, UNIT
from dpi.security.usual import DEVIATIONS, Usual

SECONDS = SLOT // 1_000_000
LINK, VLAN, SERVICE, NET = range(4)
EARLY = 10                  # slots of what is usual at which a change must be twice as great as later on
_NONE: Any = np.zeros(0, np.int64)
_NO_VALUES: Any = np.zeros(0)
_RULE = Rule(all=0, where="", window=SECONDS, limits=Limits(packets=1), victim=True)


@dataclass
class Look:
    """Lines in one slot; of all of them, arrays of n, what is about silence; the rest of those alone that have it: there may be a hundred thousand, and few are
    heard of in a slot.

    met int64[k]: lines with rows, rising; now METER[k] of them.
    kind uint8[n]: LINK, VLAN, SERVICE, NET (what of a local network no service has: silence only); link int64[n]: number of the line's link, -1 none;
    live bool[n]: its link has traffic.
    covered int64[c]: links of which a minute ends here that coverage tells of, all of it read: minute float64[4, c] of it: octets, those of the busiest second,
    those of the busier direction (-1: not to be told), frames; capacity float64[c]: bits a second in each direction, 0 not known.
    spoken, silent int64[n]: slots in which it said something one after the other before it fell silent, and those since; asked: what it left unanswered since.
    partial: the capture ends within the slot. kept: numbers that the detector at work keeps from slot to slot.
    """
    slot: int
    met: Any
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
        return len(self.kind)

    def meter(self, line: int) -> Any:
        """What is measured of a line, METER; of one without rows zeros."""
        at = int(np.searchsorted(self.met, line))
        return self.now[at] if at < len(self.met) and int(self.met[at]) == line else np.zeros(1, METER)[0]

    def share(self, side: str, packets: int) -> tuple[Any, Any]:
        """Lines of which a side sent so many TCP packets or more, int64[m]; the share of these that was lost, float64[m]."""
        enough = (self.now[f"{side}_tcp"] >= packets).nonzero()[0]
        if not len(enough):
            return _NONE, _NO_VALUES
        sent = np.maximum(self.now[f"{side}_tcp"][enough].astype(np.float64), 1.0)
        return self.met[enough], np.minimum(self.now[f"{side}_lost"][enough] / sent, 1.0)

    def middle(self, name: str, samples: int) -> tuple[Any, Any]:
        """Lines with so many samples of near_rtt, far_rtt or response or more, int64[m]; logarithm to the base of 2 of the geometric mean, us, float64[m]."""
        enough = (self.now[f"{name}s"] >= samples).nonzero()[0]
        if not len(enough):
            return _NONE, _NO_VALUES
        count = np.maximum(self.now[f"{name}s"][enough].astype(np.float64), 1.0)
        return self.met[enough], self.now[name][enough] / count / UNIT

    def slower(self, name: str, times: float, rise: float, samples: int) -> tuple[Any, Any, Any]:
        """Lines of which the mean of a measure is more than `times` what is usual and `rise` us above it, of so many samples: int64[m], rising; it, and what
        is usual, float64[m] us."""
        lines, value = self.middle(name, samples)
        if not len(lines):
            return lines, value, value
        mean, deviation, known = self.usual.of(name, lines)
        wanted = np.log2(times * (1.0 + EARLY / np.maximum(known, 1)))
        over = (value > mean + np.maximum(wanted, DEVIATIONS * deviation)) & (np.exp2(value) - np.exp2(mean) >= rise)
        over &= (known >= 2) & (self.kind[lines] != NET)
        return lines[over], np.exp2(value[over]), np.exp2(mean[over])

    def lossy(self, side: str, percent: float, floor: float, times: float, packets: int) -> tuple[Any, Any, Any]:
        """Lines where more than `percent` of what a side sent is lost, or, once what is usual is known, more than `floor` % and `times` that: int64[m], rising;
        share and limit, float64[m] %."""
        lines, value = self.share(side, packets)
        if not len(lines):
            return lines, value, value
        mean, deviation, known = self.usual.of(f"{side}_lost", lines)
        limit = np.where(known >= 2 * EARLY, np.maximum(np.maximum(floor / 100, times * mean), mean + DEVIATIONS * deviation), percent / 100)
        over = (value >= limit) & (self.kind[lines] != NET)
        return lines[over], value[over] * 100, limit[over] * 100

    def lasting(self, name: str, lines: Any, far: Any) -> tuple[Any, Any]:
        """Of lines int64[m] that are over a limit: which are so for the second slot running, or `far` over it at once, bool[m]; for how many slots before,
        int64[m]."""
        newest = self.keep(name)
        before = newest[lines] == self.slot - 1
        newest[lines] = self.slot
        return before | far, before.astype(np.int64)

    def keep(self, name: str) -> Any:
        """int64[n or more] that is the same array at the next slot, 0 at first."""
        held = self.kept.get(name)
        if held is None or len(held) < self.n:
            held = np.concatenate([np.zeros(0, np.int64) if held is None else held, np.zeros(self.n - (0 if held is None else len(held)), np.int64)])
            self.kept[name] = held
        return held


@dataclass(frozen=True)
class Found:
    """Lines that have the fault: int64[m], rising; value and limit float64[m] as the summary says them; since int64[m]: for how many slots before this one.

    doubtful int64[]: lines of which it is not told yet, and which teach as little as those that have it; these may be among them."""
    lines: Any
    value: Any
    limit: Any
    since: Any
    doubtful: Any = field(default_factory=lambda: _NONE)

    def __len__(self) -> int:
        return len(self.lines)

    @staticmethod
    def worst(parts: Sequence[Found], by: Sequence[Any]) -> Found:
        """Of each line the part of which `by`, float64[m] of each, is greatest, of such the first; `since` of the longest, and what any of them doubts."""
        if not any(len(one) or len(one.doubtful) for one in parts):
            return NOTHING
        lines, value, limit, since, doubtful = (np.concatenate([getattr(one, name) for one in parts]) for name in _FOUND)
        order = np.lexsort((-np.concatenate(by), lines))
        begins = np.flatnonzero(np.diff(lines[order], prepend=-1))
        first = order[begins]
        return Found(lines[first], value[first], limit[first], np.maximum.reduceat(since[order], begins) if len(begins) else since, doubtful)

    def only(self, kept: Any) -> Found:
        """Those of them where `kept` bool[m]."""
        return Found(self.lines[kept], self.value[kept], self.limit[kept], self.since[kept], self.doubtful)


_FOUND = ("lines", "value", "limit", "since", "doubtful")
NOTHING = Found(_NONE, _NO_VALUES, _NO_VALUES, _NONE)       # no line has it


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
