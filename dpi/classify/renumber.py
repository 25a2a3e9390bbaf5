"""Other rules while flows live: the numbers in their records become those of the new rule set."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.flow.table import FLOW, PHASE_CANDIDATE, PHASE_SINGLE, SHARD
from dpi.jit import entry

U2, U4 = np.dtype("u2"), np.dtype("u4")


@entry(FLOW, SHARD, U2, U2, U4)
def renumber(flows: Any, shard: Any, protocols: Any, applications: Any, reasons: Any) -> Any:
    """Replace the numbers in every live flow. protocols, applications uint16[], reasons uint32[]: the new number of each old one, 0 where it is gone.

    A flow whose rule is gone loses the name that it gave. A row of first bytes that waited for a second packet begins anew: its number says nothing now.
    """
    for number in range(1, shard[0].high):
        flow = flows[number]
        if flow.start == -1:
            continue
        flow.protocol = protocols[flow.protocol]
        flow.application = applications[flow.application]
        if (flow.phase & PHASE_SINGLE) == PHASE_CANDIDATE:
            flow.phase &= ~PHASE_CANDIDATE & 0xFF
            flow.reason = 0
        else:
            flow.reason = reasons[flow.reason]
            if flow.reason == 0:
                flow.application = 0
    return 0


def moved(old: list[Any], new: list[Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """The place in `new` of each of `old`; 0 where it is not there. Place 0 stays: it means none."""
    places = {one: place for place, one in reversed(list(enumerate(new))) if place}
    return np.array([0, *(places.get(one, 0) for one in old[1:])], dtype)
