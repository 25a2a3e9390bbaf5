"""dpi.classify.wire.header_lines and http_message against their slow twins."""
from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.classify.wire.header_lines import find, head_end, host_end, name_hash, next_field, seek, spelling
from dpi.classify.wire.http_message import request_line, status_line, target_parts
from dpi.jit import entry
from tests.oracle import header_lines as twin

U8, WORD = np.dtype("u1"), np.dtype("i8")


@entry(U8, WORD)
def all_fields(data, out):
    """(hash, start, stop) triples of the fields, their count returned."""
    at = 0
    count = 0
    for _ in range(200):
        key, start, stop, after = next_field(data, at, data.size)
        if key == 0:
            break
        if key > 0 and count * 3 + 2 < out.size:
            out[count * 3] = key
            out[count * 3 + 1] = start
            out[count * 3 + 2] = stop
            count += 1
        at = after
    return count


@entry(U8, WORD)
def lines(data, out):
    """Everything else: out = head_end, host_end, request_line (4), status_line (3), target_parts (4)."""
    out[0] = head_end(data, 0, data.size)
    out[1] = host_end(data, 0, data.size)
    out[2], out[3], out[4], out[5] = request_line(data, data.size)
    out[6], out[7], out[8] = status_line(data, 0, data.size)
    out[9], out[10], out[11], out[12] = target_parts(data, 0, data.size)
    return 0


def measure(data: bytes) -> list[int]:
    out = np.zeros(13, WORD)
    lines(np.frombuffer(data, U8).copy(), out)
    return [int(v) for v in out]


parts = st.lists(st.sampled_from([b"\n", b"\r\n", b"\r", b":", b" ", b"\t", b"Host", b"x-Y", b"value", b"\r\n\r\n", b"a" * 50, b"\xff\0"]), max_size=30)


@settings(max_examples=300, deadline=None)
@given(parts)
def test_fields_and_the_end_of_the_head(pieces):
    data = b"".join(pieces)
    out = np.zeros(300, WORD)
    count = all_fields(np.frombuffer(data, U8).copy(), out)
    got = [(int(out[3 * i]), data[out[3 * i + 1]:out[3 * i + 2]]) for i in range(count)]
    assert got == [(name_hash(name), value) for name, value in twin.fields(data)]
    assert measure(data)[0] == twin.head_end(data)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=60), parts.map(b"".join), st.text("GETPOSHTP/1. :@?#[]ab\r\n", max_size=60).map(str.encode)))
def test_hostile_lines(data):
    out = measure(data)
    assert all(-1 <= v <= 1000 for v in out)
    for a, b in ((9, 10), (11, 12)):
        assert 0 <= out[a] <= len(data) and 0 <= out[b] <= len(data)


def test_request_lines():
    assert measure(b"GET / HTTP/1.1\r\n")[2:6] == [11, 3, 5, 16]
    assert measure(b"GET / HTTP/1.0\n")[2:6] == [10, 3, 5, 15]
    assert measure(b"PROPFIND /a b HTTP/1.1\r\n")[2:5] == [11, 8, 13]
    assert [measure(b"GET /index.html HTTP/1.1\r\n"[:i])[2] for i in range(1, 26)] == [-1] * 25
    for refused in (b"OPTIONS rtsp://a/ RTSP/1.0\r\n", b"INVITE sip:a@b SIP/2.0\r\n", b"get / HTTP/1.1\r\n", b"GET / HTTP/2.0\r\n", b"GET \0\0 HTTP/1.1\r\n",
                    b"FROB / HTTP/1.1\r\n", b"GET\r\n / HTTP/1.1\r\n"):
        assert measure(refused)[2] == 0, refused


def test_status_lines():
    assert measure(b"HTTP/1.1 200 OK\r\n")[6:9] == [200, 11, 17]
    assert measure(b"HTTP/1.0 404\r\n")[6:9] == [404, 10, 14]
    assert measure(b"HTTP/1")[6] == -1
    for refused in (b"HTTX/1.1 200 OK\r\n", b"HTTP/1.1 2x0 OK\r\n", b"HTTP/2.0 200 OK\r\n", b"HTTP/1.1 2000 OK\r\n"):
        assert measure(refused)[6] == 0, refused


def test_targets_and_hosts():
    def parts_of(target: bytes) -> tuple[bytes, bytes]:
        out = measure(target)
        return target[out[9]:out[10]], target[out[11]:out[12]]
    assert parts_of(b"/a/b?x=1") == (b"", b"/a/b")
    assert parts_of(b"http://u:p@example.com:8080/a?http://b/") == (b"example.com:8080", b"/a")
    assert parts_of(b"http://example.com") == (b"example.com", b"")
    assert parts_of(b"*") == (b"", b"*")
    assert parts_of(b"urn:x") == (b"", b"urn:x")
    for host, end in ((b"example.com:80", 11), (b"[2001:db8::1]:80", 13), (b"a b", 0), (b"", 0), (b"[x", 0), (b"under_score.example", 19)):
        assert measure(host)[1] == end


@entry(U8, np.dtype("i8"))
def sought(data, out):
    """out = seek of out[2] in data[out[0]:out[1]], finds of two words there."""
    out[3] = seek(data, out[0], out[1], out[2])
    out[4] = find(data, out[0], out[1], SIGNED)
    out[5] = find(data, out[0], out[1], LETTERS)
    return 0


SIGNED, LETTERS = spelling(b"a_b="), spelling(b"aba")


@settings(max_examples=300, deadline=None)
@given(st.text("abAB_=", max_size=70), st.integers(-3, 75), st.integers(-3, 75), st.sampled_from("ab_=x"))
def test_seek_and_find(text, at, stop, wanted):
    stop = min(stop, len(text))
    out = np.array([at, stop, ord(wanted), 9, 9, 9], np.int64)
    sought(np.frombuffer(text.encode() or b"", U8).copy(), out)
    assert out[3] == (text.find(wanted, at, stop) if at >= 0 and stop > at else -1)
    if at >= 0:
        assert out[4] == text.lower().find("a_b=", at, max(stop, at))
        assert out[5] == text.lower().find("aba", at, max(stop, at))
