"""An entry of the table of counts as plain numbers, for what Python does with those that were told."""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dpi.security.distinct import SEVERAL, SKETCH, WORDS
from dpi.security.ledger import ENTRY

#: Rule, address, what is beside it, port; slot.
Key = tuple[int, ...]
KEY = ("rule", "high", "low", "beside", "port", "slot")


class Counted(NamedTuple):
    """The fields of ENTRY, in their order."""
    high: int
    low: int
    beside: int
    slot: int
    packets: int
    bytes: int
    flows: int
    first: int
    last: int
    flow_id: int
    peer: Any               # two words
    distinct: int
    block: int
    few: Any
    port: int
    peer_port: int
    rule: int
    fired: int
    sketch: int
    told: int

    @property
    def key(self) -> Key:
        """What tells it from others."""
        return self.rule, self.high, self.low, self.beside, self.port, self.slot

    @property
    def several(self) -> bool:
        """Whether rows had more than one peer."""
        return bool(self.sketch & SEVERAL)

    def marks(self, blocks: Any) -> Any:
        """int64[n]: the marks that it still holds one by one, in rising order; none where they are a sketch."""
        count, at = 0 if self.sketch & SKETCH else self.distinct, self.block * WORDS
        return np.sort(np.array(blocks[at:at + count] if at else self.few[:count], np.int64))


assert Counted._fields == ENTRY.names


def counted(entries: Any) -> list[Counted]:
    """Of ENTRY[n]."""
    return [Counted(*one) for one in entries.tolist()]
