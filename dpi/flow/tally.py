"""Counting things of which there may be very many, in bounded memory: hash tables whose lower half goes when they are full."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dpi.batch import Array, Coded
from dpi.capture.key import fresh_seed, hash_of
from dpi.jit import entry, kernel, records

U4, U8, I8 = np.dtype("u4"), np.dtype("u8"), np.dtype("i8")

UNMET = 0xFFFF          # no registry has so many words
#: Sums of one key. Record 0 is none. 64 bytes.
KEPT = np.dtype((np.record, [
    ("high", "u8"), ("low", "u8"), ("third", "u8"),                # the key
    ("bytes", "i8"), ("packets", "i8"), ("flows", "i8"), ("sent", "i8"),
    ("named", "u8"),                                               # 1: a name was asked for
]))


@kernel
def home(high: Any, low: Any, third: Any, seed: Any, mask: Any) -> Any:
    """The first slot where a key may be."""
    return np.int64(hash_of(np.uint64(high), np.uint64(low) ^ (np.uint64(third) << np.uint64(48)), seed) & np.uint64(mask))


@kernel
def place(kept: Any, slots: Any, head: Any, seed: Any, high: Any, low: Any, third: Any) -> Any:
    """Number of the record of a key, made where there is none; 0: the table is full. The key is three uint64; head int64[1]: records in use."""
    mask = slots.size - 1
    at = home(high, low, third, seed, mask)
    while slots[at] != 0:
        number = np.int64(slots[at])
        one = kept[number]
        if one.high == high and one.low == low and one.third == third:
            return number
        at = (at + 1) & mask
    number = head[0] + 1
    if number >= kept.size:
        return np.int64(0)
    head[0] = number
    slots[at] = np.uint32(number)
    one = kept[number]
    one.high = high
    one.low = low
    one.third = third
    one.bytes = 0
    one.packets = 0
    one.flows = 0
    one.sent = 0
    one.named = 0
    return number


@entry(KEPT, U4, I8, U8)
def index_again(kept: Any, slots: Any, head: Any, seed: Any) -> Any:
    """Fill empty slots from the records in use."""
    mask = slots.size - 1
    for number in range(1, head[0] + 1):
        one = kept[number]
        at = home(one.high, one.low, one.third, seed, mask)
        while slots[at] != 0:
            at = (at + 1) & mask
        slots[at] = np.uint32(number)
    return 0


class Tally:
    """Sums by key. Of more than `cap` keys the half with fewer bytes goes, counted in `dropped` (keys) and `lost` (bytes).

    `beside` (a dtype): a record for each key besides its sums. Kernels find keys with `place`; where that is 0, call `halve` and go on.
    """

    def __init__(self, cap: int = 1 << 16, beside: Any = None, seed: Array | None = None) -> None:
        self.cap, self.dropped, self.lost = cap, 0, 0
        self.kept = records(cap + 1, KEPT)
        self.beside: Any = None if beside is None else records(cap + 1, beside)
        self.slots: Array = np.zeros(1 << (2 * cap - 1).bit_length(), np.uint32)
        self.head: Array = np.zeros(1, np.int64)
        self.seed: Array = fresh_seed() if seed is None else seed

    def __len__(self) -> int:
        return int(self.head[0])

    @property
    def full(self) -> bool:
        return len(self) >= self.cap

    @property
    def rows(self) -> Array:
        """The records in use, KEPT[len]."""
        return self.kept.view(np.ndarray)[1:len(self) + 1]

    def halve(self) -> None:
        """Keep the half with more bytes."""
        rows, keep = self.rows, self.cap // 2
        if len(rows) <= keep:
            return
        weight = rows["bytes"].copy()
        chosen = np.sort(np.argpartition(weight, -keep)[-keep:])
        self.dropped += len(rows) - keep
        self.lost += int(weight.sum()) - int(weight[chosen].sum())
        rows[:keep] = rows[chosen]
        if self.beside is not None:
            beside = self.beside.view(np.ndarray)
            beside[1:keep + 1] = beside[1 + chosen]
        self.head[0] = keep
        self.slots[:] = 0
        index_again(self.kept, self.slots, self.head, self.seed)


class Distinct:
    """About how many different keys there were: a bitmap of 2^20 places (linear counting, Whang 1990), good to a few million."""

    def __init__(self) -> None:
        self.bits: Array = np.zeros(1 << 17, np.uint8)

    def count(self) -> int:
        places = 8 * len(self.bits)
        free = max(1, places - int(np.unpackbits(self.bits).sum()))
        return round(-places * float(np.log(free / places)))


@kernel
def seen(bits: Any, seed: Any, high: Any, low: Any) -> Any:
    """Mark a key in a bitmap of 2^20 bits."""
    bit = np.int64(hash_of(np.uint64(high), np.uint64(low), seed) >> np.uint64(44))
    bits[bit >> 3] |= np.uint8(1 << (bit & 7))
    return 0


class Registry:
    """Words of a small set get dense numbers; 0 is ''; those beyond `cap` share the last.

    `numbers` uint16[65536] are those of the codes of the column at hand, UNMET where a code was not met yet.
    """

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.words: list[str] = [""]
        self.numbers: Array = np.full(1 << 16, UNMET, np.uint16)
        self._numbers = {"": 0}
        self._column: Sequence[str] = ()

    def number(self, word: str) -> int:
        found = self._numbers.get(word)
        if found is None:
            found = min(len(self.words), self.cap - 1)
            if found == len(self.words):
                self._numbers[word] = found
                self.words.append(word if found < self.cap - 1 else "(other)")
        return found

    def begin(self, words: Sequence[str]) -> None:
        """The codes to come are of these words."""
        if self._column is not words:
            self.numbers[:] = UNMET
            self._column = words

    def meet(self, code: int) -> None:
        """Number a code's word."""
        self.numbers[code] = self.number(self._column[code])

    def codes(self, column: Coded) -> Array:
        """int64[n]: the numbers of a column's words."""
        self.begin(column.words)
        for code in np.flatnonzero(np.bincount(column.codes)).tolist():
            self.meet(code)
        return self.numbers[column.codes].astype(np.int64)


def largest(rows: Array, count: int) -> Array:
    """The `count` records with most bytes, and their equals."""
    if len(rows) > count:
        weight = rows["bytes"]
        rows = rows[weight >= np.partition(weight, -count)[-count]]
    return rows
