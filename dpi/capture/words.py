"""Words of either byte order inside a buffer, for the kernels that walk captures. The caller has checked the bounds."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.jit import kernel

_1, _2, _3 = np.uint64(1), np.uint64(2), np.uint64(3)
_8, _16, _24 = np.uint64(8), np.uint64(16), np.uint64(24)


@kernel
def word16(data: Any, position: Any, swapped: Any) -> Any:
    """The uint16 at `position` (uint64) of data uint8[n], as uint64; little-endian, or big-endian where `swapped` is not 0."""
    a = np.uint64(data[position])
    b = np.uint64(data[position + _1])
    if swapped:
        return (a << _8) | b
    return (b << _8) | a


@kernel
def word32(data: Any, position: Any, swapped: Any) -> Any:
    """The uint32 at `position` (uint64) of data uint8[n], as uint64; little-endian, or big-endian where `swapped` is not 0."""
    a = np.uint64(data[position])
    b = np.uint64(data[position + _1])
    c = np.uint64(data[position + _2])
    d = np.uint64(data[position + _3])
    if swapped:
        return (a << _24) | (b << _16) | (c << _8) | d
    return (d << _24) | (c << _16) | (b << _8) | a
