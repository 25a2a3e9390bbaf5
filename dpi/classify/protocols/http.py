"""HTTP/1: requests and responses, over any TCP port.

Emits: a row of `http` for each request with its response; facts.server_name (Host, or the authority asked of a proxy), facts.user_agent;
the risks `clear_text_credentials` and `binary_transfer`. Query strings, cookies and credentials are never kept.

The head of the first request and of the first response may come in any pieces. After them single packets are looked at: those that begin
with a request line or a status line. A request waits in `memory` for its response; the next request, or a call without bytes at the end of
the flow, writes it without one.

State: word 0 what was seen (REQUEST, RESPONSE), word 1 the number in `also`, word 2 whether a request waits, word 3 whether it is a CONNECT.
Memory: request time at 0, length at 8 (8 bytes each, little-endian), version at 16, ends of five texts at 18, the texts from 32.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import GOING, INSIDE, MINE, MORE, NAME_HOST, NO, PACKETS, RISKS, SMALL, Claim, Protocol, parser
from dpi.classify.wire.flow_facts import add_risk, set_agent, set_name
from dpi.classify.wire.header_lines import begins, decimal, find, head_end, host_end, name_hash, next_field, spelling, until, word_hash
from dpi.classify.wire.http_message import CONNECT, DAV, POST, RPC, method_kind, request_line, status_line, target_parts
from dpi.classify.wire.rows import number, open_row, text
from dpi.jit import kernel

Array = np.ndarray[Any, Any]

REQUEST, RESPONSE = 1, 2
ALSO = ("HTTP_Connect", "HTTP_Proxy", "WebSocket", "WebDAV", "IPP", "OCSP", "MS-RPCH", "SOAP", "HLS", "MpegDash", "IceCast", "JSON-RPC",
        "BitTorrent")
TUNNELLED, PROXIED, SOCKET, DAV_NAME, PRINT, STATUS_CHECK, RPC_NAME, SOAP, HLS, DASH, ICECAST, JSON_RPC, TRACKER = range(1, 14)
CREDENTIALS = RISKS.index("clear_text_credentials")
BINARY = RISKS.index("binary_transfer")


def _starts(*words: bytes) -> tuple[Claim, ...]:
    return tuple(Claim("tcp", match=((0, word.hex(" ")),), length=(len(word), 65535)) for word in words)


PROTOCOL = Protocol(
    name="HTTP", category="web",
    source="RFC 9110, RFC 9112; RFC 6455 (WebSocket), RFC 4918 (WebDAV), RFC 8010 (IPP), RFC 6960 (OCSP)",
    claims=(
        *_starts(b"GET ", b"POST ", b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS ", b"TRACE ", b"CONNECT ", b"PATCH ", b"NOTIFY ", b"SUBSCRIBE ",
                 b"UNSUBSCRIBE ", b"PROPFIND ", b"PROPPATCH ", b"MKCOL ", b"COPY ", b"MOVE ", b"LOCK ", b"UNLOCK ", b"REPORT ", b"SEARCH ", b"ACL ",
                 b"MERGE ", b"CHECKOUT ", b"MKACTIVITY ", b"BITS_POST ", b"CCM_POST ", b"RPC_IN_DATA ", b"RPC_OUT_DATA ", b"RPC_CONNECT ", b"HTTP/1."),
        # a request split inside its first word
        *(Claim("tcp", match=((0, f"{first:02x}"),), ports=(80, 8080, 8000, 8888, 3128), length=(1, 8)) for first in b"GPHDOTCMSR"),
    ),
    also=ALSO,
    fields=("http", "server_name", "user_agent", "risks"),
    memory=SMALL,
    packet_starts=bytes(range(65, 91)),     # methods and HTTP/
    port_hints=("tcp/80", "tcp/8080"),
)

HOST, USER_AGENT, REFERER, LENGTH, TYPE = (name_hash(word) for word in (b"host", b"user-agent", b"referer", b"content-length", b"content-type"))
AUTHORIZATION, PROXY_AUTHORIZATION = name_hash(b"authorization"), name_hash(b"proxy-authorization")
SERVER, UPGRADE, SOAP_ACTION, ICY_NAME = (name_hash(word) for word in (b"server", b"upgrade", b"soapaction", b"icy-name"))
INFO_HASH = spelling(b"info_hash=")
BASIC, WEBSOCKET, FORM = name_hash(b"basic "), name_hash(b"websocket"), name_hash(b"application/x-www-form-urlencoded")
T_IPP, T_OCSP_REQUEST, T_OCSP_RESPONSE = (
    name_hash(word) for word in (b"application/ipp", b"application/ocsp-request", b"application/ocsp-response"))
T_HLS, T_HLS_OLD, T_DASH, T_JSON_RPC = (
    name_hash(word) for word in (b"application/vnd.apple.mpegurl", b"application/x-mpegurl", b"application/dash+xml", b"application/json-rpc"))
T_EXE, T_MSDOWNLOAD, T_DOSEXEC, T_APK = (name_hash(word) for word in (
    b"application/x-msdos-program", b"application/x-msdownload", b"application/x-dosexec", b"application/vnd.android.package-archive"))
PASSWORD, PASSWD, PWD, PASS = (name_hash(word) for word in (b"password", b"passwd", b"pwd", b"pass"))


@kernel
def put_word(memory: Array, at: int, value: int) -> None:
    """Keep a number in eight bytes of memory."""
    for i in range(8):
        memory[at + i] = value >> (8 * i) & 255


@kernel
def get_word(memory: Array, at: int) -> int:
    """The number put_word kept."""
    value = np.int64(0)
    for i in range(8):
        value |= np.int64(memory[at + i]) << (8 * i)
    return value


@kernel
def type_name(data: Array, start: int, stop: int) -> int:
    """The number in ALSO a content type stands for, 0 for none."""
    word = word_hash(data, start, until(data, start, stop, 59))
    if word == T_IPP:
        return PRINT
    if word == T_OCSP_REQUEST or word == T_OCSP_RESPONSE:
        return STATUS_CHECK
    if word == T_HLS or word == T_HLS_OLD:
        return HLS
    if word == T_DASH:
        return DASH
    if word == T_JSON_RPC:
        return JSON_RPC
    return 0


@kernel
def has_password(data: Array, at: int, stop: int) -> bool:
    """Does a form (name=value&...) carry a password? The first 1024 bytes are looked at."""
    stop = min(stop, at + 1024)
    while at < stop:
        equals = until(data, at, stop, 61)
        after = until(data, at, stop, 38)
        if at < equals and equals + 1 < after:
            word = word_hash(data, at, equals)
            if word == PASSWORD or word == PASSWD or word == PWD or word == PASS:
                return True
        at = after + 1
    return False


@kernel
def keep_text(memory: Array, k: int, data: Array, start: int, stop: int, most: int) -> None:
    """Append text k of the waiting request, cut to `most` bytes."""
    at = np.int64(memory[16 + 2 * k]) | np.int64(memory[17 + 2 * k]) << 8 if k > 0 else 0
    count = max(0, min(stop - start, most, 880 - at))
    to = np.uint64(32 + at)
    begin = np.uint64(start)
    for i in range(np.uint64(count)):
        memory[to + np.uint64(i)] = data[begin + np.uint64(i)]
    at += count
    memory[18 + 2 * k] = at & 255
    memory[19 + 2 * k] = at >> 8


@kernel
def kept_end(memory: Array, k: int) -> int:
    """Where text k of the waiting request ends."""
    return 32 + min(np.int64(memory[18 + 2 * k]) | np.int64(memory[19 + 2 * k]) << 8, 880)


@kernel
def release(inspection: Array, outbox: Array, memory: Array) -> int:
    """Open the row of the waiting request (or an empty one) with all it says but the referer. Returns the row."""
    seen = inspection[0]
    state = seen.state
    row = open_row(outbox, inspection, 3)
    number(outbox, row, 1, -1)
    number(outbox, row, 2, -1)
    number(outbox, row, 3, -1)
    if state[2] == 0 or row < 0:
        return row
    begun = get_word(memory, 0)
    outbox[row].time = begun
    outbox[row].direction = 0
    number(outbox, row, 1, get_word(memory, 8) - 1)
    number(outbox, row, 4, np.int64(memory[16]))
    number(outbox, row, 5, begun)
    start = 32
    for k in range(4):
        text(outbox, row, k, memory, start, kept_end(memory, k))
        start = kept_end(memory, k)
    return row


@kernel
def unanswered(inspection: Array, outbox: Array, memory: Array) -> None:
    """Write the waiting request, if there is one, without a response."""
    state = inspection[0].state
    if state[2] != 0:
        row = release(inspection, outbox, memory)
        text(outbox, row, 6, memory, kept_end(memory, 3), kept_end(memory, 4))
        state[2] = 0


@kernel
def request(data: Array, n: int, version: int, method: int, target: int, at: int, stop: int, inspection: Array, facts: Array, outbox: Array,
            memory: Array) -> None:
    """Take the request whose first line is known; its head is data[0:stop], whole or the part of it that is there."""
    seen = inspection[0]
    state = seen.state
    unanswered(inspection, outbox, memory)
    host = host_stop = agent = agent_stop = referer = referer_stop = 0
    length = 0
    form = False
    word = word_hash(data, 0, method)
    kind = method_kind(word)
    name = 0
    if kind == DAV:
        name = DAV_NAME
    elif kind == RPC:
        name = RPC_NAME
    for _ in range(128):
        key, start, end, after = next_field(data, at, stop)
        if key == 0:
            break
        at = after
        if key == HOST and host_stop == 0:
            host = start
            host_stop = end
        elif key == USER_AGENT and agent_stop == 0:
            agent = start
            agent_stop = end
        elif key == REFERER:
            referer = start
            referer_stop = end
        elif key == LENGTH:
            length = decimal(data, start, end) + 1
        elif key == TYPE:
            form = begins(data, start, end, 33, FORM)
            if type_name(data, start, end) > 0:
                name = type_name(data, start, end)
        elif key == AUTHORIZATION or key == PROXY_AUTHORIZATION:
            if begins(data, start, end, 6, BASIC) and end > start + 6:
                add_risk(facts, inspection, CREDENTIALS)
        elif key == SOAP_ACTION and name == 0:
            name = SOAP
    authority, authority_stop, path, path_stop = target_parts(data, method + 1, target)
    if word == CONNECT:
        authority = path = path_stop = method + 1
        authority_stop = target
        name = TUNNELLED
    elif authority_stop > authority and name == 0:
        name = PROXIED
    elif path_stop - path >= 7 and find(data, path_stop, min(target, path_stop + 256), INFO_HASH) > 0:
        name = TRACKER
    if authority_stop > authority:
        if authority > method + 1 and data[authority - 1] == 64:
            add_risk(facts, inspection, CREDENTIALS)
        host = authority
        host_stop = authority_stop
    host_stop = min(host_end(data, host, host_stop), host + 253)
    if (path_stop < target and has_password(data, path_stop + 1, target)) or (form and word == POST and has_password(data, stop, n)):
        add_risk(facts, inspection, CREDENTIALS)
    set_name(facts, inspection, data, host, host_stop, NAME_HOST)
    set_agent(facts, inspection, data, agent, agent_stop)
    put_word(memory, 0, np.int64(seen.time))
    put_word(memory, 8, length)
    memory[16] = version
    keep_text(memory, 0, data, 0, method, 16)
    keep_text(memory, 1, data, host, host_stop, 253)
    keep_text(memory, 2, data, path, path_stop, 230)
    keep_text(memory, 3, data, agent, agent_stop, 176)
    cut = until(data, referer, referer_stop, 63)
    keep_text(memory, 4, data, referer, until(data, referer, cut, 35), 85)
    # lower case where it is read again: the host is compared as a name
    for i in range(kept_end(memory, 0), kept_end(memory, 1)):
        if 65 <= memory[i] <= 90:
            memory[i] += 32
    state[2] = 1
    state[3] = 1 if word == CONNECT else 0
    if name > 0 and state[1] != TUNNELLED:
        state[1] = name


@kernel
def response(data: Array, n: int, status: int, version: int, at: int, stop: int, inspection: Array, facts: Array, outbox: Array, memory: Array) -> None:
    """Take the response whose first line is known and whose head ends at `stop`, and write the row."""
    seen = inspection[0]
    state = seen.state
    sort = sort_stop = server = server_stop = 0
    length = -1
    name = 0
    for _ in range(128):
        key, start, end, after = next_field(data, at, stop)
        if key == 0:
            break
        at = after
        if key == LENGTH:
            length = decimal(data, start, end)
        elif key == TYPE:
            sort = start
            sort_stop = end
            name = max(name, type_name(data, start, end))
            kind = word_hash(data, start, end)
            if kind == T_EXE or kind == T_MSDOWNLOAD or kind == T_DOSEXEC or kind == T_APK:
                add_risk(facts, inspection, BINARY)
        elif key == SERVER:
            server = start
            server_stop = end
        elif key == UPGRADE and status == 101:
            if begins(data, start, end, 9, WEBSOCKET):
                name = SOCKET
        elif key == ICY_NAME:
            name = ICECAST
    if stop + 4 <= n and data[stop] == 127 and data[stop + 1] == 69 and data[stop + 2] == 76 and data[stop + 3] == 70:
        add_risk(facts, inspection, BINARY)
    row = release(inspection, outbox, memory)
    number(outbox, row, 0, status)
    number(outbox, row, 2, length)
    if state[2] != 0:
        number(outbox, row, 3, max(np.int64(-1), np.int64(seen.time) - get_word(memory, 0)))
    else:
        number(outbox, row, 4, version)
    sort_stop = min(until(data, sort, sort_stop, 59), sort + 60)
    text(outbox, row, 4, data, sort, sort_stop)
    text(outbox, row, 5, data, server, min(server_stop, server + 60))
    if state[2] != 0:
        text(outbox, row, 6, memory, kept_end(memory, 3), kept_end(memory, 4))
    state[2] = 0
    if name > 0 and state[1] != TUNNELLED:
        state[1] = name


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    answer = exchange(data, inspection, facts, outbox, memory)
    inspection[0].idle = 1 if inspection[0].state[2] == 0 else 0
    return answer


@kernel
def exchange(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """What begins here: a request, a response, or neither."""
    seen = inspection[0]
    state = seen.state
    n = np.int64(data.size)
    flags = np.int64(state[0])
    seen.protocol = state[1]
    if n == 0:
        if seen.final == 1:
            unanswered(inspection, outbox, memory)
        return PACKETS if flags != 0 else NO
    whole = seen.start == 0 or seen.final == 1       # take what is there: nothing can be waited for
    waiting = GOING if flags != 0 else MORE
    if data[0] == 72 and n > 1 and data[1] == 84:       # "HT"
        if seen.start == 1 and flags & RESPONSE:
            return PACKETS
        at = 0
        for _ in range(4):
            status, version, after = status_line(data, at, n)
            if status == 0:
                break
            end = head_end(data, max(after - 2, 0), n) if status > 0 else -1
            if not whole and end < 0:
                return waiting
            if status < 0:
                break
            if status >= 200 or status == 101:
                seen.done = n
                response(data, n, status, version, after, end if end >= 0 else n, inspection, facts, outbox, memory)
                seen.protocol = state[1]
                state[0] = flags | RESPONSE
                if state[3] == 1 and status < 300:
                    return INSIDE
                if status == 101:
                    return MINE
                return PACKETS if flags & REQUEST or seen.midstream == 1 or seen.start == 0 else GOING
            at = end        # an interim response: the final one follows
            flags |= RESPONSE << 2
            if at < 0 or at >= n:
                return PACKETS if whole else GOING
        return PACKETS if flags != 0 else NO
    if seen.start == 1 and flags & REQUEST:
        if seen.direction == 0:     # the rest of the request; of a response one byte may be here so far
            seen.done = n
        return PACKETS if flags & RESPONSE or seen.final == 1 else GOING
    if data[0] < 65 or data[0] > 90:
        return PACKETS if flags != 0 else NO
    version, method, target, after = request_line(data, n)
    if version == 0:
        return PACKETS if flags != 0 else NO
    end = head_end(data, max(after - 2, 0), n) if version > 0 else -1
    if not whole and end < 0:
        return waiting
    if version < 0:
        if method == 0 or target - method < 2 or (data[method + 1] != 47 and method_kind(word_hash(data, 0, method)) != 2):
            return PACKETS if flags != 0 else NO
        version = 11
    request(data, n, version, method, target, after, end if end >= 0 else n, inspection, facts, outbox, memory)
    seen.protocol = state[1]
    seen.done = n
    state[0] = flags | REQUEST
    return PACKETS if whole or flags & RESPONSE else GOING
