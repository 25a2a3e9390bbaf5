"""QUIC: Initials sealed by the slow twin, in every version, order and split; nothing is believed whose tag is wrong."""
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.classify.inspection import CLIENT, GOING, MINE, NO, SERVER
from dpi.classify.protocols import quic
from dpi.jit import BUILD
from tests.classify.conversation import Conversation
from tests.oracle.hello import Hello
from tests.oracle.initial import SALTS, crypto, initial, varint

EXAMPLES = 60 if BUILD == "on" else 5
CID = bytes.fromhex("8394c8f03e515708")
AGENT = b"Chrome/120.0 Linux x86_64"
PARAMETERS = varint(1) + varint(2) + b"\x40\x10" + varint(0x3129) + varint(len(AGENT)) + AGENT + varint(15) + varint(0)
HELLO = Hello(ciphers=[0x1301, 0x1302, 0x1303], order=[0, 16, 10, 13, 43, 51, 0x39], name=b"quic.example", alpn=[b"h3"], groups=[29, 23],
              algorithms=[0x0403, 0x0804], versions=[0x0304], parameters=PARAMETERS)
LONG = Hello(**{**HELLO.__dict__, "order": [*HELLO.order, 0xFE0D], "ciphers": [0x1301] * 900})


def conversation() -> Conversation:
    return Conversation(quic, server_port=443)


def mark(flow: Conversation) -> str:
    return flow.facts[0].ja4_all[:36].tobytes().decode() if flow.facts[0].ja4_count else ""


@pytest.mark.parametrize("version", sorted(v for v in SALTS if v != 0x51303530))
def test_versions(version):
    flow = conversation()
    kind = 8 if version >> 8 == 0x543035 else 6
    packet = initial(version, CID, crypto(HELLO.message(), kind=kind), number=3, token=b"token", source=b"src")
    assert flow.datagram(CLIENT, packet) == MINE
    assert flow.server_name == b"quic.example" and mark(flow) == HELLO.ja4("q") and flow.user_agent == AGENT
    assert flow.facts[0].alpn[:2].tobytes() == b"h3" and flow.facts[0].tls_version == 0x0304
    (table, numbers, texts), = flow.rows
    assert table == 2 and numbers[:2] == [0, 0x0304] and texts[0] == b"quic.example" and texts[4] == HELLO.ja4("q").encode()


def test_the_packet_of_the_standard():
    """RFC 9001, appendix A.2: the header, and that the packet opens."""
    frame = crypto(Hello(order=[0]).message())
    packet = initial(1, CID, frame, number=2, digits=4)
    assert packet[1:18].hex() == "00000001088394c8f03e5157080000449e"
    assert conversation().datagram(CLIENT, packet) == MINE


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.integers(1, len(LONG.message()) - 1), max_size=8, unique=True), st.randoms(use_true_random=False), st.integers(1, 4))
def test_frames_in_any_order_and_overlapping(cuts, random, digits):
    message = LONG.message()
    cuts = sorted({0, *cuts, *range(0, len(message), 900)})
    pieces = [(at, message[max(0, at - 5):end]) for at, end in zip(cuts, [*cuts[1:], len(message)], strict=True)]
    random.shuffle(pieces)
    flow = conversation()
    verdicts = []
    for number, (at, piece) in enumerate(pieces):
        frames = b"\1\0\0" + b"\2" + varint(9) + varint(1) + varint(1) + varint(2) + varint(0) + varint(1) + crypto(piece, max(0, at - 5)) + b"\0"
        verdicts.append(flow.datagram(CLIENT, initial(1, CID, frames, number=number, digits=digits, pad=1000)))
        if verdicts[-1] == MINE:        # overlaps can complete it before the last
            break
    assert verdicts[-1] == MINE and set(verdicts[:-1]) <= {GOING}
    assert mark(flow) == LONG.ja4("q") and flow.server_name == b"quic.example"


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 10 ** 6), st.integers(0, 7))
def test_a_wrong_tag_is_not_believed(where, bit):
    packet = bytearray(initial(1, CID, crypto(HELLO.message())))
    packet[where % len(packet)] ^= 1 << bit
    flow = conversation()
    assert flow.datagram(CLIENT, bytes(packet)) in (NO, GOING)
    assert flow.server_name == b"" and not flow.rows and flow.facts[0].ja4_count == 0


def test_coalesced_and_after_a_retry():
    flow, message = conversation(), HELLO.message()
    first, second = initial(1, CID, crypto(message[:100]), pad=200), initial(1, CID, crypto(message[100:], 100), number=1, pad=700)
    assert flow.datagram(CLIENT, first + second) == MINE and flow.server_name == b"quic.example"
    flow = conversation()
    retry = b"\xf0\0\0\0\1\0\4abcd" + b"token" + bytes(16)
    assert flow.datagram(CLIENT, initial(1, CID, crypto(message[:100]))) == GOING
    assert flow.datagram(SERVER, retry) == GOING
    assert flow.datagram(CLIENT, initial(1, b"abcd", crypto(message), number=1, token=b"token")) == MINE
    assert mark(flow) == HELLO.ja4("q")


def test_later_initials_carry_another_connection_id():
    flow, message = conversation(), HELLO.message()
    assert flow.datagram(CLIENT, initial(1, CID, crypto(message[:100]))) == GOING
    assert flow.datagram(CLIENT, initial(1, b"server id", crypto(message[100:], 100), number=1, key_cid=CID)) == MINE


def test_negotiation_and_reserved_versions():
    flow = conversation()
    forced = b"\xc0\x1a\x2a\x3a\x4a\x08" + CID + b"\0\0" + varint(1182 + 0) + bytes(1182)
    assert flow.datagram(CLIENT, forced) == GOING and flow.rows == []
    answer = b"\x80\0\0\0\0\0\x08" + CID + b"\0\0\0\1\x6b\x33\x43\xcf"
    assert flow.datagram(SERVER, answer) == GOING
    assert flow.datagram(CLIENT, initial(1, CID, crypto(HELLO.message()))) == MINE
    assert conversation().datagram(SERVER, answer) == GOING
    assert conversation().datagram(SERVER, b"\x80\0\0\0\0\0\x08" + CID + b"\x12\x34\x56\x78") == NO
    assert conversation().datagram(CLIENT, forced[:600]) == NO


def chlo(pairs: list[tuple[bytes, bytes]]) -> bytes:
    ends, values = b"", b""
    for tag, value in pairs:
        values += value
        ends += tag.ljust(4, b"\0") + len(values).to_bytes(4, "little")
    return b"CHLO" + len(pairs).to_bytes(2, "little") + b"\0\0" + ends + values


GOOGLE = chlo([(b"PAD", b"-" * 600), (b"SNI", b"www.google.example"), (b"VER", b"Q043"), (b"UAID", AGENT)])


@pytest.mark.parametrize("head", [b"\x0d" + CID + b"Q043\1" + bytes(12) + b"\xa0\1\0\4", b"\xc3Q046\x50" + CID + b"\0\0\0\1" + bytes(12) + b"\xa0\1\0\4"])
def test_google_in_clear(head):
    flow = conversation()
    assert flow.datagram(CLIENT, head + GOOGLE) == MINE
    assert flow.server_name == b"www.google.example" and flow.user_agent == AGENT and flow.rows[0][2][0] == b"www.google.example"


def test_google_sealed():
    flow = conversation()
    assert flow.datagram(CLIENT, initial(0x51303530, CID, crypto(GOOGLE[:500], 0, 8))) == GOING
    assert flow.datagram(CLIENT, initial(0x51303530, CID, crypto(GOOGLE[500:], 500, 8), number=1)) == MINE
    assert flow.server_name == b"www.google.example"


def test_patience_ends():
    flow = conversation()
    verdicts = [flow.datagram(SERVER, b"\xe0\0\0\0\1\0\0" + varint(40) + bytes(40)) for _ in range(20)]
    assert verdicts[0] == GOING and MINE in verdicts
    assert conversation().datagram(CLIENT, b"\x40" + bytes(40)) == NO


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 7000), st.sampled_from([1, 0x6B3343CF, 0xFF00001D]))
def test_hostile_frames(noise, offset, version):
    flow = conversation()
    assert flow.datagram(CLIENT, initial(version, CID, noise + crypto(b"\1\0\x20\0" + noise, offset))) in (GOING, MINE)
    assert flow.datagram(CLIENT, initial(version, CID, crypto(noise, 1 << 40) + b"\2" + noise, number=1)) in (GOING, MINE)
