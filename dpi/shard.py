"""A shard: the memory of one pipeline (dpi/engine.py), the sinks it writes, and its life from the first block to the last row.

Alone, a shard decodes frames itself (`process`); in a crew (dpi/crew.py) it takes what the intake dealt it (`take`).
"""
from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dpi.batch import AnyColumn, Batch, Sink
from dpi.behind import Behind
from dpi.capture.block import Block, Bound
from dpi.capture.frame import FRAME, PACKET
from dpi.capture.intake import BATCH, Dealt, Intake
from dpi.capture.ring import RING, Keeper
from dpi.capture.sighting import HALF
from dpi.classify.inspection import INSPECTION, ROOM
from dpi.classify.renumber import moved, renumber
from dpi.classify.resolutions import ANSWER, Resolutions
from dpi.classify.transactions import transactions
from dpi.engine import (
    ANSWERS,
    AT,
    DONE,
    DRAIN,
    END,
    HEARD,
    WORLD,
    change_all,
    clock_at,
    flow_ends,
    flush_all,
    learn_all,
    learn_given,
    pass_idle,
    pipeline,
)
from dpi.flow.arena import Arena
from dpi.flow.changes import KEPT, PENDING, TOUCHED
from dpi.flow.facts import Facts
from dpi.flow.rows import Naming, Room, batch
from dpi.flow.stream import Streams
from dpi.flow.table import CHANGE, Table
from dpi.interrupts import held_back
from dpi.jit import point, records, world
from dpi.output import Limits, Origin, Output
from dpi.rules import RuleSet

if TYPE_CHECKING:
    from dpi.identity.holders import Holders
    from dpi.identity.stamper import Identity, Stamper

_PATIENCE = 0.05        # s between two looks whether an output is free that nothing more is passed on for


class Shard:
    """Memory and sinks of one pipeline.

    Alone: `process` blocks, then `finish`. In a crew: `take` what the intake dealt, and where that returns False, write what is `drained`; then `flush`.
    outputs: more than one where the next fills while another is written: `behind`, or by a crew. lock: held to learn answers or ask for them, where
    `resolutions` are those of other shards as well that work on their own. keeper: where packets that it decodes itself are kept on disk. holders: who
    has an address, as it is learned; flows are cut where that changes.
    """

    def __init__(self, rules: RuleSet, limits: Limits, sinks: Iterable[Sink], intake: Intake | None = None, resolutions: Resolutions | None = None,
                 outputs: int = 1, behind: Behind | None = None, lock: threading.Lock | None = None, keeper: Keeper | None = None,
                 holders: Holders | None = None) -> None:
        self.rules, self.limits, self.sinks, self.behind, self._lock = rules, limits, list(sinks), behind, lock
        self._ring = records(0, RING) if keeper is None else keeper.world
        self.intake = intake or Intake(limits.key_vlan, limits.seconds)
        self.table = Table(limits.flows)
        self.streams, self.arena = Streams(limits.streams), Arena(limits.streams)
        self.facts = Facts(limits.facts)
        self._bounds, self._pending, self._passed = records(0, CHANGE), records(PENDING, CHANGE), records(KEPT, CHANGE)
        self._touched = np.zeros(TOUCHED, np.int64)
        self.resolutions = resolutions or Resolutions()
        self.transactions, self.given_up = True, 0      # False: rows of dns, tls, http and files are not made, and counted here
        self.packets = records(BATCH, PACKET)
        self.cursor = np.zeros(4, np.int64)
        self._holders = holders
        self._follow = holders.sessions.follow() if holders is not None else deque()
        self._dealt: Dealt | None = None        # is being taken
        self._no_frames = records(0, FRAME)
        self._pipeline = Bound(pipeline)
        row = self.table.shard[0]
        self.limit(limits)
        row.cut, row.span = limits.cut, limits.span * 1_000_000
        row.shared = 1 if lock is not None else 0
        row.ending, row.outbox_limit = flow_ends.address(), limits.transactions - 4 * ROOM
        self.origin = Origin("")
        self.naming = _naming(rules)
        self.identity: Identity | None = None           # who has which address, where that is known
        self._stamper: Stamper | None = None
        self._outputs = [Output(limits) for _ in range(outputs)]
        for one in self._outputs:               # rows of one are made after those of another: in the same memory
            one.room = self._outputs[0].room
        self._passed_on: queue.SimpleQueue[tuple[list[Batch], Output]] | None = None
        self._own = self._own_arrays()          # kept: a world holds addresses only
        for one in self._outputs:
            one.world = world(WORLD, {**self._own, **one.arrays()})
        self._turn = 0
        self.stored_time = time.time_ns() // 1000

    def _own_arrays(self) -> dict[str, Any]:
        """Every array of the world but the output's."""
        t, r, d = self.table, self.rules, self.resolutions
        return {
            **self.intake.arrays(), "cursor": self.cursor, "ring": self._ring,
            "shard": t.shard, "slots": t.slots, "flows": t.flows, "details": t.details, "addresses": t.addresses, "tunnels": t.tunnels, "births": t.births,
            "bounds": self._bounds, "pending": self._pending, "passed": self._passed, "touched": self._touched,
            "streams": self.streams.records, "pools": self.arena.pools, "arena": self.arena.bytes,
            "facts": self.facts.pool, "inspection": records(1, INSPECTION),
            "rows": r.rows, "pieces": r.pieces, "pattern_bytes": r.pattern_bytes, "buckets": r.buckets,
            "parsers": r.address_array(), "parser_memory": r.parser_memory, "parser_starts": r.parser_starts,
            "parser_protocol": r.parser_protocol, "parser_also": r.parser_also_reason,
            "parser_reason": r.parser_reason, "reasons": r.reason_table, "reason_dns": r.reason_dns, "carriers": r.carriers,
            "names": r.names, "certificate_names": r.certificate_names, "alpns": r.alpns, "agents": r.agents, "agent_bytes": r.agent_bytes,
            "networks4": r.networks4, "networks6": r.networks6, "ports": r.ports,
            "answers": records(ANSWERS, ANSWER), "resolutions": d.buckets, "resolution_text": d.text, "resolution_head": d.head,
        }

    @property
    def output(self) -> Output:
        """What is being filled."""
        return self._outputs[self._turn]

    @property
    def counters(self) -> Any:
        """The SHARD record: clock and counters."""
        return self.table.shard[0]

    def shortages(self) -> dict[str, int]:
        """What there was no room for so far, by columns of `coverage`."""
        row = self.counters
        return {"evicted": int(row.evicted), "folded": int(row.folded), "folded_coarser": int(row.folded_coarser),
                "arena_refused": int(row.streams_full) + int(row.facts_full), "rows_given_up": self.given_up + int(row.outbox_full)}

    def begin(self, origin: Origin) -> None:
        """The next blocks are of this origin. Flows of another one must have been finished before."""
        self.origin = origin

    # ---- alone

    def process(self, block: Block) -> None:
        """Take a block through the pipeline; sinks are written as buffers fill."""
        self.catch_up()
        self.cursor[:] = 0, block.count, 0, 0
        self.counters.before = self.intake.before
        while (answer := self._pipeline(block.data, block.frames, self.packets, self.output.world)) != DONE:
            if answer == HEARD and self.intake.tap is not None:
                self.intake.tap.learn()
                self.catch_up()
                if self.told:
                    self.drain()
            else:
                self.drain()
        self.intake.sightings.hand_over(HALF)
        if self._lock is not None:
            self.learn()

    def number_flows(self, first: int, step: int) -> None:
        """Flows are numbered first + step, first + 2 step ..., not by their first packets."""
        self.counters.serial, self.counters.step = first, step

    def limit(self, limits: Limits) -> None:
        """Flows end after these times from now on, and are inspected or not; the sizes stay what they are."""
        row, self.limits = self.table.shard[0], limits
        for name in ("idle_tcp", "idle_half_open", "idle_closed", "idle_udp", "idle_other"):
            row[name] = getattr(limits, name) * 1_000_000
        row.idle_least = min(row.idle_tcp, row.idle_half_open, row.idle_closed, row.idle_udp, row.idle_other)
        row.inspect = limits.inspect

    def adopt(self, rules: RuleSet) -> None:
        """Name by other rules from now on. Flows keep what they were named, where the rule that did is still there."""
        self.drain()
        self.wait()
        old = self.rules
        renumber(self.table.flows, self.table.shard, moved(old.protocols, rules.protocols, np.dtype("u2")),
                 moved(old.applications, rules.applications, np.dtype("u2")), moved(old.identities(), rules.identities(), np.dtype("u4")))
        self.rules = rules
        self.naming = _naming(rules)
        self._own = self._own_arrays()
        for one in self._outputs:
            one.world = world(WORLD, {**self._own, **one.arrays()})

    def change(self, changes: Any) -> None:
        """Cut flows at these changes of identity, CHANGE[] (dpi/flow/changes.py): now, where their time has come, else when it comes."""
        change_all(self.output.world, changes)

    def catch_up(self) -> None:
        """Take the changes that were learned of sessions."""
        while self._follow:
            self.change(self._follow.popleft())

    @property
    def told(self) -> bool:
        """Whether so much became known of sessions that it should be written now."""
        return self._holders is not None and self._holders.sessions.crowded

    def identify(self, identity: Identity | None, changes: Any = None) -> None:
        """Stamp rows with this from now on, and cut flows at its bounds. changes: where it replaces another, CHANGE[] to cut at now."""
        if identity is not None and self._stamper is None:
            from dpi.identity.stamper import Stamper

            self._stamper = Stamper(self._holders)
        self.identity = identity
        self.bound(records(0, CHANGE) if identity is None else identity.bounds if self._holders is None else self._holders.bounds(identity))
        if changes is not None and len(changes):
            self.change(changes)

    def bound(self, bounds: Any) -> None:
        """Cut flows at these changes from now on, and at none that was given here before: CHANGE[] in the order of their times."""
        self._bounds = records(len(bounds), CHANGE)
        self._bounds[:] = bounds
        row = self.counters
        row.bound = int(np.searchsorted(bounds["time"], int(row.clock), "right"))
        row.due = min(int(row.due), int(bounds["time"][row.bound])) if row.bound < len(bounds) else row.due
        self._own["bounds"] = self._bounds
        for one in self._outputs:
            point(one.world, "bounds", self._bounds)

    def idle(self, time: int) -> None:
        """No packet came until `time`, us: flows end and minutes pass all the same."""
        self.catch_up()
        self.intake.timeline.row.clock = max(int(self.intake.timeline.row.clock), time)
        while pass_idle(self.output.world, time) == DRAIN:
            self.drain()

    def finish(self) -> None:
        """End all flows and write what is left. Who tracked packets is free now, and writes to the sinks that are `apart` what was made behind."""
        if self.behind is not None and self.identity is None and self._holders is None and any(map(_is_apart, self.sinks)):
            for one in self._outputs[1:]:
                one.room = Room()
            self._passed_on = queue.SimpleQueue()
        with held_back() if self._passed_on is not None else contextlib.nullcontext():      # what was passed on would be lost
            while not self.flush():
                self.drain()
            self.drain()
            for one in self._outputs:
                self._until_free(one)
            self.wait()
        self._passed_on = None

    def drain(self) -> None:
        """Write what was exported, or have it written behind."""
        self.intake.sightings.hand_over()       # before rows: who takes both has heard of what came first
        self.learn()
        out = self.drained()
        with self._lock or contextlib.nullcontext():
            out.settle()
        if self.behind is None:
            self.write(out)
        else:
            self.behind.put(0, lambda: self.write(out), out.free)
            self._until_free(self.output)

    def wait(self) -> None:
        """Until all that was drained is written. Nothing of the blocks that were processed is held any longer."""
        self.forget()
        if self.behind is not None:
            self.behind.wait()

    def forget(self) -> None:
        """Let go of the blocks that were processed."""
        self._pipeline.forget()

    # ---- in a crew

    def take(self, dealt: Dealt, number: int) -> bool:
        """Take the packets that shard `number` was dealt through the pipeline. False: what was exported must be drained first."""
        if self._dealt is None:
            self._dealt = dealt
            self.catch_up()
            self.cursor[:] = 0, dealt.counts[number], 1, 0
            self.counters.before = self.intake.before
        if self._pipeline(dealt.data, self._no_frames, dealt.packets[number], self.output.world) == DRAIN:
            return False
        self._dealt = None
        return True

    def at(self, dealt: Dealt, number: int) -> int:
        """The number of the first packet that is not behind the shard, as `Dealt.end` counts."""
        at = int(self.cursor[AT])
        return dealt.begin + (int(dealt.packets[number][at].number) - dealt.begin & 0xFFFFFFFF) if at < self.cursor[END] else dealt.end

    def flush(self) -> bool:
        """End all flows. False: what was exported must be drained first."""
        return flush_all(self.output.world) == DONE

    def set_clock(self, time: int) -> None:
        """The packet clock has gone on with the packets of others, us."""
        if time != self.counters.clock:
            clock_at(self.output.world, time)

    def learn(self) -> None:
        """Put the answers that were noted into the table of all."""
        if self.counters.answers:
            with self._lock or contextlib.nullcontext():
                learn_all(self.output.world)

    def noted(self) -> Any:
        """The answers noted and not learned, ANSWER[] of its own, which somebody else sees to from now on."""
        some, self.counters.answers = self._own["answers"][:int(self.counters.answers)].copy(), 0
        return some

    def given(self, answers: Any) -> None:
        """Put these answers into the table of all, in their order. Whoever calls holds the table."""
        learn_given(self.output.world, answers)

    def drained(self) -> Output:
        """What was exported so far, to be settled and written; the next output is filled from now on, once it is free."""
        row, out = self.counters, self.output
        out.head[:] = row.exports, row.export_facts
        out.transactions, out.origin = int(row.outbox), self.origin
        if not self.transactions:
            self.given_up += out.transactions
            out.transactions = 0
        row.exports = row.export_facts = row.export_tunnels = row.outbox = 0
        self._turn = (self._turn + 1) % len(self._outputs)
        return out

    def write(self, out: Output) -> bool:
        """The output as Batches, to every sink. True: those that are `apart` have it still to come."""
        passed_on = self._passed_on             # first: what is made before it is there has no room of its own
        batches = self._batches(out)
        for one in batches:
            for sink in self.sinks:
                if passed_on is None or not _is_apart(sink):
                    sink.write(one)
        if passed_on is not None:
            passed_on.put((batches, out))
        return passed_on is not None

    def _until_free(self, out: Output) -> None:
        """Wait until an output is free, and write meanwhile what others have passed on."""
        while self._passed_on is not None and not out.free.is_set():
            with contextlib.suppress(queue.Empty):              # nothing may come any more: what went wrong is told by `wait`
                batches, done = self._passed_on.get(timeout=_PATIENCE)
                try:
                    for one in batches:
                        for sink in filter(_is_apart, self.sinks):
                            sink.write(one)
                finally:
                    done.free.set()
        out.free.wait()

    def _batches(self, out: Output) -> list[Batch]:
        """The rows of the output, by table."""
        origin, identity = out.origin, self.identity
        batches: list[Batch] = []
        if out.transactions:                            # first: detectors keep of them what rows of flows are counted by
            batches += transactions(out.outbox, out.transactions, source=origin.source, capture_id=origin.capture_id, probe=origin.probe,
                                    boot=origin.boot, stored_time=self.stored_time, whose=self._whose(out.outbox, identity, origin))
        if out.rows:
            made = batch(out.exports, out.rows, self.naming, out.room, source=origin.source, capture_id=origin.capture_id, probe=origin.probe,
                         boot=origin.boot, interfaces=origin.interfaces, stored_time=self.stored_time)
            batches.append(made if identity is None or self._stamper is None else self._stamper.stamped(made, identity, origin.probe, origin.interfaces))
        if self._holders is not None and len(told := self._holders.sessions.take_rows()):
            batches.append(self._holders.rows(told, identity, probe=origin.probe, source=origin.source, capture_id=origin.capture_id,
                                              stored_time=self.stored_time))
        if self.rules.tagging is not None:              # they see all else that a row says
            batches = [self.rules.tagging.tagged(one) for one in batches]
        return batches

    def _whose(self, outbox: Any, identity: Identity | None, origin: Origin) -> Callable[[Any], Mapping[str, AnyColumn]] | None:
        """What says whose the clients of some records are."""
        stamper = self._stamper
        if identity is None or stamper is None or not len(identity.bindings):
            return None
        return lambda places: stamper.whose(outbox.view(np.ndarray)[places], identity, origin.probe, origin.interfaces)


def _is_apart(sink: Sink) -> bool:
    """See Sink."""
    return getattr(sink, "apart", False)


def _naming(rules: RuleSet) -> Naming:
    return Naming(rules.protocols, rules.applications, rules.categories, rules.protocol_categories, rules.words, rules.version)
