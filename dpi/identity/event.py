"""What a message on the wire says of an address: an event, and where it is noted."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.octets import be32, be64, octet
from dpi.capture.tap import taps_of
from dpi.jit import kernel, pointed

RADIUS, DHCP, PPPOE = 1, 2, 4                               # EVENT.source, and bits of TAP.kinds
SOURCES = {"radius": RADIUS, "dhcp": DHCP, "pppoe": PPPOE}
#: EVENT.action. START and UPDATE have an address; STOP has one, or ends all of its session; RESTART ends all of its NAS.
START, UPDATE, STOP, RESTART, PPP_CIRCUIT, PPP_OPEN, PPP_USER, PPP_ADDRESS, PPP_CLOSE, PPP_ALIVE, PPP_PASSED = range(1, 12)
IPV4, FRAMED, DELEGATED, ADDRESS = range(4)                 # EVENT.which: of a session's addresses, those that take each other's place
ANYWHERE = 0xFFFFFFFF                                       # a scope: every VLAN
NO_ADDRESS = 255                                            # EVENT.length where there is none
FOR_EVER = 1 << 60                                          # us, of a lease without an end

#: One event. Addresses are two words, most significant first, IPv4 mapped. Digests are those of dpi/identity/digest.py, 0: not said.
EVENT = np.dtype((np.record, [
    ("time", "i8"),             # us, of the packet clock
    ("number", "u4"),           # low 32 bits of the packet's number
    ("scope", "u4"),            # outer VLAN << 12 | inner, or ANYWHERE
    ("source", "u1"), ("action", "u1"), ("which", "u1"),
    ("length", "u1"),           # of the prefix, 128 of an address
    ("stamp", "u4"),            # s since 1970, by the sender (RADIUS Event-Timestamp), 0: not said; of PPP_USER and PPP_PASSED: protocol and identifier
    ("high", "u8"), ("low", "u8"),
    ("lifetime", "i8"),         # us, 0: not said
    ("user", "u8"), ("circuit", "u8"), ("remote", "u8"), ("mac", "u8"),
    ("session", "u8"),          # of PPP_OPEN: that of the discovery
    ("nas", "u8"),              # of PPP_ADDRESS: the sender's MAC
    ("peer", "u8"),             # PPPoE session that carried it
]))
events_of = pointed("events", EVENT)
#: Networks that are believed, kind RADIUS or DHCP; (high & mask_high, low & mask_low) are given.
NETWORK = np.dtype((np.record, [("high", "u8"), ("low", "u8"), ("mask_high", "u8"), ("mask_low", "u8"), ("kind", "u8")]))
trusted_of = pointed("trusted", NETWORK)


@kernel
def note(w: Any, p: Any, source: Any, action: Any) -> Any:
    """The number of a blank event of packet p, in no scope but its own; -1 where there is no room, which is counted."""
    tap = taps_of(w)[0]
    events = events_of(w)
    if tap.heard >= events.size:
        tap.lost += 1
        return np.int64(-1)
    number = np.int64(tap.heard)
    tap.heard += 1
    e = events[number]
    e.time = p.time
    e.number = p.number
    e.source = source
    e.action = action
    e.which = 0
    e.length = NO_ADDRESS
    e.scope = scope_of(tap, p)
    e.stamp = 0
    e.high = 0
    e.low = 0
    e.lifetime = 0
    e.user = 0
    e.circuit = 0
    e.remote = 0
    e.mac = 0
    e.session = 0
    e.nas = 0
    e.peer = 0
    return number


@kernel
def scope_of(tap: Any, p: Any) -> Any:
    """The scope of the VLANs that a packet is in."""
    if tap.any_scope:
        return np.int64(ANYWHERE)
    return (np.int64(p.vlan) << 12) | np.int64(p.inner_vlan)


@kernel
def place_v4(e: Any, data: Any, at: Any) -> Any:
    """The event's address is the IPv4 one at data[at : at + 4]."""
    e.high = 0
    e.low = np.uint64(0xFFFF00000000) | np.uint64(be32(data, at))
    e.length = 128
    e.which = IPV4
    return 0


@kernel
def place_v6(e: Any, data: Any, at: Any, octets: Any, length: Any, which: Any) -> Any:
    """The event's address is the IPv6 prefix whose first `octets` (at most 16) octets are at data[at]; what lies behind its length is left out."""
    high, low = np.uint64(0), np.uint64(0)
    if octets == 16:
        high, low = be64(data, at), be64(data, at + 8)
    else:
        for i in range(octets):
            one = np.uint64(octet(data, at + i))
            if i < 8:
                high |= one << np.uint64(56 - 8 * i)
            else:
                low |= one << np.uint64(120 - 8 * i)
    e.high = high & mask_high(length)
    e.low = low & mask_low(length)
    e.length = length
    e.which = which
    return 0


@kernel
def mask_high(length: Any) -> Any:
    """The upper word of the mask of a prefix of so many bits, 0 to 128."""
    if length <= 0:
        return np.uint64(0)
    if length >= 64:
        return np.uint64(0xFFFFFFFFFFFFFFFF)
    return np.uint64(0xFFFFFFFFFFFFFFFF) << np.uint64(64 - length)


@kernel
def mask_low(length: Any) -> Any:
    """The lower word."""
    if length <= 64:
        return np.uint64(0)
    return np.uint64(0xFFFFFFFFFFFFFFFF) << np.uint64(128 - min(length, 128))
