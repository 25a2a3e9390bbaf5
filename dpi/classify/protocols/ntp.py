"""NTP on port 123: versions 1 to 4, time exchanges and control messages."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import MINE, NO, Claim, Protocol, parser
from dpi.classify.wire.integers import be16

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="NTP", category="network",
    source="RFC 5905, section 7.3; RFC 9327 (mode 6)",
    claims=(Claim("udp", ports=(123,), length=(8, 1500)),),
    port_hints=("udp/123",),
)


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    n = np.int64(data.size)
    if n < 8:
        return NO
    version = np.int64(data[0]) >> 3 & 7
    mode = np.int64(data[0]) & 7
    if version < 1 or version > 4:
        return NO
    if mode == 6:       # control: opcode up to 31, the count of data bytes
        return MINE if n >= 12 and 12 + be16(data, 10) <= n else NO
    if mode == 7:       # ntpdc: implementation 0, 2 or 3
        return MINE if data[2] == 0 or data[2] == 2 or data[2] == 3 else NO
    # version 1 has no modes; 48 bytes, then extension fields and a MAC in words
    if n < 48 or n & 3 != 0 or (mode == 0 and version > 1) or data[1] > 16:
        return NO
    precision = np.int64(data[3])
    return MINE if n == 48 or precision == 0 or precision > 128 or mode == 3 else NO
