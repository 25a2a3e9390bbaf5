"""DHCP and BOOTP for IPv4.

Emits: facts.user_agent (the client's vendor class).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import MINE, NO, Claim, Protocol, parser
from dpi.classify.wire.flow_facts import set_agent
from dpi.classify.wire.integers import be32

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="DHCP", category="network",
    source="RFC 2131, section 2; RFC 2132, sections 3 and 9",
    claims=(
        Claim("udp", match=((0, "01 ?? ??"), (236, "63 82 53 63")), length=(240, 1500)),
        Claim("udp", match=((0, "02 ?? ??"), (236, "63 82 53 63")), length=(240, 1500)),
    ),
    fields=("user_agent",),
    port_hints=("udp/67", "udp/68"),
)


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    n = np.int64(data.size)
    if n < 240 or data[0] < 1 or data[0] > 2 or data[2] > 16 or be32(data, 236) != 0x63825363:
        return NO
    at = 240
    kind = 0
    for _ in range(256):
        if at >= n or data[at] == 255:
            break
        if data[at] == 0:
            at += 1
            continue
        if at + 2 > n:
            return NO
        size = np.int64(data[at + 1])
        if at + 2 + size > n:
            return NO
        if data[at] == 53:
            if size != 1 or data[at + 2] < 1 or data[at + 2] > 18:
                return NO
            kind = np.int64(data[at + 2])
        elif data[at] == 60:
            set_agent(facts, inspection, data, at + 2, at + 2 + size)
        at += 2 + size
    ports = inspection[0].server_port == 67 or inspection[0].client_port == 67
    return MINE if kind > 0 or ports else NO
