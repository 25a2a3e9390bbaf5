"""Digests and AES-GCM against hashlib and `cryptography`, with the processor's instructions and without."""
from __future__ import annotations

import hashlib

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.classify.wire import aes, ghash, sha256
from dpi.classify.wire.aes_gcm import open_sealed
from dpi.classify.wire.initial_keys import initial_keys, salt_of
from dpi.classify.wire.md5 import md5
from dpi.classify.wire.scratch import scratch_bytes
from dpi.jit import BUILD, I64, entry, kernel
from tests.oracle import initial as twin

EXAMPLES = 40 if BUILD == "on" else 6     # the plain ciphers run as Python where the JIT is off
U8, U32 = np.dtype("u1"), np.dtype("u4")


@entry(U8, U8)
def digests(data, out):
    """out: SHA-256, then MD5."""
    sha256.sha256(data, 0, data.size, out, 0)
    md5(data, 0, data.size, out, 32)
    return 0


@entry(U8, U8, U8, U8, U8)
def gcm(key, nonce, aad, data, out):
    schedule = scratch_bytes(176)
    aes.expand_key(key, 0, schedule)
    return open_sealed(schedule, nonce, aad, 0, aad.size, data, 0, data.size, out, 0)


def array(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8).copy()


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.binary(max_size=300))
def test_digests(data):
    out = np.zeros(48, np.uint8)
    digests(array(data), out)
    assert out.tobytes() == hashlib.sha256(data).digest() + hashlib.md5(data).digest()


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.binary(min_size=16, max_size=16), st.binary(min_size=12, max_size=12), st.binary(max_size=70), st.binary(max_size=400), st.integers(0, 10 ** 6))
def test_sealed_bytes(key, nonce, aad, plain, where):
    sealed = AESGCM(key).encrypt(nonce, plain, aad)
    out = np.full(len(plain) + 3, 7, np.uint8)
    assert gcm(array(key), array(nonce + bytes(4)), array(aad), array(sealed), out) == len(plain)
    assert out.tobytes() == plain + b"\7\7\7"
    wrong = bytearray(sealed)
    wrong[where % len(wrong)] ^= 1 << where % 8
    out[:] = 7
    assert gcm(array(key), array(nonce + bytes(4)), array(aad), array(bytes(wrong)), out) == -1
    assert out.tobytes() == b"\7" * len(out)


def test_ranges_that_do_not_exist():
    short = np.zeros(15, np.uint8)
    assert gcm(np.zeros(16, np.uint8), np.zeros(16, np.uint8), short, short, short) == -1
    assert gcm(np.zeros(16, np.uint8), np.zeros(16, np.uint8), short, np.zeros(40, np.uint8), short) == -1     # no room for the plain text


@entry(U8, I64, U8, U8)
def keys_of(cid, version, out, server):
    return initial_keys(salt_of(version), server.size, cid, 0, cid.size, out)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.sampled_from(sorted(twin.SALTS)), st.binary(max_size=20), st.booleans())
def test_initial_keys(version, cid, server):
    out = np.zeros(48, np.uint8)
    assert keys_of(array(cid), version, out, np.zeros(int(server), np.uint8)) == 1
    key, iv, head = twin.keys(version, cid, "server" if server else "client")
    assert out.tobytes() == key + iv + bytes(4) + head


def test_keys_of_the_standard():
    """RFC 9001, appendix A.1."""
    out = np.zeros(48, np.uint8)
    keys_of(array(bytes.fromhex("8394c8f03e515708")), 1, out, np.zeros(0, np.uint8))
    assert out.tobytes().hex() == "1f369613dd76d5467730efcbe3b1a22d" "fa044b2f42a3fd3b46fb255c00000000" "9f50449e04a0e810283a1e9933adedd2"
    assert keys_of(array(b"1"), 0x12345678, out, np.zeros(0, np.uint8)) == 0


#: What the processor's instructions mean; machines without them take these
sha_block, expand, encrypt = kernel(sha256._plain_block), kernel(aes._plain_expand), kernel(aes._plain_encrypt)
counter, prepare, absorb = kernel(aes._plain_counter), kernel(ghash._plain_prepare), kernel(ghash._plain_one)


@entry(U8, U8, U8, U32, U8)
def without_instructions(key, data, schedule, state, out):
    """out: 0 hash key, 16 GHASH of 64 bytes of data, 32 the first block of data encrypted, 48 128 bytes of data in counter mode from 1."""
    powers = scratch_bytes(64)
    sha_block(state, data, 0)
    expand(key, 0, schedule)
    encrypt(schedule, out, 0, out, 0)
    prepare(out[0:16], powers)
    for i in range(4):
        absorb(powers, out[16:32], data, 16 * i)
    encrypt(schedule, data, 0, out, 32)
    nonce = scratch_bytes(16)
    for i in range(16):
        nonce[i] = 0
    counter(schedule, nonce, 1, data, 0, out, 48)
    return 0


def test_the_plain_twins_of_the_instructions():
    key, data = bytes(range(16)), hashlib.sha512(b"x").digest() * 2
    schedule, out, state = np.zeros(176, np.uint8), np.zeros(176, np.uint8), np.array(sha256.START, np.uint32)
    assert without_instructions(array(key), array(data), schedule, state, out) == 0
    book = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    assert out[:16].tobytes() == (hashed := book.update(bytes(16))) and out[32:48].tobytes() == book.update(data[:16])
    assert out[48:].tobytes() == Cipher(algorithms.AES(key), modes.CTR((1).to_bytes(16, "big"))).encryptor().update(data)
    total = 0
    for i in range(0, 64, 16):
        total = times(total ^ int.from_bytes(data[i:i + 16], "big"), int.from_bytes(hashed, "big"))
    assert out[16:32].tobytes() == total.to_bytes(16, "big")
    rest = np.array(state)
    padded = array(b"\x80" + bytes(61) + b"\2\0")
    without_instructions(array(key), array(padded.tobytes() * 2), schedule, rest, out)
    assert b"".join(int(v).to_bytes(4, "big") for v in rest) == hashlib.sha256(data[:64]).digest()


def times(one: int, other: int) -> int:
    """The product of GHASH's field (NIST SP 800-38D, algorithm 1)."""
    out = 0
    for i in range(128):
        if one >> (127 - i) & 1:
            out ^= other
        other = other >> 1 ^ (0xE1 << 120 if other & 1 else 0)
    return out
