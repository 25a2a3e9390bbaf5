"""Blocks of a mapped capture, walked by a thread of their own while those before them are taken in.

A walk reads the headers of records and so brings the first lines of packets into the cache that the cores share; packets stay with the core that takes them in.
"""
from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from contextlib import closing
from typing import Any

from dpi.capture.block import Block, Blocks
from dpi.capture.frame import FRAME
from dpi.jit import records
from dpi.priority import Aside

AHEAD = 3               # blocks: one is taken in, one waits, one is walked


class _Ended(Exception):
    """Nobody takes any more blocks."""


class _Walk:
    """A thread that walks. `ready` gives each block with the array its frames lie in, then None; that array is put into `free` again."""

    def __init__(self, blocks: Blocks, room: int, aside: Aside | None) -> None:
        self.ready: queue.SimpleQueue[tuple[Block, Any] | None] = queue.SimpleQueue()
        self.free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.failed: BaseException | None = None
        self._blocks, self._aside, self._stopped = blocks, aside, False
        self._given: Any = None             # the array that the coming block is written into
        for _ in range(AHEAD):
            self.free.put(records(room, FRAME))
        self._thread = threading.Thread(target=self._run, name="walk", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped = True
        self.free.put(None)         # it may wait for an array: this one is never written to
        self._thread.join()

    def _place(self) -> Any:
        """Where the next block goes: where the one before it went, if that was given to nobody."""
        if self._given is None:
            self._given = self.free.get()
        if self._stopped:
            raise _Ended
        return self._given

    def _run(self) -> None:
        if self._aside is not None:
            self._aside.join()
        try:
            with closing(self._blocks(self._place)) as blocks:
                for block in blocks:
                    self.ready.put((block, self._given))
                    self._given = None
        except _Ended:
            pass
        except BaseException as error:      # raised where the blocks are taken
            self.failed = error
        self.ready.put(None)


def ahead(blocks: Blocks, room: int, aside: Aside | None = None) -> Generator[Block, None, None]:
    """The blocks that `blocks(place)` gives, of at most `room` frames, each good until the next one is asked for. Raises what it raises, after the blocks
    before that. aside: who keeps off the core of the thread that takes them, as this one then does."""
    walk = _Walk(blocks, room, aside)
    try:
        while (found := walk.ready.get()) is not None:
            block, frames = found
            yield block
            walk.free.put(frames)
    finally:
        walk.stop()
    if walk.failed is not None:
        raise walk.failed
