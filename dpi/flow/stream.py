"""The first bytes of each direction in TCP order.

A stream record belongs to one inspected flow. A direction needs a buffer only while bytes wait in it: for a gap to close, or for the rest of a
message. Segments that arrive ahead of a gap are copied to their place and remembered as up to PIECES ranges a direction; bytes that are there
already are never overwritten (the first copy wins, so a later overlapping segment cannot change what was inspected). What a parser is done with
leaves the front of the buffer; of each direction at most SPAN bytes are looked at, however they come. Record 0 is never used.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.flow.arena import BUFFER, CLEAN, LARGE_MEMORY, SMALL, SMALL_MEMORY, SPAN, give_piece, take_piece
from dpi.jit import kernel, records

PIECES = 4

#: 128 bytes. Offsets of pieces count in the arena; 0 is none.
STREAM = np.dtype((np.record, [
    ("owner", "u4"), ("next", "u4"),
    ("origin", "u4", (2,)),             # sequence number of the first byte held, or awaited
    ("have", "u4", (2,)),               # contiguous bytes from there
    ("taken", "u4", (2,)),              # bytes before it that the parser is done with
    ("buffer", "u4", (2,)),
    ("starts", "u2", (2 * PIECES,)), ("stops", "u2", (2 * PIECES,)),   # ranges beyond the gap; empty where stop is 0
    ("memory", "u4"),
    ("memory_size", "u2"),
    ("open", "u1", (2,)),               # 1: the direction is being assembled, 2: given up or full
    ("row", "i4"),                      # signature row that led to the parser
    ("state", "u4", (8,)),              # INSPECTION.state between calls
    ("fed", "u1"),                      # the parser whose memory it is
    ("pad", "u1", (11,)),
]))
assert STREAM.itemsize == 128, STREAM.itemsize


class Streams:
    """`slots` stream records; pages are touched as they are first used."""

    def __init__(self, slots: int) -> None:
        self.records = records(slots + 1, STREAM)


@kernel
def open_slot(streams: Any, shard: Any, owner: Any) -> Any:
    """A clean record, 0 when all are taken."""
    row = shard[0]
    slot = row.streams_free
    if slot != 0:
        row.streams_free = np.int64(streams[slot].next)
    elif row.streams_high < streams.size:
        slot = row.streams_high
        row.streams_high += 1
    else:
        return np.int64(0)
    stream = streams[slot]
    stream.owner = np.uint32(owner)
    stream.row = -1
    stream.fed = 0
    stream.memory = 0
    for d in range(2):
        stream.open[d] = 0
        stream.have[d] = 0
        stream.taken[d] = 0
        stream.buffer[d] = 0
        stream.origin[d] = 0
    for i in range(2 * PIECES):
        stream.stops[i] = 0
    for i in range(8):
        stream.state[i] = 0
    return np.int64(slot)


@kernel
def close_slot(streams: Any, pools: Any, arena: Any, shard: Any, slot: Any) -> Any:
    """Give a record back, and all it holds."""
    row = shard[0]
    release_buffers(streams, pools, arena, slot)
    release_memory(streams, pools, arena, slot)
    streams[slot].owner = 0
    streams[slot].next = np.uint32(row.streams_free)
    row.streams_free = np.int64(slot)
    return 0


@kernel
def release_buffers(streams: Any, pools: Any, arena: Any, slot: Any) -> Any:
    """Give both directions' buffers back; nothing is held any more."""
    stream = streams[slot]
    for d in range(2):
        if stream.buffer[d] != 0:
            give_piece(pools, arena, BUFFER, stream.buffer[d])
            stream.buffer[d] = 0
        stream.have[d] = 0
    for i in range(2 * PIECES):
        stream.stops[i] = 0
    return 0


@kernel
def release_memory(streams: Any, pools: Any, arena: Any, slot: Any) -> Any:
    """Give the parser's private memory back."""
    stream = streams[slot]
    if stream.memory != 0:
        give_piece(pools, arena, SMALL_MEMORY if stream.memory_size <= SMALL else LARGE_MEMORY, stream.memory)
        stream.memory = 0
    return 0


@kernel
def open_memory(streams: Any, pools: Any, arena: Any, slot: Any, size: Any) -> Any:
    """Private memory for the parser, its first CLEAN bytes zero; 0 when the pool is empty."""
    stream = streams[slot]
    at = np.int64(take_piece(pools, arena, SMALL_MEMORY if size <= SMALL else LARGE_MEMORY))
    if at != 0:
        for i in range(at, at + CLEAN):
            arena[i] = 0
        stream.memory = np.uint32(at)
        stream.memory_size = np.uint16(size)
    return at


@kernel
def add_segment(streams: Any, arena: Any, slot: Any, d: Any, seq: Any, data: Any, at: Any, length: Any) -> Any:
    """Copy a segment's bytes to their place in the direction's buffer, which must be there.

    Returns the growth of the contiguous part (0: nothing new in order), -1 if the segment lies outside of what is looked at.
    """
    stream = streams[slot]
    limit = SPAN - np.int64(stream.taken[d])
    begin = (np.int64(seq) - np.int64(stream.origin[d])) & 0xFFFFFFFF
    if begin >= 0x80000000:
        begin -= 0x100000000
    stop = begin + np.int64(length)
    at = np.int64(at)
    have = np.int64(stream.have[d])
    if stop <= have:
        return np.int64(0)                      # all of it is there already
    if begin >= limit:
        return np.int64(-1)
    if begin < have:                            # the overlap keeps the first copy
        at += have - begin
        begin = have
    if stop > limit:
        stop = limit
    place = np.int64(stream.buffer[d])
    first = np.int64(d) * PIECES
    if begin > have:                            # beyond a gap: remember the range
        free = np.int64(-1)
        for i in range(first, first + PIECES):
            if stream.stops[i] == 0:
                if free < 0:
                    free = np.int64(i)
            elif np.int64(stream.starts[i]) <= begin and np.int64(stream.stops[i]) >= stop:
                return np.int64(0)
        if free < 0:
            return np.int64(-1)
        _copy_new(stream, arena, place, first, begin, stop, data, at)
        stream.starts[free] = np.uint16(begin)
        stream.stops[free] = np.uint16(stop)
        return np.int64(0)
    _copy_new(stream, arena, place, first, begin, stop, data, at)
    now = stop
    for _ in range(PIECES):                     # take in the ranges that have become contiguous
        for i in range(first, first + PIECES):
            if stream.stops[i] != 0 and np.int64(stream.starts[i]) <= now:
                now = max(now, np.int64(stream.stops[i]))
                stream.stops[i] = 0
    stream.have[d] = np.uint32(now)
    return now - have


@kernel
def _copy_new(stream: Any, arena: Any, place: Any, first: Any, begin: Any, stop: Any, data: Any, at: Any) -> Any:
    """Copy data[at:] to [begin, stop) except where a remembered range already has bytes."""
    position = begin
    for _ in range(2 * PIECES + 1):         # a gap, a range, a gap ... and the end
        if position >= stop:
            return 0
        end = stop
        inside = np.int64(-1)
        for i in range(first, first + PIECES):
            if stream.stops[i] == 0:
                continue
            start = np.int64(stream.starts[i])
            if start <= position < np.int64(stream.stops[i]):
                inside = np.int64(stream.stops[i])
            elif position < start < end:
                end = start
        if inside >= 0:
            position = inside
            continue
        source = at + position - begin
        for i in range(end - position):
            arena[place + position + i] = data[source + i]
        position = end
    return 0


@kernel
def waits(streams: Any, slot: Any, d: Any) -> Any:
    """1 where the direction holds bytes, in order or beyond a gap."""
    stream = streams[slot]
    if stream.have[d] != 0:
        return 1
    for i in range(np.int64(d) * PIECES, np.int64(d) * PIECES + PIECES):
        if stream.stops[i] != 0:
            return 1
    return 0


@kernel
def drop_front(streams: Any, pools: Any, arena: Any, slot: Any, d: Any, count: Any) -> Any:
    """The parser is done with the first `count` contiguous bytes held: what is behind them moves to the front."""
    stream = streams[slot]
    place = np.int64(stream.buffer[d])
    stop = np.int64(stream.have[d])
    stream.have[d] = np.uint32(stop - count)
    stream.origin[d] = np.uint32((np.int64(stream.origin[d]) + count) & 0xFFFFFFFF)
    stream.taken[d] = np.uint32(np.int64(stream.taken[d]) + count)
    for i in range(np.int64(d) * PIECES, np.int64(d) * PIECES + PIECES):
        if stream.stops[i] != 0:
            stop = max(stop, np.int64(stream.stops[i]))
            stream.starts[i] = np.uint16(np.int64(stream.starts[i]) - count)
            stream.stops[i] = np.uint16(np.int64(stream.stops[i]) - count)
    for i in range(place, place + stop - count):
        arena[i] = arena[i + count]
    if place != 0 and waits(streams, slot, d) == 0:
        give_piece(pools, arena, BUFFER, place)
        stream.buffer[d] = 0
    return 0
