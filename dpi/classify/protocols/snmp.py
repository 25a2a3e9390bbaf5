"""SNMP 1, 2c and 3 over UDP: the message is one BER sequence that fills the datagram."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import MINE, NO, Claim, Protocol, parser
from dpi.classify.wire.ber import enter, skip, small

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="SNMP", category="network",
    source="RFC 1157, section 4; RFC 3416, section 3; RFC 3412, section 6",
    claims=(Claim("udp", match=((0, "30"),), length=(20, 65535)),),
    port_hints=("udp/161", "udp/162"),
)


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    n = np.int64(data.size)
    if skip(data, 0, n, 0x30) != n:
        return NO
    at = enter(data, 0, n, 0x30)
    version = small(data, at, n, 2)
    at = skip(data, at, n, 2)
    if version == 3:
        # msgGlobalData { msgID, msgMaxSize, msgFlags (1 octet), msgSecurityModel }, then the security parameters
        inner = enter(data, at, n, 0x30)
        if small(data, inner, n, 2) < 0:
            return NO
        inner = skip(data, inner, n, 2)
        if small(data, inner, n, 2) < 484:
            return NO
        inner = skip(data, inner, n, 2)
        flags = skip(data, inner, n, 4)
        return MINE if flags == inner + 3 and skip(data, skip(data, at, n, 0x30), n, 4) > 0 else NO
    if version != 0 and version != 1:
        return NO
    at = skip(data, at, n, 4)
    if at < 0 or at >= n:
        return NO
    tag = np.int64(data[at])
    if tag < 0xA0 or tag > 0xA8 or skip(data, at, n, tag) != n:
        return NO
    at = enter(data, at, n, tag)
    if tag == 0xA4:
        return MINE if skip(data, at, n, 6) > 0 else NO     # a trap begins with the enterprise's object
    for _ in range(3):
        at = skip(data, at, n, 2)
    return MINE if skip(data, at, n, 0x30) == n else NO
