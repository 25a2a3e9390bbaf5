"""What is heard of RADIUS, DHCP and PPPoE, against the slow twin: of messages by the RFCs, and of messages that are not."""
from __future__ import annotations

import struct
from typing import Any

import numpy as np
from hypothesis import given as each
from hypothesis import settings
from hypothesis import strategies as st

from dpi.identity.digest import digest_of
from dpi.identity.event import ANYWHERE
from dpi.identity.sessions import Learning
from dpi.jit import BUILD
from tests.hostile.mutation import damage
from tests.identity import telling
from tests.identity.telling import CLIENT, KEY, SERVER, Ear, access_line, control, datagram, discovery, ppp
from tests.oracle import sessions as twin

EXAMPLES = 300 if BUILD == "on" else 30
ACTIONS = ("", "start", "update", "stop", "restart")
_EAR: list[Ear] = []


def ear() -> Ear:
    """One for all, so that kernels are looked up once."""
    if not _EAR:
        _EAR.append(Ear())
    return _EAR[0]


def hashed(name: bytes, kind: int) -> int:
    return twin.siphash(name, kind, KEY) if name else 0


def heard(payload: bytes, port: int) -> list[tuple[Any, ...]] | None:
    """Events of a datagram's payload as tuples; None where it is against the grammar."""
    one = ear()
    row = one.tap.row
    bad = int(row.radius_bad) + int(row.dhcp_bad)
    events = one.hear([datagram(payload, port, *(("2001:db8::1", "2001:db8::2") if port > 500 and port < 600 else ()))])
    if int(row.radius_bad) + int(row.dhcp_bad) != bad:
        assert not len(events)
        return None
    return [(ACTIONS[e["action"]], (int(e["high"]) << 64 | int(e["low"]), int(e["length"])) if e["length"] != 255 else None, int(e["which"]),
             e["scope"] == ANYWHERE, int(e["user"]), int(e["circuit"]), int(e["remote"]), int(e["mac"]), int(e["lifetime"]), int(e["stamp"])) for e in events]


def expected(read: Any, payload: bytes) -> list[tuple[Any, ...]] | None:
    """The same of the twin."""
    try:
        return [(e.action, e.address, e.which, e.anywhere, hashed(e.user, twin.USER), hashed(e.circuit, twin.CIRCUIT), hashed(e.remote, twin.CIRCUIT),
                 hashed(e.mac, twin.MAC), e.lifetime, e.stamp) for e in read(payload)]
    except twin.Bad:
        return None


@settings(max_examples=EXAMPLES, deadline=None)
@each(st.binary(max_size=60), st.integers(1, 6))
def test_digests(data: bytes, kind: int) -> None:
    out = np.zeros(1, np.uint64)
    digest_of(np.frombuffer(data or b"\0", np.uint8)[:len(data)], kind, *KEY, out)
    assert int(out[0]) == twin.siphash(data, kind, KEY)


def test_the_digest_is_the_published_one() -> None:
    """The vector of the paper's appendix A."""
    assert twin.siphash(bytes(range(15)), 0, KEY) == 0xA129CA6149BE45E5


ATTRIBUTES = st.one_of(
    st.tuples(st.sampled_from([1, 4, 8, 31, 32, 40, 44, 55, 87, 95, 96, 97, 123, 168, 26]), st.binary(max_size=20)),
    st.tuples(st.sampled_from([8, 4, 55]), st.binary(min_size=4, max_size=4)),
    st.builds(lambda kind, size, more: (kind, bytes([0, size]) + more), st.sampled_from([97, 123]), st.integers(0, 129), st.binary(min_size=14, max_size=16)),
    st.tuples(st.just(31), st.sampled_from([b"02-00-00-00-01-0a", b"0200.0000.010A", b"02:00:00:00:01:0a:x", b"8613800000000", b"02000000010a"])),
    st.builds(lambda one, two: (26, struct.pack(">I", 3561) + telling.option(1, one)[:1] + bytes([2 + len(one)]) + one + bytes([2, 2 + len(two)]) + two),
              st.binary(max_size=8), st.binary(max_size=8)),
    st.tuples(st.just(44), st.binary(min_size=1, max_size=8)))


@settings(max_examples=EXAMPLES, deadline=None)
@each(st.integers(0, 9), st.lists(ATTRIBUTES, max_size=10), st.randoms(use_true_random=False), st.booleans())
def test_accounting(status: int, attributes: list[tuple[int, bytes]], random: Any, whole: bool) -> None:
    message = telling.accounting(status, *(telling.attribute(*one) for one in attributes))
    message = message if whole else damage(message, random, message)
    assert heard(message, 1813) == expected(twin.radius, message)


OPTIONS = st.one_of(
    st.tuples(st.sampled_from([0, 12, 50, 51, 53, 60, 61, 82]), st.binary(max_size=12)),
    st.tuples(st.sampled_from([50, 51]), st.binary(min_size=4, max_size=4)),
    st.tuples(st.just(61), st.builds(lambda b: b"\0" + b, st.binary(min_size=1, max_size=9))),
    st.builds(lambda one, two: (82, telling.option(1, one) + telling.option(2, two)), st.binary(max_size=8), st.binary(max_size=8)))


@settings(max_examples=EXAMPLES, deadline=None)
@each(st.sampled_from([1, 2, 4, 5, 5, 7]), st.sampled_from(["0.0.0.0", "10.0.0.9"]), st.sampled_from(["0.0.0.0", "10.0.0.1"]), st.lists(OPTIONS, max_size=6),
      st.randoms(use_true_random=False), st.booleans())
def test_dhcp(kind: int, address: str, relay: str, options: list[tuple[int, bytes]], random: Any, whole: bool) -> None:
    message = telling.leased(kind, address, relay=relay, more=b"".join(telling.option(*one) for one in options))
    message = message if whole else damage(message, random, message)
    assert heard(message, 67) == expected(twin.dhcp, message)


@settings(max_examples=EXAMPLES, deadline=None)
@each(st.sampled_from([1, 7, 7, 8, 9]), st.sampled_from([b"\0\3\0\1" + CLIENT, b"\0\1\0\1\0\0\0\1" + CLIENT, b"\0\2x", b"\0"]),
      st.sampled_from([0, 60, 0xFFFFFFFF]),
      st.sampled_from(["", "2001:db8::9"]), st.sampled_from(["", "2001:db8:5::/56", "2001:db8::/0"]), st.integers(0, 9), st.binary(max_size=5),
      st.randoms(use_true_random=False), st.booleans())
def test_dhcpv6(kind: int, duid: bytes, lifetime: int, address: str, prefix: str, relays: int, line: bytes, random: Any, whole: bool) -> None:
    message = telling.given(kind, duid, address, prefix, lifetime)
    for _ in range(relays if relays in (1, 2, 8, 9) else 0):
        message = telling.relayed(message, line, line)
    message = message if whole else damage(message, random, message)
    assert heard(message, 546) == expected(twin.dhcpv6, message)


def test_accounting_is_believed_from_where_it_is_to_come() -> None:
    from ipaddress import ip_network
    one = Ear(Learning(kinds=1, trusted=(ip_network("192.0.2.8/29"), ip_network("2001:db8::/64")), most=2000))
    start = telling.session(1, "alice", "s1", "10.0.0.1")
    sources = (("192.0.2.12", "192.0.2.1"), ("192.0.2.16", "192.0.2.1"), ("2001:db8::5", "2001:db8::1"), ("2001:db8:0:1::5", "2001:db8::1"))
    assert [len(one.hear([datagram(start, 1813, *pair)])) for pair in sources] == [1, 0, 1, 0]
    assert one.tap.row.untrusted == 2
    assert not len(one.hear([datagram(telling.leased(5, "10.0.0.1"), 68)]))            # DHCP is not learned here
    assert not len(one.hear([datagram(telling.session(1, "alice", "s1", "10.0.0.1"), 40000)]))


def test_accounting_and_dhcp_in_a_tunnel_are_believed_by_both_senders() -> None:
    """Anybody can write any sender into what he puts into a tunnel, or into his own PPPoE."""
    from ipaddress import ip_address, ip_network

    from tests.hostile.samples import ip4, udp
    nas, mallory, switch, other = (ip_address(one).packed for one in ("192.0.2.12", "203.0.113.9", "192.0.2.250", "198.51.100.1"))
    one = Ear(Learning(kinds=7, trusted=(ip_network("192.0.2.0/24"),), servers=(ip_network("192.0.2.0/24"),), most=2000))
    start, ack = telling.session(1, "alice", "s1", "10.0.0.1"), telling.leased(5, "10.0.0.1")
    for message, port in ((start, 1813), (ack, 68)):
        inner = ip4(17, udp(40000, port, message), (nas, other))
        vxlan = b"\x08\0\0\0\0\0\7\0" + telling.frame(0x0800, inner)
        for outer, events in ((mallory, 0), (switch, 1)):
            for frame in (telling.frame(0x0800, ip4(47, b"\0\0\x08\0" + inner, (outer, other))), telling.frame(0x0800, ip4(4, inner, (outer, other))),
                          telling.frame(0x0800, ip4(17, udp(40000, 4789, vxlan), (outer, other)))):
                assert len(one.hear([frame])) == events
    assert not len(one.hear([ppp(0x0021, ip4(17, udp(40000, 1813, start), (nas, other)))]))
    assert one.tap.row.untrusted == 7


def test_answers_of_dhcp_are_believed_from_where_they_are_to_come() -> None:
    from ipaddress import ip_network
    one = Ear(Learning(kinds=7, servers=(ip_network("192.0.2.8/29"), ip_network("fe80::/10")), most=2000))
    forged = telling.leased(5, "10.0.0.1", relay="192.0.2.9")
    assert [len(one.hear([datagram(forged, 67, source)])) for source in ("192.0.2.12", "203.0.113.5")] == [1, 0]
    reply = telling.given(address="2001:db8::9")
    assert [len(one.hear([datagram(reply, 546, source, "fe80::2")])) for source in ("fe80::1", "2001:db8::5")] == [1, 0]
    assert len(one.hear([datagram(telling.leased(7, "10.0.0.1"), 67, "10.0.0.1")])) == 1       # what a client gives back
    assert len(one.hear([datagram(telling.session(1, "alice", "s1", "10.0.0.1"), 1813, "203.0.113.5")])) == 1      # nobody has said whose accounting
    assert one.tap.row.untrusted == 2


def test_the_innermost_of_eight_relays_may_hold_nothing() -> None:
    """Not a byte behind the message is read."""
    for inside in (b"", b"\7", b"\7\0\0"):
        message = inside
        for _ in range(8):
            message = telling.relayed(message)
        assert heard(message, 547) is None
        assert expected(twin.dhcpv6, message) is None


def test_pppoe() -> None:
    one = ear()
    line = access_line(b"olt7 eth 1/2:30", b"alice-line")
    events = one.hear([
        discovery(0x09), discovery(0x19, tags=line), discovery(0x65, 17, up=False),
        ppp(0xC021, control(1, b"\1\4\5\xd4")), ppp(0xC023, control(1, b"\5alice\6secret")), ppp(0xC223, control(2, b"\x10" + bytes(16) + b"bob@isp")),
        ppp(0x8021, control(2, b"\3\6\x0a\0\0\7"), up=False), ppp(0x8057, control(2, b"\1\x0a\0\0\0\0\0\0\0\7"), up=False),
        ppp(0xC021, control(10, bytes(4))), ppp(0xC021, control(5)), discovery(0xA7, 17)])
    assert [int(e["action"]) for e in events] == [5, 6, 7, 7, 8, 8, 10, 9, 9]
    circuit, opened, pap, chap, v4, v6, *rest = events
    assert (int(circuit["circuit"]), int(circuit["remote"])) == (hashed(b"olt7 eth 1/2:30", twin.CIRCUIT), hashed(b"alice-line", twin.CIRCUIT))
    assert opened["session"] == circuit["peer"] and opened["mac"] == circuit["mac"] == pap["mac"] == v4["mac"] == hashed(CLIENT, twin.MAC)
    assert {int(e["peer"]) for e in (opened, pap, chap, v4, v6, *rest)} == {int(opened["peer"])}
    assert (int(pap["user"]), int(chap["user"])) == (hashed(b"alice", twin.USER), hashed(b"bob@isp", twin.USER))
    assert v4["nas"] == hashed(SERVER, twin.MAC) and int(v4["low"]) == 0xFFFF0A000007
    assert (int(v6["high"]), int(v6["low"])) == (0xFE80 << 48, 7)
    tagged = one.hear([ppp(0xC021, control(5), vlans=(10,)), ppp(0xC021, control(5), vlans=(10, 20)), ppp(0xC021, control(5))])
    assert len({int(e["peer"]) for e in tagged}) == 3 and [int(e["scope"]) for e in tagged] == [10 << 12, 10 << 12 | 20, 0]


def test_half_a_message_is_none() -> None:
    """The second prefix is against the grammar: nothing of the first is noted."""
    good, bad = telling.attribute(97, b"\0\x40" + bytes.fromhex("20010db800000001")), telling.attribute(123, b"\0\x81" + bytes(16))
    name = telling.attribute(44, b"s")
    assert heard(telling.accounting(1, name, good), 1813) != []
    assert heard(telling.accounting(1, name, good, bad), 1813) is None


def test_events_without_room_are_counted() -> None:
    one = Ear(Learning(kinds=2, most=2000))
    ack = datagram(telling.leased(5, "10.0.0.1"), 68)
    data = np.frombuffer(ack, np.uint8)
    one.tap.row.heard = len(one.tap.events) - 1
    assert (one.one(data, 1), one.one(data, 2)) == (len(one.tap.events),) * 2 and one.tap.row.lost == 1
