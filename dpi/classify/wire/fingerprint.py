"""Writing and hashing the lists of JA3 and JA4.

JA3 and JA3S: MD5 of the decimal fields of a hello (the public description by Salesforce). JA4: the public technical description by FoxIO,
TLS client part. Values of the form 0x?A?A with equal bytes (GREASE, RFC 8701) are left out of all of them.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.wire.scratch import scratch_bytes
from dpi.classify.wire.sha256 import sha256
from dpi.jit import kernel

Array = np.ndarray[Any, Any]

TEXT_BYTES = 26000      # decimal digits and dashes of every two-byte value in 8 KB


@kernel
def two(data: Array, at: int) -> int:
    """The big-endian 16-bit value at data[at], which must exist."""
    return np.int64(data[at]) << 8 | np.int64(data[at + 1])


@kernel
def is_grease(value: int) -> bool:
    """True for the reserved values of RFC 8701."""
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF


@kernel
def decimal(text: Array, at: int, value: int) -> int:
    """Write value (0..99999) in decimal at text[at]; the place after it. Nothing is written where it might not fit."""
    if at + 6 > text.size:
        return at
    if value == 0:
        text[at] = 48
        return at + 1
    size = 0
    rest = value
    while rest > 0 and size < 5:
        rest //= 10
        size += 1
    for i in range(size):
        text[at + size - 1 - i] = 48 + value % 10
        value //= 10
    return at + size


@kernel
def nibble(value: int) -> int:
    """The lower-case hexadecimal digit of 0..15."""
    return value + 48 if value < 10 else value + 87


@kernel
def hexadecimal(text: Array, at: int, value: int, digits: int) -> int:
    """Write the low `digits` hexadecimal digits of value at text[at]; the place after them, or `at` where they do not fit."""
    if at + digits > text.size:
        return at
    for i in range(digits):
        text[at + i] = nibble(value >> (4 * (digits - 1 - i)) & 15)
    return at + digits


@kernel
def decimals(text: Array, at: int, data: Array, start: int, stop: int) -> int:
    """Write the 16-bit values of data[start:stop] but GREASE, joined by dashes; the place after them."""
    first = at
    for k in range(start, stop - 1, 2):
        value = two(data, k)
        if is_grease(value):
            continue
        if at > first and at < text.size:
            text[at] = 45
            at += 1
        at = decimal(text, at, value)
    return at


@kernel
def extension_decimals(text: Array, at: int, data: Array, start: int, stop: int) -> int:
    """Write the types of the extensions in data[start:stop] but GREASE, joined by dashes; the place after them."""
    first = at
    while start + 4 <= stop:
        value = two(data, start)
        start += 4 + two(data, start + 2)
        if is_grease(value):
            continue
        if at > first and at < text.size:
            text[at] = 45
            at += 1
        at = decimal(text, at, value)
    return at


@kernel
def comma(text: Array, at: int) -> int:
    """Write a comma; the place after it."""
    if at < text.size:
        text[at] = 44
        return at + 1
    return at


@kernel
def sort(values: Array, count: int) -> None:
    """Sort values[:count] in place (Shell's method: no worse than n ** 1.5 for whatever comes)."""
    gap = 1
    while gap < count // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, count):
            one = values[i]
            k = i
            while k >= gap and values[k - gap] > one:
                values[k] = values[k - gap]
                k -= gap
            values[k] = one
        gap //= 3


@kernel
def hexadecimals(text: Array, at: int, values: Array, count: int) -> int:
    """Write values[:count] as four hexadecimal digits each, joined by commas; the place after them."""
    for i in range(count):
        if i > 0:
            at = comma(text, at)
        at = hexadecimal(text, at, values[i], 4)
    return at


@kernel
def short_hash(text: Array, size: int, out: Array, at: int) -> None:
    """Write the first 12 hexadecimal digits of the SHA-256 of text[:size] to out[at:]; twelve zeros where size is 0."""
    digest = scratch_bytes(32)
    if size > 0:
        sha256(text, 0, size, digest, 0)
    else:
        for i in range(6):
            digest[i] = 0
    for i in range(6):
        hexadecimal(out, at + 2 * i, np.int64(digest[i]), 2)


@kernel
def version_code(version: int) -> int:
    """JA4's two letters for a version, the first one in the high byte: 0x0304 is '13'."""
    if 0x0301 <= version <= 0x0304:
        return 0x3130 + version - 0x0301
    if version == 0x0300:
        return 0x7333   # s3
    if version == 0x0002:
        return 0x7332   # s2
    if version == 0xFEFF:
        return 0x6431   # d1
    if version == 0xFEFD:
        return 0x6432   # d2
    if version == 0xFEFC:
        return 0x6433   # d3
    return 0x3030


@kernel
def is_alphanumeric(value: int) -> bool:
    """True for ASCII letters and digits."""
    return 48 <= value <= 57 or 65 <= value <= 90 or 97 <= value <= 122
