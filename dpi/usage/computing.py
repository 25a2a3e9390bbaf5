"""The job: computes the slots that are closed and differ from what is stored, and writes them.

Of a slot the rows are written first, then read back; where they are what the flows give, its row of usage_slots follows, with a count of rows and a digest.
Killed anywhere, the next run finds either the slot's row, or rows without one: these it takes over where they are right, and outnumbers (`revision`) where
not. A slot that comes out as it is stored is not written again. A slot whose flows have gone since, for their age or for want of room, is never computed anew.
"""
from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import field, replace
from typing import Any

import numpy as np

from dpi.batch import Batch, Coded, Lists, Texts
from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.schema import TABLES
from dpi.store import Away
from dpi.store.parcel import Packing, Parcel
from dpi.usage.definition import EMPTY, STEPS, chosen, chosen_stored, digests, figures, keys, rows, stored
from dpi.usage.slots import Asked, Held, Minutes, Source, held, minutes

_FLOWS = 2_000_000      # rows of flows that one question goes through, unless a single slot has more
_SLOTS = 720            # slots of one question
_ROWS = 200_000         # rows of usage held here at once, unless a single slot has more
Key = tuple[Any, ...]   # slot, s, and the row's own keys


@dataclass
class Change:
    """What became of a service's, or a network's, bytes in the slots that changed. bytes of duplicates are in none of them."""
    before: int = 0
    after: int = 0


@dataclass
class Tally:
    """What was done to a table's slots, in slots. refused: their flows have gone; open: not closed yet; unsettled: flows came while they were written, so
    they are looked at again the next time."""
    computed: int = 0
    unchanged: int = 0
    written: int = 0
    revised: int = 0        # of those, slots that were closed before
    refused: int = 0
    open: int = 0
    unsettled: int = 0
    rows: int = 0           # written
    bytes: int = 0          # IP octets of the slots computed


@dataclass
class Outcome:
    """Of one run. changes: table -> service or network -> its bytes in the slots that changed."""
    tables: dict[str, Tally] = field(default_factory=lambda: {table: Tally() for table in STEPS})
    changes: dict[str, dict[str, Change]] = field(default_factory=lambda: {table: {} for table in STEPS})
    refused: list[tuple[str, Source, int]] = field(default_factory=list)       # table, source, slot

    def total(self, name: str) -> int:
        """Of all tables."""
        return sum(getattr(tally, name) for tally in self.tables.values())


@dataclass(frozen=True)
class _Found:
    """A slot as its flows give it."""
    rows: int = 0
    bytes: int = 0
    digest: str = EMPTY


class TooOld(UserError):
    """The store can't compute usage, today or tomorrow."""


class Job:
    """Computes usage in a store. Two may work on one store: what they write is the same, or is outnumbered at the next run.

    TooOld: a ClickHouse server before 21, which can't compute it."""

    def __init__(self, store: Asked, threads: int | None = 0) -> None:
        """threads: of the engine for one question; 0: half of the processors; None: as the store has it, which may take no setting from a reader."""
        self._store = store
        self._settings = "" if threads is None else f"SETTINGS max_threads = {threads or max(1, len(os.sched_getaffinity(0)) // 2)}"
        self._packing = Packing("usage")
        version = str(store.query("SELECT version()").value())
        if int(version.split(".")[0]) < 21:
            raise TooOld(f"usage can't be computed by ClickHouse {version}", store.url, "usage needs the embedded store, or a server of 21 or later")

    def run(self, begin: int | None = None, end: int | None = None, *, captures: Iterable[int] | None = (), every: bool = False, dry: bool = False,
            now: float | None = None) -> Outcome:
        """Compute the minutes in [begin, end), s, and the hours that lie in part or whole in them; None: no limit.

        captures: () live traffic only, None all sources, else these captures. every: also slots whose number of flow rows is as it was. dry: write nothing.
        Raises UserError where the store can't be asked, Away where it may be asked later."""
        hour = STEPS["usage_1h"]
        wide = (None if begin is None else begin - begin % hour, None if end is None else end + -end % hour)
        outcome = Outcome()
        for source, known in sorted(minutes(self._store, *wide, captures, now).items()):
            for table, step in STEPS.items():
                span = (begin, end) if step < hour else wide
                self._table(table, source, known, span, every, dry, outcome)
        return outcome

    def _table(self, table: str, source: Source, known: Minutes, span: tuple[int | None, int | None], every: bool, dry: bool, outcome: Outcome) -> None:
        """One table of one source."""
        tally, before = outcome.tables[table], held(self._store, table, source, *span)
        due: list[tuple[int, int]] = []
        expired = {at - at % STEPS[table] for at in known.expired}
        for at, count in sorted(known.slots(table).items()):
            if span[0] is not None and at < span[0] or span[1] is not None and at >= span[1]:
                continue
            was = before.get(at)
            if not known.closed(table, at):
                tally.open += 1
            elif was is not None and count < was.flow_rows or was is None and at in expired:
                tally.refused += 1
                outcome.refused.append((table, source, at))
            elif every or was is None or was.flow_rows != count:
                due.append((at, count))
        for slots in _portions(due, lambda one: one[1], _FLOWS, _SLOTS):
            self._portion(table, source, dict(slots), before, dry, outcome)

    def _portion(self, table: str, source: Source, counts: dict[int, int], before: dict[int, Held], dry: bool, outcome: Outcome) -> None:
        """Some slots of a table, by their number of flow rows."""
        tally, where = outcome.tables[table], chosen(list(counts), STEPS[table])
        now = self._digests(table, source, rows(table, where)) if any(counts.values()) else {}
        changed: list[tuple[int, _Found]] = []
        same: list[tuple[int, _Found]] = []
        for at, count in counts.items():
            found, was = now.get(at, _Found()), before.get(at)
            tally.computed, tally.bytes = tally.computed + 1, tally.bytes + found.bytes
            if was is None or (found.rows, found.bytes, found.digest) != (was.rows, was.bytes, was.digest):
                changed.append((at, found))
            elif was.flow_rows != count:
                same.append((at, found))        # flows came that are in no row of this table
            else:
                tally.unchanged += 1
        if not dry and same:
            self._close(table, source, {at: self._held(found, counts[at], before[at].revision + 1) for at, found in same}, tally)
        elif dry:
            tally.unchanged += len(same)
        for slots in _portions(changed, lambda one: one[1].rows, _ROWS, _SLOTS):
            self._write(table, source, dict(slots), counts, before, dry, outcome)

    def _digests(self, table: str, source: Source, select: str) -> dict[int, _Found]:
        return {int(at): _Found(int(count), int(octets), str(digest))
                for at, count, octets, digest in self._store.query(f"{digests(table, select)} {self._settings}", source.params)}

    @staticmethod
    def _held(found: _Found, count: int, revision: int) -> Held:
        return Held(revision, count, found.rows, found.bytes, found.digest)

    def _write(self, table: str, source: Source, slots: dict[int, _Found], counts: dict[int, int], before: dict[int, Held], dry: bool,
               outcome: Outcome) -> None:
        """Slots that differ from what is stored."""
        tally, width, places = outcome.tables[table], 1 + len(keys(table)), list(slots)
        fresh = {tuple(row[:width]): tuple(row[width:]) for row in self._query(rows(table, chosen(places, STEPS[table])), source)}
        old = {tuple(row[:width]): (tuple(row[width:-1]), int(row[-1])) for row in self._query(stored(table, chosen_stored(places), True), source)}
        _note(table, fresh, old, outcome)
        if dry:
            tally.written += len(slots)
            return
        due: list[tuple[Key, Key, int]] = []
        revisions: dict[int, int] = {}
        nothing = _nothing(table)
        by_slot: dict[int, list[Key]] = {at: [] for at in places}
        for key in fresh.keys() | old.keys():
            by_slot[key[0]].append(key)
        for at, mine in by_slot.items():
            last = before.get(at, Held()).revision
            # rows of a run that did not come to its end: they stay where they are what is to be written, else they are outnumbered
            ahead = {key: old[key] for key in mine if key in old and old[key][1] > last}
            newest = max((revision for _, revision in ahead.values()), default=last + 1)
            right = all(revision == newest and fresh.get(key, nothing) == values for key, (values, revision) in ahead.items())
            revisions[at] = newest if right else newest + 1
            kept = ahead if right else {}
            due += [(key, fresh.get(key, nothing), revisions[at]) for key in sorted(mine)
                    if key not in kept and (key in fresh or old[key][0] != nothing)]
        for part in _sliced(due, 65_536):
            self._send(_batch(table, source, part))
        tally.rows += len(due)
        back = self._digests(table, source, stored(table, chosen_stored(places)))
        settled = {at: self._held(found, counts[at], revisions[at]) for at, found in slots.items() if back.get(at, _Found()) == found}
        tally.unsettled += len(slots) - len(settled)
        self._close(table, source, settled, tally)

    def _query(self, sql: str, source: Source) -> Iterator[Any]:
        for row in self._store.query(f"{sql} {self._settings}", source.params):
            yield [tuple(value) if isinstance(value, list) else value for value in row]

    def _close(self, table: str, source: Source, slots: dict[int, Held], tally: Tally) -> None:
        """The slots' own rows, after theirs."""
        if not slots:
            return
        self._send(_slots(table, source, slots))
        tally.written += len(slots)
        tally.revised += sum(one.revision > 1 for one in slots.values())

    def _send(self, batch: Batch) -> None:
        if not batch.count:
            return
        self._packing.add(batch)
        for gathering in self._packing.take(True):
            parcel = _named(self._packing.pack(gathering))
            try:
                self._store.insert(parcel)
            except Away:                        # once more; the run after this one finds what is missing
                self._store.insert(parcel, again=True)


def _named(parcel: Parcel) -> Parcel:
    """The parcel under a token that its rows give it: what two jobs write at once counts once, also for views over these tables."""
    told = hashlib.sha256(parcel.table.encode())
    for name, data in parcel.columns:
        if name != "stored_time":
            told.update(name.encode() + data)
    return replace(parcel, probe=f"usage_{told.hexdigest()}", boot=0, sequence=0)


def _nothing(table: str) -> Key:
    """The figures of a row that is no more: zero."""
    return tuple(() if TABLES[table].column(name).kind == "u64s" else 0 for name in figures(table))


def _note(table: str, fresh: dict[Key, Key], old: dict[Key, tuple[Key, int]], outcome: Outcome) -> None:
    """Remember what becomes of each service's bytes."""
    names, own = figures(table), (keys(table).index("prefix") if "prefix" in keys(table) else keys(table).index("service_id"))
    up, down = names.index("up_bytes"), names.index("down_bytes")
    for key in fresh.keys() | old.keys():
        before, after = old[key][0] if key in old else None, fresh.get(key)
        if before != after:
            change = outcome.changes[table].setdefault(str(key[1 + own]), Change())
            change.before += before[up] + before[down] if before else 0
            change.after += after[up] + after[down] if after else 0


def _portions(items: Iterable[Any], weight: Any, most: int, count: int) -> Iterator[list[Any]]:
    """Items in their order, so many together that they weigh no more than that, or a single one."""
    part: list[Any] = []
    total = 0
    for one in items:
        if part and (total + weight(one) > most or len(part) >= count):
            yield part
            part, total = [], 0
        part.append(one)
        total += weight(one)
    if part:
        yield part


def _sliced(items: list[Any], size: int) -> Iterator[list[Any]]:
    """So many at a time."""
    return (items[first:first + size] for first in range(0, len(items), size))


def _column(kind: str, values: list[Any]) -> Any:
    if kind == "code":
        return Coded.of(values)
    if kind == "text":
        return Texts.of(values)
    if kind == "u64s":
        offsets = np.zeros(len(values) + 1, np.int64)
        np.cumsum([len(one) for one in values], out=offsets[1:])
        return Lists(offsets, np.array([number for one in values for number in one], np.uint64))
    return np.array(values, {"minute": np.int64, "u8": np.uint8, "u32": np.uint32}.get(kind, np.uint64))


def _made(table: str, names: Iterable[str], lines: list[Key]) -> Batch:
    columns = {name: _column(TABLES[table].column(name).kind, list(values)) for name, values in zip(names, zip(*lines, strict=True), strict=True)}
    return Batch(table, len(lines), columns)


def _batch(table: str, source: Source, due: list[tuple[Key, Key, int]]) -> Batch:
    """Rows of a usage table."""
    names = ("time", *keys(table), *figures(table), "revision", "probe", "capture_id")
    return _made(table, names, [(*key, *values, revision, source.probe, source.capture_id) for key, values, revision in due])


def _slots(table: str, source: Source, slots: dict[int, Held]) -> Batch:
    """Rows of usage_slots."""
    names = ("table_name", "time", "probe", "capture_id", "flow_rows", "rows", "bytes", "digest", "revision")
    return _made("usage_slots", names, [(table, at, source.probe, source.capture_id, one.flow_rows, one.rows, one.bytes, one.digest, one.revision)
                                        for at, one in sorted(slots.items())])
