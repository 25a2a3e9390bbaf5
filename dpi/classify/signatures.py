"""First bytes: which rows fit the beginning of a flow, by one table-driven kernel.

A row is a conjunction: transport, direction, ports, lengths, pinned bytes (nibble masks, letters of either case), substrings in a window, a
length field. Both the `bytes` stanzas of rules/apps/*.toml and the `Claim`s of the protocol files become rows. Rows lie in one array, more
specific ones first, so a lower index has priority; `buckets` lists, for each transport and first byte, the rows that are possible at all.

How the engine uses it, for the k-th payload packet of a flow (`inspection[0].packets` = k)::

    row = next_row(data, n, inspection, rows, pieces, pattern_bytes, buckets, -1)      # then again with after=row, until -1
    rows[row].parser != 0        ask that parser; on NO go on with after=row
    rows[row].packets > k        keep the row number in the flow as its candidate; at the next payload packet ask
                                 row_matches(..., candidate): 1 and k == rows[candidate].packets: named; 0: drop it

A row of several packets is offered at the flow's first payload packet only, so that `packets` packets have really been looked at.
For TCP the data are the first bytes of one direction's stream so far, and `length` is their number.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dpi.classify.inspection import INSPECTION
from dpi.jit import I64, entry, kernel, records

ANY = 2                     # ROW.direction beside CLIENT (0) and SERVER (1)
LENGTH_MAX = 65535
PIECES_MAX = 255            # of each sort in one row

#: One row. 40 bytes.
ROW = np.dtype((np.record, [
    ("mask0", "u4"), ("mask1", "u4"),       # bytes 0-3 and 4-7 of the data, first byte highest
    ("value0", "u4"), ("value1", "u4"),
    ("reason", "u4"),                       # in RuleSet.reason_table
    ("first", "u4"),                        # its first piece
    ("least", "u2"), ("most", "u2"),        # length of the data
    ("parser", "u2"),                       # 1-based number of the parser to ask; 0: the row itself names the flow
    ("ip_protocol", "u1"),
    ("direction", "u1"),                    # CLIENT, SERVER or ANY
    ("packets", "u1"),                      # payload packets it must hold for
    ("ports", "u1"),                        # pieces that are port ranges (one must hold), first in order
    ("lengths", "u1"),                      # pieces that are length ranges (one must hold), next
    ("others", "u1"),                       # pieces that must all hold, last
    ("pad", "u1", (4,)),
]))

BYTES, FROM_END, FIND, FIELD, FIELD_LEAST = 1, 2, 3, 4, 5
#: One condition of a row. 24 bytes. Port and length ranges use `at` (low) and `length` (high).
PIECE = np.dtype((np.record, [
    ("kind", "u1"),             # BYTES at `at`; FROM_END at n - `at`; FIND in a window; FIELD: n == value + add; FIELD_LEAST: n >= value + add
    ("size", "u1"),             # of a length field, 1-4
    ("little", "u1"),           # 1: little-endian length field
    ("pad", "u1"),
    ("at", "u4"),
    ("length", "u4"),           # of the pattern
    ("pattern", "u4"),          # in pattern_bytes: `length` values, then `length` masks
    ("within", "u4"),           # FIND: bytes of the window from `at`; 0: to the end
    ("add", "i4"),
]))
assert ROW.itemsize == 40 and PIECE.itemsize == 24, (ROW.itemsize, PIECE.itemsize)

TCP, UDP, SCTP = 6, 17, 132
_KEYS = 257                             # first byte, or 256 where there is no data
_OTHER = 3 * _KEYS                      # from here: rows of other IP protocols, by number
BUCKETS = _OTHER + 256


@kernel
def _word(data, n, at):
    """Four bytes of data from `at`, first byte highest, zeros after the end."""
    word = np.int64(0)
    for i in range(at, at + 4):
        word = word << 8
        if i < n:
            word |= np.int64(data[i])
    return word


@kernel
def _piece_holds(data, n, piece, pattern_bytes):
    """1 where one BYTES, FROM_END, FIND, FIELD or FIELD_LEAST piece holds."""
    kind = np.int64(piece.kind)
    at = np.int64(piece.at)
    length = np.int64(piece.length)
    pattern = np.int64(piece.pattern)
    if kind == 1 or kind == 2:
        if kind == 2:
            at = n - at
        if at < 0 or at + length > n:
            return 0
        for i in range(length):
            if np.int64(data[at + i]) & np.int64(pattern_bytes[pattern + length + i]) != np.int64(pattern_bytes[pattern + i]):
                return 0
        return 1
    if kind == 3:
        stop = n
        within = np.int64(piece.within)
        if within != 0 and at + within < n:
            stop = at + within
        value = np.int64(pattern_bytes[pattern])
        mask = np.int64(pattern_bytes[pattern + length])
        for start in range(at, stop - length + 1):
            if np.int64(data[start]) & mask == value:
                i = 1
                while i < length and np.int64(data[start + i]) & np.int64(pattern_bytes[pattern + length + i]) == np.int64(pattern_bytes[pattern + i]):
                    i += 1
                if i == length:
                    return 1
        return 0
    size = np.int64(piece.size)
    if at + size > n:
        return 0
    value = np.int64(0)
    for i in range(size):
        if piece.little:
            value |= np.int64(data[at + i]) << (8 * i)
        else:
            value = value << 8 | np.int64(data[at + i])
    value += np.int64(piece.add)
    if kind == 5:
        return 1 if n >= value else 0
    return 1 if n == value else 0


@kernel
def _row_fits(data, n, word0, word1, client_port, server_port, row, pieces, pattern_bytes):
    """1 where everything but transport and direction holds. row: ROW record; word0, word1: the first eight bytes."""
    if n < np.int64(row.least) or n > np.int64(row.most):
        return 0
    if word0 & np.int64(row.mask0) != np.int64(row.value0) or word1 & np.int64(row.mask1) != np.int64(row.value1):
        return 0
    at = np.int64(row.first)
    count = np.int64(row.ports)
    if count:
        held = 0
        for i in range(at, at + count):
            low = np.int64(pieces[i].at)
            high = np.int64(pieces[i].length)
            if (low <= server_port and server_port <= high) or (low <= client_port and client_port <= high):
                held = 1
                break
        if held == 0:
            return 0
        at += count
    count = np.int64(row.lengths)
    if count:
        held = 0
        for i in range(at, at + count):
            if np.int64(pieces[i].at) <= n and n <= np.int64(pieces[i].length):
                held = 1
                break
        if held == 0:
            return 0
        at += count
    for i in range(at, at + np.int64(row.others)):
        if _piece_holds(data, n, pieces[i], pattern_bytes) == 0:
            return 0
    return 1


@kernel
def row_matches(data, n, inspection, rows, pieces, pattern_bytes, row):
    """1 where row number `row` fits this packet. A packet of the other direction than the row's says nothing against it: 1."""
    one = rows[row]
    if one.direction != 2 and one.direction != inspection[0].direction:
        return 1
    return _row_fits(data, n, _word(data, n, 0), _word(data, n, 4), np.int64(inspection[0].client_port), np.int64(inspection[0].server_port),
                     one, pieces, pattern_bytes)


@kernel
def next_row(data, n, inspection, rows, pieces, pattern_bytes, buckets, after):
    """The first row > after that fits, or -1.

    data: uint8[>= n]; n: bytes of data; inspection: INSPECTION[1]; rows: ROW[r]; pieces: PIECE[p]; pattern_bytes: uint8[b];
    buckets: uint32[], from `table()`; after: row number, -1 to begin.
    """
    ip_protocol = np.int64(inspection[0].ip_protocol)
    key = np.int64(256)
    if n > 0:
        key = np.int64(data[0])
    if ip_protocol == 6:
        slot = key
    elif ip_protocol == 17:
        slot = 257 + key
    elif ip_protocol == 132:
        slot = 514 + key
    else:
        slot = 771 + ip_protocol
    at = np.int64(buckets[slot])
    stop = np.int64(buckets[slot + 1])
    if at >= stop:
        return np.int64(-1)
    while at < stop and np.int64(buckets[at]) <= after:
        at += 1
    direction = np.int64(inspection[0].direction)
    client_port = np.int64(inspection[0].client_port)
    server_port = np.int64(inspection[0].server_port)
    later = inspection[0].packets > 1
    word0 = _word(data, n, 0)
    word1 = _word(data, n, 4)
    while at < stop:
        number = np.int64(buckets[at])
        row = rows[number]
        at += 1
        if np.int64(row.direction) != 2 and np.int64(row.direction) != direction:
            continue
        if later and row.packets > 1:
            continue
        if _row_fits(data, n, word0, word1, client_port, server_port, row, pieces, pattern_bytes):
            return number
    return np.int64(-1)


_U1, _U4 = np.dtype("u1"), np.dtype("u4")


@entry(_U1, INSPECTION, ROW, PIECE, _U1, _U4, I64)
def find_row(data, inspection, rows, pieces, pattern_bytes, buckets, after):
    """`next_row` for Python callers."""
    return next_row(data, np.int64(data.size), inspection, rows, pieces, pattern_bytes, buckets, after)


@entry(_U1, INSPECTION, ROW, PIECE, _U1, I64)
def check_row(data, inspection, rows, pieces, pattern_bytes, row):
    """`row_matches` for Python callers."""
    return row_matches(data, np.int64(data.size), inspection, rows, pieces, pattern_bytes, row)


# ---------------------------------------------------------------- building the table

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


def table(signatures: Sequence[Signature]) -> tuple[Any, Any, Any, Any]:
    """(rows ROW[], pieces PIECE[], pattern_bytes uint8[], buckets uint32[]) of these signatures, the more specific ones first."""
    ordered = sorted(signatures, key=lambda one: -one.weight())
    rows = records(max(1, len(ordered)), ROW)
    laid: list[tuple[Any, ...]] = []
    patterns = bytearray()
    lists: list[list[int]] = [[] for _ in range(BUCKETS)]
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
        if one.ip_protocol in (TCP, UDP, SCTP):
            start = (TCP, UDP, SCTP).index(one.ip_protocol) * _KEYS
            for byte in range(256):
                if byte & head_mask[0] == head_value[0]:
                    lists[start + byte].append(number)
            if row.least == 0:
                lists[start + 256].append(number)
        else:
            lists[_OTHER + one.ip_protocol].append(number)
    buckets = np.zeros(BUCKETS + 1 + sum(map(len, lists)), np.uint32)
    at = BUCKETS + 1
    for slot, numbers in enumerate(lists):
        buckets[slot] = at
        buckets[at:at + len(numbers)] = numbers
        at += len(numbers)
    buckets[BUCKETS] = at
    pieces = records(max(1, len(laid)), PIECE)
    for number, fields in enumerate(laid):
        pieces[number] = fields
    return rows, pieces, np.frombuffer(bytes(patterns) or b"\0", np.uint8).copy(), buckets
