"""Whole captures under attack: `python -m tests.hostile.replays --count 200000`.

The frames of the captures in pcaps/ go through a whole shard (decode, flows, first bytes, classification, rows) in their order, some lost,
doubled, late, cut or damaged, so that what is kept between packets (fragments, streams, CRYPTO frames, parser state) meets hostile
sequences. Each frame lies against a guard page; sinks receive every row, among them all detectors with a small table, and with them what frames say of
the segment; who has an address is learned from whoever says so.
"""
from __future__ import annotations

import argparse
import sys
from random import Random
from typing import Any

import numpy as np

from dpi.batch import Batch
from dpi.capture.block import Block
from dpi.capture.frame import FRAME
from dpi.capture.intake import Intake
from dpi.capture.sighting import Sightings
from dpi.detection import watchman_of
from dpi.identity.event import SOURCES
from dpi.identity.sessions import Learning, Sessions
from dpi.jit import records
from dpi.output import Limits, Origin
from dpi.rules import load
from dpi.settings import Detect, Settings
from dpi.shard import Shard
from tests.hostile.child import survive
from tests.hostile.samples import Sample, samples
from tests.hostile.seeds import PCAPS, frames
from tests.security.said import advertised, advertisement, arp, offered

TARGET = "tests.hostile.replays:Replays"
PASSES = (("on", "end"), ("checked", "own"))
#: Small on purpose: tables, pools and buffers are full all the time
LIMITS = Limits(flows=64, facts=16, streams=8, exports=2048, transactions=8192, seconds=64)


def segment() -> list[Sample]:
    """Who has an address and who serves there, as frames say it, under no to three VLAN tags."""
    found: list[bytes] = []
    for k, tags in enumerate(((), (10,), (10, 20), (1, 2, 3))):
        who = ("host", "rogue")[k & 1]
        found += [arp("host", "192.0.2.1", 1, tags), arp("rogue", "192.0.2.1", 2, tags), advertisement(who, "fe80::1", vlans=tags),
                  offered(who, f"192.0.2.{1 + k}", vlans=tags), advertised(who, f"fe80::{1 + k}")]
    return [Sample(f"of the segment {k}", 1, one) for k, one in enumerate(found)]


class Counted:
    """A sink that adds up."""

    def __init__(self) -> None:
        self.packets = 0

    def write(self, batch: Batch) -> None:
        if batch.table == "flows":
            for column in ("client_packets", "server_packets"):
                counts = batch.columns[column]
                assert isinstance(counts, np.ndarray)
                self.packets += int(counts.sum())

    def close(self) -> None:
        """Nothing to end."""


class Replays:
    """A shard, one frame at a time."""
    ordered = True

    def __init__(self) -> None:
        self.samples: list[Sample] = [one for path in sorted(PCAPS.glob("*.pcap*")) for one in frames(path.name)]
        # in between, tunnels and fragments that the captures do not have
        for place, one in enumerate([*samples(), *segment()]):
            self.samples.insert(place * 7 % len(self.samples), one)
        self.rules = load()
        self.frames = records(1, FRAME)
        self.random = Random(7)
        self.shard: Any = None
        self.sink = Counted()
        self.settings = Settings(detect=Detect(max_keys=1024))
        self.time = self.given = 0

    def fresh(self) -> None:
        """End the shard (its rows must account for every packet) and begin another."""
        if self.shard is not None:
            self.shard.finish()
            self.watchman.end()
            assert not self.sink.packets or self.watchman.counters()["rows"], "detectors were given nothing"
            counters = self.shard.intake.timeline.row
            assert counters.packets == self.given and self.sink.packets + counters.refused == self.given, (
                self.given, int(counters.packets), int(counters.refused), self.sink.packets)
        self.sink = Counted()
        watchman = watchman_of(self.settings, [self.sink])
        assert watchman is not None
        self.watchman = watchman
        tap = Sessions(Learning(kinds=sum(SOURCES.values()), most=1024)).tap()
        self.shard = Shard(self.rules, LIMITS, [self.sink, watchman], Intake(True, LIMITS.seconds, tap=tap, sightings=Sightings(watchman.hears)))
        self.shard.begin(Origin("hostile"))
        self.time, self.given = 1_700_000_000_000_000, 0

    def call(self, data: Any, sample: Sample) -> None:
        chance = self.random.random()
        self.time += self.random.choice((0, 10, 1000)) if chance < 0.98 else self.random.choice((-5_000_000, 70_000_000, 400_000_000, 8_000_000_000))
        self.given += 1
        row = self.frames[0]
        row.captured, row.wire, row.link, row.number, row.time = data.size, sample.wire or data.size, sample.link, self.given, self.time
        self.shard.process(Block(data, self.frames, 1, self.given))


def main(arguments: list[str]) -> int:
    """Run all passes; 0 where nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200_000, help="frames in each pass")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    failures = 0
    for build, place in PASSES:
        outcome = survive(TARGET, build, place, options.count, options.seed)
        print(outcome, flush=True)
        failures += bool(outcome.fault)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
