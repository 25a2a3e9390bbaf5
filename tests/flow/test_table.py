"""The index of the flow table against a dict."""
from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.flow.table import FLOW, SHARD, Table, find, give, grow, place, remove, take
from dpi.jit import I64, entry

U8 = np.dtype("u8")


@entry(U8, FLOW, SHARD, U8, U8, U8, I64)
def act(slots, flows, shard, tags, key0, key1, what):
    """what 0: find, 1: insert, 2: remove; tags, key0, key1 uint64[1]. Returns the record number."""
    row = shard[0]
    number = np.int64(find(slots, flows, row.mask, tags[0], key0[0], key1[0]))
    if what == 1 and number == 0:
        number = take(flows, shard)
        if number == 0:
            return np.int64(-1)
        if row.live * 2 > np.int64(row.mask):
            grow(slots, shard)
        place(slots, row.mask, tags[0], np.uint64(number))
        flows[number].key0 = key0[0]
        flows[number].key1 = key1[0]
        flows[number].start = 1
    elif what == 2 and number != 0:
        remove(slots, row.mask, tags[0], np.uint64(number))
        give(flows, shard, number)
    return number


# few tags that cluster at both ends of the index, so that runs collide, wrap and are shifted back
TAGS = st.one_of(st.integers(0, 40), st.integers((1 << 32) - 40, (1 << 32) - 1), st.integers(1 << 10, (1 << 10) + 30))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0, 1, 1, 1, 2]), TAGS, st.integers(0, 5)), max_size=300))
def test_the_index_is_a_dictionary(steps: list[tuple[int, int, int]]) -> None:
    table = Table(256, 4)
    table.shard[0].mask = 15            # small, so that it grows on the way
    twin: dict[tuple[int, int], int] = {}
    for what, tag, key in steps:
        key1 = tag << 8 | key
        args = [np.array([value], np.uint64) for value in (tag, key, key1)]
        number = act(table.slots, table.flows, table.shard, *args, what)
        if what == 1 and (key, key1) not in twin:
            assert number > 0 if len(twin) < 256 else number == -1
            if number > 0:
                assert number not in twin.values()
                twin[key, key1] = number
        else:
            assert number == twin.get((key, key1), 0)
            if what == 2:
                twin.pop((key, key1), None)
        assert table.shard[0].live == len(twin)
    for (key, key1), number in twin.items():
        assert act(table.slots, table.flows, table.shard, *(np.array([v], np.uint64) for v in (key1 >> 8, key, key1)), 0) == number
    assert int((table.slots != 0).sum()) == len(twin)


def test_a_full_table_says_so() -> None:
    table = Table(8, 4)
    numbers = [act(table.slots, table.flows, table.shard, *(np.array([v], np.uint64) for v in (i, i, i)), 1) for i in range(9)]
    assert numbers == [1, 2, 3, 4, 5, 6, 7, 8, -1]
