"""DNS over UDP and TCP; the queries DNSCrypt begins with.

Emits: a row of `dns` per message; facts.server_name (the first query name of the flow); the addresses of answers, so that the engine can
name the flows that follow (confidence `dns`); the risk `suspicious_dns` for names as tunnels use them.

State: words 0-5 hold the ids and times of the last three queries, 6 and 7 how far each side's TCP stream has been read.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import GOING, MORE, NO, Claim, Protocol, parser
from dpi.classify.wire.dns_message import message_check, message_row
from dpi.classify.wire.header_lines import name_hash, word_hash
from dpi.jit import kernel

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="DNS", category="network",
    source="RFC 1035, sections 4.1 and 4.2; RFC 7766, section 8",
    claims=(
        Claim("udp", ports=(53,), length=(12, 65535)),
        # a query on another port: recursion wanted, one question, no answers
        Claim("udp", match=((2, "01 00 00 01 00 00 00 00 00"),), length=(17, 512)),
        Claim("udp", match=((2, "01 20 00 01 00 00 00 00 00"),), length=(17, 512)),
        Claim("tcp", ports=(53,), length=(2, 65535)),
    ),
    also=("DNScrypt", "AVASTSecureDNS"),
    fields=("dns", "server_name", "risks"),
    port_hints=("udp/53", "tcp/53"),
)


CERTIFICATE, AVAST = name_hash(b"2.dnscrypt-cert."), name_hash(b"securedns.avast.com")


@kernel
def name_certificates(inspection: Array, facts: Array, data: Array) -> None:
    """A flow that asks for the certificates of an encrypted resolver is the beginning of DNSCrypt (a TXT record of a name of fixed form)."""
    known = facts[0]
    length = np.int64(known.server_name_length)
    if length >= 19 and (data[2] & 0x80) == 0:
        if word_hash(known.server_name, 0, 16) == CERTIFICATE:
            inspection[0].protocol = 1
        elif word_hash(known.server_name, length - 19, length) == AVAST and inspection[0].server_port != 53:
            inspection[0].protocol = 2


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    state = seen.state
    n = data.size
    known = state[6] != 0 or state[7] != 0
    usual = seen.server_port == 53 or seen.client_port == 53
    if seen.ip_protocol == 17:
        verdict = message_check(data, 0, n, 0)
        if verdict == 0 or (verdict > 1 and not usual and not known) or message_row(data, 0, n, 0, inspection, facts, outbox) == 0:
            return GOING if known else NO
        state[6] = 1
        name_certificates(inspection, facts, data)
        return GOING
    side = 7 if seen.direction == 1 else 6
    at = np.int64(state[side]) if seen.start == 1 else 0
    for _ in range(16):
        if at + 2 > n:
            break
        size = np.int64(data[at]) << 8 | np.int64(data[at + 1])
        if size < 12:
            return GOING if known else NO
        if at + 2 + size > n:
            break
        if message_check(data, at + 2, at + 2 + size, 0) != 1 or message_row(data, at + 2, at + 2 + size, 0, inspection, facts, outbox) == 0:
            return GOING if known else NO
        at += 2 + size
        known = True
        if seen.start == 1:
            state[side] = at
        elif state[side] == 0:
            state[side] = 1
    if known:
        return GOING
    return NO if seen.final == 1 else MORE
