"""Packets that a mirror sent twice.

A mirror of two ports, or of both sides of a router, copies a packet once on its way in and once on its way out. The copies come within a
short time of each other and are equal from the IP header on, but for what a router changes: TTL (hop limit) and the IPv4 header checksum.
The link header is left out, for addresses, VLAN and MPLS labels may differ; so is what follows the IP packet (padding, FCS).

A frame is dropped where one with the same network part was kept no more than WINDOW before (or after, by its time stamp) it. The memory is
a table of SLOTS seeded 64-bit hashes: at more than SLOTS packets per WINDOW a copy may be missed, never invented.

What is taken wrongly: packets that were really sent twice within WINDOW and differ in nothing. In IPv4 the identification tells a TCP
retransmission from a copy, for most senders. Where it is 0 (RST and SYN-ACK of Linux, many UDP datagrams with DF) and in IPv6, which has
none, an equal packet sent again within WINDOW is dropped: a duplicate ACK without options, a UDP message repeated word for word.

What is not found: copies that differ in more (NAT, a new DSCP or ECN mark, another tunnel), copies cut at different places by a snap length,
and frames without IP, which are never dropped.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.frame import FRAME, MAX_LAYERS
from dpi.capture.key import fold, fresh_seed
from dpi.capture.link import IPV4, IPV6, LAYER_ETHERNET, LAYER_IP, LAYER_LLC, LAYER_PPP, MPLS, MPLS_UPSTREAM, PPPOE, link_layer, llc, ppp
from dpi.capture.octets import be16, be32, be64, octet
from dpi.capture.prefetch import prefetch
from dpi.capture.tunnel import below_mpls, ethernet, ethertype
from dpi.jit import I64, entry, kernel, records

WINDOW = 50_000             # us between two copies at most: queues of a router, and of the switch that mirrors
SLOTS = 1 << 16             # packets remembered; a power of two
#: A packet that was kept: its hash (0: nobody here yet) and its time.
SEEN = np.dtype((np.record, [("hash", "u8"), ("time", "i8")]))
AHEAD = 16                  # frames between asking for a header and reading it

# Of the first 16 bytes of a header, as two words: without TTL and checksum in IPv4, without hop limit in IPv6
MASK_V4 = np.uint64(0x00FF0000FFFFFFFF)
MASK_V6 = np.uint64(0xFFFFFFFFFFFFFF00)


@kernel
def network_at(data: Any, base: int, captured: int, link: int) -> Any:
    """Offset of the outermost IP header of the frame at data[base : base + captured], -1 where there is none. `link`: its LINKTYPE number."""
    step = np.int64(link_layer(data, base, captured, link))
    for _ in range(MAX_LAYERS):
        if step < 0:
            return np.int64(-1)
        layer = step >> 32
        at = step & 0xFFFFFFFF
        if layer in (IPV4, IPV6, LAYER_IP):
            return at
        if layer == LAYER_ETHERNET:
            step = np.int64(ethernet(data, base, captured, at))
        elif layer in (0x8100, 0x88A8, 0x9100, 0x9200):
            if at + 4 > captured:
                return np.int64(-1)
            step = np.int64(ethertype(be16(data, base + at + 2), at + 4))
        elif layer in (MPLS, MPLS_UPSTREAM):
            if at + 4 > captured:
                return np.int64(-1)
            if be32(data, base + at) & 0x100:
                step = np.int64(below_mpls(data, base, captured, at + 4))
            else:
                step += 4
        elif layer == PPPOE:
            step = (np.int64(LAYER_PPP) << 32) | (at + 6)
        elif layer == LAYER_PPP:
            step = np.int64(ppp(data, base, captured, at))
        elif layer == LAYER_LLC:
            step = np.int64(llc(data, base, captured, at))
        else:
            return np.int64(-1)
    return np.int64(-1)


@kernel
def network_size(data: Any, at: int, left: int) -> Any:
    """Captured octets of the IP packet at data[at], of which `left` bytes lie in the frame; 0 where it is no IP packet.

    A length of 0 (left to the network card, or a jumbogram) means all there is.
    """
    if left < 20:
        return np.int64(0)
    version = octet(data, at) >> 4
    if version == 4:
        size = be16(data, at + 2)
        if size == 0:
            return left
        return min(size, left) if size >= 20 else np.int64(0)
    if version != 6 or left < 40:
        return np.int64(0)
    size = be16(data, at + 4)
    return min(size + 40, left) if size else left


@kernel
def digest(data: Any, at: int, size: int, seed: Any) -> Any:
    """Seeded 64-bit hash, never 0, of the IP packet data[at : at + size], size >= 20, without what a router changes. seed uint64[4].

    The step of wyhash (see dpi/capture/key.py) in two lanes; who does not know the seed cannot make a packet pass for a copy of another.
    """
    one = be64(data, at)
    two = be64(data, at + 8)
    if octet(data, at) >> 4 == 4:
        two &= MASK_V4
    else:
        one &= MASK_V6
    left = fold(one ^ seed[0], two ^ seed[1])
    right = np.uint64(seed[2])
    place = at + 16
    end = at + size
    while place + 32 <= end:
        left = fold(be64(data, place) ^ seed[0], be64(data, place + 8) ^ left)
        right = fold(be64(data, place + 16) ^ seed[1], be64(data, place + 24) ^ right)
        place += 32
    if place + 16 <= end:
        left = fold(be64(data, place) ^ seed[0], be64(data, place + 8) ^ left)
        place += 16
    if place < end:                 # up to 15 bytes: the first eight and the last eight, which overlap
        one = be64(data, place) if place + 8 <= end else np.uint64(0)
        right = fold(one ^ seed[1], be64(data, end - 8) ^ right)
    value = fold(left ^ seed[2], right ^ seed[3] ^ np.uint64(size))
    return value if value != np.uint64(0) else np.uint64(1)


@kernel
def near(one: int, two: int) -> Any:
    """Are two times (int64 us) at most WINDOW apart? Right for any two, however far apart."""
    low = min(one, two)
    high = max(one, two)
    if low < 0 and high >= 0 and (low < -WINDOW or high > WINDOW):
        return False
    return high - low <= WINDOW


@entry(np.dtype("u1"), FRAME, I64, SEEN, np.dtype("u8"))
def unique(data: Any, frames: Any, count: int, seen: Any, seed: Any) -> Any:
    """Move the frames of frames[:count] that are no copies to the front, in order; returns how many.

    data    uint8[n]; each frame lies within it
    frames  FRAME[at least count]
    seen    SEEN[a power of two], zeros at the start of a capture
    seed    uint64[4] (dpi.capture.key.fresh_seed)
    """
    kept = np.int64(0)
    mask = np.uint64(seen.size - 1)
    for index in range(count):
        frame = frames[np.uint64(index)]
        prefetch(data, np.int64(frames[np.uint64(min(index + AHEAD, count - 1))].offset))
        base = np.int64(frame.offset)
        captured = np.int64(frame.captured)
        at = np.int64(network_at(data, base, captured, np.int64(frame.link)))
        size = np.int64(network_size(data, base + at, captured - at)) if at >= 0 else np.int64(0)
        if size:
            value = digest(data, base + at, size, seed)
            slot = seen[value & mask]
            time = np.int64(frame.time)
            if slot.hash == value and near(np.int64(slot.time), time):
                continue
            slot.hash = value
            slot.time = time
        if kept != index:
            frames[np.uint64(kept)] = frame
        kept += 1
    return kept


class Duplicates:
    """What was seen of one capture."""

    def __init__(self, seed: np.ndarray[Any, Any] | None = None) -> None:
        """`seed` uint64[4]; from the system's entropy where none is given."""
        self._seed = fresh_seed() if seed is None else seed
        self._seen: Any = records(SLOTS, SEEN)

    def forget(self) -> None:
        """Another capture begins: what it repeats of the last one are no copies by a mirror."""
        self._seen.view(np.ndarray).view(np.uint64)[:] = 0

    def keep(self, data: np.ndarray[Any, np.dtype[np.uint8]], frames: Any, count: int) -> int:
        """Move those of frames[:count] (FRAME) that are no copies to the front, in order; how many."""
        return unique(data, frames, count, self._seen, self._seed)
