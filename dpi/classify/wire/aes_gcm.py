"""AES-128-GCM with 96-bit nonces (NIST SP 800-38D): opening what was sealed, tag first."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.wire.aes import counter_mode, encrypt
from dpi.classify.wire.ghash import absorb, prepare
from dpi.classify.wire.scratch import scratch_bytes
from dpi.jit import kernel

Array = np.ndarray[Any, Any]


@kernel
def open_sealed(schedule: Array, nonce: Array, aad: Array, aad_start: int, aad_stop: int, data: Array, start: int, stop: int,
                out: Array, to: int) -> int:
    """Verify and decrypt data[start:stop] (ciphertext, then 16 bytes of tag) into out[to:].

    schedule: uint8[176] of `aes.expand_key`. nonce: uint8[16], the last four bytes unused. aad[aad_start:aad_stop] is authenticated too.
    Returns the bytes written, or -1 where the tag is wrong (out is untouched) or a range does not exist.
    """
    size = stop - start - 16
    if (start < 0 or stop > data.size or size < 0 or aad_start < 0 or aad_stop < aad_start or aad_stop > aad.size or to < 0
            or to + size > out.size or schedule.size < 176 or nonce.size < 16):
        return -1
    work = scratch_bytes(64)        # 0: hash key, 16: sum, 32: lengths, 48: first counter block
    powers = scratch_bytes(64)
    for i in range(48):
        work[i] = 0
    encrypt(schedule, work, 0, work, 0)
    prepare(work, powers)
    total = work[16:32]
    absorb(powers, total, aad, aad_start, aad_stop)
    absorb(powers, total, data, start, stop - 16)
    bits = (aad_stop - aad_start) * 8
    for i in range(8):
        work[39 - i] = bits >> (8 * i) & 0xFF
    bits = size * 8
    for i in range(8):
        work[47 - i] = bits >> (8 * i) & 0xFF
    absorb(powers, total, work, 32, 48)
    for i in range(12):
        work[48 + i] = nonce[i]
    work[60] = 0
    work[61] = 0
    work[62] = 0
    work[63] = 1
    encrypt(schedule, work, 48, work, 48)
    wrong = 0
    for i in range(16):
        wrong |= np.int64(work[16 + i]) ^ np.int64(work[48 + i]) ^ np.int64(data[stop - 16 + i])
    if wrong != 0:
        return -1
    counter_mode(schedule, nonce, 2, data, start, stop - 16, out, to)
    return size
