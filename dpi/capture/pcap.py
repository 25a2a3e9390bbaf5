"""The classic capture format: a file header of 24 bytes, then records, each with a header of 16 bytes (24 in the modified form).

Source: draft-ietf-opsawg-pcap sections 4 and 5; the modified form is Alexey Kuznetzov's patch to libpcap (magic a1b2cd34).
"""
from __future__ import annotations

import struct
from typing import Any

import numpy as np

from dpi import jit
from dpi.capture.block import FULL, LARGEST_CAPTURED, MORE, TOO_LONG, WALK, Bound, words_of
from dpi.capture.frame import FRAME
from dpi.capture.prefetch import prefetch
from dpi.capture.scout import put_frame, scout
from dpi.capture.words import word32
from dpi.jit import I64, entry

FILE_HEADER = 24
#: magic as read little-endian -> (byte order swapped, nanoseconds, length of a record header)
MAGICS = {
    0xA1B2C3D4: (0, 0, 16), 0xD4C3B2A1: (1, 0, 16),
    0xA1B23C4D: (0, 1, 16), 0x4D3CB2A1: (1, 1, 16),
    0xA1B2CD34: (0, 0, 24), 0x34CDB2A1: (1, 0, 24),
}

_ROW = np.dtype("u1")
_LARGEST = np.uint64(LARGEST_CAPTURED)
_ONE, _8, _12 = np.uint64(1), np.uint64(8), np.uint64(12)
_LINE = np.uint64(64)
_AHEAD = np.uint64(4096)


@entry(_ROW, WALK, FRAME, FRAME, I64)
def walk_pcap(data: Any, walk: Any, frames: Any, spare: Any, room: Any) -> Any:
    """Fill frames[:room] from data uint8[n] at walk[0].position; the count of frames filled, which may be less than there are. A record is taken only
    if it is whole. spare: FRAME[any] for scouts to work in."""
    state = walk[0]
    state.status = FULL
    state.need = 0
    count = np.uint64(scout(data, state, frames, room, spare))
    position = np.uint64(state.position)
    if count:
        state.start = position
        return np.int64(count)
    end = np.uint64(state.end)
    number = np.uint64(state.number)
    header = np.uint64(state.header)
    swapped = state.swapped
    exchanged = state.exchanged
    limit = np.uint64(room)
    ahead = position
    while count < limit:
        reach = position + _AHEAD
        while ahead < reach:
            prefetch(data, ahead)
            ahead += _LINE
        left = end - position
        if left < header:
            state.status = MORE
            if left:
                state.need = header - left
            break
        captured = word32(data, position + _8, swapped)
        wire = word32(data, position + _12, swapped)
        if exchanged == 1 or (exchanged == 2 and captured > wire):
            other = wire
            wire = captured
            captured = other
        if captured > _LARGEST:
            state.status = TOO_LONG
            state.need = captured
            break
        if left - header < captured:
            state.status = MORE
            state.need = captured - (left - header)
            break
        put_frame(frames[count], data, position, state, captured, wire, number)
        number += _ONE
        position += header + captured
        count += _ONE
    state.start = position
    state.position = position
    state.number = number
    return np.int64(count)


class Pcap:
    """A walk over a pcap file: `header` is its first 24 bytes, whose magic is known."""

    def __init__(self, header: bytes) -> None:
        self.state = jit.records(1, WALK)
        self.words = words_of(self.state)
        swapped, nano, length = MAGICS[int.from_bytes(header[:4], "little")]
        order = ">" if swapped else "<"
        major, minor = struct.unpack_from(order + "HH", header, 4)
        (link,) = struct.unpack_from(order + "I", header, 20)
        state = self.state[0]
        state.position = FILE_HEADER
        state.swapped, state.nano, state.header = swapped, nano, length
        state.link = link & 0xFFFF      # the upper bits say how long the FCS is; lengths are kept as written
        # writers before 2.3, and DG/UX with its 543.0, put the wire length first; with 2.3 some did (libpcap, sf-pcap.c)
        if major == 2 and minor == 3:
            state.exchanged = 2
        elif major == 543 or (major == 2 and minor < 3):
            state.exchanged = 1
        self.link_types = {link & 0xFFFF}
        self.interfaces = [""]
        self._call = Bound(walk_pcap)
        self._spare = jit.records(0, FRAME)

    def walk(self, data: np.ndarray[Any, np.dtype[np.uint8]], frames: Any, room: int) -> int:
        """See `dpi.capture.block.Walker`."""
        if len(self._spare) < 2 * room:
            self._spare = jit.records(2 * room, FRAME)      # twice the mean: records of a stretch may be shorter
        return self._call(data, self.state, frames, self._spare, room)

    def forget(self) -> None:
        """See `dpi.capture.block.Walker`."""
        self._call.forget()
