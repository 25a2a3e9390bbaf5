"""Text fields of fixed-width records, made valid UTF-8 and put one behind the other."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.batch import Texts
from dpi.jit import I64, entry, kernel

U1, I8 = np.dtype("u1"), np.dtype("i8")


@entry(U1, I8, I8, I8, U1, I64)
def gather(source: Any, offsets: Any, begins: Any, lengths: Any, out: Any, count: Any) -> Any:
    """Collect text fields of fixed-width records: row k takes lengths[k] bytes from begins[k], made valid UTF-8.

    source uint8[]: the records' bytes; offsets int64[count+1] is filled; out uint8[]: large enough for sum(lengths). A byte that is not
    printable ASCII nor part of a well-formed UTF-8 sequence (RFC 3629) becomes '?', so that text from the wire is always valid.
    """
    put = np.int64(0)
    for k in range(count):
        offsets[k] = put
        begin = begins[k]
        n = lengths[k]
        if plain(source, begin, n):                     # as nearly all text is
            for i in range(n):
                out[put + i] = source[begin + i]
            put += n
        else:
            put = mended(source, begin, n, out, put)
    offsets[count] = put
    return put


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


def hex_texts(records: Any, dtype: np.dtype[Any], field: str, rows: np.ndarray[Any, Any], have: np.ndarray[Any, Any]) -> Texts:
    """A field of raw bytes of `records` for each of `rows`, in hex; '' where have[k] (int64) is 0."""
    kind, place = dtype.fields[field][:2]       # type: ignore[index]
    offsets = np.empty(len(rows) + 1, np.int64)
    out = np.empty(2 * kind.itemsize * int(have.sum()), np.uint8)
    begins = rows.astype(np.int64) * dtype.itemsize + place
    spell(records.view(np.uint8).reshape(-1), begins, have, offsets, kind.itemsize, out)
    return Texts(out, offsets)


def texts(records: Any, dtype: np.dtype[Any], field: str, rows: np.ndarray[Any, Any], lengths: np.ndarray[Any, Any],
          shifts: np.ndarray[Any, Any] | int = 0) -> Texts:
    """A text field of `records` for each of `rows`: lengths[k] bytes (int64), beginning shifts[k] bytes into the field."""
    count = len(rows)
    total = int(lengths.sum())
    if not total:
        return Texts(np.zeros(0, np.uint8), np.zeros(count + 1, np.int64))
    offsets = np.empty(count + 1, np.int64)
    out = np.empty(total, np.uint8)
    begins = rows.astype(np.int64) * dtype.itemsize + (dtype.fields[field][1] + shifts)     # type: ignore[index]
    gather(records.view(np.uint8).reshape(-1), offsets, begins, lengths, out, count)
    return Texts(out[:int(offsets[-1])], offsets)
