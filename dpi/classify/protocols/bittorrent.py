"""BitTorrent: peer handshakes, DHT messages, UDP trackers, uTP connections, local discovery.

State (uTP): words 0 and 1 the connection id each direction sends | 0x10000. The ids of a connection's two directions differ by one,
but for the answer to a SYN; words 2 and 3 the last sequence number of each direction.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import MINE, MORE, NO, Claim, Protocol, parser
from dpi.classify.wire.header_lines import find, spelling
from dpi.classify.wire.integers import be16

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="BitTorrent", category="p2p",
    source="BEP 3, BEP 5, BEP 14, BEP 15, BEP 29",
    claims=(
        Claim("tcp", match=((0, b"\x13BitTorrent protocol".hex(" ")),), length=(20, 65535)),
        Claim("udp", match=((0, b"d1:".hex(" ")),), length=(20, 2048)),
        Claim("udp", match=((0, b"d2:ip".hex(" ")),), length=(20, 2048)),
        Claim("udp", match=((0, "00 00 04 17 27 10 19 80 00 00 00 00"),), length=(16, 16)),
        *(Claim("udp", match=((0, f"{kind}1 0?"),), length=(20, 1500)) for kind in "01234"),
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
    # uTP: version 1, a type up to 4, extensions that end inside the packet; then the other direction's with the neighbouring id
    if n < 20 or data[0] & 15 != 1 or data[0] >> 4 > 4:
        return NO
    following = np.int64(data[1])
    at = 20
    for _ in range(4):
        if following == 0:
            break
        if following > 3 or at + 2 > n:
            return NO
        following = np.int64(data[at])
        at += 2 + np.int64(data[at + 1])
    if at > n or (data[0] >> 4 == 4 and at != n):
        return NO
    side = 1 if seen.direction == 1 else 0
    number = be16(data, 2)
    other = np.int64(state[1 - side])
    begun = 1 if data[0] >> 4 == 4 else 0
    before = np.int64(state[side])
    if before != 0 and (number - before) & 0xFFFF > 1:
        return NO               # a SYN has the id that its sender's later packets have, less one
    state[side] = number | 0x10000 | begun << 17
    state[2 + side] = be16(data, 16)
    if other == 0 or begun:
        return MORE
    step = (other - number) & 0xFFFF
    behind = (np.int64(state[3 - side]) - be16(data, 18)) & 0xFFFF
    if behind > 512 and behind < 0xFFF0:
        return NO               # it acknowledges what the other never sent
    if step == 0:
        return MINE if other >> 17 == 1 and behind == 0 else NO
    return MINE if step == 1 or step == 0xFFFF else NO
