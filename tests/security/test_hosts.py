"""What hosts do, as packets through a whole replay: conversations of TCP made here; the same with any number of workers."""
from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dpi.replaying import ReplayOptions, run
from dpi.settings import load
from tests.hostile.samples import ether, ip4, ip6
from tests.security.made import Sink, numbered
from tests.security.test_replays import Packet, always, write

__all__ = ["always"]
SYN, ACK, PSH, FIN = 2, 16, 8, 1
INSIDE, OUTSIDE, SERVER = bytes((10, 9, 8, 7)), bytes((203, 0, 113, 5)), bytes((192, 0, 2, 10))
SIX = bytes.fromhex("fd000000000000000000000000000007"), bytes.fromhex("20010db8000100000000000000000010")
OPTIONS = "[exfiltration]\nmegabytes = 1\n[new_admin_pair]\nlearn = 20\n"
BASIC = b"GET /private HTTP/1.1\r\nHost: www.example.com\r\nAuthorization: Basic YTpi\r\n\r\n"
DENIED = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n"
SUBSCRIBE = b'{"id": 1, "method": "mining.subscribe", "params": ["cpuminer/2.5.1"]}\n'
ANSWER = b'{"id": 1, "result": [[], "08000002", 4], "error": null}\n'


def talk(at: float, client: bytes, server: bytes, port: int, own: int, said: list[tuple[float, bytes, bytes]], end: bool = True) -> Iterator[Packet]:
    """A connection: at so many seconds from its beginning the client says something and the server something else."""
    numbers = [1000, 5000]

    def segment(seconds: float, side: int, flags: int, payload: bytes = b"") -> Packet:
        ports = (own, port) if side == 0 else (port, own)
        layer = struct.pack(">HHIIBBHHH", *ports, numbers[side], numbers[1 - side] if flags & ACK else 0, 0x50, flags, 64000, 0, 0) + payload
        numbers[side] += len(payload) + bool(flags & (SYN | FIN))
        pair = (client, server) if side == 0 else (server, client)
        return at + seconds, ether(0x0800, ip4(6, layer, pair)) if len(client) == 4 else ether(0x86DD, ip6(6, layer, pair))
    yield segment(0, 0, SYN)
    yield segment(0.001, 1, SYN | ACK)
    yield segment(0.002, 0, ACK)
    last = 0.002
    for seconds, question, answer in said:
        last = max(last + 0.0001, seconds)
        for side, words in ((0, question), (1, answer)):
            for place in range(0, len(words), 8000):
                last += 0.0001
                yield segment(last, side, PSH | ACK, words[place:place + 8000])
    if end:
        yield segment(last + 0.001, 0, FIN | ACK)
        yield segment(last + 0.002, 1, FIN | ACK)
        yield segment(last + 0.003, 0, ACK)


def many(at: float, gap: float, count: int, client: bytes, server: bytes, port: int, said: list[tuple[float, bytes, bytes]],
         end: bool = True) -> Iterator[Packet]:
    for k in range(count):
        yield from talk(at + k * gap, client, server, port, 20000 + k, said, end)


def guesses(at: float, count: int, pair: tuple[bytes, bytes] = (OUTSIDE, SERVER)) -> Iterator[Packet]:
    return many(at, 1, count, *pair, 22, [(0.01, b"SSH-2.0-guess\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"), (0.02, bytes(2500), bytes(2800))])


def beacon(at: float, count: int, pair: tuple[bytes, bytes] = (INSIDE, SERVER)) -> Iterator[Packet]:
    for k in range(count):
        yield from talk(at + 20 * k + (k * 7 % 5 - 2), *pair, 8443, 30000 + k, [(0.01, b"\x01" * 90, b"\x02" * 60)])


def found(path: Path, folder: Path, workers: int = 1) -> dict[str, list[dict[str, Any]]]:
    sink, options = Sink(), folder / "detect.toml"
    options.write_text(OPTIONS)
    run([str(path)], sinks=[sink], options=ReplayOptions(workers=workers), settings=load(environment={"FULLSPAN_DETECT_OPTIONS": str(options)}))
    return numbered(sink.rows)


@pytest.mark.compiled
@pytest.mark.parametrize("pair", [(INSIDE, SERVER), SIX], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize(("attack", "kind"), [("guesses", "brute_force"), ("beacon", "beacon")])
def test_just_below_and_just_above(attack: str, kind: str, pair: tuple[bytes, bytes], tmp_path: Path) -> None:
    limit = {"guesses": 20, "beacon": 12}[attack]
    make = {"guesses": guesses, "beacon": beacon}[attack]
    assert found(write(tmp_path / "below.pcap", make(5, limit - 1, pair)), tmp_path)["alerts"] == []
    told = found(write(tmp_path / "over.pcap", make(5, limit, pair)), tmp_path)["alerts"]
    assert [one["kind"] for one in told] == [kind]


@pytest.mark.compiled
def test_any_number_of_workers_finds_the_same(always: None, tmp_path: Path) -> None:
    shell = [(0.01, b"SSH-2.0-x\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"), (2, bytes(3000), bytes(20000))]
    login = [(0.1, b"", b"220 ready\r\n"), (1, b"USER anna\r\n", b"331 and\r\n"), (2, b"PASS x\r\n", b"230 in\r\n")]
    path = write(tmp_path / "hosts.pcap", guesses(60, 25), beacon(10, 20), many(125, 0.5, 40, OUTSIDE, SERVER, 80, [(0.01, BASIC, DENIED)]),
                 many(242, 0.1, 60, OUTSIDE, SERVER, 8080, [(k, b"X-a: b\r\n", b"") for k in range(1, 20, 6)], end=False),
                 talk(305, INSIDE, OUTSIDE, 443, 40000, [(0.1, bytes(1_100_000), bytes(500))]), talk(310, INSIDE, OUTSIDE, 22, 40001, shell),
                 talk(320, INSIDE, OUTSIDE, 3333, 40002, [(k, SUBSCRIBE, ANSWER) for k in range(6)]),
                 talk(330, INSIDE, OUTSIDE, 21, 40003, login))
    alone = found(path, tmp_path)
    told = {(one["kind"], one["source"], one["target"]) for one in alone["alerts"]}
    inside, outside, server = "10.9.8.7", "203.0.113.5", "192.0.2.10"
    assert told == {("brute_force", outside, server), ("beacon", inside, server), ("slow_http", outside, server), ("exfiltration", inside, outside),
                    ("new_admin_pair", inside, outside), ("mining", inside, outside), ("cleartext_credentials", inside, outside)}
    guessed = sorted((one["port"], one["flows"]) for one in alone["detections"] if one["kind"] == "brute_force")
    assert guessed == [(22, 25), (80, 40)]
    for workers in (2, 4):
        assert found(path, tmp_path, workers) == alone
