"""TRANSACTION records become Batches of their tables, column by column as dpi/schema.py says (`Column.slot`).

What columns are made of is picked out of the records in one pass: each record is 1088 bytes, and its first three lines hold all but the texts themselves.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from dpi.batch import NULLS, AnyColumn, Array, Batch, Coded, Made
from dpi.capture.prefetch import prefetch, prefetch_second, prefetch_third
from dpi.dataclass import dataclass
from dpi.flow.facts import TRANSACTION, text_begin, text_length
from dpi.flow.vocabulary import BEYOND, WORDS
from dpi.jit import entry
from dpi.schema import KINDS, TABLES, TRANSACTION_TABLES, Column
from dpi.texts import Laid

_AHEAD = 8              # rows
_SECONDS = {"not_before", "not_after"}      # parsers give epoch seconds
_TEXT, _SIZE = int(TRANSACTION.fields["text"][1]), TRANSACTION.itemsize       # type: ignore[index]
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
I8 = np.dtype("i8")


@entry(TRANSACTION, I8, I8, I8, I8, I8, I8)
def pick(records: Any, rows: Any, heads: Any, bounds: Any, numbers: Any, begins: Any, lengths: Any) -> Any:
    """Of n `rows` of records: heads[3, n] their flow, time and direction; numbers[p, n] number field p, less than bounds[p, 0] made bounds[p, 1], and
    at most bounds[p, 2]; begins[t, n] and lengths[t, n] where text t lies in the octets of all records. All flat; p and t as many as there is room for."""
    n = rows.size
    if n == 0:
        return 0
    for k in range(n):
        if k + _AHEAD < n:
            prefetch(records, rows[k + _AHEAD])
            prefetch_second(records, rows[k + _AHEAD])
            prefetch_third(records, rows[k + _AHEAD])
        record = records[rows[k]]
        heads[k] = np.int64(record.flow)
        heads[n + k] = record.time
        heads[2 * n + k] = min(np.int64(record.direction), 1)
        for p in range(numbers.size // n):
            value = record.numbers[p]
            numbers[p * n + k] = bounds[3 * p + 1] if value < bounds[3 * p] else min(value, bounds[3 * p + 2])
        for t in range(begins.size // n):
            begin = text_begin(record, t)
            begins[t * n + k] = rows[k] * _SIZE + _TEXT + begin
            lengths[t * n + k] = text_length(record, t, begin)
    return 0


@dataclass(frozen=True)
class Form:
    """How a table's records are read. numbers, texts: fields that its columns use; bounds int64[numbers, 3]: see `pick`."""
    numbers: int
    texts: int
    bounds: Array


@lru_cache
def form(table: str) -> Form:
    """That of a table."""
    places: dict[str, dict[int, Column]] = {"number": {}, "text": {}}
    for column in TABLES[table].columns:
        if column.slot:
            kind, _, place = column.slot.partition(" ")
            places[kind][int(place)] = column
    numbers, texts = (max(places[kind], default=-1) + 1 for kind in ("number", "text"))
    bounds = [_bounds(table, places["number"][place]) if place in places["number"] else (_LEAST, 0, _MOST) for place in range(numbers)]
    return Form(numbers, texts, np.array(bounds, np.int64).reshape(-1, 3))


def _bounds(table: str, column: Column) -> tuple[int, int, int]:
    """Negative numbers mean "not known" where 0 could be meant."""
    if (table, column.name) in WORDS or column.name in _SECONDS:
        return _LEAST, 0, _MOST
    dtype = np.dtype(KINDS[column.kind].numpy)
    if not column.nullable:
        return 0, 0, min(np.iinfo(dtype).max, _MOST)
    null, known = NULLS[column.kind], 1 if column.name == "status" or column.kind.startswith("time") else 0
    return known, null if null <= _MOST else null - (1 << 64), _MOST if dtype.kind == "i" or null > _MOST else null - 1


def _number(table: str, column: Column, values: Array) -> AnyColumn:
    """A number field that `pick` has bounded as its column."""
    words = WORDS.get((table, column.name))
    if words is not None:
        return _worded(values, words)
    if column.name in _SECONDS:
        return np.where(values == 0, NULLS["time?"], np.clip(values, -9_000_000_000, 9_000_000_000) * 1_000_000)
    return values.astype(KINDS[column.kind].numpy, copy=False)


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
        self._octets = records.view(np.ndarray).view(np.uint8).reshape(-1)

    @cached_property
    def _picked(self) -> tuple[Array, Array, Array, Array]:
        count, known = len(self.rows), form(self._table)
        heads, numbers = np.empty((3, count), np.int64), np.empty((known.numbers, count), np.int64)
        begins, lengths = np.empty((known.texts, count), np.int64), np.empty((known.texts, count), np.int64)
        pick(self.records, self.rows, *(one.reshape(-1) for one in (heads, known.bounds, numbers, begins, lengths)))
        return heads, numbers, begins, lengths

    def head(self, place: int) -> Array:
        """int64[n]: 0 flow, 1 time, 2 direction."""
        values: Array = self._picked[0][place]
        return values

    def number(self, column: Column, place: int) -> AnyColumn:
        return _number(self._table, column, self._picked[1][place])

    def text(self, place: int) -> AnyColumn:
        return Laid(self._octets, self._picked[2][place], self._picked[3][place])

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
        "flow_id": lambda: mine.head(0).view(np.uint64) + np.uint64(boot << 40),
        "time": lambda: mine.head(1),
        "probe": lambda: Coded.same(probe, n), "source": lambda: Coded.same(source, n),
        "capture_id": lambda: np.full(n, capture_id, np.uint64),
        "direction": lambda: Coded(mine.head(2).astype(np.uint16), ["client", "server"]),
        "stored_time": lambda: np.full(n, stored_time, np.int64),
    }
    makers.update({column.name: mine.maker(column) for column in TABLES[table].columns if column.slot})
    return Batch(table, n, Made(makers), mine.records, mine.rows if n < len(mine.records) else None)
