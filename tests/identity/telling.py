"""Messages that tell who has an address, made by their RFCs, and what the listener hears of frames."""
from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Any

import numpy as np

from dpi.capture.decode import new_decoder
from dpi.capture.fragments import fragment_table
from dpi.capture.frame import FRAME, PACKET
from dpi.identity.listener import listen
from dpi.identity.sessions import Learning, Sessions
from dpi.jit import records
from tests.capture.decoding import decode
from tests.hostile.samples import ip4, ip6, udp

CLIENT, SERVER = bytes.fromhex("02000000010a"), bytes.fromhex("020000000001")
KEY = (0x0706050403020100, 0x0F0E0D0C0B0A0908)
FRAMES = np.array([3, 5, 7, 11], np.uint64)


def attribute(kind: int, value: bytes) -> bytes:
    return bytes([kind, 2 + len(value)]) + value


def accounting(status: int, *attributes: bytes, code: int = 4) -> bytes:
    """An accounting request; its authenticator is not looked at."""
    body = attribute(40, struct.pack(">I", status)) + b"".join(attributes)
    return struct.pack(">BBH16x", code, 7, 20 + len(body)) + body


def session(status: int, user: str, session: str, address: str = "", nas: str = "192.0.2.12", **more: int) -> bytes:
    """What a NAS says of a session: 1 start, 2 stop, 3 interim."""
    parts = [attribute(1, user.encode()), attribute(44, session.encode()), attribute(4, ip_address(nas).packed)]
    parts += [attribute(8, ip_address(address).packed)] if address else []
    parts += [attribute(55, struct.pack(">I", more["stamp"]))] if "stamp" in more else []
    return accounting(status, *parts)


def option(kind: int, value: bytes) -> bytes:
    return bytes([kind, len(value)]) + value


def leased(kind: int, address: str, mac: bytes = CLIENT, lifetime: int = 120, relay: str = "0.0.0.0", more: bytes = b"") -> bytes:
    """A DHCP message: 5 ACK, 7 RELEASE."""
    reply, raw = kind == 5, ip_address(address).packed
    head = struct.pack(">BBBBIHH", 2 if reply else 1, 1, 6, 0, 0x1234, 0, 0)
    head += (bytes(4) + raw if reply else raw + bytes(4)) + bytes(4) + ip_address(relay).packed + mac + bytes(10) + bytes(192) + b"\x63\x82\x53\x63"
    return head + option(53, bytes([kind])) + (option(51, struct.pack(">I", lifetime)) if reply else b"") + more + b"\xff"


def option6(kind: int, value: bytes) -> bytes:
    return struct.pack(">HH", kind, len(value)) + value


def given(kind: int = 7, duid: bytes = b"\0\3\0\1" + CLIENT, address: str = "", prefix: str = "", lifetime: int = 600) -> bytes:
    """A DHCPv6 message: 7 Reply, 8 Release."""
    body = option6(1, duid)
    if address:
        body += option6(3, struct.pack(">III", 1, 0, 0) + option6(5, ip_address(address).packed + struct.pack(">II", lifetime, lifetime)))
    if prefix:
        network, _, length = prefix.partition("/")
        body += option6(25, struct.pack(">III", 1, 0, 0) + option6(26, struct.pack(">IIB", lifetime, lifetime, int(length)) + ip_address(network).packed))
    return bytes([kind, 1, 2, 3]) + body


def relayed(message: bytes, circuit: bytes = b"", remote: bytes = b"") -> bytes:
    """A relay-reply around a message."""
    return bytes([13, 0]) + bytes(32) + (option6(18, circuit) if circuit else b"") + (option6(37, bytes(4) + remote) if remote else b"") + option6(9, message)


def frame(kind: int, payload: bytes, source: bytes = CLIENT, target: bytes = SERVER, vlans: Sequence[int] = ()) -> bytes:
    """An Ethernet frame, with tags."""
    tags = b"".join(struct.pack(">HH", 0x8100, vlan) for vlan in vlans)
    return target + source + tags + struct.pack(">H", kind) + payload


def datagram(payload: bytes, port: int, source: str = "192.0.2.12", target: str = "192.0.2.1", vlans: Sequence[int] = (), **ends: bytes) -> bytes:
    """A UDP datagram to a port."""
    pair = ip_address(source).packed, ip_address(target).packed
    body = udp(40000, port, payload)
    return frame(0x0800, ip4(17, body, pair), vlans=vlans, **ends) if len(pair[0]) == 4 else frame(0x86DD, ip6(17, body, pair), vlans=vlans, **ends)


def discovery(code: int, number: int = 0, tags: bytes = b"", up: bool = True, vlans: Sequence[int] = ()) -> bytes:
    """A PPPoE frame of discovery."""
    return frame(0x8863, struct.pack(">BBHH", 0x11, code, number, len(tags)) + tags, *((CLIENT, SERVER) if up else (SERVER, CLIENT)), vlans=vlans)


def ppp(protocol: int, packet: bytes, number: int = 17, up: bool = True, vlans: Sequence[int] = ()) -> bytes:
    """A PPP packet in a PPPoE session."""
    body = struct.pack(">H", protocol) + packet
    return frame(0x8864, struct.pack(">BBHH", 0x11, 0, number, len(body)) + body, *((CLIENT, SERVER) if up else (SERVER, CLIENT)), vlans=vlans)


def control(code: int, body: bytes = b"") -> bytes:
    """A packet of LCP, PAP, CHAP or an NCP."""
    return struct.pack(">BBH", code, 1, 4 + len(body)) + body


def access_line(circuit: bytes, remote: bytes) -> bytes:
    """The vendor tag in which an access node names the line (RFC 4679, TR-101)."""
    body = struct.pack(">I", 3561) + option(1, circuit) + option(2, remote)
    return struct.pack(">HH", 0x0105, len(body)) + body


class Ear:
    """A tap without an intake: frames in, events out."""

    def __init__(self, learning: Learning | None = None) -> None:
        self.sessions = Sessions(learning or Learning(kinds=7, most=2000), KEY)
        self.tap = self.sessions.tap()
        self._decoder, self._fragments = new_decoder(), fragment_table(64)
        self.number = 0

    def hear(self, frames: Iterable[bytes], times: Iterable[int] | None = None) -> Any:
        """EVENT[] of Ethernet frames, a second apart unless times, us, say otherwise."""
        given_frames = list(frames)
        moments = list(times) if times is not None else [(self.number + k + 1) * 1_000_000 for k in range(len(given_frames))]
        for data, time in zip(given_frames, moments, strict=True):
            self.number += 1
            self.one(np.frombuffer(data or b"\0", np.uint8)[:len(data)], time)
        events = np.array(self.tap.events[:int(self.tap.row.heard)]).view(np.ndarray)
        self.tap.row.heard = 0
        return events

    def one(self, data: Any, time: int, link: int = 1, wire: int = 0) -> int:
        """Decode one frame and show it to the listener. How many events wait."""
        rows, packets = records(1, FRAME), records(1, PACKET)
        rows[0].captured, rows[0].wire, rows[0].link, rows[0].number, rows[0].time = data.size, max(wire, data.size), link, self.number, time
        decode(data, rows, 0, 1, packets, self._fragments, FRAMES, self._decoder)
        return listen(data, packets, 1, self.tap.listener)
