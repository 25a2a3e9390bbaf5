"""How many different values there were, in bounded memory: exactly up to 64, then by HyperLogLog with 256 registers (Flajolet et al. 2007).

A value is a mark of 32 bits: an IPv4 address or a port as it is, everything else mixed. Up to INLINE marks lie in the key's own record, more in a block of
WORDS words, first as marks, then as registers of a byte. The estimate errs by 6.5 % (standard deviation), never falls as values come, and depends neither
on their order nor on a seed: the same rows give the same count. Where marks are kept for their own sake, the WORDS smallest are, and the count stays there.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from dpi.capture.key import fold
from dpi.jit import kernel

INLINE = 4
SKETCH, SEVERAL = 1, 2      # bits of an entry: its block holds registers; its rows have several addresses at the other end
WORDS = 64                  # marks of a block, and its words of four registers
REGISTERS = 4 * WORDS
_ALPHA = 0.7213 / (1 + 1.079 / REGISTERS)
_FIRST, _SECOND, _THIRD = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93), np.uint64(0xA0761D6478BD642F)      # odd, half their bits set


def linear() -> Any:
    """float64[257]: the estimate by the number of registers that are still 0 (linear counting, Whang 1990); with none there is none."""
    return np.array([math.inf, *(REGISTERS * math.log(REGISTERS / free) for free in range(1, REGISTERS + 1))])


@kernel
def mark_of(high: Any, low: Any, third: Any) -> Any:
    """A mark of three words; never 0."""
    mixed = fold(fold(np.uint64(high) ^ _FIRST, np.uint64(low) ^ _SECOND) ^ np.uint64(third), _THIRD)
    mark = (mixed ^ mixed >> np.uint64(32)) & np.uint64(0xFFFFFFFF)
    return np.int64(mark) if mark != 0 else np.int64(1)


@kernel
def join(blocks: Any, at: Any, mark: Any) -> Any:
    """Put a mark into the registers of the block at word `at`. True where a register rose."""
    mixed = fold(fold(np.uint64(mark) ^ _THIRD, _FIRST) ^ _SECOND, _THIRD)        # addresses in a row share no low bits after two
    register = np.int64(mixed & np.uint64(REGISTERS - 1))
    rest = mixed >> np.uint64(8)
    rank = np.int64(1)
    while rank < 57 and rest & np.uint64(1) == 0:
        rank += 1
        rest = rest >> np.uint64(1)
    word = np.int64(blocks[at + (register >> 2)])
    shift = 8 * (register & 3)
    if word >> shift & 255 >= rank:
        return False
    blocks[at + (register >> 2)] = np.uint32((word & ~(255 << shift)) | rank << shift)
    return True


@kernel
def estimate(blocks: Any, at: Any, linear: Any) -> Any:
    """How many distinct marks the registers stand for."""
    total = 0.0
    free = np.int64(0)
    for k in range(WORDS):
        word = np.int64(blocks[at + k])
        for shift in range(0, 32, 8):
            rank = word >> shift & 255
            free += 1 if rank == 0 else 0
            total += 1.0 / np.float64(1 << rank)
    return np.int64(min(_ALPHA * REGISTERS * REGISTERS / total, linear[free]))


@kernel
def spread_out(blocks: Any, at: Any) -> Any:
    """Turn a block of WORDS marks into registers; block 0 is nobody's, and takes the marks meanwhile."""
    for k in range(WORDS):
        blocks[k] = blocks[at + k]
        blocks[at + k] = np.uint32(0)
    for k in range(WORDS):
        join(blocks, at, np.int64(blocks[k]))
    return 0
