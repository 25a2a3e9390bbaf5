"""Who has met whom: keys of rules that are told only the first time. Bounded: the one not heard of the longest is forgotten, and is a stranger again."""
from __future__ import annotations

from collections import OrderedDict

KEYS = 1 << 15


class Acquaintance:
    """Asked in the order of slots; the same slot may be asked for again."""

    def __init__(self, keys: int = KEYS) -> None:
        self._keys, self.given_up = keys, 0
        self._first: OrderedDict[tuple[int, ...], int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._first)

    def meets(self, key: tuple[int, ...], slot: int) -> bool:
        """Whether this slot is the key's first."""
        first = self._first.setdefault(key, slot)
        self._first.move_to_end(key)
        if len(self._first) > self._keys:
            self._first.popitem(last=False)
            self.given_up += 1
        return first == slot
