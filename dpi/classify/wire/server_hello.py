"""What a TLS or DTLS server answers in clear: ServerHello and the first certificate.

Source: RFC 8446 sections 4.1.3 and 4.1.4, RFC 5246 sections 7.4.1.3 and 7.4.2. `risks` are bits of dpi.classify.inspection.RISKS.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import FACTS, INSPECTION, NAME_CERTIFICATE, NAME_SNI, TRANSACTION, U8
from dpi.classify.wire.certificate import (
    CERTIFICATE_END,
    CERTIFICATE_PLACES,
    ISSUER,
    ISSUER_END,
    NAMES,
    NAMES_END,
    NOT_AFTER,
    NOT_BEFORE,
    SELF_SIGNED,
    SUBJECT,
    SUBJECT_END,
    covers,
    element,
    find_certificate,
)
from dpi.classify.wire.client_hello import learn_alpn, learn_name
from dpi.classify.wire.fingerprint import TEXT_BYTES, comma, decimal, extension_decimals, nibble, two
from dpi.classify.wire.md5 import md5
from dpi.classify.wire.rows import TEXT_BYTES as TEXT_ROOM
from dpi.classify.wire.rows import TLS, byte, field, number, open_row, text
from dpi.classify.wire.scratch import scratch_bytes, scratch_numbers
from dpi.classify.wire.sha256 import sha256
from dpi.jit import I64, entry, kernel

Array = np.ndarray[Any, Any]

OBSOLETE_TLS, WEAK_CIPHER, SELF_SIGNED_CERTIFICATE, EXPIRED_CERTIFICATE, NAME_MISMATCH = 2, 4, 8, 16, 32

#: The random of a HelloRetryRequest: SHA-256 of that word (RFC 8446 section 4.1.3)
RETRY = np.frombuffer(bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c"), np.uint8).copy()

#: What `server_hello` returns: not one; an ordinary one; a HelloRetryRequest; with ALPN_CHOSEN added where it names a protocol
NONE, ANSWER, RETRY_REQUEST, ALPN_CHOSEN = 0, 1, 2, 4


LAST_TEXTS = 128 + 64       # bytes of a row's texts that issuer and digest may need

#: First and last of the runs of suites without encryption or authentication, and of RC2, RC4, DES, 3DES and export strength (IANA registry)
WEAK = np.array([
    (0x0000, 0x001B), (0x001E, 0x002E), (0x0034, 0x0034), (0x003A, 0x003B), (0x0046, 0x0046), (0x0060, 0x0066), (0x006C, 0x006D), (0x0089,
    0x008B), (0x008E, 0x008F), (0x0092, 0x0093), (0x009B, 0x009B), (0x00A6, 0x00A7), (0x00B0, 0x00B1), (0x00B4, 0x00B5), (0x00B8, 0x00B9),
    (0x00BF, 0x00BF), (0x00C5, 0x00C5), (0xC001, 0xC003), (0xC006, 0xC008), (0xC00B, 0xC00D), (0xC010, 0xC012), (0xC015, 0xC01C), (0xC033,
    0xC034), (0xC039, 0xC03B)
], np.int64).reshape(-1)


@kernel
def is_weak(cipher: int) -> bool:
    """True for the suites of WEAK."""
    weak = False
    for k in range(0, WEAK.size, 2):
        if WEAK[k] <= cipher <= WEAK[k + 1]:
            weak = True
    return weak


@kernel
def server_hello(data: Array, start: int, stop: int, inspection: Array, facts: Array, chosen: Array) -> int:
    """Take in the ServerHello body data[start:stop]: JA3S, version, ALPN, risks. chosen (int64[2]) gets version and cipher.

    Returns NONE where it is none (nothing is learned then), else ANSWER or RETRY_REQUEST, with ALPN_CHOSEN.
    """
    if start < 0 or stop > data.size or stop - start < 38:
        return NONE
    legacy = two(data, start)
    if legacy >> 8 != 3 and legacy >> 8 != 0xFE:
        return NONE
    at = start + 34
    size = np.int64(data[at])
    if size > 32 or at + 4 + size > stop:
        return NONE
    cipher = two(data, at + 1 + size)
    at += 4 + size
    version = legacy
    first = 0
    end = 0
    alpn = 0
    alpn_end = 0
    if at + 2 <= stop:
        first = at + 2
        end = min(stop, first + two(data, at))
        at = first
        while at + 4 <= end:
            kind = two(data, at)
            inside = at + 4
            at = inside + two(data, at + 2)
            if at > end:
                return NONE
            if kind == 43 and at - inside == 2:
                version = two(data, inside)
            elif kind == 16 and at - inside >= 3:
                size = np.int64(data[inside + 2])
                if size > 0 and inside + 3 + size <= at:
                    alpn = inside + 3
                    alpn_end = alpn + size
    row = facts[0]
    inspection[0].learned = 1
    chosen[0] = version
    chosen[1] = cipher
    row.tls_version = version
    if version < 0x0303 or version == 0xFEFF:
        row.risks = np.uint64(row.risks) | np.uint64(OBSOLETE_TLS)
    if is_weak(cipher):
        row.risks = np.uint64(row.risks) | np.uint64(WEAK_CIPHER)
    line = scratch_bytes(TEXT_BYTES)
    end_of_line = comma(line, decimal(line, 0, legacy))
    end_of_line = comma(line, decimal(line, end_of_line, cipher))
    end_of_line = extension_decimals(line, end_of_line, data, first, end)
    digest = scratch_bytes(16)
    md5(line, 0, end_of_line, digest, 0)
    kept = row.ja3s
    for i in range(16):
        kept[i] = digest[i]
    row.has_ja3s = 1
    answer = RETRY_REQUEST
    for i in range(32):
        if data[start + 2 + i] != RETRY[i]:
            answer = ANSWER
            break
    if alpn_end > 0:
        learn_alpn(facts, data, alpn, alpn_end)
        answer |= ALPN_CHOSEN
    return answer


@kernel
def certificate(data: Array, start: int, stop: int, places: Array, inspection: Array, facts: Array) -> int:
    """Take in the certificate data[start:stop]: server name where no hello gave one, risks. places is filled as `find_certificate` says.

    Returns 1, or 0 where it is none.
    """
    part = scratch_numbers(2)
    if find_certificate(data, start, stop, places, part) == 0:
        return 0
    inspection[0].learned = 1
    row = facts[0]
    risks = 0
    if places[SELF_SIGNED] != 0:
        risks |= SELF_SIGNED_CERTIFICATE
    now = np.int64(inspection[0].time) // 1000000
    if (places[NOT_AFTER] != 0 and now > places[NOT_AFTER]) or (places[NOT_BEFORE] != 0 and now < places[NOT_BEFORE]):
        risks |= EXPIRED_CERTIFICATE
    covered = False
    named = np.int64(row.name_source) == NAME_SNI
    size = np.int64(row.server_name_length)
    first = 0
    first_end = 0
    at = places[NAMES]
    for _ in range(512):
        tag = element(data, at, places[NAMES_END], part)
        if tag < 0:
            break
        at = part[1]
        if tag == 0x82:
            if first_end == 0:
                first = part[0]
                first_end = part[1]
            if named and covers(data, part[0], part[1], row.server_name, size):
                covered = True
                break
    if named:
        if not covered and places[SUBJECT_END] > 0:
            covered = covers(data, places[SUBJECT], places[SUBJECT_END], row.server_name, size)
        if not covered and (first_end > 0 or places[SUBJECT_END] > 0):
            risks |= NAME_MISMATCH
    else:
        taken = 0
        if looks_like_host(data, places[SUBJECT], places[SUBJECT_END]):
            taken = learn_name(facts, data, places[SUBJECT], places[SUBJECT_END], NAME_CERTIFICATE)
        if taken == 0 and first_end > 0:
            learn_name(facts, data, first, first_end, NAME_CERTIFICATE)
    row.risks = np.uint64(row.risks) | np.uint64(risks)
    return 1


@kernel
def looks_like_host(data: Array, start: int, stop: int) -> bool:
    """True if data[start:stop] could be a host name with a dot (a wildcard included), not a person's or a firm's name."""
    dots = 0
    for k in range(start, stop):
        value = np.int64(data[k])
        if value == 46:
            dots += 1
        elif not (48 <= value <= 57 or 65 <= value <= 90 or 97 <= value <= 122 or value == 45 or value == 95 or value == 42):
            return False
    return dots > 0


@entry(U8, I64, I64, I64, I64, I64, INSPECTION, FACTS, TRANSACTION)
def server_flight(data: Array, start: int, stop: int, version: int, cipher: int, with_alpn: int, inspection: Array, facts: Array,
                  outbox: Array) -> int:
    """Write the row of a server's flight, with what the certificate data[start:stop] teaches; stop 0 where none was in clear.

    The name that was asked for, JA3S, the client's JA4 and ALPN (if with_alpn) are taken from facts. Returns 1, or 0 where the bytes are no certificate
    (nothing is written).
    """
    places = scratch_numbers(CERTIFICATE_PLACES)
    if stop > start and certificate(data, start, stop, places, inspection, facts) == 0:
        return 0
    row = facts[0]
    out = open_row(outbox, inspection, TLS)
    number(outbox, out, 0, 1)
    number(outbox, out, 1, version)
    number(outbox, out, 2, cipher)
    if np.int64(row.name_source) == NAME_SNI:
        text(outbox, out, 0, row.server_name, 0, np.int64(row.server_name_length))
    if with_alpn:
        text(outbox, out, 1, row.alpn, 0, np.int64(row.alpn_length))
    if row.has_ja3s != 0:
        hexadecimal_text(outbox, out, 3, row.ja3s, 16)
    if row.ja4_count != 0:
        text(outbox, out, 4, row.ja4_all, 0, 36)
    if stop <= start:
        return 1
    number(outbox, out, 3, places[NOT_BEFORE])
    number(outbox, out, 4, places[NOT_AFTER])
    text(outbox, out, 5, data, places[SUBJECT], min(places[SUBJECT_END], places[SUBJECT] + 128))
    part = scratch_numbers(2)
    at = places[NAMES]
    room = TEXT_ROOM - field(outbox, out, 6) - LAST_TEXTS       # names that do not fit whole are left out
    written = 0
    for _ in range(512):
        tag = element(data, at, places[NAMES_END], part)
        if tag < 0:
            break
        at = part[1]
        size = part[1] - part[0]
        if tag != 0x82 or written + size + 1 > room:
            continue
        if written > 0:
            written += byte(outbox, out, 6, 44)
        written += text(outbox, out, 6, data, part[0], part[1])
    text(outbox, out, 7, data, places[ISSUER], min(places[ISSUER_END], places[ISSUER] + 128))
    digest = scratch_bytes(32)
    sha256(data, start, min(stop, places[CERTIFICATE_END]), digest, 0)
    hexadecimal_text(outbox, out, 8, digest, 32)
    return 1


@kernel
def hexadecimal_text(outbox: Array, row: int, k: int, data: Array, count: int) -> None:
    """Append data[:count] in hexadecimal to text field k of a row."""
    for i in range(count):
        byte(outbox, row, k, nibble(np.int64(data[i]) >> 4))
        byte(outbox, row, k, nibble(np.int64(data[i]) & 15))

