"""The slow twin of what the decoder does with the innermost IP header: transport, fragments, key."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dpi.capture.frame import TUNNELS

MASK = (1 << 64) - 1


class Refused(Exception):
    """Carries the word of REFUSALS."""


@dataclass(frozen=True)
class Around:
    """What has been passed on the way down."""
    layers: int = 0
    tags: tuple[int, ...] = ()
    tunnels: frozenset[str] = frozenset()
    tunnel_id: int = 0
    outers: tuple[int, ...] = ()        # offsets of the IP headers passed
    end: int = 0
    loose: bool = True                  # a packet may say it is longer than `end`


@dataclass
class Conversation:
    """Settles one packet of `frame`; remembers the ports of first fragments."""
    seed: list[int]
    key_vlan: bool = True
    firsts: dict[Any, Any] = field(default_factory=dict)
    frame: bytes = b""
    time: int = 0

    # ---- reading
    def number(self, at: int, size: int, reason: str) -> int:
        if at + size > len(self.frame):
            raise Refused(reason)
        return int.from_bytes(self.frame[at:at + size], "big")

    def peek(self, at: int, size: int) -> int:
        """A number, or -1 where it was not captured."""
        return int.from_bytes(self.frame[at:at + size], "big") if at + size <= len(self.frame) else -1

    # ---- transport
    def settle(self, header: dict[str, Any], around: Around) -> dict[str, Any]:
        end, at, protocol = header["end"], header["l4_at"], header["ip_protocol"]
        found: dict[str, Any] = dict(source_port=0, target_port=0, seq=0, ack=0, tcp_flags=0, window=0, mss=0, icmp_type=0, icmp_code=0, mangled=0)
        vlan = around.tags[0] if around.tags else 0
        key_vlan = vlan if self.key_vlan else 0
        datagram = (header["version"], header["source"], header["target"], key_vlan, header["fragment_protocol"], header["fragment_id"])
        if header["fragment"] == 2:
            start = at
            known = self.firsts.get(datagram)
            if known and abs(self.time - known[0]) <= 30_000_000:
                _, found["source_port"], found["target_port"], protocol = known
        else:
            start, end = self.transport(protocol, at, end, header["fragment"] == 0, found)
            if header["fragment"] == 1:
                self.firsts[datagram] = (self.time, found["source_port"], found["target_port"], protocol)
        result = {name: header[name] for name in ("version", "ip_at", "l4_at", "ttl", "dscp", "fragment")}
        if header["fragment"]:
            result["fragment_id"] = header["fragment_id"]
        result.update(found, ip_protocol=protocol, ip_bytes=header["end"] - header["ip_at"], payload_at=start, payload_bytes=max(0, end - start),
                      payload_captured=max(0, min(end, len(self.frame)) - start), vlan=vlan,
                      inner_vlan=around.tags[1] if len(around.tags) > 1 else 0, tunnel_id=around.tunnel_id,
                      tunnel=sum(1 << TUNNELS.index(name) for name in around.tunnels))
        if around.outers:
            result["outer_at"] = around.outers[0]
        key_inner = result["inner_vlan"] if self.key_vlan else 0
        result.update(self.key(header, found["source_port"], found["target_port"], key_vlan, protocol, key_inner))
        return result

    def transport(self, protocol: int, at: int, end: int, whole: bool, found: dict[str, Any]) -> tuple[int, int]:
        """(payload offset, payload end)."""
        def need(size: int) -> None:
            if at + size > end:
                raise Refused("bad_transport")
            self.number(at, size, "truncated_transport")

        if protocol in (1, 58):
            need(2)
            found["icmp_type"], found["icmp_code"] = self.frame[at], self.frame[at + 1]
            return min(at + 8, end), end
        sizes = {6: 20, 17: 8, 132: 12, 33: 12, 136: 8}
        if protocol not in sizes:
            return at, end
        need(4)
        found["source_port"], found["target_port"] = self.peek(at, 2), self.peek(at + 2, 2)
        size = sizes[protocol]
        if at + size > min(end, len(self.frame)):
            found["mangled"] = 1
            return end, end
        if protocol in (6, 33):
            size = (self.frame[at + 12] >> 4 if protocol == 6 else self.frame[at + 4]) * 4
            if size < sizes[protocol] or (whole and at + size > end):
                found["mangled"] = 1
                return end, end
        if protocol == 17 and whole and (length := self.peek(at + 4, 2)):
            if 8 <= length <= end - at:
                end = at + length
            else:
                found["mangled"] = 1
        if protocol == 6:
            found.update(seq=self.peek(at + 4, 4), ack=self.peek(at + 8, 4), tcp_flags=self.frame[at + 13], window=self.peek(at + 14, 2))
            if found["tcp_flags"] & 2:
                found["mss"] = self.mss(self.frame[at + 20:min(at + size, end)])
        return min(at + size, end) if protocol not in (6, 17) else at + size, end

    @staticmethod
    def mss(options: bytes) -> int:
        while len(options) >= 4 and options[0]:
            if options[0] == 1:
                options = options[1:]
            elif options[0] == 2:
                return int.from_bytes(options[2:4], "big") if options[1] == 4 else 0
            elif options[1] < 2:
                return 0
            else:
                options = options[options[1]:]
        return 0

    # ---- key
    def key(self, header: dict[str, Any], source_port: int, target_port: int, vlan: int, protocol: int, inner: int = 0) -> dict[str, int]:
        source, target = (header["source"], source_port), (header["target"], target_port)
        (low, low_port), (high, high_port) = sorted((source, target))
        rest = low_port << 48 | high_port << 32 | vlan << 16 | protocol
        s = self.seed
        if header["version"] == 4:
            key0, key1 = int.from_bytes(low + high, "big"), rest
        else:
            a, b, c, d = (int.from_bytes((low + high)[i:i + 8], "big") for i in (0, 8, 16, 24))
            key0 = fold(fold(a ^ s[0], b ^ s[1]) ^ rest, fold(c ^ s[2], d ^ s[3]) ^ s[1])
            key1 = fold(fold(a ^ s[2], b ^ s[0]) ^ s[3], fold(c ^ s[3], d ^ s[1]) ^ rest ^ s[2]) & ~0xFFFF | 0x8000 | protocol
        if inner:
            one, two = fold(key0 ^ s[0], key1 ^ s[1]), fold(key0 ^ s[2], key1 ^ s[3])
            flags = protocol | (0x2000 if header["version"] == 4 else 0x8000)
            key0, key1 = fold(one ^ inner, two ^ s[3]), fold(two ^ inner, one ^ s[2]) & ~0xFFFF | flags
        return {"key0": key0, "key1": key1, "hash": fold(fold(key0 ^ s[0], key1 ^ s[1]) ^ s[2], s[3]), "low": int(source <= target)}


def fold(a: int, b: int) -> int:
    """High half of the product xor its low half."""
    return (a * b) >> 64 ^ (a * b) & MASK
