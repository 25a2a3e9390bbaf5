"""A replay: captures in order, each through a shard, rows to the sinks, and what happened as an Outcome."""
from __future__ import annotations

import contextlib
import gc
import os
import sys
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dpi import ending
from dpi.ahead import ahead
from dpi.asking import Asked
from dpi.batch import Batch, Coded, Sink
from dpi.behind import Behind
from dpi.capture.block import Block
from dpi.capture.inputs import Input, find
from dpi.capture.intake import Intake
from dpi.capture.selection import Selection
from dpi.capture.sighting import Sightings
from dpi.capture.trace import Trace, open_trace
from dpi.captured import Captured, minutes
from dpi.classify.resolutions import Resolutions
from dpi.crew import Crew
from dpi.dataclass import dataclass
from dpi.detection import watchman_of
from dpi.engine import entries
from dpi.identification import holders_of, identity_of
from dpi.native import warm
from dpi.outcome import BESIDE, CLOCK_COUNTERS, COUNTERS, Outcome, Progress
from dpi.output import Limits, Origin
from dpi.priority import Aside
from dpi.provenance import Provenance
from dpi.rules import RuleSet, load
from dpi.settings import Settings
from dpi.shard import Shard
from dpi.sides import COUNTS

if TYPE_CHECKING:
    from dpi.announcing import Announcing

SWITCH_SECONDS = 0.0005     # a kernel that returns wants the GIL back soon
FRAMES_PER_BLOCK = 6144     # headers fetched ahead of the decoder stay in the second-level cache
FRAMES_AHEAD = 16384        # of a block that another core has walked: there is nothing of it in this one's cache
ALONE = 4 << 20             # bytes of a capture that one thread has done before others would be at work
CREW = 3                    # cores from which on a crew is at work; with two, one tracks and names, the other does what is before and behind that
EXPORTS = 1 << 13           # rows, and transactions, of an output of a crew's shard
OUTPUTS = 3                 # of a shard whose rows are written behind it: one is being written, one may wait, one fills
_LINKS = {0: "NULL", 1: "EN10MB", 9: "PPP", 12: "RAW", 14: "RAW", 50: "PPP_HDLC", 51: "PPP_ETHER", 101: "RAW", 104: "C_HDLC", 105: "IEEE802_11", 108: "LOOP",
          113: "LINUX_SLL", 127: "IEEE802_11_RADIO", 228: "IPV4", 229: "IPV6", 276: "LINUX_SLL2"}


@dataclass(frozen=True)
class ReplayOptions:
    """What the command line may ask. Times are int64 us."""
    rules: str | None = None
    filter: str | None = None
    since: int | None = None
    until: int | None = None
    time_shift: int | None = None
    max_flows: int | None = None
    workers: int | None = None
    joined: bool = False
    dedup: bool = False
    append: bool = False
    sha256: bool = False
    bindings: str | None = None
    local_networks: str | None = None
    announcing: Announcing | None = None        # tells people of alerts; who made it closes it


def limits(settings: Settings, max_flows: int | None = None) -> Limits:
    """The shard's sizes and times from the settings; max_flows: from the command line."""
    flow = settings.flow
    return Limits(flows=max_flows or flow.max_flows, idle_tcp=flow.idle_tcp, idle_half_open=flow.idle_half_open, idle_closed=flow.idle_closed,
                  idle_udp=flow.idle_udp, idle_other=flow.idle_other, inspect=flow.inspect, key_vlan=bool(flow.key_vlan))


class Replay:
    """State of one replay."""

    def __init__(self, sinks: Sequence[Sink], options: ReplayOptions, settings: Settings, progress: Callable[[Progress], None] | None) -> None:
        self.store: Any = next((sink for sink in sinks if hasattr(sink, "replace")), None)
        # asked while all else is made ready: alerts are first made when rows are on their way to the store, which answers one after the other
        self.watchman = watchman_of(settings, list(sinks), secret=Asked(self._secret))
        if options.announcing is not None:
            options.announcing.start(self.watchman)
        self.sinks, self.options, self.report = [*sinks, *([self.watchman] if self.watchman is not None else [])], options, progress
        self.rules: RuleSet = load([options.rules] if options.rules else [settings.rules.directory] if settings.rules.directory else [])
        self.selection = Selection(filter=options.filter, since=options.since, until=options.until, time_shift=options.time_shift or 0, dedup=options.dedup)
        self.identity = identity_of(settings, options.bindings, options.local_networks)
        wanted = [kernel for sink in self.sinks for kernel in getattr(sink, "kernels", ())]
        wanted += self.identity.kernels if self.identity is not None else ()
        self.holders = holders_of(settings, self.identity)
        wanted += self.holders.kernels if self.holders is not None else ()
        warm([*entries(self.rules), *self.selection.kernels, *wanted], lambda words: print(f"fullspan: {words}", file=sys.stderr, flush=True))
        self.workers = options.workers or len(os.sched_getaffinity(0))
        if self.workers > 1:
            sys.setswitchinterval(SWITCH_SECONDS)
        self.limits = limits(settings, options.max_flows)
        tap = None if self.holders is None else self.holders.sessions.tap()
        sightings = Sightings(None if self.watchman is None else self.watchman.hears)
        self.intake, self.resolutions = Intake(self.limits.key_vlan, self.limits.seconds, tap=tap, sightings=sightings), Resolutions()
        self.aside = Aside()
        self.behind = Behind(aside=self.aside) if self.workers > 1 else None
        self.shards = [Shard(self.rules, self.limits, self.sinks, self.intake, self.resolutions, OUTPUTS if self.behind else 1, self.behind,
                             holders=self.holders)]
        self.shards[0].identify(self.identity)
        if self.identity is not None:
            if self.holders is not None:
                self.holders.held(self.identity.bindings)       # made now, not when the first row leaves
            gc.freeze()             # a large file is a hundred thousand strings: each look for garbage would walk them all
        self._crew: Crew | None = None
        self._numbered = 0              # packets in the capture before
        self._told = dict.fromkeys(BESIDE, 0)
        self._short: dict[str, int] = {}        # Shard.shortages of all, as told in coverage
        self._provenance: Provenance | None = None
        self.outcome = Outcome(rules_version=self.rules.version)
        self.progress = Progress()
        self._seconds: list[Any] = []
        self._heard, self._minute = 0, -1       # of the seconds that are kept, those that detectors know; of the packet clock, when that was last looked at

    def _secret(self) -> bytes:
        """What ids of alerts are keyed with: replays of one store have the same, those without a store each its own."""
        if self.store is None:
            return os.urandom(32)
        from dpi.store import masked

        return masked.secret(lambda sql: self.store.query(sql).rows)

    def run(self, inputs: Sequence[Input]) -> Outcome:
        """Replay all inputs. KeyboardInterrupt ends it early; what was done is kept."""
        self.progress.size = sum(one.size for one in inputs) if all(one.size for one in inputs) else 0
        done, began = 0, time.perf_counter()
        try:
            if self.options.joined:
                self._joined(inputs)
            else:
                for one in inputs:
                    self._capture(one, done, crew=self.workers >= CREW and one.size >= ALONE, final=one is inputs[-1])
                    done += one.size
        except KeyboardInterrupt:
            self.outcome.interrupted = True
        finally:
            for rows in (self.behind, self._crew.rows if self._crew else None):
                if rows is not None:
                    rows.close()
        self._finish()
        self.outcome.seconds = time.perf_counter() - began
        return self.outcome

    def _joined(self, inputs: Sequence[Input]) -> None:
        """One rotated capture: the files by the time of their first packet, flows living on from file to file."""
        traces = [open_trace(one) for one in inputs]
        starts: list[tuple[int, int]] = []
        crew = self.workers >= CREW and all(trace.mapped for trace in traces)
        for i, trace in enumerate(traces):
            block = next(iter(trace.blocks(1)), None)
            starts.append((int(block.frames[0].time) if block is not None and block.count else 1 << 62, i))
            trace.close()
        if any(one.stream for one in inputs):
            from dpi.errors import UserError
            raise UserError("standard input cannot be part of a rotated capture", "--joined", "save it to a file first")
        done = 0
        for _, i in sorted(starts):
            last = i == sorted(starts)[-1][1]
            self._capture(inputs[i], done, last=last, crew=crew, final=last)
            done += inputs[i].size

    def _capture(self, one: Input, done: int, last: bool = True, crew: bool = False, final: bool = False) -> None:
        """Take in a capture. last: its flows end with it; crew: through all shards; final: no other comes after it."""
        trace = open_trace(one)
        captured = Captured(trace.name, str(trace.path), trace.size, trace.modified_time)
        self.outcome.captures.append(captured)
        self._provenance = provenance = self._known(captured, trace) if self.store is not None else None
        # flow numbers begin anew with every replay: the capture's number makes them unique in a store
        origin = Origin(trace.name, captured.capture_id, boot=captured.capture_id & 0xFFFFFF, interfaces=trace.interfaces)
        if self.watchman is not None:
            self.watchman.begin(origin.probe, captured.capture_id)
        row, refused_before = self.intake.timeline.row, self.intake.refusals()
        before, bytes_before = int(row.packets), int(row.wire_bytes)
        self.intake.begin(self._numbered)
        try:
            if crew and trace.mapped:
                self._by_crew(trace, origin, done, last)
            else:
                self._alone(trace, origin, done, last)
        finally:
            if final and self.workers > 1 and self.store is not None:
                self.store.start_flush()             # while detectors end
            self._hear(captured.name, True)
            if last and self.watchman is not None:
                self.watchman.end()             # before the capture's last row: the store takes that for the end of all others
            self._numbered = trace.packets
            captured.packets, captured.wire_bytes = int(row.packets) - before, int(row.wire_bytes) - bytes_before
            captured.first_time, captured.last_time = self.intake.timeline.span
            captured.refused = {k: v - refused_before.get(k, 0) for k, v in self.intake.refusals().items() if v - refused_before.get(k, 0)}
            captured.damage, captured.size = trace.damage, trace.size
            captured.link_types = [_LINKS.get(link, str(link)) for link in sorted(trace.link_types)]
            if provenance is not None:
                self._keep(captured, trace, provenance)
                provenance.settle()
            trace.close()

    def _alone(self, trace: Trace, origin: Origin, done: int, last: bool) -> None:
        """Through one shard in this thread; with several workers, others find the packets' places before it and write rows behind it."""
        shard = self.shards[0]
        shard.begin(origin)
        walked = self.behind is not None and trace.mapped and trace.size >= ALONE
        try:
            with contextlib.closing(self._ahead(trace) if walked else self._wanted(trace)) as blocks:
                for number, block in enumerate(blocks):
                    shard.process(block)
                    self._tell(done + trace.position, trace.name)
                    if walked and not number:       # who is told may have started a thread
                        self.aside.begin(getattr(self.store, "process", 0))
        except BaseException:
            trace.give_up()
            raise
        finally:
            try:
                self.aside.end()
            finally:
                trace.let_go()
                if last:
                    shard.finish()
                else:
                    shard.drain()
                    shard.wait()

    def _ahead(self, trace: Trace) -> Generator[Block, None, None]:
        """The blocks that are wanted, walked by another thread."""
        return ahead(lambda place: self._wanted(trace, place, FRAMES_AHEAD), FRAMES_AHEAD, self.aside)

    def _by_crew(self, trace: Trace, origin: Origin, done: int, last: bool) -> None:
        """Through all shards, each in a thread."""
        crew = self._crew = self._crew or self._gather()
        for shard in crew.shards:
            shard.begin(origin)
        crew.run(lambda place: self._wanted(trace, place), not last, lambda: self._tell(done + trace.position, trace.name))

    def _gather(self) -> Crew:
        """A shard for each worker but the one that reads and decodes, each with its part of the memory."""
        n, whole = self.workers - 1, self.limits
        # of outputs there are three, each smaller: fresh memory costs a shard's thread, the busiest, more than more calls cost that of the rows
        part = replace(whole, flows=max(whole.flows // n, 1), facts=max(whole.facts // n, 1), streams=max(whole.streams // n, 1),
                       exports=min(whole.exports, EXPORTS), transactions=min(whole.transactions, EXPORTS))
        self.shards += [Shard(self.rules, part, self.sinks, self.intake, self.resolutions, OUTPUTS, holders=self.holders) for _ in range(n)]
        for shard in self.shards[1:]:
            shard.identify(self.identity)
        return Crew(self.intake, self.shards[1:], FRAMES_PER_BLOCK)

    def _hear(self, name: str, ended: bool = False) -> None:
        """Let detectors know of the minutes that are over: they ask how full a link is while its rows are on their way."""
        if self.watchman is None or (self._minute == self.intake.timeline.minute and not ended):
            return
        self._minute = self.intake.timeline.minute
        fresh = self.intake.timeline.kept[self._heard:]
        if not len(fresh):
            return
        seconds = fresh["second"]
        newest = int(seconds[-1]) // 60
        if not ended and newest == int(seconds[0]) // 60:
            return
        over = len(fresh) if ended else int(np.flatnonzero(seconds // 60 != newest)[-1]) + 1
        self._heard += over
        told = minutes(fresh[:over])
        n = len(told["time"])
        self.watchman.write(Batch("coverage", n, {**told, "probe": Coded.same("replay", n), "source": Coded.same(name, n)}))

    def _tell(self, position: int, name: str) -> None:
        """Report the progress to whoever asked, and the minutes that are over."""
        self._hear(name)
        if self._provenance is not None:
            self._provenance.complain()
        if self.report is not None:
            (self.progress.packets, self.progress.bytes), self.progress.position = self.intake.timeline.counted, position
            self.report(self.progress)

    def _wanted(self, trace: Trace, place: Callable[[], Any] | None = None, room: int = 0) -> Generator[Block, None, None]:
        """The blocks of a capture, less what a person did not ask for. room: frames of a block, 0 for as many as it has where it is taken in at once."""
        for block in trace.blocks(room or FRAMES_PER_BLOCK, place):
            if self.selection.active:
                block = self.selection.apply(block)
            if block.count:
                yield block

    def _known(self, captured: Captured, trace: Trace) -> Provenance:
        """Give the capture a number and a row that says its replay has begun: should it be killed, the next one finds its rows by that."""
        from dpi.store import new_capture_id
        from dpi.store.captures import UNFINISHED

        captured.capture_id, captured.damage = new_capture_id(), UNFINISHED
        provenance = Provenance(self.store, trace, captured.capture_id, self.options.sha256)
        self._write_capture(captured)
        return provenance

    def _write_capture(self, captured: Captured) -> None:
        """The capture's row, in place of an earlier one."""
        self.store.write(captured.row(self.rules.version, self.shards[0].stored_time))

    def _replace(self, captured: Captured, earlier: list[int]) -> None:
        """Take out what earlier replays of it left. Where a legal hold keeps that, this one's rows are taken out: both together would count all twice."""
        from dpi.store.holds import held_captures

        if held_captures(self.store, earlier):
            earlier = [captured.capture_id]
            captured.damage = captured.damage or "its rows are in the store under a legal hold and stay, so that those of this replay are not kept (--append)"
        self.store.replace(earlier)

    def _keep(self, captured: Captured, trace: Trace, provenance: Provenance) -> None:
        """The capture's minutes of coverage and its last row; earlier replays of it make room."""
        if trace.finished:
            captured.sha256 = provenance.sha256()
            if not self.options.append:
                if earlier := provenance.same():
                    self._replace(captured, earlier)
                for path in provenance.unsure:
                    print(f"fullspan: {captured.name}: nobody can tell whether it is {path}, which has its size but no hash and is gone or changed: "
                          "both are kept", file=sys.stderr, flush=True)
        seconds, self._heard = self.intake.timeline.take_seconds(), 0
        if len(seconds):
            told = minutes(seconds)
            n = len(told["time"])
            short = self._shortages()
            self.store.write(Batch("coverage", n, {
                **told, "probe": Coded.same("replay", n), "source": Coded.same(captured.name, n),
                "capture_id": np.full(n, captured.capture_id, np.uint64),
                **{name: np.array([0] * (n - 1) + [count], np.uint64) for name, count in self._beside().items()},
                # what has no time of its own is told with the last minute
                **{name: np.array([*[0] * (n - 1), count - self._short.get(name, 0)], np.uint64) for name, count in short.items()},
                "stored_time": np.full(n, self.shards[0].stored_time, np.int64)}))
            self._seconds.append(seconds)
            self._short = short
        self._write_capture(captured)

    def _beside(self) -> dict[str, int]:
        """How much BESIDE have grown since the last capture."""
        now = {name: sum(int(shard.counters[name]) for shard in self.shards) for name in COUNTS} | {"duplicates": self.selection.duplicates}
        fresh = {name: now[name] - self._told[name] for name in BESIDE}
        self._told = now
        return fresh

    def _shortages(self) -> dict[str, int]:
        """Of all shards together."""
        every = [shard.shortages() for shard in self.shards]
        return {name: sum(one[name] for one in every) for name in every[0]}

    def _finish(self) -> None:
        outcome = self.outcome
        if self.watchman is not None:
            outcome.seen = self.watchman.seen
            self.watchman.close()
        outcome.counters = {name: sum(int(shard.counters[name]) for shard in self.shards) for name in COUNTERS}
        outcome.counters |= {name: int(self.intake.timeline.row[name]) for name in CLOCK_COUNTERS}
        outcome.counters |= {name: int(getattr(self.selection, name)) for name in ("filtered", "outside", "duplicates")}
        if self.holders is not None:
            from dpi.identity.sessions import SHOWN

            outcome.counters |= {f"sessions_{name}": count for name, count in self.holders.sessions.counters().items() if name in SHOWN}
        decoder = self.intake.decoder[0]
        for name in decoder.dtype.names or ():
            if name.startswith("fragments_"):
                outcome.counters[name] = int(decoder[name])
        self._seconds.append(self.intake.timeline.take_seconds())
        every = np.concatenate(self._seconds)
        outcome.per_second = np.stack([every["second"], every["packets"], every["wire_bytes"]], axis=1) if len(every) else np.zeros((0, 3), np.int64)


def run(arguments: Sequence[str], *, sinks: Sequence[Sink], options: ReplayOptions | None = None, progress: Callable[[Progress], None] | None = None,
        settings: Settings | None = None) -> Outcome:
    """Replay captures (files, directories, patterns, '-') into the sinks. UserError: an argument is no capture, a rule is wrong, ..."""
    from dpi.settings import load as load_settings

    inputs = find(list(arguments), sys.stdin.buffer if "-" in arguments else None)
    replay = Replay(sinks, options or ReplayOptions(), settings or load_settings(), progress)
    outcome = replay.run(inputs)
    if ending.soon and replay.behind is not None:
        ending.held.append(replay)      # a hundred megabytes of tables, given back while the engine's process ends
    outcome.skipped = [f"{one.name}: {one.why}" for one in inputs.skipped]
    outcome.skipped += [f"--filter: {why} ({_LINKS.get(link, link)}: its packets were left out)" for link, why in replay.selection.unfit.items()]
    return outcome
