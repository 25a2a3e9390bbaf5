"""Writing names and software into a flow's facts, with the bounds and the order of trust in one place."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.jit import kernel

Array = np.ndarray[Any, Any]


@kernel
def set_name(facts: Array, inspection: Array, data: Array, start: int, stop: int, source: int) -> None:
    """server_name := data[start:stop] in lower case (up to 255 bytes), unless a name of equal or higher trust is there."""
    known = facts[0]
    count = min(stop - start, 255)
    if count <= 0 or start < 0 or start + count > data.size or (known.server_name_length > 0 and known.name_source >= source):
        return
    kept = known.server_name
    for i in range(count):
        c = np.int64(data[start + i])
        kept[i] = c + 32 if 65 <= c <= 90 else c
    known.server_name_length = count
    known.name_source = source
    inspection[0].learned = 1


@kernel
def set_agent(facts: Array, inspection: Array, data: Array, start: int, stop: int) -> None:
    """user_agent := data[start:stop] (up to 176 bytes), unless one is there."""
    known = facts[0]
    count = min(stop - start, 176)
    if count <= 0 or start < 0 or start + count > data.size or known.user_agent_length > 0:
        return
    kept = known.user_agent
    begin = np.uint64(start)
    for i in range(np.uint64(count)):
        kept[i] = data[begin + np.uint64(i)]
    known.user_agent_length = count
    inspection[0].learned = 1


@kernel
def add_risk(facts: Array, inspection: Array, bit: int) -> None:
    """Set risk `bit` (an index of RISKS)."""
    known = facts[0]
    known.risks = np.uint64(known.risks) | np.uint64(1 << bit)
    inspection[0].learned = 1
