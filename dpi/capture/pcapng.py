"""The block format: sections of either byte order, interfaces of any link type and time unit, packets in three kinds of block.

Source: draft-ietf-opsawg-pcapng sections 3 and 4 (the obsolete Packet Block: its appendix A). Blocks that hold no packet are skipped.
A kernel walks the blocks; section and interface headers, which are rare, are read in Python.
"""
from __future__ import annotations

import struct
from typing import Any

import numpy as np

from dpi import jit
from dpi.capture.block import (
    BAD_LENGTH,
    FULL,
    HEADER,
    LARGEST_CAPTURED,
    MORE,
    NO_INTERFACE,
    STATUS,
    TOO_LONG,
    WALK,
    Bound,
    words_of,
)
from dpi.capture.frame import FRAME
from dpi.capture.prefetch import prefetch
from dpi.capture.words import word16, word32
from dpi.jit import I64, entry, kernel

SECTION, INTERFACE, OBSOLETE_PACKET, SIMPLE_PACKET, ENHANCED_PACKET = 0x0A0D0D0A, 1, 2, 3, 6
MAGIC = b"\x0a\x0d\x0d\x0a"
BYTE_ORDER = 0x1A2B3C4D
#: Blocks that are read must lie whole in the buffer: a longer one is taken for a broken length. Others may be of any length.
LARGEST_BLOCK = 4 << 20
MOST_INTERFACES = 65535     # of a capture, all sections together: FRAME.interface has 16 bits

# How the clock of an interface becomes microseconds
SAME, MULTIPLY, DIVIDE, BINARY, NOTHING = 0, 1, 2, 3, 4
LAST_TIME, FIRST_TIME = (1 << 63) - 1, -(1 << 63)

#: One declared interface. 32 bytes.
CLOCK = np.dtype((np.record, [
    ("factor", "u8"),       # MULTIPLY, DIVIDE: by this; BINARY: the exponent
    ("offset", "i8"),       # us, added
    ("snaplen", "u4"),      # 0: unlimited
    ("link", "u2"),
    ("unit", "u1"),
    ("pad", "u1", (9,)),
]))
assert CLOCK.itemsize == 32, CLOCK.itemsize

_U1 = np.dtype("u1")
_0, _1, _4, _8, _12, _16 = np.uint64(0), np.uint64(1), np.uint64(4), np.uint64(8), np.uint64(12), np.uint64(16)
_20, _24, _28, _32, _64 = np.uint64(20), np.uint64(24), np.uint64(28), np.uint64(32), np.uint64(64)
_THREE, _LOW32, _MILLION = np.uint64(3), np.uint64(0xFFFFFFFF), np.uint64(1000000)
_LINE, _AHEAD = np.uint64(64), np.uint64(4096)
_LARGEST, _LARGEST_BLOCK = np.uint64(LARGEST_CAPTURED), np.uint64(LARGEST_BLOCK)
_LAST, _MOST_SECONDS = np.uint64(LAST_TIME), np.uint64(LAST_TIME // 1000000)
_MOST = np.uint64(0xFFFFFFFFFFFFFFFF)
_SECTION, _INTERFACE = np.uint64(SECTION), np.uint64(INTERFACE)
_OBSOLETE, _SIMPLE, _ENHANCED = np.uint64(OBSOLETE_PACKET), np.uint64(SIMPLE_PACKET), np.uint64(ENHANCED_PACKET)


@kernel
def microseconds(stamp: Any, clock: Any) -> Any:
    """The time of `stamp` (uint64 ticks) by a CLOCK row, in us as int64; what does not fit becomes the last time there is."""
    factor = np.uint64(clock.factor)
    us = stamp
    if clock.unit == MULTIPLY:
        us = _MOST if stamp > _MOST // factor else stamp * factor
    elif clock.unit == DIVIDE:
        us = stamp // factor
    elif clock.unit == BINARY:
        seconds = _0
        fraction = stamp
        if factor < _64:
            seconds = stamp >> factor
            fraction = stamp - (seconds << factor)
        # floor(fraction * 10^6 / 2^factor) without a 128-bit product: first by 2^32, exactly, then by the rest
        if factor < _32:
            us = (fraction * _MILLION) >> factor
        else:
            us = (fraction >> _32) * _MILLION + (((fraction & _LOW32) * _MILLION) >> _32)
            us = us >> (factor - _32) if factor - _32 < _64 else _0
        us = _MOST if seconds > _MOST_SECONDS else seconds * _MILLION + us
    elif clock.unit == NOTHING:
        us = _0
    time = np.int64(us if us < _LAST else _LAST)
    offset = np.int64(clock.offset)
    if offset > 0 and time > LAST_TIME - offset:
        return np.int64(LAST_TIME)
    return time + offset


@entry(_U1, WALK, CLOCK, FRAME, I64)
def walk_pcapng(data: Any, walk: Any, clocks: Any, frames: Any, room: Any) -> Any:
    """Fill frames[:room] from data uint8[n] at walk[0].position; the count of frames filled.

    `clocks` holds the interfaces of the capture; those of the section start at row walk[0].first. A simple packet has no time: it takes
    that of the packet before it. The walk stops at section and interface headers (HEADER), which the caller reads and steps over.
    """
    state = walk[0]
    position = np.uint64(state.position)
    end = np.uint64(state.end)
    number = np.uint64(state.number)
    first = np.uint64(state.first)
    interfaces = np.uint64(state.interfaces)
    swapped = state.swapped
    time = np.int64(state.time)
    limit = np.uint64(room)
    count = _0
    ahead = position
    start = np.uint64(state.start)
    state.status = FULL
    state.need = 0
    while True:
        if position > end:          # inside a block that is being skipped: `start` stays where it began
            state.status = MORE
            state.need = position - end
            break
        start = position
        if end - position < _12:
            state.status = MORE
            if position < end:
                state.need = _12 - (end - position)
            break
        left = end - position
        reach = position + _AHEAD
        if ahead < position:
            ahead = position
        while ahead < reach:
            prefetch(data, ahead)
            ahead += _LINE
        kind = word32(data, position, swapped)
        if kind == _SECTION:
            state.status = HEADER
            break
        total = word32(data, position + _4, swapped)
        packet = kind in (_ENHANCED, _SIMPLE, _OBSOLETE)
        if total < _12 or total & _THREE or (total > _LARGEST_BLOCK and (packet or kind == _INTERFACE)):
            state.status = BAD_LENGTH
            state.need = total
            break
        if total > left:
            state.status = MORE
            state.need = total - left
            if total > _LARGEST_BLOCK:
                position += total
            break
        if word32(data, position + total - _4, swapped) != total:
            state.status = BAD_LENGTH
            state.need = total
            break
        if kind == _INTERFACE:
            state.status = HEADER
            break
        if not packet:
            position += total
            continue
        if count >= limit:
            break
        stamp = _0
        interface = _0
        header = _28            # bytes before the packet's; a simple block has 12
        if kind == _SIMPLE:
            header = _12
        if total < header + _4:
            state.status = BAD_LENGTH
            state.need = total
            break
        if kind == _ENHANCED:
            interface = word32(data, position + _8, swapped)
        elif kind == _OBSOLETE:
            interface = word16(data, position + _8, swapped)
        if interface >= interfaces:
            state.status = NO_INTERFACE
            state.need = interface
            break
        clock = clocks[first + interface]
        if kind == _SIMPLE:
            wire = word32(data, position + _8, swapped)
            captured = wire
            if clock.snaplen and captured > np.uint64(clock.snaplen):
                captured = np.uint64(clock.snaplen)
            if captured > total - _16:
                captured = total - _16
        else:
            stamp = (word32(data, position + _12, swapped) << _32) | word32(data, position + _16, swapped)
            captured = word32(data, position + _20, swapped)
            wire = word32(data, position + _24, swapped)
            time = microseconds(stamp, clock)
        if captured > _LARGEST:
            state.status = TOO_LONG
            state.need = captured
            break
        if captured > total - header - _4:
            state.status = BAD_LENGTH
            state.need = total
            break
        number += _1
        frame = frames[count]
        frame.offset = position + header
        frame.time = time
        frame.captured = captured
        frame.wire = wire
        frame.link = clock.link
        frame.interface = first + interface
        frame.number = number & _LOW32
        position += total
        count += _1
    state.start = start
    state.position = position
    state.number = number
    state.time = time
    return np.int64(count)


class Pcapng:
    """A walk over a pcapng file, from its first byte."""

    def __init__(self) -> None:
        self.state = jit.records(1, WALK)
        self.words = words_of(self.state)
        self.link_types: set[int] = set()
        self.interfaces: list[str] = []
        self._clocks = jit.records(8, CLOCK)
        self._call = Bound(walk_pcapng)
        #: One sentence where a header itself is broken, else ''.
        self.refusal = ""

    def walk(self, data: np.ndarray[Any, np.dtype[np.uint8]], frames: Any, room: int) -> int:
        """See `dpi.capture.block.Walker`."""
        total = 0
        while True:
            count = self._call(data, self.state, self._clocks, frames[total:] if total else frames, room - total)
            total += count
            if self.words[STATUS] != HEADER or not self._header(data):
                return total

    def forget(self) -> None:
        """See `dpi.capture.block.Walker`."""
        self._call.forget()

    def _header(self, data: np.ndarray[Any, np.dtype[np.uint8]]) -> bool:
        """Read the section or interface header at state.start and step over it; False where the walk must stop."""
        state = self.state[0]
        start, left = int(state.start), int(state.end) - int(state.start)
        head = data[start:start + 16].tobytes()
        section = head[:4] == MAGIC
        if section:
            order = "<" if head[8:12] == BYTE_ORDER.to_bytes(4, "little") else ">"
            if order == ">" and head[8:12] != BYTE_ORDER.to_bytes(4, "big"):
                return self._refuse("a section header without its byte order mark")
        else:
            order = ">" if state.swapped else "<"
        (length,) = struct.unpack_from(order + "I", head, 4)
        least = 28 if section else 20
        if length < least or length % 4 or length > LARGEST_BLOCK:
            state.status, state.need = BAD_LENGTH, length
            return False
        if length > left:
            state.status, state.need = MORE, length - left
            return False
        body = data[start:start + length].tobytes()
        if struct.unpack_from(order + "I", body, length - 4)[0] != length:
            state.status, state.need = BAD_LENGTH, length
            return False
        if section:
            major = struct.unpack_from(order + "H", body, 12)[0]
            if major != 1:
                return self._refuse(f"a section of version {major}, which is not known,")
            state.swapped = 1 if order == ">" else 0
            state.first, state.interfaces = len(self.interfaces), 0
        else:
            if len(self.interfaces) >= MOST_INTERFACES:
                return self._refuse(f"more than {MOST_INTERFACES} interfaces")
            self._declare(body, order)
            state.interfaces += 1
        state.position = start + length
        return True

    def _refuse(self, sentence: str) -> bool:
        self.refusal = sentence
        return False

    def _declare(self, body: bytes, order: str) -> None:
        """Add the interface of one description block (section 4.2) to the tables."""
        link, _, snaplen = struct.unpack_from(order + "HHI", body, 8)
        unit, factor, seconds, name = SAME, 1, 0, ""
        at, last = 16, len(body) - 4
        while at + 4 <= last:
            code, length = struct.unpack_from(order + "HH", body, at)
            value = body[at + 4:at + 4 + length]
            if code == 0 or at + 4 + length > last:
                break
            if code == 2:       # if_name
                name = value.decode("utf-8", "replace").rstrip("\0")
            elif code == 9 and length >= 1:     # if_tsresol
                unit, factor = _unit(value[0])
            elif code == 14 and length >= 8:    # if_tsoffset
                (seconds,) = struct.unpack_from(order + "q", value)
            at += 4 + (length + 3) // 4 * 4
        number = len(self.interfaces)
        if number == len(self._clocks):
            wider = jit.records(2 * number, CLOCK)
            wider[:number] = self._clocks
            self._clocks = wider
        clock = self._clocks[number]
        clock.link, clock.snaplen, clock.unit, clock.factor = link, snaplen, unit, factor
        clock.offset = min(max(seconds * 1000000, FIRST_TIME), LAST_TIME)
        self.interfaces.append(name)
        self.link_types.add(link)


def _unit(resolution: int) -> tuple[int, int]:
    """(unit, factor) of an if_tsresol byte: a power of ten, or with the upper bit of two."""
    power = resolution & 0x7F
    if resolution & 0x80:
        return BINARY, power
    if power == 6:
        return SAME, 1
    if power < 6:
        return MULTIPLY, int(10 ** (6 - power))
    return (DIVIDE, int(10 ** (power - 6))) if power - 6 < 20 else (NOTHING, 1)
