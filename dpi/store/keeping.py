"""A store held to its budget: the oldest rows go first, a part of a table at a time.

Age counts from `stored_time`, as partitions do (dpi.store.tables). Of bytes, flows and messages go first, then rollups and coverage, which are kept longer;
`captures` stays. What is in doubt stays: a part goes by its age once its newest row is too old, by a clock that is not ahead of the newest row stored; it goes
for bytes only where at least _KEPT of them stay. Parts are held small enough for that by holding merges to a share of the bytes. What a legal hold keeps
(dpi.store.holds) goes for neither, and has its room besides. Usage and audit rows go by age only.
"""
from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Set
from typing import Any

from dpi.errors import UserError
from dpi.store.budget import FOLDED, NOTED, RAW, USAGE, Budget
from dpi.store.disposal import DAY, Asked, Disposal, Part

_KEPT = 0.75            # of the bytes that may be kept, what stays at least
_MERGED = 32            # parts are merged up to this share of them
_SMALLEST = 1 << 20     # bytes that parts may be merged to in any case
EVERY = 120.0           # s between two looks
log = logging.getLogger("dpi.store")


def surplus(parts: list[Part], budget: Budget, now: float, held: Set[tuple[str, str]] = frozenset()) -> list[tuple[Part, str]]:
    """The parts to drop, in that order, and why: 'age' or 'size'. now: s since the epoch. held: (table, part) of those that stay whatever their size; of those
    that are too old what is not held is to go."""
    dropped = []
    now = min(now, max((part.newest for part in parts), default=0))       # a clock that went wrong makes nothing old
    for part in parts:
        days = budget.days.get(part.table, 0)
        if days and part.newest and part.newest < now - days * DAY:
            dropped.append((part, "age"))
    if budget.bytes:
        gone = {part for part, _ in dropped}
        # what is held does not count: it would take the room of what comes, down to flows whose usage is not computed yet
        total = sum(part.bytes for part in parts if part not in gone and part.table in (*RAW, *FOLDED) and (part.table, part.name) not in held)
        for tables in (RAW, FOLDED):
            for part in sorted((part for part in parts if part.table in tables and part not in gone
                                and (part.table, part.name) not in held), key=lambda part: part.newest):
                if total <= budget.bytes or total - part.bytes < budget.bytes * _KEPT:
                    return dropped      # nor the next one in its place: what is older goes first, or nothing does
                dropped.append((part, "size"))
                total -= part.bytes
    return dropped


class Keeping:
    """Holds a store to its budget. `rows` and `bytes` count what went. store: open, or what opens one for each look (a server's)."""

    def __init__(self, store: Asked | Callable[[], Any], budget: Budget, every: float = EVERY, wait: bool = False) -> None:
        """wait: rows that are taken out of a part are waited for."""
        self.budget, self.rows, self.bytes = budget, 0, 0
        self._store, self._every, self._held, self._wait = store, every, 0, wait
        self._disposal: Disposal | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeping", daemon=True)

    def __enter__(self) -> Keeping:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._over.wait(self._every):
            try:
                self.look()
            except UserError as error:          # the store is away: the next time
                log.warning("old rows could not be dropped", extra={"reason": str(error)})

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[Asked, Disposal]]:
        if callable(self._store):
            with contextlib.closing(self._store()) as opened:
                opened.query("SELECT 1")
                yield opened, Disposal(opened, self._wait)
            return
        self._disposal = self._disposal or Disposal(self._store, self._wait)
        yield self._store, self._disposal

    def look(self) -> int:
        """Drop what is beyond the budget now; how many rows went. Raises UserError where the store can't be asked."""
        if not self.budget:
            return 0
        before = self.rows
        with self._opened() as (store, disposal):
            self._look(store, disposal, self.budget)
        return self.rows - before

    def _look(self, store: Asked, disposal: Disposal, budget: Budget) -> None:
        self._hold_merges(store, budget.bytes)
        known = (*RAW, *FOLDED, *USAGE, *NOTED)
        parts = [part for part in disposal.parts() if part.table in known]
        held = disposal.held()
        gone: dict[tuple[str, str], list[int]] = {}
        dropped = set()
        for part, why in surplus(parts, budget, time.time(), held):
            if self._over.is_set():
                break
            if (part.table, part.name) in held:
                rows, size = disposal.strip(part), 0
            else:
                rows, size = (part.rows, part.bytes) if disposal.drop(part, why) else (0, 0)
                dropped.add(part)
            counts = gone.setdefault((part.table, why), [0, 0])
            counts[0], counts[1] = counts[0] + rows, counts[1] + size
        if budget.unbound and not self._over.is_set():
            newest = max((part.newest for part in parts), default=0)
            gone["flows", "unbound"] = [disposal.unbound([part for part in parts if part not in dropped], min(time.time(), newest) - budget.unbound * DAY), 0]
        for (table, why), (rows, size) in gone.items():
            self.rows, self.bytes = self.rows + rows, self.bytes + size
            if rows:
                log.info("old rows dropped", extra={"table": table, "rows": rows, "bytes": size, "for": why})

    def _hold_merges(self, store: Asked, size: int) -> None:
        """No part becomes so large that it could not go without much that is to stay."""
        if size == self._held or not size:
            return
        for table in RAW:
            store.query(f"ALTER TABLE {table} MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = {max(size // _MERGED, _SMALLEST)}")
        self._held = size
