"""Copies by a mirror: what is one, what is none, and the kernel against its slow twin."""
from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.capture.duplicates import SLOTS, WINDOW, Duplicates
from dpi.capture.frame import FRAME
from dpi.jit import BUILD, records
from tests.hostile.guard import Guard
from tests.hostile.samples import ether, ip4, ip6, samples, tcp, udp
from tests.oracle.duplicates import Twin

SEED = np.array([3, 5, 7, 11], np.uint64) * np.uint64(0x9E3779B97F4A7C15)
FOUR, SIX = ip4(6, tcp()), ip6(17, udp())
MOST = (1 << 63) - 1


def kept(frames: list[tuple[bytes, int]], link: int = 1, copies: Duplicates | None = None) -> list[int]:
    """Indices of the (frame, time) that are no copies."""
    data = np.frombuffer(b"".join(frame for frame, _ in frames) or b"\0", np.uint8)
    rows = records(len(frames), FRAME)
    at = 0
    for number, (frame, time) in enumerate(frames):
        rows[number].offset, rows[number].captured, rows[number].wire = at, len(frame), len(frame)
        rows[number].link, rows[number].number, rows[number].time = link, number + 1, time
        at += len(frame)
    count = (copies or Duplicates(SEED)).keep(data, rows, len(frames))
    return [int(number) - 1 for number in rows.view(np.ndarray)["number"][:count]]


def routed(packet: bytes) -> bytes:
    """The packet behind a router."""
    out = bytearray(packet)
    if packet[0] >> 4 == 4:
        out[8] -= 1
        out[10:12] = b"\xab\xcd"
    else:
        out[7] -= 1
    return bytes(out)


def tagged(kind: int, packet: bytes) -> bytes:
    """In another VLAN, between other stations."""
    return bytes(range(12)) + struct.pack(">HHH", 0x8100, 77, kind) + packet


@pytest.mark.parametrize("kind, packet", [(0x0800, FOUR), (0x86DD, SIX)])
def test_a_copy_is_dropped(kind: int, packet: bytes) -> None:
    first = ether(kind, packet)
    assert kept([(first, 0), (first, 10)]) == [0]
    assert kept([(first, 0), (ether(kind, routed(packet)), 10)]) == [0]
    assert kept([(first, 0), (tagged(kind, routed(packet)), 10), (tagged(kind, packet), 20)]) == [0]
    assert kept([(first + b"\0\0\0\0\1\2\3\4", 0), (tagged(kind, packet), 10)]) == [0], "padding is no part of a packet"


@pytest.mark.parametrize("kind, packet", [(0x0800, FOUR), (0x86DD, SIX)])
def test_every_other_byte_counts(kind: int, packet: bytes) -> None:
    free = (8, 10, 11) if kind == 0x0800 else (7,)
    lengths = (0, 2, 3) if kind == 0x0800 else (0, 4, 5)        # change what is a packet at all
    for place in range(len(packet)):
        if place in lengths:
            continue
        other = bytearray(packet)
        other[place] ^= 0x11
        assert kept([(ether(kind, packet), 0), (ether(kind, bytes(other)), 1)]) == ([0] if place in free else [0, 1]), place


def test_the_window() -> None:
    frame = ether(0x0800, FOUR)
    assert kept([(frame, 0), (frame, WINDOW)]) == [0]
    assert kept([(frame, 0), (frame, WINDOW + 1)]) == [0, 1]
    assert kept([(frame, WINDOW), (frame, 0)]) == [0], "time stamps of two ports may cross"
    assert kept([(frame, 0), (frame, 40_000), (frame, 80_000)]) == [0, 2], "counted from what was kept"
    assert kept([(frame, -MOST - 1), (frame, MOST)]) == [0, 1]
    assert kept([(frame, -10), (frame, 10)]) == [0]


def test_a_retransmission_has_another_identification() -> None:
    assert kept([(ether(0x0800, ip4(6, tcp(), identification=i)), i) for i in (1, 2, 3)]) == [0, 1, 2]


def test_frames_without_ip_are_kept() -> None:
    for frame in (ether(0x0806, bytes(28)), b"", b"\0" * 5, ether(0x0800, b"\x55" + bytes(40)), ether(0x0800, FOUR)[:30], ether(0x86DD, SIX)[:50]):
        assert kept([(frame, 0), (frame, 1)]) == [0, 1]


def test_every_sample_with_ip_is_found_again() -> None:
    for one in samples():
        answer = kept([(one.frame, 0), (one.frame, 1)], one.link)
        assert answer in ([0], [0, 1])
        if one.name in ("tcp", "udp6", "vlan", "radiotap qos", "gtp-u", "extension headers"):
            assert answer == [0], one.name


def test_another_capture_begins_afresh() -> None:
    copies, frame = Duplicates(SEED), ether(0x0800, FOUR)
    assert kept([(frame, 0)], copies=copies) == [0]
    assert kept([(frame, 5)], copies=copies) == []
    copies.forget()
    assert kept([(frame, 5)], copies=copies) == [0]
    assert SLOTS & (SLOTS - 1) == 0


def test_seeds_differ() -> None:
    frame = ether(0x0800, FOUR)
    assert kept([(frame, 0), (frame, 1)], copies=Duplicates()) == [0]


@st.composite
def traffic(draw: Any) -> list[tuple[bytes, int]]:
    """Few packets, sent often and in many guises."""
    four, six = (udp(payload=draw(st.binary(max_size=70))) for _ in range(2))
    packets = [ip4(17, four), ip6(17, six), FOUR, SIX, ip4(17, udp(), identification=8)]
    out, time = [], 0
    for _ in range(draw(st.integers(1, 30))):
        packet = draw(st.sampled_from(packets))
        kind = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
        packet = routed(packet) if draw(st.booleans()) else packet
        frame = tagged(kind, packet) if draw(st.booleans()) else ether(kind, packet)
        frame = frame[:draw(st.integers(0, len(frame)))] if draw(st.integers(0, 7)) == 0 else frame + bytes(draw(st.integers(0, 3)))
        time += draw(st.sampled_from([0, 1, 10_000, 49_999, 50_000, 50_001, -300]))
        out.append((frame, time))
    return out


@settings(max_examples=40 if BUILD == "off" else 60, deadline=None)
@given(traffic())
def test_the_kernel_equals_the_twin(frames: list[tuple[bytes, int]]) -> None:
    twin = Twin()
    assert kept(frames) == [i for i, (frame, time) in enumerate(frames) if not twin.copy(frame, time)]


@pytest.mark.skipif(BUILD != "on", reason="the other builds check every index")
def test_no_byte_beyond_a_frame_is_read() -> None:
    guard, rows, copies = Guard(), records(1, FRAME), Duplicates(SEED)
    row = rows[0]
    for one in samples():
        row.link = one.link
        for size in {*range(0, min(len(one.frame), 120), 3), len(one.frame)}:
            row.captured = row.wire = size
            for place in (guard.at_end, guard.at_start):
                assert copies.keep(place(one.frame[:size]), rows, 1) <= 1
