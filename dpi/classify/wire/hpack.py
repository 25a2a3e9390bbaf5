"""HPACK: the header compression of HTTP/2 (RFC 7541), for the fields a probe wants.

A dynamic table is a region of TABLE bytes of a parser's memory. It counts every entry with its true size, so that indices stay right, and
keeps the values of wanted fields only, in a ring of RING bytes; a value that was overwritten reads as empty. At most 127 entries are
addressed (the standard's default of 4096 octets holds 128 at the very most).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.wire.header_lines import name_hash, word_hash
from dpi.classify.wire.huffman import huffman_text
from dpi.jit import kernel

Array = np.ndarray[Any, Any]

ENTRIES = 128
RING = 1280
TABLE = 32 + ENTRIES * 12 + RING        # a head of words: next entry's number, entries, octets, limit, ring position
SCRATCH = 256                           # bytes a decoded value is given

#: Fields that are wanted
OTHER, AUTHORITY, METHOD, PATH, STATUS, USER_AGENT, CONTENT_TYPE, SERVER, LENGTH, HOST, AUTHORIZATION, REFERER = range(12)

_NAMES = {b":authority": AUTHORITY, b":method": METHOD, b":path": PATH, b":status": STATUS, b"user-agent": USER_AGENT, b"content-type": CONTENT_TYPE,
          b"server": SERVER, b"content-length": LENGTH, b"host": HOST, b"authorization": AUTHORIZATION, b"referer": REFERER}
_STATIC_FIELDS = {1: AUTHORITY, 2: METHOD, 3: METHOD, 4: PATH, 5: PATH, 8: STATUS, 9: STATUS, 10: STATUS, 11: STATUS, 12: STATUS, 13: STATUS, 14: STATUS,
                  23: AUTHORIZATION, 28: LENGTH, 31: CONTENT_TYPE, 38: HOST, 51: REFERER, 54: SERVER, 58: USER_AGENT}
_STATIC_VALUES = {2: b"GET", 3: b"POST", 4: b"/", 5: b"/index.html", 8: b"200", 9: b"204", 10: b"206", 11: b"304", 12: b"400", 13: b"404", 14: b"500"}

NAME_HASHES = np.array([name_hash(name) for name in _NAMES], np.int64)
NAME_KINDS = np.array(list(_NAMES.values()), np.int64)
STATIC_KINDS = np.array([_STATIC_FIELDS.get(i, OTHER) for i in range(62)], np.int64)
STATIC_TEXT = np.frombuffer(b"".join(_STATIC_VALUES.values()), np.uint8).astype(np.int64)
STATIC_STARTS = np.array([sum(len(v) for k, v in _STATIC_VALUES.items() if k < i) for i in range(16)], np.int64)
#: octets an entry made from each static name is charged for its name
STATIC_NAME_SIZES = np.array([0, 10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16, 14, 16, 13, 12, 6, 4, 4, 6, 7, 4,
                              4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6, 10, 25, 17, 10, 4, 3, 16], np.int64)


@kernel
def word(memory: Array, at: int) -> int:
    """The 32-bit little-endian word at `at`."""
    return np.int64(memory[at]) | np.int64(memory[at + 1]) << 8 | np.int64(memory[at + 2]) << 16 | np.int64(memory[at + 3]) << 24


@kernel
def set_word(memory: Array, at: int, value: int) -> None:
    """Keep a 32-bit word at `at`."""
    for i in range(4):
        memory[at + i] = value >> (8 * i) & 255


@kernel
def integer(data: Array, at: int, stop: int, bits: int) -> tuple[int, int]:
    """(value, offset after it) of the integer with a prefix of `bits` at `at` (section 5.1); value -1 where it is cut or over 2^21."""
    if at >= stop:
        return -1, stop
    most = (1 << bits) - 1
    value = np.int64(data[at]) & most
    at += 1
    if value < most:
        return value, at
    for shift in range(0, 21, 7):
        if at >= stop:
            return -1, stop
        c = np.int64(data[at])
        at += 1
        value += (c & 127) << shift
        if c < 128:
            return value, at
    return -1, stop


@kernel
def string(data: Array, at: int, stop: int, memory: Array, scratch: int) -> tuple[int, int]:
    """(length, offset after it) of the string literal at `at`, decoded into memory[scratch:scratch + SCRATCH]; length -1 where it is broken."""
    if at >= stop:
        return -1, stop
    coded = data[at] >= 128
    size, at = integer(data, at, stop, 7)
    if size < 0 or size > stop - at:
        return -1, stop
    if coded:
        return huffman_text(data, at, at + size, memory, scratch, SCRATCH), at + size
    for i in range(min(size, SCRATCH)):
        memory[scratch + i] = data[at + i]
    return size, at + size


@kernel
def add_entry(memory: Array, table: int, kind: int, named: int, length: int, scratch: int) -> None:
    """Put an entry with a name of `named` octets in front of the table at `table`; its value (`length` bytes at `scratch`) stays if it is wanted."""
    size = named + length + 32
    limit = word(memory, table + 12)
    octets = word(memory, table + 8) + size
    count = word(memory, table + 4)
    following = word(memory, table)
    while count > 0 and (octets > limit or count >= 128):
        octets -= word(memory, table + 32 + ((following - count) & 127) * 12) & 0xFFFF
        count -= 1
    if octets > limit or size > 0xFFFF:
        set_word(memory, table + 4, 0)
        set_word(memory, table + 8, 0)
        return
    ring = word(memory, table + 16)
    keep = min(length, 255) if kind > 0 else 0
    begin = table + 32 + 1536
    for i in range(keep):
        memory[begin + (ring + i) % 1280] = memory[scratch + i]
    at = table + 32 + (following & 127) * 12
    set_word(memory, at, size | kind << 16 | keep << 24)
    set_word(memory, at + 4, ring)
    set_word(memory, at + 8, named)
    set_word(memory, table, following + 1)
    set_word(memory, table + 4, count + 1)
    set_word(memory, table + 8, octets)
    set_word(memory, table + 16, ring + keep)


@kernel
def resize(memory: Array, table: int, limit: int) -> None:
    """Set the limit of the table and drop what is over it."""
    set_word(memory, table + 12, limit)
    octets = word(memory, table + 8)
    count = word(memory, table + 4)
    following = word(memory, table)
    while count > 0 and octets > limit:
        octets -= word(memory, table + 32 + ((following - count) & 127) * 12) & 0xFFFF
        count -= 1
    set_word(memory, table + 4, count)
    set_word(memory, table + 8, octets)


@kernel
def indexed(memory: Array, table: int, index: int, scratch: int) -> tuple[int, int]:
    """(kind, length) of entry `index` of the static or dynamic table, its value put at `scratch`; kind -1 where there is none."""
    if index <= 0:
        return -1, 0
    if index < 62:
        length = 0
        if index < 15:
            start = STATIC_STARTS[index]
            length = STATIC_STARTS[index + 1] - start
            for i in range(length):
                memory[scratch + i] = STATIC_TEXT[start + i]
        return STATIC_KINDS[index], length
    place = index - 61
    if place > word(memory, table + 4):
        return -1, 0
    at = table + 32 + ((word(memory, table) - place) & 127) * 12
    head = word(memory, at)
    ring = word(memory, at + 4)
    length = head >> 24 & 255
    if word(memory, table + 16) - ring > 1280:
        length = 0      # overwritten since
    begin = table + 32 + 1536
    for i in range(length):
        memory[scratch + i] = memory[begin + (ring + i) % 1280]
    return head >> 16 & 255, length


@kernel
def next_header(data: Array, at: int, stop: int, memory: Array, table: int, scratch: int) -> tuple[int, int, int]:
    """(kind, length, offset after it) of the header field at `at`; its value is at memory[scratch:], the first SCRATCH bytes of it.

    Kind OTHER for fields that are not wanted and size updates; -1 where the block is broken (and the table must not be used any more).
    """
    if at >= stop:
        return -1, 0, stop
    first = np.int64(data[at])
    if first >= 128:
        index, at = integer(data, at, stop, 7)
        kind, length = indexed(memory, table, index, scratch)
        return kind, length, at
    if first >> 5 == 1:
        limit, at = integer(data, at, stop, 5)
        if limit < 0 or limit > 65536:
            return -1, 0, stop
        resize(memory, table, limit)
        return 0, 0, at
    index, at = integer(data, at, stop, 6 if first >= 64 else 4)
    if index < 0:
        return -1, 0, stop
    kind = 0
    named = 0
    if index == 0:
        named, at = string(data, at, stop, memory, scratch)
        if named < 0:
            return -1, 0, stop
        key = word_hash(memory, scratch, scratch + min(named, SCRATCH))
        for i in range(NAME_HASHES.size):
            if NAME_HASHES[i] == key:
                kind = NAME_KINDS[i]
    else:
        kind, _ = indexed(memory, table, index, scratch)
        if kind < 0:
            return -1, 0, stop
        if index < 62:
            named = STATIC_NAME_SIZES[index]
        else:
            named = word(memory, table + 32 + ((word(memory, table) - (index - 61)) & 127) * 12 + 8)
    length, at = string(data, at, stop, memory, scratch)
    if length < 0:
        return -1, 0, stop
    if first >= 64:
        add_entry(memory, table, kind, named, length, scratch)
    return kind, min(length, SCRATCH), at
