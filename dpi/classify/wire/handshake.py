"""The handshake of TLS and DTLS as a flow goes on: what its messages have said so far, in `inspection.state`.

Source: RFC 8446 section 4, RFC 5246 section 7.4. State 0 to 2 belong to this file, 3 to 7 to the parser.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.wire.client_hello import client_hello
from dpi.classify.wire.fingerprint import two
from dpi.classify.wire.scratch import scratch_bytes, scratch_numbers
from dpi.classify.wire.server_hello import ALPN_CHOSEN, NONE, RETRY_REQUEST, server_flight, server_hello
from dpi.jit import kernel

Array = np.ndarray[Any, Any]

FLAGS, HELLOS, CHOSEN = 0, 1, 2     # inspection.state: bits below, client hellos seen, version and cipher the server chose
SAW_CLIENT, SAW_SERVER, SAW_RETRY, SAW_ALPN, SAW_RECORD, WROTE_SERVER, SERVER_ENDED = 1, 2, 4, 8, 16, 32, 128
CLIENT_HELLO, SERVER_HELLO, CERTIFICATE, SERVER_DONE = 1, 2, 11, 14


@kernel
def flush(inspection: Array, facts: Array, outbox: Array) -> None:
    """Write the server flight's row where its hello was seen and no certificate came."""
    none = scratch_bytes(1)
    certify(none, 0, 0, inspection, facts, outbox)


@kernel
def certify(data: Array, start: int, stop: int, inspection: Array, facts: Array, outbox: Array) -> None:
    """Write the server flight's row with the certificate data[start:stop], unless it was written or no hello was seen."""
    state = inspection[0].state
    flags = np.int64(state[FLAGS])
    if flags & (SAW_SERVER | WROTE_SERVER) == SAW_SERVER:
        chosen = np.int64(state[CHOSEN])
        if server_flight(data, start, stop, chosen >> 16, chosen & 0xFFFF, flags & SAW_ALPN, inspection, facts, outbox) != 0:
            state[FLAGS] = flags | WROTE_SERVER


@kernel
def first_certificate(data: Array, start: int, stop: int, inspection: Array, facts: Array, outbox: Array) -> int:
    """Take in the first certificate of the Certificate message body data[start:stop], which may go on. 1 if it was whole."""
    if start + 6 > stop:
        return 0
    size = np.int64(data[start + 3]) << 16 | two(data, start + 4)
    if size == 0 or size > stop - start - 6:
        return 0
    certify(data, start + 6, start + 6 + size, inspection, facts, outbox)
    return 1


@kernel
def message(data: Array, kind: int, start: int, stop: int, how: int, inspection: Array, facts: Array, outbox: Array) -> int:
    """Take in the whole handshake message of type `kind` whose body is data[start:stop]. how: TLS_HELLO or DTLS_HELLO.

    Returns 0 where it cannot be what its type says.
    """
    state = inspection[0].state
    if kind == CLIENT_HELLO:
        if client_hello(data, start, stop, how, np.int64(state[HELLOS]), inspection, facts, outbox) == 0:
            return 0
        if facts[0].handshake_time == 0:
            facts[0].handshake_time = inspection[0].time
        state[HELLOS] = np.int64(state[HELLOS]) + 1
        state[FLAGS] = np.int64(state[FLAGS]) | SAW_CLIENT
    elif kind == SERVER_HELLO:
        chosen = scratch_numbers(2)
        answer = server_hello(data, start, stop, inspection, facts, chosen)
        if answer == NONE:
            return 0
        flags = np.int64(state[FLAGS]) & ~(WROTE_SERVER | SAW_ALPN) | SAW_SERVER
        if answer & ALPN_CHOSEN != 0:
            flags |= SAW_ALPN
        if answer & RETRY_REQUEST != 0:
            flags |= SAW_RETRY
        version = chosen[0]
        sealed = version == 0x0304 or version >> 8 == 0x7F or version == 0xFEFC     # of TLS 1.3 the rest is
        state[CHOSEN] = version << 16 | chosen[1]
        state[FLAGS] = flags
        if sealed or answer & RETRY_REQUEST != 0:
            flush(inspection, facts, outbox)
            if answer & RETRY_REQUEST == 0:
                state[FLAGS] = np.int64(state[FLAGS]) | SERVER_ENDED
    elif kind == CERTIFICATE:
        if np.int64(state[FLAGS]) & SAW_SERVER != 0 and np.int64(state[FLAGS]) & SERVER_ENDED == 0:
            first_certificate(data, start, stop, inspection, facts, outbox)
            flush(inspection, facts, outbox)
            state[FLAGS] = np.int64(state[FLAGS]) | SERVER_ENDED
    elif kind == SERVER_DONE and stop == start and np.int64(state[FLAGS]) & SAW_SERVER != 0:
        flush(inspection, facts, outbox)
        state[FLAGS] = np.int64(state[FLAGS]) | SERVER_ENDED
    return 1


@kernel
def is_message(kind: int, size: int) -> bool:
    """True if a handshake message of this type and length can be (IANA's registry of handshake types)."""
    if kind > 25 and kind != 67 and kind != 203 and kind != 254:
        return False
    if kind == CLIENT_HELLO or kind == SERVER_HELLO:
        return 38 <= size <= 0x20000
    return True
