"""Sorts of rows: the names of protocols, applications and categories, and the ports, that rules ask for, as bits that the kernel finds by a row's codes."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dpi.batch import Batch, Coded
from dpi.security.conversation import SORT_AT, SORTS
from dpi.security.detector import Sort

CODES = 1 << 12             # names beyond are of no sort
_COLUMNS = {"protocols": "protocol", "applications": "application", "categories": "category"}


class Sorts:
    """arrays: uint16[CODES] by the codes of protocols, applications and categories, uint16[65536] `services` by server ports."""

    def __init__(self) -> None:
        self.arrays: dict[str, Any] = {name: np.zeros(CODES, np.uint16) for name in _COLUMNS} | {"services": np.zeros(1 << 16, np.uint16)}
        self._places: dict[Sort, int] = {}
        self._words: dict[str, Sequence[str]] = {}

    def bit(self, sort: Sort) -> int:
        """The bit of a row of this sort, 0 for none; ValueError for more than SORTS different ones."""
        if not sort:
            return 0
        place = self._places.setdefault(sort, len(self._places))
        if place >= SORTS:
            raise ValueError(f"rules ask for more than {SORTS} sorts of rows")
        self.arrays["services"][list(sort.ports)] |= np.uint16(1 << place)
        self._words.clear()
        return 1 << SORT_AT + place

    def learn(self, batch: Batch) -> None:
        """The codes of a batch's names, where they are not those of the one before."""
        for field, name in _COLUMNS.items():
            if not any(getattr(sort, field) for sort in self._places):
                continue
            column: Any = batch.columns.get(name)
            if not isinstance(column, Coded) or column.words is self._words.get(field):
                continue
            self._words[field] = column.words
            bits = self.arrays[field]
            bits[:] = 0
            codes = {word: code for code, word in enumerate(column.words[:CODES])}
            for sort, place in self._places.items():
                for word in getattr(sort, field):
                    if word in codes:
                        bits[codes[word]] |= np.uint16(1 << place)
