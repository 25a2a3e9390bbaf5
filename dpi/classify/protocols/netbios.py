"""NetBIOS over UDP: the name service and the datagram service.

Emits: facts.server_name (the name asked or told, without its service byte).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import MINE, NAME_DNS, NO, Claim, Protocol, parser
from dpi.classify.wire.integers import be16
from dpi.jit import kernel

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="NetBIOS", category="network",
    source="RFC 1002, sections 4.2 and 4.4; RFC 1001, section 14.1",
    claims=(
        Claim("udp", ports=(137,), length=(12, 1500)),
        Claim("udp", match=((4, "00 01 00 00 00 00 00 ?? 20"),), length=(50, 576)),
        Claim("udp", match=((0, "1? 0?"),), ports=(138,), length=(14, 1500)),
    ),
    also=("SMBv1",),
    fields=("server_name",),
    port_hints=("udp/137", "udp/138", "tcp/139"),
)


@kernel
def name_ok(data: Array, at: int, n: int) -> bool:
    """Is a half-ASCII name (32 letters A to P behind a length of 32) at `at`?"""
    if at + 34 > n or data[at] != 32:
        return False
    bad = 0
    for i in range(at + 1, at + 33):
        if data[i] < 65 or data[i] > 80:
            bad += 1
    return bad == 0


@kernel
def set_half_ascii(facts: Array, inspection: Array, data: Array, at: int) -> None:
    """server_name := the name at `at`, if it is printing ASCII and none is known."""
    known = facts[0]
    if known.server_name_length > 0:
        return
    kept = known.server_name
    length = 0
    for i in range(15):
        c = (np.int64(data[at + 1 + 2 * i]) - 65) << 4 | (np.int64(data[at + 2 + 2 * i]) - 65)
        if c < 32 or c > 126:
            break
        kept[i] = c + 32 if 65 <= c <= 90 else c
        if c != 32:
            length = i + 1
    if length > 0 and kept[0] != 42:
        known.server_name_length = length
        known.name_source = NAME_DNS
        inspection[0].learned = 1


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    n = np.int64(data.size)
    if n < 12:
        return NO
    if seen.server_port == 138 or seen.client_port == 138:
        # datagrams: kind, flags, id, source address and port, then (kinds 10 to 12) length, offset and two names
        if data[0] < 0x10 or data[0] > 0x16 or data[1] > 15 or n < 14:
            return NO
        if data[0] > 0x12:
            return MINE if n <= 14 or name_ok(data, 10, n) else NO
        if not name_ok(data, 14, n):
            return NO
        set_half_ascii(facts, inspection, data, 14)
        if n > 86 and data[82] == 255 and data[83] == 83 and data[84] == 77 and data[85] == 66:
            seen.protocol = 1       # a mailslot: browsing and logons are SMB transactions inside
        return MINE
    if seen.server_port == 53:
        return NO               # such questions to a DNS server are DNS
    flags = be16(data, 2)
    opcode = flags >> 11 & 15
    questions = be16(data, 4)
    answers = be16(data, 6)
    if questions > 1 or answers > 1 or be16(data, 8) > 1 or be16(data, 10) > 1 or not (opcode == 0 or 5 <= opcode <= 9 or opcode == 15):
        return NO
    if questions + answers == 0 or (flags >> 15 == 0 and questions == 0) or not name_ok(data, 12, n):
        return NO
    at = 12 + 34
    while at < n and at < 12 + 34 + 222 and data[at - 1] != 0:     # the rest of the name is its scope
        at += 1
    if at + 4 > n or (be16(data, at) != 0x20 and be16(data, at) != 0x21) or be16(data, at + 2) != 1:
        return NO
    set_half_ascii(facts, inspection, data, 12)
    return MINE
