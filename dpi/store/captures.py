"""Which captures a store holds, and how one of them is taken out again."""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from dpi.batch import Batch
from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.schema import TABLES

#: What `damage` says of a capture whose replay has not come to its end: of one that was killed it stays.
UNFINISHED = "unfinished: its replay was ended before its time"

Run = Callable[[str], Iterable[Any]]


@dataclass(frozen=True)
class Stored:
    """A capture in the store. modified_time: us, 0 for a stream; sha256: '' where it was not needed."""
    capture_id: int
    path: str
    size: int
    modified_time: int
    sha256: str


class Captures:
    """The captures of a store by their size: those it had when first asked, and those written since."""

    def __init__(self, run: Run, modified: str = "toUnixTimestamp64Micro(modified_time)") -> None:
        """modified: SQL for modified_time in us."""
        self._run, self._modified = run, modified
        self._known: dict[int, Stored] | None = None        # not asked for yet
        self._noted: dict[int, Stored] = {}                 # meanwhile
        self._lock = threading.Lock()

    def of_size(self, size: int) -> list[Stored]:
        """The captures of so many bytes."""
        self._ask()
        with self._lock:
            return [one for one in (self._known or {}).values() if one.size == size]

    def none_yet(self) -> None:
        """The store is new, and need not be asked."""
        with self._lock:
            self._known = self._known or dict(self._noted)

    def forget(self, numbers: Iterable[int]) -> None:
        """These are about to go."""
        self._ask()
        with self._lock:
            for number in numbers:
                (self._known or {}).pop(number, None)

    def note(self, batch: Batch) -> bool:
        """Take up the rows of a batch of `captures`; whether one of them was known. The store is not asked for that: an id that it has is only written again by
        whoever wrote it, or looked for it."""
        columns, again = batch.columns, False
        with self._lock:
            known = self._noted if self._known is None else self._known
            for row in range(batch.count):
                def value(name: str, nothing: Any, row: int = row) -> Any:
                    column: Any = columns.get(name)
                    return nothing if column is None else type(nothing)(column[row])
                number = value("capture_id", 0)
                again |= number in known
                known[number] = Stored(number, value("path", ""), value("size", 0), value("modified_time", 0), value("sha256", ""))
        return again

    def _ask(self) -> None:
        """Have what the store had."""
        if self._known is not None:
            return
        held = {int(number): Stored(int(number), str(path), int(size), int(modified), str(sha256)) for number, path, size, modified, sha256 in self._run(
            f"SELECT toString(capture_id), path, toString(size), {self._modified}, sha256 FROM captures FINAL")}
        with self._lock:
            if self._known is None:
                self._known = held | self._noted


def has_begun(batch: Batch) -> bool:
    """Whether these rows of `captures` are of replays that have only begun."""
    damage: Any = batch.columns.get("damage")
    return damage is not None and all(str(word) == UNFINISHED for word in damage)


def of_captures() -> list[str]:
    """The tables whose rows are of a capture and go with it, but `captures`; what is noted of the keeping of rows stays."""
    return [name for name, table in TABLES.items() if name not in ("captures", "expired") and "capture_id" in table.names]


def drop(run: Run, captures: list[int]) -> bool:
    """Drop every row of these captures: parts that hold nothing else are dropped whole, others rewritten without them. True: merges were started.

    The rows of `captures` go last: where this is interrupted, the next replay of the file finds them and drops the rest.
    """
    chosen = ", ".join(str(capture) for capture in captures)
    kept = {str(name) for name, in run("SELECT name FROM system.tables WHERE database = currentDatabase() AND engine != 'View'")}
    names = [*(name for name in of_captures() if name in kept), "captures"]
    started = False
    for name in names:
        parts = run(f"SELECT _part, countIf(capture_id IN ({chosen})) AS gone, count() AS held FROM {name} GROUP BY _part HAVING gone > 0")
        mixed = False
        for part, gone, held in parts:
            try:
                if gone == held:
                    run(f"ALTER TABLE {name} DROP PART '{part}'")
                    continue
            except UserError:
                pass                # merged with another meanwhile
            mixed = True
        if mixed:
            run(f"SYSTEM START MERGES {name}")
            run(f"ALTER TABLE {name} DELETE WHERE capture_id IN ({chosen}) SETTINGS mutations_sync = 1")
            started = True
    return started
