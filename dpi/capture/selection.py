"""Which frames of a block go on to the decoder, and when they are said to have been sent.

In this order: the time shift is added to each time; frames outside [since, until) are left out; then those the filter rejects; then copies
by a mirror. A frame that is left out is counted once, by the first of these that refused it.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.block import Block
from dpi.jit import Entry

_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


class Selection:
    """What a person asked to look at.

    filter      in tcpdump's language; None or blank: every frame
    since       int64 us, inclusive: a frame of this very moment is kept
    until       int64 us, exclusive: it is not, so that [a, b) and [b, c) share no frame; both are compared with shifted times
    time_shift  us added to every time; a sum beyond int64 stays at its limit
    dedup       drop what a mirror sent twice (dpi/capture/duplicates.py)
    """

    def __init__(self, *, filter: str | None, since: int | None, until: int | None, time_shift: int, dedup: bool) -> None:
        """UserError: a filter that libpcap refuses, or no libpcap to ask. Compiles no kernel: see `kernels`."""
        self.filter, self.since, self.until, self.time_shift, self.dedup = filter, since, until, time_shift, dedup
        self.filtered = 0       #: left out by the filter
        self.outside = 0        #: before `since`, or at `until` or later
        self.duplicates = 0     #: dropped as copies
        self.kernels: list[Entry] = []      #: what `apply` will call; to be warmed with the rest
        self._filter: Any = None
        self._copies: Any = None
        if filter and filter.strip():
            from dpi.capture.bpf import Filter, run
            self._filter = Filter(filter)
            self.kernels.append(run)
        if dedup:
            from dpi.capture.duplicates import Duplicates, unique
            self._copies = Duplicates()
            self.kernels.append(unique)
        self.active = bool(self.kernels or since is not None or until is not None or time_shift)

    @property
    def unfit(self) -> dict[int, str]:
        """Link types met for which the filter means nothing, with libpcap's reason: all their frames are in `filtered`."""
        return self._filter.unfit if self._filter is not None else {}

    def apply(self, block: Block) -> Block:
        """A block of the frames that are wanted, possibly none. They are compacted within `block.frames`, which the source refills anyway;
        `number` of each stays, and the data is not touched. Packet number 1 begins another capture for `dedup`."""
        frames, count = block.frames, block.count
        if not count:
            return block
        start = int(frames[0]["number"])
        if self._copies is not None and block.first_number == 1:
            self._copies.forget()
        if self.time_shift:
            self._shift(frames, count)
        if self.since is not None or self.until is not None:
            kept = self._within(frames, count)
            self.outside += count - kept
            count = kept
        if self._filter is not None and count:
            kept = self._filter.keep(block.data, frames, count)
            self.filtered += count - kept
            count = kept
        if self._copies is not None and count:
            kept = self._copies.keep(block.data, frames, count)
            self.duplicates += count - kept
            count = kept
        first = block.first_number + (int(frames[0]["number"]) - start & 0xFFFFFFFF) if count else block.first_number
        return Block(block.data, frames, count, first)

    def _shift(self, frames: Any, count: int) -> None:
        shift = min(max(self.time_shift, _LEAST), _MOST)
        times = frames.view(np.ndarray)["time"][:count]
        if shift > 0:
            np.minimum(times, _MOST - shift, out=times)
        else:
            np.maximum(times, _LEAST - shift, out=times)
        times += shift

    def _within(self, frames: Any, count: int) -> int:
        """Move the frames in [since, until) to the front; how many."""
        plain = frames.view(np.ndarray)
        times = plain["time"][:count]
        wanted = np.ones(count, np.bool_)
        if self.since is not None:
            wanted &= times >= min(max(self.since, _LEAST), _MOST)
        if self.until is not None and self.until <= _MOST:
            wanted &= times < max(self.until, _LEAST)
        kept = int(np.count_nonzero(wanted))
        if kept != count:
            plain[:kept] = plain[:count][wanted]
        return kept
