"""Text fields of fixed-width records: made valid UTF-8 and put one behind the other, or each behind its length.

A byte that is not printable ASCII nor part of a well-formed UTF-8 sequence (RFC 3629) becomes '?', so that text from the wire is always valid. No text becomes
longer or shorter by that.
"""
from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from dpi.batch import Array, Texts
from dpi.capture.octets import copy8
from dpi.capture.prefetch import prefetch
from dpi.jit import I64, entry, kernel

U1, I8 = np.dtype("u1"), np.dtype("i8")
_AHEAD = 16             # rows: records are large, and each is another line of memory
LENGTH = 10             # bytes that a length takes at most (LEB128 of 64 bits)
_HIGH, _SPACES, _ONES = np.uint64(0x8080808080808080), np.uint64(0x2020202020202020), np.uint64(0x0101010101010101)


@entry(U1, I8, I8, I8, U1, I64)
def gather(source: Any, offsets: Any, begins: Any, lengths: Any, out: Any, count: Any) -> Any:
    """Collect text fields: row k takes lengths[k] bytes from begins[k].

    source uint8[]: the records' bytes; offsets int64[count+1] is filled; out uint8[]: large enough for sum(lengths).
    """
    put = np.int64(0)
    for k in range(count):
        ask_for(source, begins, lengths, k + _AHEAD, count)
        offsets[k] = put
        put = copied(source, begins[k], lengths[k], out, put)
    offsets[count] = put
    return put


@entry(U1, I8, I8, U1, I64)
def lay(source: Any, begins: Any, lengths: Any, out: Any, count: Any) -> Any:
    """The same with each text behind its length (LEB128) instead of offsets; returns how many bytes. out uint8[]: room for all texts and LENGTH bytes each."""
    put = np.int64(0)
    for k in range(count):
        ask_for(source, begins, lengths, k + _AHEAD, count)
        put = measured(lengths[k], out, put)
        put = copied(source, begins[k], lengths[k], out, put)
    return put


@entry(U1, I8, U1, I64)
def put_strings(data: Any, offsets: Any, out: Any, count: Any) -> Any:
    """The same from strings that are valid and lie one behind the other: string k is data[offsets[k]:offsets[k + 1]]."""
    put = np.int64(0)
    for k in range(count):
        begin = offsets[k]
        length = offsets[k + 1] - begin
        put = measured(length, out, put)
        for i in range(length):
            out[put + i] = data[begin + i]
        put += length
    return put


@kernel
def ask_for(source: Any, begins: Any, lengths: Any, row: Any, count: Any) -> Any:
    """Have the memory fetched that the text of a row to come begins in."""
    if row < count and lengths[row] > 0:
        prefetch(source, begins[row])


@kernel
def measured(length: Any, out: Any, put: Any) -> Any:
    """Write a length as LEB128; returns where what it measures goes."""
    while length >= 0x80:
        out[put] = np.uint8(length & 0x7F | 0x80)
        length >>= 7
        put += 1
    out[put] = np.uint8(length)
    return put + 1


@kernel
def copied(source: Any, begin: Any, n: Any, out: Any, put: Any) -> Any:
    """Copy a text of n bytes, mended where it is not all printable ASCII, as nearly all text is; returns where the next one goes.

    Eight bytes at a time, the last ones together with what lies behind them, where both arrays have that much."""
    odd = np.uint64(0)
    i = np.int64(0)
    while i + 8 <= n:
        odd |= unplain(copy8(out, put + i, source, begin + i))
        i += 8
    if i < n:
        if begin + i + 8 <= source.size and put + i + 8 <= out.size:
            mine = (np.uint64(1) << np.uint64(8 * (n - i))) - np.uint64(1)
            odd |= unplain((copy8(out, put + i, source, begin + i) & mine) | (_SPACES & ~mine))
        elif plain(source, begin + i, n - i):
            for j in range(i, n):
                out[put + j] = source[begin + j]
        else:
            odd = _ONES
    return put + n if odd == np.uint64(0) else mended(source, begin, n, out, put)


@kernel
def unplain(word: Any) -> Any:
    """Not 0 where any of eight bytes is not printable ASCII: one of 128 and more has its highest bit, one below 32 gets it by what is taken away, 127 by
    what is added. What a byte borrows from the next, or carries to it, only follows upon one that is told already."""
    return (word | (word - _SPACES) | (word + _ONES)) & _HIGH


@kernel
def plain(source: Any, begin: Any, n: Any) -> Any:
    """Whether n bytes are all printable ASCII."""
    odd = np.int64(0)
    for i in range(n):                                  # without branches, so that it becomes vector code
        byte = source[begin + i]
        odd |= np.int64(byte < 32) | np.int64(byte > 126)
    return odd == 0


@kernel
def mended(source: Any, begin: Any, n: Any, out: Any, put: Any) -> Any:
    """Copy n bytes that are not all plain; returns where the next text goes."""
    i = np.int64(0)
    while i < n:
        byte = np.int64(source[begin + i])
        size: Any = np.int64(1)
        good: Any = 32 <= byte < 127
        if 0xC2 <= byte <= 0xF4:
            size = np.int64(2) if byte < 0xE0 else (np.int64(3) if byte < 0xF0 else np.int64(4))
            good = i + size <= n
            j = np.int64(1)
            while good and j < size:
                good = (np.int64(source[begin + i + j]) & 0xC0) == 0x80
                j += 1
            if good and size > 2:
                second = np.int64(source[begin + i + 1])
                good = not ((byte == 0xE0 and second < 0xA0) or (byte == 0xED and second > 0x9F)
                            or (byte == 0xF0 and second < 0x90) or (byte == 0xF4 and second > 0x8F))
            if not good:
                size = np.int64(1)
        if good:
            for piece in range(size):
                out[put + piece] = source[begin + i + piece]
            put += size
        else:
            out[put] = 63
            put += 1
        i += size
    return put


@entry(U1, I8, I8, I8, I64, U1)
def spell(source: Any, begins: Any, have: Any, offsets: Any, width: Any, out: Any) -> Any:
    """Raw digests as lower-case hex: row k, where have[k] is 1, takes `width` bytes from begins[k]; offsets int64[n + 1] is filled."""
    put = np.int64(0)
    for k in range(begins.size):
        offsets[k] = put
        if have[k] == 0:
            continue
        begin = begins[k]
        for i in range(width):
            byte = np.int64(source[begin + i])
            high = byte >> 4
            low = byte & 15
            out[put + 2 * i] = 48 + high + (39 if high > 9 else 0)
            out[put + 2 * i + 1] = 48 + low + (39 if low > 9 else 0)
        put += 2 * width
    offsets[begins.size] = put
    return put


class Laid(Texts):
    """n texts that still lie where a parser wrote them: put one behind the other when somebody asks for `data` or `offsets`. Good as long as the records are.

    source uint8[]: the bytes of all records; begins, lengths int64[n]: which of them."""

    source: Array
    begins: Array
    lengths: Array          # type: ignore[assignment]

    def __init__(self, source: Array, begins: Array, lengths: Array) -> None:
        vars(self).update(source=source, begins=begins, lengths=lengths)

    def __len__(self) -> int:
        return len(self.begins)

    @cached_property
    def data(self) -> Array:        # type: ignore[override]
        """See Texts."""
        return self._gathered[0]

    @cached_property
    def offsets(self) -> Array:     # type: ignore[override]
        """See Texts."""
        return self._gathered[1]

    @cached_property
    def _gathered(self) -> tuple[Array, Array]:
        count, total = len(self), int(self.lengths.sum())
        offsets, out = np.zeros(count + 1, np.int64), np.empty(total, np.uint8)
        if total:
            gather(self.source, offsets, self.begins, self.lengths, out, count)
        return out, offsets


class Strings(Texts):
    """n strings, each behind its length (LEB128), as ClickHouse's Native format has them; as Texts when somebody asks for that.

    encoded uint8[]."""

    encoded: Array
    count: int

    def __init__(self, encoded: Array, count: int) -> None:
        vars(self).update(encoded=encoded, count=count)

    def __len__(self) -> int:
        return self.count

    @cached_property
    def data(self) -> Array:        # type: ignore[override]
        """See Texts."""
        return np.concatenate([np.zeros(0, np.uint8), *(self.encoded[begin:end] for begin, end in self._places())])

    @cached_property
    def offsets(self) -> Array:     # type: ignore[override]
        """See Texts."""
        return np.cumsum([0, *(end - begin for begin, end in self._places())], dtype=np.int64)

    def _places(self) -> Iterator[tuple[int, int]]:
        """Where each begins and ends."""
        at = 0
        for _ in range(self.count):
            length = shift = 0
            while (byte := int(self.encoded[at])) >= 0x80:
                length |= (byte & 0x7F) << shift
                shift, at = shift + 7, at + 1
            begin = at + 1
            at = begin + (length | byte << shift)
            yield begin, at


def room(column: Texts) -> int:
    """Bytes that `put` needs at most."""
    if isinstance(column, Strings):
        return len(column.encoded)
    size = int(column.lengths.sum()) if isinstance(column, Laid) else int(column.offsets[-1] - column.offsets[0])
    return size + LENGTH * len(column)


def put(column: Texts, out: Array) -> int:
    """Write each text behind its length; how many bytes. out uint8[room(column)]."""
    if isinstance(column, Strings):
        out[:] = column.encoded
        return len(out)
    count = len(column)
    if len(out) == LENGTH * count:          # all are empty
        out[:count] = 0
        return count
    if isinstance(column, Laid):
        return lay(column.source, column.begins, column.lengths, out, count)
    return put_strings(np.ascontiguousarray(column.data, np.uint8), np.ascontiguousarray(column.offsets, np.int64), out, count)


def hex_texts(records: Any, dtype: np.dtype[Any], field: str, rows: Array, have: Array) -> Texts:
    """A field of raw bytes of `records` for each of `rows`, in hex; '' where have[k] (int64) is 0."""
    kind, place = dtype.fields[field][:2]       # type: ignore[index]
    offsets = np.empty(len(rows) + 1, np.int64)
    out = np.empty(2 * kind.itemsize * int(have.sum()), np.uint8)
    begins = rows.astype(np.int64) * dtype.itemsize + place
    spell(records.view(np.uint8).reshape(-1), begins, have, offsets, kind.itemsize, out)
    return Texts(out, offsets)


def texts(records: Any, dtype: np.dtype[Any], field: str, rows: Array, lengths: Array, shifts: Array | int = 0) -> Laid:
    """A text field of `records` for each of `rows`: lengths[k] bytes (int64), beginning shifts[k] bytes into the field."""
    begins = rows.astype(np.int64) * dtype.itemsize + (dtype.fields[field][1] + shifts)     # type: ignore[index]
    return Laid(records.view(np.uint8).reshape(-1), begins, lengths)
