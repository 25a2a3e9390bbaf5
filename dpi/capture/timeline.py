"""The packet clock and what is counted of every packet, in the order of the capture: the one thing that all shards share.

The clock is the running maximum of the packets' times. A jump over an hour, either way, starts a new epoch and is counted. From here on
`packet.time` is the clock's, so that a shard that sees some of the packets knows the same time as one that sees them all.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.block import words_of
from dpi.jit import kernel, pointed, records

NEVER = 1 << 62             # later than any packet, us
EPOCH = 3_600_000_000       # us of a jump that is no gap

#: Times us. What is counted since the beginning; first and last since `Timeline.begin`.
TIMELINE = np.dtype((np.record, [
    ("clock", "i8"), ("first_time", "i8"), ("last_time", "i8"),
    ("packets", "i8"), ("wire_bytes", "i8"), ("refused", "i8"), ("refused_bytes", "i8"), ("epochs", "i8"),
    ("seconds", "i8"), ("seconds_missed", "i8"),
]))

_CLOCK, _PACKETS, _WIRE_BYTES = (TIMELINE.names.index(name) for name in ("clock", "packets", "wire_bytes"))     # type: ignore[union-attr]
#: Packets and wire bytes of one second of the packet clock.
SECOND = np.dtype((np.record, [("second", "i8"), ("packets", "i8"), ("wire_bytes", "i8")]))

ARRAYS = {"timeline": TIMELINE, "seconds": SECOND}
timeline_of = pointed("timeline", TIMELINE)
seconds_of = pointed("seconds", SECOND)


class Timeline:
    """`row` TIMELINE[1], `seconds` SECOND[as many as are kept at most]."""

    def __init__(self, seconds: int) -> None:
        self.rows = records(1, TIMELINE)
        self.row = self.rows[0]
        self.seconds = records(seconds, SECOND)
        # a record array takes 50 us to be looked at from another side, and some are asked for at each block
        self._plain_row, self._plain_seconds = self.rows.view(np.ndarray), self.seconds.view(np.ndarray)
        self._words = words_of(self.rows, signed=True)
        self.begin()

    def begin(self) -> None:
        """The next packets are of another capture."""
        self.row.first_time, self.row.last_time = NEVER, -NEVER

    @property
    def span(self) -> tuple[int, int]:
        """Times of the first and the last packet of this capture, us; (0, 0) where there was none."""
        first, last = int(self.row.first_time), int(self.row.last_time)
        return (first, last) if first <= last else (0, 0)

    @property
    def minute(self) -> int:
        """Of the clock, since 1970."""
        clock: int = self._words[_CLOCK]
        return clock // 60_000_000

    @property
    def counted(self) -> tuple[int, int]:
        """Packets and wire bytes so far."""
        return self._words[_PACKETS], self._words[_WIRE_BYTES]

    @property
    def kept(self) -> Any:
        """The per-second counts so far, SECOND[k], where they lie."""
        return self._plain_seconds[:int(self._plain_row["seconds"][0])]

    def take_seconds(self) -> Any:
        """The per-second counts so far, SECOND[k], and forget them."""
        taken = self.kept.copy()
        self.row.seconds = 0
        return taken


@kernel
def pass_time(timeline: Any, seconds: Any, packets: Any, count: Any) -> Any:
    """Count packets[:count] and set their times to those of the clock."""
    row = timeline[0]
    clock, first, last = np.int64(row.clock), np.int64(row.first_time), np.int64(row.last_time)
    begin, end = np.int64(1), np.int64(0)                   # of the second that is being counted: none
    frames, octets, all_octets = np.int64(0), np.int64(0), np.int64(0)
    for i in range(count):
        p = packets[i]
        time, wire = np.int64(p.time), np.int64(p.wire)
        if p.status != 0:
            row.refused += 1
            row.refused_bytes += wire
        first = min(first, time)
        last = max(last, time)
        if time > clock:
            if time - clock > EPOCH and clock != 0:
                row.epochs += 1
            clock = time
        elif clock - time > EPOCH:
            row.epochs += 1
            clock = time
        else:
            p.time = clock
        if clock < begin or clock >= end:
            count_second(row, seconds, begin, frames, octets)
            begin = clock // 1_000_000 * 1_000_000
            end = begin + 1_000_000
            frames = np.int64(0)
            octets = np.int64(0)
        frames += 1
        octets += wire
        all_octets += wire
    count_second(row, seconds, begin, frames, octets)
    row.packets += count
    row.wire_bytes += all_octets
    row.clock = clock
    row.first_time = first
    row.last_time = last
    return 0


@kernel
def count_second(row: Any, seconds: Any, begin: Any, frames: Any, octets: Any) -> Any:
    """Add to the second of the packet clock that begins at `begin`, us (a bounded list; what does not fit is counted)."""
    if frames == 0:
        return 0
    second = begin // 1_000_000
    last = row.seconds - 1
    if last < 0 or seconds[last].second != second:
        if row.seconds >= seconds.size:
            row.seconds_missed += frames
            return 0
        last = row.seconds
        row.seconds += 1
        seconds[last].second = second
        seconds[last].packets = 0
        seconds[last].wire_bytes = 0
    seconds[last].packets += frames
    seconds[last].wire_bytes += octets
    return 0
