"""dpi.classify.wire.hpack and huffman against their slow twins and the examples of RFC 7541, appendix C."""
from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.classify.wire import hpack
from dpi.classify.wire.hpack import SCRATCH, TABLE, next_header, set_word
from dpi.classify.wire.huffman import huffman_text
from dpi.jit import I64, entry
from tests.oracle import hpack as twin

U8, WORD = np.dtype("u1"), np.dtype("i8")


@entry(U8, U8, I64)
def huffman(data, out, limit):
    return huffman_text(data, 0, data.size, out, 0, limit)


@entry(U8, U8, WORD, U8)
def block(data, memory, kinds, values):
    """kinds: (kind, length) pairs; values: 256 bytes each. Returns the fields read, or -1 where the block is broken."""
    at = 0
    count = 0
    for _ in range(kinds.size // 2):
        if at >= data.size:
            break
        kind, length, at = next_header(data, at, data.size, memory, 0, TABLE)
        if kind < 0:
            return -1
        kinds[2 * count] = kind
        kinds[2 * count + 1] = length
        for i in range(length):
            values[256 * count + i] = memory[TABLE + i]
        count += 1
    return count


@entry(U8)
def fresh(memory):
    set_word(memory, 12, 4096)
    return 0


class Kernel:
    def __init__(self) -> None:
        self.memory = np.zeros(TABLE + SCRATCH, U8)
        fresh(self.memory)

    def decode(self, data: bytes) -> list[tuple[int, bytes]] | None:
        kinds, values = np.zeros(128, WORD), np.zeros(64 * 256, U8)
        count = block(np.frombuffer(data, U8).copy(), self.memory, kinds, values)
        if count < 0:
            return None
        return [(int(kinds[2 * i]), values[256 * i:256 * i + int(kinds[2 * i + 1])].tobytes()) for i in range(count)]


def wanted(fields: list[tuple[bytes, bytes]]) -> list[tuple[int, bytes]]:
    """What the kernel promises of fields: those wanted, their first 255 bytes."""
    return [(hpack._NAMES[n], v[:255]) for n, v in fields if n in hpack._NAMES]


def kept(fields: list[tuple[int, bytes]] | None) -> list[tuple[int, bytes]] | None:
    return None if fields is None else [(k, v[:255]) for k, v in fields if k > 0]


def test_static_tables_agree():
    assert [len(n) for n, _ in twin.STATIC] == [int(v) for v in hpack.STATIC_NAME_SIZES[1:]]
    kernel = Kernel()
    for index, (name, value) in enumerate(twin.STATIC, 1):
        assert kept(kernel.decode(bytes([128 | index]))) == wanted([(name.encode(), value.encode())]), (index, name)


def test_examples_of_the_rfc():
    blocks = ["828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf", "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"]
    kernel, slow = Kernel(), twin.Decoder()
    for text in blocks:
        data = bytes.fromhex(text)
        fields = slow.decode(data)
        assert (b":authority", b"www.example.com") in fields
        assert kept(kernel.decode(data)) == wanted(fields)
    # C.6: responses with eviction
    kernel, slow = Kernel(), twin.Decoder()
    for text in ("3fe101" "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3", "4883640effc1c0bf",
                 "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065"
                 "c003ed4ee5b1063d5007"):
        data = bytes.fromhex(text)
        assert kept(kernel.decode(data)) == wanted(slow.decode(data))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.booleans())
def test_huffman(data, coded):
    text = twin.huffman_encode(data) if coded else data
    out = np.zeros(512, U8)
    length = huffman(np.frombuffer(text, U8).copy(), out, 512)
    try:
        expected = twin.huffman_decode(text)
    except ValueError:
        assert length == -1
        return
    assert out[:length].tobytes() == expected and (not coded or expected == data)


def test_huffman_stops_at_its_room():
    out = np.zeros(8, U8)
    assert huffman(np.frombuffer(twin.huffman_encode(b"abcdefgh"), U8).copy(), out, 4) == 8
    assert out.tobytes() == b"abcd\0\0\0\0"


names = st.sampled_from([b":authority", b":path", b"user-agent", b"x-long-name", b"server", b"cookie", b"content-type", b":method"])
headers = st.lists(st.tuples(names, st.one_of(st.binary(max_size=20), st.sampled_from([b"GET", b"a" * 200, b"b" * 300, b"/"]))), max_size=8)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(headers, st.booleans(), st.booleans()), max_size=12))
def test_blocks_in_a_row_share_a_table(blocks):
    kernel, slow, encoder = Kernel(), twin.Decoder(), twin.Encoder()
    stored = 0
    for fields, coded, keep in blocks:
        data = encoder.encode(fields, coded, keep)
        assert slow.decode(data) == fields
        got = kept(kernel.decode(data))
        assert got is not None and [k for k, _ in got] == [k for k, _ in wanted(fields)]
        stored += sum(len(v) for n, v in fields if n in hpack._NAMES)
        if stored < hpack.RING:        # values further back than the ring are given up
            assert got == wanted(fields)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=20), st.sampled_from([b"\x82", b"\x3f\xe1\x1f", b"\x40\x01a\x01b", b"\xbe", b"\xff\xff\xff\xff\x01", b"\x20",
b"\x44\x7f\x80\x01"])),
                max_size=10))
def test_hostile_blocks(parts):
    kernel, slow = Kernel(), twin.Decoder()
    for data in parts:
        got = kept(kernel.decode(data))
        try:
            expected = slow.decode(data)
        except ValueError:
            assert got is None
            return
        if len(expected) < 60:
            assert got is not None and len(got) == len(wanted(expected))
