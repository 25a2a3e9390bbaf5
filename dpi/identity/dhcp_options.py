"""DHCP for IPv4 and IPv6: which address a server gave to whom, and for how long.

Sources: RFC 2131 sections 2 and 4, RFC 2132, RFC 3046 (option 82); RFC 8415 sections 8, 9, 11 and 21, RFC 4649 (remote-id). Only what a server
has confirmed counts (ACK, Reply), and what a client gives back (RELEASE, DECLINE).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.octets import be16, be32, octet
from dpi.capture.tap import taps_of
from dpi.identity.digest import CIRCUIT, SESSION, USER, digest, digest_mac, mix
from dpi.identity.event import ADDRESS, ANYWHERE, DELEGATED, DHCP, FOR_EVER, START, STOP, events_of, note, place_v4, place_v6
from dpi.identity.line_ids import line_ids
from dpi.jit import kernel

MAGIC = 0x63825363
MOST = 1500                     # options of a message at most
LEVELS = 8                      # relays around a message at most
SECOND = 1_000_000
V6_REPLY, V6_RELEASE, V6_DECLINE, V6_RELAY_FORWARD, V6_RELAY_REPLY = 7, 8, 9, 12, 13


@kernel
def hardware(data: Any, at: Any, tap: Any) -> Any:
    """The digest of the MAC address at data[at : at + 6]."""
    return digest_mac((be16(data, at) << 32) | be32(data, at + 2), tap.key0, tap.key1)


@kernel
def lasting(seconds: Any) -> Any:
    """A lifetime as it is written, in us."""
    return np.int64(FOR_EVER) if seconds == 0xFFFFFFFF else seconds * SECOND


@kernel
def read_dhcp(w: Any, data: Any, p: Any, begin: Any, end: Any) -> Any:
    """Note the events of the DHCPv4 message in data[begin:end]: 1 read, 0 nothing that counts, -1 cut or against the grammar."""
    if end - begin < 241 or be32(data, begin + 236) != MAGIC or octet(data, begin + 2) > 16:
        return -1
    tap = taps_of(w)[0]
    zero = np.uint64(0)
    circuit, remote, user, client, mac = zero, zero, zero, zero, zero
    kind, seconds, asked = np.int64(0), np.int64(-1), np.int64(0)
    at = begin + 240
    for _ in range(MOST):
        if at >= end or octet(data, at) == 255:
            break
        option = octet(data, at)
        if option == 0:
            at += 1
            continue
        if at + 2 > end:
            return -1
        size = octet(data, at + 1)
        value = at + 2
        if value + size > end:
            return -1
        if option == 53 and size == 1:
            kind = octet(data, value)
        elif option == 51 and size == 4:
            seconds = be32(data, value)
        elif option == 50 and size == 4:
            asked = value
        elif option == 61 and size > 1:
            client = digest(data, value, size, SESSION, tap.key0, tap.key1)
            if octet(data, value) == 0:         # no hardware type: a name
                user = digest(data, value + 1, size - 1, USER, tap.key0, tap.key1)
        elif option == 82:
            read, named, far = line_ids(data, value, value + size, tap)
            if read < 0:
                return -1
            circuit = named if named != np.uint64(0) else circuit
            remote = far if far != np.uint64(0) else remote
        at = value + size
    if octet(data, begin + 1) == 1 and octet(data, begin + 2) == 6:
        mac = hardware(data, begin + 28, tap)
    if mac == zero and client == zero:
        return 0
    reply = octet(data, begin) == 2
    place = begin + 16
    action = START
    if kind == 5 and reply:
        if seconds <= 0:
            return 0            # the answer to an INFORM gives no address
    elif kind == 7 and not reply:
        place = begin + 12
        action = STOP
    elif kind == 4 and not reply and asked > 0:
        place = asked
        action = STOP
    else:
        return 0
    if be32(data, place) == 0:
        return 0
    number = note(w, p, DHCP, action)
    if number < 0:
        return 1
    e = events_of(w)[number]
    place_v4(e, data, place)
    relay = be32(data, begin + 24)
    if relay != 0:              # between a relay and its server: the VLAN is not the client's
        e.scope = ANYWHERE
    if action == START:
        e.lifetime = lasting(seconds)
    e.user = user
    e.circuit = circuit
    e.remote = remote
    e.mac = mac
    e.session = mix(client if client != zero else mac, np.uint64(relay))
    return 1


@kernel
def read_dhcpv6(w: Any, data: Any, p: Any, begin: Any, end: Any) -> Any:
    """Note the events of the DHCPv6 message in data[begin:end], also inside of relays' messages: as `read_dhcp`."""
    tap = taps_of(w)[0]
    zero = np.uint64(0)
    circuit, remote = zero, zero
    relayed = np.int64(0)
    for _ in range(LEVELS):
        if end - begin < 4:
            return -1
        kind = octet(data, begin)
        if kind != V6_RELAY_FORWARD and kind != V6_RELAY_REPLY:
            break
        relayed += 1
        at = begin + 34
        inside, inside_end = np.int64(0), np.int64(0)
        for _ in range(MOST):
            if at + 4 > end:
                break
            option, size = be16(data, at), be16(data, at + 2)
            value = at + 4
            if value + size > end:
                return -1
            if option == 9:
                inside, inside_end = value, value + size
            elif option == 18 and size > 0:         # the innermost relay is the one next to the client
                circuit = digest(data, value, size, CIRCUIT, tap.key0, tap.key1)
            elif option == 37 and size > 4:
                remote = digest(data, value + 4, size - 4, CIRCUIT, tap.key0, tap.key1)
            at = value + size
        if inside == 0 or at != end:
            return -1
        begin, end = inside, inside_end
    if end - begin < 4:             # the innermost of LEVELS relays may hold nothing
        return -1
    kind = octet(data, begin)
    if kind != V6_REPLY and kind != V6_RELEASE and kind != V6_DECLINE:
        return 0
    client, mac = zero, zero
    at = begin + 4
    for _ in range(MOST):
        if at + 4 > end:
            break
        option, size = be16(data, at), be16(data, at + 2)
        value = at + 4
        if value + size > end:
            return -1
        if option == 1 and size > 2:
            client = digest(data, value, size, SESSION, tap.key0, tap.key1)
            style = be16(data, value)               # a DUID with a MAC address of Ethernet inside (RFC 8415 sections 11.2 and 11.4)
            if style == 1 and size == 14 and be16(data, value + 2) == 1:
                mac = hardware(data, value + 8, tap)
            elif style == 3 and size == 10 and be16(data, value + 2) == 1:
                mac = hardware(data, value + 4, tap)
        at = value + size
    if at != end:
        return -1
    if client == zero:
        return 0
    at = begin + 4
    for _ in range(MOST):
        if at + 4 > end:
            break
        option, size = be16(data, at), be16(data, at + 2)
        if (option == 3 or option == 25) and size >= 12:
            if read_association(w, data, p, at + 4, size, option, kind, client, mac, circuit, remote, relayed) < 0:
                return -1
        at += 4 + size
    return 1


@kernel
def read_association(w: Any, data: Any, p: Any, at: Any, size: Any, option: Any, kind: Any, client: Any, mac: Any, circuit: Any, remote: Any,
                     relayed: Any) -> Any:
    """The addresses of an IA_NA (option 3) or the prefixes of an IA_PD (25). -1: against the grammar."""
    session = mix(client, np.uint64((be32(data, at) << 8) | option))
    stop = at + size
    inner = at + 12
    for _ in range(MOST):
        if inner + 4 > stop:
            break
        what, part = be16(data, inner), be16(data, inner + 2)
        value = inner + 4
        if value + part > stop:
            return -1
        lifetime = np.int64(-1)
        if what == 5 and option == 3 and part >= 24:
            lifetime = be32(data, value + 20)
        elif what == 26 and option == 25 and part >= 25:
            lifetime = be32(data, value + 4)
            if octet(data, value + 8) > 128 or octet(data, value + 8) == 0:
                return -1
        if lifetime >= 0:
            number = note(w, p, DHCP, START if kind == V6_REPLY and lifetime > 0 else STOP)
            if number >= 0:
                e = events_of(w)[number]
                if option == 3:
                    place_v6(e, data, value, np.int64(16), np.int64(128), ADDRESS)
                else:
                    place_v6(e, data, value + 9, np.int64(16), octet(data, value + 8), DELEGATED)
                if relayed:
                    e.scope = ANYWHERE
                e.lifetime = lasting(lifetime)
                e.circuit = circuit
                e.remote = remote
                e.mac = mac
                e.session = session
        inner = value + part
    return 1
