"""Integers of two and four bytes, in network and in little-endian order. The caller has checked that the bytes are there."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.jit import kernel

Array = np.ndarray[Any, Any]


@kernel
def be16(data: Array, at: int) -> int:
    return np.int64(data[at]) << 8 | np.int64(data[at + 1])


@kernel
def be32(data: Array, at: int) -> int:
    return np.int64(data[at]) << 24 | np.int64(data[at + 1]) << 16 | np.int64(data[at + 2]) << 8 | np.int64(data[at + 3])


@kernel
def le16(data: Array, at: int) -> int:
    return np.int64(data[at + 1]) << 8 | np.int64(data[at])


@kernel
def le32(data: Array, at: int) -> int:
    return np.int64(data[at + 3]) << 24 | np.int64(data[at + 2]) << 16 | np.int64(data[at + 1]) << 8 | np.int64(data[at])
