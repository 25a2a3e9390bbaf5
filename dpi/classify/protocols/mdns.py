"""mDNS: names and services of a local network, on UDP port 5353.

Emits: a row of `dns` per message; facts.server_name (the first name asked for or told); host names with their addresses.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import GOING, NO, Claim, Protocol, parser
from dpi.classify.wire.dns_message import message_check, message_row

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="mDNS", category="network",
    source="RFC 6762, sections 3, 5, 6 and 18",
    claims=(Claim("udp", ports=(5353,), length=(12, 9000)),),
    fields=("dns", "server_name"),
    port_hints=("udp/5353",),
)


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    state = seen.state
    verdict = message_check(data, 0, data.size, 1)
    if verdict == 0 or (verdict == 2 and state[6] == 0) or message_row(data, 0, data.size, 1, inspection, facts, outbox) == 0:
        return GOING if state[6] != 0 else NO
    state[6] = 1
    return GOING
