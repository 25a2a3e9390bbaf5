"""QUIC: versions 1 and 2, the drafts, Facebook's and Google's variants.

The client's Initial packets are opened (their keys come from the packet itself), the tag is verified before anything is believed, CRYPTO
frames are gathered over packets in any order, and the ClientHello inside is read like any other. Google's older versions (Q0xx) carry their
hello as tags, in clear.

Fills server_name, alpn, ja3, ja4, ja4_all and user_agent of `flows`, and a row of the `tls` table for each client hello.

Source: RFC 9000 section 17, RFC 9001 section 5, RFC 9369, draft-ietf-quic-transport-22 to -34; the "QUIC Crypto" wire document of Google.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import GOING, LARGE, MINE, NAME_SNI, NO, Claim, Protocol, parser
from dpi.classify.wire.aes import encrypt, expand_key
from dpi.classify.wire.aes_gcm import open_sealed
from dpi.classify.wire.client_hello import QUIC_HELLO, client_hello, learn_agent, learn_name
from dpi.classify.wire.fingerprint import two
from dpi.classify.wire.initial_keys import HP, IV, initial_keys, salt_of
from dpi.classify.wire.quic_version import four, is_negotiation
from dpi.classify.wire.rows import TLS, number, open_row, text
from dpi.classify.wire.scratch import scratch_bytes
from dpi.classify.wire.varint import varint, varint_size
from dpi.jit import kernel

Array = np.ndarray[Any, Any]

_PORTS = (443, 80, 8443, 784, 853, 4433, 8853)

PROTOCOL = Protocol(
    name="QUIC",
    category="web",
    source="RFC 9000 section 17; RFC 9001 section 5; RFC 9369",
    claims=(
        Claim("udp", ((1, "00 00 00 01"),), length=(7, 65535)),
        Claim("udp", ((1, "6b 33 43 cf"),), length=(7, 65535)),
        Claim("udp", ((1, "70 9a 50 c4"),), length=(7, 65535)),
        Claim("udp", ((1, "ff 00 00 ??"),), length=(7, 65535)),
        Claim("udp", ((1, "fa ce b0 ??"),), length=(7, 65535)),
        Claim("udp", ((1, "51 30 ?? ??"),), length=(7, 65535)),
        Claim("udp", ((1, "54 30 35 ??"),), length=(7, 65535)),
        Claim("udp", ((9, "51 30 ?? ??"),), length=(20, 65535)),
        Claim("udp", ((1, "00 00 00 00"),), ports=_PORTS, length=(11, 512)),
        Claim("udp", ((1, "?a ?a ?a ?a"),), length=(1200, 65535)),     # reserved versions, by first Initials only
    ),
    fields=("server_name", "alpn", "ja3", "ja4", "ja4_all", "user_agent", "tls"),
    memory=LARGE,
    port_hints=("udp/443", "udp/784", "udp/853", "udp/8443"),
)

# memory: a header, the keys in use, which bytes of the CRYPTO stream are there, the stream
READY, KEYS_AT, MAP, STREAM = 0, 64, 128, 1024
STREAM_MAX = 7168
# inspection.state: long-header packets seen, contiguous bytes of the stream, hellos, Initials that did not open, whether CRYPTO bytes are held
PACKETS, HAVE, HELLOS, SEALED, HELD = 0, 1, 2, 3, 4
PATIENCE = 12                       # long-header packets without a hello before the rest is left unread
PLAIN_MAX = 2048                    # bytes of one opened packet


@kernel
def gather(memory: Array, state: Array, offset: int, data: Array, at: int, size: int) -> None:
    """Put data[at:at + size] at `offset` of the CRYPTO stream; bytes there already stay. What lies beyond the buffer is left out."""
    if offset >= STREAM_MAX:
        return
    if state[HELD] == 0:
        state[HELD] = 1
        for i in range(MAP, STREAM):
            memory[i] = 0
    size = min(size, STREAM_MAX - offset)
    have = np.int64(state[HAVE])
    if offset <= have:      # in order: no map needed
        for i in range(max(have - offset, 0), size):
            place = offset + i
            if np.int64(memory[MAP + (place >> 3)]) >> (place & 7) & 1 == 0:
                memory[STREAM + place] = data[at + i]
        have = max(have, offset + size)
        while have < STREAM_MAX and np.int64(memory[MAP + (have >> 3)]) >> (have & 7) & 1 != 0:
            have += 1
        state[HAVE] = have
        return
    for i in range(size):
        place = offset + i
        bit = 1 << (place & 7)
        held = np.int64(memory[MAP + (place >> 3)])
        if held & bit == 0:
            memory[MAP + (place >> 3)] = held | bit
            memory[STREAM + place] = data[at + i]


@kernel
def frames(plain: Array, n: int, crypto: int, memory: Array, state: Array) -> None:
    """Gather the CRYPTO frames of an opened Initial (RFC 9000 section 12.4: PADDING, PING, ACK, CRYPTO, CONNECTION_CLOSE).

    crypto: the type of CRYPTO frames, 6, or 8 in Google's Q050, T050 and T051.
    """
    at = 0
    for _ in range(PLAIN_MAX):
        while at < n and plain[at] == 0:
            at += 1
        if at >= n:
            return
        kind = np.int64(plain[at])
        at += 1
        if kind == 1:
            continue
        if kind == crypto:
            size = varint_size(plain, at, n)
            if size == 0:
                return
            offset = varint(plain, at, size)
            at += size
            size = varint_size(plain, at, n)
            if size == 0:
                return
            length = varint(plain, at, size)
            at += size
            if length > n - at:
                return
            gather(memory, state, offset, plain, at, length)
            at += length
        elif kind == 2 or kind == 3:
            fields = 4
            k = 0
            while k < fields:
                size = varint_size(plain, at, n)
                if size == 0:
                    return
                if k == 2:      # further ranges, two numbers each
                    fields += 2 * min(varint(plain, at, size), 256)
                at += size
                k += 1
            if kind == 3:
                for _ in range(3):
                    size = varint_size(plain, at, n)
                    if size == 0:
                        return
                    at += size
        else:
            return


@kernel
def open_initial(data: Array, first: int, number_at: int, end: int, keys: Array, plain: Array) -> int:
    """Open the Initial data[first:end] whose (protected) packet number is at number_at: the bytes put in plain, -1 where the tag is wrong.

    Header protection (RFC 9001 section 5.4) is undone in a copy of the header.
    """
    if number_at + 20 > end or end > data.size or number_at - first > 1500:
        return -1
    schedule = scratch_bytes(176)
    mask = scratch_bytes(16)
    head = scratch_bytes(1536)
    nonce = scratch_bytes(16)
    expand_key(keys, HP, schedule)
    encrypt(schedule, data, number_at + 4, mask, 0)
    flags = np.int64(data[first]) ^ np.int64(mask[0]) & 0x0F
    count = (flags & 3) + 1
    for i in range(number_at - first):
        head[i] = data[first + i]
    head[0] = flags
    for i in range(16):
        nonce[i] = keys[IV + i]
    for i in range(count):
        value = np.int64(data[number_at + i]) ^ np.int64(mask[1 + i])
        head[number_at - first + i] = value
        nonce[12 - count + i] = np.int64(nonce[12 - count + i]) ^ value
    expand_key(keys, 0, schedule)
    return open_sealed(schedule, nonce, head, 0, number_at - first + count, data, number_at + count, end, plain, 0)


@kernel
def initial(data: Array, first: int, number_at: int, end: int, salt: int, state: Array, memory: Array) -> int:
    """Open a client's Initial with the flow's keys, or with those of its own connection ID, and gather what is inside. 1 if it opened."""
    plain = scratch_bytes(PLAIN_MAX)
    keys = memory[KEYS_AT:KEYS_AT + 48]
    cid = first + 6
    size = np.int64(data[first + 5])
    for turn in range(2):
        if turn == 0:
            if memory[READY] != 1:
                continue
        else:
            if initial_keys(salt, 0, data, cid, cid + size, keys) == 0:
                return 0
            memory[READY] = 1
        got = open_initial(data, first, number_at, end, keys, plain)
        if got >= 0:
            frames(plain, got, 8 if salt >= 5 else 6, memory, state)
            return 1
    memory[READY] = 0
    return 0


@kernel
def hello(memory: Array, inspection: Array, facts: Array, outbox: Array) -> int:
    """Take in the hello at the start of the CRYPTO stream once it is whole. 1 if it was taken, -1 if that is none, 0 if more is needed."""
    state = inspection[0].state
    have = np.int64(state[HAVE])
    if have < 4:
        return 0
    at = STREAM
    if memory[at] == 0x43 and memory[at + 1] == 0x48 and memory[at + 2] == 0x4C and memory[at + 3] == 0x4F:
        return tags(memory, at, at + have, True, inspection, facts, outbox)
    if memory[at] != 1:
        return -1
    size = np.int64(memory[at + 1]) << 16 | two(memory, at + 2)
    if size + 4 > STREAM_MAX:
        size = STREAM_MAX - 4       # what fits still gives names
    if have < size + 4:
        return 0
    if client_hello(memory, at + 4, at + 4 + size, QUIC_HELLO, np.int64(state[HELLOS]), inspection, facts, outbox) == 0:
        return -1
    state[HELLOS] = np.int64(state[HELLOS]) + 1
    return 1


@kernel
def tags(data: Array, at: int, stop: int, wait: bool, inspection: Array, facts: Array, outbox: Array) -> int:
    """Google's CHLO message at data[at]: SNI and user agent among its tags. 1 if taken, 0 if more is needed, -1 if it is none.

    wait: more of the message may come; without, the tags whose values are there do.
    """
    if at + 8 > stop:
        return 0
    count = np.int64(data[at + 4]) | np.int64(data[at + 5]) << 8
    if count == 0 or count > 128 or data[at + 6] != 0 or data[at + 7] != 0:
        return -1
    values = at + 8 + 8 * count
    if values > stop:
        return 0
    last = values - 4
    whole = np.int64(data[last]) | np.int64(data[last + 1]) << 8 | np.int64(data[last + 2]) << 16
    if wait and values + whole > stop and whole < STREAM_MAX // 2:
        return 0
    name = 0
    name_end = 0
    begin = 0
    for k in range(count):
        row = at + 8 + 8 * k
        tag = four(data, row)
        end = np.int64(data[row + 4]) | np.int64(data[row + 5]) << 8 | np.int64(data[row + 6]) << 16 | np.int64(data[row + 7]) << 24
        if end < begin:
            return -1
        if values + end <= stop:
            if tag == 0x534E4900:       # SNI
                name = values + begin
                name_end = values + end
            elif tag == 0x55414944:     # UAID
                learn_agent(facts, data, values + begin, values + end)
        begin = end
    inspection[0].learned = 1
    if name_end > name:
        learn_name(facts, data, name, name_end, NAME_SNI)
    out = open_row(outbox, inspection, TLS)
    number(outbox, out, 5, np.int64(inspection[0].state[HELLOS]))
    text(outbox, out, 0, data, name, name_end)
    inspection[0].state[HELLOS] = np.int64(inspection[0].state[HELLOS]) + 1
    return 1


@kernel
def find_tags(data: Array, inspection: Array, facts: Array, outbox: Array) -> int:
    """Look for a CHLO in clear behind the headers of versions Q024 to Q046. Same returns as `tags`, 0 where there is none."""
    for at in range(12, min(data.size - 8, 96)):
        if data[at] == 0x43 and data[at + 1] == 0x48 and data[at + 2] == 0x4C and data[at + 3] == 0x4F:
            return tags(data, at, data.size, False, inspection, facts, outbox)
    return 0


@kernel
def decimal_version(data: Array, at: int) -> int:
    """The number in Google's version Q0dd at data[at], -1 where it is none."""
    if at + 4 > data.size or data[at] != 0x51 or data[at + 1] != 0x30:
        return -1
    tens = np.int64(data[at + 2]) - 48
    ones = np.int64(data[at + 3]) - 48
    if tens < 0 or tens > 9 or ones < 0 or ones > 9:
        return -1
    return 10 * tens + ones


@kernel
def google(data: Array, inspection: Array, facts: Array, outbox: Array) -> int:
    """Versions Q024 to Q043 (public header) and Q046 (long header): NO, MORE, GOING or MINE."""
    old = decimal_version(data, 9)
    late = decimal_version(data, 1)
    if late >= 44 and late < 50 and data[0] & 0xC0 == 0xC0:
        pass
    elif old >= 9 and old < 46 and data[0] & 0x09 == 0x09 and data[0] & 0x80 == 0:
        pass
    else:
        return NO
    found = find_tags(data, inspection, facts, outbox)
    return MINE if found == 1 else GOING


@kernel
def packet(data: Array, first: int, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """Take in the long-header packet at data[first]. Returns where the next of the datagram starts, 0 at its end, -1 where it is none."""
    n = data.size
    if first + 7 > n or data[first] & 0x80 == 0:
        return 0
    version = four(data, first + 1)
    salt = salt_of(version)
    size = np.int64(data[first + 5])
    at = first + 6 + size
    if size > 20 or at >= n:
        return -1
    size = np.int64(data[at])
    at += 1 + size
    if size > 20 or at > n:
        return -1
    kind = np.int64(data[first]) >> 4 & 3
    if salt == 1:
        kind = (kind - 1) & 3       # version 2 renumbers the types
    if kind == 3:                   # Retry
        return 0
    if kind == 0:
        length = varint_size(data, at, n)
        if length == 0:
            return -1
        token = varint(data, at, length)
        at += length
        if token > n - at:
            return -1
        at += token
    length = varint_size(data, at, n)
    if length == 0:
        return -1
    rest = varint(data, at, length)
    at += length
    if rest > n - at or rest < 20:
        return -1
    end = at + rest
    if kind == 0 and salt >= 0 and inspection[0].direction == 0 and memory.size >= STREAM + STREAM_MAX:
        state = inspection[0].state
        if initial(data, first, at, end, salt, state, memory) == 0:
            state[SEALED] = np.int64(state[SEALED]) + 1
    return end


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi/classify/inspection.py."""
    answer = datagram(data, inspection, facts, outbox, memory)
    inspection[0].idle = 1 if inspection[0].state[HELD] == 0 else 0     # keys are made again
    return answer


@kernel
def datagram(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """Take in one datagram: the packets coalesced in it (RFC 9000 section 12.2), and the hello once it is whole."""
    n = data.size
    seen = inspection[0]
    state = seen.state
    known = np.int64(state[PACKETS]) > 0
    if n < 7 or data[0] & 0x80 == 0:
        if n >= 13 and decimal_version(data, 9) >= 0:
            return google(data, inspection, facts, outbox)
        if not known:
            return NO
        state[PACKETS] = np.int64(state[PACKETS]) + 1
        return MINE if np.int64(state[PACKETS]) > PATIENCE else GOING
    version = four(data, 1)
    if version == 0:
        if not is_negotiation(data):
            return GOING if known else NO
        state[PACKETS] = np.int64(state[PACKETS]) + 1
        return GOING
    late = decimal_version(data, 1)
    if late >= 0 and late < 50:
        return google(data, inspection, facts, outbox)
    reserved = version & 0x0F0F0F0F == 0x0A0A0A0A
    if salt_of(version) < 0 and version >> 8 != 0xFF0000 and not reserved:
        return GOING if known else NO
    if reserved and not known and (n < 1200 or data[5] < 8):
        return NO
    if not known and version != 0x51303530 and data[0] & 0x40 == 0:
        return NO
    at = 0
    for _ in range(8):
        after = packet(data, at, inspection, facts, outbox, memory)
        if after < 0 and at == 0 and not known:
            return NO
        if after <= 0 or after >= n:
            break
        at = after
        if data[at] & 0x80 == 0 or n - at < 7 or four(data, at + 1) != version:
            break
    state[PACKETS] = np.int64(state[PACKETS]) + 1
    if memory.size >= STREAM + STREAM_MAX and hello(memory, inspection, facts, outbox) != 0:
        return MINE
    return MINE if np.int64(state[PACKETS]) > PATIENCE else GOING
