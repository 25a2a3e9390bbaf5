"""PPPoE: who opened a session, by what name, and the address that was acknowledged. What is learned of one session is put together elsewhere.

Sources: RFC 2516 (discovery, sessions), RFC 1661 section 5 (LCP), RFC 1334 section 2 (PAP), RFC 1994 section 4 (CHAP), RFC 1332 section 3.3 (IPCP),
RFC 5072 section 4.1 (IPV6CP), Broadband Forum TR-101 section 3.9.2 and RFC 4679 (circuit and remote id of the access node, in discovery).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.octets import be16, be32, octet
from dpi.capture.tap import taps_of
from dpi.identity.dhcp_options import hardware
from dpi.identity.digest import USER, digest, mix
from dpi.identity.event import (
    ADDRESS,
    PPP_ADDRESS,
    PPP_ALIVE,
    PPP_CIRCUIT,
    PPP_CLOSE,
    PPP_OPEN,
    PPP_PASSED,
    PPP_USER,
    PPPOE,
    events_of,
    note,
    place_v4,
    scope_of,
)
from dpi.identity.line_ids import line_ids
from dpi.jit import kernel

DISCOVERY, SESSION = 0x8863, 0x8864
TAGS = 4                        # VLAN tags of a frame at most
MOST = 512                      # tags or options of a message at most
PADR, PADS, PADT = 0x19, 0x65, 0xA7
LCP, PAP, CHAP, IPCP, IPV6CP = 0xC021, 0xC023, 0xC223, 0x8021, 0x8057
LINK_LOCAL = 0xFE80000000000000


@kernel
def pppoe_at(data: Any, base: Any, captured: Any) -> Any:
    """EtherType << 32 | offset of the PPPoE header of an Ethernet frame, 0 where it has none."""
    at = np.int64(12)
    for _ in range(TAGS + 1):
        if at + 2 > captured:
            return np.int64(0)
        kind = be16(data, base + at)
        if kind == DISCOVERY or kind == SESSION:
            return (kind << 32) | (at + 2)
        if kind != 0x8100 and kind != 0x88A8 and kind != 0x9100 and kind != 0x9200:
            return np.int64(0)
        at += 4
    return np.int64(0)


@kernel
def peer_of(w: Any, data: Any, p: Any, session: Any) -> Any:
    """A word that names a session, whichever end sends: VLANs, both MAC addresses, number."""
    tap = taps_of(w)[0]
    base = np.int64(p.offset)
    pair = hardware(data, base, tap) ^ hardware(data, base + 6, tap)
    return mix(pair, np.uint64((scope_of(tap, p) << 16) | session))


@kernel
def read_pppoe(w: Any, data: Any, p: Any) -> Any:
    """Note the events of a PPPoE frame of discovery or of a control protocol: 1 read, 0 nothing that counts, -1 cut or against the grammar."""
    base, captured = np.int64(p.offset), np.int64(p.captured)
    found = pppoe_at(data, base, captured)
    if found == 0:
        return 0
    at = base + (found & 0xFFFFFFFF)
    limit = base + captured
    if at + 6 > limit:
        return -1
    stop = at + 6 + be16(data, at + 4)
    if octet(data, at) != 0x11 or stop > limit:
        return -1
    code, session = octet(data, at + 1), be16(data, at + 2)
    if found >> 32 == DISCOVERY:
        return read_discovery(w, data, p, at + 6, stop, code, session)
    if code != 0 or at + 8 > stop:
        return -1
    return read_control(w, data, p, at + 8, stop, be16(data, at + 6), session)


@kernel
def read_discovery(w: Any, data: Any, p: Any, at: Any, stop: Any, code: Any, session: Any) -> Any:
    """PADR names the line, PADS opens, PADT ends."""
    tap = taps_of(w)[0]
    base = np.int64(p.offset)
    if code == PADT:
        number = note(w, p, PPPOE, PPP_CLOSE)
        if number >= 0:
            events_of(w)[number].peer = peer_of(w, data, p, session)
        return 1
    if code == PADS:
        if session == 0:            # refused
            return 0
        number = note(w, p, PPPOE, PPP_OPEN)
        if number >= 0:
            e = events_of(w)[number]
            e.peer = peer_of(w, data, p, session)
            e.session = peer_of(w, data, p, np.int64(0))
            e.mac = hardware(data, base, tap)
        return 1
    if code != PADR:
        return 0
    circuit, remote = np.uint64(0), np.uint64(0)
    for _ in range(MOST):
        if at + 4 > stop:
            break
        kind, size = be16(data, at), be16(data, at + 2)
        value = at + 4
        if value + size > stop:
            return -1
        if kind == 0:               # end of the list
            break
        if kind == 0x0105 and size >= 4 and be32(data, value) == 3561:
            read, named, far = line_ids(data, value + 4, value + size, tap)
            if read < 0:
                return -1
            circuit = named if named != np.uint64(0) else circuit
            remote = far if far != np.uint64(0) else remote
        at = value + size
    number = note(w, p, PPPOE, PPP_CIRCUIT)
    if number >= 0:
        e = events_of(w)[number]
        e.peer = peer_of(w, data, p, np.int64(0))
        e.mac = hardware(data, base + 6, tap)
        e.circuit = circuit
        e.remote = remote
    return 1


@kernel
def read_control(w: Any, data: Any, p: Any, at: Any, limit: Any, protocol: Any, session: Any) -> Any:
    """A packet of LCP, PAP, CHAP, IPCP or IPV6CP in data[at:limit]."""
    if protocol != LCP and protocol != PAP and protocol != CHAP and protocol != IPCP and protocol != IPV6CP:
        return 0
    if at + 4 > limit:
        return -1
    code = octet(data, at)
    stop = at + be16(data, at + 2)
    if stop < at + 4 or stop > limit:
        return -1
    tap = taps_of(w)[0]
    base = np.int64(p.offset)
    action: Any = np.int64(0)
    begin: Any = np.int64(0)
    size: Any = np.int64(0)
    if protocol == LCP:
        if code == 5:
            action = PPP_CLOSE
        elif code == 10:
            action = PPP_ALIVE
    elif protocol == PAP:
        if code == 1:
            if at + 5 > stop:
                return -1
            action, begin, size = PPP_USER, at + 5, octet(data, at + 4)
            if begin + size > stop:
                return -1
        elif code == 2:
            action = PPP_PASSED
    elif protocol == CHAP:
        if code == 2:
            if at + 5 > stop:
                return -1
            action, begin = PPP_USER, at + 5 + octet(data, at + 4)
            if begin > stop:
                return -1
            size = stop - begin
        elif code == 3:
            action = PPP_PASSED
    elif code == 2:
        wanted, width = (3, 6) if protocol == IPCP else (1, 10)
        inner = at + 4
        for _ in range(MOST):
            if inner + 2 > stop:
                break
            part = octet(data, inner + 1)
            if part < 2 or inner + part > stop:
                return -1
            if octet(data, inner) == wanted and part == width:
                action, begin = PPP_ADDRESS, inner + 2
            inner += part
    if action == 0 or (action == PPP_USER and size == 0):
        return 0
    number = note(w, p, PPPOE, action)
    if number < 0:
        return 1
    e = events_of(w)[number]
    e.peer = peer_of(w, data, p, session)
    e.mac = hardware(data, base + 6, tap)
    if action == PPP_USER or action == PPP_PASSED:
        e.stamp = (protocol << 8) | octet(data, at + 1)
    if action == PPP_USER:
        e.user = digest(data, begin, size, USER, tap.key0, tap.key1)
    elif action == PPP_ADDRESS:
        e.nas = e.mac               # who acknowledges is not who has the address
        e.mac = hardware(data, base, tap)
        if protocol == IPCP:
            place_v4(e, data, begin)
        else:
            e.high = np.uint64(LINK_LOCAL)
            e.low = (np.uint64(be32(data, begin)) << np.uint64(32)) | np.uint64(be32(data, begin + 4))
            e.length = 128
            e.which = ADDRESS
    return 1
