"""The list of processors that workers keep to."""
from __future__ import annotations

import os

import pytest

from dpi.capture.processors import _ranges, processors
from dpi.errors import UserError

THERE = sorted(os.sched_getaffinity(0))


def test_lists_and_ranges() -> None:
    first, last = THERE[0], THERE[-1]
    assert processors("") == [] and processors(f" {last} , {first},") == [last, first]
    if list(range(first, last + 1)) == THERE:
        assert processors(f"{first}-{last}") == THERE
    assert _ranges([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8" and _ranges([]) == ""


@pytest.mark.parametrize("words", ["a", "1-", "-1", "2-1", "0-99999999999", "1.5", "١", str(THERE[-1] + 1), f"{THERE[0]}-{THERE[-1] + 1}"])
def test_what_is_none_is_told(words: str) -> None:
    with pytest.raises(UserError) as told:
        processors(words)
    assert told.value.where == "[probe] cores" and told.value.mend
