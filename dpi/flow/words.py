"""Counting strings, in bounded memory: a hash table of keys beside an arena that holds their bytes."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.batch import Array
from dpi.capture.key import fold, fresh_seed
from dpi.capture.octets import be64, octet
from dpi.flow.facts import TEXT_BYTES
from dpi.jit import entry, kernel, pointed, records, world, world_dtype

U1, U4, U8, I8 = np.dtype("u1"), np.dtype("u4"), np.dtype("u8"), np.dtype("i8")

#: One string: where its bytes lie in the arena. Record 0 is none. 32 bytes.
WORD = np.dtype((np.record, [("hash", "u8"), ("count", "i8"), ("place", "i8"), ("length", "i8")]))
LONGEST = TEXT_BYTES    # bytes of a string

#: Where the arrays of a Words lie.
ARRAYS = {"words": WORD, "slots": U4, "arena": U1, "head": I8, "seed": U8}
WORLD = world_dtype(tuple(ARRAYS))
words_of, slots_of, arena_of, head_of, seed_of = (pointed(name, kind) for name, kind in ARRAYS.items())


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


@kernel
def count_word(w: Any, data: Any, begin: Any, length: Any) -> Any:
    """Count the string of `length` bytes at data[begin]; the caller has asked `room_in`. w: the world of a Words."""
    words, slots, head = words_of(w), slots_of(w), head_of(w)
    mask = slots.size - 1
    value = hashed(data, begin, length, seed_of(w))
    at = np.int64(value & np.uint64(mask))
    while slots[at] != 0 and words[slots[at]].hash != value:
        at = (at + 1) & mask
    if slots[at] == 0:
        arena, place, number = arena_of(w), head[1], head[0] + 1
        slots[at] = np.uint32(number)
        one = words[number]
        one.hash = value
        one.count = 0
        one.place = place
        one.length = length
        for i in range(length):
            arena[place + i] = data[begin + i]
        head[0] = number
        head[1] = place + length
    words[slots[at]].count += 1
    return 0


@kernel
def room_in(w: Any) -> Any:
    """How many strings of at most LONGEST bytes can be counted, whatever they are."""
    head = head_of(w)
    return min(words_of(w).size - 1 - head[0], (arena_of(w).size - head[1]) // LONGEST)


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
    """Counts by string. Kernels count with `count_word`; where `room_in` is 0, call `make_room`, and the rarer half goes, counted in `dropped`.

    cap: strings; arena: bytes of all of them. `world` is what kernels take, WORLD[1].
    """

    def __init__(self, cap: int = 1 << 16, arena: int = 1 << 22) -> None:
        if cap < 1 or arena < LONGEST:
            raise ValueError(f"{cap} strings in {arena} bytes: no room for one of {LONGEST}")
        self.dropped = 0
        self._words = records(cap + 1, WORD)
        self._slots: Array = np.zeros(1 << (2 * cap - 1).bit_length(), np.uint32)
        self._arena: Array = np.zeros(arena, np.uint8)
        self._head: Array = np.zeros(2, np.int64)           # records in use, bytes of the arena in use
        self._seed = fresh_seed()
        self.world = world(WORLD, {"words": self._words, "slots": self._slots, "arena": self._arena, "head": self._head, "seed": self._seed})

    def __len__(self) -> int:
        return int(self._head[0])

    def make_room(self) -> None:
        """Halve until there is room for one string more: at the latest when nothing is left."""
        while len(self) + 1 >= len(self._words) or int(self._head[1]) + LONGEST > len(self._arena):
            self._halve()

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
        """The strings counted most; ties by name."""
        rows = self._rows
        if len(rows) > count:
            rows = rows[rows["count"] >= np.partition(rows["count"], -count)[-count]]
        words = [(self._arena[place:place + length].tobytes().decode("utf-8", "replace"), total)
                 for place, length, total in zip(rows["place"].tolist(), rows["length"].tolist(), rows["count"].tolist(), strict=True)]
        return sorted(words, key=lambda pair: (-pair[1], pair[0]))[:count]

    def distinct(self) -> int:
        """How many different strings there were; one that went and came again counts again."""
        return len(self) + self.dropped
