"""IMAP: the server's greeting and the client's first tagged commands.

Emits: the risk `clear_text_credentials` for LOGIN and AUTHENTICATE PLAIN without TLS.

State: word 0: 1 the greeting was seen, 2 it is IMAP, 4 STARTTLS was sent: TLS begins after the server's OK.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import INSIDE, MINE, MORE, NO, PACKETS, RISKS, Claim, Protocol, parser
from dpi.classify.wire.flow_facts import add_risk
from dpi.classify.wire.header_lines import find, line_end, name_hash, spelling, until, word_hash

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="IMAP", category="mail",
    source="RFC 9051, sections 6 and 7.1",
    claims=(
        Claim("tcp", match=((0, b"* OK".hex(" ")),), length=(4, 65535)),
        Claim("tcp", match=((0, b"* PREAUTH".hex(" ")),), length=(9, 65535)),
    ),
    fields=("risks",),
    port_hints=("tcp/143",),
)

IMAP, OK = spelling(b"imap"), spelling(b" ok")
CAPABILITY, LOGIN, AUTHENTICATE, STARTTLS, ID, NOOP, LOGOUT = (
    name_hash(word) for word in (b"CAPABILITY", b"LOGIN", b"AUTHENTICATE", b"STARTTLS", b"ID", b"NOOP", b"LOGOUT"))
CREDENTIALS = RISKS.index("clear_text_credentials")


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    state = seen.state
    n = np.int64(data.size)
    if state[0] == 0:
        if n < 4 or data[0] != 42 or data[1] != 32:
            return NO
        end = line_end(data, 2, min(n, 1200))
        if end < 0:
            return MORE if seen.start == 1 and seen.final == 0 and n < 1200 else NO
        state[0] = 1
        if seen.server_port == 143 or find(data, 2, end, IMAP) >= 0:
            state[0] = 3
            return PACKETS
        return MORE
    if seen.direction == 1:
        if state[0] & 4 and n > 2 and data[0] != 42:        # a tagged answer
            return INSIDE if find(data, 0, min(n, 40), OK) > 0 else PACKETS
        return PACKETS if state[0] & 2 else MORE
    tag = until(data, 0, min(n, 20), 32)
    stop = tag + 1
    while stop < n and stop < tag + 16 and 65 <= (data[stop] & 223) <= 90:
        stop += 1
    word = word_hash(data, tag + 1, min(stop, n))
    if word == STARTTLS:
        state[0] = 7
        return PACKETS
    if word == LOGIN or word == AUTHENTICATE or word == LOGOUT:
        if word == LOGIN or (word == AUTHENTICATE and n > stop + 5 and (data[stop + 1] & 223) == 80):
            add_risk(facts, inspection, CREDENTIALS)
        return MINE
    if word == CAPABILITY or word == ID or word == NOOP:
        state[0] = 3
    return PACKETS if state[0] & 2 else NO
