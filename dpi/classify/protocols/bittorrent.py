"""BitTorrent: peer handshakes, DHT messages, UDP trackers, uTP connections, local discovery.

State (uTP): word 0 the SYN's connection id | 0x10000, word 1 its sequence number.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import MINE, MORE, NO, Claim, Protocol, parser
from dpi.classify.wire.header_lines import find, spelling
from dpi.classify.wire.integers import be16, be32

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="BitTorrent", category="p2p",
    source="BEP 3, BEP 5, BEP 14, BEP 15, BEP 29",
    claims=(
        Claim("tcp", match=((0, b"\x13BitTorrent protocol".hex(" ")),), length=(20, 65535)),
        Claim("udp", match=((0, b"d1:".hex(" ")),), length=(20, 2048)),
        Claim("udp", match=((0, b"d2:ip".hex(" ")),), length=(20, 2048)),
        Claim("udp", match=((0, "00 00 04 17 27 10 19 80 00 00 00 00"),), length=(16, 16)),
        Claim("udp", match=((0, "41 00"),), length=(20, 20)),
        Claim("udp", match=((0, "41 02"),), length=(22, 64)),
        Claim("udp", match=((0, b"BT-SEARCH * HTTP/1.1".hex(" ")),), length=(20, 1500)),
    ),
)

ID, QUERY, REPLY, ERROR, KIND = (spelling(word) for word in (b"2:id20:", b"1:q", b"1:rd2:id20:", b"1:el", b"1:y1:"))


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    state = seen.state
    n = np.int64(data.size)
    if n < 16 or seen.ip_protocol == 6 or data[0] == 66 or (n == 16 and data[0] == 0):
        return MINE if n >= 16 else NO          # the claim's bytes say it all
    if data[0] == 100:
        # a bencoded dictionary with a message kind (y) and a node id, or an error
        if data[n - 1] != 101 or find(data, max(0, n - 64), n, KIND) < 0:
            return NO
        if find(data, 0, min(n, 64), ID) >= 0 or find(data, 0, min(n, 64), ERROR) >= 0 or find(data, 0, min(n, 64), REPLY) >= 0:
            return MINE
        return NO
    # uTP: a SYN, then a packet of the other side that answers it
    if n < 20:
        return NO
    if state[0] == 0:
        if data[0] != 0x41 or be32(data, 8) != 0:
            return NO
        state[0] = be16(data, 2) | 0x10000 | np.int64(seen.direction) << 17
        state[1] = be16(data, 16)
        return MORE
    if seen.direction == np.int64(state[0]) >> 17:
        return MORE if data[0] & 15 == 1 else NO
    if data[0] & 15 != 1 or data[0] >> 4 > 3 or data[1] > 3:
        return NO
    return MINE if be16(data, 2) == (np.int64(state[0]) & 0xFFFF) and be16(data, 18) == np.int64(state[1]) else NO
