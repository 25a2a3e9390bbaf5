"""The handshake of TLS and DTLS as a flow goes on: what its messages have said so far, in `inspection.state`.

Source: RFC 8446 section 4, RFC 5246 section 7.4. State 0 to 2 belong to this file, 3 to 7 to the parser.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import FACTS, INSPECTION, TRANSACTION, U8
from dpi.classify.wire.client_hello import client_hello
from dpi.classify.wire.fingerprint import two
from dpi.classify.wire.scratch import scratch_numbers
from dpi.classify.wire.server_hello import ALPN_CHOSEN, NONE, RETRY_REQUEST, server_flight, server_hello
from dpi.jit import I64, entry, kernel

Array = np.ndarray[Any, Any]

FLAGS, HELLOS, CHOSEN = 0, 1, 2     # inspection.state: bits below, client hellos seen, version and cipher the server chose
SAW_CLIENT, SAW_SERVER, SAW_RETRY, SAW_ALPN, SAW_RECORD, WROTE_SERVER, ROW_DUE, SERVER_ENDED = 1, 2, 4, 8, 16, 32, 64, 128
CLIENT_HELLO, SERVER_HELLO, CERTIFICATE, SERVER_DONE = 1, 2, 11, 14


@kernel
def certify(data: Array, start: int, stop: int, inspection: Array, facts: Array, outbox: Array) -> None:
    """Write the server flight's row with the certificate data[start:stop] (0, 0 for none), unless it was written or no hello was seen."""
    state = inspection[0].state
    flags = np.int64(state[FLAGS]) & ~ROW_DUE
    if flags & (SAW_SERVER | WROTE_SERVER) == SAW_SERVER:
        chosen = np.int64(state[CHOSEN])
        if server_flight(data, start, stop, chosen >> 16, chosen & 0xFFFF, flags & SAW_ALPN, inspection, facts, outbox) != 0:
            flags |= WROTE_SERVER
    state[FLAGS] = flags


@entry(U8, I64, I64, I64, I64, I64, INSPECTION, FACTS, TRANSACTION)
def message(data: Array, kind: int, start: int, stop: int, whole: int, how: int, inspection: Array, facts: Array, outbox: Array) -> int:
    """Take in a handshake message of type `kind` whose body is data[start:stop]. how: TLS_HELLO or DTLS_HELLO.

    whole: the body ends there; of a Certificate message that goes on, the first certificate is taken as soon as it is there.
    Returns 0 where it cannot be what its type says. The caller writes the row that is due (`certify`) after the last message.
    """
    state = inspection[0].state
    flags = np.int64(state[FLAGS])
    first = 0
    last = 0
    due = flags & ROW_DUE != 0
    if kind == CERTIFICATE and flags & (SAW_SERVER | SERVER_ENDED) == SAW_SERVER:
        size = np.int64(data[start + 3]) << 16 | two(data, start + 4) if start + 6 <= stop else 0
        if 0 < size <= stop - start - 6:
            first = start + 6
            last = first + size
        elif not whole:
            return 1
        due = True
        flags |= SERVER_ENDED
    elif kind == SERVER_DONE and stop == start and flags & SAW_SERVER != 0:
        due = True
        flags |= SERVER_ENDED
    state[FLAGS] = flags
    if due:
        certify(data, first, last, inspection, facts, outbox)
    if kind == CLIENT_HELLO:
        if client_hello(data, start, stop, how, np.int64(state[HELLOS]), inspection, facts, outbox) == 0:
            return 0
        if facts[0].handshake_time == 0:
            facts[0].handshake_time = inspection[0].time
        state[HELLOS] = np.int64(state[HELLOS]) + 1
        state[FLAGS] = np.int64(state[FLAGS]) | SAW_CLIENT
    elif kind == SERVER_HELLO and whole:
        chosen = scratch_numbers(2)
        answer = server_hello(data, start, stop, inspection, facts, chosen)
        if answer == NONE:
            return 0
        flags = np.int64(state[FLAGS]) & ~(WROTE_SERVER | SAW_ALPN) | SAW_SERVER
        if answer & ALPN_CHOSEN != 0:
            flags |= SAW_ALPN
        version = chosen[0]
        if answer & RETRY_REQUEST != 0:
            flags |= SAW_RETRY | ROW_DUE
        elif version == 0x0304 or version >> 8 == 0x7F or version == 0xFEFC:     # of TLS 1.3 the rest is sealed
            flags |= SERVER_ENDED | ROW_DUE
        state[CHOSEN] = version << 16 | chosen[1]
        state[FLAGS] = flags
    return 1


@kernel
def is_message(kind: int, size: int) -> bool:
    """True if a handshake message of this type and length can be (IANA's registry of handshake types)."""
    if kind > 25 and kind != 67 and kind != 203 and kind != 254:
        return False
    if kind == CLIENT_HELLO or kind == SERVER_HELLO:
        return 38 <= size <= 0x20000
    return True
