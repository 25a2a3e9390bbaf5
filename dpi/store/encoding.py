"""Kernels of the Native format: strings behind their lengths, dictionaries of codes."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.key import hash_of
from dpi.jit import I64, entry

U1, U4, U8, I8 = np.dtype("u1"), np.dtype("u4"), np.dtype("u8"), np.dtype("i8")


@entry(U1, I8, U1, I64)
def put_strings(data: Any, offsets: Any, out: Any, count: Any) -> Any:
    """Write each string behind its length (LEB128); returns how many bytes. out uint8[]: room for all data and ten bytes a string."""
    put = np.int64(0)
    for k in range(count):
        begin = offsets[k]
        length = offsets[k + 1] - begin
        left = length
        while left >= 0x80:
            out[put] = np.uint8(left & 0x7F | 0x80)
            left >>= 7
            put += 1
        out[put] = np.uint8(left)
        put += 1
        for i in range(length):
            out[put + i] = data[begin + i]
        put += length
    return put


@entry(U8, U8, U4, U8, U4, I64)
def number_values(values: Any, distinct: Any, codes: Any, seed: Any, slots: Any, count: Any) -> Any:
    """Number values by their first appearance: values[k] is distinct[codes[k]]. Returns how many are distinct; slots: zeros, a power of two of them,
    at least twice `count`."""
    mask = slots.size - 1
    used = np.int64(0)
    for k in range(count):
        value = np.uint64(values[k])
        at = np.int64(hash_of(value, np.uint64(0), seed) & np.uint64(mask))
        while slots[at] != 0 and distinct[slots[at] - 1] != value:
            at = (at + 1) & mask
        if slots[at] == 0:
            distinct[used] = value
            used += 1
            slots[at] = np.uint32(used)
        codes[k] = np.uint32(slots[at] - 1)
    return used
