"""Captures made by hand, in every form the formats allow, and hypothesis strategies over them."""
from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

MAGICS = {"micro": 0xA1B2C3D4, "nano": 0xA1B23C4D, "modified": 0xA1B2CD34}
Record = tuple[int, int, bytes, int]      # seconds, fraction, captured bytes, wire length


def pcap(records: Sequence[Record], order: str = "<", kind: str = "micro", link: int = 1, version: tuple[int, int] = (2, 4)) -> bytes:
    out = struct.pack(order + "IHHiIII", MAGICS[kind], *version, 0, 0, 65535, link)
    for seconds, fraction, data, wire in records:
        lengths = (wire, len(data)) if version < (2, 3) else (len(data), wire)
        out += struct.pack(order + "IIII", seconds, fraction, *lengths)
        if kind == "modified":
            out += struct.pack(order + "IHBB", 3, 0x0800, 0, 0)
        out += data
    return out


def block(order: str, kind: int, body: bytes) -> bytes:
    body += b"\0" * (-len(body) % 4)
    total = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + total + body + total


def option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def section(order: str = "<") -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order: str = "<", link: int = 1, snaplen: int = 0, resolution: int | None = None, offset: int | None = None,
              name: str = "") -> bytes:
    body = struct.pack(order + "HHI", link, 0, snaplen)
    if name:
        body += option(order, 2, name.encode())
    if resolution is not None:
        body += option(order, 9, bytes([resolution]))
    if offset is not None:
        body += option(order, 14, struct.pack(order + "q", offset))
    return block(order, 1, body + option(order, 0, b""))


def enhanced(order: str, number: int, stamp: int, data: bytes, wire: int, comment: bytes = b"") -> bytes:
    body = struct.pack(order + "IIIII", number, stamp >> 32, stamp & 0xFFFFFFFF, len(data), wire) + data + b"\0" * (-len(data) % 4)
    return block(order, 6, body + (option(order, 1, comment) + option(order, 0, b"") if comment else b""))


def obsolete(order: str, number: int, stamp: int, data: bytes, wire: int) -> bytes:
    return block(order, 2, struct.pack(order + "HHIIII", number, 0, stamp >> 32, stamp & 0xFFFFFFFF, len(data), wire) + data)


def simple(order: str, data: bytes, wire: int) -> bytes:
    return block(order, 3, struct.pack(order + "I", wire) + data)


U32 = st.integers(0, 2**32 - 1)
U64 = st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 2**32).map(lambda n: n * 10**9), st.sampled_from([0, 2**63 - 1, 2**63, 2**64 - 1]))
DATA = st.one_of(st.binary(max_size=40), st.integers(0, 3000).map(bytes))
ORDERS = st.sampled_from("<>")

pcaps = st.builds(pcap, st.lists(st.tuples(U32, U32, DATA, U32), max_size=12), ORDERS, st.sampled_from(sorted(MAGICS)), U32,
                  st.sampled_from([(2, 4), (2, 4), (2, 3), (2, 2), (543, 0), (1, 1)]))


@st.composite
def _section(draw: Any) -> bytes:
    order = draw(ORDERS)
    described = st.builds(interface, st.just(order), st.integers(0, 65535), st.sampled_from([0, 0, 20, 65535]),
                          st.none() | st.integers(0, 255), st.none() | st.integers(-2**63, 2**63 - 1) | st.sampled_from([0, 1, -1]),
                          st.text(max_size=5))
    head = draw(st.lists(described, max_size=3))
    count = len(head)
    items = [described, st.builds(block, st.just(order), st.sampled_from([4, 5, 10, 0xBAD, 0x80000001]), DATA)]
    if count:
        number = st.integers(0, count - 1)
        items += [st.builds(enhanced, st.just(order), number, U64, DATA, U32, st.sampled_from([b"", b"note"])),
                  st.builds(obsolete, st.just(order), number, U64, DATA, U32),
                  DATA.map(lambda data: simple(order, data, len(data) + 3 if len(data) >= 20 else len(data)))]
    return section(order) + b"".join(head) + b"".join(draw(st.lists(st.one_of(items), max_size=10)))


pcapngs = st.lists(_section(), min_size=1, max_size=3).map(b"".join)
captures = st.one_of(pcaps, pcapngs)


def mutated(draw: Any, data: bytes) -> bytes:
    """`data` with a few bytes changed."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        changed[draw(st.integers(0, len(changed) - 1))] = draw(st.sampled_from([0, 1, 4, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    return bytes(changed)


SAMPLES = {
    "pcap": pcap([(1, 5, b"abc", 60), (2, 6, b"", 0), (3, 7, bytes(90), 90)]),
    "modified": pcap([(1, 5, b"abc", 60), (3, 7, bytes(50), 90)], ">", "modified"),
    "pcapng": section("<") + interface("<", name="eth0", resolution=9) + enhanced("<", 0, 5_000_000_000, b"abcde", 60, b"note")
    + block("<", 0xBAD, b"skipped") + section(">") + interface(">", 101) + simple(">", b"xyz", 3) + obsolete(">", 0, 77, b"q", 9),
}
