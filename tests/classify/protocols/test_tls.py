"""TLS: hellos of all kinds against their slow twin, split anywhere; what servers answer; streams picked up in the middle."""
from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.classify.inspection import CLIENT, GOING, MINE, MORE, NAME_CERTIFICATE, NAME_SNI, NO, SERVER
from dpi.classify.protocols import tls
from dpi.classify.wire.server_hello import RETRY
from tests.classify.conversation import TCP, Conversation
from tests.oracle.certificates import made
from tests.oracle.hello import Hello, certificate_message, ja3s, records, server_hello

GREASE = [0x0A0A + 0x1010 * k for k in range(16)]
values = st.integers(0, 0xFFFF) | st.sampled_from([*GREASE, 0x1301, 0xC02F, 0x0304, 0x0303])
kinds = st.lists(st.sampled_from([0, 16, 10, 11, 13, 43, 5, 23, 65281, 18, *GREASE[:3]]), unique=True, max_size=14)
hellos = st.builds(
    Hello, version=st.sampled_from([0x0300, 0x0301, 0x0302, 0x0303, 0x0304]), ciphers=st.lists(values, min_size=1, max_size=120), order=kinds,
    alpn=st.lists(st.binary(min_size=1, max_size=12), max_size=3), groups=st.lists(values, max_size=8), formats=st.lists(st.integers(0, 255), max_size=4),
    algorithms=st.lists(values, max_size=20), versions=st.lists(st.sampled_from([0x0304, 0x0303, 0x0301, 0x7F1C, *GREASE[:2]]), max_size=5),
    session=st.sampled_from([b"", b"s" * 32]))


def conversation(**given) -> Conversation:
    return Conversation(tls, TCP, 443, **given)


def marks(flow: Conversation) -> list[str]:
    facts = flow.facts[0]
    return [facts.ja4_all[36 * k:36 * k + 36].tobytes().decode() for k in range(int(facts.ja4_count))]


def alpn(flow: Conversation) -> bytes:
    return flow.facts[0].alpn[:int(flow.facts[0].alpn_length)].tobytes()


@settings(max_examples=150, deadline=None)
@given(hellos)
def test_fingerprints(hello):
    flow = conversation()
    assert flow.stream(CLIENT, hello.record()) == GOING
    assert marks(flow) == [hello.ja4()]
    assert flow.facts[0].ja3.tobytes() == hello.ja3() and flow.facts[0].has_ja3 == 1
    assert flow.server_name == (b"example.com" if 0 in hello.order else b"")
    assert alpn(flow) == (hello.alpn[0] if 16 in hello.order and hello.alpn else b"")
    (table, numbers, texts), = flow.rows
    assert table == 2 and numbers[0] == 0 and texts[2] == hello.ja3().hex().encode() and texts[4] == hello.ja4().encode()


CHROME = Hello(ciphers=[0x2A2A, 0x1301, 0x1302, 0x1303, 0xC02B], order=[0x3A3A, 0, 23, 65281, 10, 11, 35, 16, 5, 13, 43, 0x4A4A], name=b"Www.Example.COM.",
               alpn=[b"h2", b"http/1.1"], groups=[0x4A4A, 29, 23], formats=[0], algorithms=[0x0403, 0x0804], versions=[0x1A1A, 0x0304, 0x0303])


@pytest.mark.parametrize("first, ends", [
    (b"h2", "h2"), (b"h", "hh"), (b"\xab", "ab"), (b"\xab\xcd", "ad"), (b"0\xab", "3b"), (b"01\xab\xcd", "3d"), (b"http/1.1", "h1"), (b"", "00")])
def test_ends_of_the_protocol_name(first, ends):
    flow = conversation()
    flow.stream(CLIENT, Hello(order=[16], alpn=[first]).record())
    assert marks(flow)[0][8:10] == ends


def test_split_over_segments_and_records():
    for size in (1, 7, 60, 16384):
        flow, sent = conversation(), records(CHROME.message(), size)
        for i in range(len(sent) - 1):
            assert flow.stream(CLIENT, sent[i:i + 1]) in (MORE, GOING), (size, i)
            assert not flow.rows
        assert flow.stream(CLIENT, sent[-1:]) == GOING
        assert marks(flow) == [CHROME.ja4()] and flow.server_name == b"www.example.com" and len(flow.rows) == 1
        flow.call(CLIENT, flow.streams[CLIENT], 1, 0)
        assert len(flow.rows) == 1


def test_hello_cut_off_gives_the_name_and_no_fingerprint():
    flow, sent = conversation(), CHROME.record()
    assert flow.stream(CLIENT, sent[:-20], final=1) == MINE
    assert flow.server_name == b"www.example.com" and flow.facts[0].ja4_count == 0 and len(flow.rows) == 1


def test_server_in_clear():
    der = made("example.org", ("example.org", "*.example.com"))
    other = made("Root", issuer="Root")
    flight = server_hello(cipher=0xC02F, alpn=b"http/1.1", extra=(65281,)) + certificate_message(der, other) + b"\x0e\0\0\0"
    for size in (16384, 300, 20):
        flow, sent = conversation(), records(flight, size)
        flow.time = 1_750_000_000_000_000
        flow.stream(CLIENT, CHROME.record())
        verdicts = [flow.stream(SERVER, sent[i:i + 97]) for i in range(0, len(sent), 97)]
        assert MINE in verdicts and set(verdicts[:verdicts.index(MINE)]) == {GOING}
        facts = flow.facts[0]
        assert facts.ja3s.tobytes() == ja3s(0x0303, 0xC02F, [65281, 16]) and facts.tls_version == 0x0303 and alpn(flow) == b"http/1.1"
        assert flow.risks == set()
        assert len(flow.rows) == 2
        _, numbers, texts = flow.rows[1]
        assert numbers[:6] == [1, 0x0303, 0xC02F, 1_700_000_000, 1_800_000_000, 0]
        assert texts == [b"www.example.com", b"http/1.1", b"", facts.ja3s.tobytes().hex().encode(), CHROME.ja4().encode(), b"example.org",
                         b"example.org,*.example.com", b"Test CA",
                         hashlib.sha256(der).hexdigest().encode(), b"", b"", b""]


def test_long_names_leave_room_for_issuer_and_digest():
    asked = b".".join([b"a" * 60] * 4)
    for count in (1, 4, 5, 6, 7, 8, 12):
        valid = tuple(f"{chr(98 + k) * 60}.example.net" for k in range(count))
        der = made("s" * 60, valid, issuer="i" * 60)
        flow = conversation()
        flow.stream(CLIENT, Hello(name=asked, order=[0]).record())
        flow.stream(SERVER, records(server_hello(cipher=0xC02F, alpn=b"http/1.1") + certificate_message(der) + b"\x0e\0\0\0"))
        _, _, texts = flow.rows[1]
        kept = texts[6].split(b",")
        assert kept == [name.encode() for name in valid[:len(kept)]] and len(kept) >= min(count, 4)
        assert (texts[0], texts[5], texts[7], texts[8]) == (asked, b"s" * 60, b"i" * 60, hashlib.sha256(der).hexdigest().encode())
        assert len(texts[4]) == 36


def test_what_is_wrong_with_a_server():
    flow = conversation()
    flow.time = 1_900_000_000_000_000
    flow.stream(CLIENT, CHROME.record())
    flow.stream(SERVER, records(server_hello(0x0301, 0x0005) + certificate_message(made("a.test", issuer="a.test")) + b"\x0e\0\0\0"))
    assert flow.risks == {"obsolete_tls", "weak_cipher", "self_signed_certificate", "expired_certificate", "name_mismatch"}


def test_name_from_the_certificate():
    flow = conversation()
    flow.stream(CLIENT, Hello(order=[10], groups=[29]).record())
    assert flow.server_name == b""
    flow.stream(SERVER, records(server_hello() + certificate_message(made("Printer 7", ("Host.Example.net",)))))
    assert flow.server_name == b"host.example.net" and flow.facts[0].name_source == NAME_CERTIFICATE


def test_retry_and_second_hello():
    flow = conversation()
    second = Hello(**{**CHROME.__dict__, "order": [k for k in CHROME.order if k != 35]})
    assert flow.stream(CLIENT, CHROME.record()) == GOING
    assert flow.stream(SERVER, records(server_hello(chosen=0x0304, random=RETRY.tobytes())) + b"\x14\3\3\0\1\1") == GOING
    assert flow.stream(CLIENT, b"\x14\3\3\0\1\1" + second.record()) == GOING
    assert flow.stream(SERVER, records(server_hello(cipher=0x1301, chosen=0x0304)) + b"\x17\3\3\0\x20") == MINE
    assert marks(flow) == [CHROME.ja4(), second.ja4()] and flow.facts[0].tls_version == 0x0304
    assert [r[1][0] for r in flow.rows] == [0, 1, 0, 1] and flow.rows[2][1][5] == 1


def test_refused_and_resumed():
    flow = conversation()
    flow.stream(CLIENT, CHROME.record())
    assert flow.stream(SERVER, b"\x15\3\1\0\2\2\x28") == MINE
    flow = conversation()
    flow.stream(CLIENT, CHROME.record())
    assert flow.stream(SERVER, records(server_hello()) + b"\x14\3\3\0\1\1" + records(b"\xf0" * 40)) == MINE
    assert len(flow.rows) == 2 and flow.rows[1][1][2] == 0xC02F


def test_hello_in_the_form_of_ssl_2():
    body = b"\1\3\1" + (6).to_bytes(2, "big") + b"\0\0" + (16).to_bytes(2, "big") + b"\0\0\x2f\0\0\x35" + b"c" * 16
    flow = conversation()
    sent = (0x8000 | len(body)).to_bytes(2, "big") + body
    assert flow.stream(CLIENT, sent[:8]) == MORE and flow.stream(CLIENT, sent[8:]) == GOING
    assert flow.risks == {"obsolete_tls"} and flow.rows[0][1][1] == 0x0301
    assert flow.stream(SERVER, records(server_hello(0x0301, 0x002F) + b"\x0e\0\0\0")) == MINE
    assert conversation().stream(CLIENT, sent[:7] + b"\0\5" + sent[9:]) == NO


@pytest.mark.parametrize("sent, final, verdict", [
    (records(b"x" * 100, 50, 23), 0, MINE), (records(b"x" * 100, 100, 23), 0, MINE), (records(b"x" * 100, 100, 23)[:50], 0, MORE),
    (records(b"x" * 100, 100, 23)[:50], 1, MINE), (b"\x17\3\3\xff\xff" + b"x" * 50, 0, NO), (b"\x17\3\3\0\5hello\0\0\0\0\0\0", 0, NO),
    (b"\x17\3\3", 0, MORE), (b"\x17\3\3", 1, NO), (b"\x15\3\3\0\2\1\0", 0, MINE)])
def test_picked_up_in_the_middle(sent, final, verdict):
    assert conversation(midstream=1).stream(CLIENT, sent, final) == verdict


def test_not_tls():
    for sent in (b"\x16\3\1\0\5hello and more", b"\x16\3\1\x50\0\1\0\0", b"\x16\3\1\0\x30\1\0\0\5" + b"\0" * 60, b"\x16\3\1\0\4\1\0\0\0"):
        assert conversation().stream(CLIENT, sent, final=1) == NO


def test_a_damaged_hello_is_tls_and_not_believed():
    sent = bytearray(CHROME.record())
    sent[44] ^= 1       # the length of the cipher list becomes odd or too long
    sent[45] ^= 1
    flow = conversation()
    assert flow.stream(CLIENT, bytes(sent)) in (MINE, GOING) and flow.facts[0].ja4_count == 0
    sent[44:46] = b"\0\0"
    flow = conversation()
    assert flow.stream(CLIENT, bytes(sent)) == MINE and not flow.rows and flow.server_name == b""


@settings(max_examples=150, deadline=None)
@given(hellos, st.lists(st.tuples(st.integers(0, 10 ** 6), st.integers(0, 255)), max_size=6), st.integers(0, 3000), st.booleans(), st.booleans())
def test_hostile_bytes(hello, flips, cut, server, final):
    payload = server_hello(alpn=b"h2") + certificate_message(made("example.org", ("example.org",))) + b"\x0e\0\0\0" if server else hello.message()
    sent = bytearray(records(payload, 700))
    for where, value in flips:
        sent[where % len(sent)] = value
    flow = conversation()
    assert flow.stream(int(server), bytes(sent[:cut]), int(final)) in (NO, MORE, MINE, GOING)
    if final:
        return
    assert flow.stream(int(server), bytes(sent[cut:]), 1) in (NO, MINE)


def test_many_hellos_are_counted_beyond_the_six_kept():
    flow = conversation()
    several = [Hello(ciphers=[0x1301] * (k + 1), order=[0]) for k in range(8)]
    flow.stream(CLIENT, records(b"".join(h.message() for h in several), 16384))
    assert marks(flow) == [h.ja4() for h in several[:6]] and flow.facts[0].ja4_missed == 2 and len(flow.rows) == 8


def test_the_better_name_stays():
    flow = conversation()
    flow.stream(CLIENT, CHROME.record())
    assert flow.facts[0].name_source == NAME_SNI
    flow = conversation()
    flow.stream(CLIENT, Hello(order=[0], name=b"bad\nname").record())
    assert flow.server_name == b"" and flow.facts[0].ja4_count == 1
