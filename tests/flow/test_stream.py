"""First bytes in TCP order against the twin: out of order, overlapping, beyond the arena, around the end of the sequence space."""
from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.flow.stream import PIECES, SLOT_BYTES, SPAN, STREAM, Arena, add_segment, close_slot, open_slot
from dpi.flow.table import SHARD, Table
from dpi.jit import I64, entry
from tests.oracle.stream import Stream

U1 = np.dtype("u1")


@entry(STREAM, U1, I64, I64, I64, U1)
def feed(streams, arena, slot, d, seq, data):
    return add_segment(streams, arena, slot, d, seq, data, 0, data.size)


@entry(STREAM, U1, SHARD, I64, I64)
def slot_of(streams, arena, shard, owner, give_back):
    if give_back:
        close_slot(streams, shard, give_back)
        return np.int64(0)
    return open_slot(streams, arena, shard, owner, 1)


SEGMENTS = st.lists(st.tuples(st.integers(-40, 400), st.integers(1, 120)), max_size=30)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([0, 1000, (1 << 32) - 100]), SEGMENTS, st.booleans())
def test_segments_in_any_order(base: int, segments: list[tuple[int, int]], far: bool) -> None:
    arena, table = Arena(2), Table(8, 2)
    slot = slot_of(arena.streams, arena.bytes, table.shard, 1, 0)
    arena.streams[slot].origin[1] = base
    twin = Stream(base, SPAN, PIECES)
    shift = SPAN - 200 if far else 0        # segments that end beyond the arena
    if far:
        whole = np.arange(shift, dtype=np.uint64).astype(np.uint8)
        assert feed(arena.streams, arena.bytes, slot, 1, base, whole) == twin.add(base, whole.tobytes())
    for i, (at, size) in enumerate(segments):
        data = (np.arange(size) * 7 + i * 31).astype(np.uint8)
        seq = (base + shift + at) % (1 << 32)
        assert feed(arena.streams, arena.bytes, slot, 1, seq, data) == twin.add(seq, data.tobytes())
        have = int(arena.streams[slot].have[1])
        assert have == twin.have <= SPAN
        place = slot * SLOT_BYTES + SPAN
        assert arena.bytes[place:place + have].tobytes() == twin.contiguous()
    assert not arena.bytes[:SLOT_BYTES].any() and not arena.bytes[(slot + 1) * SLOT_BYTES:].any()    # nothing outside the slot


def test_slots_run_out_and_come_back() -> None:
    arena, table = Arena(2), Table(8, 2)
    first, second = (slot_of(arena.streams, arena.bytes, table.shard, owner, 0) for owner in (1, 2))
    assert first != second and slot_of(arena.streams, arena.bytes, table.shard, 3, 0) == 0
    slot_of(arena.streams, arena.bytes, table.shard, 0, first)
    assert slot_of(arena.streams, arena.bytes, table.shard, 3, 0) == first
