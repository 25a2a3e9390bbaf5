"""The listener of sessions under attack: `python -m tests.hostile.listening --count 1000000`. Frames that tell who has an address are mutated and lie against
a page that must not be touched; what is noted goes into a small table of leases."""
from __future__ import annotations

import argparse
import sys
from typing import Any

from dpi.identity.sessions import Learning
from tests.hostile.child import survive
from tests.hostile.samples import Sample
from tests.hostile.seeds import frames
from tests.identity import telling
from tests.identity.telling import Ear

TARGET = "tests.hostile.listening:Listening"
PASSES = (("on", "end"), ("on", "start"), ("checked", "own"))


def made() -> list[bytes]:
    """Messages by the RFCs."""
    line = telling.access_line(b"olt 1", b"line 7")
    attributes = [telling.attribute(97, b"\0\x40" + bytes.fromhex("20010db800000001")), telling.attribute(168, bytes(16)),
                  telling.attribute(44, b"s"), telling.attribute(26, b"\0\0\x0d\xe9\1\5abc\2\5abc"),
                  telling.attribute(123, b"\0\x38" + bytes(16)), telling.attribute(31, b"02-00-00-00-01-0a")]
    agent = telling.option(82, telling.option(1, b"eth 7") + telling.option(2, b"r")) + telling.option(61, b"\0alice")
    v6 = telling.given(address="2001:db8::9", prefix="2001:db8:5::/56")
    return [
        *(telling.datagram(telling.accounting(status, *attributes), 1813) for status in (1, 2, 3, 7)),
        *(telling.datagram(telling.leased(kind, "10.0.0.9", relay=relay, more=agent), 67) for kind in (5, 7) for relay in ("0.0.0.0", "10.0.0.1")),
        telling.datagram(v6, 546, "fe80::1", "fe80::2"), telling.datagram(telling.relayed(telling.relayed(v6, b"e", b"r"), b"e"), 547, "fe80::1", "fe80::2"),
        telling.datagram(telling.given(8, address="2001:db8::9"), 547, "fe80::2", "fe80::1"),
        telling.discovery(0x19, tags=line), telling.discovery(0x65, 17, up=False), telling.discovery(0xA7, 17),
        telling.discovery(0x19, tags=line, vlans=(10, 20)),
        telling.ppp(0xC023, telling.control(1, b"\5alice\6secret")), telling.ppp(0xC223, telling.control(2, b"\x10" + bytes(16) + b"bob")),
        telling.ppp(0x8021, telling.control(2, b"\3\6\x0a\0\0\7"), up=False), telling.ppp(0x8057, telling.control(2, b"\1\x0a" + bytes(8)), up=False),
        telling.ppp(0xC021, telling.control(5)), telling.ppp(0xC021, telling.control(10, bytes(4)))]


class Listening:
    """One frame at a time; events are learned."""
    ordered = False

    def __init__(self) -> None:
        self.samples = [Sample("made", 1, data) for data in made()] * 4
        self.samples += [one for name in ("radius-sessions.pcap", "dhcp-lease.pcap") for one in frames(name)][::5]
        self.ear = Ear(Learning(kinds=7, seconds=60, most=500))

    def fresh(self) -> None:
        """Nothing is kept that would have to go."""

    def call(self, data: Any, sample: Sample) -> None:
        ear = self.ear
        ear.number += 1
        ear.one(data, ear.number * 300_000, sample.link, sample.wire)
        ear.tap.learn()
        counted = ear.sessions.counters()
        assert 0 <= counted["open"] <= 500 and counted["started"] >= counted["stopped"] + counted["replaced"] + counted["expired"] + counted["evicted"]
        for told in ear.sessions.take_rows():
            assert told["length"] <= 128 or told["action"] == 4, told


def main(arguments: list[str]) -> int:
    """Attack it in each build; 0 where nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    failures = 0
    for build, place in PASSES:
        outcome = survive(TARGET, build, place, options.count, options.seed)
        print(outcome, flush=True)
        failures += bool(outcome.fault) or outcome.done != options.count
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
