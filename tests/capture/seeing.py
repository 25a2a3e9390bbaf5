"""What is seen of the segment in frames, for tests: the kernel, and its slow twin."""
from __future__ import annotations

import struct
from typing import Any

import numpy as np

from dpi.capture import sighting
from dpi.capture.decode import new_decoder
from dpi.capture.fragments import fragment_table
from dpi.capture.frame import FRAME, PACKET
from dpi.capture.sighting import ARP, DHCP, ROUTER, Sightings, sight
from dpi.jit import I64, entry, records, world, world_dtype
from tests.capture.decoding import decode

WORLD = world_dtype(tuple(sighting.ARRAYS))
SEED = np.array([3, 5, 7, 11], np.uint64)
Seen = tuple[int, bytes, int, int]      # kind, address of 16 octets, MAC address, scope


@entry(np.dtype("u1"), PACKET, I64, WORLD)
def see(data: Any, packets: Any, many: Any, worlds: Any) -> Any:
    """`sight` for Python."""
    return sight(worlds[0], data, packets, many)


class Eye:
    """Frames in, SIGHTING[] out."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.sightings = Sightings(lambda seen: self.seen.append(seen.copy()))
        self._world = world(WORLD, self.sightings.arrays())
        self._decoder, self._fragments = new_decoder(), fragment_table(64)
        self.packets = records(1, PACKET)

    def one(self, data: Any, time: int, link: int = 1, wire: int = 0) -> Any:
        """Decode one frame and look at it; SIGHTING[n] of it."""
        rows = records(1, FRAME)
        rows[0].captured, rows[0].wire, rows[0].link, rows[0].number, rows[0].time = data.size, max(wire, data.size), link, 1, time
        decode(data, rows, 0, 1, self.packets, self._fragments, SEED, self._decoder)
        see(data, self.packets, 1, self._world)
        self.sightings.hand_over()
        return self.seen.pop() if self.seen else records(0, sighting.SIGHTING)

    def frame(self, data: bytes, time: int) -> list[Seen]:
        """The same in words."""
        return [(int(one.kind), int(one.high).to_bytes(8, "little") + int(one.low).to_bytes(8, "little"), int(one.mac), int(one.scope))
                for one in self.one(np.frombuffer(data or b"\0", np.uint8)[:len(data)], time)]


def mapped(address: bytes) -> bytes:
    return bytes(10) + b"\xff\xff" + address


def expected(data: bytes, packet: Any) -> list[Seen]:
    """The slow twin: what a frame says, decoded as `packet`."""
    sender = int.from_bytes(data[6:12], "big")
    if packet.status:
        return _arp(data) if packet.status == 6 and packet.has_mac else []
    if not packet.has_mac or packet.fragment or int(packet.tunnel) & ~1:
        return []
    scope = int(packet.vlan) << 12 | int(packet.inner_vlan) if packet.inner_vlan else int(packet.vlan)
    source = data[packet.ip_at + 8:packet.ip_at + 24] if packet.version == 6 else mapped(data[packet.ip_at + 12:packet.ip_at + 16])
    if packet.ip_protocol == 58 and packet.version == 6 and (packet.icmp_type, packet.icmp_code, packet.ttl) == (134, 0, 255):
        return [(ROUTER, source, sender, scope)] if source[0] == 0xFE and source[1] & 0xC0 == 0x80 else []
    if packet.ip_protocol != 17:
        return []
    body = data[packet.payload_at:packet.payload_at + min(packet.payload_captured, packet.payload_bytes)]
    if packet.version == 6:
        known = (packet.source_port, packet.target_port) == (547, 546) and len(body) >= 4 and body[0] in (2, 7)
        return [(DHCP, source, sender, scope)] if known else []
    if packet.source_port != 67 or packet.target_port not in (67, 68) or len(body) < 240 or body[0] != 2 or body[236:240] != b"\x63\x82\x53\x63":
        return []
    at = 240
    for _ in range(64):
        if at + 2 > len(body) or body[at] == 255:
            break
        if body[at] == 54 and body[at + 1] == 4 and at + 6 <= len(body):
            source = mapped(body[at + 2:at + 6])
            break
        at += 1 if body[at] == 0 else 2 + body[at + 1]
    return [(DHCP, source, sender, scope)]


def _arp(data: bytes) -> list[Seen]:
    at, scope = 12, 0
    for _ in range(3):
        if data[at:at + 2] not in (b"\x81\x00", b"\x88\xa8", b"\x91\x00"):
            break
        if at + 4 > len(data):
            return []
        scope = (scope << 12 | int.from_bytes(data[at + 2:at + 4], "big") & 0xFFF) & 0xFFFFFF
        at += 4
    if len(data) < at + 30 or data[at:at + 8] != struct.pack(">HHHH", 0x0806, 1, 0x0800, 0x0604):
        return []
    operation, mac, address = data[at + 8:at + 10], data[at + 10:at + 16], data[at + 16:at + 20]
    if operation not in (b"\0\1", b"\0\2") or not any(mac) or mac[0] & 1 or address[0] in (0, 127) or address[0] >= 224:
        return []
    return [(ARP, mapped(address), int.from_bytes(mac, "big"), scope)]
