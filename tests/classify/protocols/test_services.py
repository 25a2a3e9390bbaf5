"""DHCP, NTP, RADIUS, SSDP, SSH, XMPP, MQTT and BitTorrent."""
from __future__ import annotations

import struct

import pytest

from dpi.classify.inspection import CLIENT, GOING, MINE, MORE, NO, SERVER
from dpi.classify.protocols import bittorrent, dhcp, mqtt, ntp, radius, ssdp, ssh, xmpp
from tests.classify.conversation import TCP, UDP, Conversation


def lease(*options: bytes, kind: int = 1, ended: bool = True) -> bytes:
    return bytes([kind, 1, 6, 0]) + b"\0" * 232 + b"\x63\x82\x53\x63" + b"".join(options) + (b"\xff" if ended else b"")


def test_dhcp():
    flow = Conversation(dhcp, UDP, 67, 68)
    assert flow.datagram(CLIENT, lease(b"\x35\1\1", b"\0\0", b"\x3c\x08MSFT 5.0", b"\x0c\4anna") + b"\0" * 20) == MINE
    assert flow.user_agent == b"MSFT 5.0" and flow.server_name == b""
    assert Conversation(dhcp, UDP, 67, 68).datagram(CLIENT, lease()) == MINE           # BOOTP
    assert Conversation(dhcp, UDP, 9999).datagram(CLIENT, lease()) == NO
    for broken in (lease(b"\x35\1\x63"), lease(b"\x35\2\1\1"), lease(b"\x3c\xffxx", ended=False), lease(b"\x3c", ended=False), lease(b"\x35\1\1", kind=3),
            lease()[:239]):
        assert Conversation(dhcp, UDP, 67, 68).datagram(CLIENT, broken) == NO


def test_ntp():
    client = b"\x23" + b"\0" * 47
    for good in (client, b"\x1b" + b"\0" * 47, b"\x24\1\6\xec" + b"\1" * 44, client + b"\0\1\0\x18" + b"x" * 20, b"\x16\2\0\1" + b"\0" * 8,
            b"\x17\0\3\x2a" + b"\0" * 4):
        assert Conversation(ntp, UDP, 123).datagram(CLIENT, good) == MINE, good
    for bad in (client[:47], b"\x03" + client[1:], b"\x2b" + client[1:], b"\x20" + client[1:], b"\x23\x30" + client[2:], client + b"x",
            b"\x16\2\0\1" + b"\0" * 6 + b"\0\x40"):
        assert Conversation(ntp, UDP, 123).datagram(CLIENT, bad) == NO, bad


def test_radius():
    access = struct.pack(">BBH", 1, 7, 20 + 6 + 18) + b"a" * 16 + b"\1\6anna" + b"\2\x12" + b"p" * 16
    assert Conversation(radius, UDP, 1812).datagram(CLIENT, access) == MINE
    assert Conversation(radius, UDP, 1812).datagram(CLIENT, access + b"\0\0") == MINE
    for bad in (access[:-1], access + b"xxxxx", b"\x63" + access[1:], access.replace(b"\2\x12", b"\2\1"), access.replace(b"\2\x12", b"\2\x13"),
            access.replace(b"\1\6", b"\0\6")):
        assert Conversation(radius, UDP, 1812).datagram(CLIENT, bad) == NO, bad


def test_ssdp():
    flow = Conversation(ssdp, UDP, 1900)
    assert flow.datagram(CLIENT,
            b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nST: ssdp:all\r\nUSER-AGENT: x/1 y/2\r\n\r\n") == MINE
    assert flow.user_agent == b"x/1 y/2"
    assert Conversation(ssdp, UDP, 32412).datagram(CLIENT, b"M-SEARCH * HTTP/1.0\r\n\r\n") == MINE
    assert Conversation(ssdp, UDP, 1900).datagram(SERVER, b"HTTP/1.1 200 OK\r\nST: a\r\nUSN: b\r\n\r\n") == MINE
    assert Conversation(ssdp, UDP, 1900).datagram(SERVER, b"HTTP/1.1 200 OK\r\nServer: a\r\n\r\n") == NO


def test_ssh():
    flow = Conversation(ssh, TCP, 22)
    assert flow.stream(SERVER, b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n") == GOING
    assert flow.stream(CLIENT, b"SSH-2.0-Open") == GOING
    assert flow.stream(CLIENT, b"SSH_9.6\r\n\0\0\4") == MINE
    assert flow.user_agent == b"OpenSSH_9.6"
    assert Conversation(ssh, TCP, 22).stream(CLIENT, b"SSH-2") == MORE
    for bad in (b"SSH-3.0-x\r\n", b"SSH-2.0\r\n", b"SSH-2.x-y\r\n", b"SSH-" + b"2" * 300):
        assert Conversation(ssh, TCP, 22).stream(CLIENT, bad) == NO, bad


STREAM = b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='Chat.Example.org' version='1.0'>"


def test_xmpp():
    flow = Conversation(xmpp, TCP, 5222)
    assert flow.stream(CLIENT, STREAM[:40]) == MORE
    assert flow.stream(CLIENT, STREAM[40:]) == MINE and flow.server_name == b"chat.example.org"
    other = Conversation(xmpp, TCP, 5222)
    assert other.stream(SERVER, STREAM.replace(b"to=", b"from=")) == MINE and other.server_name == b"chat.example.org"
    assert Conversation(xmpp, TCP, 80).stream(CLIENT, b"<?xml version='1.0'?><soap:Envelope>" + b"x" * 200) == NO


def connect(name: bytes = b"MQTT", level: int = 4, flags: int = 2, extra: bytes = b"\0\4anna") -> bytes:
    body = struct.pack(">H", len(name)) + name + bytes([level, flags, 0, 60]) + extra
    return b"\x10" + bytes([len(body)]) + body


def test_mqtt():
    for good, risks in ((connect(), set()), (connect(b"MQIsdp", 3), set()), (connect(level=5, extra=b"\0\0\4anna"), set()),
                        (connect(flags=0xC2, extra=b"\0\1a\0\1u\0\1p"), {"clear_text_credentials"})):
        flow = Conversation(mqtt, TCP, 1883)
        assert flow.stream(CLIENT, good) == MINE and flow.risks == risks
    for bad in (connect(level=9), connect(flags=3), connect(flags=0x1A), connect(b"MQTTX"), b"\x10\xff\xff\xff\xff\xff", b"\x10\x02\0\4", b"\x10"):
        assert Conversation(mqtt, TCP, 1883).stream(CLIENT, bad) == NO, bad


def test_mqtt_picked_up_late():
    flow = Conversation(mqtt, TCP, 9000, midstream=1)
    assert flow.packet(CLIENT, b"\xc0\0") == MORE
    assert flow.packet(SERVER, b"\xd0\0") == MINE
    same = Conversation(mqtt, TCP, 9000, midstream=1)
    same.packet(CLIENT, b"\xc0\0")
    assert same.packet(CLIENT, b"\xd0\0") == NO and same.packet(SERVER, b"\xd0\1") == NO


def micro(kind: int, number: int, seq: int, ack: int, rest: bytes = b"", extension: int = 0) -> bytes:
    return struct.pack(">BBHIIIHH", kind << 4 | 1, extension, number, 1, 2, 1 << 20, seq, ack) + rest


def test_utp():
    flow = Conversation(bittorrent, UDP, 6881)
    assert flow.datagram(CLIENT, micro(4, 100, 7, 0)) == MORE
    assert flow.datagram(SERVER, micro(2, 100, 900, 7)) == MINE
    late = Conversation(bittorrent, UDP, 6881)
    assert late.datagram(CLIENT, micro(0, 101, 50, 900, b"payload")) == MORE
    assert late.datagram(SERVER, micro(2, 100, 901, 50, b"\0\4abcd", 1)) == MINE
    for answer in (micro(2, 102, 900, 7), micro(2, 100, 900, 5000), micro(5, 100, 900, 7), micro(2, 100, 900, 7, b"\0\x40a", 1), b"\x21"):
        other = Conversation(bittorrent, UDP, 6881)
        other.datagram(CLIENT, micro(4, 100, 7, 0))
        assert other.datagram(SERVER, answer) == NO, answer


@pytest.mark.parametrize("transport, data, verdict", [
    (TCP, b"\x13BitTorrent protocol" + b"\0" * 48, MINE),
    (UDP, b"d1:ad2:id20:" + b"i" * 20 + b"e1:q4:ping1:t2:aa1:y1:qe", MINE), (UDP, b"d1:rd2:id20:" + b"i" * 20 + b"e1:t2:aa1:y1:re", MINE),
    (UDP, b"d1:eli201e5:erroreeXX1:y1:ee"[:-1] + b"e", MINE), (UDP, b"d1:ad3:abc3:xyze1:y1:qe", NO), (UDP, b"d1:ad2:id20:" + b"i" * 20 + b"e1:q4:ping", NO),
    (UDP, b"\0\0\4\x17\x27\x10\x19\x80\0\0\0\0txid", MINE), (UDP, b"BT-SEARCH * HTTP/1.1\r\nHost: x\r\n\r\n", MINE),
])
def test_bittorrent(transport, data, verdict):
    flow = Conversation(bittorrent, transport, 6881)
    assert flow.call(CLIENT, data, 1, 0) == verdict
