"""The packet ring's files: names, bounds in bytes and time, and who may have the directory."""
from __future__ import annotations

import resource
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.capture.segments import HEADER, Segment, Segments, listed
from dpi.capture.trace import open_trace
from dpi.errors import UserError
from tests.capture.crafted import pcap

SECOND = 1_000_000
NOON = 1_800_000_000 * SECOND


def segments(folder: Path, budget: int = 16 << 20, seconds: int = 3600, series: int = 1) -> Segments:
    return Segments(folder / "ring", budget=budget, seconds=seconds, boot=0xFFFFFE, series=series)


def piece(first: int, count: int = 10, size: int = 100, step: int = 1) -> tuple[bytes, int, int]:
    """Records of `count` packets from `first` on, and their span."""
    whole = pcap([(*divmod(first + k * step, SECOND), bytes(size), 1500) for k in range(count)])
    return whole[24:], first, first + (count - 1) * step


def append(to: Segments, moment: int, interface: str = "span0", worker: int = 0, **how: Any) -> str:
    data, first, last = piece(moment, **how)
    return to.append(interface, worker, 1, data, first, last)


def times(folder: Path, one: Segment) -> list[int]:
    with open_trace(folder / "ring" / one.name) as trace:
        found = [int(frame.time) for block in trace.blocks() for frame in block.frames[:block.count]]
        assert trace.link_types == {1} and not trace.damage
        return found


def test_each_worker_of_each_interface_has_segments_of_its_own(tmp_path: Path) -> None:
    one = segments(tmp_path, series=2)
    assert [append(one, NOON), append(one, NOON + 5, worker=1), append(one, NOON + 7, "eth1.5 odd-name"), append(one, NOON + 20)] == [""] * 4
    assert one.oldest == NOON and one.bytes == 3 * HEADER + 4 * 10 * 116 == sum(other.size for other in listed(tmp_path / "ring"))
    one.close()
    found = listed(tmp_path / "ring")
    assert [(other.interface, other.worker, other.boot, other.first, other.last) for other in found] == [
        ("span0", 0, 0xFFFFFE, NOON, NOON + 29), ("span0", 1, 0xFFFFFE, NOON + 5, NOON + 14), ("eth1.5 odd-name", 0, 0xFFFFFE, NOON + 7, NOON + 16)]
    assert times(tmp_path, found[0]) == [*range(NOON, NOON + 10), *range(NOON + 20, NOON + 30)]
    assert found[0].name == "1800000000000000-fffffe-00-span0.pcap"


def test_bytes_are_bounded_and_the_oldest_go_first(tmp_path: Path) -> None:
    one = segments(tmp_path)
    for k in range(60):         # of half a MB each
        assert append(one, NOON + k * 1000, count=512, size=1008) == ""
        assert one.bytes == sum(other.size for other in listed(tmp_path / "ring")) <= 16 << 20
    found = listed(tmp_path / "ring")
    assert one.bytes > 14 << 20 and all(other.size <= one.segment for other in found) and one.oldest == found[0].first > NOON + 25_000
    first = (found[0].first - NOON) // 1000
    assert [time for other in found for time in times(tmp_path, other)] == [NOON + k * 1000 + i for k in range(first, 60) for i in range(512)]
    one.close()
    again = segments(tmp_path)          # what was there counts
    assert again.bytes == sum(other.size for other in found) and append(again, NOON + 10**6, count=512, size=1008) == ""
    assert again.bytes <= 16 << 20
    again.close()


def test_packets_leave_with_their_time(tmp_path: Path) -> None:
    one = segments(tmp_path, seconds=160)
    for second in range(0, 100, 5):
        append(one, NOON + second * SECOND)
    assert len(listed(tmp_path / "ring")) == 7          # of 10 s at most
    one.expire(NOON + 165 * SECOND)
    assert [other.first for other in listed(tmp_path / "ring")][0] == NOON + 15 * SECOND
    one.expire(NOON + 250 * SECOND)
    assert [other.first for other in listed(tmp_path / "ring")] == [NOON + 90 * SECOND]
    one.expire(NOON + 251 * SECOND)                     # also the one that was being written
    assert listed(tmp_path / "ring") == [] and one.bytes == 0 == one.oldest
    assert append(one, NOON + 300 * SECOND) == ""
    one.close()


def test_a_clock_that_is_set_back_begins_another_segment(tmp_path: Path) -> None:
    one = segments(tmp_path)
    assert [append(one, NOON), append(one, NOON - 3600 * SECOND), append(one, NOON), append(one, NOON - 3600 * SECOND)] == [""] * 4
    one.close()
    found = listed(tmp_path / "ring")
    assert [(other.first - NOON, len(times(tmp_path, other))) for other in found] == [(k, 10) for k in (-3600 * SECOND - 1, -3600 * SECOND, -1, 0)]
    assert all(other.first <= min(times(tmp_path, other)) <= max(times(tmp_path, other)) <= other.last for other in found)


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(-100, 400), st.integers(0, 2), st.integers(1, 200), st.integers(0, 3)), max_size=40))
def test_whatever_comes_bytes_are_bounded_and_every_file_is_whole(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, int, int]]) -> None:
    folder = tmp_path_factory.mktemp("any")
    one = Segments(folder / "ring", budget=24 << 20, seconds=600, boot=1, series=3)
    now, given_packets = NOON, 0
    for seconds, worker, count, what in steps:
        now += seconds * SECOND
        if what == 0:
            one.expire(now)
        assert append(one, now, worker=worker, count=count, size=20_000) == ""
        given_packets += count
        found = listed(folder / "ring")
        assert one.bytes == sum(other.size for other in found) <= 24 << 20
    one.close()
    found = listed(folder / "ring")
    kept = [times(folder, other) for other in found]
    assert sum(map(len, kept)) <= given_packets and all(other.first <= min(mine) and max(mine) <= other.last for other, mine in zip(found, kept, strict=True))


def test_a_disk_that_fails_leaves_whole_records(tmp_path: Path) -> None:
    one = segments(tmp_path)
    assert append(one, NOON) == ""
    before = one.bytes
    old, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (before + 700, limits[1]))
    try:
        assert append(one, NOON + 10) == "File too large"
        assert append(one, NOON + 20, count=6) == "" and one.bytes == before + 6 * 116
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, old)
    one.close()
    assert times(tmp_path, listed(tmp_path / "ring")[0]) == [*range(NOON, NOON + 10), *range(NOON + 20, NOON + 26)]


def test_who_may_have_the_directory(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\[probe\] ring_disk_mb: too little for 3 workers \(give 24 at least\)"):
        segments(tmp_path, series=3)
    assert not (tmp_path / "ring").exists()
    one = segments(tmp_path)
    with pytest.raises(UserError, match="another process"):
        segments(tmp_path)
    one.close()
    segments(tmp_path).close()
    (tmp_path / "ring").chmod(0o750)
    with pytest.raises(UserError, match="chmod 700"):
        segments(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="packets can't be kept here"):
        segments(tmp_path / "file")
