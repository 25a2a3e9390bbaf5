"""Kerberos 5 over UDP and TCP.

Emits: facts.server_name (the realm).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import MINE, MORE, NAME_HOST, NO, Claim, Protocol, parser
from dpi.classify.wire.ber import enter, skip, small, value_start, value_stop
from dpi.classify.wire.flow_facts import set_name
from dpi.classify.wire.header_lines import host_end
from dpi.classify.wire.integers import be32

Array = np.ndarray[Any, Any]

#: AS-REQ, AS-REP, TGS-REQ, TGS-REP, AP-REQ, AP-REP, KRB-ERROR
TAGS = (0x6A, 0x6B, 0x6C, 0x6D, 0x6E, 0x6F, 0x7E)
PROTOCOL = Protocol(
    name="Kerberos", category="security",
    source="RFC 4120, sections 5.4 to 5.9 and 7.2",
    claims=(
        *(Claim("udp", match=((0, f"{tag:02x}"),), ports=(88, 464, 750), length=(20, 65535)) for tag in TAGS),
        *(Claim("tcp", match=((0, "00 0?"), (4, f"{tag:02x}")), length=(10, 65535)) for tag in TAGS),
        Claim("tcp", ports=(88,), match=((0, "00"),), length=(4, 4)),        # the length in a packet of its own
    ),
    fields=("server_name",),
    port_hints=("udp/88", "tcp/88", "udp/464", "tcp/464"),
)


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    n = np.int64(data.size)
    at = 0
    if seen.ip_protocol == 6:
        if n < 4:
            return NO
        if n < 24:
            return MORE if seen.final == 0 and seen.start == 1 else NO
        at = 4
    if n < at + 10:
        return NO
    tag = np.int64(data[at])
    end = value_stop(data, at, n)
    # the message may go on in the next segment; what is checked lies at its start
    if end < 0 or (at == 4 and end - 4 != be32(data, 0)) or (at == 0 and end != n):
        return NO
    at = value_start(data, at, n)
    if at + 2 > n or data[at] != 0x30 or value_stop(data, at, n) != end:
        return NO
    at = value_start(data, at, n)
    first = 0xA1 if tag == 0x6A or tag == 0x6C else 0xA0
    inner = enter(data, at, n, first)
    if inner < 0 or small(data, inner, n, 2) != 5:
        return NO
    at = skip(data, at, n, first)
    inner = enter(data, at, n, first + 1)
    if inner < 0 or small(data, inner, n, 2) != (tag & 31):
        return NO
    at = skip(data, at, n, first + 1)
    # the realm: req-body [4] { ... realm [2] }, crealm [3] of a reply, realm [9] of an error
    realm = 0xA3
    if tag == 0x6A or tag == 0x6C:
        if at < n and data[at] == 0xA3:
            at = skip(data, at, n, 0xA3)
        at = enter(data, at, n, 0xA4)
        at = enter(data, at, n, 0x30)
        realm = 0xA2
    elif tag == 0x7E:
        realm = 0xA9
    for _ in range(10):
        if at < 0 or at >= n or data[at] > realm:
            break
        if data[at] == realm:
            inner = enter(data, enter(data, at, n, realm), n, 0x1B)
            stop = skip(data, at, n, realm)
            if inner > 0 and host_end(data, inner, stop) == stop:
                set_name(facts, inspection, data, inner, stop, NAME_HOST)
            break
        at = skip(data, at, n, np.int64(data[at]))
    return MINE
