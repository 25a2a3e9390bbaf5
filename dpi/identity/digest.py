"""Names of people and lines as keyed digests: what was said on the wire is hashed where it is read and kept nowhere else.

SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012), a key of 128 bits; each kind of name has a key of its own, so that a
user and a circuit of the same letters differ. Without the key nobody can tell whose digest it is, nor try names until one fits.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.octets import octet
from dpi.jit import U64, entry, kernel

USER, CIRCUIT, MAC, SESSION, NAS, PAIR = range(1, 7)        # kinds of names
_U1, _U8 = np.dtype("u1"), np.dtype("u8")


@kernel
def turn(x: Any, by: Any) -> Any:
    """Rotate left."""
    return (x << np.uint64(by)) | (x >> np.uint64(64 - by))


@kernel
def mix(x: Any, y: Any) -> Any:
    """One word of two, never 0 (the last steps of MurmurHash3)."""
    h = np.uint64(x) ^ (np.uint64(y) * np.uint64(0x9E3779B97F4A7C15))
    h = (h ^ (h >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    h = (h ^ (h >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    h = h ^ (h >> np.uint64(33))
    return h if h != np.uint64(0) else np.uint64(1)


@kernel
def sip_round(v0: Any, v1: Any, v2: Any, v3: Any) -> Any:
    """One round."""
    v0 = v0 + v1
    v1 = turn(v1, 13) ^ v0
    v0 = turn(v0, 32)
    v2 = v2 + v3
    v3 = turn(v3, 16) ^ v2
    v0 = v0 + v3
    v3 = turn(v3, 21) ^ v0
    v2 = v2 + v1
    v1 = turn(v1, 17) ^ v2
    v2 = turn(v2, 32)
    return v0, v1, v2, v3


@kernel
def begin(kind: Any, key0: Any, key1: Any) -> Any:
    """The state before the first word."""
    k0, k1 = np.uint64(key0), np.uint64(key1) ^ np.uint64(kind)
    return k0 ^ np.uint64(0x736F6D6570736575), k1 ^ np.uint64(0x646F72616E646F6D), k0 ^ np.uint64(0x6C7967656E657261), k1 ^ np.uint64(0x7465646279746573)


@kernel
def take(v0: Any, v1: Any, v2: Any, v3: Any, m: Any) -> Any:
    """A word of the message."""
    v3 = v3 ^ m
    v0, v1, v2, v3 = sip_round(v0, v1, v2, v3)
    v0, v1, v2, v3 = sip_round(v0, v1, v2, v3)
    return v0 ^ m, v1, v2, v3


@kernel
def end(v0: Any, v1: Any, v2: Any, v3: Any) -> Any:
    """The digest once all words were taken."""
    v2 = v2 ^ np.uint64(255)
    for _ in range(4):
        v0, v1, v2, v3 = sip_round(v0, v1, v2, v3)
    h = v0 ^ v1 ^ v2 ^ v3
    return h if h != np.uint64(0) else np.uint64(1)


@kernel
def digest(data: Any, start: Any, size: Any, kind: Any, key0: Any, key1: Any) -> Any:
    """SipHash-2-4 of data[start : start + size], uint64, never 0. The caller has checked the range; `kind` is one of those above."""
    v0, v1, v2, v3 = begin(kind, key0, key1)
    at, rest = np.int64(start), np.int64(size)
    while rest >= 8:
        m = np.uint64(0)
        for i in range(8):
            m |= np.uint64(octet(data, at + i)) << np.uint64(8 * i)
        v0, v1, v2, v3 = take(v0, v1, v2, v3, m)
        at += 8
        rest -= 8
    m = np.uint64(size & 255) << np.uint64(56)
    for i in range(rest):
        m |= np.uint64(octet(data, at + i)) << np.uint64(8 * i)
    v0, v1, v2, v3 = take(v0, v1, v2, v3, m)
    return end(v0, v1, v2, v3)


@kernel
def digest_mac(mac: Any, key0: Any, key1: Any) -> Any:
    """`digest` of the six bytes of a MAC address given as a number."""
    m = np.uint64(6) << np.uint64(56)
    for i in range(6):
        m |= np.uint64((mac >> (40 - 8 * i)) & 255) << np.uint64(8 * i)
    v0, v1, v2, v3 = begin(MAC, key0, key1)
    v0, v1, v2, v3 = take(v0, v1, v2, v3, m)
    return end(v0, v1, v2, v3)


@entry(_U1, U64, U64, U64, _U8)
def digest_of(data: Any, kind: Any, key0: Any, key1: Any, out: Any) -> Any:
    """`digest` of all of `data`, into out[0]."""
    out[0] = digest(data, np.int64(0), np.int64(data.size), np.uint64(kind), np.uint64(key0), np.uint64(key1))
    return 0
