"""Scouts ahead of a walk over pcap records: they ask for the lines of record headers before the walk reads them.

Where the next record begins stands in the header of this one: a walk waits for memory once a record, and asking for everything ahead costs the
whole file's bandwidth though only headers are wanted. Several scouts walk a stretch at once, each from a place that looks like a record, and
their waits overlap. A scout may be wrong about its place: it only ever asks for lines, what is read is decided by the walk alone.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.block import LARGEST_CAPTURED, SCOUTS
from dpi.capture.prefetch import prefetch
from dpi.capture.words import word16, word32
from dpi.jit import kernel

SHORTEST = 1 << 18          # bytes of a stretch that is worth it
SMALLEST = 256              # mean bytes of a record: below it nearly every line holds a header
SEARCHED = 4096             # bytes looked at for something like a record

_0, _1, _2, _4, _8, _12, _15, _16 = (np.uint64(n) for n in (0, 1, 2, 4, 8, 12, 15, 16))
_LARGEST = np.uint64(LARGEST_CAPTURED)
_NANOSECONDS = np.uint64(1_000_000_000)


@kernel
def like_record(data: Any, at: Any, end: Any, swapped: Any) -> Any:
    """Whether the lengths and the fraction at data[at] are such as a record header has."""
    if at + _16 > end:
        return False
    captured = word32(data, at + _8, swapped)
    wire = word32(data, at + _12, swapped)
    return _0 < captured and captured <= wire and wire <= _LARGEST and word32(data, at + _4, swapped) < _NANOSECONDS


@kernel
def search(data: Any, at: Any, end: Any, header: Any, hours: Any, swapped: Any) -> Any:
    """The first place from `at` on where a record seems to begin and another one behind it; 0 where there is none near.

    hours: the upper half of the seconds a record should bear (it changes every 18 hours).
    """
    place = _0 if swapped else _2
    stop = min(at + np.uint64(SEARCHED), end - _16)
    while at < stop:
        if word16(data, at + place, swapped) == hours:
            if like_record(data, at, end, swapped) and like_record(data, at + header + word32(data, at + _8, swapped), end, swapped):
                return at
        at += _1
    return _0


@kernel
def scout(data: Any, state: Any, room: Any) -> Any:
    """Ask for the headers of about `room` records from state.position on; whether it was done. data uint8[n], n >= state.end; state: WALK."""
    position = np.uint64(state.position)
    end = np.uint64(state.end)
    number = np.uint64(state.number)
    header = np.uint64(state.header)
    swapped = state.swapped
    if number == _0 or position // number < np.uint64(SMALLEST) or position + _16 > end:
        return False
    stretch = min(end - position, position // number * np.uint64(room))
    if stretch < np.uint64(SHORTEST):
        return False
    step = stretch // np.uint64(SCOUTS)
    hours = word16(data, position + (_0 if swapped else _2), swapped)
    places = state.scouts
    for k in range(SCOUTS):
        places[k] = search(data, position + np.uint64(k) * step, end, header, hours, swapped) if k else position
    for _ in range(2 * room // SCOUTS):
        walking = False
        for k in range(SCOUTS):
            at = np.uint64(places[k])
            if at == _0:
                continue
            captured = word32(data, at + _8, swapped)
            at += header + captured
            if captured > _LARGEST or at + _16 > end or at >= position + np.uint64(k + 1) * step:
                places[k] = 0
                continue
            prefetch(data, at)
            prefetch(data, at + _15)        # a header may end in the next line
            places[k] = at
            walking = True
        if not walking:
            break
    return True
