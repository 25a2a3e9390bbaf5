"""The ClientHello of TLS, QUIC and DTLS: what it says, its JA3 and its JA4.

Source: RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2, RFC 6347 section 4.2.1 (the cookie of DTLS), RFC 6066 section 3 (server name),
RFC 7301 (ALPN), RFC 9001 section 8.2 (QUIC transport parameters). Any parser that has a ClientHello in hand calls `client_hello`, an entry of its
own: it is compiled once, not in each of them.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import FACTS, INSPECTION, NAME_SNI, TRANSACTION, U8
from dpi.classify.wire.fingerprint import (
    TEXT_BYTES,
    comma,
    decimal,
    decimals,
    extension_decimals,
    hexadecimal,
    hexadecimals,
    is_alphanumeric,
    is_grease,
    nibble,
    short_hash,
    sort,
    two,
    version_code,
)
from dpi.classify.wire.md5 import md5
from dpi.classify.wire.rows import TLS, byte, number, open_row, text
from dpi.classify.wire.scratch import scratch_bytes, scratch_numbers
from dpi.classify.wire.varint import varint, varint_size
from dpi.jit import I64, entry, kernel

Array = np.ndarray[Any, Any]

#: How the hello travelled: JA4's first letter
TLS_HELLO, QUIC_HELLO, DTLS_HELLO = 0x74, 0x71, 0x64

#: Indices of `places` (int64[20]); starts and ends are offsets in the data, 0 where the part is missing
VERSION, CIPHERS, CIPHERS_END, EXTENSIONS, EXTENSIONS_END, NAME, NAME_END, ALPN, ALPN_END, GROUPS, GROUPS_END, FORMATS, FORMATS_END = range(13)
ALGORITHMS, ALGORITHMS_END, HIGHEST, PARAMETERS, PARAMETERS_END, NAMED, WHOLE = range(13, 20)
PLACES = 20
LIST = 4096             # values of a list that are sorted; more do not fit in a stream's buffer


@kernel
def find_places(data: Array, start: int, stop: int, datagram: bool, places: Array) -> int:
    """Fill `places` from the ClientHello body data[start:stop] (from legacy_version on). Returns 1, or 0 where it is no ClientHello.

    A body that ends early still gives what came before, with places[WHOLE] = 0.
    """
    for i in range(PLACES):
        places[i] = 0
    if start < 0 or stop > data.size or stop - start < 38:
        return 0
    places[VERSION] = two(data, start)
    at = start + 34
    size = np.int64(data[at])
    if size > 32:
        return 0
    at += 1 + size
    if datagram:
        if at >= stop:
            return 0
        at += 1 + np.int64(data[at])
    if at + 2 > stop:
        return 0
    size = two(data, at)
    if size < 2 or size & 1 != 0:
        return 0
    places[CIPHERS] = at + 2
    at += 2 + size
    places[CIPHERS_END] = min(at, stop)
    if at + 1 > stop:
        return 1
    size = np.int64(data[at])
    if size == 0:
        return 0
    at += 1 + size
    if at == stop:      # no extensions, as before RFC 3546
        places[WHOLE] = 1
        return 1
    if at + 2 > stop:
        return 1
    end = at + 2 + two(data, at)
    at += 2
    places[EXTENSIONS] = at
    whole = 1
    if end > stop:
        whole = 0
        end = stop
    while at + 4 <= end:
        kind = two(data, at)
        size = two(data, at + 2)
        first = at + 4
        last = first + size
        if last > end:
            break
        _extension(data, kind, first, last, places)
        at = last
    if at != end:
        whole = 0
    places[EXTENSIONS_END] = at
    places[WHOLE] = whole
    return 1


@kernel
def _extension(data: Array, kind: int, first: int, last: int, places: Array) -> None:
    """Note what the extension data[first:last] says."""
    size = last - first
    if kind == 0:
        places[NAMED] = 1
        if size >= 5 and data[first + 2] == 0 and places[NAME_END] == 0:
            length = two(data, first + 3)
            if length > 0 and first + 5 + length <= last:
                places[NAME] = first + 5
                places[NAME_END] = first + 5 + length
    elif kind == 16:
        if size >= 3 and places[ALPN_END] == 0:
            length = np.int64(data[first + 2])
            if length > 0 and first + 3 + length <= last:
                places[ALPN] = first + 3
                places[ALPN_END] = first + 3 + length
    elif kind == 10:
        if size >= 2:
            places[GROUPS] = first + 2
            places[GROUPS_END] = min(last, first + 2 + two(data, first))
    elif kind == 11:
        if size >= 1:
            places[FORMATS] = first + 1
            places[FORMATS_END] = min(last, first + 1 + np.int64(data[first]))
    elif kind == 13:
        if size >= 2:
            places[ALGORITHMS] = first + 2
            places[ALGORITHMS_END] = min(last, first + 2 + two(data, first))
    elif kind == 43:
        if size >= 1:
            stop = min(last, first + 1 + np.int64(data[first]))
            highest = 0
            for k in range(first + 1, stop - 1, 2):
                version = two(data, k)
                if is_grease(version):
                    continue
                # versions of DTLS count downwards from 0xFEFF
                if version >> 8 == 0xFE and highest >> 8 == 0xFE:
                    highest = min(version, highest)
                else:
                    highest = max(version, highest)
            places[HIGHEST] = highest
    elif kind == 0x39 or kind == 0xFFA5:
        places[PARAMETERS] = first
        places[PARAMETERS_END] = last


@kernel
def ja3(data: Array, places: Array, out: Array, at: int) -> None:
    """Write the MD5 digest of the JA3 text to out[at:at + 16]."""
    line = scratch_bytes(TEXT_BYTES)
    end = decimal(line, 0, places[VERSION])
    end = comma(line, end)
    end = decimals(line, end, data, places[CIPHERS], places[CIPHERS_END])
    end = comma(line, end)
    end = extension_decimals(line, end, data, places[EXTENSIONS], places[EXTENSIONS_END])
    end = comma(line, end)
    end = decimals(line, end, data, places[GROUPS], places[GROUPS_END])
    end = comma(line, end)
    for k in range(places[FORMATS], places[FORMATS_END]):
        if k > places[FORMATS] and end < line.size:
            line[end] = 45
            end += 1
        end = decimal(line, end, np.int64(data[k]))
    md5(line, 0, end, out, at)


@kernel
def ja4(data: Array, places: Array, kind: int, out: Array) -> None:
    """Write the 36 characters of JA4 to out (uint8[36]); kind is its first letter."""
    line = scratch_bytes(TEXT_BYTES)
    values = scratch_numbers(LIST)
    out[0] = kind
    code = version_code(places[HIGHEST] if places[HIGHEST] != 0 else places[VERSION])
    out[1] = code >> 8
    out[2] = code & 0xFF
    out[3] = 0x64 if places[NAMED] != 0 else 0x69
    count = 0
    for k in range(places[CIPHERS], places[CIPHERS_END] - 1, 2):
        value = two(data, k)
        if not is_grease(value) and count < LIST:
            values[count] = value
            count += 1
    shown = min(count, 99)
    out[4] = 48 + shown // 10
    out[5] = 48 + shown % 10
    sort(values, count)
    short_hash(line, hexadecimals(line, 0, values, count), out, 11)
    out[10] = 0x5F
    out[23] = 0x5F
    count = 0
    beside = 0          # server name and ALPN: counted, not hashed
    at = places[EXTENSIONS]
    while at + 4 <= places[EXTENSIONS_END]:
        value = two(data, at)
        at += 4 + two(data, at + 2)
        if value == 0 or value == 16:
            beside += 1
        elif not is_grease(value) and count < LIST:
            values[count] = value
            count += 1
    shown = min(count + beside, 99)
    out[6] = 48 + shown // 10
    out[7] = 48 + shown % 10
    sort(values, count)
    end = hexadecimals(line, 0, values, count)
    first = True
    for k in range(places[ALGORITHMS], places[ALGORITHMS_END] - 1, 2):
        value = two(data, k)
        if is_grease(value) or end + 5 > line.size:
            continue
        line[end] = 0x5F if first else 44
        end = hexadecimal(line, end + 1, value, 4)
        first = False
    short_hash(line, end, out, 24)
    out[8] = 48
    out[9] = 48
    if places[ALPN_END] > places[ALPN]:
        head = np.int64(data[places[ALPN]])
        tail = np.int64(data[places[ALPN_END] - 1])
        if is_alphanumeric(head) and is_alphanumeric(tail):
            out[8] = head
            out[9] = tail
        else:
            out[8] = nibble(head >> 4)
            out[9] = nibble(tail & 15)


@kernel
def remember_ja4(facts: Array, mark: Array) -> int:
    """Add the JA4 `mark` to those of the flow if it is new there. Returns 1 if it was."""
    row = facts[0]
    kept = row.ja4_all
    count = min(np.int64(row.ja4_count), 6)
    for k in range(count):
        same = True
        for i in range(36):
            if kept[36 * k + i] != mark[i]:
                same = False
                break
        if same:
            return 0
    if count >= 6:
        row.ja4_missed = min(np.int64(row.ja4_missed) + 1, 255)
        return 1
    for i in range(36):
        kept[36 * count + i] = mark[i]
    row.ja4_count = count + 1
    return 1


@kernel
def learn_name(facts: Array, data: Array, start: int, stop: int, source: int) -> int:
    """Make data[start:stop] the flow's server name, in lower case and without a final dot, unless a better source named it. 1 if taken.

    A name with control characters, or longer than the field, is not taken.
    """
    row = facts[0]
    if start < 0 or stop > data.size or np.int64(row.name_source) > source:
        return 0
    if stop > start and data[stop - 1] == 46:
        stop -= 1
    size = stop - start
    if size <= 0 or size > 255:
        return 0
    for k in range(start, stop):
        if data[k] <= 32 or data[k] == 127:
            return 0
    name = row.server_name
    for i in range(size):
        value = np.int64(data[start + i])
        name[i] = value + 32 if 65 <= value <= 90 else value
    row.server_name_length = size
    row.name_source = source
    return 1


@kernel
def learn_alpn(facts: Array, data: Array, start: int, stop: int) -> None:
    """Keep data[start:stop] (cut to 32 bytes) as the flow's ALPN."""
    if start < 0 or stop > data.size or stop <= start:
        return
    row = facts[0]
    size = min(stop - start, 32)
    kept = row.alpn
    for i in range(size):
        kept[i] = data[start + i]
    row.alpn_length = size


@kernel
def learn_agent(facts: Array, data: Array, start: int, stop: int) -> None:
    """Keep data[start:stop] (cut to 176 bytes) as the flow's user agent."""
    if start < 0 or stop > data.size or stop <= start:
        return
    row = facts[0]
    size = min(stop - start, 176)
    kept = row.user_agent
    for i in range(size):
        kept[i] = data[start + i]
    row.user_agent_length = size


@kernel
def _parameters(facts: Array, data: Array, at: int, stop: int) -> None:
    """QUIC transport parameters (RFC 9000 section 18): the user agent Google's clients put under 0x3129."""
    for _ in range(64):
        size = varint_size(data, at, stop)
        if size == 0:
            return
        kind = varint(data, at, size)
        at += size
        size = varint_size(data, at, stop)
        if size == 0:
            return
        length = varint(data, at, size)
        at += size
        if length > stop - at:
            return
        if kind == 0x3129:
            learn_agent(facts, data, at, at + length)
            return
        at += length


@entry(U8, I64, I64, I64, I64, INSPECTION, FACTS, TRANSACTION)
def client_hello(data: Array, start: int, stop: int, kind: int, hello: int, inspection: Array, facts: Array, outbox: Array) -> int:
    """Take in the ClientHello body data[start:stop] (after the handshake header): facts, and one row of the tls table.

    kind: TLS_HELLO, QUIC_HELLO or DTLS_HELLO. hello: its number in the flow, from 0. Returns 1, or 0 where it is no ClientHello (nothing is
    learned then). A body cut short gives names but no fingerprint.
    """
    places = scratch_numbers(PLACES)
    if find_places(data, start, stop, kind == DTLS_HELLO, places) == 0:
        return 0
    row = facts[0]
    inspection[0].learned = 1
    if places[NAME_END] > 0:
        learn_name(facts, data, places[NAME], places[NAME_END], NAME_SNI)
    if hello == 0 or row.alpn_length == 0:
        learn_alpn(facts, data, places[ALPN], places[ALPN_END])
    version = places[HIGHEST] if places[HIGHEST] != 0 else places[VERSION]
    if row.tls_version == 0:
        row.tls_version = version
    if version < 0x0303 or version == 0xFEFF:
        row.risks = np.uint64(row.risks) | np.uint64(2)     # obsolete_tls: it offers nothing newer
    out = open_row(outbox, inspection, TLS)
    number(outbox, out, 0, 0)
    number(outbox, out, 1, version)
    number(outbox, out, 5, hello)
    text(outbox, out, 0, data, places[NAME], places[NAME_END])
    text(outbox, out, 1, data, places[ALPN], places[ALPN_END])
    if places[PARAMETERS_END] > 0 and kind == QUIC_HELLO:
        _parameters(facts, data, places[PARAMETERS], places[PARAMETERS_END])
    if places[WHOLE] == 0:
        return 1
    mark = scratch_bytes(36)
    digest = scratch_bytes(16)
    ja3(data, places, digest, 0)
    ja4(data, places, kind, mark)
    if row.has_ja3 == 0:
        kept = row.ja3
        for i in range(16):
            kept[i] = digest[i]
        row.has_ja3 = 1
    remember_ja4(facts, mark)
    for i in range(16):
        byte(outbox, out, 2, nibble(np.int64(digest[i]) >> 4))
        byte(outbox, out, 2, nibble(np.int64(digest[i]) & 15))
    text(outbox, out, 4, mark, 0, 36)
    return 1
