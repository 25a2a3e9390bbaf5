"""Scouts ask for memory and change nothing: captures long enough for them are read as the twin reads them, whatever lies in the payload."""
from __future__ import annotations

import struct
from random import Random

import numpy as np
import pytest

from dpi import jit
from dpi.capture.block import SCOUTS, WALK
from dpi.capture.frame import FRAME
from dpi.capture.pcap import FILE_HEADER, walk_pcap
from dpi.capture.scout import SHORTEST, SMALLEST
from tests.capture.crafted import pcap
from tests.hostile.guard import Guard
from tests.oracle import reader as twin

SECONDS = 1_700_000_000


def long_capture(random: Random, order: str, kind: str) -> bytes:
    """Records of all sizes; in the payload of some lie bytes that look like records, or like records of absurd lengths."""
    records = []
    size = 0
    while size < 5 * SHORTEST:
        data = random.randbytes(random.choice((60, 300, 1400, 1514, 9000)))
        if random.random() < 0.5:
            decoy = struct.pack(order + "IIII", SECONDS, 7, *random.choice(((40, 40), (1, 262144), (262144, 262144), (0xFFFFFFFF, 0xFFFFFFFF))))
            data = data[:20] + decoy * 2 + data[20 + 2 * len(decoy):]
        records.append((SECONDS + len(records) // 50, len(records), data, len(data)))
        size += 16 + len(data)
    return pcap(records, order, kind)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", ["micro", "modified"])
@pytest.mark.parametrize("seed", range(3))
def test_the_walk_reads_the_same(order: str, kind: str, seed: int) -> None:
    random = Random(f"{order}{kind}{seed}")
    whole = long_capture(random, order, kind)
    data = whole[:len(whole) - random.choice((0, 1, 17, 700))]
    guard = Guard(len(data))
    for place in (guard.at_end, guard.at_start):
        bytes_ = place(data)
        state = jit.records(1, WALK)
        state[0].position, state[0].end = FILE_HEADER, len(data)
        state[0].swapped, state[0].header = order == ">", 24 if kind == "modified" else 16
        room = 128
        frames, spare = jit.records(room, FRAME), jit.records(2 * room, FRAME)
        found, sent = [], 0
        state[0].scouts[:] = len(data)              # nowhere
        while count := walk_pcap(bytes_, state, frames, spare, room):
            found += [(int(frame.offset), int(frame.captured)) for frame in frames[:count]]
            sent += bool((np.asarray(state[0].scouts) != len(data)).any())
            state[0].scouts[:] = len(data)
        assert SMALLEST * len(found) < len(data) and sent > 1       # scouts were sent out
        packets = twin.read(data).packets
        assert [data[offset:offset + captured] for offset, captured in found] == [packet.data for packet in packets]
        assert len(state[0].scouts) == SCOUTS


@pytest.mark.compiled
def test_frames_that_offloading_left_whole_stop_no_scout() -> None:
    """A stretch begins inside of one of these more often than not: its scout looks for the next record behind it."""
    random, room, many = Random(3), 1024, 15_000
    sizes = [random.choice((60, 400, 1400, 1400, 1400, 12_000)) for _ in range(many)]
    records = (struct.pack("<IIII", SECONDS, k, size, size) + bytes(size) for k, size in enumerate(sizes))
    data = np.frombuffer(pcap([], "<", "micro") + b"".join(records), np.uint8)
    state = jit.records(1, WALK)
    state[0].position, state[0].end, state[0].header = FILE_HEADER, len(data), 16
    frames, spare = jit.records(room, FRAME), jit.records(2 * room, FRAME)
    counts = []
    while count := walk_pcap(data, state, frames, spare, room):
        counts.append(count)
    assert sum(counts) == many
    assert many / len(counts) > 0.4 * room, counts
