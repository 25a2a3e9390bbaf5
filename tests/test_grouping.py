"""dpi/grouping.py against numpy's `unique`."""
from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dpi.grouping import groups


@given(st.lists(st.integers(0, 5), max_size=30))
def test_groups_are_those_of_unique(values: list[int]) -> None:
    for every in (np.array(values, np.uint64), np.array(values, np.int64).view("V8")):
        distinct, firsts, places = np.unique(every, return_index=True, return_inverse=True)
        first, which = groups(every)
        assert first.tolist() == firsts.tolist() and which.tolist() == places.tolist() and every[first].tolist() == distinct.tolist()
