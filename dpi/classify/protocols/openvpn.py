"""OpenVPN over UDP and TCP: the client's reset, and the server's answer that repeats the client's session.

Where one direction is seen, the session id must stay in the packets that follow. A reset with an HMAC (tls-auth) or wrapped (tls-crypt)
holds a packet number and the sender's clock, which must agree with the capture's.

State: words 0 and 1 the client's session id, word 2: 1 one was seen.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import MINE, MORE, NO, Claim, Protocol, parser
from dpi.classify.wire.integers import be16, be32
from dpi.jit import kernel

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="OpenVPN", category="vpn",
    source="OpenVPN wire protocol (draft-openvpn-wire-protocol), sections 2 and 3",
    claims=(
        *(Claim("udp", match=((0, opcode),), length=(14, 512)) for opcode in ("08", "38", "50", "40", "10")),
        *(Claim("tcp", match=((0, "0?"), (2, opcode)), length=(16, 1024)) for opcode in ("38", "08", "50")),
    ),
    port_hints=("udp/1194", "tcp/1194"),
)


@kernel
def first_packet(data: Array, at: int, n: int, now: int) -> bool:
    """May data[at:n] be a reset without acknowledgements: bare, with an HMAC, or wrapped, sent about `now` (s)?"""
    size = n - at
    if size == 14:
        return data[at + 9] == 0 and be32(data, at + 10) == 0
    for mac in range(5):
        head = at + 9 + (0, 16, 20, 32, 64)[mac]
        if head + 8 <= n and be32(data, head) == 1 and abs(be32(data, head + 4) - now) < 86400 * 2:
            # tls-crypt: tag and sealed rest follow; tls-auth: no acks, packet 0
            if mac == 0:
                return size >= 54
            return head + 13 == n and data[head + 8] == 0 and be32(data, head + 9) == 0
    return False


@kernel
def answers(data: Array, at: int, n: int, high: int, low: int) -> bool:
    """Does data[at:n] acknowledge the session (high, low)?"""
    for mac in range(5):
        head = at + 9 + (0, 24, 28, 40, 72)[mac]
        if head + 13 <= n and 1 <= data[head] <= 8:
            session = head + 1 + 4 * np.int64(data[head])
            if session + 12 == n and be32(data, session) == high and be32(data, session + 4) == low:
                return True
    return False


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    state = seen.state
    n = np.int64(data.size)
    at = 0
    if seen.ip_protocol == 6:
        if n < 3:
            return NO
        size = be16(data, 0)
        if size < 14 or size > 1500:
            return NO
        if n < size + 2:
            return MORE if seen.final == 0 and seen.start == 1 else NO
        at = 2
        n = size + 2
    if n < at + 14:
        return NO
    opcode = np.int64(data[at])
    now = np.int64(seen.time) // 1_000_000
    if state[2] == 0:
        if be32(data, at + 1) == 0:
            return NO
        if opcode == 0x40 or opcode == 0x10:
            if n - at != 26 or data[at + 9] != 1 or be32(data, at + 10) != 0 or be32(data, at + 22) != 0:
                return NO
        elif (opcode != 0x38 and opcode != 0x08 and opcode != 0x50) or not first_packet(data, at, n, now):
            return NO
        state[0] = be32(data, at + 1)
        state[1] = be32(data, at + 5)
        state[2] = 1 + np.int64(seen.direction)
        usual = seen.server_port == 1194
        return MINE if usual or (n - at != 14 and opcode != 0x40 and opcode != 0x10) else MORE
    if seen.direction + 1 == state[2]:
        same = be32(data, at + 1) == np.int64(state[0]) and be32(data, at + 5) == np.int64(state[1])
        if opcode == 0x28 or opcode == 0x20:        # acknowledgement, control
            return MINE if same else NO
        return MORE if opcode == 0x38 or opcode == 0x08 or opcode == 0x50 or opcode == 0x40 else NO
    if opcode != 0x40 and opcode != 0x10:
        return NO
    return MINE if answers(data, at, n, np.int64(state[0]), np.int64(state[1])) else NO
