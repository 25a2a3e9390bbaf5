"""A day of packets for the sample operator: conversations of real programs, as pcaps/ has them, with the addresses of its services, at times of that day; and
an attack. What comes out is a capture that `fullspan replay` reads as any other: whole frames, with checksums that are right for their addresses.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pcaps.make.month import Line
from pcaps.make.network import ROOT

OF = ("demo.pcap", "web-users.pcap", "tls13-h2.pcap")
SHORTEST, LONGEST, PACKETS = 8, 20.0, 45            # packets of a conversation, s that it takes, packets at most
ETHERNET, IPV4, TCP, UDP = 14, b"\x08\x00", 6, 17
MINUTES = 1440
FLOOD = 700                     # SYNs a second
SPOOFED = 40_000                # addresses that they come from


class Packet(NamedTuple):
    """us since the conversation began; whether the client sent it; the frame."""
    after: int
    up: bool
    frame: bytes


class Conversation(NamedTuple):
    """What two hosts said, in order. client: its address; port: its own."""
    client: bytes
    port: int
    packets: tuple[Packet, ...]


class Attack(NamedTuple):
    """A SYN flood on a service's address."""
    target: str
    begin: datetime
    seconds: int


def conversations(folder: Path = ROOT / "pcaps") -> list[Conversation]:
    """Those of the captures that are short enough: TCP and QUIC, from their first packet on."""
    found: list[Conversation] = []
    for name in OF:
        held: dict[tuple[bytes, ...], list[tuple[int, bytes]]] = {}
        for at, frame in _frames(folder / name):
            if frame[12:14] != IPV4 or frame[23] not in (TCP, UDP):
                continue
            length = (frame[14] & 15) * 4
            ends = sorted((frame[26:30] + frame[14 + length:16 + length], frame[30:34] + frame[16 + length:18 + length]))
            held.setdefault((*ends, frame[23:24]), []).append((at, frame))
        for packets in held.values():
            first, frame = packets[0]
            length = (frame[14] & 15) * 4
            port = int.from_bytes(frame[16 + length:18 + length], "big")
            if not SHORTEST <= len(packets) <= PACKETS or packets[-1][0] - first > LONGEST * 1_000_000 or port not in (80, 443):
                continue
            client = frame[26:30]
            found.append(Conversation(client, int.from_bytes(frame[14 + length:16 + length], "big"),
                                      tuple(Packet(at - first, one[26:30] == client, one) for at, one in packets)))
    return found


def write(file: Path, begin: datetime, lines: Sequence[Line], attacks: Sequence[Attack], seed: int = 7, minutes: int = MINUTES) -> int:
    """A capture of a day (or so many minutes) from `begin` on; how many packets. Each service speaks in every
    second minute, mobile ones in every third."""
    spoken = conversations()
    rng = np.random.default_rng(seed)
    start = int(begin.timestamp()) * 1_000_000
    made: list[tuple[int, bytes]] = []
    for number, line in enumerate(lines):
        own = _octets(line.own)
        every = 3 if line.kind == "mobile" else 2
        for minute in range(number % every, minutes, every):
            one = spoken[int(rng.integers(0, len(spoken)))]
            port = 20_000 + (minute * 7 + number) % 40_000
            at = start + minute * 60_000_000 + int(rng.integers(0, 38_000_000))
            made += [(at + packet.after, _moved(packet, one, own, port)) for packet in one.packets]
    for attack in attacks:
        made += list(_flood(rng, attack))
    made.sort(key=lambda one: one[0])
    with file.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))
        for at, frame in made:
            out.write(struct.pack("<IIII", at // 1_000_000, at % 1_000_000, len(frame), len(frame)) + frame)
    return len(made)


def _frames(file: Path) -> Iterator[tuple[int, bytes]]:
    """us and frame of each packet of a capture in microseconds, little end first."""
    data = file.read_bytes()
    at = 24
    while at < len(data):
        second, us, length, _ = struct.unpack_from("<IIII", data, at)
        yield second * 1_000_000 + us, data[at + 16:at + 16 + length]
        at += 16 + length


def _moved(packet: Packet, one: Conversation, own: bytes, port: int) -> bytes:
    """The frame with the client's address and port exchanged. Checksums follow by what was exchanged (RFC 1624)."""
    frame = bytearray(packet.frame)
    length = (frame[14] & 15) * 4
    transport = ETHERNET + length
    place = 26 if packet.up else 30
    where = transport if packet.up else transport + 2
    old, new = bytes(frame[place:place + 4]) + bytes(frame[where:where + 2]), own + port.to_bytes(2, "big")
    frame[place:place + 4], frame[where:where + 2] = own, new[4:]
    _follow(frame, 24, old[:4], new[:4])
    check = transport + (16 if frame[23] == TCP else 6)
    if frame[23] == TCP or frame[check:check + 2] != b"\0\0":       # a UDP datagram may go without
        _follow(frame, check, old, new)
    return bytes(frame)


def _follow(frame: bytearray, place: int, old: bytes, new: bytes) -> None:
    total = ~int.from_bytes(frame[place:place + 2], "big") & 0xFFFF
    for k in range(0, len(old), 2):
        total += (~int.from_bytes(old[k:k + 2], "big") & 0xFFFF) + int.from_bytes(new[k:k + 2], "big")
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    frame[place:place + 2] = (~total & 0xFFFF).to_bytes(2, "big")


def _flood(rng: np.random.Generator, attack: Attack) -> Iterator[tuple[int, bytes]]:
    """SYNs from addresses that nobody has, to a web server of the service."""
    start, target = int(attack.begin.timestamp()) * 1_000_000, _octets(attack.target)
    count = FLOOD * attack.seconds
    sources, ports, numbers = rng.integers(0, SPOOFED, count), rng.integers(1024, 65_535, count), rng.integers(0, 1 << 32, count)
    for k in range(count):
        source = bytes((198, 51, 100 + int(sources[k]) // 256 % 100, int(sources[k]) % 256))
        tcp = struct.pack(">HHIIBBHHH", int(ports[k]), 443, int(numbers[k]), 0, 0x50, 0x02, 64_240, 0, 0)
        tcp = tcp[:16] + _sum(source + target + struct.pack(">BBH", 0, TCP, len(tcp)) + tcp) + tcp[18:]
        head = struct.pack(">BBHHHBBH", 0x45, 0, 40, k & 0xFFFF, 0, 54, TCP, 0) + source + target
        head = head[:10] + _sum(head) + head[12:]
        yield start + k * 1_000_000 // FLOOD, b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02" + IPV4 + head + tcp + bytes(6)


def _sum(data: bytes) -> bytes:
    """The Internet's checksum."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")


def _octets(address: str) -> bytes:
    return bytes(map(int, address.split(".")))
