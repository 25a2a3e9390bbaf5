"""Rows on their way into a store: batches are gathered, become bytes in a file in memory, and a thread inserts these files while the pipeline
goes on.

Few large inserts make few parts. The thread holds no lock of Python while the engine works, so on two cores storing costs the pipeline
little: there, rows go as soon as the thread has nothing to do, but never fewer than a quarter of what the table was given before.
"""
from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable

from dpi.batch import Batch
from dpi.errors import UserError
from dpi.store.gathering import Gathering, signature
from dpi.store.native import block

ROWS = 131_072          # rows of one table before they are inserted
EAGER = 8_192           # rows that are inserted ahead of that where a core is free for it
BLOCK = 16_384          # rows gathered before they are encoded: few enough to be in a cache
FIRST, ROWS_BETWEEN, LAST = 0, 1, 2         # orders of insertion
WAITING = 3             # times that spools may be handed over ahead of the thread before `write` blocks: bounds the memory
_VECTOR = 512           # buffers written in one call; the kernel takes at most 1024


class Spool:
    """Rows of one table and the same columns: the last ones as columns, those before them as Native blocks in a file in memory."""

    def __init__(self, first: Batch) -> None:
        self.table, self.columns = first.table, tuple(signature(first)[1:])
        self.rows = 0
        self._gathering = Gathering(first, 2 * BLOCK)       # what fits before it is encoded, as batches are no larger: it need not grow
        self._file = os.memfd_create("fullspan-rows", os.MFD_CLOEXEC)

    @property
    def file(self) -> int:
        """The file's number in this process; complete after `end`."""
        return self._file

    def add(self, batch: Batch) -> None:
        """Append rows; nothing of the batch is kept."""
        self._gathering.add(batch)
        self.rows += batch.count
        if self._gathering.rows >= BLOCK:
            self.end()

    def end(self) -> None:
        """Bring what is still columns into the file."""
        if not self._gathering.rows:
            return
        waiting = [memoryview(buffer) for buffer in block(self._gathering.batch())]
        while waiting:
            written = os.writev(self._file, waiting[:_VECTOR])
            done = 0
            while done < len(waiting) and written >= len(waiting[done]):
                written -= len(waiting[done])
                done += 1
            del waiting[:done]
            if written:
                waiting[0] = waiting[0][written:]
        self._gathering.clear()

    def again(self) -> None:
        """Empty it for other rows of the same columns."""
        self.rows = 0
        self._gathering.clear()
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)

    def close(self) -> None:
        os.close(self._file)


Insert = Callable[[Spool], None]


class Writer:
    """Gathers batches by table and columns; `insert` is called in the thread with a spool of them."""

    def __init__(self, insert: Insert, rows: int = ROWS, eager: int = EAGER) -> None:
        self._insert = insert
        self._rows = rows
        self._eager = eager if len(os.sched_getaffinity(0)) > 1 else rows
        self._given: dict[str, int] = {}        # rows handed to the thread, by table
        self._gathered: dict[tuple[int, tuple[str, ...]], Spool] = {}
        self._free: dict[tuple[str, ...], list[Spool]] = {}
        self._queue: queue.Queue[list[Spool] | None] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._lock = threading.Lock()       # shards write from threads of their own
        self.rows = 0           # handed to the engine and accepted
        self.lost = 0           # given to `write` and not stored, because of the error

    def write(self, batch: Batch, order: int = ROWS_BETWEEN) -> None:
        """Take a batch; blocks while too much waits. Nothing is inserted before what was written with a lower order."""
        key = (order, signature(batch))
        self._complain()
        if not batch.count:
            return
        with self._lock:
            spool = self._gathered.get(key)
            if spool is None:
                free = self._free.get(key[1])
                spool = self._gathered[key] = free.pop() if free else Spool(batch)
            spool.add(batch)
            ahead = max(self._eager, self._given.get(batch.table, 0) // 4)
            if spool.rows >= self._rows or (spool.rows >= ahead and not self._queue.unfinished_tasks):
                self._hand_over([one for one in self._gathered if one[0] < order or one == key])

    def start_flush(self) -> None:
        """Have the thread insert all that is gathered."""
        with self._lock:
            self._hand_over(list(self._gathered))

    def flush(self) -> None:
        """Insert all that is gathered and wait for it."""
        self.start_flush()
        if self._thread is not None:
            self._queue.join()
        self._complain()

    def close(self) -> None:
        """Flush and end the thread, whatever happens."""
        try:
            self.flush()
        finally:
            if self._thread is not None:
                self._queue.put(None)
                self._thread.join()
                self._thread = None
            for spool in [*self._gathered.values(), *(one for some in self._free.values() for one in some)]:
                spool.close()
            self._gathered, self._free = {}, {}

    def _hand_over(self, keys: list[tuple[int, tuple[str, ...]]]) -> None:
        """These to the thread, by their order."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="fullspan-store", daemon=True)
            self._thread.start()
        spools = [self._gathered.pop(key) for key in sorted(keys)]
        for spool in spools:
            self._given[spool.table] = self._given.get(spool.table, 0) + spool.rows
        if spools:
            self._queue.put(spools)

    def _work(self) -> None:
        while True:
            spools = self._queue.get()
            try:
                if spools is None:
                    return
                for spool in spools:
                    if self._error is None:
                        self._try(spool)
                    else:                           # the first error is told; what comes after it is counted, not tried
                        self.lost += spool.rows
                    spool.again()
                    self._free.setdefault((spool.table, *spool.columns), []).append(spool)
            finally:
                self._queue.task_done()

    def _try(self, spool: Spool) -> None:
        try:
            spool.end()
            self._insert(spool)
            self.rows += spool.rows
        except BaseException as error:              # told at the next write, flush or close
            self._error = error
            self.lost += spool.rows

    def _complain(self) -> None:
        if self._error is None:
            return
        error = self._error
        if isinstance(error, UserError):
            raise UserError(error.what, error.where, error.mend)
        raise error
