"""dpi.classify.wire.rows: rows stay within their record, whatever they are asked to hold; BER elements stay within their message."""
from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.classify.inspection import INSPECTION, TRANSACTION
from dpi.classify.wire.ber import enter, skip, small
from dpi.classify.wire.rows import HTTP, TEXT_BYTES, TEXTS, byte, number, open_row, read, text
from dpi.jit import I64, entry, records

U8, WORD = np.dtype("u1"), np.dtype("i8")


@entry(TRANSACTION, INSPECTION, I64)
def opened(outbox, inspection, table):
    return open_row(outbox, inspection, table)


@entry(TRANSACTION, I64, I64, U8, I64, I64)
def put(outbox, row, k, data, start, stop):
    return text(outbox, row, k, data, start, stop)


@entry(TRANSACTION, I64, I64, I64)
def put_byte(outbox, row, k, value):
    return byte(outbox, row, k, value)


@entry(TRANSACTION, I64, I64, I64)
def put_number(outbox, row, k, value):
    number(outbox, row, k, value)
    return 0


@entry(U8, WORD)
def elements(data, out):
    out[0] = skip(data, 0, data.size, 0x30)
    out[1] = enter(data, 0, data.size, 0x30)
    out[2] = small(data, 0, data.size, 2)
    return 0


def test_a_row_carries_the_flow():
    outbox, inspection = records(2, TRANSACTION), records(1, INSPECTION)
    seen = inspection[0]
    seen.flow, seen.time, seen.direction = 9, 77, 1
    outbox[0].text[:] = 1
    outbox[0].numbers[:] = 5
    assert opened(outbox, inspection, HTTP) == 0 and opened(outbox, inspection, HTTP) == 1 and opened(outbox, inspection, HTTP) == -1
    assert int(seen.outbox) == 2
    row = outbox[0]
    assert (int(row.flow), int(row.time), int(row.direction)) == (9, 77, 1)
    assert read(row) == (HTTP, [0] * 12, [b""] * TEXTS)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 13), st.binary(max_size=400), st.integers(-3, 450), st.integers(-3, 450), st.booleans()), max_size=8))
def test_texts_are_kept_in_order_and_cut_to_what_fits(steps):
    outbox, inspection = records(1, TRANSACTION), records(1, INSPECTION)
    opened(outbox, inspection, 1)
    expected = [b""] * TEXTS
    last = -1
    for k, data, start, stop, single in steps:
        piece = b"A" if single else data[max(start, 0):max(stop, 0)]
        if 0 <= k < TEXTS and k >= last:
            last = k
            room = TEXT_BYTES - sum(map(len, expected))
            expected[k] += piece[:room]
        if single:
            put_byte(outbox, 0, k, 65)
        else:
            put(outbox, 0, k, np.frombuffer(data, U8).copy(), start, stop)
    assert read(outbox[0])[2] == expected


def test_nothing_is_written_without_a_row():
    outbox = records(1, TRANSACTION)
    before = outbox.tobytes()
    data = np.frombuffer(b"abc", U8).copy()
    for row in (-1, 1):
        assert put(outbox, row, 0, data, 0, 3) == 0 and put_byte(outbox, row, 0, 65) == 0
        put_number(outbox, row, 0, 1)
    for k in (-1, 12):
        put_number(outbox, 0, k, 1)
    assert outbox.tobytes() == before


def element(data: bytes) -> tuple[int, int] | None:
    """(start, stop) of the contents of the definite-length element `data` begins with, slowly."""
    if len(data) < 2 or data[0] & 31 == 31:
        return None
    if data[1] < 128:
        return 2, 2 + data[1]
    count = data[1] & 127
    if not 1 <= count <= 4 or len(data) < 2 + count:
        return None
    return 2 + count, 2 + count + int.from_bytes(data[2:2 + count], "big")


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=12), st.tuples(st.sampled_from([b"\x30", b"\x02"]), st.binary(max_size=10)).map(lambda p: p[0] + bytes([len(p[1])]) + p[1]),
                 st.sampled_from([b"\x30\x82\0\2ab", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", b"\x02\x81\1\7", b"\x02\5\0\xff\xff\xff\xff"])))
def test_ber_elements(data):
    out = np.zeros(3, WORD)
    elements(np.frombuffer(data, U8).copy(), out)
    found = element(data)
    whole = found if found and found[1] <= len(data) else None
    expected = (whole[1], whole[0]) if whole and data[0] == 0x30 else (-1, -1)
    assert (int(out[0]), int(out[1])) == expected
    value = -1
    if whole and data[0] == 2 and 0 < whole[1] - whole[0] <= 5:
        number_read = int.from_bytes(data[whole[0]:whole[1]], "big", signed=True)
        value = number_read if 0 <= number_read < 1 << 32 else -1
    assert int(out[2]) == value
