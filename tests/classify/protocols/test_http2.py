"""HTTP/2 without TLS: frames in, rows and names out."""
from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.classify.inspection import CLIENT, GOING, MINE, MORE, NO, SERVER
from dpi.classify.protocols import http2
from tests.classify.conversation import TCP, Conversation
from tests.oracle.hpack import Encoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
REQUEST = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/a?token=x"), (b":authority", b"Www.Example:8080"), (b"user-agent", b"nghttp2/1.5")]
ANSWER = [(b":status", b"200"), (b"server", b"caddy"), (b"content-type", b"text/html; charset=utf-8"), (b"content-length", b"42")]


def headers(stream: int, block: bytes, flags: int = 4, extra: bytes = b"") -> bytes:
    body = extra + block
    return len(body).to_bytes(3, "big") + bytes([1, flags]) + stream.to_bytes(4, "big") + body


def test_requests_and_responses_out_of_order():
    flow, client, server = Conversation(http2, TCP, 80), Encoder(), Encoder()
    assert flow.stream(CLIENT, PREFACE[:20]) == MORE
    assert flow.stream(CLIENT, PREFACE[20:] + SETTINGS + headers(1, client.encode(REQUEST))) == GOING
    assert flow.server_name == b"www.example" and flow.user_agent == b"nghttp2/1.5"
    second = [(b":method", b"POST"), (b":path", b"/b"), *REQUEST[3:]]
    assert flow.stream(CLIENT, headers(3, client.encode(second), 0x24, b"\0\0\0\0\x10")) == GOING
    whole = SETTINGS + headers(3, server.encode([(b":status", b"404")])) + headers(1, server.encode(ANSWER) + b"\0\0", 0x0C, b"\2")
    for i in range(len(whole)):
        flow.stream(SERVER, whole[i:i + 1])
    (_, first, one), (_, numbers, texts) = flow.rows
    assert first[0] == 404 and one[:4] == [b"POST", b"www.example", b"/b", b"nghttp2/1.5"]
    assert numbers[:3] == [200, -1, 42] and numbers[4] == 20 and numbers[3] > 0
    assert texts[:6] == [b"GET", b"www.example", b"/a", b"nghttp2/1.5", b"text/html", b"caddy"]


def test_grpc_and_credentials():
    flow, client = Conversation(http2, TCP, 80), Encoder()
    flow.stream(CLIENT, PREFACE + headers(1, client.encode([*REQUEST, (b"content-type", b"application/grpc+proto"), (b"authorization", b"Basic eDp5")])))
    assert flow.protocol == "gRPC" and flow.risks == {"clear_text_credentials"}


def test_more_at_once_than_are_kept():
    flow, client = Conversation(http2, TCP, 80), Encoder()
    flow.stream(CLIENT, PREFACE)
    for i in range(6):
        flow.stream(CLIENT, headers(2 * i + 1, client.encode(REQUEST)))
    assert len(flow.rows) == 2
    flow.stream(CLIENT, b"", final=1)
    assert flow.stream(SERVER, SETTINGS, final=1) == MINE
    assert len(flow.rows) == 6 and all(row[1][0] == 0 for row in flow.rows)


def test_what_cannot_be_followed():
    flow, client = Conversation(http2, TCP, 80), Encoder()
    assert flow.stream(CLIENT, PREFACE + headers(1, client.encode(REQUEST), 0)) == GOING      # a CONTINUATION would follow
    assert flow.stream(SERVER, headers(1, b"\xff\xff\xff\xff\xff\xff")) == MINE
    assert flow.rows == []
    assert Conversation(http2, TCP, 80).stream(CLIENT, b"PRI * HTTP/2.0\r\n\r\nXX") == NO


pieces = st.sampled_from([SETTINGS, headers(1, b"\x82\x84\x87"), headers(1, b"\x88"), headers(3, b"\xbe"), headers(1, b"", 0x0C, b"\xff"), headers(1, b"",
0x24),
                          b"\xff\xff\xff\1\4", headers(1, b"\x3f\xe1\xff\xff\x7f"), headers(5, Encoder().encode(REQUEST)), headers(5,
                          Encoder().encode(ANSWER))])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([CLIENT, SERVER]), st.one_of(pieces, st.binary(max_size=30)), st.integers(0, 1)), max_size=12))
def test_hostile_bytes(steps):
    flow = Conversation(http2, TCP, 80)
    flow.stream(CLIENT, PREFACE)
    for side, data, final in steps:
        flow.stream(side, data, final)
