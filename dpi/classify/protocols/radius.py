"""RADIUS: authentication, accounting and dynamic authorization."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import MINE, NO, Claim, Protocol, parser
from dpi.classify.wire.integers import be16

Array = np.ndarray[Any, Any]

PORTS = (1812, 1813, 1645, 1646, 3799)
PROTOCOL = Protocol(
    name="Radius", category="security",
    source="RFC 2865, sections 3 and 5; RFC 2866; RFC 5176",
    claims=(Claim("udp", ports=PORTS, length=(20, 4096)),),
    port_hints=tuple(f"udp/{port}" for port in PORTS),
)


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    n = np.int64(data.size)
    if n < 20:
        return NO
    code = np.int64(data[0])
    size = be16(data, 2)
    if not (1 <= code <= 5 or 11 <= code <= 13 or 40 <= code <= 45) or size < 20 or size > n or n - size > 4:
        return NO
    at = 20
    for _ in range(2048):
        if at >= size:
            break
        if at + 2 > size or data[at] == 0 or data[at + 1] < 2:
            return NO
        at += np.int64(data[at + 1])
    return MINE if at == size else NO
