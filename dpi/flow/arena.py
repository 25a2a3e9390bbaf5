"""Bytes lent to flows while they are inspected: pieces of three sizes, each with a stated number, out of one array.

A piece is known by the offset of its first byte in the array; 0 means none. A free piece holds the offset of the next free one in its first
four bytes, so that the pieces in use are the ones last given back, whose bytes are still in the processor's cache.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.jit import kernel, records

SPAN = 8192                 # bytes of one direction that are put in order
SMALL, LARGE = 1024, 8192   # a parser's private memory
CLEAN = 64                  # bytes of it that are zero when it is lent
BUFFER, SMALL_MEMORY, LARGE_MEMORY = 0, 1, 2        # numbers of the pools
SIZES = (SPAN, SMALL, LARGE)

POOL = np.dtype((np.record, [
    ("free", "i8"),         # offset of the first free piece that was in use before, 0 none
    ("fresh", "i8"),        # offset of the first piece never used
    ("stop", "i8"),         # end of the pool
    ("size", "i8"),         # of one piece
]))


class Arena:
    """The bytes and pools of one shard. `streams`: flows that are inspected at the same time; pages are touched as pieces are first used."""

    def __init__(self, streams: int) -> None:
        self.pools = records(len(SIZES), POOL)
        place = 64          # no piece begins at 0
        for pool, size, count in zip(self.pools, SIZES, (max(2, streams // 4), streams, max(2, streams // 8)), strict=True):
            pool.fresh, pool.size = place, size
            place += size * count
            pool.stop = place
        self.bytes: np.ndarray[Any, Any] = np.zeros(place, np.uint8)


@kernel
def take_piece(pools: Any, arena: Any, which: Any) -> Any:
    """The offset of a piece whose bytes are anything, 0 when the pool is empty."""
    pool = pools[which]
    at = np.int64(pool.free)
    if at != 0:
        after = np.int64(0)
        for i in range(4):
            after |= np.int64(arena[at + i]) << (8 * i)
        pool.free = after
        return at
    at = np.int64(pool.fresh)
    if at >= pool.stop:
        return np.int64(0)
    pool.fresh = at + pool.size
    return at


@kernel
def give_piece(pools: Any, arena: Any, which: Any, at: Any) -> Any:
    """Give a piece back."""
    pool = pools[which]
    after = np.int64(pool.free)
    for i in range(4):
        arena[at + i] = (after >> (8 * i)) & 255
    pool.free = np.int64(at)
    return 0
