"""Slow twins of the hello readers: builds hellos from lists, and says their JA3 and JA4 from the same lists."""
from __future__ import annotations

import hashlib
from dataclasses import dataclass, field


def vector(data: bytes, width: int) -> bytes:
    return len(data).to_bytes(width, "big") + data


def words(values: list[int]) -> bytes:
    return b"".join(v.to_bytes(2, "big") for v in values)


def is_grease(value: int) -> bool:
    return value in {0x0A0A + 0x1010 * k for k in range(16)}


VERSIONS = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2", 0xFEFF: "d1", 0xFEFD: "d2", 0xFEFC: "d3"}


@dataclass
class Hello:
    """A ClientHello. `order` lists extension types; each is filled from the fields below, or empty."""
    version: int = 0x0303
    ciphers: list[int] = field(default_factory=lambda: [0x1301, 0x1302])
    order: list[int] = field(default_factory=list)
    name: bytes = b"example.com"
    alpn: list[bytes] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    formats: list[int] = field(default_factory=list)
    algorithms: list[int] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    parameters: bytes = b""
    session: bytes = b""
    cookie: bytes | None = None

    def extension(self, kind: int) -> bytes:
        if kind == 0:
            return vector(b"\0" + vector(self.name, 2), 2)
        if kind == 16:
            return vector(b"".join(vector(a, 1) for a in self.alpn), 2)
        if kind == 10:
            return vector(words(self.groups), 2)
        if kind == 11:
            return vector(bytes(self.formats), 1)
        if kind == 13:
            return vector(words(self.algorithms), 2)
        if kind == 43:
            return vector(words(self.versions), 1)
        if kind == 0x39:
            return self.parameters
        return b""

    def body(self) -> bytes:
        out = self.version.to_bytes(2, "big") + bytes(range(32)) + vector(self.session, 1)
        if self.cookie is not None:
            out += vector(self.cookie, 1)
        out += vector(words(self.ciphers), 2) + b"\1\0"
        if self.order:
            out += vector(b"".join(k.to_bytes(2, "big") + vector(self.extension(k), 2) for k in self.order), 2)
        return out

    def message(self) -> bytes:
        return b"\1" + vector(self.body(), 3)

    def record(self) -> bytes:
        return b"\x16\3\1" + vector(self.message(), 2)

    def given(self, kind: int, values: list[int]) -> list[int]:
        return [v for v in values if not is_grease(v)] if kind in self.order else []

    def ja3(self) -> bytes:
        fields = [[c for c in self.ciphers if not is_grease(c)], [e for e in self.order if not is_grease(e)], self.given(10, self.groups),
                  self.formats if 11 in self.order else []]
        text = ",".join([str(self.version), *("-".join(map(str, values)) for values in fields)])
        return hashlib.md5(text.encode()).digest()

    def ja4(self, letter: str = "t") -> str:
        version = self.version
        offered = self.given(43, self.versions)
        if offered:
            late = [v for v in offered if v >> 8 == 0xFE]
            version = min(late) if late else max(offered)
        ciphers = sorted(f"{c:04x}" for c in self.ciphers if not is_grease(c))
        kinds = [e for e in self.order if not is_grease(e)]
        hashed = ",".join(sorted(f"{e:04x}" for e in kinds if e not in (0, 16)))
        signed = ",".join(f"{a:04x}" for a in self.given(13, self.algorithms))
        alpn = "00"
        if 16 in self.order and self.alpn and self.alpn[0]:
            one = self.alpn[0]
            ends = chr(one[0]) + chr(one[-1])
            alpn = ends if ends.isascii() and ends.isalnum() else one.hex()[0] + one.hex()[-1]
        head = f"{letter}{VERSIONS.get(version, '00')}{'d' if 0 in self.order else 'i'}{min(len(ciphers), 99):02}{min(len(kinds), 99):02}{alpn}"
        return "_".join([head, short(",".join(ciphers)), short(hashed + ("_" + signed if signed else ""))])


def short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "0" * 12


def server_hello(version: int = 0x0303, cipher: int = 0xC02F, alpn: bytes = b"", chosen: int = 0, random: bytes = b"\7" * 32,
                 extra: tuple[int, ...] = ()) -> bytes:
    """A ServerHello message."""
    body = version.to_bytes(2, "big") + random + b"\0" + cipher.to_bytes(2, "big") + b"\0"
    extensions = b"".join(k.to_bytes(2, "big") + b"\0\0" for k in extra)
    if alpn:
        extensions += b"\0\x10" + vector(vector(vector(alpn, 1), 2), 2)
    if chosen:
        extensions += b"\0\x2b" + vector(chosen.to_bytes(2, "big"), 2)
    if extensions:
        body += vector(extensions, 2)
    return b"\2" + vector(body, 3)


def ja3s(version: int, cipher: int, kinds: list[int]) -> bytes:
    return hashlib.md5(f"{version},{cipher},{'-'.join(map(str, kinds))}".encode()).digest()


def certificate_message(*certificates: bytes) -> bytes:
    return b"\x0b" + vector(vector(b"".join(vector(c, 3) for c in certificates), 3), 3)


def records(payload: bytes, size: int = 16384, kind: int = 22) -> bytes:
    """The payload in records of at most `size` bytes."""
    return b"".join(bytes([kind]) + b"\3\3" + vector(payload[i:i + size], 2) for i in range(0, len(payload), size))
