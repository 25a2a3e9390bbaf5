"""RTCP: compound packets that begin with a sender or receiver report and whose lengths fill the datagram.

SRTCP (RFC 3711, section 3.4) has only its first eight bytes in clear: it is known by an index word behind, and named alike.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import MINE, NO, Claim, Protocol, parser
from dpi.classify.wire.integers import be16

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="RTCP", category="voip",
    source="RFC 3550, sections 6.1 and 6.4",
    claims=(Claim("udp", match=((0, "8? c8"),), length=(28, 1500)), Claim("udp", match=((0, "8? c9"),), length=(8, 1500))),
)


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    n = np.int64(data.size)
    at = 0
    for i in range(16):
        if at == n:
            return MINE
        if at + 8 > n or data[at] >> 6 != 2:
            return NO
        kind = np.int64(data[at + 1])
        size = be16(data, at + 2) * 4 + 4
        reports = np.int64(data[at]) & 31
        if kind < 200 or kind > 207 or (i == 0 and kind > 201):
            return NO
        if (kind == 200 and size < 28 + 24 * reports) or (kind == 201 and size < 8 + 24 * reports):
            return NO
        at += size
        if at > n:
            return NO
        if i == 0 and n - at != 0 and n - at >= 14 and data[at] >> 6 != 2 and n & 1 == 0 and data[n - 14] >> 7 == 1:
            return MINE     # encrypted from here; the index before the tag has the E bit
    return NO
