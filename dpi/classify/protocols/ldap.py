"""LDAP over TCP, and CLDAP over UDP: the first message of a side.

Emits: the risk `clear_text_credentials` for a simple bind with a password.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import MINE, MORE, NO, RISKS, Claim, Protocol, parser
from dpi.classify.wire.ber import enter, skip, small, value_start, value_stop
from dpi.classify.wire.flow_facts import add_risk

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="LDAP", category="network",
    source="RFC 4511, sections 4.1.1, 4.2, 4.5 and 4.12; [MS-ADTS], section 3.1.1.3.2 (CLDAP)",
    claims=(Claim("tcp", match=((0, "30"),), length=(7, 65535)), Claim("udp", match=((0, "30"),), length=(12, 65535))),
    fields=("risks",),
    port_hints=("tcp/389", "udp/389"),
)

CREDENTIALS = RISKS.index("clear_text_credentials")


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    n = np.int64(data.size)
    end = value_stop(data, 0, n)
    at = value_start(data, 0, n)
    if at < 0 or (seen.ip_protocol == 17 and end > n):
        return NO
    number = small(data, at, n, 2)
    at = skip(data, at, n, 2)
    if number < 0 or number > 0x7FFFFFFF or at < 0 or at + 2 > n:
        return NO
    tag = np.int64(data[at])
    close = value_stop(data, at, n)
    inner = value_start(data, at, n)
    if inner < 0 or close > end or (close < end and close < n and data[close] != 0xA0):
        return NO
    if close > n:
        if tag != 0x63 and tag != 0x64 and tag != 0x60 and tag != 0x77 and tag != 0x78:
            return NO
        if inner + 40 > n:
            return MORE if seen.final == 0 and seen.start == 1 and seen.ip_protocol == 6 else NO
    usual = seen.server_port == 389 or seen.server_port == 3268 or seen.client_port == 389
    if tag == 0x60:                             # bind: version, name, simple [0] or sasl [3]
        version = small(data, inner, n, 2)
        inner = skip(data, skip(data, inner, n, 2), n, 4)
        if version < 2 or version > 3 or inner < 0 or inner + 2 > n or (data[inner] != 0x80 and data[inner] != 0xA3):
            return NO
        if data[inner] == 0x80 and data[inner + 1] != 0:
            add_risk(facts, inspection, CREDENTIALS)
        return MINE
    if tag == 0x63:                             # search: base, scope, deref, size, time, types only
        inner = skip(data, inner, n, 4)
        scope = small(data, inner, n, 10)
        inner = skip(data, inner, n, 10)
        aliases = small(data, inner, n, 10)
        inner = skip(data, skip(data, skip(data, inner, n, 10), n, 2), n, 2)
        return MINE if 0 <= scope <= 3 and 0 <= aliases <= 3 and skip(data, inner, n, 1) > 0 else NO
    if tag == 0x61 or tag == 0x65 or tag == 0x78:       # responses: result code, matched name, message
        code = small(data, inner, n, 10)
        inner = skip(data, skip(data, skip(data, inner, n, 10), n, 4), n, 4)
        return MINE if 0 <= code <= 123 and inner > 0 and (inner <= close) else NO
    if tag == 0x77:                             # extended request: [0] an object's dotted name
        inner = enter(data, inner, n, 0x80)
        return MINE if inner > 0 and inner + 2 <= n and data[inner] >= 48 and data[inner] <= 50 and data[inner + 1] == 46 else NO
    if tag == 0x64:                             # an entry: name, attributes
        inner = skip(data, inner, n, 4)
        return MINE if usual and inner > 0 and inner < n and data[inner] == 0x30 else NO
    return MINE if tag == 0x42 and close == inner and usual else NO
