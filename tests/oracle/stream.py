"""A stream's first bytes kept in a dict: the slow twin of dpi/flow/stream.py."""
from __future__ import annotations


class Stream:
    """Bytes by position; the first copy of a byte wins. `span` positions are kept; at most `pieces` ranges beyond a gap."""

    def __init__(self, base: int, span: int, pieces: int) -> None:
        self.base, self.span, self.pieces = base, span, pieces
        self.bytes: dict[int, int] = {}
        self.ranges: list[tuple[int, int]] = []
        self.have = 0
        self.dropped = 0

    @property
    def held(self) -> int:
        """Contiguous bytes that a parser may see."""
        return self.have - self.dropped

    def drop(self, count: int) -> None:
        """The parser is done with the first of them."""
        self.dropped += count

    def add(self, seq: int, data: bytes) -> int:
        """Growth of the contiguous part, or -1 where there is no place for the segment."""
        begin = (seq - self.base) % (1 << 32)
        if begin >= 1 << 31:
            begin -= 1 << 32
        stop = begin + len(data)
        if stop <= self.have:
            return 0
        if begin >= self.span:
            return -1
        begin_kept, stop = max(begin, self.have), min(stop, self.span)
        if begin_kept > self.have:
            if any(start <= begin_kept and end >= stop for start, end in self.ranges):
                return 0
            if len(self.ranges) == self.pieces:
                return -1
            self._put(begin, begin_kept, stop, data)
            self.ranges.append((begin_kept, stop))
            return 0
        self._put(begin, begin_kept, stop, data)
        before, self.have = self.have, stop
        moved = True
        while moved:
            moved = False
            for one in list(self.ranges):
                if one[0] <= self.have:
                    self.have = max(self.have, one[1])
                    self.ranges.remove(one)
                    moved = True
        return self.have - before

    def _put(self, begin: int, kept: int, stop: int, data: bytes) -> None:
        for position in range(kept, stop):
            if not any(start <= position < end for start, end in self.ranges):
                self.bytes[position] = data[position - begin]

    def contiguous(self) -> bytes:
        """What a parser may see."""
        return bytes(self.bytes[i] for i in range(self.dropped, self.have))
