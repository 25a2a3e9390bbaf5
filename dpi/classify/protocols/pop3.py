"""POP3: the server's greeting and the client's first commands.

Emits: the risk `clear_text_credentials` for PASS, AUTH PLAIN and AUTH LOGIN without TLS.

State: word 0: 1 the greeting was seen, 2 it is POP3, 4 STLS was sent: TLS begins after the server's +OK.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import INSIDE, MINE, MORE, NO, PACKETS, RISKS, Claim, Protocol, parser
from dpi.classify.wire.flow_facts import add_risk
from dpi.classify.wire.greeting import command
from dpi.classify.wire.header_lines import begins, find, line_end, name_hash, spelling

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="POP3", category="mail",
    source="RFC 1939, sections 3 to 7; RFC 2595; RFC 5034",
    claims=(Claim("tcp", match=((0, b"+OK".hex(" ")),), length=(3, 65535)),),
    fields=("risks",),
    port_hints=("tcp/110",),
)

POP, DOVECOT = spelling(b"pop"), spelling(b"dovecot")
USER, PASS, APOP, AUTH, CAPA, STLS, QUIT = (name_hash(word) for word in (b"USER", b"PASS", b"APOP", b"AUTH", b"CAPA", b"STLS", b"QUIT"))
PLAIN, LOGIN = name_hash(b"AUTH PLAIN"), name_hash(b"AUTH LOGIN")
CREDENTIALS = RISKS.index("clear_text_credentials")


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    state = seen.state
    n = np.int64(data.size)
    if state[0] == 0:
        if n < 3 or data[0] != 43 or data[1] != 79 or data[2] != 75:
            return NO
        end = line_end(data, 3, min(n, 600))
        if end < 0:
            return MORE if seen.start == 1 and seen.final == 0 and n < 600 else NO
        state[0] = 1
        if seen.server_port == 110 or find(data, 3, end, POP) >= 0 or (find(data, 3, end, DOVECOT) >= 0 and seen.server_port != 4190):
            state[0] = 3
            return PACKETS
        return MORE
    if state[0] & 4 and seen.direction == 1:
        return INSIDE if n > 2 and data[0] == 43 else PACKETS
    word = command(data, n)
    if word == STLS:
        state[0] = 7
        return PACKETS
    if word == PASS or word == APOP or word == QUIT or word == AUTH:
        if word == PASS or (word == AUTH and (begins(data, 0, n, 10, PLAIN) or begins(data, 0, n, 10, LOGIN))):
            add_risk(facts, inspection, CREDENTIALS)
        return MINE
    if word == USER or word == CAPA:
        state[0] = 3
    elif seen.direction == 0 and state[0] == 1:
        return NO
    return PACKETS if state[0] & 2 else MORE
