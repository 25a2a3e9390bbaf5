"""What a replay tells: how far it is, and in the end what it did."""
from __future__ import annotations

from dataclasses import field
from typing import Any

from dpi.captured import Captured
from dpi.dataclass import dataclass
from dpi.sides import COUNTS


@dataclass
class Progress:
    """How far a replay is. `position` and `size` are bytes of the files; `size` 0: not known."""
    packets: int = 0
    bytes: int = 0
    position: int = 0
    size: int = 0


@dataclass
class Outcome:
    """What a replay did."""
    captures: list[Captured] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    per_second: Any = None              # int64[k,3]: second, packets, wire bytes
    interrupted: bool = False
    skipped: list[str] = field(default_factory=list)
    rules_version: str = ""
    seconds: float = 0.0                # reading to last row handed over, without compiling
    seen: Any = None                    # dpi.security.watchman.Seen; None: nothing was looked for


#: Counters that are shown to people, in their order: of the shards, and of the packet clock.
COUNTERS = ("flows", "evicted", "folded", "folded_coarser", "streams_full", "streams_reclaimed", "facts_full", "tunnels_full", "outbox_full", "answers_full",
            "stream_gaps", "changes_full")
BESIDE = ("duplicates", *COUNTS)        # of a capture, told with the last minute of its coverage
CLOCK_COUNTERS = ("epochs", "seconds_missed")
