"""Which frames of a block go on to the decoder."""
from __future__ import annotations

from dpi.capture.block import Block


class Selection:
    """What a person asked to look at. Times int64 us."""

    def __init__(self, *, filter: str | None, since: int | None, until: int | None, time_shift: int, dedup: bool) -> None:
        self.filter, self.since, self.until, self.time_shift, self.dedup = filter, since, until, time_shift, dedup
        self.filtered = self.outside = self.duplicates = 0
        self.active = bool(filter or since is not None or until is not None or time_shift or dedup)

    def apply(self, block: Block) -> Block:
        """The block with only the frames that are wanted."""
        return block
