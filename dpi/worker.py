"""A worker of the probe: one interface's packets, or its share of them, from the ring to the rows, and what was lost on the way."""
from __future__ import annotations

import collections
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from dpi.batch import Batch, Coded, Lists, Sink
from dpi.capture.duplicates import Duplicates
from dpi.capture.packet_socket import card_drops, queue_drops
from dpi.capture.ring import Keeper
from dpi.capture.source import Source
from dpi.capture.timeline import SECOND
from dpi.dataclass import dataclass
from dpi.grouping import groups
from dpi.health import WorkerHealth
from dpi.output import Limits
from dpi.rules import RuleSet
from dpi.shard import Shard
from dpi.sides import Sides

if TYPE_CHECKING:
    from dpi.identity.stamper import Identity

PATIENCE = 0.1              # s that a worker waits for a block before it looks at the time
DRAIN_SECONDS = 2           # rows leave a shard at least this often
GRACE_US = 1_500_000        # the packet clock of an idle interface stays this far behind, so that packets still in the ring are not made younger
_MINUTE = 60_000_000
_MISSED = 1440              # minutes before a start that are told as not read, at most
log = logging.getLogger("dpi.probe")
#: Parts of the ring that wait, above which work is given up, and what; counting never is. Below RELIEF all is done again.
PRESSURE = ((0.4, "rows of dns, tls, http and files"), (0.7, "naming by first bytes"))
RELIEF = 0.1


def now_us() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


@dataclass(frozen=True)
class Change:
    """What a worker takes over between two blocks. program: the filter `words` as the kernel has it, None for all frames."""
    rules: RuleSet
    limits: Limits
    program: Any
    words: str


class Worker:
    """One ring of one interface and what becomes of its packets."""

    def __init__(self, interface: str, number: int, live: Source, shard: Shard, sinks: Sequence[Sink], stop: threading.Event,
                 first: bool = False, dedup: bool = False, core: int | None = None, keeper: Keeper | None = None) -> None:
        """first: it tells what is lost behind all workers. dedup: copies by a mirror are left out. core: the processor it keeps to.

        keeper: of its packets, where there is a ring on disk."""
        self.interface, self.number, self.live, self.shard, self.first, self.keeper = interface, number, live, shard, first, keeper
        self._sinks, self._stop = sinks, stop
        self.failed: BaseException | None = None
        self._copies, self._core, self.duplicates, self._duplicates_told = Duplicates() if dedup else None, core, 0, 0
        self._sides = Sides({"interface": interface, "worker": number})
        self.level, self._inspect = 0, int(shard.counters.inspect)
        self.next: Change | None = None             # to be taken over between two blocks
        self.whose: collections.deque[tuple[Identity | None, Any]] = collections.deque()       # likewise: bindings, and what to cut at (CHANGE[])
        self.crew = 1                               # workers of the whole probe
        self._card, self._queues = card_drops(interface), queue_drops()
        self._told = self._losses()
        self._rows_lost, self._began = 0, now_us()
        self.covered: Callable[[int, int], None] | None = None      # is told until when this worker's minutes are told
        self._pressed, self._table_told = 0, shard.shortages()      # the highest level since the last row of coverage
        self._refused_told: dict[str, int] = {}
        self._minute = self._began // _MINUTE
        self._seconds: Any = np.zeros(0, SECOND)    # of the minute that is not over
        self._since = self._minute * _MINUTE        # from then to the beginning nothing was read, and nobody has told so
        self.thread = threading.Thread(target=self._work, name=f"{interface} {number}", daemon=True)

    # ---- the thread

    def _work(self) -> None:
        try:
            if self._core is not None:
                os.sched_setaffinity(0, {self._core})       # of this thread
            self._read()
        except BaseException as error:      # told by the probe, which ends then
            self.failed = error
            self._stop.set()

    def _read(self) -> None:
        drained = time.monotonic()
        while not self._stop.is_set():
            self._step(PATIENCE)
            if self.next is not None:
                change, self.next = self.next, None
                self._take(change)
            self._identify()
            moment = time.monotonic()
            if moment - drained >= DRAIN_SECONDS:
                drained = moment
                clock = now_us() - GRACE_US
                self.shard.idle(clock)
                self.shard.drain()
                if clock // _MINUTE > self._minute:
                    self.shard.wait()           # the rows of a minute come before what says that it is complete
                    self._cover(clock // _MINUTE)
                    self._tell(self._minute * _MINUTE)
        self.live.detach()
        while self._step(PATIENCE):         # what the kernel still has
            pass
        ended = now_us()
        self.shard.finish()
        self._cover(ended // _MINUTE, True)
        self._tell(ended)

    def _take(self, change: Change) -> None:
        self.live.filter(change.program, change.words)
        self.shard.adopt(change.rules)
        self.shard.limit(change.limits)
        self._listen()
        self._inspect = change.limits.inspect
        self.shard.counters.inspect = self._inspect if self.level < 2 else 0

    def _listen(self) -> None:
        """Learn of sessions what is to be learned now."""
        if self.shard.intake.tap is not None:
            self.shard.intake.tap.limit()

    def _step(self, timeout: float) -> bool:
        block = self.live.next(timeout)
        self._ease()
        if self.keeper is not None:
            self.keeper.adopt()
            self.keeper.hand_over()
        if block is None:
            return False
        if self._copies is not None and block.count:
            kept = self._copies.keep(block.data, block.frames, block.count)
            self.duplicates, block.count = self.duplicates + block.count - kept, kept
        if block.count:
            self._identify()            # what came while it was waited for is younger than the bindings
            self.shard.process(block)
        self.live.release()
        return True

    def _identify(self) -> None:
        """Take bindings that were read anew."""
        while self.whose:
            self.shard.identify(*self.whose.popleft())
            self._listen()

    def _ease(self) -> None:
        """Give up work while the ring is full, in the order of PRESSURE, and take it up again."""
        full = self.live.full
        level = 0 if full < RELIEF else max(self.level, sum(full > bound for bound, _ in PRESSURE))
        if level != self.level:
            given, about = ", ".join(words for _, words in PRESSURE[:level]), {"interface": self.interface, "worker": self.number}
            if level:
                log.warning("under pressure", extra={**about, "without": given})
            else:
                log.info("all is done again", extra=about)
            self.level = level
            self._pressed = max(self._pressed, level)
            self.shard.transactions = level < 1
            self.shard.counters.inspect = self._inspect if level < 2 else 0

    # ---- what was seen and what was lost

    def _losses(self) -> dict[str, int]:
        """Packets lost so far, by dpi.health.LOSSES. The card's and the kernel's own queues are those of the interface or the machine: worker 0 tells them."""
        drops = self.live.drops
        first = self.number == 0
        return {"nic": card_drops(self.interface) - self._card if first else 0,
                "kernel": drops + (queue_drops() - self._queues if first else 0), "ring": int(self.live.tallies[0].broken)}

    def missed(self, since: int) -> None:
        """Say of the time from `since`, us, to the minute in which reading begins that nothing was read; of that minute its own row says it. 0: not known."""
        if self.number:
            self._since = self._began           # the first worker of an interface tells it
        elif since:
            self._since = min(max(since, self._since), self._began)
        for minute in range(max(since // _MINUTE, self._minute - _MISSED), self._minute) if since and not self.number else ():
            self._write(Batch("coverage", 1, {
                "time": np.array([minute * _MINUTE], np.int64), "probe": Coded.same(self.shard.origin.probe, 1), "source": Coded.same(self.interface, 1),
                "capture_id": np.zeros(1, np.uint64), "busiest_second": np.array([minute * _MINUTE], np.int64),
                "unread_us": np.array([min((minute + 1) * _MINUTE - since, _MINUTE)], np.uint64), "stored_time": np.array([now_us()], np.int64)}))
        self._tell(self._since)

    def _cover(self, minute: int, ended: bool = False) -> None:
        """Rows of `coverage` for the minutes before `minute`; with `ended` for that one as well. Their flows' rows have been written."""
        seconds = _joined(np.concatenate([self._seconds, self.shard.intake.timeline.take_seconds()]))
        told = (seconds["second"] < minute * 60) | ended
        seconds, self._seconds = seconds[told], seconds[~told]
        losses, refused = self._losses(), self.shard.intake.refusals()
        lost = {name: losses[name] - self._told[name] for name in losses}
        fresh = {name: count - self._refused_told.get(name, 0) for name, count in refused.items() if count > self._refused_told.get(name, 0)}
        given_up, lag = self._behind()
        rows_lost, self._rows_lost = given_up - self._rows_lost, given_up
        counted = {"duplicates": self.duplicates - self._duplicates_told, **self._sides.take(self.shard.counters)}
        self._duplicates_told = self.duplicates
        shortages, told_short, pressed = self.shard.shortages(), self._table_told, self._pressed
        short = {name: shortages[name] - told_short[name] for name in shortages}
        self._told, self._refused_told, self._table_told, self._pressed = losses, refused, shortages, self.level
        passed = range(max(self._minute, minute - _MISSED), minute + ended)
        minutes = sorted({*passed, *(seconds["second"] // 60).tolist()}) or [minute]
        for one in minutes:
            mine = seconds[seconds["second"] // 60 == one]
            last = one == minutes[-1]       # what has no time of its own is told with the newest minute
            busiest = int(np.argmax(mine["wire_bytes"])) if len(mine) else -1
            reasons = list(fresh) if last else []
            self._write(Batch("coverage", 1, {
                "time": np.array([one * _MINUTE], np.int64), "probe": Coded.same(self.shard.origin.probe, 1), "source": Coded.same(self.interface, 1),
                "capture_id": np.zeros(1, np.uint64),
                "frames": np.array([mine["packets"].sum()], np.uint64), "wire_bytes": np.array([mine["wire_bytes"].sum()], np.uint64),
                "busiest_second": np.array([int(mine["second"][busiest]) * 1_000_000 if len(mine) else one * _MINUTE], np.int64),
                "busiest_bytes": np.array([mine["wire_bytes"][busiest] if len(mine) else 0], np.uint64),
                "busiest_frames": np.array([mine["packets"].max() if len(mine) else 0], np.uint64),
                **{f"dropped_{name}": np.array([lost[name] if last else 0], np.uint64) for name in ("nic", "kernel", "ring")},
                **{name: np.array([count if last else 0], np.uint64) for name, count in counted.items()},
                **{name: np.array([short[name] if last else 0], np.uint64) for name in short},
                "pressure": np.array([pressed if last else 0], np.uint8), "worker": np.array([self.number], np.uint16),
                "workers": np.array([self.crew], np.uint16),
                "unread_us": np.array([self._began - self._since if one == self._began // _MINUTE and not self.number else 0], np.uint64),
                "dropped_store": np.array([rows_lost if last else 0], np.uint64),
                "store_lag_us": np.array([int(lag * 1e6) if last else 0], np.uint64),
                "refused": np.array([sum(fresh.values()) if last else 0], np.uint64), "refused_reasons": Lists.of([reasons]),
                "refused_counts": Lists(np.array([0, len(reasons)], np.int64), np.array([fresh[reason] for reason in reasons], np.uint64)),
                "stored_time": np.array([now_us()], np.int64)}))
        self._minute, self._since = minute, self._began

    def _tell(self, until: int) -> None:
        """Remember that `coverage` is told until then, us, once the rows are on disk."""
        for sink in self._sinks:
            if self.covered is not None and hasattr(sink, "after"):
                sink.after(partial(self.covered, self.number, until))

    def _behind(self) -> tuple[int, float]:
        """Rows that the store will never have, and for how many s the oldest waits for it, of all workers: the first one tells them."""
        stores = [sink.health() for sink in self._sinks if hasattr(sink, "health")] if self.first else []
        return sum(one.lost for one in stores), max((one.lag for one in stores), default=0.0)

    def _write(self, batch: Batch) -> None:
        for sink in self._sinks:
            sink.write(batch)

    def health(self) -> WorkerHealth:
        """See dpi.health."""
        row, timeline = self.shard.counters, self.shard.intake.timeline.row
        short = self.shard.shortages()
        lost = {**self._told, "table": short["evicted"], "arena": short["arena_refused"]}
        return WorkerHealth(self.interface, self.number, int(timeline.packets), int(timeline.wire_bytes), self.shard.intake.refusals(), lost,
                            int(row.flows), int(row.live), short["folded"], self.level, short["rows_given_up"], self.live.trouble,
                            self.duplicates, int(row.tcp_packets), int(row.one_sided_packets), int(row.one_sided_flows),
                            *((self.keeper.kept, self.keeper.lost, self.keeper.opened) if self.keeper is not None else ()))


def _joined(seconds: Any) -> Any:
    """SECOND[k] with one record for each second, in their order."""
    first, places = groups(seconds["second"])
    joined = np.zeros(len(first), SECOND)
    joined["second"] = seconds["second"][first]
    for name in ("packets", "wire_bytes"):
        np.add.at(joined[name], places, seconds[name])
    return joined
