"""SMTP: the server's greeting and the client's first commands.

Emits: facts.server_name (the name the server greets with); the risk `clear_text_credentials` for AUTH PLAIN and AUTH LOGIN without TLS.

State: word 0: 1 the greeting was seen, 2 it is SMTP, 4 STARTTLS was asked: TLS begins after the server's answer.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import INSIDE, MINE, MORE, NO, PACKETS, RISKS, Claim, Protocol, parser
from dpi.classify.wire.flow_facts import add_risk
from dpi.classify.wire.greeting import command, set_greeting_name
from dpi.classify.wire.header_lines import begins, find, line_end, name_hash, spelling

Array = np.ndarray[Any, Any]

PORTS = (25, 465, 587, 2525)
PROTOCOL = Protocol(
    name="SMTP", category="mail",
    source="RFC 5321, sections 3.1 and 4.1; RFC 3207; RFC 4954",
    claims=(
        Claim("tcp", match=((0, b"220 ".hex(" ")),), length=(4, 65535)),
        Claim("tcp", match=((0, b"220-".hex(" ")),), length=(4, 65535)),
        *(Claim("tcp", match=((0, word.hex(" ")),), length=(5, 65535)) for word in (b"EHLO ", b"HELO ", b"ehlo ", b"helo ")),
    ),
    fields=("server_name", "risks"),
    port_hints=("tcp/25", "tcp/587"),
)

SMTP, FTP = spelling(b"smtp"), spelling(b"ftp")
EHLO, HELO, AUTH, STARTTLS, DATA, QUIT = (name_hash(word) for word in (b"EHLO", b"HELO", b"AUTH", b"STARTTLS", b"DATA", b"QUIT"))
PLAIN, LOGIN = name_hash(b"AUTH PLAIN"), name_hash(b"AUTH LOGIN")
CREDENTIALS = RISKS.index("clear_text_credentials")


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    state = seen.state
    n = np.int64(data.size)
    word = command(data, n)
    if state[0] & 4 and seen.direction == 1:
        return INSIDE if n > 2 and data[0] == 50 else PACKETS
    if state[0] & 2:
        if word == STARTTLS:
            state[0] |= 4
            return PACKETS
        if word == AUTH and (begins(data, 0, n, 10, PLAIN) or begins(data, 0, n, 10, LOGIN)):
            add_risk(facts, inspection, CREDENTIALS)
        return MINE if word == DATA or word == QUIT or word == AUTH else PACKETS
    if n >= 4 and data[0] == 50 and data[1] == 50 and data[2] == 48 and (data[3] == 32 or data[3] == 45):
        end = line_end(data, 4, min(n, 1024))
        if end < 0:
            return MORE if seen.start == 1 and seen.final == 0 and n < 1024 else NO
        mail = find(data, 4, end, SMTP) >= 0
        usual = seen.server_port == 25 or seen.server_port == 587 or seen.server_port == 2525
        if not mail and (find(data, 4, end, FTP) >= 0 or seen.server_port == 21):
            return NO
        state[0] |= 1
        if not mail and not usual:
            return MORE
        set_greeting_name(facts, inspection, data, 4, end)
        state[0] = 3
        return PACKETS
    if word == EHLO or word == HELO:
        if line_end(data, 5, min(n, 600)) < 0 and seen.start == 1 and seen.final == 0 and n < 600:
            return MORE
        state[0] = 3
        return PACKETS
    return NO
