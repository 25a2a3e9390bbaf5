"""SMB 1 to 3 over TCP, and the NetBIOS session that may come before it.

State: word 0: 1 a NetBIOS session was asked for.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import MINE, MORE, NO, Claim, Protocol, parser
from dpi.classify.wire.integers import be16
from dpi.jit import kernel

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="SMBv23", category="file_transfer",
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
UNSETTLED, SHORT = 4, 5


@kernel
def dialect(data: Array, at: int, n: int) -> int:
    """What the SMB message behind the session header at `at` tells: OLD, NEW, UNSETTLED (an old negotiation, which may lead to either),
    SHORT where it is cut, or 0 where there is none."""
    if n < at + 12:
        return SHORT
    size = np.int64(data[at + 1]) << 16 | be16(data, at + 2)
    if data[at] != 0 or data[at + 5] != 83 or data[at + 6] != 77 or data[at + 7] != 66 or size < 32:
        return 0
    if data[at + 4] == 0xFE or data[at + 4] == 0xFD:
        return NEW
    if data[at + 4] != 0xFF:
        return 0
    # SMB_COM_NEGOTIATE of a client: what follows, or the answer, decides
    if data[at + 8] == 0x72 and (n >= at + 14 and data[at + 13] & 0x80 == 0):
        if n >= at + 4 + size + 12:
            return dialect_after(data, at + 4 + size)
        return UNSETTLED
    return OLD


@kernel
def dialect_after(data: Array, at: int) -> int:
    """The same of a message after the negotiation, which has twelve bytes at least."""
    return NEW if data[at + 4] == 0xFE else OLD


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    state = seen.state
    n = np.int64(data.size)
    if n == 0:
        return MORE if state[0] else NO
    at = 0
    if data[0] == 0x81 or data[0] == 0x82:
        if data[0] == 0x81:
            if n < 72:
                return MORE if seen.final == 0 and seen.start == 1 else NO
            if data[4] != 32 or data[38] != 32:
                return NO
        elif n < 4:
            return NO
        state[0] = 1
        at = 4 + be16(data, 2)
        if n == at or seen.final == 1:
            seen.protocol = SESSION
            return MINE if seen.final == 1 else MORE
    found = dialect(data, at, n)
    if found == OLD or found == NEW:
        seen.protocol = found
        return MINE
    if found == 0:
        return NO
    if seen.final == 1 or seen.packets > 8:
        seen.protocol = OLD if found == UNSETTLED else SESSION
        return MINE if found == UNSETTLED or state[0] else NO
    return MORE
