"""A short run of what `python -m tests.hostile.frames` does at length, and proofs that the harness can fail."""
from __future__ import annotations

import pytest

from tests.hostile.child import survive
from tests.hostile.frames import DECODER, PASSES, planted_faults_are_seen
from tests.hostile.mutation import captures, stream
from tests.hostile.samples import samples


@pytest.mark.parametrize(("build", "place", "count"), [(*one, 3000) for one in PASSES] + [("off", "own", 300)])
def test_mutated_frames_do_no_harm(build: str, place: str, count: int) -> None:
    outcome = survive(DECODER, build, place, count, seed=2)
    assert (outcome.fault, outcome.done) == ("", count), str(outcome)


def test_planted_faults_are_caught() -> None:
    faults = planted_faults_are_seen()
    assert [one.done for one in faults] == [0] * 4
    assert [one.fault for one in faults[:2]] == ["SIGSEGV", "SIGSEGV"], list(map(str, faults))
    assert all(one.fault.startswith("IndexError") for one in faults[2:]), list(map(str, faults))
    assert faults[0].sample is not None and faults[0].sample.frame == next(stream(samples(), 1, 0, 1)).frame


def test_mutation_is_repeatable() -> None:
    good = samples()
    long = list(stream(good, 7, 0, 2500))
    assert list(stream(good, 7, 1990, 20)) == long[1990:2010]
    assert long[:100] != list(stream(good, 8, 0, 100))
    assert len({one.frame for one in long}) > 2000
    assert list(captures(good, 7, 3, 400)) == list(captures(good, 7, 3, 400))
