"""What the checked build checks."""
from __future__ import annotations

import numpy as np
import pytest

from dpi.jit import BUILD, I64, entry

U1 = np.dtype("u1")


@entry(U1, I64, I64)
def read(data, index, write):
    if write:
        data[index] = 7
    return np.int64(data[index])


@pytest.mark.skipif(BUILD != "checked", reason="the other builds do not check")
@pytest.mark.parametrize("index", [-1, -4, 4, 1 << 40])
@pytest.mark.parametrize("write", [0, 1])
def test_an_index_counts_from_the_front(index: int, write: int) -> None:
    """Also a negative one is outside: nothing is taken from the end."""
    data = np.array([1, 2, 3, 4], np.uint8)
    with pytest.raises(IndexError):
        read(data, index, write)
    assert data.tolist() == [1, 2, 3, 4] and read(data, 3, 0) == 4
