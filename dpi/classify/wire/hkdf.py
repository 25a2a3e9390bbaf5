"""HMAC-SHA256 (RFC 2104) and the HKDF steps (RFC 5869) that QUIC's first keys need."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.wire.scratch import scratch_bytes, scratch_words
from dpi.classify.wire.sha256 import absorb, begin, finish
from dpi.jit import kernel

Array = np.ndarray[Any, Any]


@kernel
def prepare(key: Array, start: int, stop: int, pads: Array) -> None:
    """pads (uint32[16]): the states after the inner and the outer pad of the key key[start:stop], at most 64 bytes of it."""
    if start < 0 or stop > key.size or stop < start or stop - start > 64 or pads.size < 16:
        return
    block = scratch_bytes(64)
    inner = pads[0:8]
    outer = pads[8:16]
    for turn in range(2):
        pad = 0x36 if turn == 0 else 0x5C
        for i in range(64):
            block[i] = pad
        for i in range(stop - start):
            block[i] = np.int64(key[start + i]) ^ pad
        if turn == 0:
            begin(inner)
            absorb(inner, block, 0)
        else:
            begin(outer)
            absorb(outer, block, 0)


@kernel
def hmac(pads: Array, data: Array, start: int, stop: int, out: Array, at: int) -> None:
    """out[at:at + 32] = HMAC of data[start:stop] under the key of `pads`. HKDF-Extract is this with the salt as key."""
    if start < 0 or stop > data.size or stop < start or at < 0 or at + 32 > out.size or pads.size < 16:
        return
    state = scratch_words(8)
    inner = scratch_bytes(32)
    for i in range(8):
        state[i] = pads[i]
    finish(state, data, start, stop, 64 + stop - start, inner, 0)
    for i in range(8):
        state[i] = pads[8 + i]
    finish(state, inner, 0, 32, 96, out, at)
