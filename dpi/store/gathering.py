"""Batches of one table put together into one: what is done once for sixteen thousand rows costs little more than once for four."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dpi.batch import AnyColumn, Array, Batch, Coded, Lists, Made, Texts, mac
from dpi.schema import KINDS, TABLES
from dpi.store.native import columns_of
from dpi.texts import Strings, put, room


class _Numbers:
    """An array that grows along its first axis."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], room: int) -> None:
        self._values: Array = np.empty((room, *shape), dtype)
        self._used = 0

    def add(self, column: AnyColumn) -> None:
        values = column if isinstance(column, np.ndarray) else np.array([_mac_number(word) for word in _words(column)], np.uint64)
        self._room(len(values))[:] = values

    def repeat(self, value: int, count: int) -> None:
        """Append a value `count` times."""
        self._room(count)[:] = value

    def _room(self, count: int) -> Array:
        """Where the next `count` values go."""
        begin, end = self._used, self._used + count
        if end > len(self._values):
            larger = np.empty((max(2 * len(self._values), end), *self._values.shape[1:]), self._values.dtype)
            larger[:begin] = self._values[:begin]
            self._values = larger
        self._used = end
        return self._values[begin:end]

    def most(self, count: int, write: Callable[[Array], int]) -> None:
        """Append as many of `count` values as `write` says that it has written into the room for them."""
        begin = self._used
        self._used = begin + write(self._room(count))

    def clear(self) -> None:
        self._used = 0

    def mark(self) -> Any:
        """What `back` takes it back to."""
        return self._used

    def back(self, mark: Any) -> None:
        """Forget what was added since."""
        self._used = mark

    def column(self) -> Array:
        return self._values[:self._used]


class _Texts:
    """Strings, each behind its length: as they are sent."""

    def __init__(self, room: int) -> None:
        self._encoded, self._count = _Numbers((), np.dtype("u1"), 16 * room), 0

    def clear(self) -> None:
        self._encoded.clear()
        self._count = 0

    def add(self, column: AnyColumn) -> None:
        texts = column if isinstance(column, Texts) else Texts.of(_words(column))
        self._encoded.most(room(texts), lambda out: put(texts, out))
        self._count += len(texts)

    def mark(self) -> Any:
        return self._encoded.mark(), self._count

    def back(self, mark: Any) -> None:
        used, self._count = mark
        self._encoded.back(used)

    def column(self) -> Strings:
        return Strings(self._encoded.column(), self._count)


class _Codes:
    """Strings of a small set, whose words may be others in each batch."""

    def __init__(self, room: int) -> None:
        self._codes, self._places = _Numbers((), np.dtype("u4"), room), dict[str, int]()
        self._words: Any = None
        self._table: Array = np.zeros(0, np.uint32)

    def add(self, column: AnyColumn) -> None:
        coded = column if isinstance(column, Coded) else Coded.of(_words(column))
        if self._words is not coded.words or len(self._table) != len(coded.words):
            places = self._places
            self._words = coded.words
            self._table = np.array([places.setdefault(word, len(places)) for word in coded.words] or [places.setdefault("", len(places))], np.uint32)
        if len(self._table) == 1:
            self._codes.repeat(int(self._table[0]), len(coded))
        else:
            self._codes.add(self._table.take(coded.codes, mode="clip"))         # a code beyond the words counts as the last

    def clear(self) -> None:
        self._codes.clear()

    def mark(self) -> Any:
        return self._codes.mark()

    def back(self, mark: Any) -> None:
        self._codes.back(mark)

    def column(self) -> Coded:
        return Coded(self._codes.column(), list(self._places))


class _Lists:
    """Lists, one behind the other."""

    def __init__(self, like: Lists, room: int) -> None:
        self._offsets, self._values = _Numbers((), np.dtype("i8"), room + 1), _growing(like.values, 1 << 10)
        self.clear()

    def clear(self) -> None:
        self._values.clear()
        self._offsets.clear()
        self._offsets.repeat(0, 1)
        self._end = 0

    def add(self, lists: Lists) -> None:
        first, last = int(lists.offsets[0]), int(lists.offsets[-1])
        self._offsets.add(lists.offsets[1:] + (self._end - first))
        self._end += last - first
        values = lists.values
        if isinstance(values, Coded):
            values = Coded(values.codes[first:last], values.words)
        elif isinstance(values, Texts):
            values = values if last - first == len(values) else Texts(values.data, values.offsets[first:last + 1])
        else:
            values = values[first:last]
        self._values.add(values)

    def mark(self) -> Any:
        return self._offsets.mark(), self._values.mark(), self._end

    def back(self, mark: Any) -> None:
        offsets, values, self._end = mark
        self._offsets.back(offsets)
        self._values.back(values)

    def column(self) -> Lists:
        return Lists(self._offsets.column(), self._values.column())


def _words(column: Any) -> list[str]:
    """A column of strings that is held in another form than those before it: MACs as numbers, texts where codes were and the reverse."""
    return [mac(value) for value in column.tolist()] if isinstance(column, np.ndarray) else list(column)


def _mac_number(word: str) -> int:
    return int(word.replace(":", ""), 16) if word else 0


def _growing(like: AnyColumn, room: int, numpy: str = "") -> Any:
    """A growing column of the form of `like`; numbers of the dtype `numpy`, or what `like` has."""
    if isinstance(like, Texts):
        return _Texts(room)
    if isinstance(like, Coded):
        return _Codes(room)
    if isinstance(like, Lists):
        return _Lists(like, room)
    return _Numbers(like.shape[1:], like.dtype if numpy in ("", "ip", "[]") else np.dtype(numpy), room)


def signature(batch: Batch) -> tuple[str, ...]:
    """What batches that can be put together have in common: the table and its columns. ValueError for a column the table has not."""
    return (batch.table, *columns_of(batch))


class Gathering:
    """Rows of batches of one signature. Nothing of the batches is kept. `room`: how many rows are expected."""

    def __init__(self, first: Batch, room: int) -> None:
        self.table, self.rows = first.table, 0
        kinds = {column.name: KINDS[column.kind].numpy for column in TABLES[first.table].columns}
        self._columns = {name: _growing(first.columns[name], room, kinds[name]) for name in columns_of(first)}

    def add(self, batch: Batch) -> None:
        """Append a batch of the same signature, whole or, where it is interrupted, not at all."""
        marks = [column.mark() for column in self._columns.values()]
        try:
            if isinstance(batch.columns, Made):
                batch.columns.all_wanted()
            for name, column in self._columns.items():
                column.add(batch.columns[name])
            self.rows += batch.count
        except BaseException:
            for column, mark in zip(self._columns.values(), marks, strict=True):
                column.back(mark)
            raise

    def clear(self) -> None:
        """Forget the rows; the memory is used again."""
        for column in self._columns.values():
            column.clear()
        self.rows = 0

    def batch(self) -> Batch:
        """All rows as one batch, good until more are added."""
        return Batch(self.table, self.rows, {name: column.column() for name, column in self._columns.items()})
