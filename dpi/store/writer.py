"""Rows on their way into a store: small batches are gathered into large ones, and a thread inserts these while the pipeline goes on.

Few large inserts make few parts. The thread holds no lock of Python while the engine works, so on two cores storing costs the pipeline
little; on one core it costs what it costs.
"""
from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from dpi.batch import Batch
from dpi.errors import UserError
from dpi.store.gathering import Gathering, signature

ROWS = 131_072          # rows of one table gathered before they are inserted
FIRST, ROWS_BETWEEN, LAST = 0, 1, 2         # orders of insertion
WAITING = 3             # inserts that may wait before `write` blocks: bounds the memory

Insert = Callable[[Batch], None]


class Writer:
    """Gathers batches by table and columns; `insert` is called in the thread with one batch of all."""

    def __init__(self, insert: Insert, rows: int = ROWS) -> None:
        self._insert = insert
        self._rows = rows
        self._gathered: dict[tuple[int, tuple[str, ...]], Gathering] = {}
        self._queue: queue.Queue[Gathering | None] = queue.Queue(WAITING)
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
            gathered = self._gathered.get(key)
            if gathered is None:
                gathered = self._gathered[key] = Gathering(batch, self._rows)
            gathered.add(batch)
            if gathered.rows >= self._rows:
                self._hand_over(order)

    def flush(self) -> None:
        """Insert all that is gathered and wait for it."""
        with self._lock:
            self._hand_over(LAST)
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

    def _hand_over(self, order: int) -> None:
        """To the thread: what has this order or a lower one, of this order only what is full unless it is the last."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="fullspan-store", daemon=True)
            self._thread.start()
        for key in sorted(self._gathered):
            if key[0] < order or order == LAST or (key[0] == order and self._gathered[key].rows >= self._rows):
                self._queue.put(self._gathered.pop(key))

    def _work(self) -> None:
        while True:
            gathered = self._queue.get()
            try:
                if gathered is None:
                    return
                if self._error is not None:         # the first error is told; what comes after it is counted, not tried
                    self.lost += gathered.rows
                    continue
                try:
                    self._insert(gathered.batch())
                    self.rows += gathered.rows
                except BaseException as error:      # told at the next write, flush or close
                    self._error = error
                    self.lost += gathered.rows
            finally:
                del gathered                        # its memory goes before the next one comes
                self._queue.task_done()

    def _complain(self) -> None:
        if self._error is None:
            return
        error = self._error
        if isinstance(error, UserError):
            raise UserError(error.what, error.where, error.mend)
        raise error
