"""SSH: the identification strings of both sides.

Emits: facts.user_agent (the client's software).

State: word 0 which sides were seen (1 << direction).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import GOING, MINE, MORE, NO, Claim, Protocol, parser
from dpi.classify.wire.flow_facts import set_agent
from dpi.classify.wire.header_lines import line_end

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="SSH", category="remote_access",
    source="RFC 4253, section 4.2",
    claims=(Claim("tcp", match=((0, b"SSH-".hex(" ")),), length=(4, 65535)),),
    fields=("user_agent",),
    port_hints=("tcp/22",),
)


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    state = seen.state
    n = np.int64(data.size)
    known = state[0] != 0
    side = 2 if seen.direction == 1 else 1
    if seen.start == 0 or (state[0] & side) != 0:
        return MINE if known else NO
    if n < 4:
        return GOING if known else MORE
    if data[0] != 83 or data[1] != 83 or data[2] != 72 or data[3] != 45:
        return MINE if known else NO
    end = line_end(data, 0, min(n, 256))
    if end < 0:
        if n < 255 and seen.final == 0:
            return GOING if known else MORE
        return MINE if known else NO
    # SSH-2.0-software: versions 1.x and 2.x exist
    if end < 9 or (data[4] != 49 and data[4] != 50) or data[5] != 46:
        return MINE if known else NO
    at = 6
    while at < end and 48 <= data[at] <= 57:
        at += 1
    if at >= end or data[at] != 45:
        return MINE if known else NO
    if data[end - 1] == 13:
        end -= 1
    if side == 1:
        set_agent(facts, inspection, data, at + 1, end)
    state[0] |= side
    return MINE if state[0] == 3 else GOING
