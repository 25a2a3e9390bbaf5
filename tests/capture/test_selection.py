"""Which frames go on, in which order they are asked, and how those left out are counted."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.capture.block import Block
from dpi.capture.frame import FRAME
from dpi.capture.selection import Selection
from dpi.errors import UserError
from dpi.jit import records
from tests.hostile.samples import ether, ip4, tcp, udp

TCP, UDP = ether(0x0800, ip4(6, tcp())), ether(0x0800, ip4(17, udp()))
LEAST, MOST = -(1 << 63), (1 << 63) - 1
ALL: dict[str, Any] = {"filter": None, "since": None, "until": None, "time_shift": 0, "dedup": False}


def block(frames: list[tuple[bytes, int]], first: int = 1) -> Block:
    """A block of (frame, time)."""
    data = np.frombuffer(b"".join(frame for frame, _ in frames) or b"\0", np.uint8)
    rows = records(max(len(frames), 1), FRAME)
    at = 0
    for index, (frame, time) in enumerate(frames):
        rows[index].offset, rows[index].captured, rows[index].wire = at, len(frame), len(frame)
        rows[index].link, rows[index].number, rows[index].time = 1, (first + index) & 0xFFFFFFFF, time
        at += len(frame)
    return Block(data, rows, len(frames), first)


def numbers(chosen: Block) -> list[int]:
    return chosen.frames.view(np.ndarray)["number"][:chosen.count].tolist()  # type: ignore[no-any-return]


def times(chosen: Block) -> list[int]:
    return chosen.frames.view(np.ndarray)["time"][:chosen.count].tolist()  # type: ignore[no-any-return]


def test_nothing_asked_is_nothing_done() -> None:
    for filter in (None, "", "  "):
        one = Selection(**{**ALL, "filter": filter})
        assert not one.active and one.kernels == [] and one.unfit == {}
    whole = block([(TCP, 5), (UDP, 6)])
    assert numbers(one.apply(whole)) == [1, 2]


@pytest.mark.parametrize("asked", [{"filter": "tcp"}, {"since": 0}, {"until": 0}, {"time_shift": -1}, {"dedup": True}])
def test_each_wish_makes_it_active(asked: dict[str, Any]) -> None:
    assert Selection(**{**ALL, **asked}).active


def test_since_is_inclusive_and_until_exclusive() -> None:
    frames = [(TCP, time) for time in (9, 10, 11, 19, 20, 21)]
    one = Selection(**{**ALL, "since": 10, "until": 20})
    assert times(one.apply(block(frames))) == [10, 11, 19] and one.outside == 3
    assert times(Selection(**{**ALL, "since": 20}).apply(block(frames))) == [20, 21]
    assert times(Selection(**{**ALL, "until": 10}).apply(block(frames))) == [9]
    assert times(Selection(**{**ALL, "since": 20, "until": 10}).apply(block(frames))) == []


def test_the_shift_comes_before_the_comparison() -> None:
    one = Selection(**{**ALL, "since": 0, "time_shift": -10})
    assert times(one.apply(block([(TCP, 9), (TCP, 10), (TCP, 12)]))) == [0, 2]


@settings(deadline=None)
@given(st.lists(st.one_of(st.integers(LEAST, MOST), st.integers(-50, 50), st.sampled_from([LEAST, MOST])), max_size=8),
       st.one_of(st.integers(-50, 50), st.integers(2 * LEAST, 2 * MOST)), *[st.one_of(st.none(), st.integers(-60, 60), st.integers(2 * LEAST, 2 * MOST))] * 2)
def test_times_equal_plain_integers(given_times: list[int], shift: int, since: int | None, until: int | None) -> None:
    if since is not None and since > MOST:
        since = MOST
    moved = [min(max(time + min(max(shift, LEAST), MOST), LEAST), MOST) for time in given_times]
    expected = [time for time in moved if (since is None or time >= since) and (until is None or time < until)]
    one = Selection(**{**ALL, "since": since, "until": until, "time_shift": shift})
    assert times(one.apply(block([(b"x", time) for time in given_times]))) == expected
    assert one.outside == len(moved) - len(expected)


def test_all_together_and_each_frame_counted_once() -> None:
    frames = [(TCP, 0), (UDP, 1_000), (TCP, 1_000), (TCP, 1_010), (UDP, 1_020), (TCP, 5_000), (TCP, 100_000)]
    one = Selection(filter="tcp", since=1_500, until=90_000, time_shift=500, dedup=True)
    chosen = one.apply(block(frames, 11))
    assert numbers(chosen) == [13] and chosen.first_number == 13 and times(chosen) == [1_500]
    assert (one.outside, one.filtered, one.duplicates) == (2, 2, 2)
    assert chosen.data.tobytes()[:len(TCP)] == TCP


def test_an_empty_answer() -> None:
    one = Selection(**{**ALL, "filter": "port 9999"})
    assert one.apply(block([(TCP, 0), (UDP, 0)])).count == 0 and one.filtered == 2
    assert one.apply(block([])).count == 0


def test_copies_are_looked_for_within_one_capture() -> None:
    one = Selection(**{**ALL, "dedup": True})
    assert one.apply(block([(TCP, 0), (TCP, 1)], 1)).count == 1
    assert one.apply(block([(TCP, 2)], 3)).count == 0, "the next block of the same capture"
    assert one.apply(block([(TCP, 2)], 1)).count == 1, "another capture"
    assert one.duplicates == 2


def test_numbers_beyond_32_bits() -> None:
    one = Selection(**{**ALL, "filter": "udp"})
    assert one.apply(block([(TCP, 0), (TCP, 0), (UDP, 0)], 0xFFFFFFFF)).first_number == 0x100000001


def test_a_wrong_filter_is_refused_at_once() -> None:
    with pytest.raises(UserError, match="--filter"):
        Selection(**{**ALL, "filter": "host and"})
