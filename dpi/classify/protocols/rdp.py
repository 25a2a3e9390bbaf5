"""RDP: the X.224 connection request and confirm with RDP's cookie or negotiation structure."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import MINE, MORE, NO, Claim, Protocol, parser
from dpi.classify.wire.header_lines import find, spelling
from dpi.classify.wire.integers import be16, le16

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="RDP", category="remote_access",
    source="[MS-RDPBCGR], sections 2.2.1.1 and 2.2.1.2; RFC 1006, section 6",
    claims=(
        Claim("tcp", match=((0, "03 00 ?? ?? ?? e0 00 00"),), length=(11, 65535)),
        Claim("tcp", match=((0, "03 00 00 13 0e d0"),), length=(19, 65535)),
        Claim("tcp", match=((0, "03 00 00 0b 06 d0"),), length=(11, 11), ports=(3389,)),
    ),
    port_hints=("tcp/3389", "udp/3389"),
)

COOKIE, TOKEN = spelling(b"cookie: m"), spelling(b"mstshash=")


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    n = np.int64(data.size)
    if n < 11:
        return NO
    size = be16(data, 2)
    if size < 11 or size > 1024 or np.int64(data[4]) + 5 > size:
        return NO
    if n < size:
        return MORE if seen.final == 0 and seen.start == 1 else NO
    usual = seen.server_port == 3389
    if size == 11:
        return MINE if usual else NO
    # the negotiation request (type 1) or response (2, 3) is the last eight bytes
    kind = data[size - 8]
    if size >= 19 and le16(data, size - 6) == 8:
        if data[5] == 0xE0 and kind == 1 and le16(data, size - 4) < 64:
            return MINE
        if data[5] == 0xD0 and (kind == 2 or kind == 3):
            return MINE
    if data[5] == 0xE0 and find(data, 11, size, COOKIE) == 11 and (usual or find(data, 11, size, TOKEN) > 0):
        return MINE
    return NO
