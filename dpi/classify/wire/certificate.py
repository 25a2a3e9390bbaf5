"""X.509 certificates (RFC 5280, in DER: X.690): subject, issuer, names, validity.

Only what a flow's row needs is read; nothing is verified beyond what the certificate says of itself.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.jit import kernel

Array = np.ndarray[Any, Any]

#: Indices of `places` (int64[12]); starts and ends are offsets, 0 where the part is missing; times are seconds since the epoch
SUBJECT, SUBJECT_END, ISSUER, ISSUER_END, NAMES, NAMES_END, NOT_BEFORE, NOT_AFTER, SELF_SIGNED, CERTIFICATE_END = range(10)
CERTIFICATE_PLACES = 12


@kernel
def element(data: Array, at: int, stop: int, out: Array) -> int:
    """The DER element at data[at]: its content is data[out[0]:out[1]] (int64[2]). Returns its tag, -1 where there is no whole element."""
    if at < 0 or stop > data.size or at + 2 > stop:
        return -1
    tag = np.int64(data[at])
    size = np.int64(data[at + 1])
    at += 2
    if size >= 0x80:
        digits = size & 0x7F
        if digits == 0 or digits > 3 or at + digits > stop:
            return -1
        size = 0
        for i in range(digits):
            size = size << 8 | np.int64(data[at + i])
        at += digits
    if size > stop - at:
        return -1
    out[0] = at
    out[1] = at + size
    return tag


@kernel
def _digits(data: Array, at: int, count: int) -> int:
    """The decimal number data[at:at + count], -1 where one is no digit."""
    value = 0
    for i in range(count):
        digit = np.int64(data[at + i]) - 48
        if digit < 0 or digit > 9:
            return -1
        value = value * 10 + digit
    return value


@kernel
def moment(data: Array, tag: int, start: int, stop: int) -> int:
    """Seconds since the epoch of a UTCTime (tag 23) or GeneralizedTime (24); 0 where it cannot be read."""
    if tag == 23 and stop - start >= 11:
        year = _digits(data, start, 2)
        if year < 0:
            return 0
        year += 1900 if year >= 50 else 2000
        at = start + 2
    elif tag == 24 and stop - start >= 13:
        year = _digits(data, start, 4)
        at = start + 4
    else:
        return 0
    month = _digits(data, at, 2)
    day = _digits(data, at + 2, 2)
    hour = _digits(data, at + 4, 2)
    minute = _digits(data, at + 6, 2)
    second = _digits(data, at + 8, 2) if at + 10 <= stop else 0
    if year < 1 or month < 1 or month > 12 or day < 1 or day > 31 or hour < 0 or hour > 24 or minute < 0 or minute > 59 or second < 0:
        return 0
    # days from the civil date, counting years from March
    if month <= 2:
        year -= 1
        month += 12
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 1 - 719468
    return days * 86400 + hour * 3600 + minute * 60 + second


@kernel
def _common_name(data: Array, start: int, stop: int, places: Array, which: int, part: Array) -> None:
    """Note the (last) common name, OID 2.5.4.3, in the Name whose content is data[start:stop]."""
    at = start
    for _ in range(64):
        if element(data, at, stop, part) != 0x31:
            return
        at = part[1]
        inside = part[0]
        if element(data, inside, at, part) != 0x30:
            continue
        end = part[1]
        if element(data, part[0], end, part) != 0x06:
            continue
        oid = part[0]
        if part[1] - oid != 3 or data[oid] != 0x55 or data[oid + 1] != 0x04 or data[oid + 2] != 0x03:
            continue
        if element(data, part[1], end, part) > 0:
            places[which] = part[0]
            places[which + 1] = part[1]


@kernel
def _alternative_names(data: Array, start: int, stop: int, places: Array, part: Array) -> None:
    """Find the subjectAltName, OID 2.5.29.17, in the Extensions data[start:stop] (a SEQUENCE)."""
    if element(data, start, stop, part) != 0x30:
        return
    at = part[0]
    stop = part[1]
    for _ in range(64):
        if element(data, at, stop, part) != 0x30:
            return
        at = part[1]
        if element(data, part[0], at, part) != 0x06:
            continue
        oid = part[0]
        if part[1] - oid != 3 or data[oid] != 0x55 or data[oid + 1] != 0x1D or data[oid + 2] != 0x11:
            continue
        tag = element(data, part[1], at, part)
        if tag == 0x01:     # critical
            tag = element(data, part[1], at, part)
        if tag == 0x04 and element(data, part[0], part[1], part) == 0x30:
            places[NAMES] = part[0]
            places[NAMES_END] = part[1]
        return


@kernel
def find_certificate(data: Array, start: int, stop: int, places: Array, part: Array) -> int:
    """Fill `places` from the certificate data[start:stop]; part is int64[2] to work with. Returns 1, or 0 where it is none.

    The alternative names are the GeneralName elements of data[places[NAMES]:places[NAMES_END]] (DNS names have tag 0x82).
    """
    for i in range(CERTIFICATE_PLACES):
        places[i] = 0
    if element(data, start, stop, part) != 0x30:
        return 0
    places[CERTIFICATE_END] = part[1]
    if element(data, part[0], part[1], part) != 0x30:
        return 0
    at = part[0]
    stop = part[1]
    if element(data, at, stop, part) == 0xA0:       # version
        at = part[1]
    if element(data, at, stop, part) != 0x02:       # serial number
        return 0
    if element(data, part[1], stop, part) != 0x30:  # signature algorithm
        return 0
    issuer = part[1]
    if element(data, issuer, stop, part) != 0x30:
        return 0
    at = part[1]
    issuer_size = at - issuer
    _common_name(data, part[0], at, places, ISSUER, part)
    if element(data, at, stop, part) != 0x30:       # validity
        return 0
    at = part[1]
    inside = part[0]
    tag = element(data, inside, at, part)
    if tag > 0:
        places[NOT_BEFORE] = moment(data, tag, part[0], part[1])
        tag = element(data, part[1], at, part)
        if tag > 0:
            places[NOT_AFTER] = moment(data, tag, part[0], part[1])
    subject = at
    if element(data, subject, stop, part) != 0x30:
        return 0
    at = part[1]
    if at - subject == issuer_size:
        same = 1
        for i in range(issuer_size):
            if data[subject + i] != data[issuer + i]:
                same = 0
                break
        places[SELF_SIGNED] = same
    _common_name(data, part[0], at, places, SUBJECT, part)
    for _ in range(4):      # public key, unique identifiers, extensions
        tag = element(data, at, stop, part)
        if tag < 0:
            break
        at = part[1]
        if tag == 0xA3:
            _alternative_names(data, part[0], at, places, part)
            break
    return 1


@kernel
def covers(data: Array, start: int, stop: int, name: Array, size: int) -> bool:
    """True if the certificate name data[start:stop] covers the lower-case host name[:size]; '*' stands for one whole first label (RFC 6125)."""
    if stop - start >= 2 and data[start] == 42 and data[start + 1] == 46:
        dot = 0
        while dot < size and name[dot] != 46:
            dot += 1
        start += 1
        if dot == 0:
            return False
    else:
        dot = 0
    if stop - start != size - dot or size == dot:
        return False
    for i in range(stop - start):
        value = np.int64(data[start + i])
        if 65 <= value <= 90:
            value += 32
        if value != name[dot + i]:
            return False
    return True
