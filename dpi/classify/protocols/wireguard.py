"""WireGuard: a handshake initiation, its response, or transport packets of one session whose counters rise.

State: word 0 the index of the initiator (or of a transport session), word 1: 1 initiation seen, 2 + direction transport seen; word 2 the counter.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import MINE, MORE, NO, Claim, Protocol, parser
from dpi.classify.wire.integers import le32

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="WireGuard", category="vpn",
    source="WireGuard: Next Generation Kernel Network Tunnel, section 5.4",
    claims=(
        Claim("udp", match=((0, "01 00 00 00"),), length=(148, 148)),
        Claim("udp", match=((0, "02 00 00 00"),), length=(92, 92)),
        Claim("udp", match=((0, "04 00 00 00"), (12, "00 00 00 00")), length=(32, 1500)),
    ),
    port_hints=("udp/51820",),
)


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    state = seen.state
    n = np.int64(data.size)
    if n < 32 or data[1] != 0 or data[2] != 0 or data[3] != 0:
        return NO
    kind = data[0]
    index = le32(data, 4)
    if kind == 1 and n == 148:
        for i in range(132, 148):
            if data[i] != 0:
                state[0] = index
                state[1] = 1
                return MORE     # a cookie was asked for: the response must name the initiator
        return MINE
    if kind == 2 and n == 92:
        if state[1] == 1:
            return MINE if le32(data, 8) == np.int64(state[0]) else NO
        for i in range(76, 92):
            if data[i] != 0:
                return NO
        return MINE
    if kind != 4 or n & 15 != 0 or le32(data, 12) != 0:
        return NO
    counter = le32(data, 8)
    mark = 2 + np.int64(seen.direction)
    if state[1] < 2:
        state[0] = index
        state[1] = mark
        state[2] = counter
        return MORE
    if np.int64(state[1]) != mark:
        return MORE
    return MINE if np.int64(state[0]) == index and 0 < counter - np.int64(state[2]) < 64 else NO
