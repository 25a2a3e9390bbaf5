"""STUN and TURN: the attributes of every message checked, over UDP and TCP, with and without the magic cookie.

Emits: facts.server_name (REALM or the TURN server's name), facts.user_agent (SOFTWARE), and the names of calls whose software marks its
messages with attributes of its own.

A binding that was answered ends with INSIDE, so that the DTLS hello behind it is read: what it tells is added, the flow stays STUN.

State: word 0 messages seen and 256 where one was complete.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import GOING, INSIDE, MINE, MORE, NAME_HOST, NO, Claim, Protocol, parser
from dpi.classify.wire.flow_facts import set_agent, set_name
from dpi.classify.wire.header_lines import find, host_end, spelling
from dpi.classify.wire.integers import be16, be32
from dpi.jit import kernel

Array = np.ndarray[Any, Any]

ALSO = ("STUN.WhatsAppCall", "STUN.Skype_TeamsCall", "STUN.SignalVoip", "STUN.TelegramVoip", "STUN.FacebookVoip")
WHATSAPP, TEAMS, SIGNAL, TELEGRAM, FACEBOOK = 1, 2, 3, 4, 5
CALLS = 10      # messages looked at for the marks of a call

PROTOCOL = Protocol(
    name="STUN", category="voip",
    source="RFC 8489, sections 5 and 14; RFC 8656; RFC 3489, section 11; [MS-TURN], section 2.2",
    claims=(
        Claim("udp", match=((4, "21 12 a4 42"),), length=(20, 2048)),
        Claim("tcp", match=((4, "21 12 a4 42"),), length=(20, 65535)),
        Claim("tcp", match=((6, "21 12 a4 42"),), length=(22, 65535)),              # framed: RFC 4571
        Claim("udp", match=((0, "00 01"),), length=(20, 548)),                      # RFC 3489: no cookie
        Claim("udp", match=((0, "01 01"),), length=(20, 548), ports=(3478, 3479)),
    ),
    also=ALSO,
    fields=("server_name", "user_agent"),
    port_hints=("udp/3478", "tcp/3478"),
)

SIGNAL_REALM, WHISPER, TELEGRAM_REALM, FACEBOOK_REALM, WHATSAPP_REALM = (
    spelling(word) for word in (b"signal.org", b"whispersystems.org", b"telegram.org", b"facebook.com", b"whatsapp"))


@kernel
def message_stop(data: Array, at: int, n: int) -> int:
    """Offset after the STUN message at `at`; 0 where there is none; -1 where it is cut."""
    if n - at < 20:
        return -1
    kind = be16(data, at)
    size = be16(data, at + 2)
    method = (kind & 0x000F) | (kind & 0x00E0) >> 1 | (kind & 0x3E00) >> 2
    modern = be32(data, at + 4) == 0x2112A442
    if kind >= 0x4000 or size & 3 != 0 or (modern and method > 0x0FF):
        return 0
    if not modern and (method != 1 or size > 528 or kind > 0x0111):
        return 0
    if at + 20 + size > n:
        return -1 if modern else 0
    return at + 20 + size


@kernel
def attributes(data: Array, at: int, stop: int, inspection: Array, facts: Array) -> int:
    """Walk the attributes in data[at:stop]. Returns the number in ALSO of the call they mark, 0 for none, -1 where they do not fit the message."""
    call = 0
    for _ in range(64):
        if at == stop:
            return call
        if at + 4 > stop:
            return -1
        kind = be16(data, at)
        size = be16(data, at + 2)
        start = at + 4
        at = start + (size + 3 & ~3)
        if at > stop:
            return -1
        if kind == 0x0014 or kind == 0x8003:    # REALM, ALTERNATE-DOMAIN
            end = start + size
            if find(data, start, end, SIGNAL_REALM) >= 0 or find(data, start, end, WHISPER) >= 0:
                call = SIGNAL
            elif find(data, start, end, TELEGRAM_REALM) >= 0:
                call = TELEGRAM
            elif find(data, start, end, FACEBOOK_REALM) >= 0:
                call = FACEBOOK
            elif find(data, start, end, WHATSAPP_REALM) >= 0:
                call = WHATSAPP
            for i in range(start, end):
                if data[i] == 46 and host_end(data, start, end) == end:
                    set_name(facts, inspection, data, start, end, NAME_HOST)
                    break
        elif kind == 0x8022:
            end = start + size
            while end > start and data[end - 1] == 0:
                end -= 1
            set_agent(facts, inspection, data, start, end)
        elif (0x4000 <= kind <= 0x4007) and call == 0:
            call = WHATSAPP
        elif kind == 0x8008 or kind == 0x8050 or kind == 0x8054 or kind == 0x8055 or kind == 0x8070:    # [MS-TURN], [MS-ICE2]
            call = TEAMS
    return -1


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    state = seen.state
    n = np.int64(data.size)
    known = state[0] > 255
    count = np.int64(state[0]) & 255
    seen.protocol = state[1]
    if count >= CALLS:
        return MINE if known else NO
    at = 0
    if seen.ip_protocol == 6 and n >= 10 and be32(data, 6) == 0x2112A442 and be32(data, 4) != 0x2112A442:
        at = 2
    stop = message_stop(data, at, n)
    if stop == -1 and not known and seen.ip_protocol == 6 and seen.final == 0 and n >= 8:
        return MORE
    if stop <= 0 or (seen.ip_protocol == 17 and stop != n):
        # data and channels between the messages of a call
        if known:
            state[0] = 256 | (count + 1)
            return GOING
        return NO
    modern = be32(data, at + 4) == 0x2112A442
    call = attributes(data, at + 20, stop, inspection, facts)
    if call < 0:
        return GOING if known else NO
    if call > 0:
        state[1] = call
        seen.protocol = call
    if modern and seen.ip_protocol == 17 and be16(data, at) == 0x0101 and state[1] == 0:
        return INSIDE       # the path is open: DTLS or media may follow in the same flow (RFC 7983, RFC 8842), and further messages come here again
    if modern or known:
        state[0] = 256 | (count + 1)
        return GOING
    # without the cookie: an answer with the same transaction, or a usual port, must bear it out
    if stop - at > 20 and (seen.server_port == 3478 or seen.client_port == 3478 or seen.server_port == 3479):
        state[0] = 256 | (count + 1)
        return GOING
    mark = be32(data, at + 4) ^ be32(data, at + 16)
    if be16(data, at) == 0x0101 and state[2] == mark and state[3] == 1:
        state[0] = 256 | (count + 1)
        return GOING
    if be16(data, at) == 1:
        state[2] = mark
        state[3] = 1
        state[0] = count + 1
        return MORE
    return NO
