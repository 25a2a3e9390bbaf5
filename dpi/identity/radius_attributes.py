"""RADIUS accounting: what a request says of a session's addresses. Responses are not read.

Sources: RFC 2865 section 5, RFC 2866 sections 4 and 5, RFC 2869 section 5 (NAS-Port-Id, Event-Timestamp), RFC 3162 (Framed-IPv6-Prefix),
RFC 4818 (Delegated-IPv6-Prefix), RFC 6911 (Framed-IPv6-Address), RFC 4679 (Agent-Circuit-Id, Agent-Remote-Id of the DSL Forum).
Framed-Interface-Id says nothing that the prefix of a session does not: a subscriber may use every address of it.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.octets import be16, be32, octet
from dpi.capture.tap import taps_of
from dpi.identity.digest import CIRCUIT, NAS, SESSION, USER, digest, digest_mac, mix
from dpi.identity.event import ADDRESS, ANYWHERE, DELEGATED, FRAMED, RADIUS, RESTART, START, STOP, UPDATE, events_of, note, place_v4, place_v6
from dpi.jit import kernel

ACCOUNTING_REQUEST = 4
DSL_FORUM = 3561
MOST = 2048                     # attributes of a packet of 4096 octets, the longest there is


@kernel
def read_accounting(w: Any, data: Any, p: Any, begin: Any, end: Any) -> Any:
    """Note the events of the message in data[begin:end]: 1 read, 0 no accounting request, -1 cut or against the grammar."""
    if end - begin < 20:
        return -1
    if octet(data, begin) != ACCOUNTING_REQUEST:
        return 0
    stop = begin + be16(data, begin + 2)
    if stop < begin + 20 or stop > end or stop > begin + 4096:
        return -1
    tap = taps_of(w)[0]
    zero = np.uint64(0)
    user, circuit, remote, port, mac, session, nas, name = zero, zero, zero, zero, zero, zero, zero, zero
    status, stamp = np.int64(0), np.int64(0)
    at = begin + 20
    for _ in range(MOST):
        if at >= stop:
            break
        if at + 2 > stop:
            return -1
        kind = octet(data, at)
        size = octet(data, at + 1) - 2
        if size < 0 or at + 2 + size > stop:
            return -1
        value = at + 2
        if size > 0:
            if kind == 1:
                user = digest(data, value, size, USER, tap.key0, tap.key1)
            elif kind == 31:
                mac = station(data, value, size, tap)
            elif kind == 40 and size == 4:
                status = be32(data, value)
            elif kind == 44:
                session = digest(data, value, size, SESSION, tap.key0, tap.key1)
            elif kind == 55 and size == 4:
                stamp = be32(data, value)
            elif kind == 87:
                port = digest(data, value, size, CIRCUIT, tap.key0, tap.key1)
            elif kind == 4 and size == 4:
                nas = digest(data, value, size, NAS, tap.key0, tap.key1)
            elif (kind == 95 and size == 16 and nas == zero) or kind == 32:
                name = digest(data, value, size, NAS, tap.key0, tap.key1)
            elif kind == 26 and size >= 4 and be32(data, value) == DSL_FORUM:
                inner = value + 4
                for _ in range(128):
                    if inner + 2 > value + size:
                        break
                    part = octet(data, inner + 1)
                    if part < 2 or inner + part > value + size:
                        return -1
                    if octet(data, inner) == 1 and part > 2:
                        circuit = digest(data, inner + 2, part - 2, CIRCUIT, tap.key0, tap.key1)
                    elif octet(data, inner) == 2 and part > 2:
                        remote = digest(data, inner + 2, part - 2, CIRCUIT, tap.key0, tap.key1)
                    inner += part
        at += 2 + size
    if at != stop:
        return -1
    if nas == zero:
        nas = name
    if nas == zero:         # RFC 2866 asks for one of the two; the sender is the NAS then
        nas = digest(data, np.int64(p.offset) + np.int64(p.ip_at) + (12 if p.version == 4 else 8), 4 if p.version == 4 else 16, NAS, tap.key0, tap.key1)
    if circuit == zero:
        circuit = port
    if status == 7 or status == 8:
        number = note(w, p, RADIUS, RESTART)
        if number >= 0:
            events_of(w)[number].nas = nas
            events_of(w)[number].scope = ANYWHERE
        return 1
    if status < 1 or status > 3:
        return 0
    if session == zero:
        return -1
    session = mix(session, nas)
    if status == 2:
        number = note(w, p, RADIUS, STOP)
        if number >= 0:
            whose(events_of(w)[number], user, circuit, remote, mac, session, nas, stamp)
        return 1
    action = START if status == 1 else UPDATE
    at = begin + 20
    for _ in range(MOST):
        if at >= stop:
            break
        kind = octet(data, at)
        size = octet(data, at + 1) - 2
        value = at + 2
        number = np.int64(-1)
        if kind == 8 and size == 4:
            address = be32(data, value)
            if address != 0 and address < 0xFFFFFFFE:       # the last two leave the choice to the user or the NAS
                number = note(w, p, RADIUS, action)
                if number >= 0:
                    place_v4(events_of(w)[number], data, value)
        elif (kind == 97 or kind == 123) and size >= 2 and size <= 18:
            length = octet(data, value + 1)
            if length > 128 or (length + 7) >> 3 > size - 2 or length == 0:
                return -1
            number = note(w, p, RADIUS, action)
            if number >= 0:
                place_v6(events_of(w)[number], data, value + 2, size - 2, length, FRAMED if kind == 97 else DELEGATED)
        elif kind == 168 and size == 16:
            number = note(w, p, RADIUS, action)
            if number >= 0:
                place_v6(events_of(w)[number], data, value, np.int64(16), np.int64(128), ADDRESS)
        if number >= 0:
            whose(events_of(w)[number], user, circuit, remote, mac, session, nas, stamp)
        at += 2 + size
    return 1


@kernel
def whose(e: Any, user: Any, circuit: Any, remote: Any, mac: Any, session: Any, nas: Any, stamp: Any) -> Any:
    """Say of an event whose it is."""
    e.user = user
    e.circuit = circuit
    e.remote = remote
    e.mac = mac
    e.session = session
    e.nas = nas
    e.stamp = stamp
    e.scope = ANYWHERE          # what the NAS says holds wherever the address is seen
    return 0


@kernel
def station(data: Any, at: Any, size: Any, tap: Any) -> Any:
    """The digest of the MAC address that begins a Calling-Station-Id (RFC 3580 section 3.21; separators - : . or none), 0 where it is none."""
    word, digits = np.int64(0), np.int64(0)
    for i in range(min(size, 17)):
        one = octet(data, at + i)
        value = np.int64(-1)
        if one >= 48 and one <= 57:
            value = one - 48
        elif one >= 97 and one <= 102:
            value = one - 87
        elif one >= 65 and one <= 70:
            value = one - 55
        if value >= 0:
            word = (word << 4) | value
            digits += 1
            if digits == 12:
                break
        elif (one != 45 and one != 58 and one != 46) or digits == 0:
            return np.uint64(0)
    if digits != 12:
        return np.uint64(0)
    return digest_mac(word, tap.key0, tap.key1)
