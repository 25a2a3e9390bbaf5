"""Frames of every kind the decoder reads, made by hand: the seeds of mutation, and the cases of the decoder's tests."""
from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

ETHERNET, NULL, PPP, RAW, PPP_HDLC, PPPOE_LINK, C_HDLC, WIRELESS, LOOP, SLL, RADIOTAP, V4, V6, SLL2 = (
    1, 0, 9, 101, 50, 51, 104, 105, 108, 113, 127, 228, 229, 276)
MACS = bytes.fromhex("0200000000020a0000000001")
FOUR = (bytes((192, 0, 2, 1)), bytes((198, 51, 100, 7)))
FOUR_OUTER = (bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)))
SIX = (bytes.fromhex("20010db8000000000000000000000001"), bytes.fromhex("20010db80000000000000000000000ff"))
TEXT = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"


class Sample(NamedTuple):
    """A frame as captured, and how long it was on the link."""
    name: str
    link: int
    frame: bytes
    wire: int = 0           # 0: as long as the frame


def tcp(source: int = 49152, target: int = 80, flags: int = 0x18, payload: bytes = TEXT, options: bytes = b"") -> bytes:
    """A TCP segment (checksum 0)."""
    options += b"\0" * (-len(options) % 4)
    return struct.pack(">HHIIBBHHH", source, target, 1000, 2000, (20 + len(options)) // 4 << 4, flags, 64240, 0, 0) + options + payload


def udp(source: int = 49153, target: int = 53, payload: bytes = b"question") -> bytes:
    """A UDP datagram (checksum 0)."""
    return struct.pack(">HHHH", source, target, 8 + len(payload), 0) + payload


def ip4(protocol: int, payload: bytes, pair: tuple[bytes, bytes] = FOUR, fragment: int = 0, options: bytes = b"", identification: int = 7) -> bytes:
    """An IPv4 packet; `fragment` is the field of flags and offset."""
    header = 20 + len(options)
    return struct.pack(">BBHHHBBH", 0x40 | header // 4, 0xB8, header + len(payload), identification, fragment, 64, protocol, 0) \
        + pair[0] + pair[1] + options + payload


def ip6(following: int, payload: bytes, pair: tuple[bytes, bytes] = SIX) -> bytes:
    """An IPv6 packet."""
    return struct.pack(">IHBB", 0x6B800000, len(payload), following, 57) + pair[0] + pair[1] + payload


def ether(kind: int, payload: bytes) -> bytes:
    """An Ethernet frame without FCS."""
    return MACS + struct.pack(">H", kind) + payload


def gre(protocol: int, payload: bytes, flags: int = 0, fields: bytes = b"") -> bytes:
    """A GRE packet."""
    return struct.pack(">HH", flags, protocol) + fields + payload


def gtp(payload: bytes, flags: int = 0x30, message: int = 255, fields: bytes = b"", teid: int = 0xABCDEF) -> bytes:
    """A GTP-U packet."""
    return struct.pack(">BBHI", flags, message, len(fields + payload), teid) + fields + payload


def vxlan(frame: bytes, network: int = 77) -> bytes:
    """A VXLAN packet."""
    return struct.pack(">II", 0x08000000, network << 8) + frame


def label(number: int, last: bool) -> bytes:
    """An MPLS label stack entry."""
    return struct.pack(">I", number << 12 | (0x100 if last else 0) | 64)


def pppoe(protocol: int, payload: bytes, session: int = 17) -> bytes:
    """What follows EtherType 8864."""
    return struct.pack(">BBHHH", 0x11, 0, session, 2 + len(payload), protocol) + payload


HTTP4, HTTP6, DNS4 = ip4(6, tcp()), ip6(6, tcp()), ip4(17, udp())
SYN_OPTIONS = bytes.fromhex("020405b4" "0402" "080a0000000100000000" "01" "030307")


def _plain() -> Iterator[Sample]:
    yield Sample("tcp", ETHERNET, ether(0x0800, HTTP4))
    yield Sample("syn", ETHERNET, ether(0x0800, ip4(6, tcp(flags=2, payload=b"", options=SYN_OPTIONS))))
    yield Sample("syn, mss behind padding", ETHERNET, ether(0x0800, ip4(6, tcp(flags=2, payload=b"", options=b"\x01\x01" + SYN_OPTIONS))))
    yield Sample("ethernet padding", ETHERNET, ether(0x0800, ip4(6, tcp(payload=b"abc"))).ljust(60, b"\0"))
    yield Sample("udp", ETHERNET, ether(0x0800, DNS4))
    yield Sample("udp, trailing bytes", ETHERNET, ether(0x0800, ip4(17, udp() + b"more")))
    yield Sample("udp length 0", ETHERNET, ether(0x0800, ip4(17, struct.pack(">HHHH", 1, 2, 0, 0) + b"bytes")))
    yield Sample("tcp6", ETHERNET, ether(0x86DD, HTTP6))
    yield Sample("udp6", ETHERNET, ether(0x86DD, ip6(17, udp())))
    yield Sample("ip options", ETHERNET, ether(0x0800, ip4(6, tcp(), options=bytes.fromhex("94040000"))))
    yield Sample("length 0, offloaded", ETHERNET, ether(0x0800, HTTP4[:2] + b"\0\0" + HTTP4[4:]))
    yield Sample("length 0, offloaded, 6", ETHERNET, ether(0x86DD, HTTP6[:4] + b"\0\0" + HTTP6[6:]))
    yield Sample("snapped payload", ETHERNET, ether(0x0800, HTTP4)[:60], 200)
    yield Sample("snapped within payload", ETHERNET, ether(0x0800, HTTP4)[:60], len(HTTP4) + 14)
    yield Sample("snapped within tcp", ETHERNET, ether(0x0800, HTTP4)[:44], len(HTTP4) + 14)
    yield Sample("snapped within ip", ETHERNET, ether(0x0800, HTTP4)[:30], len(HTTP4) + 14)
    yield Sample("snapped within ethernet", ETHERNET, ether(0x0800, HTTP4)[:13], len(HTTP4) + 14)
    yield Sample("snapped before the ports", ETHERNET, ether(0x0800, HTTP4)[:37], len(HTTP4) + 14)
    yield Sample("longer than the frame", ETHERNET, ether(0x0800, HTTP4)[:-5])
    yield Sample("longer than the frame 6", ETHERNET, ether(0x86DD, HTTP6)[:-5])
    yield Sample("tunnel longer than the frame", ETHERNET, ether(0x0800, ip4(4, HTTP4, FOUR_OUTER))[:-5])
    yield Sample("no room for ports", ETHERNET, ether(0x0800, ip4(6, b"\0\x50\1")))
    yield Sample("impossible header length", ETHERNET, ether(0x0800, ip4(6, tcp()[:12] + b"\x20" + tcp()[13:])))
    yield Sample("impossible version", ETHERNET, ether(0x0800, b"\x95" + HTTP4[1:]))
    yield Sample("udp too long", ETHERNET, ether(0x0800, ip4(17, struct.pack(">HHHH", 53, 40000, 900, 0) + b"bytes")))
    for protocol in (1, 2, 6, 17, 33, 46, 47, 50, 51, 58, 59, 88, 89, 103, 112, 132, 136, 253, 255):
        body = bytes.fromhex("0800f7ff0001000205000000") + b"protocol's own bytes"
        yield Sample(f"protocol {protocol}", ETHERNET, ether(0x0800, ip4(protocol, body)))
        yield Sample(f"protocol {protocol} in 6", ETHERNET, ether(0x86DD, ip6(protocol, body)))
    sctp = struct.pack(">HHII", 36412, 36412, 5, 0) + bytes.fromhex("00030010000000010000100000000000")
    yield Sample("sctp", ETHERNET, ether(0x0800, ip4(132, sctp)))
    yield Sample("dccp", ETHERNET, ether(0x0800, ip4(33, struct.pack(">HHBBHI", 5001, 5002, 4, 0, 0, 1) + b"\0\0\0\1data")))
    yield Sample("udp-lite", ETHERNET, ether(0x0800, ip4(136, udp())))
    quoted = b"\3\3\0\0\0\0\0\0" + DNS4
    yield Sample("icmp error", ETHERNET, ether(0x0800, ip4(1, quoted)))
    yield Sample("echo 6", ETHERNET, ether(0x86DD, ip6(58, b"\x80\0\0\0\0\1\0\1ping")))


def _fragments() -> Iterator[Sample]:
    whole = udp(payload=bytes(range(200)))
    yield Sample("first fragment", ETHERNET, ether(0x0800, ip4(17, whole[:104], fragment=0x2000)))
    yield Sample("later fragment", ETHERNET, ether(0x0800, ip4(17, whole[104:], fragment=13)))
    yield Sample("fragment without its first", ETHERNET, ether(0x0800, ip4(17, whole[104:], fragment=13, identification=8)))
    yield Sample("tiny first fragment", ETHERNET, ether(0x0800, ip4(6, tcp()[:8], fragment=0x2000, identification=9)))
    yield Sample("later of the tiny", ETHERNET, ether(0x0800, ip4(6, tcp()[8:], fragment=1, identification=9)))
    yield Sample("first fragment 6", ETHERNET, ether(0x86DD, ip6(44, struct.pack(">BBHI", 17, 0, 1, 99) + whole[:104])))
    yield Sample("later fragment 6", ETHERNET, ether(0x86DD, ip6(44, struct.pack(">BBHI", 17, 0, 104, 99) + whole[104:])))
    yield Sample("atomic fragment 6", ETHERNET, ether(0x86DD, ip6(44, struct.pack(">BBHI", 6, 0, 0, 99) + tcp())))
    yield Sample("fragment behind options 6", ETHERNET, ether(0x86DD, ip6(
        0, b"\x2c\0\1\4\0\0\0\0" + struct.pack(">BBHI", 60, 0, 1, 98) + b"\x11\0\1\4\0\0\0\0" + whole[:96])))
    yield Sample("later behind options 6", ETHERNET, ether(0x86DD, ip6(44, struct.pack(">BBHI", 60, 0, 104, 98) + whole[104:])))
    yield Sample("gre in fragments", ETHERNET, ether(0x0800, ip4(47, gre(0x0800, HTTP4), fragment=0x2000)))


def _links() -> Iterator[Sample]:
    yield Sample("raw", RAW, HTTP4)
    yield Sample("raw 6", 12, HTTP6)
    yield Sample("raw, OpenBSD", 14, HTTP4)
    yield Sample("ipv4 link", V4, HTTP4)
    yield Sample("ipv6 link", V6, HTTP6)
    for family, packet in ((2, HTTP4), (24, HTTP6), (28, HTTP6), (30, HTTP6)):
        yield Sample(f"null {family} little", NULL, struct.pack("<I", family) + packet)
        yield Sample(f"loop {family} big", LOOP, struct.pack(">I", family) + packet)
    yield Sample("null, another family", NULL, struct.pack("<I", 16) + HTTP4)
    yield Sample("ppp", PPP, b"\xff\x03\0\x21" + HTTP4)
    yield Sample("ppp short", PPP, b"\x21" + HTTP4)
    yield Sample("ppp lcp", PPP, b"\xff\x03\xc0\x21\1\1\0\4")
    yield Sample("ppp hdlc", PPP_HDLC, b"\xff\x03\0\x57" + HTTP6)
    yield Sample("cisco hdlc", C_HDLC, b"\x0f\0\x08\0" + HTTP4)
    yield Sample("cisco hdlc called ppp", PPP_HDLC, b"\x0f\0\x08\0" + HTTP4)
    yield Sample("cisco hdlc, slarp", C_HDLC, b"\x8f\0\x80\x35" + bytes(18))
    yield Sample("pppoe link", PPPOE_LINK, pppoe(0x21, HTTP4))
    yield Sample("sll", SLL, bytes.fromhex("00000001000602000000000100000800") + HTTP4)
    yield Sample("sll vlan", SLL, bytes.fromhex("00000001000602000000000100008100") + b"\0\x05\x08\0" + HTTP4)
    yield Sample("sll2", SLL2, bytes.fromhex("86dd0000000000020001000602000000000100 00".replace(" ", "")) + HTTP6)
    snap = bytes.fromhex("aaaa03000000")
    yield Sample("802.3 snap", ETHERNET, MACS + struct.pack(">H", 8 + len(HTTP4)) + snap + b"\x08\0" + HTTP4)
    yield Sample("802.3 ip", ETHERNET, MACS + struct.pack(">H", 3 + len(HTTP4)) + b"\x06\x06\x03" + HTTP4)
    yield Sample("spanning tree", ETHERNET, MACS + b"\0\x26\x42\x42\x03" + bytes(40))
    yield Sample("cisco snap", ETHERNET, MACS + b"\0\x26\xaa\xaa\x03\0\0\x0c\x20\0" + bytes(40))
    yield Sample("arp", ETHERNET, ether(0x0806, bytes.fromhex("0001080006040001") + bytes(20)))
    yield Sample("unknown link", 147, HTTP4)
    addresses = bytes(18)
    packet = snap + b"\x08\0" + HTTP4
    radiotap = b"\0\0\x08\0\0\0\0\0"
    for name, control, rest in (("data", b"\x08\x01", b"\x10\0"), ("qos", b"\x88\x01", b"\x10\0\0\0"),
                                ("four addresses", b"\x08\x03", b"\x10\0" + bytes(6)), ("qos with ht control", b"\x88\x81", b"\x10\0\0\0" + bytes(4)),
                                ("encrypted", b"\x08\x41", b"\x10\0"),
                                ("null", b"\x48\x01", b"\x10\0"), ("beacon", b"\x80\0", b"\x10\0"), ("a-msdu", b"\x88\x01", b"\x10\0\x80\0"),
                                ("later part", b"\x08\x01", b"\x11\0")):
        yield Sample(f"wireless {name}", WIRELESS, control + b"\0\0" + addresses + rest + packet)
        yield Sample(f"radiotap {name}", RADIOTAP, radiotap + control + b"\0\0" + addresses + rest + packet)
    padded = bytes.fromhex("00001800" "030000a0" "00000000") + bytes(4) + bytes(4) + b"\x20\0\0\0"
    yield Sample("radiotap padded, two words", RADIOTAP, padded[:8] + b"\0\0\0\0" + padded[12:]
                 + b"\x88\x01\0\0" + addresses + b"\x10\0\0\0" + b"\0\0" + packet)


def _layers() -> Iterator[Sample]:
    four, six = ether(0x0800, HTTP4), ether(0x86DD, HTTP6)
    yield Sample("vlan", ETHERNET, ether(0x8100, b"\x20\x0a\x08\0" + HTTP4))
    yield Sample("vlan udp6", ETHERNET, ether(0x8100, b"\x00\x0b\x86\xdd" + ip6(17, udp())))
    yield Sample("qinq", ETHERNET, ether(0x88A8, b"\0\x64\x81\0\0\xc8\x08\0" + HTTP4))
    yield Sample("three tags", ETHERNET, ether(0x9100, b"\0\1\x81\0\0\2\x81\0\0\3\x86\xdd" + HTTP6))
    yield Sample("vlan with 802.2", ETHERNET, ether(0x8100, b"\0\x05\0\x40\xaa\xaa\x03\0\0\0\x08\0" + HTTP4))
    yield Sample("mpls", ETHERNET, ether(0x8847, label(100, False) + label(200, True) + HTTP4))
    yield Sample("mpls 6", ETHERNET, ether(0x8848, label(2, True) + HTTP6))
    yield Sample("pseudowire with control word", ETHERNET, ether(0x8847, label(300, True) + bytes(4) + four))
    yield Sample("pseudowire", ETHERNET, ether(0x8847, label(301, True) + six))
    yield Sample("pseudowire, 45 in its MAC", ETHERNET, ether(0x8847, label(302, True) + b"\x45\0\0\1" + four[4:]))
    yield Sample("pseudowire, no IP", ETHERNET, ether(0x8847, label(303, True) + bytes(40)))
    yield Sample("pppoe", ETHERNET, ether(0x8864, pppoe(0x21, HTTP4)))
    yield Sample("pppoe 6", ETHERNET, ether(0x8100, b"\0\x07\x88\x64" + pppoe(0x57, HTTP6)))
    yield Sample("pppoe lcp", ETHERNET, ether(0x8864, pppoe(0xC021, b"\x09\0\0\4")))
    yield Sample("pppoe discovery", ETHERNET, ether(0x8863, b"\x11\x09\0\0\0\0"))
    extensions = b"\x2b\0\1\4\0\0\0\0" + b"\x3c\2\4\0" + bytes(20) + b"\x06\0\1\4\0\0\0\0"
    yield Sample("extension headers", ETHERNET, ether(0x86DD, ip6(0, extensions + tcp())))
    yield Sample("many extension headers", ETHERNET, ether(0x86DD, ip6(60, b"\x3c\0\1\4\0\0\0\0" * 20 + tcp())))
    yield Sample("many tags", ETHERNET, ether(0x8100, b"\0\1\x81\0" * 20 + HTTP4))


def _tunnels() -> Iterator[Sample]:
    def around(name: str, protocol: int, payload: bytes) -> Iterator[Sample]:
        yield Sample(name, ETHERNET, ether(0x0800, ip4(protocol, payload, FOUR_OUTER)))
        yield Sample(f"{name}, 6 outside", ETHERNET, ether(0x86DD, ip6(protocol, payload)))

    four = ether(0x0800, HTTP4)
    yield from around("gre", 47, gre(0x0800, HTTP4))
    yield from around("gre, all fields", 47, gre(0x86DD, HTTP6, 0xB000, struct.pack(">III", 0, 4242, 1)))
    yield from around("gre, ethernet", 47, gre(0x6558, four, 0x2000, struct.pack(">I", 99)))
    yield from around("gre, pptp", 47, gre(0x880B, b"\xff\x03\0\x21" + HTTP4, 0x3081, struct.pack(">HHII", 4 + len(HTTP4), 5, 1, 1)))
    yield from around("gre, pptp acknowledgement", 47, gre(0x880B, b"", 0x2081, struct.pack(">HHI", 0, 5, 1)))
    yield from around("gre, erspan 2", 47, gre(0x88BE, bytes(8) + four, 0x1000, bytes(4)))
    yield from around("gre, erspan 1", 47, gre(0x88BE, four))
    yield from around("gre, no IP", 47, gre(0x0806, bytes(28)))
    yield from around("gre, routing field", 47, gre(0x0800, bytes(8) + HTTP4, 0x4000))
    yield from around("gre, mpls", 47, gre(0x8847, label(9, True) + HTTP4))
    yield from around("eoip", 47, gre(0x6400, four, 0x2001, struct.pack(">H", len(four)) + b"\x2a\0"))
    yield from around("4 inside", 4, HTTP4)
    yield from around("6 inside", 41, HTTP6)
    yield from around("mpls inside", 137, label(5, True) + HTTP4)
    yield from around("4 inside, broken", 4, b"\x95" + bytes(30))
    yield from around("4 inside, ports cut", 4, ip4(6, tcp()[:3]))
    yield from around("vxlan", 17, udp(50000, 4789, vxlan(four)))
    yield from around("vxlan, arp", 17, udp(50000, 4789, vxlan(ether(0x0806, bytes(28)))))
    yield from around("vxlan, tagged", 17, udp(50000, 4789, vxlan(ether(0x8100, b"\0\x21\x08\0" + DNS4))))
    yield from around("not vxlan", 17, udp(50000, 4789, b"plain text on the port of another protocol"))
    yield from around("gtp-u", 17, udp(2152, 2152, gtp(HTTP4)))
    yield from around("gtp-u 6, extension", 17, udp(2152, 2152, gtp(HTTP6, 0x34, 255, b"\0\0\0\x85" + b"\1\0\x05\0")))
    yield from around("gtp-u, sequence", 17, udp(2152, 2152, gtp(HTTP4, 0x32, 255, b"\0\1\0\0")))
    yield from around("gtp-u echo", 17, udp(2152, 2152, gtp(b"", 0x32, 1, b"\0\1\0\0")))
    yield from around("gtp-u, endless extension", 17, udp(2152, 2152, gtp(HTTP4, 0x34, 255, b"\0\0\0\x85" + b"\0\0\0\x85")))
    yield from around("gtp-u, fragment inside", 17, udp(2152, 2152, gtp(ip4(17, udp(), fragment=0x2000, identification=55))))
    yield from around("gtp-u, later fragment inside", 17, udp(2152, 2152, gtp(ip4(17, b"the rest", fragment=2, identification=55))))
    nested = HTTP4
    for depth in range(1, 7):
        nested = ip4(4, nested, FOUR_OUTER)
        yield Sample(f"{depth} around one", ETHERNET, ether(0x0800, nested))
    yield Sample("vlan, pppoe, gre, vxlan", ETHERNET, ether(0x8100, b"\0\x09\x88\x64" + pppoe(0x21, ip4(47, gre(0x0800, ip4(
        17, udp(1, 4789, vxlan(ether(0x86DD, ip6(17, udp())))))), FOUR_OUTER))))


def samples() -> list[Sample]:
    """All of them, in an order in which first fragments come before their later ones."""
    return [*_plain(), *_fragments(), *_links(), *_layers(), *_tunnels()]
