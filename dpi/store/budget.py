"""What an embedded store may keep: so many bytes, so many days. The oldest rows go first, a part of a table at a time.

Age counts from `stored_time`, as partitions do (dpi.store.tables). Of bytes, flows and messages go first, then rollups and coverage, which are kept longer;
`captures` stays. What is in doubt stays: a part goes by its age once its newest row is too old, by a clock that is not ahead of the newest row stored; it goes
for bytes only where at least _KEPT of them stay. Parts are held small enough for that by holding merges to a share of the bytes.
"""
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from dpi.errors import UserError
from dpi.schema import TABLES, TRANSACTION_TABLES

_DAY = 86_400
_KEPT = 0.75            # of the bytes that may be kept, what stays at least
_MERGED = 32            # parts are merged up to this share of them
_SMALLEST = 1 << 20     # bytes that parts may be merged to in any case
EVERY = 120.0           # s between two looks
MESSAGES = tuple(name for name in TRANSACTION_TABLES if name)
RAW = ("flows", "sessions", *MESSAGES)
FOLDED = ("coverage", "link_state", *(name for name, table in TABLES.items() if table.folds))
_PARTS = ("SELECT table, name, rows, bytes_on_disk, multiIf(toUnixTimestamp(max_time) > 0, toUnixTimestamp(max_time) + 1, "
          "max_date > '1970-01-01', toUnixTimestamp(toDateTime(max_date + 1, 'UTC')), 0) FROM system.parts WHERE active AND database = currentDatabase()")
log = logging.getLogger("dpi.store")

Ask = Callable[[str], Iterable[Any]]


class Asked(Protocol):
    """The store: dpi.store.Store."""

    def query(self, sql: str, params: dict[str, Any] | None = None) -> Any: ...


@dataclass(frozen=True)
class Budget:
    """0: no limit. bytes: of all tables together; days since rows were stored, of flows and sessions, of dns, tls, http and files, of rollups and coverage."""
    bytes: int = 0
    flows: int = 0
    messages: int = 0
    folded: int = 0

    @property
    def days(self) -> dict[str, int]:
        """By table, where there is a limit."""
        given = {"flows": self.flows, "sessions": self.flows, **dict.fromkeys(MESSAGES, self.messages), **dict.fromkeys(FOLDED, self.folded)}
        return {table: days for table, days in given.items() if days}

    def __bool__(self) -> bool:
        return bool(self.bytes or self.days)


def budget_of(asked: Any) -> Budget:
    """asked: the settings of [store] (dpi.settings.Store)."""
    return Budget(asked.max_mb << 20, asked.max_days, asked.max_days_messages, asked.max_days_rollups)


@dataclass(frozen=True)
class Part:
    """A part of a table; newest: when its newest row was stored, s since the epoch, or a little later; 0: not known."""
    table: str
    name: str
    rows: int
    bytes: int
    newest: int


def surplus(parts: list[Part], budget: Budget, now: float) -> list[tuple[Part, str]]:
    """The parts to drop, in that order, and why: 'age' or 'size'. now: s since the epoch."""
    dropped = []
    now = min(now, max((part.newest for part in parts), default=0))       # a clock that went wrong makes nothing old
    for part in parts:
        days = budget.days.get(part.table, 0)
        if days and part.newest and part.newest < now - days * _DAY:
            dropped.append((part, "age"))
    if budget.bytes:
        gone = {part for part, _ in dropped}
        total = sum(part.bytes for part in parts if part not in gone)
        for tables in (RAW, FOLDED):
            for part in sorted((part for part in parts if part.table in tables and part not in gone), key=lambda part: part.newest):
                if total <= budget.bytes or total - part.bytes < budget.bytes * _KEPT:
                    return dropped      # nor the next one in its place: what is older goes first, or nothing does
                dropped.append((part, "size"))
                total -= part.bytes
    return dropped


class Keeping:
    """Holds a store to its budget. `dropped` and `bytes` count rows and bytes that went."""

    def __init__(self, store: Asked, budget: Budget, every: float = EVERY) -> None:
        self.budget, self.rows, self.bytes = budget, 0, 0
        self._store, self._every, self._held = store, every, 0
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

    def look(self) -> int:
        """Drop what is beyond the budget now; how many rows went. Raises UserError where the store can't be asked."""
        budget, before = self.budget, self.rows
        if not budget:
            return 0
        self._hold_merges(budget.bytes)
        parts = [Part(str(table), str(name), int(rows), int(size), int(newest)) for table, name, rows, size, newest in self._store.query(_PARTS)]
        gone: dict[tuple[str, str], list[int]] = {}
        for part, why in surplus([part for part in parts if part.table in (*RAW, *FOLDED)], budget, time.time()):
            if self._over.is_set():
                break
            try:
                self._store.query(f"ALTER TABLE {part.table} DROP PART '{part.name}'")
            except UserError as error:
                if "NO_SUCH_DATA_PART" in str(error) or "No part" in str(error) or "no such part" in str(error).lower():
                    continue            # merged with another meanwhile: that one is looked at the next time
                raise
            self.rows, self.bytes = self.rows + part.rows, self.bytes + part.bytes
            counts = gone.setdefault((part.table, why), [0, 0])
            counts[0], counts[1] = counts[0] + part.rows, counts[1] + part.bytes
        for (table, why), (rows, size) in gone.items():
            log.info("old rows dropped", extra={"table": table, "rows": rows, "bytes": size, "for": why})
        return self.rows - before

    def _hold_merges(self, size: int) -> None:
        """No part becomes so large that it could not go without much that is to stay."""
        if size == self._held or not size:
            return
        for table in RAW:
            self._store.query(f"ALTER TABLE {table} MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = {max(size // _MERGED, _SMALLEST)}")
        self._held = size
