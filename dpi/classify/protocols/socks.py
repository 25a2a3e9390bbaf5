"""SOCKS 4 and 5: a client's greeting borne out by the server's answer.

Emits: facts.server_name (the host a SOCKS 5 or 4a client asks for); the risk `clear_text_credentials` for user name and password.

State: word 0: the version the client spoke, word 1: the method the server chose + 1.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import GOING, INSIDE, MINE, MORE, NAME_HOST, NO, RISKS, Claim, Protocol, parser
from dpi.classify.wire.flow_facts import add_risk, set_name
from dpi.classify.wire.header_lines import host_end
from dpi.jit import kernel

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="SOCKS", category="vpn",
    source="RFC 1928, sections 3 to 6; RFC 1929; the SOCKS 4 and 4A memoranda",
    claims=(
        Claim("tcp", match=((0, "05 0?"),), length=(3, 17)),
        Claim("tcp", match=((0, "04 01"), (-1, "00")), length=(9, 300)),
    ),
    fields=("server_name", "risks"),
    port_hints=("tcp/1080",),
)

CREDENTIALS = RISKS.index("clear_text_credentials")


@kernel
def replied(data: Array, n: int) -> int:
    """The server's bytes after its choice of a method: GOING until its reply is whole (RFC 1928 section 6), then INSIDE, or MINE if it refused."""
    at = 2
    if data[1] == 2:                        # user name and password: two bytes of status first (RFC 1929 section 2)
        at = 4
    if n < at + 5:
        return GOING
    if data[at] != 5:
        return MINE
    kind = data[at + 3]
    size = 10 if kind == 1 else (22 if kind == 4 else 7 + np.int64(data[at + 4]))
    if n < at + size:
        return GOING
    return INSIDE if data[at + 1] == 0 else MINE


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    state = seen.state
    n = np.int64(data.size)
    if n == 0:
        return MORE
    if seen.start == 0:
        return MINE if state[1] != 0 else NO
    if state[0] == 0:
        if data[0] == 4:
            if n < 9 or data[1] != 1 or (data[2] == 0 and data[3] == 0) or data[n - 1] != 0:
                return NO
            if data[4] == 0 and data[5] == 0 and data[6] == 0 and data[7] != 0:     # 4A: the name behind the user's
                begin = n - 1
                while begin > 8 and data[begin - 1] != 0:
                    begin -= 1
                if host_end(data, begin, n - 1) == n - 1:
                    set_name(facts, inspection, data, begin, n - 1, NAME_HOST)
            state[0] = 4
            return MORE
        if n < 3 or data[0] != 5 or n != 2 + np.int64(data[1]) or data[1] == 0:
            return NO
        for i in range(2, n):
            if 9 < data[i] < 0x80 or data[i] == 255:
                return NO
        state[0] = 5
        return MORE
    if seen.direction == 1:
        if state[1] != 0:
            return replied(data, n)
        if state[0] == 4:
            if n != 8 or data[0] != 0 or data[1] < 90 or data[1] > 93:
                return NO
            return INSIDE if data[1] == 90 else MINE
        if n < 2:
            return MORE
        if data[0] != 5 or (n != 2 and data[1] != 0) or (9 < data[1] < 255):
            return NO
        state[1] = np.int64(data[1]) + 1
        if data[1] == 2:
            add_risk(facts, inspection, CREDENTIALS)
        return MINE if data[1] == 255 else GOING
    if state[1] == 0:
        return MORE
    at = 2 + np.int64(data[1]) if n > 1 else n          # the greeting is still in front
    if state[1] == 3 and at + 2 <= n and data[at] == 1:   # user name and password
        at += 2 + np.int64(data[at + 1])
        at += 1 + np.int64(data[at]) if at < n else 0
    if at + 5 > n:
        return GOING
    if data[at] == 5 and data[at + 3] == 3:
        stop = at + 5 + np.int64(data[at + 4])
        if stop > n:
            return GOING
        if host_end(data, at + 5, stop) == stop:
            set_name(facts, inspection, data, at + 5, stop, NAME_HOST)
    return GOING
