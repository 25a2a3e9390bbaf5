"""What is usual of lines: for each line and measure an exponentially weighted mean and mean deviation over slots, as arrays.

A measure is learned where a slot has enough of it. The first slots weigh more, so that the mean of few is their plain mean; a slot in which a line has a fault
teaches a tenth as much, so that a fault is told for an hour or so before it is what is usual.
"""
from __future__ import annotations

from typing import Any

import numpy as np

WEIGHT = 0.05               # of the newest slot, once there were many
SLOWER = 10                 # times less, of a slot with a fault
DEVIATIONS = 4              # mean deviations above the mean that are still usual
#: Shares of packets; logarithms (base 2) of us; of bytes a second.
MEASURES = ("near_lost", "far_lost", "near_rtt", "far_rtt", "response", "busiest")


class Usual:
    """mean, deviation float32[measures, n]; known int32[measures, n]: slots that were learned from. 12 bytes a line and measure."""

    def __init__(self, lines: int = 0) -> None:
        shape = (len(MEASURES), lines)
        self.mean: Any = np.zeros(shape, np.float32)
        self.deviation: Any = np.zeros(shape, np.float32)
        self.known: Any = np.zeros(shape, np.int32)

    def grow(self, lines: int) -> None:
        """Room for more lines."""
        wider = ((0, 0), (0, lines - self.mean.shape[1]))
        self.mean, self.deviation, self.known = (np.pad(one, wider) for one in (self.mean, self.deviation, self.known))

    def learn(self, name: str, lines: Any, values: Any, faulty: Any) -> None:
        """Take a slot of lines int64[m], none of them twice: values float64[m]; faulty bool[m]: it teaches little."""
        if not len(lines):
            return
        at = MEASURES.index(name)
        mean, deviation, known = (one[at].take(lines) for one in (self.mean, self.deviation, self.known))
        weight = np.maximum(WEIGHT, 1.0 / (known + 1.0))
        weight = np.where(faulty & (known > 0), WEIGHT / SLOWER, weight)
        apart = np.where(known > 0, np.abs(values - mean), 0.0)
        deviation += weight * (apart - deviation)
        mean += weight * (values - mean)
        self.mean[at][lines], self.deviation[at][lines], self.known[at][lines] = mean, deviation, known + 1

    def of(self, name: str, lines: Any) -> tuple[Any, Any, Any]:
        """Of lines int64[m]: mean, deviation float64[m], known int32[m]."""
        at = MEASURES.index(name)
        return self.mean[at].take(lines).astype(np.float64), self.deviation[at].take(lines).astype(np.float64), self.known[at].take(lines)
