"""The slow twin of what is heard of sessions and of the table of leases: dictionaries and lists, nothing bounded, names as they were sent."""
from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import Any

MASK = (1 << 64) - 1
USER, CIRCUIT, MAC, SESSION, NAS = range(1, 6)
NEVER = 1 << 62
HOLD = 300_000_000


def siphash(data: bytes, kind: int, key: tuple[int, int]) -> int:
    """SipHash-2-4, as its paper has it."""
    k0, k1 = key[0], key[1] ^ kind
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rounds(count: int) -> None:
        def left(x: int, by: int) -> int:
            return (x << by | x >> 64 - by) & MASK
        for _ in range(count):
            v[0] = v[0] + v[1] & MASK
            v[1] = left(v[1], 13) ^ v[0]
            v[0] = left(v[0], 32)
            v[2] = v[2] + v[3] & MASK
            v[3] = left(v[3], 16) ^ v[2]
            v[0] = v[0] + v[3] & MASK
            v[3] = left(v[3], 21) ^ v[0]
            v[2] = v[2] + v[1] & MASK
            v[1] = left(v[1], 17) ^ v[2]
            v[2] = left(v[2], 32)
    padded = data + bytes(-(len(data) + 1) % 8) + bytes([len(data) & 255])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at:at + 8], "little")
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 255
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3] or 1


@dataclass(frozen=True)
class Event:
    """One event; names are bytes, '' not said. address: (number of 128 bits, prefix length), None: all of the session."""
    action: str
    address: tuple[int, int] | None = None
    which: int = 0
    anywhere: bool = False
    user: bytes = b""
    circuit: bytes = b""
    remote: bytes = b""
    mac: bytes = b""
    lifetime: int = 0
    stamp: int = 0


class Bad(Exception):
    """Against the grammar."""


def v4(raw: bytes) -> tuple[int, int]:
    return int.from_bytes(raw, "big") | 0xFFFF << 32, 128


def v6(raw: bytes, length: int = 128) -> tuple[int, int]:
    number = int.from_bytes(raw.ljust(16, b"\0"), "big")
    return number >> 128 - length << 128 - length if length else 0, length


def inner(raw: bytes, header: int = 2) -> dict[int, bytes]:
    """Sub-options; `header` octets are in the length of each."""
    found: dict[int, bytes] = {}
    while len(raw) >= 2:
        size = raw[1] if header else raw[1] + 2
        if size < 2 or size > len(raw):
            raise Bad
        if size > 2:
            found[raw[0]] = raw[2:size]
        raw = raw[size:]
    return found


def station(raw: bytes) -> bytes:
    """The MAC address in a Calling-Station-Id."""
    digits = ""
    for place, one in enumerate(raw[:17]):
        letter = chr(one)
        if letter in "0123456789abcdefABCDEF":
            digits += letter
            if len(digits) == 12:
                return bytes.fromhex(digits)
        elif letter not in "-:." or not place:
            return b""
    return b""


def radius(data: bytes) -> list[Event]:
    """The events of an accounting request."""
    if len(data) < 20:
        raise Bad
    if data[0] != 4:
        return []
    size = int.from_bytes(data[2:4], "big")
    if not 20 <= size <= min(len(data), 4096):
        raise Bad
    rest, attributes = data[20:size], []
    while rest:
        if len(rest) < 2 or not 2 <= rest[1] <= len(rest):
            raise Bad
        attributes.append((rest[0], rest[2:rest[1]]))
        rest = rest[rest[1]:]
    last = {kind: value for kind, value in attributes if value}
    line: dict[int, bytes] = {}
    for kind, value in attributes:
        if kind == 26 and len(value) >= 4 and int.from_bytes(value[:4], "big") == 3561:
            line |= inner(value[4:])
    whole = {kind: int.from_bytes(value, "big") for kind, value in attributes if kind in (40, 55) and len(value) == 4}
    status = whole.get(40, 0)
    if status in (7, 8):
        return [Event("restart", anywhere=True)]
    if status not in (1, 2, 3):
        return []
    if 44 not in last:
        raise Bad
    told = Event("", anywhere=True, user=last.get(1, b""), circuit=line.get(1, last.get(87, b"")), remote=line.get(2, b""),
                 mac=station(last.get(31, b"")), stamp=whole.get(55, 0))
    if status == 2:
        return [replace(told, action="stop")]
    events = []
    for kind, value in attributes:
        address: tuple[int, int] | None = None
        which = 0
        if kind == 8 and len(value) == 4 and value not in (b"\0\0\0\0", b"\xff\xff\xff\xfe", b"\xff\xff\xff\xff"):
            address = v4(value)
        elif kind in (97, 123) and 2 <= len(value) <= 18:
            if value[1] > 128 or not value[1] or (value[1] + 7) // 8 > len(value) - 2:
                raise Bad
            address, which = v6(value[2:], value[1]), 1 if kind == 97 else 2
        elif kind == 168 and len(value) == 16:
            address, which = v6(value), 3
        if address is not None:
            events.append(replace(told, action="start" if status == 1 else "update", address=address, which=which))
    return events


def seconds(raw: bytes) -> int:
    number = int.from_bytes(raw, "big")
    return 1 << 60 if number == 0xFFFFFFFF else number * 1_000_000


def dhcp(data: bytes) -> list[Event]:
    """The events of a DHCPv4 message."""
    if len(data) < 241 or data[236:240] != b"\x63\x82\x53\x63" or data[2] > 16:
        raise Bad
    options: dict[int, bytes] = {}
    agent: dict[int, bytes] = {}
    user = client = b""
    at = 240
    while at < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        if at + 2 > len(data) or at + 2 + data[at + 1] > len(data):
            raise Bad
        value = data[at + 2:at + 2 + data[at + 1]]
        wanted = {53: 1, 51: 4, 50: 4}
        if wanted.get(data[at], len(value)) == len(value):
            options[data[at]] = value
        if data[at] == 82:
            agent |= inner(value, 0)
        if data[at] == 61 and len(value) > 1:
            client = value
            if value[0] == 0:
                user = value[1:]
        at += 2 + len(value)
    mac = data[28:34] if data[1] == 1 and data[2] == 6 else b""
    if not mac and not client:
        return []
    kind, reply = options.get(53, b"\0")[0], data[0] == 2
    told = Event("", anywhere=data[24:28] != bytes(4), user=user, circuit=agent.get(1, b""), remote=agent.get(2, b""), mac=mac)
    if kind == 5 and reply and seconds(options.get(51, b"\0")) > 0:
        told, where = replace(told, action="start", lifetime=seconds(options[51])), data[16:20]
    elif kind == 7 and not reply:
        told, where = replace(told, action="stop"), data[12:16]
    elif kind == 4 and not reply and 50 in options:
        told, where = replace(told, action="stop"), options[50]
    else:
        return []
    return [replace(told, address=v4(where))] if where != bytes(4) else []


def options6(raw: bytes, whole: bool = True) -> list[tuple[int, bytes]]:
    """DHCPv6 options."""
    found = []
    while len(raw) >= 4:
        kind, size = struct.unpack(">HH", raw[:4])
        if 4 + size > len(raw):
            raise Bad
        found.append((kind, raw[4:4 + size]))
        raw = raw[4 + size:]
    if raw and whole:
        raise Bad
    return found


def dhcpv6(data: bytes) -> list[Event]:
    """The events of a DHCPv6 message, also within eight relays."""
    told = Event("")
    for _ in range(8):
        if len(data) < 4:
            raise Bad
        if data[0] not in (12, 13):
            break
        inside = b""
        here = options6(data[34:]) if len(data) >= 34 else []
        for kind, value in here:
            if kind == 9:
                inside = value
            elif kind == 18 and value:
                told = replace(told, circuit=value)
            elif kind == 37 and len(value) > 4:
                told = replace(told, remote=value[4:])
        if not any(kind == 9 for kind, _ in here):
            raise Bad
        told, data = replace(told, anywhere=True), inside
    if len(data) < 4:
        raise Bad
    if data[0] not in (7, 8, 9):
        return []
    client = b""
    here = options6(data[4:])
    for kind, value in here:
        if kind == 1 and len(value) > 2:
            client = value
            if value[:4] == b"\0\1\0\1" and len(value) == 14:
                told = replace(told, mac=value[8:])
            elif value[:4] == b"\0\3\0\1" and len(value) == 10:
                told = replace(told, mac=value[4:])
    events = []
    if not client:
        return []
    for kind, value in here:
        if kind not in (3, 25) or len(value) < 12:
            continue
        for what, part in options6(value[12:], False):
            lifetime = -1
            if what == 5 and kind == 3 and len(part) >= 24:
                lifetime, address, which = seconds(part[20:24]), v6(part[:16]), 3
            elif what == 26 and kind == 25 and len(part) >= 25:
                if not 1 <= part[8] <= 128:
                    raise Bad
                lifetime, address, which = seconds(part[4:8]), v6(part[9:25], part[8]), 2
            if lifetime >= 0:
                events.append(replace(told, action="start" if data[0] == 7 and lifetime else "stop", address=address, which=which, lifetime=lifetime))
    return events


@dataclass
class Lease:
    """An interval of an address."""
    address: tuple[int, int]
    scope: int
    source: int
    which: int
    begin: int
    expires: int
    session: int
    user: int
    mac: int
    number: int
    stamp: int
    nas: int
    end: int = NEVER
    stopped: bool = False

    def open(self, time: int) -> bool:
        return self.end == NEVER and self.expires > time


@dataclass
class Leases:
    """Takes events as the kernels have them (records of EVENT), and says who has what."""
    lasting: int
    known: list[Lease] = field(default_factory=list)
    stale: int = 0

    def end(self, lease: Lease, time: int, stopped: bool = False) -> None:
        if lease.end == NEVER:
            late = lease.expires <= time
            lease.end, lease.stopped = max(lease.expires if late else time, lease.begin), stopped and not late

    def same(self, lease: Lease, e: Any) -> bool:
        if lease.user and e["user"] and lease.user != e["user"]:
            return False
        return bool(lease.session == e["session"] or (e["source"] == 2 and lease.mac == e["mac"] != 0))

    def learn(self, e: Any) -> None:
        """START, UPDATE, STOP or RESTART of RADIUS and DHCP."""
        time, scope = int(e["time"]), int(e["scope"])
        address = (int(e["high"]) << 64 | int(e["low"]), int(e["length"]))
        if e["action"] == 4:
            for one in self.known:
                if one.source == 1 and one.nas == e["nas"]:
                    self.end(one, time)
        elif e["action"] == 3:
            for one in self.known:
                if one.source == e["source"] and (one.session == e["session"] if address[1] == 255 else
                                                  one.address == address and one.scope in (scope, 0xFFFFFFFF) and self.same(one, e)):
                    self.end(one, time, True)
        else:
            self.start(e, time, scope, address)

    def start(self, e: Any, time: int, scope: int, address: tuple[int, int]) -> None:
        expires = min(time + (int(e["lifetime"]) or self.lasting), 1 << 60)
        here = [one for one in self.known if one.address == address and one.source == e["source"]]
        if e["source"] == 2 and scope != 0xFFFFFFFF:
            for one in here:
                if one.scope == 0xFFFFFFFF and one.open(time) and self.same(one, e):
                    return self.again(one, e, expires)
        mine = [one for one in here if one.scope == scope and one.session == e["session"]]
        if e["source"] == 1 and not any(one.open(time) for one in mine) and any(one.stopped and time - one.end < HOLD for one in mine):
            self.stale += 1
            return None
        for one in reversed([one for one in here if one.scope == scope]):
            if one.open(time):
                if self.same(one, e):
                    self.again(one, e, expires)
                    return self.move(e, time, scope, address)
                if e["stamp"] and one.stamp and e["stamp"] < one.stamp:
                    self.stale += 1
                    return None
                self.end(one, time)
            elif one.end == NEVER:
                self.end(one, time)
        self.move(e, time, scope, address)
        self.known.append(Lease(address, scope, int(e["source"]), int(e["which"]), time, expires, int(e["session"]), int(e["user"]), int(e["mac"]),
                                int(e["number"]), int(e["stamp"]), int(e["nas"])))
        return None

    def again(self, one: Lease, e: Any, expires: int) -> None:
        one.expires, one.number, one.stamp = expires, int(e["number"]), max(one.stamp, int(e["stamp"]))
        one.user, one.mac = one.user or int(e["user"]), one.mac or int(e["mac"])

    def move(self, e: Any, time: int, scope: int, address: tuple[int, int]) -> None:
        for one in self.known:
            if (one.session, one.source, one.which, one.scope) == (e["session"], e["source"], e["which"], scope) and one.number != e["number"] \
                    and one.address != address:
                self.end(one, time)

    def at(self, address: int, scope: int, time: int) -> list[Lease]:
        """Those that cover an address at a time, in the order in which they are asked."""
        found = [(-one.address[1], one.scope != scope, -place, one) for place, one in enumerate(self.known)
                 if one.begin <= time < min(one.end, one.expires) and one.scope in (scope, 0xFFFFFFFF)
                 and address >> 128 - one.address[1] == one.address[0] >> 128 - one.address[1]]
        return [one for *_, one in sorted(found, key=lambda each: each[:3])]
