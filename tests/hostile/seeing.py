"""What is seen of the segment under attack: mutated frames of ARP, router advertisements and DHCP lie against a page that must not be touched; what they say
is learned."""
from __future__ import annotations

from typing import Any

from dpi.security.segment import Segment
from tests.capture.seeing import Eye
from tests.hostile.samples import Sample, samples
from tests.security.said import advertised, advertisement, arp, offered

TARGET = "tests.hostile.seeing:Seeing"


class Seeing:
    """One frame at a time."""
    ordered = False

    def __init__(self) -> None:
        made = [arp("host", "192.0.2.1", vlans=vlans) for vlans in ((), (10,), (10, 20), (1, 2, 3))] + [
            advertisement("host", "fe80::1"), advertised("host", "fe80::2"), *(offered("host", "192.0.2.1", "192.0.2.9", vlans) for vlans in ((), (4, 5)))]
        self.samples = [Sample("made", 1, data) for data in made] * 8 + samples()[::4]
        self.eye, self.segment, self.time = Eye(), Segment(10, 2), 0

    def fresh(self) -> None:
        """Nothing is kept that would have to go."""

    def call(self, data: Any, sample: Sample) -> None:
        self.time += 1_500_000
        seen = self.eye.one(data, self.time, sample.link, sample.wire)
        assert len(seen) <= 1 and len(self.segment.learn(seen)) <= len(seen)
