"""TRANSACTION records become Batches of their tables, column by column as dpi/schema.py says (`Column.slot`)."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from dpi.batch import NULLS, AnyColumn, Array, Batch, Coded, Made
from dpi.capture.prefetch import prefetch
from dpi.flow.facts import TRANSACTION, text_begin, text_length
from dpi.flow.vocabulary import BEYOND, WORDS
from dpi.jit import I64, entry
from dpi.schema import KINDS, TABLES, TRANSACTION_TABLES, Column
from dpi.texts import texts

_AHEAD = 16             # rows
_SECONDS = {"not_before", "not_after"}      # parsers give epoch seconds
I8 = np.dtype("i8")


@entry(TRANSACTION, I8, I8, I8, I64)
def find_text(records: Any, rows: Any, begins: Any, lengths: Any, place: Any) -> Any:
    """Where text `place` of each of `rows` begins in its field, and how long it is; lengths are 0 where a parser wrote fewer texts."""
    for k in range(rows.size):
        if k + _AHEAD < rows.size:
            prefetch(records, rows[k + _AHEAD])
        record = records[rows[k]]
        begins[k] = text_begin(record, place)
        lengths[k] = text_length(record, place, begins[k])
    return 0


def _number(table: str, column: Column, values: Array) -> AnyColumn:
    """A number field as its column. Negative numbers mean "not known" where 0 could be meant."""
    words = WORDS.get((table, column.name))
    if words is not None:
        return _worded(values, words)
    if column.name in _SECONDS:
        return np.where(values == 0, NULLS["time?"], np.clip(values, -9_000_000_000, 9_000_000_000) * 1_000_000)
    dtype = np.dtype(KINDS[column.kind].numpy)
    if not column.nullable:
        return np.clip(values, 0, min(np.iinfo(dtype).max, (1 << 63) - 1)).astype(dtype)
    null = NULLS[column.kind]
    unknown = values < 0 if column.name != "status" and not column.kind.startswith("time") else values <= 0
    if dtype.kind == "i":
        return np.where(unknown, null, values)
    return np.where(unknown, np.uint64(null), np.clip(values, 0, null - 1 if null < 1 << 63 else (1 << 63) - 1).astype(np.uint64)).astype(dtype)


def _worded(values: Array, words: Callable[[int], str]) -> Coded:
    """The words of numbers int64[n]; one of more than 16 bits is BEYOND, as in the summary."""
    if int(values.min()) < 0 or int(values.max()) > BEYOND:
        values = np.where((values < 0) | (values > BEYOND), BEYOND, values)
    used = np.flatnonzero(np.bincount(values))
    places = np.zeros(int(used[-1]) + 1, np.uint32)
    places[used] = np.arange(len(used))
    return Coded(places[values], [words(int(value)) for value in used])


class _Records:
    """The TRANSACTION records of one table."""

    def __init__(self, records: Any, table: str, rows: Array) -> None:
        self.records, self._table, self.rows = records, table, rows
        self.plain = records.view(np.ndarray)

    def number(self, column: Column, place: int) -> AnyColumn:
        return _number(self._table, column, self.plain["numbers"][self.rows, place])

    def text(self, place: int) -> AnyColumn:
        count = len(self.rows)
        begins, lengths = np.empty(count, np.int64), np.empty(count, np.int64)
        find_text(self.records, self.rows, begins, lengths, place)
        return texts(self.records, TRANSACTION, "text", self.rows, lengths, shifts=begins)

    def maker(self, column: Column) -> Callable[[], AnyColumn]:
        """What makes a column that has a slot."""
        kind, _, place = column.slot.partition(" ")
        return (lambda: self.number(column, int(place))) if kind == "number" else (lambda: self.text(int(place)))


def transactions(outbox: Any, count: int, *, source: str, capture_id: int, probe: str, boot: int, stored_time: int,
                 whose: Callable[[Array], Mapping[str, AnyColumn]] | None = None) -> list[Batch]:
    """The first `count` records as one Batch for each table that has some; good until the outbox is filled again. whose: of each Batch."""
    records = outbox[:count]
    tables = np.ascontiguousarray(records.view(np.ndarray)["table"])
    out: list[Batch] = []
    for number in np.flatnonzero(np.bincount(tables, minlength=len(TRANSACTION_TABLES))[:len(TRANSACTION_TABLES)]).tolist():
        if number:
            mine = _Records(records, TRANSACTION_TABLES[number], np.flatnonzero(tables == number))
            out.append(replace(_batch(mine, TRANSACTION_TABLES[number], source, capture_id, probe, boot, stored_time), whose=whose))
    return out


def _batch(mine: _Records, table: str, source: str, capture_id: int, probe: str, boot: int, stored_time: int) -> Batch:
    n = len(mine.rows)
    makers: dict[str, Callable[[], AnyColumn]] = {
        "flow_id": lambda: mine.plain["flow"][mine.rows] + np.uint64(boot << 40),
        "time": lambda: mine.plain["time"][mine.rows],
        "probe": lambda: Coded.same(probe, n), "source": lambda: Coded.same(source, n),
        "capture_id": lambda: np.full(n, capture_id, np.uint64),
        "direction": lambda: Coded(np.minimum(mine.plain["direction"][mine.rows], 1).astype(np.uint16), ["client", "server"]),
        "stored_time": lambda: np.full(n, stored_time, np.int64),
    }
    makers.update({column.name: mine.maker(column) for column in TABLES[table].columns if column.slot})
    return Batch(table, n, Made(makers), mine.records, mine.rows if n < len(mine.plain) else None)
