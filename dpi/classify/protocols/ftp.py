"""FTP control connections: the server's greeting and the client's first commands.

Emits: the risk `clear_text_credentials` for PASS without TLS.

State: word 0: 1 the greeting was seen, 2 it is FTP, 4 AUTH was sent: TLS begins after the server's 234.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import INSIDE, MINE, MORE, NO, PACKETS, RISKS, Claim, Protocol, parser
from dpi.classify.wire.flow_facts import add_risk
from dpi.classify.wire.greeting import command
from dpi.classify.wire.header_lines import find, line_end, name_hash, spelling

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="FTP_CONTROL", category="file_transfer",
    source="RFC 959, sections 4.1 and 4.2; RFC 4217",
    claims=(
        Claim("tcp", match=((0, b"220 ".hex(" ")),), length=(4, 65535)),
        Claim("tcp", match=((0, b"220-".hex(" ")),), length=(4, 65535)),
        Claim("tcp", match=((0, b"USER ".hex(" ")),), length=(6, 512), ports=(21,)),
    ),
    fields=("risks",),
    port_hints=("tcp/21",),
)

FTP, SMTP = spelling(b"ftp"), spelling(b"smtp")
USER, PASS, AUTH, FEAT, SYST, OPTS, HOST, QUIT = (
    name_hash(word) for word in (b"USER", b"PASS", b"AUTH", b"FEAT", b"SYST", b"OPTS", b"HOST", b"QUIT"))
CREDENTIALS = RISKS.index("clear_text_credentials")


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    state = seen.state
    n = np.int64(data.size)
    if n >= 4 and data[0] == 50 and data[1] == 50 and data[2] == 48 and (data[3] == 32 or data[3] == 45) and state[0] & 2 == 0:
        end = line_end(data, 4, min(n, 1024))
        if end < 0:
            return MORE if seen.start == 1 and seen.final == 0 and n < 1024 else NO
        if find(data, 4, end, SMTP) >= 0:
            return NO
        if find(data, 4, end, FTP) >= 0 or seen.server_port == 21:
            state[0] = 3
            return PACKETS
        state[0] |= 1
        return MORE
    word = command(data, n)
    if word == PASS and state[0] & 2:
        add_risk(facts, inspection, CREDENTIALS)
        return MINE
    if state[0] & 4 and seen.direction == 1:
        return INSIDE if n > 2 and data[0] == 50 and data[1] == 51 else PACKETS
    if word == AUTH and state[0] != 0:
        state[0] = 7
        return PACKETS
    if word == QUIT:
        return MINE if state[0] != 0 else NO
    if word == USER or word == FEAT or word == SYST or word == OPTS or word == HOST:
        if state[0] != 0 or (word == USER and seen.server_port == 21):
            state[0] = 3
            return PACKETS
    return PACKETS if state[0] & 2 else NO
