"""Domain names as DNS messages carry them: labels and compression pointers (RFC 1035, sections 3.1 and 4.1.4).

Written out in lower case with the escapes of RFC 4343, section 2.1: a byte that is not a printing ASCII character becomes ``\\DDD``
(decimal), a dot or backslash inside a label is preceded by a backslash. The root is ``.``; no other name ends in a dot.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.wire.rows import TEXT_BYTES, field
from dpi.jit import kernel

BAD, CUT = -1, -2       # malformed; the bytes end inside the name

Array = np.ndarray[Any, Any]


@kernel
def name_end(data: Array, at: int, stop: int) -> int:
    """The offset after the name at data[at:stop] without following pointers; BAD, or CUT where it runs over `stop`. 0 <= at, stop <= data.size."""
    limit = at + 255
    while at <= limit:
        if at >= stop:
            return -2
        size = np.int64(data[at])
        if size == 0:
            return at + 1
        if size >= 192:
            return at + 2 if at + 2 <= stop else -2
        if size >= 64:
            return -1       # label types 01 and 10 are withdrawn (RFC 6891, section 5)
        at += size + 1
    return -1


@kernel
def name_start(data: Array, base: int, at: int, stop: int) -> int:
    """Where the first label of the name at `at` stands once leading pointers are followed: two names with one start are one name. BAD else."""
    for _ in range(16):
        if at >= stop:
            return -1
        size = np.int64(data[at])
        if size < 192:
            return at
        if at + 2 > stop:
            return -1
        target = base + ((size & 63) << 8 | np.int64(data[at + 1]))
        if target >= at:
            return -1
        at = target
    return -1


@kernel
def name_text(outbox: Array, row: int, k: int, data: Array, base: int, at: int, stop: int, plain: int) -> int:
    """Append the name at data[at:stop] to text field k of a row.

    `base` is where the message begins (pointers count from there). Each pointer must lead to before the name it stands in, so the walk ends;
    a name is at most 255 octets. plain = 1 leaves spaces and bytes from 0x80 as they are (mDNS names are UTF-8: RFC 6762, section 16).
    Returns the octets of the whole name on the wire, uncompressed, or BAD (what was read is written all the same).
    """
    out = field(outbox, row, k)
    if out < 0:
        return -1
    one = outbox[row]
    ends = one.ends
    kept = one.text
    floor = at
    total = 0
    result = -1
    for _ in range(256):        # a label or a pointer each
        if at < 0 or at >= stop:
            break
        size = np.int64(data[at])
        if size == 0:
            if total == 0 and out < TEXT_BYTES:
                kept[out] = 46
                out += 1
            result = total + 1
            break
        if size >= 192:
            if at + 2 > stop:
                break
            target = base + ((size & 63) << 8 | np.int64(data[at + 1]))
            if target >= floor:
                break
            floor = target
            at = target
            continue
        if size >= 64 or at + 1 + size > stop or total + size + 1 > 254:
            break
        if total > 0 and out < TEXT_BYTES:
            kept[out] = 46
            out += 1
        for i in range(at + 1, at + 1 + size):
            value = np.int64(data[i])
            if 65 <= value <= 90:
                value += 32
            if value == 46 or value == 92:
                if out + 2 <= TEXT_BYTES:
                    kept[out] = 92
                    kept[out + 1] = value
                    out += 2
            elif 32 < value < 127 or (plain == 1 and (value == 32 or value > 127)):
                if out < TEXT_BYTES:
                    kept[out] = value
                    out += 1
            elif out + 4 <= TEXT_BYTES:
                kept[out] = 92
                kept[out + 1] = 48 + value // 100
                kept[out + 2] = 48 + value // 10 % 10
                kept[out + 3] = 48 + value % 10
                out += 4
        total += size + 1
        at += size + 1
    ends[k] = out
    return result
