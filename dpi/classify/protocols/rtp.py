"""RTP: three packets of one direction whose source, payload type, sequence and timestamp go on from each other.

Emits: nothing beside the name. The media of DTLS-SRTP and SDES has the same header, so encrypted calls are named too.

State: two words for each direction: the source; sequence number | payload type << 16 | packets in order << 24; and the timestamp in words 4 and 5.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import MINE, MORE, NO, Claim, Protocol, parser
from dpi.classify.wire.integers import be16, be32

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="RTP", category="voip",
    source="RFC 3550, section 5.1 and appendix A.1; RFC 3551, section 6",
    claims=(Claim("udp", match=((0, "8?"),), length=(20, 1500)), Claim("udp", match=((0, "9?"),), length=(20, 1500))),
)

STREAK = 3          # packets in a row that prove it
TRIES = 8           # packets looked at before it is none


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    state = seen.state
    n = np.int64(data.size)
    if n < 12 or seen.packets > TRIES or (seen.server_port < 1024 and seen.server_port != 443) or seen.client_port < 1024:
        return NO
    first = np.int64(data[0])
    kind = np.int64(data[1]) & 127
    if first >> 6 != 2:
        return MORE if state[1] != 0 or state[3] != 0 else NO      # STUN or DTLS of the same call
    if 64 <= kind <= 95 or 35 <= kind <= 63:
        return MORE if 72 <= kind <= 77 and (state[1] != 0 or state[3] != 0) else NO
    head = 12 + (first & 15) * 4
    if first & 16:
        if head + 4 > n:
            return NO
        head += 4 + be16(data, head + 2) * 4
    source = be32(data, 8)
    if head >= n or source == 0 or (first & 32 and (data[n - 1] == 0 or data[n - 1] > n - head)):
        return NO
    side = 2 if seen.direction == 1 else 0
    number = be16(data, 2)
    stamp = be32(data, 4)
    before = np.int64(state[side + 1])
    streak = 1
    if before != 0 and np.int64(state[side]) == source:
        step = (number - before) & 0xFFFF
        drift = (stamp - np.int64(state[4 + side // 2])) & 0xFFFFFFFF
        if step == 0:
            return MORE
        if step > 16 or drift > 500_000 or (before >> 16 & 127) != kind:
            return NO
        streak = (before >> 24) + 1
        if streak >= STREAK:
            return MINE
    elif before != 0:
        return NO if (before >> 24) == 1 else MORE
    state[side] = source
    state[side + 1] = number | kind << 16 | streak << 24
    state[4 + side // 2] = stamp
    return MORE
