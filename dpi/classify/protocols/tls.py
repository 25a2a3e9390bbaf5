"""TLS (and SSL 3, and the SSL 2 form of hello) over TCP.

Fills server_name, alpn, ja3, ja3s, ja4, ja4_all and risks of `flows`, and the `tls` table: a row for each client hello, and one for each
server flight, with its certificate where that is in clear (up to TLS 1.2).

Source: RFC 8446 section 5.1 and appendix C, RFC 5246 section 6.2 and appendix E.2, RFC 6101.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import GOING, MINE, MORE, NO, Claim, Protocol, parser
from dpi.classify.wire.client_hello import TLS_HELLO
from dpi.classify.wire.fingerprint import two
from dpi.classify.wire.handshake import (
    CERTIFICATE,
    CLIENT_HELLO,
    FLAGS,
    HELLOS,
    ROW_DUE,
    SAW_CLIENT,
    SAW_RECORD,
    SAW_RETRY,
    SAW_SERVER,
    SERVER_ENDED,
    SERVER_HELLO,
    certify,
    is_message,
    message,
)
from dpi.classify.wire.rows import TLS, number, open_row
from dpi.classify.wire.scratch import scratch_bytes
from dpi.classify.wire.server_hello import OBSOLETE_TLS
from dpi.jit import kernel

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="TLS",
    category="web",
    source="RFC 8446 section 5.1; RFC 5246 section 6.2 and appendix E.2",
    claims=(
        Claim("tcp", ((0, "16 03 0?"),)),
        Claim("tcp", ((0, "17 03 0?"),)),
        Claim("tcp", ((0, "14 03 0?"),)),
        Claim("tcp", ((0, "15 03 0?"),)),
        Claim("tcp", ((0, "80 ?? 01 03"),)),
        Claim("tcp", ((0, "80 ?? 01 00 02"),)),
    ),
    fields=("server_name", "alpn", "ja3", "ja3s", "ja4", "ja4_all", "risks", "tls"),
    port_hints=("tcp/443", "tcp/465", "tcp/563", "tcp/636", "tcp/853", "tcp/989", "tcp/990", "tcp/992", "tcp/993", "tcp/995", "tcp/5061", "tcp/8443"),
)

CHANGE, ALERT, HANDSHAKE, APPLICATION, HEARTBEAT = 20, 21, 22, 23, 24
RECORD_MAX = 16384 + 2048
JOINED = 8192           # bytes of a flight joined from several records; as many as a stream's buffer gives

# inspection.state beyond the handshake's: where the next record of each direction starts, messages done in that flight
OFFSET, DONE = 3, 5
CHANGED = 256           # of state FLAGS, and 512 for the server: a change of cipher was seen in that direction


@kernel
def record_length(data: Array, at: int, n: int) -> int:
    """Length of the record whose header is at data[at], -1 where it is no header, -2 where fewer than five bytes are there."""
    if at + 5 > n:
        return -2
    kind = np.int64(data[at])
    length = two(data, at + 3)
    if kind < CHANGE or kind > HEARTBEAT or data[at + 1] != 3 or data[at + 2] > 4 or length > RECORD_MAX:
        return -1
    return length


@kernel
def _messages(data: Array, start: int, stop: int, direction: int, final: bool, inspection: Array, facts: Array, outbox: Array) -> int:
    """Take in the handshake messages of data[start:stop], passing over those done before.

    Returns 1 where they end exactly there, 0 where the last one goes on, -1 where they are no messages.
    """
    state = inspection[0].state
    at = start
    for seen in range(64):
        if at >= stop:
            return 1
        if at + 4 > stop:
            return 0
        kind = np.int64(data[at])
        size = np.int64(data[at + 1]) << 16 | two(data, at + 2)
        if not is_message(kind, size):
            return -1
        end = at + 4 + size
        whole = end <= stop
        if seen >= np.int64(state[DONE + direction]) and (whole or kind == CERTIFICATE or (final and kind == CLIENT_HELLO)):
            if message(data, kind, at + 4, min(end, stop), whole, TLS_HELLO, inspection, facts, outbox) == 0:
                return -1
            if whole:
                state[DONE + direction] = seen + 1
        if not whole:
            return 0
        at = end
    return 1


@kernel
def _flight(data: Array, at: int, n: int, direction: int, final: bool, inspection: Array, facts: Array, outbox: Array) -> int:
    """Take in the handshake records from data[at] on. Returns where the record after them starts, 0 where more is needed, -1 where it is none."""
    state = inspection[0].state
    joined = scratch_bytes(JOINED)
    view = data
    first = at + 5
    have = two(data, at + 3)
    whole = True
    size = np.int64(data[first + 1]) << 16 | two(data, first + 2) if have >= 4 and first + have <= n else -1
    if size + 4 == have:        # the common case: one message, one record; nothing to join
        at = first + have
        have += first
    else:
        first = 0
        have = 0
        for _ in range(256):
            length = record_length(data, at, n)
            if length == -2:
                whole = at == n
                break
            if length < 0 or data[at] != HANDSHAKE:
                break
            stop = min(at + 5 + length, n)
            take = min(stop - at - 5, JOINED - have)
            for i in range(take):
                joined[have + i] = data[at + 5 + i]
            have += take
            if at + 5 + length > n:
                whole = False
                break
            at += 5 + length
        view = joined
    verdict = _messages(view, first, have, direction, final, inspection, facts, outbox)
    if verdict < 0:
        return -1
    if whole and (verdict == 1 or at < n):     # an unfinished message before records of another type is given up
        state[DONE + direction] = 0
        return at
    return 0


@kernel
def _old_hello(data: Array, n: int, inspection: Array, facts: Array, outbox: Array) -> int:
    """The SSL 2 form of ClientHello (RFC 5246 appendix E.2): its length, 0 where more is needed, -1 where it is none."""
    if n < 11:
        return 0
    length = (np.int64(data[0]) & 0x7F) << 8 | np.int64(data[1])
    version = two(data, 3)
    ciphers = two(data, 5)
    session = two(data, 7)
    challenge = two(data, 9)
    if data[2] != 1 or (version != 2 and version >> 8 != 3) or ciphers == 0 or ciphers % 3 != 0 or (session != 0 and session != 16):
        return -1
    if challenge < 16 or challenge > 32 or length != 9 + ciphers + session + challenge:
        return -1
    if n < 2 + length:
        return 0
    seen = inspection[0]
    seen.learned = 1
    row = facts[0]
    row.tls_version = version
    if version < 0x0303:
        row.risks = np.uint64(row.risks) | np.uint64(OBSOLETE_TLS)
    if row.handshake_time == 0:
        row.handshake_time = seen.time
    out = open_row(outbox, inspection, TLS)
    number(outbox, out, 1, version)
    number(outbox, out, 5, np.int64(seen.state[HELLOS]))
    seen.state[HELLOS] = np.int64(seen.state[HELLOS]) + 1
    seen.state[FLAGS] = np.int64(seen.state[FLAGS]) | SAW_CLIENT | SAW_RECORD
    return 2 + length


@kernel
def _is_hello_shaped(data: Array, at: int, n: int, length: int) -> bool:
    """True if the record at data[at] holds just one hello, going by its headers and version, whatever its body is worth."""
    if at + 11 > n or length < 42 or (data[at + 5] != CLIENT_HELLO and data[at + 5] != SERVER_HELLO):
        return False
    size = np.int64(data[at + 6]) << 16 | two(data, at + 7)
    return size + 4 == length and data[at + 9] == 3 and data[at + 10] <= 4


@kernel
def _middle(data: Array, n: int, final: bool) -> int:
    """A stream whose first byte here is not a hello: TLS if records follow each other, or one ends where the data ends."""
    at = 0
    count = 0
    for _ in range(8):
        length = record_length(data, at, n)
        if length == -2:
            break
        if length <= 0 or (data[at] == CHANGE and length != 1) or (data[at] == ALERT and (length < 2 or length > 256)):
            return NO
        count += 1
        at += 5 + length
        if at >= n:
            break
    if count >= 2 or at == n:
        return MINE
    if count == 1 and at > n and final:
        return MINE if data[0] == APPLICATION else NO
    return NO if final else MORE


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi/classify/inspection.py."""
    seen = inspection[0]
    state = seen.state
    n = data.size
    direction = np.int64(seen.direction) & 1
    final = np.int64(seen.final) != 0
    known = np.int64(state[FLAGS]) & SAW_RECORD != 0
    if n == 0 and not final:
        return GOING if known else MORE
    if seen.start == 0 and known and n > 0 and data[0] != HANDSHAKE:
        return MINE
    at = np.int64(state[OFFSET + direction]) if seen.start != 0 else 0
    if at == 0 and not known and n > 0 and data[0] != HANDSHAKE:
        if data[0] < 0x80 or seen.start == 0:
            return _middle(data, n, final)
        length = _old_hello(data, n, inspection, facts, outbox)
        if length < 0 or (length == 0 and final):
            return NO
        if length == 0:
            return MORE
        at = length
    ended = False
    for _ in range(64):
        length = record_length(data, at, n)
        if length == -2:
            break
        flags = np.int64(state[FLAGS])
        if length < 0:
            if flags & SAW_RECORD == 0:
                return NO
            ended = True
            break
        kind = np.int64(data[at])
        changed = CHANGED << direction
        if kind == HANDSHAKE:
            if flags & changed != 0 and flags & SAW_RETRY == 0 and (at + 5 >= n or data[at + 5] != 1):
                if at + 5 < n:
                    ended = True        # sealed
                break
            after = _flight(data, at, n, direction, final, inspection, facts, outbox)
            if after < 0:
                if flags & SAW_RECORD == 0 and not _is_hello_shaped(data, at, n, length):
                    return NO
                state[FLAGS] = np.int64(state[FLAGS]) | SAW_RECORD
                ended = True        # damaged: TLS all the same, and nothing in it is believed
                break
            if at + 10 <= n and (data[at + 5] == 1 or data[at + 5] == 2) and data[at + 9] == 3:
                state[FLAGS] = np.int64(state[FLAGS]) | SAW_RECORD
            if np.int64(state[FLAGS]) & (SAW_CLIENT | SAW_SERVER) != 0:
                state[FLAGS] = np.int64(state[FLAGS]) | SAW_RECORD
            if after == 0:
                break
            at = after
        elif kind == APPLICATION:
            ended = True
            break
        else:
            if kind == CHANGE:
                state[FLAGS] = flags | changed
                if flags & SAW_RETRY == 0 and direction == 1:
                    ended = True        # up to TLS 1.2 the server seals what follows
                    break
            if at + 5 + length > n:
                break
            at += 5 + length
            if kind == ALERT and direction == 1 and flags & SAW_SERVER == 0:
                ended = True            # refused
                break
    flags = np.int64(state[FLAGS])
    if flags & SAW_RECORD == 0:
        if seen.start != 0:
            state[OFFSET + direction] = at
        return NO if final else MORE
    if seen.start != 0:         # the records up to here need not be shown again
        seen.done = at
        state[OFFSET + direction] = 0
    if direction == 1 and (ended or final):
        flags |= ROW_DUE | SERVER_ENDED
    state[FLAGS] = flags
    if flags & ROW_DUE != 0:
        certify(data, 0, 0, inspection, facts, outbox)
    return MINE if final or flags & SERVER_ENDED != 0 or (ended and flags & (SAW_CLIENT | SAW_SERVER) == 0) else GOING
