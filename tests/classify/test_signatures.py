"""dpi.classify.signatures against its slow twin."""
from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.classify.inspection import INSPECTION
from dpi.classify.signature_table import Piece, Signature, table
from dpi.classify.signatures import BYTES, FIELD, FIELD_LEAST, FIND, FROM_END, check_row, find_row
from dpi.jit import records
from tests.oracle import signatures as twin

ALPHABET = st.sampled_from(b"\x00\x01aA\x81\xff")
MASKS = st.sampled_from(b"\xff\xff\xff\xf0\x0f\xdf\x00")


@st.composite
def pieces(draw: st.DrawFn) -> Piece:
    kind = draw(st.sampled_from((BYTES, BYTES, BYTES, FROM_END, FIND, FIELD, FIELD_LEAST)))
    if kind in (FIELD, FIELD_LEAST):
        return Piece(kind, draw(st.integers(0, 6)), size=draw(st.integers(1, 4)), little=draw(st.booleans()), add=draw(st.integers(-4, 8)))
    pairs = draw(st.lists(st.tuples(ALPHABET, MASKS), min_size=1, max_size=5))
    if kind == FIND:
        pairs[0] = (pairs[0][0], pairs[0][1] or 0xFF)
    value, mask = bytes(a & b for a, b in pairs), bytes(b for _, b in pairs)
    at = draw(st.integers(len(value), 9)) if kind == FROM_END else draw(st.integers(0, 10))
    return Piece(kind, at, value, mask, draw(st.sampled_from((0, len(value), 9))) if kind == FIND else 0)


SPANS = st.tuples(st.integers(0, 14), st.integers(0, 6)).map(lambda pair: (pair[0], pair[0] + pair[1]))
SIGNATURES = st.builds(
    Signature, st.sampled_from((6, 17, 17, 132, 89)), st.sampled_from((0, 1, 2, 2)),
    st.one_of(st.just(()), st.lists(st.sampled_from(((53, 53), (50, 60), (1000, 3000))), min_size=1, max_size=2).map(tuple)),
    st.one_of(st.just(((1, 65535),)), st.just(((0, 65535),)), st.lists(SPANS, min_size=1, max_size=3).map(tuple)),
    st.lists(pieces(), max_size=3).map(tuple), st.sampled_from((1, 1, 2)))
DATA = st.lists(ALPHABET, max_size=16).map(bytes)


def told(ip_protocol: int, direction: int, ports: tuple[int, int], packets: int) -> np.ndarray:
    inspection = records(1, INSPECTION)
    x = inspection[0]
    x.ip_protocol, x.direction, x.packets, x.start = ip_protocol, direction, packets, 1
    x.client_port, x.server_port = ports
    return inspection


def array(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8).copy() if data else np.zeros(0, np.uint8)


@settings(max_examples=150, deadline=None)
@given(st.lists(SIGNATURES, max_size=30), st.lists(DATA, min_size=1, max_size=6), st.sampled_from((6, 17, 132, 89)), st.sampled_from((0, 1)),
       st.tuples(st.sampled_from((53, 1077, 40000)), st.sampled_from((53, 309, 2000))), st.sampled_from((1, 3)))
def test_rows_come_in_order_and_none_is_missed(signatures, contents, ip_protocol, direction, ports, packets):
    tables = table(signatures)
    inspection = told(ip_protocol, direction, ports, packets)
    for data in contents:
        found, row = [], -1
        while (row := find_row(array(data), inspection, *tables, row)) >= 0:
            found.append(row)
        assert found == twin.rows(signatures, data, ip_protocol, direction, ports, packets)


@settings(max_examples=100, deadline=None)
@given(SIGNATURES, DATA, st.sampled_from((0, 1)))
def test_one_row(signature, data, direction):
    tables = table([signature])
    expected = signature.direction not in (2, direction) or twin.fits(signature, data, (40000, 53))
    assert bool(check_row(array(data), told(signature.ip_protocol, direction, (40000, 53), 2), *tables[:3], 0)) == expected


def test_specific_rows_come_first():
    wide = Signature(6, pieces=(Piece(BYTES, 0, b"GET ", b"\xff" * 4),), reason=1)
    narrow = Signature(6, pieces=(Piece(BYTES, 0, b"GET /announce", b"\xff" * 13),), reason=2)
    asked = Signature(6, pieces=(Piece(BYTES, 0, b"GET ", b"\xff" * 4),), reason=3, parser=1)
    tables = table([wide, narrow, asked])
    assert [int(row.reason) for row in tables[0]] == [2, 3, 1]


def test_a_row_of_several_packets_begins_with_the_first():
    tables = table([Signature(17, pieces=(Piece(BYTES, 0, b"a", b"\xff"),), packets=3)])
    assert find_row(array(b"abc"), told(17, 0, (1, 2), 1), *tables, -1) == 0
    assert find_row(array(b"abc"), told(17, 0, (1, 2), 2), *tables, -1) == -1
    assert check_row(array(b"abc"), told(17, 0, (1, 2), 2), *tables[:3], 0) == 1
    assert check_row(array(b"xbc"), told(17, 0, (1, 2), 3), *tables[:3], 0) == 0


def test_other_ip_protocols_need_no_data():
    tables = table([Signature(89, lengths=((0, 65535),), reason=7)])
    assert find_row(array(b""), told(89, 0, (0, 0), 1), *tables, -1) == 0
    assert find_row(array(b""), told(88, 0, (0, 0), 1), *tables, -1) == -1
    assert find_row(array(b""), told(255, 0, (0, 0), 1), *tables, -1) == -1


def test_no_rows_at_all():
    assert find_row(array(b"abc"), told(6, 0, (1, 2), 1), *table([]), -1) == -1
