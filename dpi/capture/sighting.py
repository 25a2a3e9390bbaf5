"""Frames in which somebody on the segment says who has an address or who serves: ARP (RFC 826), router advertisements (RFC 4861), answers of DHCP servers
(RFC 2131, RFC 8415). What they say is copied out for who watches (dpi/security/segment.py); the frames go their way as ever.

They are few among others, and a flood of them is bounded twice: what was said within the last second is not said again, as far as a small table remembers,
and the ring, which is emptied when half of it is full, has ROOM places. What finds none is counted.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dpi.capture.block import words_of
from dpi.capture.frame import REFUSALS, TUNNELS
from dpi.capture.key import fold
from dpi.capture.octets import be16, be32, octet
from dpi.jit import kernel, pointed, records

ARP, ROUTER, DHCP = 1, 2, 3                     # SIGHTING.kind
ROOM = 2048
HALF = ROOM // 2            # so many are handed over at once: the next block then has as much room
REMEMBERED = ROOM
AGAIN = 1_000_000           # us until the same is told again
NOT_IP = REFUSALS.index("not_ip")
VLAN = 1 << TUNNELS.index("vlan")
TAGS = (0x8100, 0x88A8, 0x9100)                 # EtherTypes of VLANs (IEEE 802.1Q)
SERVER_ID, END, MOST_OPTIONS = 54, 255, 64      # DHCP options (RFC 2132); those that are looked at

#: What one frame says. 40 bytes. The address is two words as they lie in memory, IPv4 mapped; scope: outer VLAN << 12 | inner.
SIGHTING = np.dtype((np.record, [("time", "i8"), ("high", "u8"), ("low", "u8"), ("mac", "u8"), ("scope", "u4"), ("kind", "u1"), ("pad", "u1", (3,))]))
HEARING = np.dtype((np.record, [("waiting", "i8"), ("told", "i8"), ("again", "i8"), ("lost", "i8")]))
RECENT = np.dtype((np.record, [("mark", "u8"), ("time", "i8")]))
ARRAYS = {"sightings": SIGHTING, "hearing": HEARING, "recent": RECENT}
sightings_of, hearing_of, recent_of = (pointed(name, kind) for name, kind in ARRAYS.items())
_FIRST, _SECOND, _THIRD = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93), np.uint64(0xA0761D6478BD642F)


class Sightings:
    """The ring of one intake. told: takes SIGHTING[n], good until it returns."""

    def __init__(self, told: Callable[[Any], None] | None = None) -> None:
        """Without `told` there is no ring, and nothing is looked at."""
        on = told is not None
        self._told, self._waiting = told, records(ROOM if on else 0, SIGHTING)
        self._hearing, self._recent = records(1, HEARING), records(REMEMBERED if on else 0, RECENT)
        self._recent.view(np.ndarray)["time"] = -(1 << 62)
        self.head, self._plain = self._hearing.view(np.ndarray)[0], self._waiting.view(np.ndarray)
        self._words = words_of(self._hearing, signed=True)

    def arrays(self) -> dict[str, Any]:
        """Its arrays by their names in a world."""
        return {"sightings": self._waiting, "hearing": self._hearing, "recent": self._recent}

    def hand_over(self, least: int = 1) -> None:
        """Tell what was noted, and empty the ring, where there are as many."""
        count: int = self._words[0]
        if count >= least and self._told is not None:
            self._told(self._plain[:count])
            self._words[0] = 0


@kernel
def sight(w: Any, data: Any, packets: Any, many: Any) -> Any:
    """Note what packets[:many] say. Of what is inside of tunnels the segment knows nothing."""
    for i in range(many):
        p = packets[i]
        if p.status != 0:
            if p.status == NOT_IP and p.has_mac:
                see_arp(w, data, p)
        elif p.ip_protocol == 17:
            if (p.source_port == 67 or p.source_port == 547) and p.has_mac and p.fragment == 0 and np.int64(p.tunnel) & ~VLAN == 0:
                see_server(w, data, p)
        elif p.ip_protocol == 58 and p.icmp_type == 134 and p.has_mac and p.fragment == 0 and np.int64(p.tunnel) & ~VLAN == 0:
            see_router(w, data, p)
    return 0


@kernel
def see_arp(w: Any, data: Any, p: Any) -> Any:
    """Whose MAC address the sender of an ARP frame says its address has; probes (RFC 5227) say nothing."""
    base = np.int64(p.offset)
    stop = base + np.int64(p.captured)
    at = base + 12
    scope = np.int64(0)
    for _ in range(3):
        if at + 2 > stop:
            return 0
        kind = be16(data, at)
        if kind != 0x8100 and kind != 0x88A8 and kind != 0x9100:
            break
        if at + 4 > stop:
            return 0
        scope = (scope << 12 | (be16(data, at + 2) & 0xFFF)) & 0xFFFFFF
        at += 4
    if at + 2 + 28 > stop or be16(data, at) != 0x0806:
        return 0
    at += 2
    if be16(data, at) != 1 or be16(data, at + 2) != 0x0800 or be16(data, at + 4) != 0x0604 or be16(data, at + 6) - 1 > 1:
        return 0
    address = be32(data, at + 14)
    first = address >> 24
    mac = np.uint64(be16(data, at + 8)) << np.uint64(32) | np.uint64(be32(data, at + 10))
    if first == 0 or first >= 224 or first == 127 or mac == np.uint64(0) or octet(data, at + 8) & 1 != 0:
        return 0
    note(w, p.time, np.uint64(0), mapped_word(address), mac, scope, ARP)
    return 1


@kernel
def see_router(w: Any, data: Any, p: Any) -> Any:
    """Who advertises itself as a router: by RFC 4861 section 6.1.2 from a link-local address, with a hop limit of 255."""
    base = np.int64(p.offset)
    at = base + np.int64(p.ip_at)
    if p.version != 6 or p.ttl != 255 or p.icmp_code != 0 or be16(data, at + 8) & 0xFFC0 != 0xFE80:
        return 0
    note(w, p.time, word_at(data, at + 8), word_at(data, at + 16), sender(data, base), scope_of(p), ROUTER)
    return 1


@kernel
def see_server(w: Any, data: Any, p: Any) -> Any:
    """Which server answers by DHCP: the one it names itself, else the sender; of DHCPv6 the sender of an advertisement or a reply."""
    base = np.int64(p.offset)
    ip = base + np.int64(p.ip_at)
    at = base + np.int64(p.payload_at)
    stop = at + min(np.int64(p.payload_captured), np.int64(p.payload_bytes))
    if p.version == 6:
        if p.source_port != 547 or p.target_port != 546 or at + 4 > stop or (octet(data, at) != 2 and octet(data, at) != 7):
            return 0
        note(w, p.time, word_at(data, ip + 8), word_at(data, ip + 16), sender(data, base), scope_of(p), DHCP)
        return 1
    if p.source_port != 67 or (p.target_port != 68 and p.target_port != 67) or at + 240 > stop or octet(data, at) != 2 or be32(data, at + 236) != 0x63825363:
        return 0
    address = be32(data, ip + 12)
    at += 240
    for _ in range(MOST_OPTIONS):
        if at + 2 > stop or octet(data, at) == END:
            break
        if octet(data, at) == 0:
            at += 1
            continue
        size = octet(data, at + 1)
        if octet(data, at) == SERVER_ID and size == 4 and at + 6 <= stop:
            address = be32(data, at + 2)
            break
        at += 2 + size
    note(w, p.time, np.uint64(0), mapped_word(address), sender(data, base), scope_of(p), DHCP)
    return 1


@kernel
def note(w: Any, time: Any, high: Any, low: Any, mac: Any, scope: Any, kind: Any) -> Any:
    """Put a sighting into the ring, unless the same was within a second."""
    head = hearing_of(w)[0]
    mark = fold(fold(high ^ _FIRST, low ^ _SECOND) ^ mac, np.uint64(scope << 8 | kind) ^ _THIRD)
    last = recent_of(w)[np.int64(mark & np.uint64(REMEMBERED - 1))]
    if last.mark == mark and 0 <= time - last.time < AGAIN:
        head.again += 1
        return 0
    if head.waiting >= sightings_of(w).size:
        head.lost += 1
        return 0
    last.mark = mark
    last.time = time
    one = sightings_of(w)[head.waiting]
    head.waiting += 1
    head.told += 1
    one.time = time
    one.high = high
    one.low = low
    one.mac = mac
    one.scope = np.uint32(scope)
    one.kind = np.uint8(kind)
    return 1


@kernel
def sender(data: Any, base: Any) -> Any:
    """The MAC address that sent a frame."""
    return np.uint64(be16(data, base + 6)) << np.uint64(32) | np.uint64(be32(data, base + 8))


@kernel
def scope_of(p: Any) -> Any:
    """The VLANs a packet is in."""
    return np.int64(p.vlan) << 12 | np.int64(p.inner_vlan) if p.inner_vlan != 0 else np.int64(p.vlan)


@kernel
def word_at(data: Any, at: Any) -> Any:
    """Eight octets as they lie in memory."""
    value = np.uint64(0)
    for k in range(8):
        value |= np.uint64(octet(data, at + k)) << np.uint64(8 * k)
    return value


@kernel
def mapped_word(address: Any) -> Any:
    """The lower word of an IPv4 address that is mapped, as it lies in memory."""
    value = np.uint64(0xFFFF0000)
    for k in range(4):
        value |= np.uint64(address >> (24 - 8 * k) & 255) << np.uint64(32 + 8 * k)
    return value
