"""Lines of text protocols: start lines, header fields, numbers (RFC 9112, sections 2.2 and 5; RFC 3261, section 7; RFC 5322, section 2.2).

A field name is compared by the 32-bit hash of its lower-case letters: `name_hash` gives the constants. Two names could share a hash, which
would only let a sender write one field under another's name, as the sender could anyway.

An empty or impossible range gives the answer for "not found".
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.octets import place16
from dpi.classify.wire.rows import byte
from dpi.jit import kernel

Array = np.ndarray[Any, Any]


def spelling(word: bytes) -> Array:
    """A word for `find`, as kernels take constants."""
    return np.frombuffer(word.lower(), np.uint8).copy()


def name_hash(word: bytes) -> int:
    """The hash of a field name or method, as `word_hash` finds it. A constant for kernels."""
    value = 0
    for c in word.lower():
        value = (value * 33 + c) & 0xFFFFFFFF
    return value


@kernel
def word_hash(data: Array, at: int, stop: int) -> int:
    """`name_hash` of data[at:stop]."""
    value = 0
    if at < 0 or stop <= at:
        return value
    for i in range(at, stop):
        c = np.int64(data[i])
        if 65 <= c <= 90:
            c += 32
        value = (value * 33 + c) & 0xFFFFFFFF
    return value


@kernel
def seek(data: Array, at: int, stop: int, value: int) -> int:
    """Offset of the first byte `value` in data[at:stop], -1 where there is none; sixteen bytes at a time."""
    if at < 0 or stop <= at:
        return -1
    i = at
    while i + 16 <= stop:
        k = place16(data, i, value)
        if k < 16:
            return i + k
        i += 16
    if i < stop and stop - 16 >= at:        # what is left, with some of what was looked at
        k = place16(data, stop - 16, value)
        return stop - 16 + k if k < 16 else -1
    while i < stop:
        if data[i] == value:
            return i
        i += 1
    return -1


@kernel
def line_end(data: Array, at: int, stop: int) -> int:
    """Offset of the line feed at or after `at`, -1 where there is none before `stop`."""
    return seek(data, at, stop, 10)


@kernel
def until(data: Array, at: int, stop: int, value: int) -> int:
    """Offset of the first byte `value` in data[at:stop], or `stop`."""
    found = seek(data, at, stop, value)
    return found if found >= 0 else stop


@kernel
def head_end(data: Array, at: int, stop: int) -> int:
    """Offset after the blank line that ends a head which begins at `at`; -1 where it is not in data[at:stop]."""
    end = line_end(data, at, stop)
    while end >= 0:
        if end + 1 < stop and data[end + 1] == 10:
            return end + 2
        if end + 2 < stop and data[end + 1] == 13 and data[end + 2] == 10:
            return end + 3
        end = line_end(data, end + 1, stop)
    return -1


@kernel
def next_field(data: Array, at: int, stop: int) -> tuple[int, int, int, int]:
    """(hash of the name, start and stop of the value without blanks around it, offset of the next line) of the field line at `at`.

    Hash 0: a blank line or the end of the data. Hash -1: a line that is no field (or continues one): to be passed over. The last line need
    not be ended: what is there of it counts.
    """
    if at >= stop or data[at] == 10 or (data[at] == 13 and (at + 1 >= stop or data[at + 1] == 10)):
        return 0, at, at, at
    colon = at
    name = 0
    most = min(stop, at + 48)
    while colon < most and data[colon] != 58 and data[colon] != 10:
        c = np.int64(data[colon])
        if 65 <= c <= 90:
            c += 32
        name = (name * 33 + c) & 0xFFFFFFFF
        colon += 1
    end = line_end(data, colon, stop)
    after = end + 1
    if end < 0:
        end = stop
        after = stop
    if colon >= most or data[colon] != 58 or colon == at or data[at] == 32 or data[at] == 9:
        return -1, at, at, after
    start = colon + 1
    while start < end and (data[start] == 32 or data[start] == 9):
        start += 1
    while end > start and (data[end - 1] == 13 or data[end - 1] == 32 or data[end - 1] == 9):
        end -= 1
    return name, start, end, after


@kernel
def decimal(data: Array, at: int, stop: int) -> int:
    """The number written in data[at:stop], which must hold digits only and at most 15 of them; -1 else."""
    if stop <= at or stop - at > 15:
        return -1
    value = 0
    for i in range(at, stop):
        digit = np.int64(data[i]) - 48
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value


@kernel
def begins(data: Array, at: int, stop: int, size: int, wanted: int) -> bool:
    """Do data[at:stop] begin with the `size` bytes whose `name_hash` is `wanted`?"""
    return stop - at >= size and word_hash(data, at, at + size) == wanted


@kernel
def find(data: Array, at: int, stop: int, word: Array) -> int:
    """Offset of the first place of `word` (lower case) in data[at:stop], letters compared without regard to case; -1 where there is none."""
    size = word.size
    if at < 0:
        return -1
    sign = 0                # a byte of the word that has one spelling only is looked for first
    while sign < size and 97 <= word[sign] <= 122:
        sign += 1
    i = at
    while i + size <= stop:
        if sign < size:
            i = seek(data, i + sign, stop - size + sign + 1, np.int64(word[sign])) - sign
            if i < at:
                return -1
        for j in range(size):
            c = np.int64(data[i + j])
            if 65 <= c <= 90:
                c += 32
            if c != word[j]:
                break
        else:
            return i
        i += 1
    return -1


@kernel
def host_end(data: Array, at: int, stop: int) -> int:
    """Where the host of a host:port text ends; `at` where it is no host (RFC 3986, section 3.2.2, letters of names in use)."""
    if at < stop and data[at] == 91:
        end = until(data, at, stop, 93)
        return end + 1 if end < stop else at
    i = at
    while i < stop:
        c = np.int64(data[i])
        if c == 58:
            break
        if not (48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122 or c == 45 or c == 46 or c == 95):
            return at
        i += 1
    return i


@kernel
def put_lower(outbox: Array, row: int, k: int, data: Array, start: int, stop: int) -> None:
    """Append data[start:stop] to text field k in lower case."""
    for i in range(start, stop):
        c = np.int64(data[i])
        byte(outbox, row, k, c + 32 if 65 <= c <= 90 else c)
