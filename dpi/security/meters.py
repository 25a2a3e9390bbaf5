"""The meters of lines in the slots that are open: a line has one in a slot once a row of it came, whatever other lines there are.

State: 140 bytes a meter, which are as many as were ever in use at once or up to twice that, 32 thousand at least (untouched until they are used); 4 bytes a
line and place beside. At most PLACES times `most` meters.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.jit import point, records, world
from dpi.security.metering import ARRAYS, FREE, HEAD, METER, NEEDED, PLACES, WORLD, gather

_WORDS = METER.itemsize // 8
_FIRST = 1 << 15               # meters at first


class Meters:
    """Of up to `room` lines, numbered from 0. head: HEAD, for who reads and sets `closed`, `clock` and `late`; slots int64[PLACES], FREE: not in use."""

    def __init__(self, room: int, most: int) -> None:
        """most: lines that there ever are."""
        self.room, self._most = room, most
        self._arrays: dict[str, Any] = {
            "head": records(1, HEAD), "slots": np.full(PLACES, FREE, np.int64), "own": np.zeros(PLACES * room, np.uint32),
            "meters": records(_FIRST, METER), "free": np.arange(_FIRST - 1, -1, -1, dtype=np.uint32)}
        self._world = world(WORLD, {name: self._arrays[name] for name in ARRAYS})
        self.head, self.slots = self._arrays["head"].view(np.ndarray)[0], self._arrays["slots"]
        self.head["closed"], self.head["lines"], self.head["clock"], self.head["free"] = FREE, room, FREE, _FIRST - 1   # the last of `free` is 0: no number

    def gather(self, rows: Any, clients: Any, servers: Any, vlans: Any, nets: Any, local: Any, link: int, begin: int, end: int) -> int:
        """Add rows [begin, end), see the kernel. Returns `end`, or the row that has a slot without a place: HEAD.wanted."""
        while True:
            begin = int(gather(rows, clients, servers, vlans, nets, local, link, begin, end, self._world))
            if begin == end or int(self.head["free"]) >= NEEDED:
                return begin
            self._more()

    def grow(self, room: int) -> None:
        """Room for more lines."""
        own = np.zeros(PLACES * room, np.uint32)
        own.reshape(PLACES, room)[:, :self.room] = self._arrays["own"].reshape(PLACES, self.room)
        self._set("own", own)
        self.room = room
        self.head["lines"] = room

    def open(self, slot: int) -> bool:
        """Whether a slot has a place, which it gets where one is free."""
        if slot not in self.slots and (self.slots == FREE).any():
            self.slots[int(np.flatnonzero(self.slots == FREE)[0])] = slot
        return slot in self.slots

    def of(self, slot: int, lines: int) -> tuple[Any, Any]:
        """Which of so many lines have a meter in a slot, int64[k] rising, and these METER[k], copied; none of a slot without a place."""
        own = self._own(slot, lines)
        met = np.flatnonzero(own)
        return met, self._plain()[own[met]].view(METER).ravel()

    def close(self, slot: int, lines: int) -> None:
        """A slot has a place no longer, and so many lines their meters of it."""
        own = self._own(slot, lines)
        numbers = np.sort(own[own != 0])[::-1]      # what is taken one after the other lies so
        self._plain()[numbers] = 0
        free = int(self.head["free"])
        self._arrays["free"][free:free + len(numbers)] = numbers
        self.head["free"] = free + len(numbers)
        own[:] = 0
        self.slots[self.slots == slot] = FREE

    def _own(self, slot: int, lines: int) -> Any:
        """uint32[lines]: numbers of their meters in a slot."""
        place = np.flatnonzero(self.slots == slot)
        return self._arrays["own"].reshape(PLACES, self.room)[int(place[0]), :lines] if len(place) else np.zeros(0, np.uint32)

    def _plain(self) -> Any:
        """uint64[meters, 17]: they as words, which numpy moves faster than records."""
        return self._arrays["meters"].view(np.ndarray).view(np.uint64).reshape(-1, _WORDS)

    def _more(self) -> None:
        """Twice as many meters."""
        meters, free, left = self._arrays["meters"], self._arrays["free"], int(self.head["free"])
        old, count = len(meters), min(2 * len(meters), PLACES * self._most + NEEDED + 1)
        more, numbers = records(count, METER), np.zeros(count, np.uint32)
        more.view(np.ndarray).view(np.uint64)[:old * _WORDS] = meters.view(np.ndarray).view(np.uint64)
        numbers[:count - old] = np.arange(count - 1, old - 1, -1)
        numbers[count - old:count - old + left] = free[:left]
        self._set("meters", more)
        self._set("free", numbers)
        self.head["free"] = count - old + left

    def _set(self, name: str, array: Any) -> None:
        self._arrays[name] = array
        point(self._world, name, array)
