"""The slow twin of the search for copies: the network part itself is remembered, not a hash of it, and nothing is ever pushed out."""
from __future__ import annotations

WINDOW = 50_000
TAGS = {0x8100, 0x88A8, 0x9100, 0x9200}


def network(frame: bytes, link: int) -> bytes | None:
    """The IP packet of a frame without what a router changes; None where there is none. Ethernet with VLAN tags, and raw IP."""
    at = 0
    if link == 1:
        at, kind = 14, int.from_bytes(frame[12:14], "big")
        while kind in TAGS and len(frame) >= at + 4:
            kind, at = int.from_bytes(frame[at + 2:at + 4], "big"), at + 4
        if kind not in (0x0800, 0x86DD):
            return None
    packet = bytearray(frame[at:])
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        size = int.from_bytes(packet[2:4], "big")
        packet[8] = packet[10] = packet[11] = 0
        return bytes(packet[:size or None]) if size == 0 or size >= 20 else None
    if len(packet) >= 40 and packet[0] >> 4 == 6:
        size = int.from_bytes(packet[4:6], "big")
        packet[7] = 0
        return bytes(packet[:size + 40 if size else None])
    return None


class Twin:
    """What was kept."""

    def __init__(self) -> None:
        self.kept: dict[bytes, int] = {}

    def copy(self, frame: bytes, time: int, link: int = 1) -> bool:
        """Is this frame a copy?"""
        packet = network(frame, link)
        if packet is None:
            return False
        if packet in self.kept and abs(self.kept[packet] - time) <= WINDOW:
            return True
        self.kept[packet] = time
        return False
