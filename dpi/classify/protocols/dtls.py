"""DTLS 1.0 to 1.3 over UDP.

Fills server_name, alpn, ja3, ja3s, ja4, ja4_all and risks of `flows`, and the `tls` table as TLS does. Messages in fragments are put together
in the flow's memory, in order; a fragment out of order is left for its retransmission.

Source: RFC 6347 section 4, RFC 9147 section 4 and 5.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import GOING, LARGE, MINE, NO, Claim, Protocol, parser
from dpi.classify.wire.client_hello import DTLS_HELLO
from dpi.classify.wire.fingerprint import two
from dpi.classify.wire.handshake import (
    CERTIFICATE,
    CLIENT_HELLO,
    FLAGS,
    ROW_DUE,
    SAW_RECORD,
    SERVER_ENDED,
    SERVER_HELLO,
    certify,
    is_message,
    message,
)
from dpi.jit import kernel

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="DTLS",
    category="web",
    source="RFC 6347 section 4.1; RFC 9147 section 4",
    claims=(
        *(Claim("udp", ((0, f"{kind:02x} fe {low}"),), length=(13, 65535)) for kind in (20, 21, 22, 23, 25) for low in ("ff", "fd")),
        Claim("udp", ((0, "16 01 00 00 00"), (13, "01")), length=(25, 65535)),     # Cisco's early version number
    ),
    fields=("server_name", "alpn", "ja3", "ja3s", "ja4", "ja4_all", "risks", "tls"),
    memory=LARGE,
    port_hints=("udp/4433", "udp/5684", "udp/6514"),
)

# inspection.state beyond the handshake's: the message being put together (direction, type and number), its length, bytes there, datagrams,
# and the number after the last client hello taken
KEY, LENGTH, HAVE, COUNT, NEXT = 3, 4, 5, 6, 7
PATIENCE = 24       # datagrams without the end of the server's flight


@kernel
def _record(data: Array, at: int, n: int) -> int:
    """Length of the plain record at data[at], -1 where it is none or does not end in the datagram."""
    if at + 13 > n or data[at] < 20 or data[at] > 25:
        return -1
    if not (data[at + 1] == 0xFE and (data[at + 2] == 0xFF or data[at + 2] == 0xFD)) and not (data[at + 1] == 1 and data[at + 2] == 0):
        return -1
    length = two(data, at + 11)
    if length > n - at - 13 or length > 16384 + 2048:
        return -1
    return length


@kernel
def _fragment(data: Array, at: int, end: int, direction: int, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """Take in the handshake fragment at data[at] (RFC 6347 section 4.2.2). Returns where the next one starts, -1 where it is none."""
    if at + 12 > end:
        return -1
    state = inspection[0].state
    kind = np.int64(data[at])
    length = np.int64(data[at + 1]) << 16 | two(data, at + 2)
    order = two(data, at + 4)
    offset = np.int64(data[at + 6]) << 16 | two(data, at + 7)
    size = np.int64(data[at + 9]) << 16 | two(data, at + 10)
    start = at + 12
    if size > end - start or offset + size > length or not is_message(kind, length):
        return -1
    if kind == CLIENT_HELLO and order < np.int64(state[NEXT]):
        return start + size         # sent again
    view = data
    last = start + size
    whole = size == length
    if not whole:
        if kind != CLIENT_HELLO and kind != SERVER_HELLO and kind != CERTIFICATE:
            return start + size
        key = direction << 31 | kind << 16 | order
        if offset == 0 and np.int64(state[KEY]) != key:
            state[KEY] = key
            state[LENGTH] = length
            state[HAVE] = 0
        have = np.int64(state[HAVE])
        if np.int64(state[KEY]) != key or np.int64(state[LENGTH]) != length or offset > have:
            return start + size
        for i in range(have - offset, min(size, memory.size - offset)):
            memory[offset + i] = data[start + i]
        have = max(have, min(offset + size, memory.size))
        state[HAVE] = have
        whole = have == length
        if whole:
            state[KEY] = 0
        elif kind != CERTIFICATE:
            return start + size
        view = memory
        start = 0
        last = have
    if message(view, kind, start, last, whole, DTLS_HELLO, inspection, facts, outbox) == 0:
        return -1
    if kind == CLIENT_HELLO:
        state[NEXT] = order + 1
    return at + 12 + size


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi/classify/inspection.py."""
    answer = datagram(data, inspection, facts, outbox, memory)
    inspection[0].idle = 1 if inspection[0].state[KEY] == 0 else 0      # no message waits for its fragments
    return answer


@kernel
def datagram(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """Take in the records of one datagram."""
    n = data.size
    seen = inspection[0]
    state = seen.state
    direction = np.int64(seen.direction) & 1
    known = np.int64(state[FLAGS]) & SAW_RECORD != 0
    at = 0
    good = 0
    sealed = False
    for _ in range(32):
        length = _record(data, at, n)
        if length < 0:
            break
        epoch = two(data, at + 3)
        kind = np.int64(data[at])
        first = at + 13
        at = first + length
        if kind == 22 and epoch == 0:
            inside = first
            for _ in range(32):
                if inside >= at:
                    break
                inside = _fragment(data, inside, at, direction, inspection, facts, outbox, memory)
                if inside < 0:
                    break
            if inside < 0 and not known and good == 0:
                return NO
        elif (kind == 20 and length != 1) or (kind == 21 and epoch == 0 and length != 2) or (kind == 23 and epoch == 0):
            if not known and good == 0:
                return NO
        elif epoch > 0 and direction == 1:
            sealed = True
        good += 1
        if at >= n:
            break
    if good == 0 or (at != n and not known):
        return GOING if known else NO       # STUN and media may share the flow
    state[FLAGS] = np.int64(state[FLAGS]) | SAW_RECORD
    state[COUNT] = np.int64(state[COUNT]) + 1
    if sealed or np.int64(state[COUNT]) > PATIENCE or (data[0] == 23 and not known):
        state[FLAGS] = np.int64(state[FLAGS]) | ROW_DUE | SERVER_ENDED
    if np.int64(state[FLAGS]) & ROW_DUE != 0:
        certify(data, 0, 0, inspection, facts, outbox)
    return MINE if np.int64(state[FLAGS]) & SERVER_ENDED != 0 else GOING
