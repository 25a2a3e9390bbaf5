"""Who lies on the segment: frames as they are seen against a slow twin, what is learned of them, and whole replays with any number of workers."""
from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dpi.capture.sighting import AGAIN, ARP, HALF, REMEMBERED, ROOM, SIGHTING, Sightings
from dpi.jit import BUILD, records
from dpi.replaying import ReplayOptions, run
from dpi.security.registry import configured
from dpi.security.segment import CLAIMED, FORGET, KNOWN, LOTS, SETTLE, Segment
from dpi.settings import load
from tests.capture.crafted import pcap
from tests.capture.seeing import Eye, expected
from tests.security.made import BEGIN, SECOND, Sink, numbered, watch, words
from tests.security.said import MACS, advertised, advertisement, arp, offered
from tests.security.test_replays import always as always
from tests.security.test_replays import scan

GATEWAY, OTHER, ROGUE = "192.0.2.1", "192.0.2.70", "02:00:00:00:00:03"
Timed = tuple[float, bytes]
FRAMES = [arp("host", GATEWAY), arp("host", GATEWAY, 1), arp("host", GATEWAY, vlans=(10,)), arp("host", GATEWAY, vlans=(10, 20)),
          arp("host", GATEWAY, vlans=(1, 2, 3)), advertisement("host", "fe80::1"), advertisement("host", "fe80::1", vlans=(7,)),
          advertisement("host", "2001:db8::1"), advertisement("host", "fe80::1", 64), offered("host", GATEWAY), offered("host", GATEWAY, OTHER),
          offered("host", GATEWAY, OTHER, (9, 8)), advertised("host", "fe80::2"), advertised("host", "fe80::2", 7), advertised("host", "fe80::2", 1)]


@pytest.mark.parametrize("data", FRAMES, ids=range(len(FRAMES)))
def test_a_frame_says_what_the_twin_says(data: bytes) -> None:
    eye, drawn = Eye(), random.Random(data)
    for k in range(60 if BUILD == "on" else 12):
        one = bytearray(data)
        for _ in range(k and drawn.randrange(1, 4)):
            one[drawn.randrange(len(one))] = drawn.choice((0, 1, 2, 6, 54, 67, 129, 254, 255, drawn.randrange(256)))
        cut = bytes(one[:drawn.randrange(12, len(one))] if k % 3 == 2 else one)
        seen = eye.frame(cut, k * 10 * AGAIN)
        assert seen == expected(cut, eye.packets[0]), cut.hex()
    assert eye.frame(data, 10**12) == expected(data, eye.packets[0])


def test_what_was_just_said_is_not_said_again_and_a_full_ring_counts() -> None:
    eye = Eye()
    assert [len(eye.frame(arp("host", GATEWAY), at)) for at in (0, 1, AGAIN - 1, AGAIN, AGAIN + 1, 3 * AGAIN)] == [1, 0, 0, 1, 0, 1]
    assert len(eye.frame(arp("rogue", GATEWAY), 3 * AGAIN)) == 1 and int(eye.sightings.head["again"]) == 3
    told: list[int] = []
    ring = Sightings(lambda seen: told.append(len(seen)))
    ring.head["waiting"] = ROOM
    ring.hand_over()
    assert told == [ROOM] and ring.head["waiting"] == 0 and REMEMBERED >= ROOM
    for waiting in (HALF - 1, HALF):            # few wait for more, and the block that makes them half of what there is room for is the last
        ring.head["waiting"] = waiting
        ring.hand_over(HALF)
    assert told == [ROOM, HALF] and ring.head["waiting"] == 0
    off = Sightings()
    off.hand_over()
    assert off.arrays()["sightings"].size == 0


def sightings(*said: tuple[float, str, str, int]) -> Any:
    """(s, MAC, address, scope) of ARP."""
    made = records(len(said), SIGHTING)
    for one, (at, mac, address, scope) in zip(made, said, strict=True):
        one.time, one.kind, one.scope, one.mac = BEGIN + int(at * SECOND), ARP, scope, int.from_bytes(MACS[mac], "big")
        one.high, one.low = words(address)
    return made


def claims(*said: tuple[float, str, str, int]) -> list[int]:
    """Which of them are claims, by number."""
    segment = Segment()
    return [k for k, one in enumerate(said) if len(rows := segment.learn(sightings(one))) and int(rows[0].risks) == CLAIMED]


def test_who_was_first_has_an_address_until_he_is_silent() -> None:
    assert claims((0, "gateway", GATEWAY, 0), (1, "rogue", GATEWAY, 0), (2, "gateway", GATEWAY, 0), (3, "rogue", GATEWAY, 0), (4, "rogue", OTHER, 0)) == [1, 3]
    assert claims((0, "gateway", GATEWAY, 1), (1, "rogue", GATEWAY, 2)) == []                                  # other VLANs
    late = FORGET / SECOND
    assert claims((0, "gateway", GATEWAY, 0), (late, "rogue", GATEWAY, 0)) == [1] and claims((0, "gateway", GATEWAY, 0), (late + 1, "rogue", GATEWAY, 0)) == []
    over = SETTLE / SECOND + 2
    moved = [(at, mac, GATEWAY, 0) for at, mac in ((0, "gateway"), (1, "rogue"), (over, "rogue"), (over + 1, "rogue"), (over + 2, "gateway"))]
    assert claims(*moved) == [1, 4]                             # believed after a while; the old one is now the claimer
    assert claims(moved[0], moved[1], (5, "gateway", GATEWAY, 0), *moved[2:4]) == [1, 3, 4]       # contradicted: never believed


def test_the_table_is_bounded_and_says_what_it_forgets() -> None:
    segment, count = Segment(), 500 if BUILD == "off" else 200_000
    for begin in range(0, count, 1000):
        made = records(min(1000, count - begin), SIGHTING)
        plain = made.view(np.ndarray)
        plain["kind"], plain["mac"], plain["low"], plain["time"] = ARP, 5, np.arange(begin, begin + len(made)), begin
        assert len(segment.learn(made)) == 0
    assert int(segment.evicted[0]) > 0 or count < 1 << 15


def replayed(path: Path, frames: list[Timed], workers: int = 1, **options: Any) -> list[dict[str, Any]]:
    """Alerts of frames, s behind an hour's begin."""
    path.write_bytes(pcap([(1_699_999_200 + int(at), round(at % 1 * 1e6), data, len(data)) for at, data in sorted(frames, key=lambda one: one[0])]))
    sink = Sink()
    run([str(path)], sinks=[sink], options=ReplayOptions(workers=workers), settings=load(environment=options))
    return numbered(sink.rows)["alerts"]


def spoofed(count: int, gap: float = 2.0) -> list[Timed]:
    return [(k * 10.0, arp("gateway", GATEWAY, 1)) for k in range(6)] + [(5 + k * gap, arp("rogue", GATEWAY)) for k in range(count)]


def served(rogue: str, later: float, make: Any = offered) -> list[Timed]:
    return [(k * 20.0, make("gateway", "fe80::1" if make is not offered else GATEWAY)) for k in range(2)] + [(later, make("rogue", rogue))]


@pytest.mark.parametrize(("kind", "below", "over", "source", "target"), [
    ("arp_spoofing", spoofed(3), spoofed(4), ROGUE, GATEWAY), ("arp_spoofing", spoofed(40, 0.06), spoofed(60, 0.06), ROGUE, GATEWAY),
    ("rogue_dhcp", served(OTHER, 1), served(OTHER, 3), OTHER, ""),
    ("rogue_dhcp", served("fe80::70", 1, advertised), served("fe80::70", 3, advertised), "fe80::70", ""),
    ("rogue_ra", served("fe80::70", 9, advertisement), served("fe80::70", 11, advertisement), "fe80::70", ""),
], ids=["arp", "quickly", "dhcp", "dhcpv6", "router"])
def test_the_limit_is_where_it_is(tmp_path: Path, kind: str, below: list[Timed], over: list[Timed], source: str, target: str) -> None:
    assert replayed(tmp_path / "below.pcap", below) == []
    alert, = replayed(tmp_path / "over.pcap", over)
    assert (alert["kind"], alert["source"], alert["target"], alert["probe"]) == (kind, source, target, "replay")
    assert ROGUE in alert["summary"] and ROGUE in alert["summary_zh"] and (target or source) in alert["summary"]
    assert f"= toIPv6('{target or source}')" in alert["evidence"]


def test_vlans_are_apart_and_a_relay_is_no_server(tmp_path: Path) -> None:
    apart = [(0.0, arp("gateway", GATEWAY, vlans=(10,)))] + [(5.0 + 2 * k, arp("rogue", GATEWAY, vlans=(20,))) for k in range(10)]
    relay = [(0.0, offered("gateway", GATEWAY, "192.0.2.9")), (30.0, offered("rogue", OTHER, "192.0.2.9"))]
    interfaces = [(0.0, advertisement("gateway", "fe80::1")), (30.0, advertisement("gateway", "fe80::2")), (60.0, advertisement("gateway", "fe80::1"))]
    assert replayed(tmp_path / "apart.pcap", apart + relay + interfaces) == []


@pytest.mark.compiled
def test_any_number_of_workers_finds_the_same(always: None, tmp_path: Path) -> None:
    frames = [*spoofed(30), *served(OTHER, 40), *served("fe80::70", 45, advertisement), *scan(5, 100), *scan(300, 50)]
    alone = replayed(tmp_path / "lies.pcap", frames)
    assert {one["kind"] for one in alone} == {"arp_spoofing", "rogue_dhcp", "rogue_ra", "port_scan"}
    for workers in (2, 4):
        assert replayed(tmp_path / "lies.pcap", frames, workers) == alone


def test_a_probe_tells_at_once_and_its_packets_wait_for_nobody() -> None:
    watchman, _, heard = watch(prompt=True, grace=45)
    said = sightings((0, "gateway", GATEWAY, 0), *((k + 1.0, "rogue", GATEWAY, 0) for k in range(4)))
    watchman.begin("edge", 0)
    watchman.hear(said[:3])
    assert heard == []
    watchman.hear(said[3:])
    assert [(one.kind, one.state, one.target, one.source, one.probe) for one in heard] == [("arp_spoofing", "raised", GATEWAY, "02:00:00:00:00:03", "edge")]


def test_what_waits_is_bounded_and_given_up_from_its_oldest_end() -> None:
    segment = Segment()
    assert [segment.put(sightings((k, "gateway", GATEWAY, 0)), True) for k in range(LOTS + 2)] == [False] * LOTS + [True] * 2 and segment.unheard == 2
    assert list(segment.taken()) == [] and not segment.put(sightings((900, "rogue", GATEWAY, 0)), True)
    assert [int(rows[0].interval_start) for rows in segment.taken()] == [BEGIN + 900 * SECOND]


def test_own_servers_are_named(tmp_path: Path) -> None:
    for kind, option, value in (("rogue_dhcp", "known", "192.0.2.64/28"), ("rogue_ra", "known", "02:00:00:00:00:03"), ("arp_spoofing", "ignore", GATEWAY)):
        frames = {"rogue_dhcp": served(OTHER, 40), "rogue_ra": served("fe80::70", 45, advertisement), "arp_spoofing": spoofed(30)}[kind]
        path = tmp_path / "frames.pcap"
        assert len(replayed(path, frames)) == 1
        (tmp_path / "detectors.toml").write_text(f'[{kind}]\n{option} = "{value}"\n')
        assert replayed(path, frames, FULLSPAN_DETECT_OPTIONS=str(tmp_path / "detectors.toml")) == []
    kinds = {one.detector.kind for one in configured({}) if one.rules and one.rules[0].table == "segment"}
    assert KNOWN == 16 and kinds == {"arp_spoofing", "rogue_dhcp", "rogue_ra"}
