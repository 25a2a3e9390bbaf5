"""The first bytes of each direction in TCP order, within a bounded arena.

A slot belongs to one inspected flow: two reassembly buffers of SPAN bytes (one a direction) and the parser's private memory. Segments that
arrive ahead of a gap are copied to their place and remembered as up to PIECES ranges a direction; bytes that are there already are never
overwritten (the first copy wins, so a later overlapping segment cannot change what was inspected). Slot 0 is never used.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.jit import kernel, records

MEMORY = 8192               # a parser's private bytes (dpi/classify/inspection.py states the same to parsers)
SPAN = 8192
PIECES = 4
SLOT_BYTES = 2 * SPAN + MEMORY

STREAM = np.dtype((np.record, [
    ("owner", "u4"), ("next", "u4"),
    ("origin", "u4", (2,)),               # sequence number of the first byte
    ("have", "u4", (2,)),               # contiguous bytes from the base
    ("starts", "u2", (2 * PIECES,)), ("stops", "u2", (2 * PIECES,)),   # ranges beyond the gap; empty where stop is 0
    ("open", "u1", (2,)),               # 1: the direction is being assembled, 2: given up or full
    ("fed", "u1"), ("pad", "u1"),
    ("row", "i4"),                      # signature row that led to the parser
    ("state", "u4", (8,)),              # INSPECTION.state between calls
]))


class Arena:
    """`slots` streams and their bytes; pages are touched as they are first used."""

    def __init__(self, slots: int) -> None:
        self.streams = records(slots + 1, STREAM)
        self.bytes: np.ndarray[Any, Any] = np.zeros((slots + 1) * SLOT_BYTES, np.uint8)


@kernel
def open_slot(streams: Any, arena: Any, shard: Any, owner: Any, with_memory: Any) -> Any:
    """A clean slot, 0 when the arena is full."""
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
    for d in range(2):
        stream.open[d] = 0
        stream.have[d] = 0
        stream.origin[d] = 0
    for i in range(2 * PIECES):
        stream.stops[i] = 0
    for i in range(8):
        stream.state[i] = 0
    if with_memory:
        clear_memory(arena, slot)
    return np.int64(slot)


@kernel
def clear_memory(arena: Any, slot: Any) -> Any:
    """Zero a slot's private memory."""
    at = np.int64(slot) * SLOT_BYTES + 2 * SPAN
    for i in range(at, at + MEMORY):
        arena[i] = 0
    return 0


@kernel
def close_slot(streams: Any, shard: Any, slot: Any) -> Any:
    """Give a slot back."""
    row = shard[0]
    streams[slot].owner = 0
    streams[slot].next = np.uint32(row.streams_free)
    row.streams_free = np.int64(slot)
    return 0


@kernel
def add_segment(streams: Any, arena: Any, slot: Any, d: Any, seq: Any, data: Any, at: Any, length: Any) -> Any:
    """Copy a segment's bytes to their place. Returns the growth of the contiguous part (0: nothing new in order), -1 if it lies outside."""
    stream = streams[slot]
    begin = (np.int64(seq) - np.int64(stream.origin[d])) & 0xFFFFFFFF
    if begin >= 0x80000000:
        begin -= 0x100000000
    stop = begin + np.int64(length)
    at = np.int64(at)
    have = np.int64(stream.have[d])
    if stop <= have:
        return np.int64(0)                      # all of it is there already
    if begin >= SPAN:
        return np.int64(-1)
    if begin < have:                            # the overlap keeps the first copy
        at += have - begin
        begin = have
    if stop > SPAN:
        stop = np.int64(SPAN)
    place = np.int64(slot) * SLOT_BYTES + np.int64(d) * SPAN
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
