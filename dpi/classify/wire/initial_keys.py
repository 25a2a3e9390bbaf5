"""The keys of a client's QUIC Initial packets, by version (RFC 9001 section 5.2, RFC 9369 section 3.3, the drafts, and Google's QUIC).

What differs between versions is the salt, and in version 2 the labels. Each label is kept as the whole HKDF-Expand info: length, label,
empty context, and the counter byte 1.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.wire.hkdf import hmac, prepare
from dpi.classify.wire.scratch import scratch_bytes, scratch_words
from dpi.jit import kernel

Array = np.ndarray[Any, Any]

#: Salt numbers, as `salt_of` gives them
_SALTS = (
    "38762cf7f55934b34d179ae6a4c80cadccbb7f0a",     # 0: version 1 and drafts 33 and 34
    "0dede3def700a6db819381be6e269dcbf9bd2ed9",     # 1: version 2
    "afbfec289993d24c9e9786f19c6111e04390a899",     # 2: drafts 29 to 32
    "c3eef712c72ebb5a11a7d2432bb46365bef9f502",     # 3: drafts 23 to 28
    "7fbcdb0e7c66bbe9193a96cd21519ebd7a02644a",     # 4: drafts 21 and 22
    "504574efd066fe2f9d945cfcdbd3a7f0d3b56b45",     # 5: Q050
    "7ff579e5acd072915580304c43a2367c60488310",     # 6: T050
    "7a4edef4e7ccee5fa4506c19124fc8ccda6e033d",     # 7: T051
)
SALTS = np.frombuffer(bytes.fromhex("".join(_SALTS)), np.uint8).copy()
SALT_COUNT = len(_SALTS)


def _info(length: int, label: str) -> bytes:
    text = b"tls13 " + label.encode()
    return (length.to_bytes(2, "big") + bytes([len(text)]) + text + b"\0\1").ljust(32, b"\0")


_INFOS = (("client in", 32), ("quic key", 16), ("quic iv", 12), ("quic hp", 16), ("quicv2 key", 16), ("quicv2 iv", 12), ("quicv2 hp", 16),
          ("server in", 32))
INFOS = np.frombuffer(b"".join(_info(n, label) for label, n in _INFOS), np.uint8).copy()
INFO_LENGTHS = np.array([len(label) + 11 for label, _ in _INFOS], np.int64)

KEY, IV, HP, KEYS = 0, 16, 32, 48       # places in the keys; iv is followed by four zero bytes


@kernel
def salt_of(version: int) -> int:
    """The number of the salt of a QUIC version (host order), -1 where it is not known."""
    if version == 1:
        return 0
    if version == 0x6B3343CF or version == 0x709A50C4:      # RFC 9369, and its last drafts' number
        return 1
    if version >> 8 == 0xFF0000:
        draft = version & 0xFF
        if 33 <= draft <= 34:
            return 0
        if 29 <= draft <= 32:
            return 2
        if 23 <= draft <= 28:
            return 3
        if 21 <= draft <= 22:
            return 4
        return -1
    if version >> 8 == 0xFACEB0:        # Facebook's mvfst
        low = version & 0xFF
        return 0 if low == 3 else 4 if low == 1 else 3
    if version == 0x51303530:
        return 5
    if version == 0x54303530:
        return 6
    if version == 0x54303531:
        return 7
    return -1


@kernel
def _expand(pads: Array, label: int, line: Array, secret: Array) -> None:
    """HKDF-Expand-Label of the label's number into secret (uint8[32]); line is uint8[32] to work with."""
    for i in range(32):
        line[i] = INFOS[32 * label + i]
    hmac(pads, line, 0, INFO_LENGTHS[label], secret, 0)


@kernel
def initial_keys(salt: int, server: int, dcid: Array, start: int, stop: int, keys: Array) -> int:
    """keys (uint8[48]: key 16, iv 12 + 4 zeros, header key 16) for the Initials of the client (or the server, if 1).

    dcid[start:stop] is the Destination Connection ID of the client's first Initial, at most 20 bytes; salt is of `salt_of`.
    Returns 1, or 0 where an argument is out of range.
    """
    if salt < 0 or salt >= SALT_COUNT or start < 0 or stop < start or stop > dcid.size or stop - start > 20 or keys.size < KEYS:
        return 0
    pads = scratch_words(16)
    secret = scratch_bytes(32)
    line = scratch_bytes(32)        # tables are read-only to numba: passed on, they would have the digests compiled twice
    for i in range(20):
        line[i] = SALTS[20 * salt + i]
    prepare(line, 0, 20, pads)
    hmac(pads, dcid, start, stop, secret, 0)
    prepare(secret, 0, 32, pads)
    _expand(pads, 7 if server != 0 else 0, line, secret)
    prepare(secret, 0, 32, pads)
    first = 4 if salt == 1 else 1
    for k in range(3):
        _expand(pads, first + k, line, secret)
        for i in range(16):
            keys[16 * k + i] = secret[i] if k != 1 or i < 12 else 0
    return 1
