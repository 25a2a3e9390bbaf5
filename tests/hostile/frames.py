"""The decoder under attack: `python -m tests.hostile.frames --count 1000000`.

Every frame is mutated and placed against a page that must not be touched (behind it, then before it), in the fast build; and in the
bounds-checked build as an array of its own. The planted faults prove that the harness sees a read of one byte too many.
"""
from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import numpy as np

from dpi.capture.decode import new_decoder
from dpi.capture.fragments import fragment_table
from dpi.capture.frame import FRAME, PACKET, REFUSALS
from dpi.capture.octets import octet
from dpi.jit import BUILD, I64, entry, records
from tests.capture.decoding import decode
from tests.hostile.child import Outcome, survive
from tests.hostile.samples import Sample, samples

DECODER = "tests.hostile.frames:Frames"
PLANTED = "tests.hostile.frames:OneTooMany"
PLANTED_BEFORE = "tests.hostile.frames:OneBefore"
PASSES = (("on", "end"), ("on", "start"), ("checked", "own"))


class Frames:
    """`decode` on one frame at a time; the answer must lie within the frame."""
    ordered = False

    def __init__(self) -> None:
        self.samples = samples()
        self.frames, self.packets = records(1, FRAME), records(1, PACKET)
        self.row = self.frames[0]
        self.seed = np.array([3, 5, 7, 11], np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        self.names = PACKET.names or ()
        self.fresh()

    def fresh(self) -> None:
        self.decoder, self.table = new_decoder(), fragment_table(64)

    def call(self, data: Any, sample: Sample) -> None:
        row = self.row
        row.captured, row.wire, row.link, row.number = data.size, sample.wire or data.size, sample.link, 1
        decode(data, self.frames, 0, 1, self.packets, self.table, self.seed, self.decoder)
        packet = dict(zip(self.names, self.packets.item(0), strict=True))
        assert packet["status"] < len(REFUSALS)
        if packet["status"] == 0:
            size, wire = data.size, max(data.size, sample.wire)
            assert packet["payload_at"] + packet["payload_captured"] <= size or packet["payload_captured"] == 0
            assert packet["payload_captured"] <= packet["payload_bytes"] <= packet["ip_bytes"]
            assert packet["ip_at"] + packet["ip_bytes"] <= wire and packet["l4_at"] <= packet["ip_at"] + packet["ip_bytes"]
            assert packet["ip_at"] + (20 if packet["version"] == 4 else 40) <= size and packet["version"] in (4, 6)
            assert packet["outer_at"] <= packet["ip_at"] and packet["fragment"] <= 2 and packet["low"] <= 1


@entry(np.dtype("u1"), I64)
def read_at(data: Any, index: int) -> Any:
    """The planted fault."""
    return octet(data, index)


class OneTooMany(Frames):
    """The decoder with a read of one byte behind the frame."""

    def call(self, data: Any, sample: Sample) -> None:
        super().call(data, sample)
        read_at(data, data.size)


class OneBefore(Frames):
    """The decoder with a read of one byte before the frame."""

    def call(self, data: Any, sample: Sample) -> None:
        super().call(data, sample)
        read_at(data, -1)


def planted_faults_are_seen(seed: int = 1) -> list[Outcome]:
    """The harness's own proof: each of these must have a fault on its very first sample."""
    return [survive(PLANTED, "on", "end", 10, seed), survive(PLANTED_BEFORE, "on", "start", 10, seed), survive(PLANTED, "checked", "own", 10, seed),
            survive(PLANTED_BEFORE, "checked", "own", 10, seed)]


def main(arguments: list[str]) -> int:
    """Run all passes; 0 where nothing was found and the planted faults were."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="mutated frames in each pass")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    failures = 0
    for outcome in planted_faults_are_seen(options.seed):
        print(f"planted: {outcome}")
        failures += not outcome.fault or outcome.done != 0
    for build, place in PASSES:
        begun = time.monotonic()
        outcome = survive(DECODER, build, place, options.count, options.seed)
        print(f"{outcome} ({time.monotonic() - begun:.0f} s)", flush=True)
        failures += bool(outcome.fault) or outcome.done != options.count
    return 1 if failures else 0


if __name__ == "__main__":
    assert BUILD in ("on", "off", "checked")
    sys.exit(main(sys.argv[1:]))
