"""The threads of a replay on several cores. Kernels drop the GIL, so they run beside one another.

The caller's thread reads and decodes blocks and deals their packets; each shard takes its own in a thread; one thread makes rows of what they
export. Blocks go round: a shard that falls behind holds the others up once AHEAD blocks wait for it.

Rows are named by what clients were told (dpi/classify/resolutions.py), whichever shard saw the answer. So rows wait until every shard has passed the
packet at which they were exported, and those that wait the longest are written first; before them the answers up to that packet are learned, in the
order of their packets: the result is that of one thread.
"""
from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dpi.behind import EVERYTHING, Behind
from dpi.capture.block import Blocks
from dpi.capture.intake import Dealt, Intake
from dpi.classify.resolutions import ANSWER
from dpi.output import Output
from dpi.shard import Shard

AHEAD = 6                   # blocks that are read before all shards have taken the first of them
ANSWERS_KEPT = 1 << 13      # that wait for rows to be written; beyond it they are learned as soon as all shards have passed them


class Crew:
    """The shards of a replay and their threads."""

    def __init__(self, intake: Intake, shards: Sequence[Shard], room: int) -> None:
        """room: frames of a block at most."""
        self.intake, self.shards = intake, shards
        self.rows = Behind(len(shards))
        self._free: queue.SimpleQueue[Dealt] = queue.SimpleQueue()
        self._counting = threading.Lock()
        self._noted: list[tuple[Any, Any]] = []     # packets' numbers and the answers they held, not learned yet; `rows.table` is held for it
        self._stopped: BaseException | None = None
        for _ in range(AHEAD):
            self._free.put(Dealt(room, len(shards)))

    def run(self, blocks: Blocks, keep: bool, told: Callable[[], None]) -> None:
        """Take in a capture. keep: its flows live on in the next one. told: called after each block.

        Raises what `blocks` or a sink raises, after the shards have ended with what they were given.
        """
        self.rows.passed[:] = [0] * len(self.shards)
        ways: list[queue.SimpleQueue[Dealt | None]] = [queue.SimpleQueue() for _ in self.shards]
        threads = [threading.Thread(target=self._follow, args=(number, ways[number], keep), name=f"shard {number}", daemon=True) for number in range(len(ways))]
        for thread in threads:
            thread.start()
        dealt = self._free.get()
        try:
            with contextlib.closing(blocks(lambda: dealt.frames)) as some:
                for block in some:
                    self.intake.deal(block, dealt)
                    dealt.left = len(ways)
                    for way in ways:
                        way.put(dealt)
                    dealt = self._free.get()
                    told()
                    if self.rows.failed or self._stopped:
                        break
        finally:
            self._free.put(dealt)
            for way in ways:
                way.put(None)
            for thread in threads:
                thread.join()
            self.intake.forget()
            self.rows.wait()
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            raise stopped

    def _follow(self, number: int, way: queue.SimpleQueue[Dealt | None], keep: bool) -> None:
        """A shard's thread."""
        shard, begin = self.shards[number], 0
        while (dealt := way.get()) is not None:
            begin = dealt.begin
            try:
                if self._stopped is None:
                    self._take(number, shard, dealt)
            except BaseException as error:      # raised where the caller is; nobody waits for this shard any longer
                self._stopped = error
                self.rows.beyond(number, EVERYTHING)
            with self._counting:
                dealt.left -= 1
                last = dealt.left == 0
            if last:
                self._free.put(dealt)
        try:
            if self._stopped is None:
                self._end(number, shard, keep, begin)
        except BaseException as error:
            self._stopped = error
        self.rows.beyond(number, EVERYTHING)

    def _take(self, number: int, shard: Shard, dealt: Dealt) -> None:
        while not shard.take(dealt, number):
            self._drain(number, shard, shard.at(dealt, number), dealt.begin)
        self._note(shard, dealt.begin)
        self.rows.beyond(number, dealt.end)
        if shard.told and not number:
            self._drain(number, shard, dealt.end, dealt.begin)

    def _drain(self, number: int, shard: Shard, position: int, begin: int) -> None:
        """Hand over what was exported up to here. begin: the number of the block's first packet."""
        self._note(shard, begin)
        self.rows.beyond(number, position)
        out = shard.drained()
        self.rows.put(position, lambda: self._write(shard, out, position), out.free)
        shard.output.free.wait()

    def _write(self, shard: Shard, out: Output, position: int) -> None:
        with self.rows.table:
            self._learn(shard, position)
            out.settle()
        shard.write(out)

    def _note(self, shard: Shard, begin: int) -> None:
        """Keep the answers that a shard noted in a block until it is their turn to be learned."""
        if not shard.counters.answers:
            return
        answers = shard.noted()
        numbers = begin + (answers["number"].astype(np.int64) - begin & 0xFFFFFFFF)
        with self.rows.table:
            self._noted.append((numbers, answers))
            if sum(len(some) for some, _ in self._noted) > ANSWERS_KEPT:
                self._learn(shard, min(self.rows.passed))

    def _learn(self, shard: Shard, position: int) -> None:
        """Learn, by the order of their packets, the answers before this one. Every shard has passed it."""
        if not self._noted:
            return
        numbers, answers = np.concatenate([some for some, _ in self._noted]), np.concatenate([some for _, some in self._noted])
        order = np.argsort(numbers, kind="stable")
        numbers, answers = numbers[order], answers[order]
        many = int(np.searchsorted(numbers, position))
        shard.given(answers[:many].view(ANSWER))
        self._noted = [(numbers[many:], answers[many:])] if many < len(numbers) else []

    def _end(self, number: int, shard: Shard, keep: bool, begin: int) -> None:
        """The last packet is behind us: end all flows, unless they live on."""
        if not keep:
            shard.set_clock(int(self.intake.timeline.row.clock))
            while not shard.flush():
                self._drain(number, shard, EVERYTHING, begin)
        self._drain(number, shard, EVERYTHING, begin)
        shard.forget()
