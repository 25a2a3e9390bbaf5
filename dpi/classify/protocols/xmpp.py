"""XMPP (Jabber): the opening of an XML stream.

Emits: facts.server_name (the `to` of the client's stream, the `from` of the server's).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import MINE, MORE, NAME_HOST, NO, Claim, Protocol, parser
from dpi.classify.wire.flow_facts import set_name
from dpi.classify.wire.header_lines import find, host_end, spelling, until

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="Jabber", category="messaging",
    source="RFC 6120, section 4.7",
    claims=(Claim("tcp", match=((0, b"<?xml ".hex(" ")),), length=(6, 65535)), Claim("tcp", match=((0, b"<stream:stream ".hex(" ")),), length=(15, 65535))),
    fields=("server_name",),
    port_hints=("tcp/5222", "tcp/5269"),
)

STREAM, SPACE, TO, FROM = (spelling(word) for word in (b"<stream:stream", b"http://etherx.jabber.org/streams", b" to=", b" from="))


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    n = np.int64(data.size)
    limit = min(n, 1024)
    begin = find(data, 0, limit, STREAM)
    end = until(data, max(begin, 0), limit, 62)
    if begin < 0 or end == limit:
        if seen.start == 0 or seen.final == 1 or limit == 1024:
            return NO
        return MORE if begin >= 0 or n < 160 else NO
    if find(data, begin, end, SPACE) < 0:
        return NO
    at = find(data, begin, end, TO) + 5
    if seen.direction == 1:
        at = find(data, begin, end, FROM) + 7
    if at > begin + 6 and (data[at - 1] == 34 or data[at - 1] == 39):
        stop = until(data, at, end, np.int64(data[at - 1]))
        if host_end(data, at, stop) == stop:
            set_name(facts, inspection, data, at, stop, NAME_HOST)
    return MINE
