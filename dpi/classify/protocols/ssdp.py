"""SSDP: discovery of UPnP devices, HTTP-like messages over UDP.

Emits: facts.user_agent (USER-AGENT or SERVER).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import MINE, NO, Claim, Protocol, parser
from dpi.classify.wire.flow_facts import set_agent
from dpi.classify.wire.header_lines import line_end, name_hash, next_field

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="SSDP", category="iot",
    source="UPnP Device Architecture 2.0, section 1",
    claims=(
        Claim("udp", match=((0, b"M-SEARCH * HTTP/1.".hex(" ")),), length=(20, 9000)),
        Claim("udp", match=((0, b"NOTIFY * HTTP/1.".hex(" ")),), length=(20, 9000)),
        Claim("udp", match=((0, b"HTTP/1.".hex(" ")),), length=(20, 9000)),
    ),
    fields=("user_agent",),
    port_hints=("udp/1900",),
)

MAN, ST, NT, NTS, USN, LOCATION, SERVER, AGENT = (
    name_hash(word) for word in (b"man", b"st", b"nt", b"nts", b"usn", b"location", b"server", b"user-agent"))


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    n = np.int64(data.size)
    at = line_end(data, 0, min(n, 64)) + 1
    if at <= 0:
        return NO
    marks = 0
    for _ in range(64):
        key, start, stop, after = next_field(data, at, n)
        if key == 0:
            break
        at = after
        if key == ST or key == NT or key == USN:
            marks += 1
        elif key == MAN or key == NTS or key == LOCATION:
            marks += 1
        elif key == SERVER or key == AGENT:
            set_agent(facts, inspection, data, start, stop)
    # searches and announcements may be bare; an answer over UDP must say what it is of
    return MINE if marks >= 2 or data[0] != 72 else NO
