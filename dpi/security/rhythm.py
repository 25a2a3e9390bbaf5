"""Whether calls came at even intervals, give or take: what programs do, and people do not."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.dataclass import dataclass

TOGETHER = 8                # calls nearer than this part of the mean interval are one: a second try, or two connections of one call


@dataclass(frozen=True)
class Rhythm:
    """calls: at least so many. percent: standard deviation of the intervals, of their mean, at most. least: mean interval, s, at least."""
    calls: int
    percent: int
    least: int

    def heard(self, starts: Any) -> tuple[float, float] | None:
        """(mean interval, s, and its deviation as a part of it) of starts int64[n], ms in rising order; None where they keep no rhythm."""
        if len(starts) < self.calls:
            return None
        mean = float(starts[-1] - starts[0]) / max(len(starts) - 1, 1)
        apart = starts[np.concatenate(([True], np.diff(starts) * TOGETHER > mean))]
        if len(apart) < self.calls:
            return None
        gaps = np.diff(apart).astype(np.float64)
        mean = float(gaps.mean())
        spread = float(gaps.std()) / mean
        return (mean / 1000, spread) if mean >= 1000 * self.least and 100 * spread <= self.percent else None
