"""Seals QUIC Initial packets with `cryptography`: the slow twin of what the QUIC parser opens."""
from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

SALTS = {
    0x00000001: "38762cf7f55934b34d179ae6a4c80cadccbb7f0a", 0x6B3343CF: "0dede3def700a6db819381be6e269dcbf9bd2ed9",
    0xFF00001D: "afbfec289993d24c9e9786f19c6111e04390a899", 0xFF00001B: "c3eef712c72ebb5a11a7d2432bb46365bef9f502",
    0xFF000016: "7fbcdb0e7c66bbe9193a96cd21519ebd7a02644a", 0x51303530: "504574efd066fe2f9d945cfcdbd3a7f0d3b56b45",
    0x54303530: "7ff579e5acd072915580304c43a2367c60488310", 0x54303531: "7a4edef4e7ccee5fa4506c19124fc8ccda6e033d",
    0xFACEB002: "c3eef712c72ebb5a11a7d2432bb46365bef9f502",
}


def hmac(key: bytes, data: bytes) -> bytes:
    made = HMAC(key, SHA256())
    made.update(data)
    return made.finalize()


def expand(secret: bytes, label: str, length: int) -> bytes:
    text = b"tls13 " + label.encode()
    return hmac(secret, length.to_bytes(2, "big") + bytes([len(text)]) + text + b"\0\1")[:length]


def keys(version: int, cid: bytes, side: str = "client") -> tuple[bytes, bytes, bytes]:
    """(key, iv, header key)"""
    secret = expand(hmac(bytes.fromhex(SALTS[version]), cid), f"{side} in", 32)
    word = "quicv2" if version == 0x6B3343CF else "quic"
    return expand(secret, f"{word} key", 16), expand(secret, f"{word} iv", 12), expand(secret, f"{word} hp", 16)


def varint(value: int) -> bytes:
    for size, mark in ((1, 0), (2, 1), (4, 2), (8, 3)):
        if value < 1 << (8 * size - 2):
            return (value | mark << (8 * size - 2)).to_bytes(size, "big")
    raise ValueError(value)


def crypto(data: bytes, offset: int = 0, kind: int = 6) -> bytes:
    return bytes([kind]) + varint(offset) + varint(len(data)) + data


def initial(version: int, cid: bytes, frames: bytes, number: int = 0, digits: int = 2, token: bytes = b"", source: bytes = b"", pad: int = 1162,
            key_cid: bytes | None = None) -> bytes:
    """One protected Initial packet whose frames are padded to `pad` bytes."""
    key, iv, head = keys(version, cid if key_cid is None else key_cid)
    frames = frames.ljust(pad, b"\0")
    kind = 1 if version == 0x6B3343CF else 0
    header = (bytes([0xC0 | kind << 4 | digits - 1]) + version.to_bytes(4, "big") + bytes([len(cid)]) + cid + bytes([len(source)]) + source
              + varint(len(token)) + token + (len(frames) + digits + 16 | 0x4000).to_bytes(2, "big"))
    nonce = (int.from_bytes(iv, "big") ^ number).to_bytes(12, "big")
    shown = number.to_bytes(8, "big")[-digits:]
    sealed = AESGCM(key).encrypt(nonce, frames, header + shown)
    mask = Cipher(algorithms.AES(head), modes.ECB()).encryptor().update((shown + sealed)[4:20])
    first = header[0] ^ mask[0] & 0x0F
    return bytes([first]) + header[1:] + bytes(a ^ b for a, b in zip(shown, mask[1:], strict=False)) + sealed
