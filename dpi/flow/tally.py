"""Counting things of which there may be very many, in bounded memory, without a Python loop over rows."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dpi.batch import Array, Coded, Texts

_CHUNK = 1 << 16
_LOW = np.uint64(0xFFFF)
_HIGH = np.uint64(0xFFFF_FFFF_FFFF_0000)
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9))


def mix(*words: Array) -> Array:
    """One hash uint64[n] of several integer arrays [n]; the low 16 bits are zero (room for a row number in `grouped`)."""
    total = np.zeros(len(words[0]), np.uint64)
    for k, word in enumerate(words):
        total = (total ^ word.astype(np.uint64)) * _MIX[k % 3]
        total ^= total >> np.uint64(29)
    return (total * _MIX[0]) & _HIGH


def halves(addresses: Array) -> tuple[Array, Array]:
    """uint8[n,16] as two uint64[n], in the machine's byte order."""
    words = np.ascontiguousarray(addresses).view(np.uint64).reshape(-1, 2)
    return words[:, 0], words[:, 1]


def text_keys(texts: Texts) -> Array:
    """A hash uint64[n] of each string, eight bytes at a time; the low 16 bits are zero."""
    offsets = np.asarray(texts.offsets, np.int64)
    left = np.diff(offsets)
    hashes = left.astype(np.uint64) * _MIX[1]
    data = np.zeros(len(texts.data) + 8, np.uint8)
    data[:len(texts.data)] = texts.data
    words = np.ndarray((len(texts.data) + 1,), "<u8", data, strides=(1,))       # the eight bytes from each byte on
    begin, rows, open_ = offsets[:-1], np.arange(len(left)), hashes
    while True:
        more = left > 0
        if not more.all():
            hashes[rows] = open_
            begin, rows, open_, left = begin[more], rows[more], open_[more], left[more]
        if not len(rows):
            return mix(hashes)
        word = words[begin]
        if (left < 8).any():
            word = word & _MASKS[np.minimum(left, 8)]
        open_ = (open_ ^ word) * _MIX[0]
        open_ ^= open_ >> np.uint64(29)
        begin, left = begin + 8, left - 8


_MASKS = np.array([(1 << 8 * k) - 1 for k in range(9)], np.uint64)


class Keyed:
    """A text column with its keys, so that two tallies hash it once."""

    def __init__(self, column: Texts | Coded, keys: Array) -> None:
        self.column, self.keys = column, keys

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, row: int) -> str:
        return self.column[row]


def keyed(column: Any) -> Keyed | None:
    """A Texts or Coded column with its keys; None for None."""
    if column is None:
        return None
    return Keyed(column, text_keys(Texts.of(column.words))[column.codes] if isinstance(column, Coded) else text_keys(column))


def coded(texts: Texts) -> Coded:
    """Texts of which few differ, as Coded."""
    if not len(texts):
        return Coded(np.zeros(0, np.uint32), [""])
    order, starts = grouped(text_keys(texts))
    codes = np.empty(len(texts), np.int64)
    codes[order] = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(order))))
    return Coded(codes, [texts[row] for row in order[starts].tolist()])


def grouped(keys: Array) -> tuple[Array, Array]:
    """(order, starts): `keys[order]` has equal keys side by side, each group beginning at `starts`. Keys have their low 16 bits zero."""
    if len(keys) <= _CHUNK:     # the row number rides in the low bits: one sort of plain integers, three times as fast as argsort
        packed = np.sort(keys | np.arange(len(keys), dtype=np.uint64))
        order, ordered = (packed & _LOW).astype(np.int64), packed & _HIGH
    else:
        order = np.argsort(keys)
        ordered = keys[order]
    fresh = np.ones(len(keys), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=fresh[1:])
    return order, np.flatnonzero(fresh)


class Tally:
    """Sums by 48-bit key. `carried` columns keep a row's value for each key, `summed` columns (int64) add up; the first of them decides what is
    kept when there are more than `cap` keys: then the lower half goes, counted in `dropped` (keys) and `lost` (their sums)."""

    def __init__(self, carried: int, summed: int, cap: int = 1 << 16) -> None:
        self.cap, self.dropped = cap, 0
        self.keys: Array = np.empty(0, np.uint64)
        self.carried: list[Array] = [np.empty(0, np.uint64) for _ in range(carried)]
        self.summed: list[Array] = [np.empty(0, np.int64) for _ in range(summed)]
        self.lost: Array = np.zeros(summed, np.int64)
        self._waiting: list[tuple[Array, list[Array], list[Array]]] = []
        self._rows = 0

    def add(self, keys: Array, carried: Sequence[Array], summed: Sequence[Array]) -> Array:
        """Add n rows; returns the row number that stands for each distinct key of them, most of the first sum last."""
        if not len(keys):
            return np.empty(0, np.int64)
        order, starts = grouped(keys)
        first = order[starts]
        sums = [np.add.reduceat(column[order], starts) for column in summed]
        self._waiting.append((keys[first], [column[first].astype(np.uint64) for column in carried], sums))
        self._rows += len(first)
        if self._rows > self.cap:
            self.fold()
        top = np.argsort(sums[0])[-256:] if len(first) > 256 else np.argsort(sums[0])
        return np.asarray(first[top])

    def fold(self) -> None:
        """Bring what waits into one row a key."""
        if not self._waiting:
            return
        parts = [(self.keys, self.carried, self.summed), *self._waiting]
        self._waiting, self._rows = [], 0
        keys = np.concatenate([part[0] for part in parts])
        order, starts = grouped(keys)
        first = order[starts]
        self.keys = keys[first]
        self.carried = [np.concatenate([part[1][k] for part in parts])[first] for k in range(len(self.carried))]
        self.summed = [np.add.reduceat(np.concatenate([part[2][k] for part in parts])[order], starts) for k in range(len(self.summed))]
        if len(self.keys) > self.cap:
            kept = np.sort(np.argpartition(self.summed[0], -self.cap // 2)[-(self.cap // 2):])
            self.dropped += len(self.keys) - len(kept)
            self.lost += [int(column.sum()) - int(column[kept].sum()) for column in self.summed]
            self.keys = self.keys[kept]
            self.carried = [column[kept] for column in self.carried]
            self.summed = [column[kept] for column in self.summed]

    def __len__(self) -> int:
        self.fold()
        return len(self.keys)


class Distinct:
    """About how many different keys there were: a bitmap of 2^20 places (linear counting, Whang 1990), good to a few million."""

    def __init__(self) -> None:
        self._seen = np.zeros(1 << 20, np.bool_)

    def add(self, keys: Array) -> None:
        """Keys uint64[n], evenly spread hashes."""
        self._seen[(keys >> np.uint64(44)).astype(np.int64)] = True

    def count(self) -> int:
        free = max(1, len(self._seen) - int(np.count_nonzero(self._seen)))
        return round(-len(self._seen) * float(np.log(free / len(self._seen))))


class TextTally:
    """Sums by string. Words are remembered only for what was among the 256 most frequent of some batch."""

    def __init__(self, summed: int = 1, cap: int = 1 << 16) -> None:
        self.tally = Tally(0, summed, cap)
        self.words: dict[int, str] = {}
        self._coded: tuple[Sequence[str], Array] | None = None

    def add(self, column: Any, *summed: Array, only: Array | None = None) -> None:
        """Add the rows of a Texts or Coded column (those where `only` is set) with their weights int64[n]."""
        if column is None or not len(column):
            return
        rows = np.flatnonzero(only) if only is not None else None
        keys = self._keys(column)
        if rows is not None:
            keys, summed = keys[rows], tuple(weights[rows] for weights in summed)
        for row in self.tally.add(keys, (), summed).tolist():
            if (key := int(keys[row])) not in self.words and len(self.words) < self.tally.cap:
                self.words[key] = column[row if rows is None else int(rows[row])]

    def _keys(self, column: Any) -> Array:
        if isinstance(column, Keyed):
            return column.keys
        if isinstance(column, Coded):
            if self._coded is None or self._coded[0] is not column.words or len(self._coded[1]) != len(column.words):
                self._coded = (column.words, text_keys(Texts.of(column.words)))
            return np.asarray(self._coded[1][column.codes])
        return text_keys(column)

    def top(self, count: int) -> list[tuple[str, list[int]]]:
        """The strings with most of the first sum, the empty one left out; ties by name."""
        self.tally.fold()
        if not len(self.tally.keys):
            return []
        first = self.tally.summed[0]
        limit = np.sort(first)[-min(len(first), count + 1)]
        best = [(self.words.get(int(self.tally.keys[k]), ""), [int(column[k]) for column in self.tally.summed])
                for k in np.flatnonzero(first >= max(int(limit), 1)).tolist()]
        return sorted(((word, sums) for word, sums in best if word), key=lambda pair: (-pair[1][0], pair[0]))[:count]

    def distinct(self) -> int:
        """How many different strings there were, the empty one left out."""
        self.tally.fold()
        empty = int(text_keys(Texts.of([""]))[0])
        return len(self.tally.keys) + self.tally.dropped - int(np.count_nonzero(self.tally.keys == np.uint64(empty)))


class Registry:
    """Words of a small set get dense numbers; 0 is ''; those beyond `cap` share the last."""

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.words: list[str] = [""]
        self._numbers = {"": 0}
        self._seen: tuple[Sequence[str], Array] | None = None

    def number(self, word: str) -> int:
        found = self._numbers.get(word)
        if found is None:
            found = min(len(self.words), self.cap - 1)
            if found == len(self.words):
                self._numbers[word] = found
                self.words.append(word if found < self.cap - 1 else "(other)")
        return found

    def codes(self, column: Any, count: int) -> Array:
        """int64[count] of a Coded column (Texts and lists of str too, slowly); zeros where there is none."""
        if column is None:
            return np.zeros(count, np.int64)
        if not isinstance(column, Coded):
            column = coded(column) if isinstance(column, Texts) else Coded.of(column)
        if self._seen is None or self._seen[0] is not column.words or len(self._seen[1]) != len(column.words):
            used = np.flatnonzero(np.bincount(column.codes, minlength=len(column.words)))
            if len(used) * 4 < len(column.words):           # a large dictionary of which little is used: number only that
                table = np.zeros(len(column.words), np.int64)
                table[used] = [self.number(column.words[code]) for code in used.tolist()]
                return np.asarray(table[column.codes])
            self._seen = (column.words, np.array([self.number(word) for word in column.words], np.int64))
        return np.asarray(self._seen[1][column.codes])
