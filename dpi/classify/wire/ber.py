"""Tag, length and value as BER writes them (X.690, sections 8.1.2 and 8.1.3), with definite lengths and one-byte tags."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.jit import kernel

Array = np.ndarray[Any, Any]

INTEGER, OCTETS, SEQUENCE, ENUMERATED, BOOLEAN, OBJECT = 0x02, 0x04, 0x30, 0x0A, 0x01, 0x06


@kernel
def value_start(data: Array, at: int, stop: int) -> int:
    """Offset of the contents of the element at `at`; -1 where tag or length are cut or of a form that is not read."""
    if at < 0 or at + 2 > stop or stop > data.size or data[at] & 31 == 31:
        return -1
    length = np.int64(data[at + 1])
    if length < 128:
        return at + 2
    count = length & 127
    if count == 0 or count > 4 or at + 2 + count > stop:
        return -1
    return at + 2 + count


@kernel
def value_stop(data: Array, at: int, stop: int) -> int:
    """Offset after the element at `at` by its length, which may lie beyond `stop`; -1 where value_start is -1."""
    start = value_start(data, at, stop)
    if start < 0:
        return -1
    length = np.int64(data[at + 1])
    if length < 128:
        return start + length
    length = np.int64(0)
    for i in range(at + 2, start):
        length = length << 8 | np.int64(data[i])
    return start + length


@kernel
def skip(data: Array, at: int, stop: int, tag: int) -> int:
    """Offset after the element at `at`, which must have `tag` and end within `stop`; -1 else."""
    if at < 0 or at >= stop or data[at] != tag:
        return -1
    end = value_stop(data, at, stop)
    return end if end >= 0 and end <= stop else -1


@kernel
def enter(data: Array, at: int, stop: int, tag: int) -> int:
    """Offset of the contents of the element at `at`, which must have `tag` and end within `stop`; -1 else."""
    return value_start(data, at, stop) if skip(data, at, stop, tag) >= 0 else -1


@kernel
def small(data: Array, at: int, stop: int, tag: int) -> int:
    """The value of the INTEGER (or ENUMERATED: give its tag) at `at`, if it is not negative and has at most four bytes (five with a zero in front); -1 else."""
    end = skip(data, at, stop, tag)
    start = value_start(data, at, stop)
    if end < 0 or end == start or end - start > 5 or data[start] >= 128 or (end - start == 5 and data[start] != 0):
        return -1
    value = np.int64(0)
    for i in range(start, end):
        value = value << 8 | np.int64(data[i])
    return value
