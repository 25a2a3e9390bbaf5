"""Rows on their way into a store: small batches are gathered, and a thread inserts them while the pipeline goes on.

Few large inserts make few parts. The thread holds no lock of Python while the engine works, so on two cores storing costs the pipeline
little; on one core it costs what it costs.
"""
from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from dpi.batch import Batch
from dpi.errors import UserError

ROWS = 131_072          # rows of one table gathered before they are inserted
WAITING = 3             # inserts that may wait before `write` blocks: bounds the memory

Insert = Callable[[list[Batch]], None]


class Writer:
    """Gathers batches by table and columns; `insert` is called in the thread with batches of one table and the same columns."""

    def __init__(self, insert: Insert, rows: int = ROWS) -> None:
        self._insert = insert
        self._rows = rows
        self._gathered: dict[tuple[str, ...], list[Batch]] = {}
        self._queue: queue.Queue[list[Batch] | None] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._lock = threading.Lock()       # shards write from threads of their own
        self.rows = 0           # handed to the engine and accepted
        self.lost = 0           # given to `write` and not stored, because of the error

    def write(self, batch: Batch) -> None:
        """Take a batch; blocks while too much waits."""
        self._complain()
        if not batch.count:
            return
        key = (batch.table, *batch.columns)
        with self._lock:
            gathered = self._gathered.setdefault(key, [])
            gathered.append(batch)
            if sum(one.count for one in gathered) >= self._rows:
                self._hand(self._gathered.pop(key))

    def flush(self) -> None:
        """Insert all that is gathered and wait for it."""
        with self._lock:
            while self._gathered:
                self._hand(self._gathered.popitem()[1])
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

    def _hand(self, batches: list[Batch]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="fullspan-store", daemon=True)
            self._thread.start()
        self._queue.put(batches)

    def _work(self) -> None:
        while True:
            batches = self._queue.get()
            try:
                if batches is None:
                    return
                count = sum(batch.count for batch in batches)
                if self._error is not None:         # the first error is told; what comes after it is counted, not tried
                    self.lost += count
                    continue
                try:
                    self._insert(batches)
                    self.rows += count
                except BaseException as error:      # told at the next write, flush or close
                    self._error = error
                    self.lost += count
            finally:
                self._queue.task_done()

    def _complain(self) -> None:
        if self._error is None:
            return
        error = self._error
        if isinstance(error, UserError):
            raise UserError(error.what, error.where, error.mend)
        raise error
