"""Kerberos, LDAP, SMB, NetBIOS, RDP and SNMP; messages made by scapy where it knows them."""
from __future__ import annotations

import struct

import pytest

from dpi.classify.inspection import CLIENT, MINE, MORE, NO, SERVER
from dpi.classify.protocols import kerberos, ldap, netbios, rdp, smb, snmp
from tests.classify.conversation import TCP, UDP, Conversation


def tlv(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = bytes([len(body)]) if len(body) < 128 else b"\x82" + struct.pack(">H", len(body))
    return bytes([tag]) + size + body


def number(value: int, tag: int = 2) -> bytes:
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def text(value: bytes) -> bytes:
    return tlv(0x1B, value)


AS_REQ = tlv(0x6A, tlv(0x30, tlv(0xA1, number(5)), tlv(0xA2, number(10)),
                       tlv(0xA4, tlv(0x30, tlv(0xA0, tlv(3, b"\0\x40\0\0\0")), tlv(0xA2, text(b"CORP.Example.COM")), tlv(0xA7, number(7))))))
ERROR = tlv(0x7E, tlv(0x30, tlv(0xA0, number(5)), tlv(0xA1, number(30)), tlv(0xA4, tlv(0x18, b"20260101000000Z")), tlv(0xA5, number(1)), tlv(0xA6, number(25)),
                      tlv(0xA9, text(b"CORP.EXAMPLE.COM")), tlv(0xAA, tlv(0x30))))
AS_REP = tlv(0x6B, tlv(0x30, tlv(0xA0, number(5)), tlv(0xA1, number(11)), tlv(0xA3, text(b"CORP.EXAMPLE.COM")), tlv(0xA5, b"x" * 300)))


@pytest.mark.parametrize("message", [AS_REQ, ERROR, AS_REP])
def test_kerberos(message):
    flow = Conversation(kerberos, UDP, 88)
    assert flow.datagram(CLIENT, message) == MINE and flow.server_name == b"corp.example.com"
    tcp = Conversation(kerberos, TCP, 88)
    framed = struct.pack(">I", len(message)) + message
    assert tcp.stream(CLIENT, framed[:4]) == MORE
    assert tcp.stream(CLIENT, framed[4:]) == MINE
    for broken in (message[:-1], message + b"\0", message[:1] + b"\x80" + message[2:], message.replace(number(5), number(4), 1)):
        assert Conversation(kerberos, UDP, 88).datagram(CLIENT, broken) == NO


def ldap_message(*operation: bytes) -> bytes:
    return tlv(0x30, number(1), *operation)


BIND = ldap_message(tlv(0x60, number(3), tlv(4, b"cn=anna"), tlv(0x80, b"secret")))
SEARCH = ldap_message(tlv(0x63, tlv(4, b"dc=example"), number(2, 10), number(0, 10), number(0), number(0), tlv(1, b"\0"), tlv(0x87, b"objectClass"), tlv(0x30)))
RESULT = ldap_message(tlv(0x61, number(0, 10), tlv(4), tlv(4)))
EXTENDED = ldap_message(tlv(0x77, tlv(0x80, b"1.3.6.1.4.1.1466.20037")))


@pytest.mark.parametrize("message, risks", [(BIND, {"clear_text_credentials"}), (SEARCH, set()), (RESULT, set()), (EXTENDED, set())])
def test_ldap(message, risks):
    flow = Conversation(ldap, TCP, 389)
    assert flow.stream(CLIENT, message) == MINE and flow.risks == risks
    assert Conversation(ldap, UDP, 389).datagram(CLIENT, message) == MINE
    assert Conversation(ldap, UDP, 389).datagram(CLIENT, message[:-1]) == NO


@pytest.mark.parametrize("message", [
    ldap_message(tlv(0x60, number(9), tlv(4), tlv(0x80))), ldap_message(tlv(0x63, tlv(4), number(7, 10))), ldap_message(tlv(0x77, tlv(0x80))), tlv(0x30,
    tlv(4)),
    ldap_message(), ldap_message(tlv(0x5F, b"abc")), b"0\0", b"0\x84\xff\xff\xff\xff\2\1\1",
])
def test_what_is_no_ldap(message):
    assert Conversation(ldap, TCP, 9999).stream(CLIENT, message, final=1) == NO


def snmp_from_scapy(version: int, **fields: object) -> bytes:
    from scapy.asn1.asn1 import ASN1_OID
    from scapy.layers.snmp import SNMP, SNMPget, SNMPvarbind

    return bytes(SNMP(version=version, community="public", PDU=SNMPget(varbindlist=[SNMPvarbind(oid=ASN1_OID("1.3.6.1.2.1.1.1.0"))]), **fields))


def test_snmp():
    for message in (snmp_from_scapy(0), snmp_from_scapy(1)):
        assert Conversation(snmp, UDP, 161).datagram(CLIENT, message) == MINE
        for broken in (message[:-1], message + b"\0", message[:4] + b"\7" + message[5:], message.replace(b"\xa0", b"\xb0", 1)):
            assert Conversation(snmp, UDP, 161).datagram(CLIENT, broken) == NO
    third = tlv(0x30, number(3), tlv(0x30, number(77), number(65507), tlv(4, b"\4"), number(3)), tlv(4, tlv(0x30, b"x" * 20)), tlv(0x30, b"y" * 30))
    assert Conversation(snmp, UDP, 161).datagram(CLIENT, third) == MINE
    assert Conversation(snmp, UDP, 161).datagram(CLIENT, third.replace(number(65507), number(100))) == NO


def session(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


OLD = session(b"\xffSMB\x72" + b"\0" * 27 + b"\0\x0c\0\2NT LM 0.12\0")
OLD_SETUP = session(b"\xffSMB\x73" + b"\0" * 40)
NEW = session(b"\xfeSMB\x40\0" + b"\0" * 100)


def test_smb_dialects():
    flow = Conversation(smb, TCP, 445)
    assert flow.stream(CLIENT, NEW) == MINE and flow.protocol == "SMBv23"
    upgrade = Conversation(smb, TCP, 445)
    assert upgrade.stream(CLIENT, OLD) == MORE
    assert upgrade.stream(SERVER, NEW) == MINE and upgrade.protocol == "SMBv23"
    old = Conversation(smb, TCP, 445)
    old.stream(CLIENT, OLD)
    assert old.stream(CLIENT, OLD_SETUP) == MINE and old.protocol == "SMBv1"
    answer = Conversation(smb, TCP, 445)
    assert answer.stream(SERVER, OLD[:13] + b"\x98" + OLD[14:]) == MINE and answer.protocol == "SMBv1"
    assert Conversation(smb, TCP, 445).stream(CLIENT, b"\0\0\0\x40\xfeSMX" + b"\0" * 60) == NO


def half_ascii(name: str) -> bytes:
    return b"\x20" + b"".join(bytes([65 + (c >> 4), 65 + (c & 15)]) for c in name.ljust(16).encode()) + b"\0"


def test_smb_inside_a_netbios_session():
    asked = b"\x81\0\0\x44" + half_ascii("FILES") + half_ascii("ANNA")
    flow = Conversation(smb, TCP, 139)
    assert flow.stream(CLIENT, asked[:30]) == MORE
    assert flow.stream(CLIENT, asked[30:]) == MORE
    assert flow.stream(SERVER, b"\x82\0\0\0") == MORE
    assert flow.stream(CLIENT, OLD) == MORE
    assert flow.stream(SERVER, NEW) == MINE and flow.protocol == "SMBv23"


def test_netbios_names_and_datagrams():
    query = struct.pack(">6H", 1, 0x0110, 1, 0, 0, 0) + half_ascii("PRINTER") + b"\0\x20\0\1"
    flow = Conversation(netbios, UDP, 137)
    assert flow.datagram(CLIENT, query) == MINE and flow.server_name == b"printer"
    for broken in (query[:-2], query.replace(b"\x20F", b"\x21F", 1), query[:20] + b"z" + query[21:], struct.pack(">6H", 1, 0x1910, 1, 0, 0, 0) + query[12:]):
        assert Conversation(netbios, UDP, 137).datagram(CLIENT, broken) == NO
    datagram = b"\x11\2\0\1\xc0\0\2\1\0\x8a\0\xbb\0\0" + half_ascii("ANNA") + half_ascii("WORKGROUP")
    told = Conversation(netbios, UDP, 138)
    assert told.datagram(CLIENT, datagram + b"\0" * 20) == MINE and told.server_name == b"anna" and told.protocol == ""
    told.datagram(CLIENT, datagram + b"\xffSMB\x25" + b"\0" * 40)
    assert told.protocol == "SMBv1"
    assert Conversation(netbios, UDP, 137).datagram(CLIENT, struct.pack(">6H", 1, 0, 1, 0, 0, 0) + b"\3www\0\0\1\0\1") == NO


def tpkt(body: bytes) -> bytes:
    return struct.pack(">BBH", 3, 0, len(body) + 4) + body


def request(rest: bytes, code: int = 0xE0) -> bytes:
    return tpkt(bytes([6 + len(rest), code, 0, 0, 0, 0, 0]) + rest)


@pytest.mark.parametrize("message, port, verdict", [
    (request(b"Cookie: mstshash=anna\r\n\1\0\x08\0\x0b\0\0\0"), 4000, MINE), (request(b"Cookie: mstshash=anna\r\n"), 4000, MINE),
    (request(b"\1\0\x08\0\3\0\0\0"), 4000, MINE),
    (request(b"\2\x1f\x08\0\2\0\0\0", 0xD0), 4000, MINE), (request(b""), 3389, MINE), (request(b""), 102, NO),
    (request(b"\xc1\2\1\0\xc2\2\1\2\xc0\1\x0a"), 102, NO), (request(b"\1\0\x08\0\3\0\0\0")[:15], 3389, MORE), (request(b"\1\0\x09\0\3\0\0\0"), 3389, NO),
])
def test_rdp(message, port, verdict):
    assert Conversation(rdp, TCP, port).stream(CLIENT, message) == verdict
