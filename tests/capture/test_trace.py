"""What a trace says of itself, the clocks of pcapng, and the ends that hypothesis does not reach."""
from __future__ import annotations

import gzip
import hashlib
import io
import os
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpi import jit
from dpi.capture.block import MORE
from dpi.capture.frame import FRAME
from dpi.capture.inputs import Input
from dpi.capture.pcap import Pcap
from dpi.capture.pcapng import CLOCK, LARGEST_BLOCK, Pcapng, _unit, microseconds
from dpi.capture.trace import Trace, open_trace
from dpi.errors import UserError
from tests.capture.crafted import SAMPLES, U64, block, enhanced, interface, pcap, section, simple
from tests.oracle import reader as twin


def kept(folder: Path, data: bytes, name: str = "a.pcap") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def piped(data: bytes) -> Trace:
    return open_trace(Input("-", "standard input", 0, io.BytesIO(data)))


def times(trace: Trace) -> list[int]:
    return [int(block.frames[i].time) for block in trace.blocks() for i in range(block.count)]


@given(U64, st.integers(0, 255), st.integers(-2**63, 2**63 - 1) | st.sampled_from([0, 1, -1, 10**12]))
def test_every_clock_agrees_with_exact_arithmetic(stamp: int, resolution: int, offset: int) -> None:
    clock = jit.records(1, CLOCK)
    clock[0].unit, clock[0].factor = _unit(resolution)
    clock[0].offset = max(-2**63, min(2**63 - 1, offset * 10**6))
    plain = getattr(microseconds, "py_func", microseconds)
    assert int(plain(np.uint64(stamp), clock[0])) == twin.microseconds(stamp, resolution, offset)


def test_known_times() -> None:
    head = section()
    for resolution, offset, stamp, expected in ((None, None, 1_500_000, 1_500_000), (9, None, 1_500_000_999, 1_500_000), (0, None, 3, 3_000_000),
                                                (0x80 | 10, None, 1536, 1_500_000), (6, 100, 7, 100_000_007), (6, -1, 7, -999_993)):
        data = head + interface("<", resolution=resolution, offset=offset) + enhanced("<", 0, stamp, b"x", 1)
        assert times(piped(data)) == [expected]


def test_a_simple_packet_has_the_time_of_the_one_before_it() -> None:
    data = section() + interface() + simple("<", b"a", 1) + enhanced("<", 0, 55, b"b", 1) + simple("<", b"c", 1)
    assert times(piped(data)) == [0, 55, 55]


def test_snap_length_cuts_a_simple_packet() -> None:
    data = section() + interface("<", snaplen=4) + simple("<", b"abcd", 90)
    (one,) = piped(data).blocks()
    assert (int(one.frames[0].captured), int(one.frames[0].wire)) == (4, 90)


def test_interfaces_of_all_sections_are_numbered_through() -> None:
    data = section() + interface("<", 1, name="eth0") + interface("<", 101, name="tun0")
    data += section(">") + interface(">", 113, name="any") + enhanced(">", 0, 1, b"z", 1)
    trace = piped(data)
    assert trace.link_types == {1, 101, 113}
    (one,) = trace.blocks()
    assert trace.interfaces == ["eth0", "tun0", "any"]
    assert (int(one.frames[0].interface), int(one.frames[0].link)) == (2, 113)


@pytest.mark.parametrize("cut", [0, 40])
def test_a_block_longer_than_the_buffer_is_skipped(tmp_path: Path, cut: int) -> None:
    size = LARGEST_BLOCK * 3
    head = section() + interface()
    tail = enhanced("<", 0, 9, b"z", 1)
    data = head + block("<", 0xBAD, bytes(size)) + (tail if not cut else b"")
    data = data[:len(data) - cut]
    for trace in (piped(data), open_trace(kept(tmp_path, data)), open_trace(kept(tmp_path, gzip.compress(data, 1), "b"))):
        assert times(trace) == ([9] if not cut else [])
        assert trace.damage == ("" if not cut else f"cut in record 1 at byte {len(head)}: 40 bytes missing")


def test_records_larger_than_one_fill_straddle(tmp_path: Path) -> None:
    data = pcap([(i, 0, bytes([i]) * 262144, 262144) for i in range(40)])
    for trace in (piped(data), open_trace(kept(tmp_path, gzip.compress(data, 1)))):
        seen = [(int(f.time), int(b.data[int(f.offset) + 262143])) for b in trace.blocks() for f in b.frames[:b.count]]
        assert seen == [(i * 1000000, i) for i in range(40)]
        assert not trace.damage


def test_absurd_lengths_end_the_reading_with_a_sentence(tmp_path: Path) -> None:
    trace = open_trace(kept(tmp_path, pcap([(1, 0, b"abc", 3)]) + struct.pack("<IIII", 1, 1, 262145, 60) + bytes(300000)))
    assert times(trace) == [1000000]
    assert trace.damage == "a captured length of 262145 bytes, which is absurd, in record 2 at byte 43"
    trace = piped(section() + interface() + enhanced("<", 3, 1, b"", 0))
    assert not times(trace)
    assert trace.damage == "a packet of interface 3, which was not declared, in record 1 at byte 52"
    trace = piped(section() + interface() + block("<", 0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 7, 0, -1)))
    assert not times(trace)
    assert trace.damage == "a section of version 7, which is not known, in record 1 at byte 52"


def test_the_oldest_captures_have_their_lengths_exchanged(tmp_path: Path) -> None:
    for version in ((2, 2), (543, 0)):
        data = pcap([(1, 0, b"abc", 60)], version=(2, 2))
        data = data[:4] + struct.pack("<HH", *version) + data[8:]
        (one,) = open_trace(kept(tmp_path, data)).blocks()
        assert (int(one.frames[0].captured), int(one.frames[0].wire)) == (3, 60)


def test_what_a_trace_knows(tmp_path: Path) -> None:
    data = pcap([(1, 0, b"abc", 3)], link=0x24000071)     # four bytes of FCS, says the upper part
    path = kept(tmp_path, data)
    with open_trace(path) as trace:
        assert (trace.path, trace.name, trace.size, trace.link_types) == (str(path), "a.pcap", len(data), {113})
        assert trace.position == 24
        assert times(trace) == [1000000]
        assert trace.position == len(data)
        trace.hash_ahead()
        assert trace.sha256() == hashlib.sha256(data).hexdigest()
    assert trace.sha256() == hashlib.sha256(data).hexdigest()
    packed = kept(tmp_path, gzip.compress(data), "b")
    assert open_trace(packed).sha256() == hashlib.sha256(packed.read_bytes()).hexdigest()
    trace = piped(data)
    assert times(trace) == [1000000]
    assert trace.sha256() == hashlib.sha256(data).hexdigest()


def test_a_mapped_file_is_never_copied(tmp_path: Path) -> None:
    data = SAMPLES["pcap"]
    (one,) = open_trace(kept(tmp_path, data)).blocks()
    assert one.data.tobytes() == data
    assert not one.data.flags.owndata and not one.data.flags.writeable


def test_a_block_outlives_its_trace(tmp_path: Path) -> None:
    with open_trace(kept(tmp_path, SAMPLES["pcap"])) as trace:
        (one,) = trace.blocks()
    assert one.data.tobytes() == SAMPLES["pcap"]
    assert trace.link_types == {1}
    assert not list(trace.blocks())


def test_a_file_that_shrinks_ends_the_reading(tmp_path: Path) -> None:
    path = kept(tmp_path, pcap([(i, 0, b"abc", 3) for i in range(9)]))
    trace = open_trace(path)
    blocks = trace.blocks(2)
    assert next(blocks).count == 2
    os.truncate(path, 24 + 19 * 3 + 5)
    assert sum(one.count for one in blocks) == 1
    assert "the file shrank" in trace.damage and "cut in record 4" in trace.damage


def test_a_pipe_by_name(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(SAMPLES["pcapng"],))
    writer.start()
    trace = open_trace(path)
    assert times(trace) == [5_000_000, 5_000_000, 77]
    assert (trace.size, trace.damage, trace.position) == (0, "", len(SAMPLES["pcapng"]))
    writer.join()


def test_a_stream_that_fails_is_read_up_to_there() -> None:
    class Failing(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            piece = super().read(min(size or 0, 50))
            if not piece:
                raise OSError(5, "Input/output error")
            return piece

    trace = open_trace(Input("-", "standard input", 0, Failing(SAMPLES["pcap"][:90])))
    assert len(times(trace)) == 2
    assert trace.damage.startswith("reading failed at byte 90: Input/output error; cut in record 3")


@pytest.mark.parametrize("data", [b"", b"abc", b"hello, world, this is text" * 9, gzip.compress(b"text"),
                                  gzip.compress(gzip.compress(SAMPLES["pcap"]))])
def test_what_is_no_capture_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UserError):
        piped(data)
    with pytest.raises(UserError):
        open_trace(kept(tmp_path, data))
    with pytest.raises(UserError):
        open_trace(tmp_path / "absent")
    with pytest.raises(UserError):
        open_trace(tmp_path)


@pytest.mark.parametrize("name", SAMPLES)
def test_walks_read_nothing_beyond_the_last_byte(name: str) -> None:
    """Each cut of a capture ends right before a page that may not be touched."""
    import ctypes
    import mmap

    page = mmap.PAGESIZE
    area = mmap.mmap(-1, 2 * page)
    whole = np.frombuffer(area, np.uint8)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mprotect(ctypes.c_void_p(whole.ctypes.data + page), ctypes.c_size_t(page), 0) == 0
    frames = jit.records(8, FRAME)
    data = SAMPLES[name]
    for cut in range(24, len(data) + 1):
        whole[page - cut:page] = np.frombuffer(data[:cut], np.uint8)
        view = whole[page - cut:page]
        walker = Pcapng() if name == "pcapng" else Pcap(data[:24])
        walker.state[0].end = cut
        assert walker.walk(view, frames, 8) == len(twin.read(data[:cut]).packets)
        assert int(walker.state[0].status) == MORE
    assert libc.mprotect(ctypes.c_void_p(whole.ctypes.data + page), ctypes.c_size_t(page), 3) == 0
