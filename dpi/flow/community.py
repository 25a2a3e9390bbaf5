"""Community ID, version 1, seed 0: the name of a conversation that other tools give it too (github.com/corelight/community-id-spec).

"1:" and the base64 (RFC 4648 section 4) of the SHA-1 of

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
from dpi.flow.sha1 import LANES, sha1_blocks
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


@entry(ROW, U4, U4, U1, I8)
def identify(rows: Any, blocks: Any, digests: Any, out: Any, offsets: Any) -> Any:
    """The IDs of rows ROW[n] as text: out uint8[LENGTH n], offsets int64[n + 1]; blocks uint32[16 * LANES + 16] and digests uint32[5 * LANES] are
    room to compute in.

    ICMP type and code are those of the first packet, which the client sent unless it is an echo reply. Returns the octets written.
    """
    words = blocks[16 * LANES:]
    to = np.int64(0)
    waiting = np.int64(0)
    for k in range(rows.size):
        offsets[k] = to + waiting * LENGTH
        if rows[k].fold != 0:         # the fold of a flood is no conversation
            continue
        message(rows[k], words)
        for i in range(16):
            blocks[LANES * i + waiting] = words[i]
        waiting += 1
        if waiting == LANES:
            to = write(blocks, digests, waiting, out, to)
            waiting = np.int64(0)
    to = write(blocks, digests, waiting, out, to)
    offsets[rows.size] = to
    return to


@kernel
def write(blocks: Any, digests: Any, count: Any, out: Any, to: Any) -> Any:
    """Write the IDs of the first `count` messages; returns where the next one goes."""
    if count != 0:
        sha1_blocks(blocks, digests)
    for k in range(count):
        encode(digests, k, out, to)
        to += LENGTH
    return to


@kernel
def message(row: Any, words: Any) -> Any:
    """A row's message, padded to a block: words uint32[16]."""
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
    return 0


@kernel
def encode(digests: Any, k: Any, out: Any, at: Any) -> Any:
    """Write "1:" and the base64 of digest k's five words at out[at:]."""
    out[at] = 49
    out[at + 1] = 58
    at += 2
    bits = np.int64(0)
    have = np.int64(0)
    for i in range(5):
        bits = (bits & 63) << 32 | np.int64(digests[LANES * i + k])
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
    written = identify(rows, np.zeros(16 * LANES + 16, np.uint32), np.zeros(5 * LANES, np.uint32), out, offsets)
    return Texts(out[:written], offsets)
