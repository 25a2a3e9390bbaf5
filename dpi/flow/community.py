"""Community ID, version 1, seed 0: the name of a conversation that other tools give it too (github.com/corelight/community-id-spec).

"1:" and the base64 (RFC 4648 section 4) of the SHA-1 (FIPS 180-4 section 6.1) of

    seed (2 octets, 0) | address | address | IP protocol | 0 | port | port

in network order, the end with the smaller (address, port) first; IPv4 addresses are 4 octets. Protocols without ports end with the 0. ICMP and
ICMPv6 have the type of the message and the type that answers it for ports; where none does, type and code, and the ends stay as sent.
The message is 16 to 40 octets: one block.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.batch import Texts
from dpi.flow.row import ROW
from dpi.jit import entry, kernel

U1, U4, I8 = np.dtype("u1"), np.dtype("u4"), np.dtype("i8")
TCP, UDP, SCTP, ICMP, ICMPV6 = 6, 17, 132, 1, 58
LENGTH = 30                     # of an ID
MASK = 0xFFFFFFFF
ALPHABET = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", np.uint8)
NO_ANSWER = 255


def _answers(*pairs: tuple[int, int]) -> np.ndarray[Any, Any]:
    """uint8[256]: the type that answers each ICMP type."""
    table = np.full(256, NO_ANSWER, np.uint8)
    for one, other in pairs:
        table[one], table[other] = other, one
    return table


#: Echo, router discovery, timestamp, information, address mask (RFC 792, 950, 1256).
ANSWERS4 = _answers((8, 0), (10, 9), (13, 14), (15, 16), (17, 18))
#: Echo, multicast listeners, router and neighbour discovery, node information, home agents (RFC 4443, 2710, 4861, 4620, 6275).
ANSWERS6 = _answers((128, 129), (130, 131), (133, 134), (135, 136), (139, 140), (144, 145))


@kernel
def turned(word: Any, bits: Any) -> Any:
    """A 32-bit word rotated to the left."""
    return (word << bits | word >> (32 - bits)) & MASK


@kernel
def sha1_block(words: Any, digest: Any) -> Any:
    """The SHA-1 of one padded block. words uint32[80]: the block in the first 16, the rest is written; digest uint32[5]."""
    for i in range(16, 80):
        x = np.int64(words[i - 3]) ^ np.int64(words[i - 8]) ^ np.int64(words[i - 14]) ^ np.int64(words[i - 16])
        words[i] = np.uint32(turned(x, 1))
    a, b, c, d, e = np.int64(0x67452301), np.int64(0xEFCDAB89), np.int64(0x98BADCFE), np.int64(0x10325476), np.int64(0xC3D2E1F0)
    # four loops, so that no step has to ask which function it takes
    for i in range(20):
        f = ((d ^ b & (c ^ d)) + 0x5A827999 + turned(a, 5) + e + np.int64(words[i])) & MASK
        e, d, c, b, a = d, c, turned(b, 30), a, f
    for i in range(20, 40):
        f = ((b ^ c ^ d) + 0x6ED9EBA1 + turned(a, 5) + e + np.int64(words[i])) & MASK
        e, d, c, b, a = d, c, turned(b, 30), a, f
    for i in range(40, 60):
        f = ((b & c | d & (b | c)) + 0x8F1BBCDC + turned(a, 5) + e + np.int64(words[i])) & MASK
        e, d, c, b, a = d, c, turned(b, 30), a, f
    for i in range(60, 80):
        f = ((b ^ c ^ d) + 0xCA62C1D6 + turned(a, 5) + e + np.int64(words[i])) & MASK
        e, d, c, b, a = d, c, turned(b, 30), a, f
    digest[0] = np.uint32((a + 0x67452301) & MASK)
    digest[1] = np.uint32((b + 0xEFCDAB89) & MASK)
    digest[2] = np.uint32((c + 0x98BADCFE) & MASK)
    digest[3] = np.uint32((d + 0x10325476) & MASK)
    digest[4] = np.uint32((e + 0xC3D2E1F0) & MASK)
    return 0


@kernel
def put(words: Any, at: Any, value: Any) -> Any:
    """Octet `at` of the block, whose words must have been 0. Returns where the next one goes."""
    words[at >> 2] = np.uint32(np.int64(words[at >> 2]) | np.int64(value) << (24 - 8 * (at & 3)))
    return at + 1


@kernel
def octet(address: Any, i: Any) -> Any:
    """Octet i of an address of ROW, which is two words of the machine's order."""
    return np.int64(address[i >> 3] >> np.uint64(8 * (i & 7)) & np.uint64(255))


@kernel
def is_mapped(address: Any) -> Any:
    """Whether it is an IPv4 address (RFC 4291 section 2.5.5.2)."""
    return address[0] == np.uint64(0) and (address[1] & np.uint64(MASK)) == np.uint64(0xFFFF0000)


@entry(ROW, U4, U1, I8)
def identify(rows: Any, words: Any, out: Any, offsets: Any) -> Any:
    """The IDs of rows ROW[n] as text: out uint8[LENGTH n], offsets int64[n + 1]; words uint32[85] is room to compute in.

    ICMP type and code are those of the first packet, which the client sent unless it is an echo reply. Returns the octets written.
    """
    to = np.int64(0)
    for k in range(rows.size):
        offsets[k] = to
        if rows[k].folded == 0:         # the fold of a flood is no conversation
            digest(rows[k], words)
            encode(words[80:], out, to)
            to += LENGTH
    offsets[rows.size] = to
    return to


@kernel
def digest(row: Any, words: Any) -> Any:
    """The SHA-1 of a row's message, in words[80:85]."""
    protocol = np.int64(row.ip_protocol)
    one = np.int64(row.client_port)
    other = np.int64(row.server_port)
    ported = protocol == TCP or protocol == UDP or protocol == SCTP
    as_sent = False
    if protocol == ICMP or protocol == ICMPV6:
        one = np.int64(row.icmp_type)
        other = np.int64(ANSWERS4[one]) if protocol == ICMP else np.int64(ANSWERS6[one])
        ported = True
        if other == NO_ANSWER:
            other = np.int64(row.icmp_code)
            as_sent = True
        elif (protocol == ICMP and one == 0) or (protocol == ICMPV6 and one == 129):
            one, other = other, one
    elif not ported:
        one = np.int64(0)
        other = np.int64(0)
    client, server = row.client_ip, row.server_ip
    first = np.int64(12) if is_mapped(client) and is_mapped(server) else np.int64(0)
    order = np.int64(0)
    i = first
    while i < 16 and order == 0:
        order = octet(client, i) - octet(server, i)
        i += 1
    if order == 0:
        order = one - other
    swap = order > 0 and not as_sent
    if swap:
        one, other = other, one
    for i in range(16):
        words[i] = 0
    place = np.int64(2)
    for i in range(first, 16):
        place = put(words, place, octet(server, i) if swap else octet(client, i))
    for i in range(first, 16):
        place = put(words, place, octet(client, i) if swap else octet(server, i))
    place = put(words, place, protocol) + 1
    if ported:
        place = put(words, place, one >> 8)
        place = put(words, place, one & 255)
        place = put(words, place, other >> 8)
        place = put(words, place, other & 255)
    put(words, place, 0x80)
    words[15] = np.uint32(8 * place)
    sha1_block(words, words[80:])
    return 0


@kernel
def encode(digest: Any, out: Any, at: Any) -> Any:
    """Write "1:" and the base64 of the five words at out[at:]."""
    out[at] = 49
    out[at + 1] = 58
    at += 2
    bits = np.int64(0)
    have = np.int64(0)
    for i in range(5):
        bits = (bits & 63) << 32 | np.int64(digest[i])
        have += 32
        while have >= 6:
            have -= 6
            out[at] = ALPHABET[(bits >> have) & 63]
            at += 1
    out[at] = ALPHABET[(bits << (6 - have)) & 63]       # 160 bits are 26 letters and 4 bits
    out[at + 1] = 61
    return 0


def community_ids(rows: Any) -> Texts:
    """The IDs of rows ROW[n]; '' for a fold."""
    out = np.empty(LENGTH * len(rows), np.uint8)
    offsets = np.empty(len(rows) + 1, np.int64)
    written = identify(rows, np.zeros(85, np.uint32), out, offsets)
    return Texts(out[:written], offsets)
