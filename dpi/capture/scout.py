"""Scouts over pcap records: they walk a stretch at once, each from a place that looks like a record, so that their waits for memory overlap.

Where the next record begins stands in the header of this one: a walk waits for memory once a record, and asking for everything ahead costs the
whole file's bandwidth though only headers are wanted. A scout may be wrong about its place. What it found counts only where the one before it
ended where it began; the first begins where the walk stands, so what counts is what a walk of one would have read.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.block import LARGEST_CAPTURED, SCOUTS
from dpi.capture.octets import place16
from dpi.capture.prefetch import prefetch
from dpi.capture.words import word16, word32
from dpi.jit import kernel

SHORTEST = 1 << 18          # bytes of a stretch that is worth it
SMALLEST = 256              # mean bytes of a record: below it nearly every line holds a header
SEARCHED = 1 << 16          # bytes looked at for something like a record: a frame that offloading left whole is about as long
FETCHED = 8                 # lines of them that are asked for ahead: a record begins in most

_LINE = np.uint64(64)
_LOW32 = np.uint64(0xFFFFFFFF)
_0, _1, _2, _3, _4, _8, _12, _15, _16 = (np.uint64(n) for n in (0, 1, 2, 3, 4, 8, 12, 15, 16))
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
def search(data: Any, at: Any, reach: Any, end: Any, header: Any, hours: Any, swapped: Any) -> Any:
    """The first of the `reach` bytes from `at` on where a record seems to begin and another one behind it; 0 where there is none.

    hours: the upper half of the seconds a record should bear (it changes every 18 hours).
    """
    place = _0 if swapped else _3           # of the highest byte of the seconds
    highest = np.int64(hours >> _8)
    stop = min(at + reach, end - _16)
    while at + _3 + _16 <= stop:
        found = np.uint64(place16(data, np.int64(at + place), highest))
        at += found
        if found < _16:
            if word16(data, at + (_0 if swapped else _2), swapped) == hours:
                if like_record(data, at, end, swapped) and like_record(data, at + header + word32(data, at + _8, swapped), end, swapped):
                    return at
            at += _1
    return _0


@kernel
def put_frame(frame: Any, data: Any, at: Any, state: Any, captured: Any, wire: Any, number: Any) -> Any:
    """Write FRAME `frame` of the record at data[at]; number: of packets before it."""
    fraction = np.int64(word32(data, at + _4, state.swapped))
    if state.nano:
        fraction = fraction // 1000
    frame.offset = at + np.uint64(state.header)
    frame.time = np.int64(word32(data, at, state.swapped)) * 1000000 + fraction
    frame.captured = captured
    frame.wire = wire
    frame.link = state.link
    frame.interface = 0
    frame.number = (number + _1) & _LOW32
    return 0


@kernel
def scout(data: Any, state: Any, frames: Any, room: Any, spare: Any) -> Any:
    """Walk about `room` records from state.position on, and at most `room`. Returns how many frames were filled, 0 where scouts are of no use;
    state.position and state.number are behind the last. spare: FRAME[n] to work in. state: WALK.
    """
    position = np.uint64(state.position)
    end = np.uint64(state.end)
    number = np.uint64(state.number)
    header = np.uint64(state.header)
    swapped = state.swapped
    if number == _0 or position // number < np.uint64(SMALLEST) or position + _16 > end or state.exchanged:
        return 0
    stretch = min(end - position, position // number * np.uint64(room))
    if stretch < np.uint64(SHORTEST):
        return 0
    step = stretch // np.uint64(SCOUTS)
    reach = min(step, np.uint64(SEARCHED))
    most = np.uint64(spare.size // SCOUTS)
    hours = word16(data, position + (_0 if swapped else _2), swapped)
    starts, places, found = state.starts, state.scouts, state.found
    for k in range(1, SCOUTS):              # so that the searches wait for memory together
        for line in range(FETCHED):
            prefetch(data, position + np.uint64(k) * step + np.uint64(line) * _LINE)
    walking = np.uint64(0)                  # a bit for each that goes on
    for k in range(SCOUTS):
        starts[k] = search(data, position + np.uint64(k) * step, reach, end, header, hours, swapped) if k else position
        places[k] = starts[k]
        found[k] = 0
        if starts[k] != _0:
            walking |= _1 << np.uint64(k)
    while walking:
        for k in range(SCOUTS):
            bit = _1 << np.uint64(k)
            if not walking & bit:
                continue
            at = np.uint64(places[k])
            captured = word32(data, at + _8, swapped)
            if captured > _LARGEST or at + header + captured > end or found[k] == most:
                walking &= ~bit             # the walk will see for itself what is wrong here
                continue
            put_frame(spare[np.uint64(k) * most + np.uint64(found[k])], data, at, state, captured, word32(data, at + _12, swapped), number)
            found[k] += _1
            at += header + captured
            places[k] = at
            if at >= position + np.uint64(k + 1) * step or at + header > end:
                walking &= ~bit
            else:
                prefetch(data, at)
                prefetch(data, at + _15)    # a header may end in the next line
    return join(state, frames, room, spare)


@kernel
def join(state: Any, frames: Any, room: Any, spare: Any) -> Any:
    """Put what the scouts found one behind the other, up to the first whose beginning is not where the one before it ended."""
    most = np.uint64(spare.size // SCOUTS)
    count = np.uint64(0)
    number = np.uint64(state.number)
    for k in range(SCOUTS):
        if state.starts[k] != state.position:
            break
        first = np.uint64(k) * most
        taken = min(np.uint64(state.found[k]), np.uint64(room) - count)
        for i in range(taken):
            frames[count + i] = spare[first + i]
            frames[count + i].number = (number + count + i + _1) & _LOW32
        count += taken
        if taken < np.uint64(state.found[k]):
            state.position = np.uint64(spare[first + taken].offset) - np.uint64(state.header)
            break
        state.position = state.scouts[k]
    state.number = number + count
    return np.int64(count)
