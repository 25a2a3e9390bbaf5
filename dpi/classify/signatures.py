"""First bytes: which rows fit the beginning of a flow, by one table-driven kernel.

A row is a conjunction: transport, direction, ports, lengths, pinned bytes (nibble masks, letters of either case), substrings in a window, a
length field. Both the `bytes` stanzas of rules/apps/*.toml and the `Claim`s of the protocol files become rows. Rows lie in one array, more
specific ones first, so a lower index has priority (dpi/classify/signature_table.py lays them out).

`buckets` holds, for each transport, some groups; a group has one key of eight bits (a byte at some offset, a port, the length), a map of the keys
that have rows, and 256 lists of row numbers; each row is filed in one group, under the key that tells most, so that of some thousand rows a
packet meets a handful. The heads of all groups lie together in a few cache lines: most groups are passed over by their map alone; an entry of a
list says enough of its row (ENTRY words: number, mask0, value0, least) that most rows are passed over unseen.

How the engine uses it, for the k-th payload packet of a flow (`inspection[0].packets` = k)::

    row = next_row(data, n, inspection, rows, pieces, pattern_bytes, buckets, -1)      # then again with after=row, until -1
    rows[row].parser != 0        ask that parser; on NO go on with after=row
    rows[row].packets > k        keep the row number in the flow as its candidate; at the next payload packet ask
                                 row_matches(..., candidate): 1 and k == rows[candidate].packets: named; 0: drop it

A row of several packets is offered at the flow's first payload packet only, so that `packets` packets have really been looked at.
For TCP the data are the first bytes of one direction's stream so far, and `length` is their number.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.octets import be32
from dpi.classify.inspection import INSPECTION
from dpi.jit import I64, entry, kernel

ANY = 2                     # ROW.direction beside CLIENT (0) and SERVER (1)

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
    ("width", "u1"),             # of a length field, 1-4
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
#: What the key of a group is. BY_PORT looks up both ports, each modulo 256; ALWAYS has one list.
BY_BYTE, BY_PORT, BY_LENGTH, ALWAYS = 0, 1, 2, 3
OTHER = 6                   # buckets[0:6]: first group and number of groups of TCP, UDP, SCTP; [6:263]: lists of the other IP protocols, by number
GROUPS = OTHER + 257        # then the heads of groups, HEAD words each: kind, offset of the byte, place of the 257 list bounds, map of the keys in use
HEAD = 3 + 256 // 32
ENTRY = 4


@kernel
def _word(data: Any, n: Any, at: Any) -> Any:
    """Four bytes of data from `at`, first byte highest, zeros after the end."""
    if at + 4 <= n:
        return be32(data, at)
    word = np.int64(0)
    for i in range(at, at + 4):
        word = word << 8
        if i < n:
            word |= np.int64(data[i])
    return word


@kernel
def _piece_holds(data: Any, n: Any, piece: Any, pattern_bytes: Any) -> Any:
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
                while i < length:
                    if np.int64(data[start + i]) & np.int64(pattern_bytes[pattern + length + i]) != np.int64(pattern_bytes[pattern + i]):
                        break
                    i += 1
                if i == length:
                    return 1
        return 0
    size = np.int64(piece.width)
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
def _row_fits(data: Any, n: Any, word0: Any, word1: Any, client_port: Any, server_port: Any, row: Any, pieces: Any, pattern_bytes: Any) -> Any:
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
def row_matches(data: Any, n: Any, inspection: Any, rows: Any, pieces: Any, pattern_bytes: Any, row: Any) -> Any:
    """1 where row number `row` fits this packet. A packet of the other direction than the row's says nothing against it: 1."""
    one = rows[row]
    if one.direction != 2 and one.direction != inspection[0].direction:
        return 1
    return _row_fits(data, n, _word(data, n, 0), _word(data, n, 4), np.int64(inspection[0].client_port), np.int64(inspection[0].server_port),
                     one, pieces, pattern_bytes)


@kernel
def next_row(data: Any, n: Any, inspection: Any, rows: Any, pieces: Any, pattern_bytes: Any, buckets: Any, after: Any) -> Any:
    """The first row > after that fits, or -1.

    data: uint8[>= n]; n: bytes of data; inspection: INSPECTION[1]; rows: ROW[r]; pieces: PIECE[p]; pattern_bytes: uint8[b];
    buckets: uint32[], from `table()`; after: row number, -1 to begin.
    """
    ip_protocol = np.int64(inspection[0].ip_protocol)
    direction = np.int64(inspection[0].direction)
    client_port = np.int64(inspection[0].client_port)
    server_port = np.int64(inspection[0].server_port)
    later = inspection[0].packets > 1
    word0 = _word(data, n, 0)
    word1 = _word(data, n, 4)
    best = np.int64(rows.size)
    slot = np.int64(0) if ip_protocol == 6 else np.int64(2) if ip_protocol == 17 else np.int64(4) if ip_protocol == 132 else np.int64(-1)
    if slot < 0:
        best = _first_of(buckets, 6 + ip_protocol, best, after, data, n, word0, word1, direction, later, client_port, server_port, rows, pieces, pattern_bytes)
        return best if best < rows.size else np.int64(-1)
    head = np.int64(buckets[slot])
    stop = head + HEAD * np.int64(buckets[slot + 1])
    while head < stop:
        kind = np.int64(buckets[head])
        key = np.int64(0)
        if kind == 0:
            offset = np.int64(buckets[head + 1])
            if offset >= n:
                head += HEAD
                continue
            key = np.int64(data[offset])
        elif kind == 1:
            key = server_port & 255
        elif kind == 2:
            key = n & 255
        if (np.int64(buckets[head + 3 + (key >> 5)]) >> (key & 31)) & 1:
            best = _first_of(buckets, np.int64(buckets[head + 2]) + key, best, after, data, n, word0, word1, direction, later, client_port, server_port,
                             rows, pieces, pattern_bytes)
        if kind == 1 and (client_port & 255) != key:
            key = client_port & 255
            if (np.int64(buckets[head + 3 + (key >> 5)]) >> (key & 31)) & 1:
                best = _first_of(buckets, np.int64(buckets[head + 2]) + key, best, after, data, n, word0, word1, direction, later, client_port, server_port,
                                 rows, pieces, pattern_bytes)
        head += HEAD
    return best if best < rows.size else np.int64(-1)


@kernel
def _first_of(buckets: Any, place: Any, best: Any, after: Any, data: Any, n: Any, word0: Any, word1: Any, direction: Any, later: Any, client_port: Any,
              server_port: Any, rows: Any, pieces: Any, pattern_bytes: Any) -> Any:
    """The first row of the list bounded at buckets[place] that fits and lies between `after` and `best`, else best."""
    at = np.uint64(buckets[place])
    stop = np.uint64(buckets[place + 1])
    while at < stop:
        entry = at
        at += np.uint64(ENTRY)
        if word0 & np.int64(buckets[entry + np.uint64(1)]) != np.int64(buckets[entry + np.uint64(2)]) or n < np.int64(buckets[entry + np.uint64(3)]):
            continue
        number = np.int64(buckets[entry])
        if number >= best:
            return best
        row = rows[number]
        if number <= after or (np.int64(row.direction) != 2 and np.int64(row.direction) != direction) or (later and row.packets > 1):
            continue
        if _row_fits(data, n, word0, word1, client_port, server_port, row, pieces, pattern_bytes):
            return number
    return best


_U1, _U4 = np.dtype("u1"), np.dtype("u4")


@entry(_U1, INSPECTION, ROW, PIECE, _U1, _U4, I64)
def find_row(data: Any, inspection: Any, rows: Any, pieces: Any, pattern_bytes: Any, buckets: Any, after: Any) -> Any:
    """`next_row` for Python callers."""
    return next_row(data, np.int64(data.size), inspection, rows, pieces, pattern_bytes, buckets, after)


@entry(_U1, INSPECTION, ROW, PIECE, _U1, I64)
def check_row(data: Any, inspection: Any, rows: Any, pieces: Any, pattern_bytes: Any, row: Any) -> Any:
    """`row_matches` for Python callers."""
    return row_matches(data, np.int64(data.size), inspection, rows, pieces, pattern_bytes, row)
