"""DNS, mDNS and LLMNR: messages in, rows and names out."""
from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.classify.inspection import CLIENT, GOING, MORE, NO, SERVER
from dpi.classify.protocols import dns, llmnr, mdns
from tests.classify.conversation import TCP, UDP, Conversation

A, CNAME, PTR, MX, TXT, AAAA, SRV, OPT = 1, 5, 12, 15, 16, 28, 33, 41


def wire(name: str) -> bytes:
    return b"".join(bytes([len(x)]) + x.encode() for x in name.split(".") if x) + b"\0"


def query(name: str, kind: int = A, ident: int = 0x1234, flags: int = 0x0100) -> bytes:
    return struct.pack(">6H", ident, flags, 1, 0, 0, 0) + wire(name) + struct.pack(">2H", kind, 1)


def record(name: bytes, kind: int, data: bytes, ttl: int = 60, group: int = 1) -> bytes:
    return name + struct.pack(">2HIH", kind, group, ttl, len(data)) + data


def answer(name: str, records: list[bytes], kind: int = A, ident: int = 0x1234, flags: int = 0x8180, more: list[bytes] | None = None) -> bytes:
    extra = more or []
    return (struct.pack(">6H", ident, flags, 1, len(records), 0, len(extra)) + wire(name) + struct.pack(">2H", kind, 1)
            + b"".join(records) + b"".join(extra))


def mapped(text: str) -> bytes:
    ip = ipaddress.ip_address(text)
    return ip.packed if ip.version == 6 else b"\0" * 10 + b"\xff\xff" + ip.packed


HERE = b"\xc0\x0c"


def test_a_query_and_its_answer():
    flow = Conversation(dns, UDP, 53)
    assert flow.datagram(CLIENT, query("WWW.Example.COM")) == GOING
    assert flow.server_name == b"www.example.com"
    assert flow.resolved == (b"", [])
    reply = answer("WWW.Example.COM", [
        record(HERE, CNAME, b"\4edge\xc0\x10", 300), record(b"\4edge\xc0\x10", A, bytes([192, 0, 2, 7]), 20),
        record(b"\4edge\xc0\x10", AAAA, ipaddress.ip_address("2001:db8::7").packed, 20)])
    assert flow.datagram(SERVER, reply) == GOING
    assert flow.resolved == (b"www.example.com", [mapped("192.0.2.7"), mapped("2001:db8::7")])
    asked, told = flow.rows
    assert asked[0] == 1 and asked[1][:9] == [0x1234, 1, 0, 0, 0, 0, 0, -1, 0x0100] and asked[2][0] == b"www.example.com"
    assert told[1][:9] == [0x1234, 1, 0, 1, 3, 20, 0, 1000, 0x8180]
    assert told[2][:2] == [b"www.example.com", b"edge.example.com,192.0.2.7,2001:db8::7"]


def test_response_time_with_several_queries_outstanding():
    flow = Conversation(dns, UDP, 53)
    for ident in (1, 2, 3):
        flow.datagram(CLIENT, query("a.example", ident=ident))
    flow.datagram(SERVER, answer("a.example", [], ident=1, flags=0x8183))
    flow.datagram(SERVER, answer("a.example", [], ident=3))
    flow.datagram(SERVER, answer("a.example", [], ident=9))
    assert [row[1][7] for row in flow.rows[3:]] == [3000, 2000, -1]
    assert flow.rows[3][1][2] == 3      # NXDOMAIN


def test_another_port_needs_a_strict_message():
    flow = Conversation(dns, UDP, 5300)
    assert flow.datagram(CLIENT, query("a.example")) == GOING
    assert Conversation(dns, UDP, 5300).datagram(CLIENT, query("a.example") + b"x") == NO
    assert Conversation(dns, UDP, 53).datagram(CLIENT, query("a.example") + b"x") == GOING


@pytest.mark.parametrize("message", [
    b"", b"\0" * 12, b"\0" * 40, query("a.example")[:20], query("a.example", flags=0x0900 | 3 << 11),
    struct.pack(">6H", 1, 0x0100, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1",                # a name that points to itself
    struct.pack(">6H", 1, 0x0100, 1, 0, 0, 0) + wire("a.example") + b"\0\1\0\x55",  # a class nobody has
    answer("a.example", [record(HERE, A, b"12345")]),                               # an address of five bytes
    answer("a.example", [record(HERE, 0, b"")]),
    b"GET / HTTP/1.1\r\n\r\n",
])
def test_what_is_no_message(message):
    flow = Conversation(dns, UDP, 53)
    assert flow.datagram(CLIENT, message) == NO
    assert flow.rows == [] and flow.server_name == b""


def test_a_bare_header_with_an_error_is_an_answer():
    flow = Conversation(dns, UDP, 53)
    assert flow.datagram(CLIENT, query("a.example")) == GOING
    assert flow.datagram(SERVER, struct.pack(">6H", 0x1234, 0x8081, 0, 0, 0, 0)) == GOING
    assert flow.rows[1][1][2] == 1


def test_cut_answers_keep_what_is_there():
    whole = answer("a.example", [record(HERE, A, bytes([192, 0, 2, i])) for i in range(4)])
    flow = Conversation(dns, UDP, 53)
    assert flow.datagram(SERVER, whole[:-10]) == GOING
    assert flow.rows[0][2][1] == b"192.0.2.0,192.0.2.1,192.0.2.2"


def test_only_the_server_teaches_names():
    flow = Conversation(dns, UDP, 53)
    flow.datagram(CLIENT, answer("a.example", [record(HERE, A, b"\1\2\3\4")]))
    assert flow.resolved == (b"", [])


def test_sixteen_addresses_at_most():
    flow = Conversation(dns, UDP, 53)
    flow.datagram(SERVER, answer("a.example", [record(HERE, A, bytes([192, 0, 2, i])) for i in range(40)]))
    assert len(flow.resolved[1]) == 16 and flow.rows[0][1][4] == 40


def test_opt_and_negative_ttl():
    flow = Conversation(dns, UDP, 53)
    reply = answer("a.example", [record(HERE, MX, b"\0\5\4mail\xc0\x0c", 0x80000001)], MX, more=[record(b"\0", OPT, b"", group=1232)])
    assert flow.datagram(SERVER, reply) == GOING
    assert flow.rows[0][2][1] == b"mail.a.example" and flow.rows[0][1][5] == 0


def test_names_as_tunnels_use_them():
    flow = Conversation(dns, UDP, 53)
    flow.datagram(CLIENT, query("a" * 60 + "." + "b7" * 30 + ".t.example", 10))
    assert flow.risks == {"suspicious_dns"}
    plain = Conversation(dns, UDP, 53)
    plain.datagram(CLIENT, query("1.0.0.127.in-addr.arpa", PTR))
    assert plain.risks == set()


def framed(message: bytes) -> bytes:
    return struct.pack(">H", len(message)) + message


def test_tcp_in_pieces_and_several_messages():
    flow = Conversation(dns, TCP, 53)
    two = framed(query("a.example", ident=1)) + framed(query("b.example", ident=2))
    verdicts = [flow.stream(CLIENT, two[i:i + 1]) for i in range(len(two))]
    assert verdicts[0] == MORE and verdicts[-1] == GOING
    assert [row[2][0] for row in flow.rows] == [b"a.example", b"b.example"]
    flow.stream(SERVER, framed(answer("a.example", [record(HERE, A, b"\1\2\3\4")], ident=1)))
    assert flow.resolved == (b"a.example", [mapped("1.2.3.4")])
    flow.packet(SERVER, framed(answer("b.example", [record(HERE, A, b"\1\2\3\5")], ident=2)))
    assert flow.resolved == (b"b.example", [mapped("1.2.3.5")])
    assert len(flow.rows) == 4
    assert Conversation(dns, TCP, 53).stream(CLIENT, b"\x16\x03\x01\x02\0\1\0\1") == MORE
    assert Conversation(dns, TCP, 53).stream(CLIENT, b"\0\3abc") == NO
    assert Conversation(dns, TCP, 53).stream(CLIENT, b"\x16\x03\x01\x02\0\1\0\1", final=1) == NO


def test_more_messages_than_one_call_takes():
    flow = Conversation(dns, TCP, 53)
    flow.stream(CLIENT, b"".join(framed(query(f"n{i}.example", ident=i)) for i in range(40)))
    flow.stream(CLIENT, b"")
    flow.stream(CLIENT, b"")
    assert [row[1][0] for row in flow.rows] == list(range(40))


def test_mdns():
    flow = Conversation(mdns, UDP, 5353, 5353)
    assert flow.datagram(CLIENT, query("_ipp._tcp.local", PTR, 0, 0)) == GOING
    assert flow.server_name == b"_ipp._tcp.local"
    told = struct.pack(">6H", 0, 0x8400, 0, 1, 0, 2) + record(wire("_ipp._tcp.local"), PTR, b"\x0bB\xc3\xbcro Druck\xc0\x0c", 4500)
    at = len(told)
    told += record(wire("printer.local"), A, bytes([192, 0, 2, 9]), 120, 0x8001)
    told += record(struct.pack(">H", 0xC000 | at), AAAA, ipaddress.ip_address("fe80::9").packed, 120, 0x8001)
    assert flow.datagram(CLIENT, told) == GOING
    assert flow.resolved == (b"printer.local", [mapped("192.0.2.9"), mapped("fe80::9")])
    assert flow.rows[1][2][:2] == [b"_ipp._tcp.local", "b\u00fcro druck._ipp._tcp.local".encode()]
    assert Conversation(mdns, UDP, 5353).datagram(CLIENT, b"\0" * 30) == NO


def test_llmnr_over_udp_and_tcp():
    flow = Conversation(llmnr, UDP, 5355)
    assert flow.datagram(CLIENT, query("wpad", flags=0)) == GOING
    assert flow.datagram(SERVER, answer("wpad", [record(HERE, A, b"\xc0\0\2\1")], flags=0x8000)) == GOING
    assert flow.resolved == (b"wpad", [mapped("192.0.2.1")])
    tcp = Conversation(llmnr, TCP, 5355)
    asked = framed(query("fileserver", flags=0))
    assert tcp.stream(CLIENT, asked[:9]) == MORE
    assert tcp.stream(CLIENT, asked[9:]) == GOING
    assert tcp.stream(SERVER, framed(answer("fileserver", [], flags=0x8003))) == GOING
    assert tcp.rows[1][1][2] == 3
    assert Conversation(llmnr, UDP, 5355).datagram(CLIENT, b"M-SEARCH * HTTP/1.1\r\n\r\n") == NO


pieces = st.sampled_from([HERE, b"\0", wire("a.b"), b"\xc0\xff", b"\0\1\0\1", struct.pack(">6H", 1, 0x8180, 1, 2, 0, 0), record(HERE, A, b"1234"),
                          record(HERE, CNAME, HERE), b"\x3f" * 9, b"\xff\xff"])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([dns, mdns, llmnr]), st.sampled_from([TCP, UDP]), st.lists(st.one_of(st.binary(max_size=40), pieces), max_size=12), st.booleans())
def test_hostile_bytes(module, transport, parts, head):
    data = b"".join(parts)
    if head:
        data = struct.pack(">6H", 1, 0x8180, 1, 3, 1, 1) + data
    flow = Conversation(module, transport, 53)
    for side in (CLIENT, SERVER):
        flow.datagram(side, data) if transport == UDP else flow.stream(side, framed(data))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 200), st.integers(0, 255), st.integers(0, 200))
def test_mutated_and_cut_messages(at, value, cut):
    message = bytearray(answer("www.example.com", [record(HERE, CNAME, b"\4edge\xc0\x10"), record(HERE, A, b"1234"), record(HERE, AAAA, b"1234" * 4)]))
    message[at % len(message)] = value
    for module in (dns, mdns, llmnr):
        Conversation(module, UDP, 53).datagram(SERVER, bytes(message)[:len(message) - cut % 60])
