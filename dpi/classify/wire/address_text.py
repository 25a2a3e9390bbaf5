"""IP addresses as text: IPv4 in dotted form, IPv6 as RFC 5952 has it (lower case, the longest run of zero groups shortened)."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.wire.rows import byte
from dpi.jit import kernel

Array = np.ndarray[Any, Any]


@kernel
def put_decimal(outbox: Array, row: int, k: int, value: int) -> None:
    """Append 0 <= value < 100000 to text field k in decimal."""
    divisor = 10000
    while divisor > 1 and value < divisor:
        divisor //= 10
    while divisor > 0:
        byte(outbox, row, k, 48 + value // divisor % 10)
        divisor //= 10


@kernel
def put_ipv4(outbox: Array, row: int, k: int, data: Array, at: int) -> None:
    """Append the four bytes at `at` (which the caller has checked to be there) to text field k as a dotted address."""
    for i in range(4):
        if i:
            byte(outbox, row, k, 46)
        put_decimal(outbox, row, k, np.int64(data[at + i]))


@kernel
def put_ipv6(outbox: Array, row: int, k: int, data: Array, at: int) -> None:
    """Append the sixteen bytes at `at` (which the caller has checked to be there) to text field k as an IPv6 address."""
    best = -1
    longest = 1
    run = 0
    for i in range(8):
        if data[at + 2 * i] == 0 and data[at + 2 * i + 1] == 0:
            run += 1
            if run > longest:
                longest = run
                best = i - run + 1
        else:
            run = 0
    i = 0
    while i < 8:
        if i == best:
            byte(outbox, row, k, 58)
            byte(outbox, row, k, 58)
            i += longest
            continue
        if i > 0 and i != best + longest or (i > 0 and best < 0):
            byte(outbox, row, k, 58)
        value = np.int64(data[at + 2 * i]) << 8 | np.int64(data[at + 2 * i + 1])
        shift = 12
        while shift > 0 and value >> shift == 0:
            shift -= 4
        while shift >= 0:
            digit = value >> shift & 15
            byte(outbox, row, k, digit + 48 if digit < 10 else digit + 87)
            shift -= 4
        i += 1
