"""The slow twin of the decoder: the same answers by recursion over bytes, written from the standards and not from the kernels."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

from dpi.capture.frame import MAX_LAYERS, MAX_TUNNELS
from tests.oracle.conversation import Around, Conversation, Refused


class Twin(Conversation):
    """A decoder: `packet` gives the PACKET fields of a frame as a dict, or {'status': word}."""

    def packet(self, frame: bytes, wire: int, link: int, time: int = 0) -> dict[str, Any]:
        self.frame, self.time = frame, time
        self.wire = max(wire, len(frame))
        try:
            return {"status": "decoded", **self.link(link, Around(end=self.wire))}
        except Refused as refused:
            return {"status": refused.args[0]}

    # ---- links
    def link(self, link: int, around: Around) -> dict[str, Any]:
        cut = "truncated_link"
        if link == 1:
            return self.layer("ethernet", 0, around)
        if link in (12, 14, 101):
            return self.layer("ip", 0, around)
        if link in (228, 229):
            return self.layer(0x0800 if link == 228 else 0x86DD, 0, around)
        if link == 51:
            return self.layer(0x8864, 0, around)
        if link in (113, 276):
            header = 16 if link == 113 else 20
            self.number(0, header, cut)
            protocol = self.number(14 if link == 113 else 0, 2, cut)
            if protocol in (3, 4):
                return self.layer("ethernet" if protocol == 3 else "llc", header, around)
            if protocol < 1536:
                raise Refused("not_ip")
            return self.layer(protocol, header, around)
        if link in (0, 108):
            self.number(0, 4, cut)
            if not {int.from_bytes(self.frame[:4], "big"), int.from_bytes(self.frame[:4], "little")} & {2, 10, 23, 24, 28, 30}:
                raise Refused("not_ip")
            return self.layer("ip", 4, around)
        if link in (9, 50, 104):
            self.number(0, 4, cut)
            if self.frame[0] in (0x0F, 0x8F) or (link == 104 and self.frame[:2] != b"\xff\x03"):
                return self.layer(self.number(2, 2, cut), 4, around)
            return self.layer("ppp", 0, around)
        if link == 105:
            return self.wireless(0, False, around)
        if link == 127:
            self.number(0, 8, cut)
            length = int.from_bytes(self.frame[2:4], "little")
            if length < 8 or length > len(self.frame):
                raise Refused(cut)
            at = 8
            while at <= length and self.frame[at - 1] & 0x80 and at < 8 + 16 * 4:
                at += 4
            padded = False
            if self.frame[4] & 2:
                if self.frame[4] & 1:
                    at = (at + 7) // 8 * 8 + 8
                padded = at < length and bool(self.frame[at] & 0x20)
            return self.wireless(length, padded, around)
        raise Refused("unknown_link")

    def wireless(self, at: int, padded: bool, around: Around) -> dict[str, Any]:
        cut = "truncated_link"
        self.number(at, 2, cut)
        control, more = self.frame[at], self.frame[at + 1]
        if control & 3 or (control >> 2) & 3 != 2 or control & 0x40 or more & 0x40:
            raise Refused("not_data")
        length = 24 + (6 if more & 3 == 3 else 0)
        if control & 0x80:
            if self.number(at + length, 2, cut) & 0x8000:
                raise Refused("not_data")
            length += 6 if more & 0x80 else 2
        self.number(at, length, cut)
        if self.frame[at + 22] & 15:
            raise Refused("not_data")
        return self.layer("llc", at + (-(-length // 4) * 4 if padded else length), around)

    # ---- layers
    def layer(self, kind: Any, at: int, around: Around) -> dict[str, Any]:
        cut = "truncated_link"
        around = replace(around, layers=around.layers + 1)
        if around.layers > MAX_LAYERS:
            raise Refused("too_deep")
        if kind == "ip":
            kind = 0x86DD if self.peek(at, 1) >> 4 == 6 else 0x0800
        if kind == "ethernet":
            return self.layer(self.ethertype(self.number(at, 14, cut) & 0xFFFF), at + 14, around)
        if kind == "llc":
            self.number(at, 3, cut)
            if self.frame[at:at + 2] == b"\x06\x06":
                return self.layer(0x0800, at + 3, around)
            if self.frame[at:at + 2] != b"\xaa\xaa":
                raise Refused("not_ip")
            self.number(at, 8, cut)
            kind = self.number(at + 6, 2, cut)
            if self.frame[at + 3:at + 6] not in (b"\0\0\0", b"\0\0\xf8") or kind < 1536:
                raise Refused("not_ip")
            return self.layer(kind, at + 8, around)
        if kind == "ppp":
            if self.peek(at, 2) == 0xFF03:
                at += 2
            protocol, at = self.number(at, 1, cut), at + 1
            if protocol % 2 == 0:
                protocol, at = protocol << 8 | self.number(at, 1, cut), at + 1
            known = {0x21: 0x0800, 0x57: 0x86DD, 0x281: 0x8847, 0x283: 0x8848}
            if protocol not in known:
                raise Refused("not_ip")
            return self.layer(known[protocol], at, around)
        if kind in (0x8100, 0x88A8, 0x9100, 0x9200):
            word = self.number(at, 4, cut)
            around = replace(around, tags=(*around.tags, word >> 16 & 0xFFF), tunnels=around.tunnels | {"vlan"})
            return self.layer(self.ethertype(word & 0xFFFF), at + 4, around)
        if kind in (0x8847, 0x8848):
            word = self.number(at, 4, cut)
            around = replace(around, tunnels=around.tunnels | {"mpls"}, tunnel_id=word >> 12)
            if not word & 0x100:
                return self.layer(0x8847, at + 4, around)
            return self.layer(*self.below_mpls(at + 4), around)
        if kind == 0x8864:
            word = self.number(at, 6, cut)
            if word >> 32 != 0x1100:
                raise Refused("not_ip")
            return self.layer("ppp", at + 6, replace(around, tunnels=around.tunnels | {"pppoe"}, tunnel_id=word >> 16 & 0xFFFF))
        if kind == 0x0800:
            return self.ip(self.v4(at, around), around)
        if kind == 0x86DD:
            return self.ip(self.v6(at, around), around)
        raise Refused("not_ip")

    @staticmethod
    def ethertype(number: int) -> Any:
        return "llc" if number < 1536 else number

    def below_mpls(self, at: int) -> tuple[Any, int]:
        version = self.number(at, 1, "truncated_link") >> 4
        if version in (4, 6):
            return ("ethernet" if self.framed(at) and not self.packet_like(at) else "ip"), at
        if version == 0 and self.framed(at + 4):
            return "ethernet", at + 4
        if self.framed(at):
            return "ethernet", at
        raise Refused("not_ip")

    def framed(self, at: int) -> bool:
        if self.peek(at, 15) < 0:
            return False
        kind = self.peek(at + 12, 2)
        if kind in (0x8100, 0x88A8):
            at += 4
            if self.peek(at, 15) < 0:
                return False
            kind = self.peek(at + 12, 2)
        first = self.peek(at + 14, 1)
        return (kind == 0x0800 and 0x45 <= first <= 0x4F) or (kind == 0x86DD and first >> 4 == 6)

    def packet_like(self, at: int) -> bool:
        if self.frame[at] >> 4 == 6:
            return self.peek(at, 40) >= 0 and self.peek(at + 4, 2) <= len(self.frame) + 65535
        return self.peek(at, 20) >= 0 and self.frame[at] & 15 >= 5 and self.peek(at + 2, 2) >= 20 and self.frame[at + 8] != 0

    # ---- IP
    @staticmethod
    def fit(end: int, around: Around) -> tuple[int, bool]:
        """(end, cut) of a packet that says it ends at `end`."""
        if end <= around.end:
            return end, False
        if not around.loose:
            raise Refused("bad_ip")
        return around.end, True

    def v4(self, at: int, around: Around) -> dict[str, Any]:
        cut = "truncated_ip"
        self.number(at, 20, cut)
        header = (self.frame[at] & 15) * 4
        total = self.number(at + 2, 2, cut) or around.end - at
        if self.frame[at] >> 4 != 4 or header < 20 or total < header or at + header > around.end:
            raise Refused("bad_ip")
        end, cut_short = self.fit(at + total, around)
        self.number(at, header, cut)
        word = self.number(at + 6, 2, cut)
        return {"version": 4, "ip_at": at, "l4_at": at + header, "end": end, "cut": cut_short, "ip_protocol": self.frame[at + 9],
                "fragment": 2 if word & 0x1FFF else 1 if word & 0x2000 else 0, "fragment_id": self.number(at + 4, 2, cut),
                "fragment_protocol": self.frame[at + 9], "ttl": self.frame[at + 8], "dscp": self.frame[at + 1] >> 2, "extensions": 0,
                "source": self.frame[at + 12:at + 16], "target": self.frame[at + 16:at + 20]}

    def v6(self, at: int, around: Around) -> dict[str, Any]:
        cut = "truncated_ip"
        self.number(at, 40, cut)
        if self.frame[at] >> 4 != 6:
            raise Refused("bad_ip")
        length, following = self.number(at + 4, 2, cut), self.frame[at + 6]
        if not length and following != 59:
            length = around.end - at - 40
        if length < 0 or at + 40 > around.end:
            raise Refused("bad_ip")
        here = at + 40
        end, cut_short = self.fit(here + length, around)
        found: dict[str, Any] = {"fragment": 0, "fragment_id": 0, "fragment_protocol": 0}
        steps = 0
        while following in (0, 43, 44, 60) and found["fragment"] != 2:
            steps += 1
            if steps > MAX_LAYERS:
                raise Refused("too_deep")
            if here + 8 > end:
                raise Refused("bad_ip")
            self.number(here, 8, cut)
            size = 8
            if following == 44:
                word = self.number(here + 2, 2, cut)
                if word & 0xFFF8 or word & 1:
                    found = {"fragment": 2 if word & 0xFFF8 else 1, "fragment_id": self.number(here + 4, 4, cut),
                             "fragment_protocol": self.frame[here]}
            else:
                size = 8 + 8 * self.frame[here + 1]
            following = self.frame[here]
            here += size
            if here > end:
                raise Refused("bad_ip")
        return {"version": 6, "ip_at": at, "l4_at": here, "end": end, "cut": cut_short, "ip_protocol": following, "ttl": self.frame[at + 7],
                "dscp": (self.number(at, 2, cut) >> 4 & 0xFF) >> 2, "extensions": steps, **found,
                "source": self.frame[at + 8:at + 24], "target": self.frame[at + 24:at + 40]}

    def ip(self, header: dict[str, Any], around: Around) -> dict[str, Any]:
        around = replace(around, layers=around.layers + header["extensions"])
        inner = self.inner(header) if header["fragment"] == 0 else None
        if inner:
            kind, at, name, number = inner
            if len(around.outers) + 1 > MAX_TUNNELS:
                raise Refused("too_deep")
            try:
                return self.layer(kind, at, replace(around, tunnels=around.tunnels | {name}, tunnel_id=number,
                                                    outers=(*around.outers, header["ip_at"]), end=header["end"], loose=header["cut"]))
            except Refused as refused:
                if refused.args[0] == "too_deep":
                    raise
        return self.settle(header, around)

    def inner(self, header: dict[str, Any]) -> tuple[Any, int, str, int] | None:
        """(what follows, where, tunnel, its id) of a tunnel."""
        at, protocol = header["l4_at"], header["ip_protocol"]
        if protocol == 17 and self.peek(at, 16) >= 0 and at + 16 <= header["end"]:
            if self.peek(at + 2, 2) == 4789:
                if self.frame[at + 8] in (0x08, 0x88) and self.frame[at + 15] == 0:
                    return "ethernet", at + 16, "vxlan", self.peek(at + 12, 3)
            elif 2152 in (self.peek(at, 2), self.peek(at + 2, 2)):
                return self.gtp(at + 8)
        if protocol in (4, 41):
            name = "6in4" if protocol == 41 and header["version"] == 4 else "ipip"
            return (0x0800 if protocol == 4 else 0x86DD), at, name, 0
        if protocol == 137:
            return 0x8847, at, "ipip", 0
        if protocol == 47:
            return self.gre(at)
        return None

    def gtp(self, at: int) -> tuple[Any, int, str, int] | None:
        flags = self.frame[at]
        if flags >> 4 != 3 or self.frame[at + 1] != 255:
            return None
        teid = self.peek(at + 4, 4)
        at += 8
        if flags & 7:
            if self.peek(at, 4) < 0:
                return None
            following = self.frame[at + 3] if flags & 4 else 0
            at += 4
            steps = 0
            while following:
                steps += 1
                size = 4 * self.peek(at, 1)
                if size <= 0 or steps > MAX_LAYERS or self.peek(at, size) < 0:
                    return None
                at += size
                following = self.frame[at - 1]
        return "ip", at, "gtp-u", teid

    def gre(self, at: int) -> tuple[Any, int, str, int] | None:
        if self.peek(at, 8) < 0:
            return None
        flags, protocol = self.peek(at, 2), self.peek(at + 2, 2)
        if flags & 7 == 1:
            if (flags, protocol) == (0x2001, 0x6400):
                return "ethernet", at + 8, "eoip", int.from_bytes(self.frame[at + 6:at + 8], "little")
            if protocol == 0x880B and flags & 0x2000 and flags & 0x1000:
                return "ppp", at + (16 if flags & 0x80 else 12), "gre", self.peek(at + 6, 2)
            return None
        if flags & 7 or flags & 0x4000:
            return None
        size = 8 if flags & 0x8000 else 4
        key = 0
        if flags & 0x2000:
            key = self.peek(at + size, 4)
            if key < 0:
                return None
            size += 4
        size += 4 if flags & 0x1000 else 0
        kinds: dict[int, tuple[Any, int]] = {0x6558: ("ethernet", 0), 0x88BE: ("ethernet", 8 if flags & 0x1000 else 0), 0x880B: ("ppp", 0)}
        kind, more = kinds.get(protocol, (protocol, 0))
        return kind, at + size + more, "gre", key
