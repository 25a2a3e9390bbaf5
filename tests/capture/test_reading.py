"""Reading against its slow twin: every format, every way in, cut at every byte, broken at random."""
from __future__ import annotations

import contextlib
import gzip
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.capture import trace as reading
from dpi.capture.inputs import Input
from dpi.capture.trace import Trace, open_trace
from dpi.errors import UserError
from tests.capture.crafted import SAMPLES, captures, mutated
from tests.oracle import reader as twin

QUICK = settings(max_examples=60, deadline=None)


@contextlib.contextmanager
def stored(data: bytes) -> Iterator[Path]:
    with tempfile.NamedTemporaryFile(suffix=".cap") as file:
        file.write(data)
        file.flush()
        yield Path(file.name)


def packets(trace: Trace, room: int = 3) -> list[twin.Packet]:
    found = []
    for block in trace.blocks(room):
        assert 0 < block.count <= room
        for i in range(block.count):
            frame = block.frames[i]
            assert int(frame.number) == block.first_number + i == len(found) + 1
            at = int(frame.offset)
            found.append(twin.Packet(int(frame.time), block.data[at:at + int(frame.captured)].tobytes(), int(frame.wire), int(frame.link),
                                     int(frame.interface)))
    assert trace.packets == len(found) and trace.finished
    return found


def agree(trace: Trace, expected: twin.Reading, room: int = 3) -> None:
    with trace:
        assert packets(trace, room) == expected.packets
        assert bool(trace.damage) == bool(expected.damage), trace.damage
        if expected.damage and "file header" not in trace.damage:
            assert f"in record {len(expected.packets) + 1} at byte {expected.at}" in trace.damage
            assert (": cut " in f": {trace.damage}") == (expected.damage == "cut")
        assert {packet.link for packet in expected.packets} <= trace.link_types


def both_ways(data: bytes, room: int = 3) -> None:
    """Mapped, and through a buffer that is filled a little at a time."""
    try:
        expected = twin.read(data)
    except twin.NoCapture:
        with stored(data) as path, pytest.raises(UserError):
            open_trace(path)
        with pytest.raises(UserError):
            open_trace(Input("-", "standard input", 0, io.BytesIO(data)))
        return
    with stored(data) as path:
        agree(open_trace(path), expected, room)
    with mock.patch.object(reading, "FILL", 50):
        agree(open_trace(Input("-", "standard input", 0, io.BytesIO(data))), expected, room)


@QUICK
@given(captures, st.sampled_from([1, 3, 64]))
def test_any_capture_reads_like_the_twin(data: bytes, room: int) -> None:
    both_ways(data, room)


@QUICK
@given(st.data())
def test_a_mutated_capture_reads_like_the_twin(draw: st.DataObject) -> None:
    both_ways(mutated(draw.draw, draw.draw(captures)))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_capture_cut_at_any_byte_is_read_up_to_the_cut(name: str) -> None:
    data = SAMPLES[name]
    for cut in range(len(data) + 1):
        both_ways(data[:cut])


@QUICK
@given(captures, st.sampled_from([1, 2]))
def test_compressed_captures_read_like_plain_ones(data: bytes, parts: int) -> None:
    expected = twin.read(data)
    pieces = [data] if parts == 1 else [data[:len(data) // 2], data[len(data) // 2:]]
    for packed in (b"".join(map(gzip.compress, pieces)) + b"\0" * 9,
                   b"\x51\x2a\x4d\x18\x03\0\0\0abc" + b"".join(map(zstandard.ZstdCompressor(write_checksum=True).compress, pieces))):
        with stored(packed) as path, mock.patch.object(reading, "FILL", 70):
            trace = open_trace(path)
            agree(trace, expected)
            assert trace.position == trace.size == len(packed)


@pytest.mark.parametrize("name", SAMPLES)
def test_gzip_cut_at_any_byte_gives_all_that_can_be_unpacked(name: str) -> None:
    whole = gzip.compress(SAMPLES[name], mtime=0)
    for cut in range(2, len(whole)):
        data, _ = twin.gunzip(whole[:cut])
        one = Input("-", "standard input", 0, io.BytesIO(whole[:cut]))
        try:
            expected = twin.read(data)
        except twin.NoCapture:
            with pytest.raises(UserError, match="cut"):
                open_trace(one)
            continue
        with open_trace(one) as trace:
            assert packets(trace) == expected.packets
            assert "gzip data is cut" in trace.damage


@QUICK
@given(st.data())
def test_corrupt_gzip_gives_all_before_the_fault(draw: st.DataObject) -> None:
    packed = mutated(draw.draw, gzip.compress(draw.draw(captures), mtime=0))
    if packed[:2] != b"\x1f\x8b":
        return
    data, whole = twin.gunzip(packed)
    one = Input("-", "standard input", 0, io.BytesIO(packed))
    try:
        expected = twin.read(data)
    except twin.NoCapture:
        with pytest.raises(UserError):
            open_trace(one)
        return
    with open_trace(one) as trace:
        assert packets(trace) == expected.packets
        assert bool(trace.damage) == (not whole or bool(expected.damage))


@pytest.mark.parametrize("name", SAMPLES)
def test_zstd_cut_at_any_byte_is_said(name: str) -> None:
    half = len(SAMPLES[name]) // 2
    first = zstandard.ZstdCompressor(write_checksum=True).compress(SAMPLES[name][:half])
    whole = first + zstandard.ZstdCompressor(write_content_size=False).compress(SAMPLES[name][half:])
    expected = twin.read(SAMPLES[name]).packets
    for cut in range(4, len(whole)):
        try:
            trace = open_trace(Input("-", "standard input", 0, io.BytesIO(whole[:cut])))
        except UserError:
            assert cut < len(first)
            continue
        with trace:
            assert packets(trace) == expected[:trace.packets]
            assert trace.damage
            assert ("zstd" in trace.damage) == (cut != len(first))


@QUICK
@given(st.data())
def test_corrupt_zstd_never_raises(draw: st.DataObject) -> None:
    packed = mutated(draw.draw, zstandard.ZstdCompressor(write_checksum=True).compress(draw.draw(captures)))
    with contextlib.suppress(UserError), open_trace(Input("-", "standard input", 0, io.BytesIO(packed))) as trace:
        packets(trace)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_memory_that_was_given_back_is_read_again(name: str) -> None:
    """Whoever still holds a block sees what he saw."""
    with stored(SAMPLES[name]) as path, open_trace(path) as trace:
        for block in trace.blocks(3):
            before = block.data.tobytes()
            trace.let_go()
            assert block.data.tobytes() == before
        trace.let_go()
