"""Kernels of the Native format: dictionaries of codes. That of strings is in dpi/texts.py."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.key import hash_of
from dpi.jit import I64, entry

U4, U8 = np.dtype("u4"), np.dtype("u8")


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
