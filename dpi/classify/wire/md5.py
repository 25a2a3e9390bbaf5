"""MD5 (RFC 1321), for the JA3 and JA3S fingerprints. About 150 ns a block."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from dpi.classify.wire.scratch import scratch_bytes, scratch_words
from dpi.jit import kernel

Array = np.ndarray[Any, Any]

SINES = np.array([int(abs(math.sin(i + 1)) * 2 ** 32) for i in range(64)], np.uint32)
TURNS = np.array([7, 12, 17, 22] * 4 + [5, 9, 14, 20] * 4 + [4, 11, 16, 23] * 4 + [6, 10, 15, 21] * 4, np.int64)
PLACES = np.array([i if i < 16 else (5 * i + 1) % 16 if i < 32 else (3 * i + 5) % 16 if i < 48 else 7 * i % 16 for i in range(64)], np.int64)
START = np.array([0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476], np.uint32)


@kernel
def _absorb(state: Array, data: Array, at: int) -> None:
    """Change state (uint32[4]) by the block data[at:at + 64], which must exist."""
    m = scratch_words(16)
    for i in range(16):
        k = at + 4 * i
        m[i] = np.int64(data[k]) | np.int64(data[k + 1]) << 8 | np.int64(data[k + 2]) << 16 | np.int64(data[k + 3]) << 24
    a = np.int64(state[0])
    b = np.int64(state[1])
    c = np.int64(state[2])
    d = np.int64(state[3])
    for i in range(64):
        if i < 16:
            f = d ^ b & (c ^ d)
        elif i < 32:
            f = c ^ d & (b ^ c)
        elif i < 48:
            f = b ^ c ^ d
        else:
            f = c ^ (b | d ^ 0xFFFFFFFF)
        f = (f + a + np.int64(SINES[i]) + np.int64(m[PLACES[i]])) & 0xFFFFFFFF
        a = d
        d = c
        c = b
        turn = TURNS[i]
        b = (b + (f << turn | f >> (32 - turn))) & 0xFFFFFFFF
    state[0] = (np.int64(state[0]) + a) & 0xFFFFFFFF
    state[1] = (np.int64(state[1]) + b) & 0xFFFFFFFF
    state[2] = (np.int64(state[2]) + c) & 0xFFFFFFFF
    state[3] = (np.int64(state[3]) + d) & 0xFFFFFFFF


@kernel
def md5(data: Array, start: int, stop: int, out: Array, at: int) -> None:
    """Write the digest of data[start:stop] to out[at:at + 16] (uint8). Nothing happens where a range lies outside its array."""
    if start < 0 or stop > data.size or stop < start or at < 0 or at + 16 > out.size:
        return
    state = scratch_words(4)
    for i in range(4):
        state[i] = START[i]
    bits = (stop - start) * 8
    while stop - start >= 64:
        _absorb(state, data, start)
        start += 64
    last = scratch_bytes(128)
    rest = stop - start
    for i in range(128):
        last[i] = 0
    for i in range(rest):
        last[i] = data[start + i]
    last[rest] = 0x80
    end = 64 if rest < 56 else 128
    for i in range(8):
        last[end - 8 + i] = bits >> (8 * i) & 0xFF
    _absorb(state, last, 0)
    if end == 128:
        _absorb(state, last, 64)
    for i in range(4):
        value = np.int64(state[i])
        for k in range(4):
            out[at + 4 * i + k] = value >> (8 * k) & 0xFF
