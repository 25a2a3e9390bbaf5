"""The words of a batch are those of its rows, however many a file of bindings has."""
from __future__ import annotations

import numpy as np
import pytest

from dpi.batch import Named


@pytest.mark.parametrize("count", [0, 1, 5, 400])
@pytest.mark.parametrize("file", [1, 7, 3000])
def test_a_batch_has_the_words_of_its_rows_and_no_other(count: int, file: int) -> None:
    words = [f"service {k}" for k in range(file)]
    codes = np.random.default_rng(count + file).integers(0, file, count).astype(np.uint32)
    found = Named(codes, words)
    assert list(found) == [words[code] for code in codes.tolist()]
    assert sorted(found.words) == (sorted({words[code] for code in codes.tolist()}) or [""]) and found.codes.dtype == np.uint32
    assert [found[k] for k in range(len(found))] == [words[code] for code in codes.tolist()] == [found.words[code] for code in found.codes.tolist()]
