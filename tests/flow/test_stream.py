"""First bytes in TCP order against the twin: out of order, overlapping, beyond what is looked at, around the end of the sequence space."""
from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.flow.arena import BUFFER, CLEAN, LARGE, LARGE_MEMORY, POOL, SMALL, SMALL_MEMORY, SPAN, Arena, give_piece, take_piece
from dpi.flow.stream import PIECES, STREAM, Streams, add_segment, close_slot, drop_front, open_memory, open_slot
from dpi.flow.table import SHARD, Table
from dpi.jit import I64, entry
from tests.oracle.stream import Stream

U1 = np.dtype("u1")
OPEN, CLOSE, MEMORY, DROP = range(4)


@entry(STREAM, POOL, U1, I64, I64, I64, U1)
def feed(streams, pools, arena, slot, d, seq, data):
    if streams[slot].buffer[d] == 0:
        streams[slot].buffer[d] = np.uint32(take_piece(pools, arena, BUFFER))
    return add_segment(streams, arena, slot, d, seq, data, 0, data.size)


@entry(STREAM, POOL, U1, SHARD, I64, I64, I64)
def act(streams, pools, arena, shard, what, slot, number):
    """OPEN for an owner, CLOSE, MEMORY of so many bytes, DROP so many bytes of direction 1."""
    if what == 0:
        return open_slot(streams, shard, number)
    if what == 1:
        close_slot(streams, pools, arena, shard, slot)
    if what == 2:
        return open_memory(streams, pools, arena, slot, number)
    if what == 3:
        drop_front(streams, pools, arena, slot, 1, number)
    return np.int64(0)


@entry(POOL, U1, I64, I64)
def piece(pools, arena, which, give_back):
    if give_back:
        give_piece(pools, arena, which, give_back)
        return np.int64(0)
    return take_piece(pools, arena, which)


class Memory:
    """Streams, arena and shard, and the calls above on them."""

    def __init__(self, streams: int) -> None:
        self.streams, self.arena, self.table = Streams(streams), Arena(streams), Table(8, 2)
        self.arena.bytes[:] = 0xEE          # pieces are not clean

    def act(self, what: int, slot: int, number: int) -> int:
        return act(self.streams.records, self.arena.pools, self.arena.bytes, self.table.shard, what, slot, number)

    def feed(self, slot: int, seq: int, data: np.ndarray) -> int:
        return feed(self.streams.records, self.arena.pools, self.arena.bytes, slot, 1, seq, data)

    def piece(self, which: int, give_back: int = 0) -> int:
        return piece(self.arena.pools, self.arena.bytes, which, give_back)


# (position, size, how much of what is held the parser is done with afterwards, in eighths)
SEGMENTS = st.lists(st.tuples(st.integers(-40, 400), st.integers(1, 120), st.sampled_from([0, 0, 0, 1, 4, 8])), max_size=30)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([0, 1000, (1 << 32) - 100]), SEGMENTS, st.booleans())
def test_segments_in_any_order(base: int, segments: list[tuple[int, int, int]], far: bool) -> None:
    memory = Memory(2)
    slot = memory.act(OPEN, 0, 1)
    stream = memory.streams.records[slot]
    stream.origin[1] = base
    twin = Stream(base, SPAN, PIECES)
    shift = SPAN - 200 if far else 0        # segments that end beyond what is looked at
    if far:
        whole = np.arange(shift, dtype=np.uint64).astype(np.uint8)
        assert memory.feed(slot, base, whole) == twin.add(base, whole.tobytes())
    for i, (at, size, eighths) in enumerate(segments):
        data = (np.arange(size) * 7 + i * 31).astype(np.uint8)
        seq = (base + shift + at) % (1 << 32)
        assert memory.feed(slot, seq, data) == twin.add(seq, data.tobytes())
        done = twin.held * eighths // 8
        if done:
            memory.act(DROP, slot, done)
            twin.drop(done)
        assert int(stream.have[1]) == twin.held and int(stream.taken[1]) == twin.dropped and int(stream.taken[1]) + twin.held <= SPAN
        place = int(stream.buffer[1])
        assert memory.arena.bytes[place:place + twin.held].tobytes() == twin.contiguous()
        assert place or not (twin.held or twin.ranges)
    # nothing outside the buffer was written
    first, last = memory.arena.pools[BUFFER].fresh - SPAN, memory.arena.pools[BUFFER].fresh
    outside = np.concatenate([memory.arena.bytes[:max(64, first)], memory.arena.bytes[last:]])
    assert (outside == 0xEE).all()


def test_records_run_out_and_come_back() -> None:
    memory = Memory(2)
    first, second = (memory.act(OPEN, 0, owner) for owner in (1, 2))
    assert first != second and memory.act(OPEN, 0, 3) == 0
    memory.feed(first, 0, np.ones(3, np.uint8))
    memory.act(CLOSE, first, 0)
    assert memory.act(OPEN, 0, 3) == first
    assert not memory.streams.records[first].have.any() and not memory.streams.records[first].buffer.any()


def test_pieces_do_not_overlap_and_come_back() -> None:
    memory = Memory(4)
    for which, size in ((BUFFER, SPAN), (SMALL_MEMORY, SMALL), (LARGE_MEMORY, LARGE)):
        taken = []
        while at := memory.piece(which):
            memory.arena.bytes[at:at + size] = len(taken)
            taken.append(at)
        assert len(taken) >= 2 and all((memory.arena.bytes[at:at + size] == k).all() for k, at in enumerate(taken))
        for at in taken[:2]:
            memory.piece(which, at)
        assert [memory.piece(which) for _ in range(3)] == [taken[1], taken[0], 0]


def test_memory_begins_with_zeros_each_time() -> None:
    memory = Memory(2)
    slot = memory.act(OPEN, 0, 1)
    for size in (SMALL, LARGE, CLEAN):
        at = memory.act(MEMORY, slot, size)
        assert at and not memory.arena.bytes[at:at + CLEAN].any()
        memory.arena.bytes[at:at + size] = 7
        memory.act(CLOSE, slot, 0)
        slot = memory.act(OPEN, 0, 1)
