"""SIP: call signalling, over UDP and TCP.

Emits: facts.server_name (the domain asked), facts.user_agent; the risk `clear_text_credentials` for Basic authorization.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import MINE, MORE, NAME_HOST, NO, RISKS, Claim, Protocol, parser
from dpi.classify.wire.flow_facts import add_risk, set_agent, set_name
from dpi.classify.wire.header_lines import begins, host_end, line_end, name_hash, next_field, until

Array = np.ndarray[Any, Any]

METHODS = (b"INVITE ", b"REGISTER ", b"OPTIONS ", b"SUBSCRIBE ", b"NOTIFY ", b"MESSAGE ", b"ACK ", b"BYE ", b"CANCEL ", b"PRACK ", b"UPDATE ", b"PUBLISH ",
           b"INFO ", b"REFER ")

PROTOCOL = Protocol(
    name="SIP", category="voip",
    source="RFC 3261, sections 7 and 20",
    claims=tuple(Claim(transport, match=((0, word.hex(" ")),), length=(20, 65535)) for transport in ("udp", "tcp") for word in (*METHODS, b"SIP/2.0 ")),
    fields=("server_name", "user_agent", "risks"),
    port_hints=("udp/5060", "tcp/5060"),
)

VERSION, LAST, SIP, SIPS, TEL = (name_hash(word) for word in (b"sip/2.0 ", b" sip/2.0", b"sip:", b"sips:", b"tel:"))
VIA, VIA_SHORT, CALL_ID, CALL_SHORT, CSEQ, AGENT, SERVER, AUTHORIZATION, BASIC = (
    name_hash(word) for word in (b"via", b"v", b"call-id", b"i", b"cseq", b"user-agent", b"server", b"authorization", b"basic "))
CREDENTIALS = RISKS.index("clear_text_credentials")


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    n = np.int64(data.size)
    end = line_end(data, 0, min(n, 1024))
    wait = MORE if seen.ip_protocol == 6 and seen.final == 0 and seen.start == 1 and n < 4096 else NO
    if end < 12:
        return wait if end < 0 else NO
    after = end + 1
    if data[end - 1] == 13:
        end -= 1
    host = host_stop = 0
    if not begins(data, 0, end, 8, VERSION):
        if not begins(data, end - 8, end, 8, LAST):
            return NO
        at = until(data, 0, 17, 32) + 1
        if begins(data, at, end, 4, SIP):
            host = at + 4
        elif begins(data, at, end, 5, SIPS):
            host = at + 5
        elif not begins(data, at, end, 4, TEL):
            return NO
        if host > 0:
            user = until(data, host, end - 8, 64)
            if user < end - 8:
                host = user + 1
            host_stop = host_end(data, host, min(until(data, host, end - 8, 59), end - 8))
    marks = 0
    at = after
    for _ in range(64):
        key, start, stop, after = next_field(data, at, n)
        if key == 0:
            break
        at = after
        if key == VIA or key == VIA_SHORT:
            marks |= 1
        elif key == CALL_ID or key == CALL_SHORT:
            marks |= 2
        elif key == CSEQ:
            marks |= 4
        elif key == AGENT or key == SERVER:
            set_agent(facts, inspection, data, start, stop)
        elif key == AUTHORIZATION and begins(data, start, stop, 6, BASIC):
            add_risk(facts, inspection, CREDENTIALS)
    if marks != 7:
        return wait
    set_name(facts, inspection, data, host, host_stop, NAME_HOST)
    return MINE
