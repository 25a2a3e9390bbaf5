"""Faults as packets, through a whole replay with links and bindings of the settings: the same with any number of workers."""
from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dpi.replaying
from dpi.output import Limits
from dpi.replaying import ReplayOptions, run
from dpi.settings import load
from tests.capture.crafted import pcap
from tests.hostile.samples import ether, ip4, udp
from tests.security.made import Sink

SYN, ACK, PSH = 2, 16, 8
CUSTOMER, SERVICE, FAR = bytes((192, 0, 2, 10)), bytes((192, 0, 2, 70)), bytes((203, 0, 113, 5))
START = 1_699_999_200
BINDINGS = "service_id,customer_id,prefix\nline-1,c-1,192.0.2.0/26\nline-2,c-2,192.0.2.64/26\n"
Packet = tuple[float, bytes]


def four(source: bytes, target: bytes, number: int, layer: bytes) -> bytes:
    return ether(0x0800, ip4(number, layer, (source, target)))


def segment(source: int, target: int, sequence: int, acknowledged: int, flags: int, data: bytes = b"") -> bytes:
    return struct.pack(">HHIIBBHHH", source, target, sequence, acknowledged, 0x50, flags, 500, 0, 0) + data


def download(begin: float, seconds: int, again: int) -> Iterator[Packet]:
    """Twenty segments a second from FAR to CUSTOMER, one connection; every `again`-th is sent twice, 0 none."""
    yield begin, four(CUSTOMER, FAR, 6, segment(40000, 80, 99, 0, SYN))
    yield begin + 0.01, four(FAR, CUSTOMER, 6, segment(80, 40000, 499, 100, SYN | ACK))
    yield begin + 0.02, four(CUSTOMER, FAR, 6, segment(40000, 80, 100, 500, ACK))
    for k in range(20 * seconds):
        data = four(FAR, CUSTOMER, 6, segment(80, 40000, 500 + 100 * k, 100, ACK | PSH, bytes(100)))
        yield begin + 0.03 + k / 20, data
        yield begin + 0.04 + k / 20, four(CUSTOMER, FAR, 6, segment(40000, 80, 100, 600 + 100 * k, ACK))
        if again and k % again == 0:
            yield begin + 0.05 + k / 20, data


def asks(begin: float, answered: int, vain: int) -> Iterator[Packet]:
    """A question to SERVICE every 5 s, each from a port of its own; answered for so many s, then not."""
    for k in range((answered + vain) // 5):
        yield begin + 5 * k, four(FAR, SERVICE, 17, udp(2000 + k, 7777))
        if 5 * k < answered:
            yield begin + 5 * k + 0.001, four(SERVICE, FAR, 17, udp(7777, 2000 + k))


def filling(begin: float, seconds: int, size: int = 1408) -> Iterator[Packet]:
    """Ten frames of 1442 bytes a second towards the customer: 115.4 kbit/s."""
    for k in range(10 * seconds):
        yield begin + k / 10, four(FAR, CUSTOMER, 17, struct.pack(">HHHH", 5000, 6000, size, 0) + bytes(size - 8))


def write(path: Path, *attacks: Iterator[Packet]) -> Path:
    packets = sorted((one for attack in attacks for one in attack), key=lambda one: one[0])
    path.write_bytes(pcap([(START + int(at), round(at % 1 * 1e6), data, len(data)) for at, data in packets]))
    path.with_suffix(".csv").write_text(BINDINGS)
    path.with_suffix(".csv").chmod(0o600)
    return path


def found(path: Path, workers: int = 1, settings: str = "") -> list[tuple[str, ...]]:
    """Kind, state, customer and dedup_key of each state of an alert, with its first time."""
    sink = Sink()
    path.with_suffix(".toml").write_text(settings or "[detect]\nquiet = 300\n")
    run([str(path)], sinks=[sink], options=ReplayOptions(workers=workers, bindings=str(path.with_suffix(".csv")), local_networks="192.0.2.0/24"),
        settings=load(path.with_suffix(".toml"), environment={}))
    rows: Any = sink.rows["alerts"]
    return [(one["kind"], one["state"], one["customer_id"], one["dedup_key"], (one["first_time"] - START * 1_000_000) // 1_000_000) for one in rows]


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """No capture is too small for a crew, and outputs are small, so that rows leave all the time."""
    usual = dpi.replaying.limits
    monkeypatch.setattr(dpi.replaying, "ALONE", 0)
    monkeypatch.setattr(dpi.replaying, "FRAMES_PER_BLOCK", 64)
    monkeypatch.setattr(dpi.replaying, "limits", lambda settings, most: Limits(**{**vars(usual(settings, most)), "exports": 1040, "transactions": 4300}))


@pytest.mark.compiled
def test_any_number_of_workers_finds_the_same_faults(always: None, tmp_path: Path) -> None:
    path = write(tmp_path / "wire.pcap", download(1, 60, 0), download(62.5, 60, 12), asks(2, 180, 150), filling(240, 180), asks(700, 30, 0))
    settings = "[links.uplink]\ncapacity_bps = 120000\ninterface = 'wire.pcap'\n"
    alone = found(path, settings=settings)
    assert {one[:1] + one[2:] for one in alone} == {
        ("loss", "c-1", "loss:service line-1:replay", 60), ("service_silent", "c-2", "service_silent:service line-2:replay", 180),
        ("congestion", "", "congestion:link wire.pcap:replay", 240)} and [one[1] for one in alone].count("cleared") == 3
    for workers in (2, 4):
        assert found(path, workers, settings) == alone


def test_just_below_the_limits_is_nothing(tmp_path: Path) -> None:
    assert found(write(tmp_path / "below.pcap", download(1, 25, 40), asks(0, 60, 55))) == []


def test_the_busiest_second_of_a_link_is_held_against_its_capacity(tmp_path: Path) -> None:
    path = write(tmp_path / "burst.pcap", filling(0, 20), ((10.2 + k / 200, packet) for k, (_, packet) in enumerate(filling(0, 10))))
    settings = "[links.uplink]\ncapacity_bps = {}\ninterface = 'burst.pcap'\n"
    assert [one[0] for one in found(path, settings=settings.format(1_300_000))] == ["microburst"]
    assert found(path, settings=settings.format(1_500_000)) == []
