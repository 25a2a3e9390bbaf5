"""Domain names, slowly: the twin of dpi/classify/wire/dns_name.py."""
from __future__ import annotations


def name_text(message: bytes, at: int, plain: bool = False) -> tuple[bytes, int]:
    """(text, octets on the wire uncompressed) of the name at `at`; ValueError where RFC 1035 forbids it or a pointer does not lead back."""
    labels: list[bytes] = []
    floor = at
    octets = 1
    while True:
        if at >= len(message):
            raise ValueError("cut")
        size = message[at]
        if size == 0:
            break
        if size >= 0xC0:
            if at + 2 > len(message):
                raise ValueError("cut")
            at = int.from_bytes(message[at:at + 2], "big") & 0x3FFF
            if at >= floor:
                raise ValueError("a pointer must lead back")
            floor = at
            continue
        if size >= 0x40 or at + 1 + size > len(message) or octets + size + 1 > 255:
            raise ValueError("label")
        labels.append(message[at + 1:at + 1 + size])
        octets += size + 1
        at += size + 1
    return b".".join(b"".join(escape(c, plain) for c in label.lower()) for label in labels) or b".", octets


def escape(c: int, plain: bool) -> bytes:
    if c in b".\\":
        return b"\\" + bytes([c])
    if 32 < c < 127 or (plain and (c == 32 or c > 127)):
        return bytes([c])
    return b"\\%03d" % c
