"""DTLS: hellos whole and in fragments, the server's answer, and what shares the port."""
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.classify.inspection import CLIENT, GOING, MINE, NO, SERVER
from dpi.classify.protocols import dtls
from tests.classify.conversation import Conversation
from tests.oracle.certificates import made
from tests.oracle.hello import Hello, certificate_message, ja3s, server_hello, vector

HELLO = Hello(version=0xFEFD, ciphers=[0xC02B, 0xC02F, 0x00FF], order=[0, 10, 11, 13, 16, 14], name=b"turn.example", alpn=[b"webrtc"], groups=[29, 23],
              formats=[0], algorithms=[0x0403], cookie=b"")


def record(payload: bytes, kind: int = 22, epoch: int = 0, version: bytes = b"\xfe\xfd") -> bytes:
    return bytes([kind]) + version + epoch.to_bytes(2, "big") + bytes(6) + vector(payload, 2)


def fragment(message: bytes, order: int, first: int = 0, last: int | None = None) -> bytes:
    """Bytes first:last of the message's body as a fragment."""
    body = message[4:]
    part = body[first:last]
    return message[:4] + order.to_bytes(2, "big") + first.to_bytes(3, "big") + vector(part, 3)


def conversation() -> Conversation:
    return Conversation(dtls, server_port=3478)


def marks(flow: Conversation) -> list[str]:
    facts = flow.facts[0]
    return [facts.ja4_all[36 * k:36 * k + 36].tobytes().decode() for k in range(int(facts.ja4_count))]


@pytest.mark.parametrize("version, versions, extension", [(0xFEFF, [], []), (0xFEFD, [], []), (0xFEFD, [0xFEFC, 0xFEFD], [43])])
def test_hellos(version, versions, extension):
    hello = Hello(**{**HELLO.__dict__, "version": version, "versions": versions, "order": [*HELLO.order, *extension]})
    flow = conversation()
    assert flow.datagram(CLIENT, record(fragment(hello.message(), 0))) == GOING
    assert marks(flow) == [hello.ja4("d")] and flow.facts[0].ja3.tobytes() == hello.ja3()
    assert flow.server_name == b"turn.example" and len(flow.rows) == 1
    assert flow.risks == ({"obsolete_tls"} if version == 0xFEFF else set())


def test_whole_conversation_in_fragments():
    der = made("turn.example", ("turn.example",))
    flow, message = conversation(), HELLO.message()
    flow.time = 1_750_000_000_000_000
    assert flow.datagram(CLIENT, record(fragment(message, 0))) == GOING
    assert flow.datagram(SERVER, record(fragment(b"\3" + vector(b"\xfe\xff" + vector(b"cookie", 1), 3), 0))) == GOING
    again = Hello(**{**HELLO.__dict__, "cookie": b"cookie"})
    message = again.message()
    assert flow.datagram(CLIENT, record(fragment(message, 1, 0, 50))) == GOING
    assert flow.datagram(CLIENT, record(fragment(message, 1, 70, 90))) == GOING       # after a gap: left for later
    assert flow.datagram(CLIENT, record(fragment(message, 1, 40, 90)) + record(fragment(message, 1, 90))) == GOING
    assert flow.datagram(CLIENT, record(fragment(message, 1))) == GOING               # sent again
    assert marks(flow) == [HELLO.ja4("d")] and [r[1][5] for r in flow.rows] == [0, 1]
    answer = server_hello(0xFEFD, 0xC02B)
    chain = certificate_message(der, made("CA"))
    assert flow.datagram(SERVER, record(fragment(answer, 1) + fragment(chain, 2, 0, 200))) == GOING
    assert flow.datagram(SERVER, record(fragment(chain, 2, 200))) == MINE
    _, numbers, texts = flow.rows[2]
    assert numbers[:3] == [1, 0xFEFD, 0xC02B] and texts[5] == b"turn.example" and flow.risks == set()
    assert texts[3] == ja3s(0xFEFD, 0xC02B, []).hex().encode()


def test_sealed_records():
    assert conversation().datagram(CLIENT, record(b"x" * 40, 23, 1)) == MINE
    assert conversation().datagram(CLIENT, record(b"x" * 40, 23, 0)) == NO
    assert conversation().datagram(CLIENT, record(b"x" * 40, 23, 1)[:-1]) == NO
    flow = conversation()
    assert flow.datagram(CLIENT, record(fragment(HELLO.message(), 0))) == GOING
    assert flow.datagram(SERVER, b"\x80\x60" + bytes(30)) == GOING          # media on the same ports
    assert flow.datagram(SERVER, record(fragment(server_hello(0xFEFD, 0xC02B), 0)) + record(b"\1", 20) + record(b"x" * 40, 22, 1)) == MINE
    assert len(flow.rows) == 2


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10 ** 6), st.integers(0, 255)), max_size=6), st.integers(0, 800), st.booleans())
def test_hostile_bytes(flips, cut, server):
    body = server_hello(0xFEFD) if server else HELLO.message()
    sent = bytearray(record(fragment(body, 0, 0, 60)) + record(fragment(body, 0, 60)) + record(fragment(certificate_message(made("a")), 1)))
    for where, value in flips:
        sent[where % len(sent)] = value
    flow = conversation()
    assert flow.datagram(int(server), bytes(sent[:cut])) in (NO, GOING, MINE)
    assert flow.datagram(int(server), bytes(sent)) in (NO, GOING, MINE)
