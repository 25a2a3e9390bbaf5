"""Whether what an entry of the gauge has counted is too much for its rule."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.jit import kernel


@kernel
def outweighed(rule: Any, one: Any) -> Any:
    """Whether a rule asks for more packets than bytes, and there are not."""
    return rule.outweigh != 0 and one.packets <= one.bytes


@kernel
def crossed(rule: Any, one: Any, shift: Any) -> Any:
    """Whether the limits, shifted down so far, are reached: one of them, or with `every` all that there are."""
    if outweighed(rule, one):
        return False
    known = np.int64(0)
    met = np.int64(0)
    if rule.limit_distinct != 0:
        known += 1
        met += 1 if np.int64(one.distinct) >= rule.limit_distinct >> shift else 0
    if rule.limit_packets != 0:
        known += 1
        met += 1 if one.packets >= rule.limit_packets >> shift else 0
    if rule.limit_bytes != 0:
        known += 1
        met += 1 if one.bytes >= rule.limit_bytes >> shift else 0
    if rule.limit_flows != 0:
        known += 1
        met += 1 if one.flows >= rule.limit_flows >> shift else 0
    return met != 0 and (met == known or rule.every == 0)


@kernel
def floored(rule: Any, one: Any) -> Any:
    """Whether a slot is worth learning from."""
    return ((rule.floor_packets != 0 and one.packets >= rule.floor_packets) or (rule.floor_bytes != 0 and one.bytes >= rule.floor_bytes)
            or (rule.floor_flows != 0 and one.flows >= rule.floor_flows) or (rule.floor_distinct != 0 and np.int64(one.distinct) >= rule.floor_distinct))
