"""dpi.classify.wire.dns_name against its slow twin."""
from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.classify.inspection import INSPECTION, TRANSACTION
from dpi.classify.wire.address_text import put_ipv4, put_ipv6
from dpi.classify.wire.dns_name import name_end, name_text
from dpi.classify.wire.rows import byte, open_row, read
from dpi.jit import I64, entry, records
from tests.oracle import dns_name as twin

U8 = np.dtype("u1")


@entry(U8, INSPECTION, TRANSACTION, I64, I64)
def spell(data, inspection, outbox, at, plain):
    row = open_row(outbox, inspection, 1)
    return name_text(outbox, row, 0, data, 0, at, data.size, plain)


@entry(U8, I64)
def skip(data, at):
    return name_end(data, at, data.size)


@entry(U8, INSPECTION, TRANSACTION)
def addresses(data, inspection, outbox):
    row = open_row(outbox, inspection, 1)
    put_ipv4(outbox, row, 0, data, 0)
    byte(outbox, row, 0, 32)
    put_ipv6(outbox, row, 0, data, 4)
    return 0


def run(message: bytes, at: int, plain: bool) -> tuple[bytes, int]:
    outbox, inspection = records(1, TRANSACTION), records(1, INSPECTION)
    octets = spell(np.frombuffer(message, U8).copy(), inspection, outbox, at, int(plain))
    return read(outbox[0])[2][0], octets


def agree(message: bytes, at: int, plain: bool) -> None:
    try:
        text, octets = twin.name_text(message, at, plain)
    except ValueError:
        assert run(message, at, plain)[1] == -1
        return
    got, count = run(message, at, plain)
    assert count == octets
    assert got == text if len(text) < 872 else got[:860] == text[:860]


labels = st.binary(min_size=1, max_size=12)
names = st.lists(labels, min_size=0, max_size=6)


@settings(max_examples=200, deadline=None)
@given(names, names, st.booleans(), st.integers(0, 40))
def test_names_with_pointers(first, second, plain, target):
    message = b"".join(bytes([len(x)]) + x for x in first) + b"\0"
    at = len(message)
    message += b"".join(bytes([len(x)]) + x for x in second) + bytes([0xC0, target])
    agree(message, at, plain)
    agree(message, 0, plain)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([b"\0", b"\1a", b"\3www", b"\xc0\x00", b"\xc0\x02", b"\xc0\x05", b"\x3f", b"\x40", b"\5A.b\\c"]), max_size=12),
st.integers(0, 12),
       st.booleans())
def test_hostile_names(parts, at, plain):
    agree(b"".join(parts), at, plain)


def test_a_name_of_255_octets_is_the_longest():
    message = (bytes([63]) + b"a" * 63) * 3 + bytes([61]) + b"b" * 61 + b"\0"
    assert len(message) == 255
    agree(message, 0, False)
    assert run(message, 0, False)[1] == 255
    longer = (bytes([63]) + b"a" * 63) * 3 + bytes([62]) + b"b" * 62 + b"\0"
    assert run(longer, 0, False)[1] == -1


def test_where_a_name_ends():
    def end(message: bytes, at: int = 0) -> int:
        return skip(np.frombuffer(message, U8).copy(), at)
    assert end(b"\3www\0rest") == 5
    assert end(b"\3www\xc0\x0crest") == 6
    assert end(b"\3ww") == -2 and end(b"\3www") == -2 and end(b"\xc0") == -2
    assert end(b"\x41x\0") == -1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([0, 0, 0, 1, 0xFF, 0x10]), min_size=20, max_size=20))
def test_addresses_are_written_as_the_library_writes_them(values):
    import ipaddress

    data = bytes(values)
    outbox, inspection = records(1, TRANSACTION), records(1, INSPECTION)
    addresses(np.frombuffer(data, U8).copy(), inspection, outbox)
    six = ipaddress.IPv6Address(data[4:])
    groups = six.compressed if not six.ipv4_mapped else six.compressed
    if "." in groups:      # newer libraries write mapped addresses with dots
        groups = f"::ffff:{int.from_bytes(data[16:18], 'big'):x}:{int.from_bytes(data[18:20], 'big'):x}"
    assert read(outbox[0])[2][0].decode() == f"{ipaddress.IPv4Address(data[:4])} {groups}"
