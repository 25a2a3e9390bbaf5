"""Variable-length integers of QUIC (RFC 9000 section 16)."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.jit import kernel

Array = np.ndarray[Any, Any]


@kernel
def varint_size(data: Array, at: int, stop: int) -> int:
    """Bytes of the integer at data[at] (1, 2, 4 or 8); 0 where it does not end before stop."""
    if at < 0 or at >= stop or stop > data.size:
        return 0
    size = 1 << (np.int64(data[at]) >> 6)
    return size if at + size <= stop else 0


@kernel
def varint(data: Array, at: int, size: int) -> int:
    """The integer of `size` bytes (of `varint_size`) at data[at]."""
    value = np.int64(data[at]) & 0x3F
    for i in range(1, size):
        value = value << 8 | np.int64(data[at + i])
    return value
