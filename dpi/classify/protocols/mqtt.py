"""MQTT: the client's CONNECT; of a session picked up later, a ping and its answer.

Emits: the risk `clear_text_credentials` for a user name with a password.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import MINE, MORE, NO, RISKS, Claim, Protocol, parser
from dpi.classify.wire.flow_facts import add_risk
from dpi.classify.wire.integers import be16

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="MQTT", category="iot",
    source="MQTT 3.1.1, section 3.1; MQTT 5.0, section 3.1",
    claims=tuple(Claim("tcp", match=((0, "10"), (at, name)), length=(at + 8, 65535))
                 for at in (2, 3, 4) for name in ("00 04 4d 51 54 54", "00 06 4d 51 49 73 64 70")) + (
        Claim("tcp", match=((0, "c0 00"),), length=(2, 2)),),
    fields=("risks",),
    port_hints=("tcp/1883",),
)

CREDENTIALS = RISKS.index("clear_text_credentials")


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    state = seen.state
    n = np.int64(data.size)
    if n == 2 and data[1] == 0 and (data[0] == 0xC0 or data[0] == 0xD0):
        if data[0] == 0xD0:
            return MINE if np.int64(state[0]) == 2 - np.int64(seen.direction) else NO
        state[0] = 1 + np.int64(seen.direction)
        return MORE
    if n == 0 or data[0] != 0x10:
        return NO
    at = 1
    size = 0
    for i in range(4):
        if at >= n:
            return NO
        value = np.int64(data[at])
        size |= (value & 127) << (7 * i)
        at += 1
        if value < 128:
            break
    else:
        return NO
    if at + 2 > n:
        return NO
    name = be16(data, at)
    at += 2 + name
    if (name != 4 and name != 6) or at + 4 > n or size < name + 8:
        return NO
    level = np.int64(data[at]) & 127        # the top bit marks a bridge
    flags = np.int64(data[at + 1])
    if level < 3 or level > 5 or flags & 1 or flags >> 3 & 3 == 3:
        return NO
    if flags & 0xC0 == 0xC0:
        add_risk(facts, inspection, CREDENTIALS)
    return MINE
