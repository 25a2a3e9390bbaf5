"""Blocks of a TPACKET_V3 ring against what was written into them, and against blocks that no kernel would write."""
from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.capture.frame import FRAME
from dpi.capture.live import TALLY, walk_ring
from dpi.jit import BUILD, records

SIZE = 4096             # of a block; the walk takes any
HEAD = 48               # of the block and of each frame


@dataclass
class Sent:
    """A frame as the kernel saw it. `tag`: (TPID or None, TCI) that the card took off."""
    data: bytes
    wire: int
    time: int           # us
    tag: tuple[int | None, int] | None = None


def block(sent: list[Sent], before: int) -> bytes:
    """A block with these frames, as far as they fit. before: bytes between a frame's header and its first byte."""
    out = bytearray(HEAD)
    starts = []
    for one in sent:
        at, mac = len(out), HEAD + before
        size = (mac + len(one.data) + 15) // 16 * 16
        if at + size > SIZE:
            break
        status = 1 | (0x10 if one.tag else 0) | (0x40 if one.tag and one.tag[0] is not None else 0)
        tpid, tci = one.tag if one.tag else (None, 0)
        seconds, rest = divmod(one.time, 10**6)
        words = (size, seconds, rest * 1000, len(one.data), one.wire, status)
        head = struct.pack("<6I2HIIHH8x", *words, mac, mac + 14, 7, tci, tpid or 0, 0)
        out += head + bytes(before) + one.data + bytes(size - mac - len(one.data))
        starts.append(at)
    if starts:
        struct.pack_into("<I", out, starts[-1], 0)
    struct.pack_into("<5I", out, 0, 1, 0, 1, len(starts), HEAD)
    return bytes(out) + bytes(SIZE - len(out))


def walked(octets: bytes, link: int = 1) -> tuple[list[tuple[Any, ...]], Any, Any]:
    """(bytes, wire, time, number, interface) of each frame; the tally; the ring with a block of other bytes on either side."""
    ring = np.frombuffer(bytearray(b"\xaa" * SIZE + octets + b"\xbb" * SIZE), np.uint8).copy()
    frames, tally = records(64, FRAME), records(1, TALLY)
    count = walk_ring(ring, SIZE, SIZE, frames, link, 3, tally)
    found = []
    for row in frames.view(np.ndarray)[:count].tolist():
        offset, time, captured, wire, kind, interface, number = row
        assert offset >= SIZE and offset + captured <= 2 * SIZE and kind == link
        found.append((ring[offset:offset + captured].tobytes(), wire, time, number, interface))
    assert ring[:SIZE].tobytes() == b"\xaa" * SIZE and ring[2 * SIZE:].tobytes() == b"\xbb" * SIZE
    return found, tally[0], ring


def expected(sent: list[Sent]) -> list[tuple[Any, ...]]:
    """With every tag back between the addresses and the type."""
    out: list[tuple[Any, ...]] = []
    for number, one in enumerate(sent, 1):
        data, wire = one.data, one.wire
        if one.tag and len(data) >= 12:
            tpid, tci = one.tag
            data, wire = data[:12] + struct.pack(">HH", 0x8100 if tpid is None else tpid, tci) + data[12:], wire + 4
        out.append((data, wire, one.time, number, 3))
    return out


FRAMES = st.lists(st.builds(lambda data, more, time, tag: Sent(data, len(data) + more, time, tag), st.binary(max_size=90), st.integers(0, 1400),
                            st.integers(0, 2**32 * 10**6 - 1),
                            st.none() | st.tuples(st.none() | st.sampled_from((0x8100, 0x88A8)), st.integers(0, 65535))), max_size=16)


@settings(max_examples=40 if BUILD == "off" else 300, deadline=None)
@given(FRAMES)
def test_what_was_written_comes_out(sent: list[Sent]) -> None:
    found, tally, _ = walked(block(sent, 16))
    assert found == expected(sent) and int(tally.broken) == 0 and int(tally.number) == len(sent)


def test_without_headroom_a_tag_is_not_put_over_the_header() -> None:
    found, _, _ = walked(block([Sent(bytes(60), 60, 5, (None, 7))], 0))
    assert found == [(bytes(60), 60, 5, 1, 3)]


@settings(max_examples=40 if BUILD == "off" else 500, deadline=None)
@given(FRAMES, st.lists(st.tuples(st.integers(0, SIZE // 4 - 1), st.integers(0, 2**32 - 1) | st.integers(0, 200)), max_size=6))
def test_a_broken_block_gives_no_frame_outside_it(sent: list[Sent], damage: list[tuple[int, int]]) -> None:
    octets = bytearray(block(sent, 16))
    for word, value in damage:
        struct.pack_into("<I", octets, 4 * word, value)
    found, tally, _ = walked(bytes(octets))
    assert len(found) <= 64 and int(tally.number) == len(found)
