"""DNS messages (RFC 1035, section 4), as DNS, mDNS (RFC 6762) and LLMNR (RFC 4795) share them.

`message_check` decides whether bytes are one message; `message_row` writes its row of the dns table, notes the query name in the flow's
facts, and hands the addresses an answer holds to the engine, which names the flows that follow.

Row: numbers 0 transaction id, 1 query type, 2 response code, 3 is response, 4 answers, 5 smallest TTL, 6 opcode, 7 response time in us (-1 where
the query was not seen), 8 flags; texts 0 query name, 1 answers (addresses and names, joined by commas).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import NAME_DNS, RISKS
from dpi.classify.wire.address_text import put_ipv4, put_ipv6
from dpi.classify.wire.dns_name import name_end, name_start, name_text
from dpi.classify.wire.rows import byte, field, number, open_row
from dpi.jit import kernel

UNICAST, MULTICAST, LINK = 0, 1, 2          # the kind of a message: DNS, mDNS, LLMNR
REFUSED, WHOLE, TRAILING, PARTIAL = 0, 1, 2, 3      # answers of message_check
SUSPICIOUS = 1 << RISKS.index("suspicious_dns")

Array = np.ndarray[Any, Any]


@kernel
def short(data: Array, at: int) -> int:
    """The big-endian 16-bit integer at `at` (checked by the caller)."""
    return np.int64(data[at]) << 8 | np.int64(data[at + 1])


@kernel
def class_known(value: int, kind: int) -> bool:
    """Is this a class in use: IN, CH, HS, NONE or ANY? In mDNS the top bit has another meaning."""
    if kind == 1:
        value &= 0x7FFF
    return value == 1 or value == 255 or value == 3 or value == 4 or value == 254


@kernel
def message_check(data: Array, at: int, stop: int, kind: int) -> int:
    """Is data[at:stop] a message? WHOLE; TRAILING: one with bytes after it; PARTIAL: its records are cut but its questions are whole; REFUSED."""
    if at < 0 or stop > data.size or stop - at < 12:
        return 0
    flags = short(data, at + 2)
    questions = short(data, at + 4)
    answers = short(data, at + 6)
    records = answers + short(data, at + 8) + short(data, at + 10)
    response = flags >> 15
    opcode = flags >> 11 & 15
    code = flags & 15
    if opcode == 3 or opcode > 6 or (kind > 0 and opcode > 0):
        return 0
    if questions * 5 + records * 11 > 65535 - 12 or questions > (64 if kind == 1 else 4):
        return 0
    if response == 0 and kind == 0 and (code != 0 or (opcode == 0 and (answers > 0 or questions != 1))):
        return 0
    if kind == 2 and questions != 1:
        return 0
    if questions + records == 0:
        # servers answer what they cannot read with a bare header
        return 1 if response == 1 and code != 0 and stop - at == 12 else 0
    at += 12
    for _ in range(questions):
        at = name_end(data, at, stop)
        if at < 0 or at + 4 > stop or not class_known(short(data, at + 2), kind):
            return 0
        at += 4
    for _ in range(records):
        at = name_end(data, at, stop)
        if at == -1:
            return 0
        if at < 0 or at + 10 > stop:
            return 3
        sort = short(data, at)
        group = short(data, at + 2)
        size = short(data, at + 8)
        if sort == 0:
            return 0
        if sort != 41 and not class_known(group, kind):     # an OPT record keeps a size there
            return 0
        if group == 1 and ((sort == 1 and size != 4) or (sort == 28 and size != 16)) and (opcode != 5 or size != 0):
            return 0
        at += 10 + size
        if at > stop:
            return 3
    return 1 if at == stop else 2


@kernel
def elapsed(inspection: Array, response: int, identifier: int) -> int:
    """Remember a query's time under its id, or for a response give the microseconds since; -1 where unknown. Uses state[0:6], three queries."""
    seen = inspection[0]
    state = seen.state
    mark = identifier | 0x10000
    now = np.int64(seen.time) & 0xFFFFFFFF
    if response:
        for i in range(0, 6, 2):
            if np.int64(state[i]) == mark:
                state[i] = 0
                gone = (now - np.int64(state[i + 1])) & 0xFFFFFFFF
                return gone if gone < 0x7FFFFFFF else -1
        return -1
    for i in range(0, 6, 2):
        if np.int64(state[i]) == mark:
            return -1       # asked again: the time counts from the first
    for i in range(4, 0, -1):
        state[i + 1] = state[i - 1]
    state[0] = mark
    state[1] = now
    return -1


@kernel
def message_row(data: Array, base: int, stop: int, kind: int, inspection: Array, facts: Array, outbox: Array) -> int:
    """Write what data[base:stop] says, which message_check has passed. Returns 1, or 0 where the query name is malformed (and nothing is kept)."""
    seen = inspection[0]
    known = facts[0]
    plain = 1 if kind == 1 else 0
    flags = short(data, base + 2)
    questions = short(data, base + 4)
    answers = short(data, base + 6)
    records = answers
    if kind == 1:
        records += short(data, base + 8) + short(data, base + 10)       # mDNS sends host addresses as additional records
    response = flags >> 15
    row = open_row(outbox, inspection, 1)
    at = base + 12
    octets = 0
    if questions > 0:
        octets = name_text(outbox, row, 0, data, base, at, stop, plain)
        if row >= 0 and octets < 0:
            seen.outbox = row
            return 0
        at = name_end(data, at, stop)
        number(outbox, row, 1, short(data, at))
        at += 4
        for _ in range(questions - 1):
            at = name_end(data, at, stop) + 4
    number(outbox, row, 0, short(data, base))
    number(outbox, row, 2, flags & 15)
    number(outbox, row, 3, response)
    number(outbox, row, 4, answers)
    number(outbox, row, 6, flags >> 11 & 15)
    number(outbox, row, 8, flags)
    number(outbox, row, 7, elapsed(inspection, response, short(data, base)) if kind != 1 else -1)
    owner = -1          # mDNS, no question: where the name stands that the addresses belong to
    found = 0
    smallest = -1
    addresses = seen.addresses
    for i in range(records if response else 0):
        begin = at
        at = name_end(data, at, stop)
        if at < 0 or at + 10 > stop:
            break
        sort = short(data, at)
        size = short(data, at + 8)
        rest = np.int64(short(data, at + 4) << 16 | short(data, at + 6))
        at += 10
        if at + size > stop:
            break
        if questions == 0 and field(outbox, row, 0) == 0 and (i == 0 or sort == 1 or sort == 28):
            if i == 0 or owner < 0:
                if i == 0:
                    number(outbox, row, 1, sort)
                    name_text(outbox, row, 0, data, base, begin, stop, plain)
        if i < answers and (smallest < 0 or rest < smallest):
            smallest = rest
        skip = -1
        if (sort == 1 and size == 4) or (sort == 28 and size == 16):
            mine = True
            if kind == 1:
                start = name_start(data, base, begin, stop)
                if owner < 0:
                    owner = start
                mine = start == owner and start >= 0
            if mine and found < 16:
                slot = found * 16
                if sort == 1:
                    for j in range(10):
                        addresses[slot + j] = 0
                    addresses[slot + 10] = 255
                    addresses[slot + 11] = 255
                    for j in range(4):
                        addresses[slot + 12 + j] = data[at + j]
                else:
                    for j in range(16):
                        addresses[slot + j] = data[at + j]
                found += 1
        elif sort == 5 or sort == 12 or sort == 2 or sort == 39:
            skip = 0
        elif sort == 15 and size > 2:
            skip = 2
        elif sort == 33 and size > 6:
            skip = 6
        if i < answers and (skip >= 0 or sort == 1 or sort == 28):
            if field(outbox, row, 1) > text_start(outbox, row):
                byte(outbox, row, 1, 44)
            if skip >= 0:
                name_text(outbox, row, 1, data, base, at + skip, at + size, plain)
            elif sort == 1 and size == 4:
                put_ipv4(outbox, row, 1, data, at)
            elif size == 16:
                put_ipv6(outbox, row, 1, data, at)
        at += size
    number(outbox, row, 5, smallest if smallest >= 0 and smallest < 0x80000000 else 0)
    if row < 0:
        return 1
    # the name asked for, as far as it fits, to the flow and with the addresses to the engine
    one = outbox[row]
    kept = one.text
    ends = one.ends
    length = np.int64(ends[0]) if one.texts > 0 else 0
    if length > 255:
        length = 255
    if length > 0 and known.server_name_length == 0:
        server = known.server_name
        for i in range(length):
            server[i] = kept[i]
        known.server_name_length = length
        known.name_source = NAME_DNS
        seen.learned = 1
    if octets > 100 and longest_label(kept, length) > 45:
        known.risks = np.uint64(known.risks) | np.uint64(SUSPICIOUS)
        seen.learned = 1
    if found > 0 and (seen.direction == 1 or kind > 0 or seen.midstream == 1):
        name = seen.name
        if kind == 1 and questions != 1:
            length = host_name(outbox, inspection, data, base, owner, stop)
        else:
            for i in range(length):
                name[i] = kept[i]
        if length > 0:
            seen.name_length = length
            seen.name_count = found
    return 1


@kernel
def text_start(outbox: Array, row: int) -> int:
    """Where text field 1 of a row begins."""
    if row < 0:
        return 0
    return np.int64(outbox[row].ends[0])


@kernel
def longest_label(kept: Array, length: int) -> int:
    """Characters of the longest label of a written name."""
    most = 0
    run = 0
    for i in range(length):
        if kept[i] == 46:
            run = 0
        else:
            run += 1
            if run > most:
                most = run
    return most


@kernel
def host_name(outbox: Array, inspection: Array, data: Array, base: int, at: int, stop: int) -> int:
    """Write the name at `at` into inspection.name, by way of a row that is given back. Returns its length, 0 where it cannot be had."""
    seen = inspection[0]
    if at < 0:
        return 0
    row = open_row(outbox, inspection, 1)
    if row < 0:
        return 0
    seen.outbox = row
    if name_text(outbox, row, 0, data, base, at, stop, 1) < 0:
        return 0
    one = outbox[row]
    ends = one.ends
    kept = one.text
    length = min(np.int64(ends[0]), 255)
    name = seen.name
    for i in range(length):
        name[i] = kept[i]
    return length
