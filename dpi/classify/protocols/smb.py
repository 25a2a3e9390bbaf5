"""SMB 1 to 3 over TCP, and the NetBIOS session that may come before it.

State: word 0: 1 a NetBIOS session was asked for.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import GOING, MINE, MORE, NO, Claim, Protocol, parser
from dpi.classify.wire.integers import be16, be32

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="SMBv23", category="file-transfer",
    source="[MS-SMB2], section 2.2.1; [MS-CIFS], section 2.2.3.1; RFC 1002, section 4.3",
    claims=(
        Claim("tcp", match=((0, "00"), (4, "fe 53 4d 42 40 00")), length=(10, 65535)),
        Claim("tcp", match=((0, "00"), (4, "ff 53 4d 42")), length=(8, 65535)),
        Claim("tcp", match=((0, "00"), (4, "fd 53 4d 42")), length=(8, 65535)),
        Claim("tcp", match=((0, "81 00 00 44 20"),), length=(5, 65535)),
        Claim("tcp", match=((0, "82 00 00 00"),), length=(4, 4), ports=(139,)),
    ),
    also=("SMBv1", "NetBIOS", "SMBv23"),
    port_hints=("tcp/445",),
)
OLD, SESSION, NEW = 1, 2, 3


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    state = seen.state
    n = np.int64(data.size)
    if n < 4:
        return NO if state[0] == 0 else GOING
    if data[0] == 0x81 or data[0] == 0x82:
        size = be16(data, 2)
        if data[0] == 0x81 and (n < 72 or data[4] != 32 or data[38] != 32):
            return MORE if n < 72 and seen.final == 0 and seen.start == 1 else NO
        state[0] = 1
        seen.protocol = SESSION
        if n < 4 + size + 8:
            return GOING
        at = 4 + size
    else:
        at = 0
    if n < at + 8:
        seen.protocol = SESSION if state[0] else 0
        return GOING if state[0] else NO
    size = np.int64(data[at + 1]) << 16 | be16(data, at + 2)
    if data[at] != 0 or data[at + 5] != 83 or data[at + 6] != 77 or data[at + 7] != 66 or size < 32:
        return MINE if state[0] else NO
    mark = data[at + 4]
    if mark == 0xFF:
        # a negotiation that offers SMB 2 starts in the old form: the answer decides
        if n >= at + 12 and be32(data, at + 8) & 0xFF000000 == 0x72000000 and seen.direction == 0:
            state[0] = 1
            seen.protocol = OLD
            return GOING
        seen.protocol = OLD
        return MINE
    if mark == 0xFE or mark == 0xFD:
        seen.protocol = NEW
        return MINE
    return MINE if state[0] else NO
