"""The fields of rows as columns of their own, in one pass: whoever stores rows wants them all, and a pass for each would fetch every row fifty times."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.batch import Array
from dpi.jit import I64, entry

_ROWS = 64              # whose fields are copied one after the other: they and a line of each column stay in the nearest cache
_LINE = 64              # octets; each column begins one line further than it would: lines at distances of powers of 2 drive each other out of a cache
I8, U1, U2, U4, U8 = (np.dtype(name) for name in ("i8", "u1", "u2", "u4", "u8"))


@entry(U8, U4, U2, U1, U8, U4, U2, U1, I8, I64, I64)
def spread(in8: Any, in4: Any, in2: Any, in1: Any, out8: Any, out4: Any, out2: Any, out1: Any, fields: Any, size: Any, count: Any) -> Any:
    """Copy the fields of `count` rows of `size` octets. in8 to in1: the rows, out8 to out1: the columns, in words of as many octets. fields[f, 3], flat:
    octets of a field (1, 2, 4, 8, or 16 as two of 8), its place in a row and where its column begins, in octets and multiples of what it is copied by."""
    for first in range(0, count, _ROWS):
        last = min(first + _ROWS, count)
        for f in range(fields.size // 3):
            octets, place, begin = fields[3 * f], fields[3 * f + 1], fields[3 * f + 2]
            if octets == 8:
                for k in range(first, last):
                    out8[begin // 8 + k] = in8[(k * size + place) // 8]
            elif octets == 4:
                for k in range(first, last):
                    out4[begin // 4 + k] = in4[(k * size + place) // 4]
            elif octets == 2:
                for k in range(first, last):
                    out2[begin // 2 + k] = in2[(k * size + place) // 2]
            elif octets == 16:
                for k in range(first, last):
                    out8[begin // 8 + 2 * k] = in8[(k * size + place) // 8]
                    out8[begin // 8 + 2 * k + 1] = in8[(k * size + place) // 8 + 1]
            else:
                for k in range(first, last):
                    out1[begin + k] = in1[k * size + place]
    return 0


class Fields:
    """The fields of rows of one dtype, whose size is a multiple of 8 octets and whose fields lie at multiples of their own."""

    def __init__(self, kind: np.dtype[Any], room: int) -> None:
        """room: rows for which memory is taken at first."""
        self._kind, self._room = kind, room
        self._octets = np.empty(0, np.uint8)

    def of(self, rows: Array) -> dict[str, Array]:
        """Each field of `rows` as an array of its own, good until the next are asked for."""
        count, kind = len(rows), self._kind
        known = [(name, *kind.fields[name][:2]) for name in kind.names or ()]           # type: ignore[index]
        begins = np.cumsum([0, *((-(-count * one.itemsize // _LINE) + 1) * _LINE for _, one, _ in known)]).tolist()
        if len(self._octets) < begins[-1]:
            self._octets = np.empty(max(begins[-1], self._room * kind.itemsize + 2 * _LINE * len(known)), np.uint8)
        octets = self._octets[:begins[-1]]
        asked = np.array([(one.itemsize, place, begin) for (_, one, place), begin in zip(known, begins, strict=False)], np.int64)
        words = [part.view(one) for part in (rows.view(np.uint8).reshape(-1), octets) for one in (U8, U4, U2, U1)]
        spread(*words, asked.reshape(-1), kind.itemsize, count)
        return {name: octets[begin:begin + count * one.itemsize].view(one.base).reshape(count, *one.shape)
                for (name, one, _), begin in zip(known, begins, strict=False)}


class Spread:
    """A row's fields by name: where they lie, or, once somebody wants all, each in an array of its own."""

    def __init__(self, rows: Array, fields: Fields) -> None:
        self._rows, self._fields = rows, fields
        self._every: dict[str, Array] | None = None

    def all_wanted(self) -> None:
        """All of them will be asked for."""
        if self._every is None and len(self._rows):
            self._every = self._fields.of(self._rows)

    def __getitem__(self, name: str) -> Array:
        column: Array = (self._rows if self._every is None else self._every)[name]
        return column
