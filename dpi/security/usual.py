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

    def learn(self, name: str, values: Any, measured: Any, faulty: Any) -> None:
        """Take a slot. values float64[n] where `measured` bool[n]; faulty bool[n]: it teaches little."""
        at = MEASURES.index(name)
        n = len(values)
        mean, deviation, known = self.mean[at, :n], self.deviation[at, :n], self.known[at, :n]
        weight = np.maximum(WEIGHT, 1.0 / (known + 1.0))
        weight = np.where(faulty & (known > 0), WEIGHT / SLOWER, weight) * measured
        apart = np.where(known > 0, np.abs(values - mean), 0.0)
        deviation += weight * (apart - deviation)
        mean += weight * np.where(measured, values - mean, 0.0)
        known += measured

    def of(self, name: str, n: int) -> tuple[Any, Any, Any]:
        """mean, deviation float64[n], known int32[n]."""
        at = MEASURES.index(name)
        return self.mean[at, :n].astype(np.float64), self.deviation[at, :n].astype(np.float64), self.known[at, :n]
