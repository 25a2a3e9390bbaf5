"""Counting strings, in bounded memory: a hash table of keys beside an arena that holds their bytes."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.batch import Array, Coded
from dpi.capture.key import fold, fresh_seed
from dpi.capture.octets import be64, octet
from dpi.flow.tally import as_texts
from dpi.jit import I64, entry, kernel, records

U1, U4, U8, I8 = np.dtype("u1"), np.dtype("u4"), np.dtype("u8"), np.dtype("i8")

#: One string: where its bytes lie in the arena. Record 0 is none. 32 bytes.
WORD = np.dtype((np.record, [("hash", "u8"), ("count", "i8"), ("place", "i8"), ("length", "i8")]))


@kernel
def hashed(data: Any, begin: Any, length: Any, seed: Any) -> Any:
    """64 bits of a string, eight bytes at a time."""
    value = seed[0] ^ np.uint64(length)
    at = np.int64(begin)
    end = at + length
    while at + 8 <= end:
        value = fold(value ^ be64(data, at), seed[1])
        at += 8
    rest = np.uint64(0)
    while at < end:
        rest = rest << np.uint64(8) | np.uint64(octet(data, at))
        at += 1
    return fold(value ^ rest ^ seed[2], seed[3])


@entry(U1, I8, I8, WORD, U4, U1, I8, U8, I64, I64)
def count_words(data: Any, offsets: Any, weights: Any, words: Any, slots: Any, arena: Any, head: Any, seed: Any, begin: Any, end: Any) -> Any:
    """Add weights[k] to string k for k in [begin, end); returns the row that found no room, else `end`. Rows that weigh 0 are passed over.

    head int64[2]: records in use, bytes of the arena in use.
    """
    mask = slots.size - 1
    for k in range(begin, end):
        if weights[k] == 0:
            continue
        start = offsets[k]
        length = offsets[k + 1] - start
        value = hashed(data, start, length, seed)
        at = np.int64(value & np.uint64(mask))
        while slots[at] != 0 and words[slots[at]].hash != value:
            at = (at + 1) & mask
        if slots[at] == 0:
            number = head[0] + 1
            if number >= words.size or head[1] + length > arena.size:
                return k
            head[0] = number
            slots[at] = np.uint32(number)
            one = words[number]
            one.hash = value
            one.count = 0
            one.place = head[1]
            one.length = length
            for i in range(length):
                arena[head[1] + i] = data[start + i]
            head[1] += length
        words[slots[at]].count += weights[k]
    return end


@entry(WORD, U4, U1, I8)
def pack_words(words: Any, slots: Any, arena: Any, head: Any) -> Any:
    """After records went: move the bytes of those in use together, in their order, and fill empty slots."""
    mask = slots.size - 1
    put = np.int64(0)
    for number in range(1, head[0] + 1):
        one = words[number]
        for i in range(one.length):
            arena[put + i] = arena[one.place + i]
        one.place = put
        put += one.length
        at = np.int64(one.hash & np.uint64(mask))
        while slots[at] != 0:
            at = (at + 1) & mask
        slots[at] = np.uint32(number)
    head[1] = put
    return put


class Words:
    """Sums by string. Of more than `cap` strings, or more than fits the arena, the rarer half goes, counted in `dropped`."""

    def __init__(self, cap: int = 1 << 16, arena: int = 1 << 22) -> None:
        self.cap, self.dropped = cap, 0
        self._words = records(cap + 1, WORD)
        self._slots: Array = np.zeros(1 << (2 * cap - 1).bit_length(), np.uint32)
        self._arena: Array = np.zeros(arena, np.uint8)
        self._head: Array = np.zeros(2, np.int64)
        self._seed: Array = fresh_seed()

    def __len__(self) -> int:
        return int(self._head[0])

    def add(self, column: Any, weights: Array) -> None:
        """Add the rows of a Texts or Coded column (or none) with their weights int64[n]."""
        if column is None or not len(column):
            return
        if isinstance(column, Coded):
            column, weights = as_texts(column, weights)
        data, offsets, weights = np.ascontiguousarray(column.data), np.ascontiguousarray(column.offsets), np.ascontiguousarray(weights, np.int64)
        row, rows = 0, len(column)
        while row < rows:
            stopped = count_words(data, offsets, weights, self._words, self._slots, self._arena, self._head, self._seed, row, rows)
            if stopped < rows:
                if stopped == row and not len(self):        # longer than the arena: it cannot be kept
                    stopped += 1
                self._halve()
            row = stopped

    def _halve(self) -> None:
        rows = self._rows
        keep = len(rows) // 2
        chosen = np.sort(np.argpartition(rows["count"].copy(), -keep)[-keep:]) if keep else np.zeros(0, np.int64)
        self.dropped += len(rows) - keep
        rows[:keep] = rows[chosen]
        self._head[0] = keep
        self._slots[:] = 0
        pack_words(self._words, self._slots, self._arena, self._head)

    @property
    def _rows(self) -> Array:
        return self._words.view(np.ndarray)[1:len(self) + 1]

    def top(self, count: int) -> list[tuple[str, int]]:
        """The strings with the largest sums, the empty one left out; ties by name."""
        rows = self._rows[self._rows["length"] != 0]
        if len(rows) > count:
            rows = rows[rows["count"] >= np.partition(rows["count"], -count)[-count]]
        words = [(self._arena[place:place + length].tobytes().decode("utf-8", "replace"), total)
                 for place, length, total in zip(rows["place"].tolist(), rows["length"].tolist(), rows["count"].tolist(), strict=True)]
        return sorted(words, key=lambda pair: (-pair[1], pair[0]))[:count]

    def distinct(self) -> int:
        """How many different strings there were, the empty one left out."""
        return len(self) + self.dropped - int(np.count_nonzero(self._rows["length"] == 0))
