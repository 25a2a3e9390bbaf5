"""HTTP/2 without TLS: the connection preface, then header blocks.

Emits: a row of `http` (version 20) for each request with its response; facts.server_name (:authority), facts.user_agent, the risk
`clear_text_credentials`.

Header compression has state, so a side can be read only while its stream is whole: the first bytes the engine keeps of each direction. Once
a side cannot be followed any more (its buffer is full, a block is broken or is spread over CONTINUATION frames) no more rows come from it.

State: words 0 and 1 how far each side's stream has been read, word 2 flags (1 recognised, 2 << side: side lost), word 3 gRPC.
Memory: two HPACK tables, a scratch for one value, two values of a response, four waiting requests.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import GOING, LARGE, MINE, MORE, NAME_HOST, NO, RISKS, Claim, Protocol, parser
from dpi.classify.wire.flow_facts import add_risk, set_agent, set_name
from dpi.classify.wire.header_lines import begins, decimal, host_end, name_hash, put_lower, until
from dpi.classify.wire.hpack import (
    AUTHORITY,
    AUTHORIZATION,
    CONTENT_TYPE,
    HOST,
    LENGTH,
    METHOD,
    PATH,
    SCRATCH,
    SERVER,
    STATUS,
    TABLE,
    USER_AGENT,
    next_header,
    set_word,
    word,
)
from dpi.classify.wire.rows import number, open_row, text
from dpi.jit import kernel

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="HTTP2", category="web",
    source="RFC 9113, sections 3.4, 4 and 6.2; RFC 7541",
    claims=(Claim("tcp", match=((0, b"PRI * HTTP/2.0\r\n".hex(" ")),), length=(16, 65535)),),
    also=("gRPC",),
    fields=("http", "server_name", "user_agent", "risks"),
    memory=LARGE,
)

CREDENTIALS = RISKS.index("clear_text_credentials")
BASIC, GRPC = name_hash(b"basic "), name_hash(b"application/grpc")
PREFACE = np.frombuffer(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", np.uint8).astype(np.int64)
VALUE = 2 * TABLE               # one decoded value
ANSWER = VALUE + SCRATCH        # content type and server of a response: a length, then up to 60 bytes, each
WAITING = ANSWER + 122          # waiting requests: stream, time (8 bytes), method, authority, path, user agent: a length, then the bytes
REQUEST = 516
PLACES = 4
FIELD_AT = np.array([12, 25, 154, 335], np.int64)       # the four texts inside a request
FIELD_MOST = np.array([12, 128, 180, 176], np.int64)
assert WAITING + PLACES * REQUEST <= 8192


@kernel
def put_value(memory: Array, at: int, most: int, start: int, length: int) -> None:
    """Keep memory[start:start + length], cut to `most`, at `at` with its length in front."""
    count = min(length, most)
    memory[at] = count
    for i in range(count):
        memory[at + 1 + i] = memory[start + i]


@kernel
def place_of(memory: Array, stream: int) -> int:
    """Where the request of `stream` (+1, so that 0 is a free place) waits; -1 where it does not."""
    for i in range(PLACES):
        if word(memory, WAITING + i * REQUEST) == stream:
            return WAITING + i * REQUEST
    return -1


@kernel
def answered(memory: Array, place: int, status: int, length: int, inspection: Array, outbox: Array) -> None:
    """Write the row of the request at `place`; status 0 where no response was seen."""
    seen = inspection[0]
    begun = word(memory, place + 4) | word(memory, place + 8) << 32
    row = open_row(outbox, inspection, 3)
    if row >= 0:
        outbox[row].time = begun
        outbox[row].direction = 0
    number(outbox, row, 0, status)
    number(outbox, row, 1, -1)
    number(outbox, row, 2, length)
    number(outbox, row, 3, max(np.int64(-1), np.int64(seen.time) - begun) if status > 0 else -1)
    number(outbox, row, 4, 20)
    number(outbox, row, 5, begun)
    for k in range(4):
        at = place + FIELD_AT[k]
        stop = at + 1 + np.int64(memory[at])
        if k == 1:
            put_lower(outbox, row, k, memory, at + 1, host_end(memory, at + 1, stop))
        else:
            text(outbox, row, k, memory, at + 1, until(memory, at + 1, stop, 63) if k == 2 else stop)
    if status > 0:
        text(outbox, row, 4, memory, ANSWER + 1, until(memory, ANSWER + 1, ANSWER + 1 + np.int64(memory[ANSWER]), 59))
        text(outbox, row, 5, memory, ANSWER + 62, ANSWER + 62 + np.int64(memory[ANSWER + 61]))
    set_word(memory, place, 0)


@kernel
def request_block(data: Array, at: int, stop: int, stream: int, inspection: Array, facts: Array, outbox: Array, memory: Array) -> bool:
    """Read a request's header block. False where it is broken."""
    seen = inspection[0]
    place = place_of(memory, 0)
    if place < 0:
        # more at once than are kept: the oldest is written as it stands
        place = WAITING
        for i in range(1, PLACES):
            if word(memory, WAITING + i * REQUEST) < word(memory, place):
                place = WAITING + i * REQUEST
        answered(memory, place, 0, -1, inspection, outbox)
    for k in range(4):
        memory[place + FIELD_AT[k]] = 0
    fields = 0
    for _ in range(256):
        if at >= stop:
            break
        kind, length, at = next_header(data, at, stop, memory, 0, VALUE)
        if kind < 0:
            return False
        fields += 1
        k = -1
        if kind == METHOD:
            k = 0
        elif kind == AUTHORITY or (kind == HOST and memory[place + FIELD_AT[1]] == 0):
            k = 1
        elif kind == PATH:
            k = 2
        elif kind == USER_AGENT:
            k = 3
        elif kind == CONTENT_TYPE and begins(memory, VALUE, VALUE + length, 16, GRPC):
            seen.state[3] = 1
        elif kind == AUTHORIZATION and begins(memory, VALUE, VALUE + length, 6, BASIC):
            add_risk(facts, inspection, CREDENTIALS)
        if k >= 0:
            put_value(memory, place + FIELD_AT[k], FIELD_MOST[k], VALUE, length)
    if memory[place + FIELD_AT[0]] == 0:
        return fields > 0       # trailers: no request of their own
    set_word(memory, place, stream + 1)
    set_word(memory, place + 4, np.int64(seen.time) & 0xFFFFFFFF)
    set_word(memory, place + 8, np.int64(seen.time) >> 32)
    host = place + FIELD_AT[1] + 1
    set_name(facts, inspection, memory, host, host_end(memory, host, host + np.int64(memory[host - 1])), NAME_HOST)
    agent = place + FIELD_AT[3] + 1
    set_agent(facts, inspection, memory, agent, agent + np.int64(memory[agent - 1]))
    return True


@kernel
def response_block(data: Array, at: int, stop: int, stream: int, inspection: Array, outbox: Array, memory: Array) -> bool:
    """Read a response's header block and write the row of its request. False where it is broken."""
    status = 0
    size = -1
    memory[ANSWER] = 0
    memory[ANSWER + 61] = 0
    for _ in range(256):
        if at >= stop:
            break
        kind, length, at = next_header(data, at, stop, memory, TABLE, VALUE)
        if kind < 0:
            return False
        if kind == STATUS:
            status = decimal(memory, VALUE, VALUE + length)
        elif kind == LENGTH:
            size = decimal(memory, VALUE, VALUE + length)
        elif kind == CONTENT_TYPE:
            put_value(memory, ANSWER, 60, VALUE, length)
        elif kind == SERVER:
            put_value(memory, ANSWER + 61, 60, VALUE, length)
    place = place_of(memory, stream + 1)
    if status >= 200 and place >= 0:
        answered(memory, place, status, size, inspection, outbox)
    return True


@kernel
def frames(data: Array, at: int, side: int, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """Read the frames from `at`. Returns how far it came, -1 where the stream cannot be followed any more."""
    n = data.size
    for _ in range(20):     # at most one row each, and ROOM for them
        if at + 9 > n:
            return at
        size = np.int64(data[at]) << 16 | np.int64(data[at + 1]) << 8 | np.int64(data[at + 2])
        kind = data[at + 3]
        flags = np.int64(data[at + 4])
        stream = (np.int64(data[at + 5]) & 127) << 24 | np.int64(data[at + 6]) << 16 | np.int64(data[at + 7]) << 8 | np.int64(data[at + 8])
        if kind == 9 or kind == 5 or (kind == 1 and flags & 4 == 0):
            return -1       # blocks in several frames, and pushed ones, are not followed
        if at + 9 + size > n:
            return at
        if kind == 1:
            start = at + 9
            stop = start + size
            if flags & 8:
                if start >= stop:
                    return -1
                stop -= np.int64(data[start])
                start += 1
            if flags & 32:
                start += 5
            if start > stop:
                return -1
            if side == 0 and not request_block(data, start, stop, stream, inspection, facts, outbox, memory):
                return -1
            if side == 1 and not response_block(data, start, stop, stream, inspection, outbox, memory):
                return -1
        at += 9 + size
    return at


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    state = seen.state
    side = 1 if seen.direction == 1 else 0
    seen.protocol = state[3]
    if seen.start == 0 or memory.size < 8192:
        return MINE if state[2] & 1 else NO
    at = np.int64(state[side])
    n = np.int64(data.size)
    if state[2] == 0:
        for i in range(min(n, 24)):
            if data[i] != PREFACE[i]:
                return NO
        if n < 24:
            return NO if seen.final == 1 else MORE
        for i in range(memory.size):
            memory[i] = 0
        set_word(memory, 12, 4096)
        set_word(memory, TABLE + 12, 4096)
        state[2] = 1
        at = 24
    if state[2] & (2 << side) == 0:
        at = frames(data, at, side, inspection, facts, outbox, memory)
        if at < 0 or seen.final == 1:
            state[2] |= 2 << side
            at = 0
        state[side] = at
    seen.protocol = state[3]
    if state[2] == 7:
        for i in range(PLACES):
            if word(memory, WAITING + i * REQUEST) != 0:
                answered(memory, WAITING + i * REQUEST, 0, -1, inspection, outbox)
        return MINE
    seen.done = n if state[2] & (2 << side) else state[side]        # a side that is lost is not shown again
    state[side] = 0
    return GOING
