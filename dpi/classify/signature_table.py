"""Signatures laid out as the arrays that dpi/classify/signatures.py reads: rows by weight, each filed under the key that tells most."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any

import numpy as np

from dpi.classify.signatures import (
    ALWAYS,
    ANY,
    BY_BYTE,
    BY_LENGTH,
    BY_PORT,
    BYTES,
    FIELD,
    FIELD_LEAST,
    FIND,
    FROM_END,
    GROUPS,
    HEAD,
    OTHER,
    PIECE,
    ROW,
    SCTP,
    TCP,
    UDP,
)
from dpi.dataclass import dataclass
from dpi.jit import records

LENGTH_MAX = 65535
_DEEPEST = 256              # a byte further on is no key


@dataclass(frozen=True)
class Piece:
    """One condition on the bytes: kind BYTES, FROM_END (at counts back from the end), FIND, FIELD or FIELD_LEAST."""
    kind: int
    at: int
    value: bytes = b""
    mask: bytes = b""
    within: int = 0
    size: int = 0
    little: bool = False
    add: int = 0

    def needs(self) -> int:
        """The least length of data it can hold for."""
        if self.kind == FROM_END:
            return self.at
        return self.at + (len(self.value) if self.kind in (BYTES, FIND) else self.size)


@dataclass(frozen=True)
class Signature:
    """A row before it is laid out. Several `lengths` or `ports` ranges: one must hold; all `pieces` must."""
    ip_protocol: int
    direction: int = ANY
    ports: tuple[tuple[int, int], ...] = ()
    lengths: tuple[tuple[int, int], ...] = ((1, LENGTH_MAX),)
    pieces: tuple[Piece, ...] = field(default=())
    packets: int = 1
    reason: int = 0
    parser: int = 0

    def weight(self) -> int:
        """How specific it is, in bits: rows are tried in falling order. A parser looks closer than any row, so it is asked a little earlier."""
        bits = 0
        for piece in self.pieces:
            pinned = sum(byte.bit_count() for byte in piece.mask)
            bits += pinned if piece.kind in (BYTES, FROM_END) else max(8, pinned - 8) if piece.kind == FIND else 0
            bits += 8 * piece.size if piece.kind == FIELD else 4 if piece.kind == FIELD_LEAST else 0
        width = sum(high - low + 1 for low, high in self.lengths)
        bits += 8 if width <= 4 else 4 if width <= 64 else 0
        bits += 12 if self.ports else 0
        return min(255, bits) * min(4, self.packets) + (16 if self.parser else 0)


def _key(one: Signature) -> tuple[int, int, tuple[int, ...]]:
    """(kind, offset, keys) of the group that tells this row apart best: a whole byte, ports, part of the first byte, length, nothing."""
    pinned = [(piece.at + i, value) for piece in one.pieces if piece.kind == BYTES
              for i, (value, mask) in enumerate(zip(piece.value, piece.mask, strict=True)) if mask == 0xFF and piece.at + i < _DEEPEST]
    if pinned:
        # the first byte serves most rows; else one that is not as common as 0 or 1
        offset, value = min(pinned, key=lambda pair: (pair[0] != 0, pair[1] < 2, pair[0]))
        return BY_BYTE, offset, (value,)
    if one.ports and sum(high - low + 1 for low, high in one.ports) <= 64:
        return BY_PORT, 0, tuple(sorted({port & 255 for low, high in one.ports for port in range(low, high + 1)}))
    for piece in one.pieces:
        if piece.kind == BYTES and piece.at == 0 and piece.mask[0]:
            return BY_BYTE, 0, tuple(byte for byte in range(256) if byte & piece.mask[0] == piece.value[0])
    if sum(high - low + 1 for low, high in one.lengths) <= 64:
        return BY_LENGTH, 0, tuple(sorted({n & 255 for low, high in one.lengths for n in range(low, high + 1)}))
    return ALWAYS, 0, (0,)


def _buckets(ordered: Sequence[Signature], rows: Any) -> Any:
    """uint32[]: the lists of rows, see `next_row` and the constants above."""
    groups: dict[tuple[int, int, int], list[list[int]]] = {}
    others: list[list[int]] = [[] for _ in range(256)]
    for number, one in enumerate(ordered):
        if one.ip_protocol not in (TCP, UDP, SCTP):
            others[one.ip_protocol].append(number)
            continue
        kind, offset, keys = _key(one)
        lists = groups.setdefault((one.ip_protocol, kind, offset), [[] for _ in range(256)])
        for key in keys:
            lists[key].append(number)
    words = [0] * (GROUPS + HEAD * len(groups))

    def lay(place: int, lists: list[list[int]]) -> None:
        for key, numbers in enumerate(lists):
            words[place + key] = len(words)
            for number in numbers:
                words.extend((number, int(rows[number].mask0), int(rows[number].value0), int(rows[number].least)))
        words[place + 256] = len(words)

    lay(OTHER, others)
    head = GROUPS
    for slot, ip_protocol in enumerate((TCP, UDP, SCTP)):
        mine = sorted(key for key in groups if key[0] == ip_protocol)
        words[2 * slot:2 * slot + 2] = head, len(mine)
        for group in mine:
            words[head:head + 3] = group[1], group[2], len(words)
            for key, numbers in enumerate(groups[group]):
                words[head + 3 + (key >> 5)] |= bool(numbers) << (key & 31)
            words.extend([0] * 257)
            lay(words[head + 2], groups[group])
            head += HEAD
    return np.array(words, np.uint32)


def table(signatures: Sequence[Signature]) -> tuple[Any, Any, Any, Any]:
    """(rows ROW[], pieces PIECE[], pattern_bytes uint8[], buckets uint32[]) of these signatures, the more specific ones first."""
    ordered = sorted(signatures, key=lambda one: -one.weight())
    rows = records(max(1, len(ordered)), ROW)
    laid: list[tuple[Any, ...]] = []
    patterns = bytearray()
    for number, one in enumerate(ordered):
        row = rows[number]
        row.first = len(laid)
        ranges = [(0, 0, 0, 0, low, high, 0, 0, 0) for low, high in one.ports]
        row.ports = len(ranges)
        spans = [(0, 0, 0, 0, low, high, 0, 0, 0) for low, high in one.lengths] if len(one.lengths) > 1 else []
        row.lengths = len(spans)
        head_value, head_mask = bytearray(8), bytearray(8)
        others: list[tuple[Any, ...]] = []
        for piece in one.pieces:
            value, mask, at = piece.value, piece.mask, piece.at
            if piece.kind == BYTES and all(not head_mask[i] for i in range(at, min(8, at + len(value)))):
                inside = max(0, min(8 - at, len(value)))
                head_value[at:at + inside], head_mask[at:at + inside] = value[:inside], mask[:inside]
                value, mask, at = value[inside:], mask[inside:], at + inside
                if not value:
                    continue
            others.append((piece.kind, piece.size, piece.little, 0, at, len(value), len(patterns), piece.within, piece.add))
            patterns += value + mask
        row.others = len(others)
        laid += ranges + spans + others
        row.mask0, row.mask1 = (int.from_bytes(head_mask[i:i + 4], "big") for i in (0, 4))
        row.value0, row.value1 = (int.from_bytes(head_value[i:i + 4], "big") for i in (0, 4))
        row.least = min(LENGTH_MAX, max([min(low for low, _ in one.lengths), *(piece.needs() for piece in one.pieces)]))
        row.most = max(high for _, high in one.lengths)
        row.reason, row.parser, row.ip_protocol = one.reason, one.parser, one.ip_protocol
        row.direction, row.packets = one.direction, one.packets
    pieces = records(max(1, len(laid)), PIECE)
    for number, fields in enumerate(laid):
        pieces[number] = fields
    return rows, pieces, np.frombuffer(bytes(patterns) or b"\0", np.uint8).copy(), _buckets(ordered, rows)
