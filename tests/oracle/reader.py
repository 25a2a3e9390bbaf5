"""Captures read slowly with struct alone: the twin of dpi/capture (pcap, pcapng, gzip, zstd)."""
from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

import zstandard

LAST = 2**63 - 1
MAGICS = {0xA1B2C3D4: (1, 16), 0xA1B23C4D: (1000, 16), 0xA1B2CD34: (1, 24)}


class NoCapture(ValueError):
    """The first bytes are of no known format."""


@dataclass
class Packet:
    time: int
    data: bytes
    wire: int
    link: int
    interface: int


@dataclass
class Reading:
    packets: list[Packet] = field(default_factory=list)
    damage: str = ""        # '', 'cut' or 'broken'
    at: int = 0             # of the damaged record

    def damaged(self, how: str, at: int) -> Reading:
        self.damage, self.at = how, at
        return self


def read(data: bytes) -> Reading:
    """The packets of uncompressed bytes, up to the damage."""
    if len(data) >= 4:
        for order in "<", ">":
            (magic,) = struct.unpack_from(order + "I", data)
            if magic in MAGICS:
                return _pcap(data, order, *MAGICS[magic])
        if data[:4] == b"\n\r\r\n" and (b"\x4d\x3c\x2b\x1a".startswith(data[8:12]) or b"\x1a\x2b\x3c\x4d".startswith(data[8:12])):
            return _pcapng(data)
    raise NoCapture


def _pcap(data: bytes, order: str, divisor: int, header: int) -> Reading:
    reading = Reading()
    if len(data) < 24:
        return reading.damaged("cut", 0)
    _, major, minor, _, _, _, link = struct.unpack_from(order + "IHHiIII", data)
    at = 24
    while at < len(data):
        if len(data) - at < header:
            return reading.damaged("cut", at)
        seconds, fraction, captured, wire = struct.unpack_from(order + "IIII", data, at)
        if major == 543 or (major == 2 and minor < 3) or (major == 2 and minor == 3 and captured > wire):
            captured, wire = wire, captured
        if captured > 262144:
            return reading.damaged("broken", at)
        if len(data) - at < header + captured:
            return reading.damaged("cut", at)
        packet = data[at + header:at + header + captured]
        reading.packets.append(Packet(seconds * 10**6 + fraction // divisor, packet, wire, link & 0xFFFF, 0))
        at += header + captured
    return reading


def microseconds(stamp: int, resolution: int, offset: int) -> int:
    """Ticks of an interface as microseconds; `offset` in seconds. What does not fit stops at the ends of int64, step by step."""
    power = resolution & 0x7F
    time = stamp * 10**6 >> power if resolution & 0x80 else stamp * 10**6 // 10**power
    shift = max(-LAST - 1, min(LAST, offset * 10**6))
    return min(LAST, min(LAST, time) + shift)


def _pcapng(data: bytes) -> Reading:
    reading = Reading()
    at, order, first, time = 0, "<", 0, 0
    interfaces: list[tuple[int, int, int, int]] = []
    while at < len(data):
        if len(data) - at < 12:
            return reading.damaged("cut", at)
        if data[at:at + 4] == b"\n\r\r\n":
            mark = data[at + 8:at + 12]
            if mark not in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d"):
                return reading.damaged("broken", at)
            order = "<" if mark == b"\x4d\x3c\x2b\x1a" else ">"
        kind, total = struct.unpack_from(order + "II", data, at)
        section = kind == 0x0A0D0D0A
        least = {0x0A0D0D0A: 28, 1: 20}.get(kind, 12)
        if total < least or total % 4 or (total > 4 << 20 and kind in (0x0A0D0D0A, 1, 2, 3, 6)):
            return reading.damaged("broken", at)
        if len(data) - at < total:
            return reading.damaged("cut", at)
        block = data[at:at + total]
        if struct.unpack_from(order + "I", block, total - 4)[0] != total and (total <= 4 << 20):
            return reading.damaged("broken", at)
        if section:
            if struct.unpack_from(order + "H", block, 12)[0] != 1:
                return reading.damaged("broken", at)
            first = len(interfaces)
        elif kind == 1:
            interfaces.append(_interface(block, order))
        elif kind in (2, 3, 6):
            if total < (16 if kind == 3 else 32):
                return reading.damaged("broken", at)
            number = struct.unpack_from(order + "I", block, 8)[0] if kind == 6 else struct.unpack_from(order + "H", block, 8)[0] if kind == 2 else 0
            if number >= len(interfaces) - first:
                return reading.damaged("broken", at)
            link, snaplen, resolution, offset = interfaces[first + number]
            if kind == 3:
                (wire,) = struct.unpack_from(order + "I", block, 8)
                captured = min(wire, snaplen or wire, total - 16)
                start = 12
            else:
                high, low, captured, wire = struct.unpack_from(order + "IIII", block, 12)
                time = microseconds(high << 32 | low, resolution, offset)
                start = 28
            if captured > 262144 or captured > total - start - 4:
                return reading.damaged("broken", at)
            reading.packets.append(Packet(time, block[start:start + captured], wire, link, first + number))
        at += total
    return reading


def _interface(block: bytes, order: str) -> tuple[int, int, int, int]:
    """(link type, snap length, resolution byte, offset in seconds)."""
    link, _, snaplen = struct.unpack_from(order + "HHI", block, 8)
    resolution, offset = 6, 0
    options = block[16:-4]
    while len(options) >= 4:
        code, length = struct.unpack_from(order + "HH", options)
        value = options[4:4 + length]
        if code == 0 or len(value) < length:
            break
        if code == 9 and length >= 1:
            resolution = value[0]
        if code == 14 and length >= 8:
            (offset,) = struct.unpack_from(order + "q", value)
        options = options[4 + (length + 3) // 4 * 4:]
    return link, snaplen, resolution, offset


def gunzip(data: bytes) -> tuple[bytes, bool]:
    """(what the gzip members hold as far as they can be unpacked, whole?), fed byte by byte."""
    out = b""
    while data:
        if not data.strip(b"\0") and out:
            return out, True
        engine = zlib.decompressobj(31)
        at = 0
        while at < len(data) and not engine.eof:
            try:
                out += engine.decompress(data[at:at + 1])
            except zlib.error:
                return out, False
            at += 1
        if not engine.eof:
            return out, False
        data = data[at:]
    return out, True


def unzstd(data: bytes) -> bytes:
    """What whole zstd frames hold."""
    out = b""
    while data:
        engine = zstandard.ZstdDecompressor().decompressobj()
        out += engine.decompress(data)
        data = engine.unused_data
    return out
