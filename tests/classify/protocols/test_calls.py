"""STUN, RTP, RTCP and SIP."""
from __future__ import annotations

import struct

import pytest

from dpi.classify.inspection import CLIENT, GOING, INSIDE, MINE, MORE, NO, SERVER
from dpi.classify.protocols import rtcp, rtp, sip, stun
from tests.classify.conversation import TCP, UDP, Conversation

TRANSACTION = bytes(range(12))


def message(kind: int, *attributes: tuple[int, bytes], cookie: bytes = b"\x21\x12\xa4\x42") -> bytes:
    body = b"".join(struct.pack(">HH", k, len(v)) + v + b"\0" * (-len(v) % 4) for k, v in attributes)
    return struct.pack(">HH", kind, len(body)) + cookie + TRANSACTION + body


def test_a_binding_and_its_answer():
    flow = Conversation(stun, UDP, 3478)
    assert flow.datagram(CLIENT, message(1)) == GOING
    assert flow.datagram(CLIENT, b"\x40\0\0\4data") == GOING       # a channel of TURN
    assert flow.datagram(SERVER, message(0x0101, (0x20, b"\0\1\1\2\3\4\5\6"), (0x8022, b"Coturn-4.5\0\0"))) == INSIDE
    assert flow.user_agent == b"Coturn-4.5" and flow.protocol == ""
    assert [flow.datagram(CLIENT, message(1)) for _ in range(10)][-1] == MINE


def test_a_marked_call_is_not_left_for_what_is_inside():
    flow = Conversation(stun, UDP, 3478)
    assert flow.datagram(CLIENT, message(1, (0x4000, b"abcd"))) == GOING
    assert flow.datagram(SERVER, message(0x0101, (0x20, b"\0\1\1\2\3\4\5\6"))) == GOING and flow.protocol == "STUN.WhatsAppCall"


@pytest.mark.parametrize("attribute, name", [
    ((0x14, b"signal.org"), "STUN.SignalVoip"), ((0x14, b"telegram.org"), "STUN.TelegramVoip"), ((0x8054, b"1\0\0\0" * 3), "STUN.Skype_TeamsCall"),
    ((0x4000, b"abcd"), "STUN.WhatsAppCall"), ((0x14, b"turn.example"), ""),
])
def test_marks_of_calls(attribute, name):
    flow = Conversation(stun, UDP, 3478)
    assert flow.datagram(SERVER, message(0x0113, attribute)) == GOING
    assert flow.protocol == name
    flow.datagram(CLIENT, message(1))
    assert flow.protocol == name        # kept for the messages that follow


def test_realm_becomes_the_name():
    flow = Conversation(stun, UDP, 3478)
    flow.datagram(SERVER, message(0x0113, (0x14, b"Turn.Example.org")))
    assert flow.server_name == b"turn.example.org"


def test_over_tcp():
    flow = Conversation(stun, TCP, 3478)
    whole = message(3, (0x19, b"\x11\0\0\0"))
    assert flow.stream(CLIENT, whole[:16]) == MORE
    assert flow.stream(CLIENT, whole[16:]) == GOING
    assert Conversation(stun, TCP, 443).stream(CLIENT, struct.pack(">H", len(whole)) + whole) == GOING


def test_without_a_cookie_the_answer_must_agree():
    old = message(1, cookie=b"abcd")
    flow = Conversation(stun, UDP, 4000)
    assert flow.datagram(CLIENT, old) == MORE
    assert flow.datagram(SERVER, message(0x0101, (1, b"\0\1\1\2\3\4\5\6"), cookie=b"abcd")) == GOING
    other = Conversation(stun, UDP, 4000)
    other.datagram(CLIENT, old)
    assert other.datagram(SERVER, message(0x0101, (1, b"\0\1\1\2\3\4\5\6"), cookie=b"abce")) == NO


@pytest.mark.parametrize("data", [message(1) + b"x", message(1)[:19], message(1, (6, b"name"))[:22] + b"\xff\xff" + b"name", b"\0\1\0\3" + message(1)[4:], b""])
def test_what_is_no_stun(data):
    assert Conversation(stun, UDP, 4000).datagram(CLIENT, data) == NO


def media(number: int, stamp: int, kind: int = 96, source: int = 77, first: int = 0x80, payload: bytes = b"x" * 40) -> bytes:
    return struct.pack(">BBHII", first, kind, number & 0xFFFF, stamp & 0xFFFFFFFF, source) + payload


def test_rtp_needs_three_packets_in_order():
    flow = Conversation(rtp, UDP, 20000)
    assert [flow.datagram(CLIENT, media(65534 + i, 2**32 - 160 + 160 * i)) for i in range(3)] == [MORE, MORE, MINE]
    both = Conversation(rtp, UDP, 20000)
    assert both.datagram(CLIENT, media(1, 0)) == MORE
    assert both.datagram(SERVER, media(9000, 5, source=3)) == MORE
    assert both.datagram(CLIENT, media(2, 160)) == MORE
    assert both.datagram(SERVER, media(9001, 165, source=3)) == MORE
    assert both.datagram(SERVER, media(9002, 325, source=3)) == MINE


@pytest.mark.parametrize("second", [media(2, 160, source=78), media(900, 160), media(2, 160, kind=97), media(2, 2**31), media(2, 160, first=0x40), b"\x80"])
def test_rtp_that_does_not_go_on(second):
    flow = Conversation(rtp, UDP, 20000)
    flow.datagram(CLIENT, media(1, 0))
    assert flow.datagram(CLIENT, second) in (NO, MORE)
    assert flow.datagram(CLIENT, second) != MINE


def test_rtp_headers():
    assert Conversation(rtp, UDP, 20000).datagram(CLIENT, media(1, 0, kind=80)) == NO          # RTCP's range
    assert Conversation(rtp, UDP, 53).datagram(CLIENT, media(1, 0)) == NO
    assert Conversation(rtp, UDP, 20000).datagram(CLIENT, media(1, 0, first=0x90, payload=b"\xbe\xde\xff\xff" + b"x" * 20)) == NO
    assert Conversation(rtp, UDP, 20000).datagram(CLIENT, media(1, 0, first=0xA0, payload=b"xx\xff")) == NO


def report(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0x80 | count, kind, len(body) // 4) + body


def test_rtcp():
    sender = report(200, 0, b"\0" * 24)
    names = report(202, 1, b"\0\0\0\1\1\4anna\0\0")
    assert Conversation(rtcp, UDP, 20001).datagram(CLIENT, sender) == MINE
    assert Conversation(rtcp, UDP, 20001).datagram(CLIENT, report(201, 1, b"\0" * 28) + names) == MINE
    assert Conversation(rtcp, UDP, 20001).datagram(CLIENT, sender + b"\x11" * 18 + b"\x80\0\0\1" + b"t" * 10) == MINE
    for broken in (sender[:-1], sender + b"xx", names, report(200, 2, b"\0" * 24), report(201, 0, b"")):
        assert Conversation(rtcp, UDP, 20001).datagram(CLIENT, broken) == NO


REGISTER = (b"REGISTER sip:Voice.Example.com:5060;transport=udp SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:anna@example.com>;tag=1\r\n"
            b"To: <sip:anna@example.com>\r\nCall-ID: 1@a\r\nCSeq: 1 REGISTER\r\nUser-Agent: Linphone/5.1\r\n\r\n")


def test_sip_requests():
    flow = Conversation(sip, UDP, 5060)
    assert flow.datagram(CLIENT, REGISTER) == MINE
    assert flow.server_name == b"voice.example.com" and flow.user_agent == b"Linphone/5.1"
    invite = Conversation(sip, TCP, 5060)
    text = REGISTER.replace(b"REGISTER sip:Voice", b"INVITE sip:+4930@Voice")
    assert invite.stream(CLIENT, text[:100]) == MORE
    assert invite.stream(CLIENT, text[100:]) == MINE
    assert invite.server_name == b"voice.example.com"


def test_sip_answers_and_others():
    answer = b"SIP/2.0 401 Unauthorized\r\nv: SIP/2.0/UDP a\r\ni: 1@a\r\nCSeq: 1 REGISTER\r\n\r\n"
    assert Conversation(sip, UDP, 5060).datagram(SERVER, answer) == MINE
    for other in (b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", b"OPTIONS /x HTTP/1.1\r\nVia: a\r\nCSeq: 1\r\nCall-ID: 2\r\n\r\n", answer.replace(b"CSeq", b"XSeq"),
                  b"INVITE mailto:a SIP/2.0\r\n\r\n"):
        assert Conversation(sip, UDP, 5060).datagram(CLIENT, other) == NO
