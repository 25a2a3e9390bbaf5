"""OpenVPN, WireGuard, IKE and ESP in UDP, SOCKS."""
from __future__ import annotations

import struct

import pytest

from dpi.classify.inspection import CLIENT, GOING, INSIDE, MINE, MORE, NO, SERVER
from dpi.classify.protocols import ipsec, openvpn, socks, wireguard
from tests.classify.conversation import TCP, UDP, Conversation

MINE_ID, THEIRS = b"\x33" * 8, b"\x44" * 8
RESET = b"\x38" + MINE_ID + b"\0" + b"\0\0\0\0"
ANSWER = b"\x40" + THEIRS + b"\1\0\0\0\0" + MINE_ID + b"\0\0\0\0"


def test_openvpn_bare():
    flow = Conversation(openvpn, UDP, 443)
    assert flow.datagram(CLIENT, RESET) == MORE
    assert flow.datagram(SERVER, ANSWER) == MINE
    assert Conversation(openvpn, UDP, 1194).datagram(CLIENT, RESET) == MINE
    other = Conversation(openvpn, UDP, 443)
    other.datagram(CLIENT, RESET)
    assert other.datagram(SERVER, ANSWER.replace(MINE_ID, THEIRS)) == NO


def test_openvpn_one_direction():
    flow = Conversation(openvpn, UDP, 443)
    flow.datagram(CLIENT, RESET)
    assert flow.datagram(CLIENT, RESET) == MORE
    assert flow.datagram(CLIENT, b"\x28" + MINE_ID + b"\1\0\0\0\0" + THEIRS) == MINE
    server = Conversation(openvpn, UDP, 443)
    assert server.datagram(SERVER, ANSWER) == MORE
    assert server.datagram(SERVER, b"\x20" + THEIRS + b"\0\0\0\0\1" + b"x" * 50) == MINE
    third = Conversation(openvpn, UDP, 443)
    third.datagram(CLIENT, RESET)
    assert third.datagram(CLIENT, b"\x28" + THEIRS + b"\1\0\0\0\0" + THEIRS) == NO


@pytest.mark.parametrize("mac", [16, 20, 32, 64])
def test_openvpn_with_an_hmac(mac):
    def reset(clock: int) -> bytes:
        return b"\x38" + MINE_ID + b"h" * mac + struct.pack(">II", 1, clock) + b"\0" + b"\0\0\0\0"
    assert Conversation(openvpn, UDP, 443).datagram(CLIENT, reset(1)) == MINE
    assert Conversation(openvpn, UDP, 443).datagram(CLIENT, reset(10_000_000)) == NO
    assert Conversation(openvpn, UDP, 443).datagram(CLIENT, reset(1) + b"x") == NO


def test_openvpn_wrapped_and_over_tcp():
    wrapped = b"\x38" + MINE_ID + struct.pack(">II", 1, 1) + b"t" * 37
    assert Conversation(openvpn, UDP, 443).datagram(CLIENT, wrapped) == MINE
    flow = Conversation(openvpn, TCP, 443)
    framed = struct.pack(">H", len(RESET)) + RESET
    assert flow.stream(CLIENT, framed[:9]) == MORE
    assert flow.stream(CLIENT, framed[9:]) == MORE
    assert flow.stream(SERVER, struct.pack(">H", len(ANSWER)) + ANSWER) == MINE
    assert Conversation(openvpn, TCP, 443).stream(CLIENT, b"\0\3\x38ab") == NO


INITIATION = b"\1\0\0\0" + b"\x55" * 4 + b"r" * 124 + b"\0" * 16
RESPONSE = b"\2\0\0\0" + b"\x66" * 4 + b"\x55" * 4 + b"r" * 64 + b"\0" * 16


def test_wireguard():
    assert Conversation(wireguard, UDP, 51820).datagram(CLIENT, INITIATION) == MINE
    cookied = INITIATION[:-16] + b"m" * 16
    flow = Conversation(wireguard, UDP, 51820)
    assert flow.datagram(CLIENT, cookied) == MORE
    assert flow.datagram(SERVER, RESPONSE) == MINE
    other = Conversation(wireguard, UDP, 51820)
    other.datagram(CLIENT, cookied)
    assert other.datagram(SERVER, RESPONSE.replace(b"\x55" * 4, b"\x77" * 4)) == NO
    assert Conversation(wireguard, UDP, 51820).datagram(CLIENT, INITIATION[:-1]) == NO


def test_wireguard_picked_up_late():
    def data(index: int, counter: int, size: int = 32) -> bytes:
        return struct.pack("<IIQ", 4, index, counter) + b"d" * size
    flow = Conversation(wireguard, UDP, 51820)
    assert [flow.datagram(CLIENT, data(9, 100)), flow.datagram(SERVER, data(8, 5)), flow.datagram(CLIENT, data(9, 102))] == [MORE, MORE, MINE]
    for second in (data(9, 100), data(9, 900), data(7, 101), data(9, 101, 33)):
        other = Conversation(wireguard, UDP, 51820)
        other.datagram(CLIENT, data(9, 100))
        assert other.datagram(CLIENT, second) == NO


def ike(version: int, exchange: int, size: int = 0) -> bytes:
    body = b"p" * 40
    return b"i" * 8 + b"\0" * 8 + bytes([33, version, exchange, 8]) + b"\0\0\0\0" + struct.pack(">I", size or 28 + len(body)) + body


def test_ike_and_esp():
    assert Conversation(ipsec, UDP, 500).datagram(CLIENT, ike(0x20, 34)) == MINE
    assert Conversation(ipsec, UDP, 500).datagram(CLIENT, ike(0x10, 2)) == MINE
    assert Conversation(ipsec, UDP, 4500).datagram(CLIENT, b"\0\0\0\0" + ike(0x20, 35)) == MINE
    for bad in (ike(0x30, 34), ike(0x20, 2), ike(0x20, 34, 70), ike(0x20, 34)[:27]):
        assert Conversation(ipsec, UDP, 500).datagram(CLIENT, bad) == NO
    flow = Conversation(ipsec, UDP, 4500)
    esp = [struct.pack(">II", 0xC0FFEE00, number) + b"e" * 60 for number in (7, 8, 900)]
    assert [flow.datagram(CLIENT, b"\xff"), flow.datagram(CLIENT, esp[0]), flow.datagram(CLIENT, esp[1])] == [MORE, MORE, MINE]
    jump = Conversation(ipsec, UDP, 4500)
    jump.datagram(CLIENT, esp[0])
    assert jump.datagram(CLIENT, esp[2]) == NO


def test_socks_5_by_name():
    flow = Conversation(socks, TCP, 1080)
    assert flow.stream(CLIENT, b"\5\1\0") == MORE
    assert flow.stream(SERVER, b"\5\0") == GOING
    assert flow.stream(CLIENT, b"\5\1\0\3\x0bExample.org\0\x50") == GOING
    assert flow.server_name == b"example.org"
    assert flow.stream(SERVER, b"\5\0\0\1\0\0\0\0\0\0") == INSIDE


def test_socks_with_a_password():
    flow = Conversation(socks, TCP, 1080)
    flow.stream(CLIENT, b"\5\2\0\2")
    assert flow.stream(SERVER, b"\5\2") == GOING and flow.risks == {"clear_text_credentials"}
    flow.stream(CLIENT, b"\1\4anna\6secret")
    flow.stream(SERVER, b"\1\0")
    flow.stream(CLIENT, b"\5\1\0\3\x0bexample.org\0\x50")
    assert flow.server_name == b"example.org"


def test_socks_4():
    flow = Conversation(socks, TCP, 1080)
    assert flow.stream(CLIENT, b"\4\1\0\x50\0\0\0\1anna\0example.org\0") == MORE
    assert flow.server_name == b"example.org"
    assert flow.stream(SERVER, b"\0\x5a\0\0\0\0\0\0") == INSIDE


@pytest.mark.parametrize("asked, answered", [(b"\5\1\0", b"\4\0"), (b"\5\1\0", b"\5\x20"), (b"\5\1\0", b"\5\0zz" + b"x" * 9), (b"\4\1\0\x50\1\2\3\4\0",
        b"\0\x50\0\0\0\0\0\0")])
def test_socks_needs_the_servers_answer(asked, answered):
    flow = Conversation(socks, TCP, 1080)
    assert flow.stream(CLIENT, asked) == MORE
    assert flow.stream(SERVER, answered) not in (INSIDE, MORE)
    assert Conversation(socks, TCP, 1080).stream(CLIENT, asked[:2] + b"\x50\x50\x50") == NO
