"""LLMNR: single-label names asked for on the link, on port 5355 over UDP and TCP.

Emits: a row of `dns` per message; facts.server_name (the first name asked for); the addresses of answers.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import GOING, MORE, NO, Claim, Protocol, parser
from dpi.classify.wire.dns_message import message_check, message_row

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="LLMNR", category="network",
    source="RFC 4795, sections 2.1 and 2.4",
    claims=(
        Claim("udp", ports=(5355,), length=(17, 9000)),
        Claim("tcp", ports=(5355,), length=(2, 65535)),
    ),
    fields=("dns", "server_name"),
    port_hints=("udp/5355", "tcp/5355"),
)


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    state = seen.state
    at = 0
    n = data.size
    if seen.ip_protocol == 6:
        # one question and one answer on a connection; whatever follows the first message of a side is left alone
        side = 7 if seen.direction == 1 else 6
        if state[side] != 0:
            return GOING
        if n < 2:
            return NO if seen.final == 1 else MORE
        stop = 2 + (np.int64(data[0]) << 8 | np.int64(data[1]))
        if stop < 14 or (n < stop and seen.final == 1):
            return GOING if state[6] != 0 or state[7] != 0 else NO
        if n < stop:
            return MORE
        n = stop
        at = 2
        state[side] = 1
    if message_check(data, at, n, 2) != 1 or message_row(data, at, n, 2, inspection, facts, outbox) == 0:
        if seen.ip_protocol == 6:
            return NO
        return GOING if state[6] != 0 else NO
    if seen.ip_protocol != 6:
        state[6] = 1
    return GOING
