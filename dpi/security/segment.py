"""Who has an address of the segment, and who serves there, as far as their frames have said: what contradicts it becomes a row that the gauge can count.

One kernel goes over what was seen (dpi/capture/sighting.py). An address belongs to the MAC address that was first seen to have it, in its VLANs. Another
one's saying so is a claim, and counts; it is believed once the holder was not heard of for FORGET, or not since the claims began, SETTLE ago. The servers
(DHCP, by address) and routers (IPv6, by MAC address) that are heard within `learn` seconds after the first of a VLAN are known, KNOWN at most; what another
one says counts.

A row has the MAC address of who said so in the place of the client's, with firing.MAC as the upper word, and the address in the place of the server's.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from dpi.capture.key import fold
from dpi.capture.sighting import ARP, DHCP, ROUTER, SIGHTING
from dpi.flow.row import ROW
from dpi.jit import entry, kernel, records
from dpi.security.firing import MAC
from dpi.security.gauge import OF_SEGMENT

SECOND = 1_000_000
FORGET = 1200 * SECOND
SETTLE = 120 * SECOND
KNOWN = 16                  # servers of one kind in a VLAN that are learned
WAYS = 4
SIGHTINGS, LOTS = 1024, 64  # that are taken at once; that wait
HOLDERS, SERVERS = 1 << 15, 1 << 10         # addresses, servers that are remembered
CLAIMED, ROGUE_ROUTER, ROGUE_SERVER = 1, 2, 4       # bits of a row
#: kind 0: free. since: when it was first heard; other, claimed: who else says so, and since when. Of a VLAN (no MAC address): `claimed` are the known ones.
HOLDER = np.dtype((np.record, [("high", "u8"), ("low", "u8"), ("mac", "u8"), ("other", "u8"), ("since", "i8"), ("last", "i8"), ("claimed", "i8"),
                               ("scope", "u4"), ("kind", "u4")]))
_FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_MAC = np.uint64(MAC)


class Segment:
    """What is known. learn: s, of ROUTER and DHCP."""

    kernels: tuple[Any, ...] = ()

    def __init__(self, router: int = 0, dhcp: int = 0) -> None:
        self._learn = np.array([router * SECOND, dhcp * SECOND], np.int64)
        self._rows = records(SIGHTINGS, ROW)
        self._rows.view(np.ndarray)["named"] = 2 * OF_SEGMENT
        self.evicted = np.zeros(1, np.int64)
        self._lots = records(SIGHTINGS, SIGHTING).view(np.ndarray)
        self.unheard = 0            # sightings that were given up
        self._waiting: deque[Any] = deque()
        self.forget()

    def put(self, seen: Any, dropping: bool) -> bool:
        """Keep SIGHTING[n] until they are `taken`. True where LOTS wait; dropping: the oldest is given up then. Any thread may call it."""
        full = len(self._waiting) >= LOTS
        if full and dropping:
            self.unheard += len(self._waiting.popleft())
        for begin in range(0, len(seen), SIGHTINGS):
            self._waiting.append(seen[begin:begin + SIGHTINGS].copy())
        return full

    def taken(self) -> Iterator[Any]:
        """ROW[] of what contradicts, of the lots that wait, as many at once as there is room for; good until the next."""
        while self._waiting:
            count = 0
            while self._waiting and count + len(self._waiting[0]) <= SIGHTINGS:
                lot = self._waiting.popleft()
                self._lots[count:count + len(lot)] = lot
                count += len(lot)
            rows = self.learn(self._lots[:count])
            if len(rows):
                yield rows

    def forget(self) -> None:
        """Begin anew."""
        self._holders, self._servers = records(HOLDERS, HOLDER), records(SERVERS, HOLDER)

    def learn(self, seen: Any) -> Any:
        """Take SIGHTING[n], n at most SIGHTINGS. ROW[] of what contradicts what is known."""
        return self._rows[:learn(seen, self._holders, self._servers, self._learn, self.evicted, self._rows)]


@entry(SIGHTING, HOLDER, HOLDER, np.dtype("i8"), np.dtype("i8"), ROW)
def learn(seen: Any, holders: Any, servers: Any, learning: Any, evicted: Any, rows: Any) -> Any:
    """Take what was seen; what contradicts is written to `rows`. Returns how many."""
    count = np.int64(0)
    for k in range(min(seen.size, rows.size)):
        one = seen[k]
        if one.kind == ARP:
            bits = claims(one, holders, evicted)
        elif one.kind == ROUTER or one.kind == DHCP:
            bits = serves(one, servers, learning[0 if one.kind == ROUTER else 1], evicted)
        else:
            bits = np.int64(0)
        if bits != 0:
            tell(one, bits, rows[count])
            count += 1
    return count


@kernel
def claims(one: Any, holders: Any, evicted: Any) -> Any:
    """CLAIMED where an address that is somebody else's is said to be one's own, else 0."""
    held = holders[place_of(holders, one, one.high, one.low, np.uint64(0), evicted)]
    if held.mac == np.uint64(0) or one.time - held.last > FORGET:
        held.mac = one.mac
        held.other = np.uint64(0)
    if held.mac == one.mac:
        held.last = max(held.last, one.time)
        return np.int64(0)
    if held.other != one.mac:
        held.other = one.mac
        held.claimed = one.time
    elif held.last < held.claimed and one.time - held.claimed > SETTLE:
        held.mac = one.mac
        held.other = np.uint64(0)
        held.last = one.time
        return np.int64(0)
    return np.int64(CLAIMED)


@kernel
def serves(one: Any, servers: Any, learning: Any, evicted: Any) -> Any:
    """The bit of its kind where a server or router is not known, else 0."""
    whole = servers[place_of(servers, one, np.uint64(0), np.uint64(0), np.uint64(0), evicted)]
    whole.last = max(whole.last, one.time)
    high = one.high
    low = one.low
    mac = np.uint64(0)              # a relay passes on what a server says
    if one.kind == ROUTER:          # a router has many link-local addresses, one for each of its interfaces
        high = np.uint64(0)
        low = np.uint64(1)
        mac = one.mac
    known = find(servers, one, high, low, mac)
    if known >= 0:
        servers[known].last = max(servers[known].last, one.time)
        return np.int64(0)
    if one.time - whole.since <= learning and learning != 0 and whole.claimed < KNOWN:
        whole.claimed += 1
        fresh = servers[place_of(servers, one, high, low, mac, evicted)]
        fresh.last = one.time
        return np.int64(0)
    return np.int64(ROGUE_ROUTER if one.kind == ROUTER else ROGUE_SERVER)


@kernel
def tell(one: Any, bits: Any, row: Any) -> Any:
    """A row of what was said."""
    row.flow_id = 0
    row.risks = np.uint64(bits)
    row.interval_start = one.time
    row.interval_end = one.time
    row.client_packets = 1
    row.vlan = np.uint16(one.scope & 0xFFF)
    row.client_ip[0] = _MAC
    row.client_ip[1] = one.mac
    row.server_ip[0] = one.high
    row.server_ip[1] = one.low
    return 0


@kernel
def bucket_of(table: Any, one: Any, high: Any, low: Any, mac: Any) -> Any:
    """The first of the WAYS places of a key."""
    mixed = fold(fold(high ^ _FIRST, low ^ _SECOND) ^ mac, np.uint64(one.scope) << np.uint64(8) ^ np.uint64(one.kind) ^ _FIRST)
    return np.int64(mixed & np.uint64(table.size // WAYS - 1)) * WAYS


@kernel
def find(table: Any, one: Any, high: Any, low: Any, mac: Any) -> Any:
    """The place of a key, -1 where it is not there. mac: of servers, 0 of addresses."""
    bucket = bucket_of(table, one, high, low, mac)
    for k in range(bucket, bucket + WAYS):
        held = table[k]
        if held.kind == one.kind and held.high == high and held.low == low and held.scope == one.scope and (held.mac == mac or one.kind == ARP):
            return np.int64(k)
    return np.int64(-1)


@kernel
def place_of(table: Any, one: Any, high: Any, low: Any, mac: Any, evicted: Any) -> Any:
    """The place of a key, made where it is not there, if need be in that of the one not heard of the longest, which is counted."""
    found = np.int64(find(table, one, high, low, mac))
    if found >= 0:
        return found
    best = np.int64(bucket_of(table, one, high, low, mac))
    for k in range(best, best + WAYS):
        if table[k].kind == 0:
            best = np.int64(k)
            break
        if table[k].last < table[best].last:
            best = np.int64(k)
    fresh = table[best]
    if fresh.kind != 0:
        evicted[0] += 1
    fresh.kind = one.kind
    fresh.high = high
    fresh.low = low
    fresh.scope = one.scope
    fresh.mac = mac
    fresh.other = np.uint64(0)
    fresh.since = one.time
    fresh.last = one.time
    fresh.claimed = 0
    return best


Segment.kernels = (learn,)
