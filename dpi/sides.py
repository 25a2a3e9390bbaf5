"""Is the traffic of an interface seen in both directions? A port that is mirrored in one direction only gives half of every conversation."""
from __future__ import annotations

import logging
from typing import Any

LEAST = 1000            # TCP packets of a minute, below which nothing is said
MOST, FEW = 0.5, 0.25   # share of one-sided packets above which it is said, and below which it is taken back
#: What of SHARD is looked at; coverage has columns of these names.
COUNTS = ("tcp_packets", "one_sided_packets")
log = logging.getLogger("dpi.probe")


class Sides:
    """What became known since the last minute, and a line of the log where the answer changes. about: interface and worker."""

    def __init__(self, about: dict[str, Any]) -> None:
        self.lacking = False            # most is one-sided
        self._about, self._told = about, dict.fromkeys(COUNTS, 0)

    def take(self, counters: Any) -> dict[str, int]:
        """How much COUNTS have grown; counters: a SHARD record."""
        now = {name: int(counters[name]) for name in COUNTS}
        fresh = {name: now[name] - self._told[name] for name in COUNTS}
        self._told = now
        packets, one_sided = (fresh[name] for name in COUNTS)
        share = one_sided / packets if packets >= LEAST else None
        about = {**self._about, "share": None if share is None else round(share, 3), "packets": packets}
        if share is not None and share > MOST and not self.lacking:
            self.lacking = True
            log.warning("most TCP is seen in one direction only", extra={
                **about, "mend": "see that the switch mirrors both directions to this port; where each has its own VLAN, key_vlan = 0 in [flow]"})
        elif share is not None and share < FEW and self.lacking:
            self.lacking = False
            log.info("TCP is seen in both directions again", extra=about)
        return fresh
