"""HTTP/1: requests and responses in, rows and names out."""
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.classify.inspection import CLIENT, GOING, INSIDE, MINE, MORE, NAME_HOST, NO, PACKETS, SERVER
from dpi.classify.protocols import http
from tests.classify.conversation import TCP, Conversation

GET = (b"GET /a/b.html?token=secret HTTP/1.1\r\nHost: WWW.Example.com:8080\r\nUser-Agent: curl/8.0\r\nReferer: https://ref.example/p?q=1\r\n"
       b"Cookie: id=1\r\nAccept: */*\r\n\r\n")
OK = b"HTTP/1.1 200 OK\r\nServer: caddy\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 12\r\n\r\nhello world\n"


def conversation() -> Conversation:
    return Conversation(http, TCP, 80)


def test_a_request_and_its_response():
    flow = conversation()
    assert flow.stream(CLIENT, GET) == GOING
    assert flow.rows == []
    assert flow.stream(SERVER, OK) == PACKETS
    assert flow.server_name == b"www.example.com" and int(flow.facts[0].name_source) == NAME_HOST
    assert flow.user_agent == b"curl/8.0" and flow.protocol == "" and flow.risks == set()
    (table, numbers, texts), = flow.rows
    assert table == 3
    assert numbers[:6] == [200, 0 - 1, 12, 1000, 11, 1_001_000]
    assert texts[:7] == [b"GET", b"www.example.com", b"/a/b.html", b"curl/8.0", b"text/html", b"caddy", b"https://ref.example/p"]
    assert b"secret" not in b"".join(texts) and b"id=1" not in b"".join(texts)


def test_split_anywhere():
    for cut in range(1, len(GET)):
        flow = conversation()
        assert flow.stream(CLIENT, GET[:cut]) == MORE
        assert flow.stream(CLIENT, GET[cut:]) == GOING
        assert flow.server_name == b"www.example.com"
        assert flow.stream(SERVER, OK[:cut % 60 + 1]) == GOING
        assert flow.stream(SERVER, OK[cut % 60 + 1:]) == PACKETS
        assert flow.rows[0][1][0] == 200 and flow.rows[0][2][5] == b"caddy"


def test_kept_alive_and_unanswered():
    flow = conversation()
    flow.stream(CLIENT, GET)
    flow.stream(SERVER, OK)
    for path in (b"/1", b"/2", b"/3"):
        assert flow.packet(CLIENT, b"GET " + path + b" HTTP/1.1\r\nHost: other.example\r\n\r\n") == PACKETS
        assert flow.packet(CLIENT, b"more body\r\n") == PACKETS
        if path != b"/2":
            assert flow.packet(SERVER, b"HTTP/1.1 304 Not Modified\r\n\r\n") == PACKETS
            assert flow.packet(SERVER, b"\x00\x01 body HTTP/1.1 200 OK") == PACKETS
    flow.packet(CLIENT, b"GET /4 HTTP/1.1\r\nHost: other.example\r\n\r\n")
    assert flow.call(CLIENT, b"", 0, 1) == PACKETS          # the flow ends
    assert [(row[1][0], row[1][3], row[2][2]) for row in flow.rows] == [
        (200, 1000, b"/a/b.html"), (304, 2000, b"/1"), (0, -1, b"/2"), (304, 2000, b"/3"), (0, -1, b"/4")]
    assert flow.server_name == b"www.example.com"


def test_a_head_that_never_ends():
    flow = conversation()
    assert flow.stream(CLIENT, b"GET /long HTTP/1.1\r\nHost: a.example\r\nCookie: " + b"x" * 3000) == MORE
    assert flow.stream(CLIENT, b"y" * 6000, final=1) == PACKETS
    assert flow.server_name == b"a.example"
    huge = conversation()
    assert huge.stream(CLIENT, b"GET /" + b"x" * 9000, final=1) == PACKETS
    huge.packet(SERVER, b"HTTP/1.1 414 URI Too Long\r\n\r\n")
    assert huge.rows[0][1][0] == 414 and huge.rows[0][2][2] == b"/" + b"x" * 229


def test_interim_responses():
    flow = conversation()
    flow.stream(CLIENT, b"POST /up HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert flow.stream(SERVER, b"HTTP/1.1 100 Continue\r\n\r\n") == GOING
    flow.stream(CLIENT, b"12345")
    assert flow.stream(SERVER, b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n") == PACKETS
    assert flow.rows[0][1][:3] == [201, 5, 0]


def test_picked_up_in_the_middle():
    flow = Conversation(http, TCP, 80, midstream=1)
    assert flow.stream(SERVER, OK) == PACKETS
    assert flow.rows[0][1][:5] == [200, -1, 12, -1, 11] and flow.rows[0][2][0] == b""


@pytest.mark.parametrize("head, name", [
    (b"CONNECT mail.example:443 HTTP/1.1\r\n\r\n", "HTTP_Connect"),
    (b"GET http://www.example/x?y HTTP/1.1\r\nHost: www.example\r\n\r\n", "HTTP_Proxy"),
    (b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", ""),
    (b"GET /announce?info_hash=%01%02&peer_id=-TR4000-&port=6881 HTTP/1.1\r\nHost: a\r\n\r\n", "BitTorrent"),
    (b"PROPFIND / HTTP/1.1\r\nHost: a\r\nDepth: 0\r\n\r\n", "WebDAV"),
    (b"POST /ipp HTTP/1.1\r\nHost: a\r\nContent-Type: application/ipp\r\n\r\n", "IPP"),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/ocsp-request\r\n\r\n", "OCSP"),
    (b"RPC_IN_DATA /rpc HTTP/1.1\r\nHost: a\r\n\r\n", "MS-RPCH"),
    (b"POST /s HTTP/1.1\r\nHost: a\r\nSOAPAction: \"x\"\r\n\r\n", "SOAP"),
    (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", ""),
])
def test_names_besides_http(head, name):
    flow = conversation()
    assert flow.stream(CLIENT, head) == GOING
    assert flow.protocol == name


def test_what_follows_connect_and_upgrade_is_not_http():
    flow = conversation()
    flow.stream(CLIENT, b"CONNECT mail.example:443 HTTP/1.1\r\nHost: ignored.example\r\n\r\n")
    assert flow.server_name == b"mail.example"
    assert flow.stream(SERVER, b"HTTP/1.1 200 Connection established\r\n\r\n") == INSIDE
    assert flow.rows[0][2][:3] == [b"CONNECT", b"mail.example", b""]
    socket = conversation()
    socket.stream(CLIENT, b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\n\r\n")
    assert socket.stream(SERVER, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n") == MINE
    assert socket.protocol == "WebSocket"


@pytest.mark.parametrize("head, risks", [
    (b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic dTpw\r\n\r\n", {"clear_text_credentials"}),
    (b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n\r\n", set()),
    (b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\nuser=u&password=p", {"clear_text_credentials"}),
    (b"GET /login?user=u&pwd=p HTTP/1.1\r\nHost: a\r\n\r\n", {"clear_text_credentials"}),
    (b"GET /login?user=u&pwd= HTTP/1.1\r\nHost: a\r\n\r\n", set()),
    (b"GET http://u:p@a/ HTTP/1.1\r\n\r\n", {"clear_text_credentials"}),
])
def test_credentials_in_clear(head, risks):
    flow = conversation()
    flow.stream(CLIENT, head)
    flow.stream(SERVER, OK)
    assert flow.risks == risks
    assert not any(secret in b"".join(flow.rows[0][2]) for secret in (b"dTpw", b"password", b"pwd=", b"u:p"))


def test_programs_moved_in_clear():
    flow = conversation()
    flow.stream(CLIENT, GET)
    flow.stream(SERVER, b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n\x7fELF\x02")
    assert flow.risks == {"binary_transfer"}


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\0", b"OPTIONS rtsp://a RTSP/1.0\r\nCSeq: 1\r\n\r\n", b"REGISTER sip:a SIP/2.0\r\n\r\n",
        b"GETTING STARTED\r\n\r\n",
                                  b"HELO a\r\n", b"220 mail ESMTP\r\n"])
def test_what_is_not_http(data):
    assert conversation().stream(CLIENT, data, final=1) == NO


def test_the_longest_texts_fit():
    flow = conversation()
    long = (b"GET /" + b"p" * 400 + b" HTTP/1.1\r\nHost: " + b"h" * 60 + b"." + b"i" * 300 + b"\r\nUser-Agent: " + b"u" * 300 + b"\r\nReferer: " + b"r" * 300
            + b"\r\n\r\n")
    flow.stream(CLIENT, long)
    flow.stream(SERVER, b"HTTP/1.1 200 OK\r\nServer: " + b"s" * 200 + b"\r\nContent-Type: " + b"t" * 200 + b"\r\n\r\n")
    assert [len(t) for t in flow.rows[0][2][:7]] == [3, 253, 230, 176, 60, 60, 85]


heads = st.lists(st.sampled_from([GET, OK, GET[:40], OK[:20], b"HTTP/1.1 100 Continue\r\n\r\n", b"Host: ", b"\r\n", b"http://", b"POST / HTTP/1.1\r\n",
b"\0" * 5, b"G", b"HTTP/1.",
                                  b"Content-Type: ", b"?password=&", b"CONNECT a:1 HTTP/1.0\r\n\r\n", b"Upgrade: websocket\r\n"]), max_size=8).map(b"".join)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([CLIENT, SERVER]), st.one_of(heads, st.binary(max_size=50)), st.integers(0, 2)), max_size=8))
def test_hostile_bytes(steps):
    flow = conversation()
    for side, data, how in steps:
        if how == 0:
            flow.packet(side, data)
        else:
            flow.stream(side, data, final=how - 1)
