"""QUIC's versions, and the packet that negotiates them (RFC 8999, RFC 9000 sections 15 and 17.2.1)."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.wire.fingerprint import two
from dpi.classify.wire.initial_keys import salt_of
from dpi.jit import kernel

Array = np.ndarray[Any, Any]


@kernel
def four(data: Array, at: int) -> int:
    """The big-endian 32-bit value at data[at], which must exist."""
    return two(data, at) << 16 | two(data, at + 2)


@kernel
def is_version(version: int) -> bool:
    """True for versions this parser knows by name, and for those reserved to be refused (RFC 9000 section 15)."""
    return salt_of(version) >= 0 or version & 0x0F0F0F0F == 0x0A0A0A0A or version >> 16 == 0x5130 or version >> 8 == 0xFF0000


@kernel
def is_negotiation(data: Array) -> bool:
    """A Version Negotiation packet (RFC 9000 section 17.2.1): connection IDs, then versions to the end, one of them known."""
    n = data.size
    if n < 11 or data[0] & 0x80 == 0 or four(data, 1) != 0:
        return False
    at = 6 + np.int64(data[5])
    if data[5] > 20 or at >= n:
        return False
    size = np.int64(data[at])
    at += 1 + size
    if size > 20 or at >= n or (n - at) & 3 != 0:
        return False
    known = False
    for _ in range(64):
        if at + 4 > n:
            break
        if is_version(four(data, at)):
            known = True
        at += 4
    return known
