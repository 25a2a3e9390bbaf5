"""The 95th percentile of slots, exactly: from the sorted values, by a stated rank. Tools differ by one rank; the rank is part of the figure."""
from __future__ import annotations

from collections.abc import Sequence

from dpi.dataclass import dataclass


@dataclass(frozen=True)
class Ranked:
    """`value` is the k-th smallest of n; n = 0: nothing was known, value is 0."""
    value: float
    k: int
    n: int


def rank(n: int, percent: int = 95) -> int:
    """k = n - floor((100 - percent) n / 100) = ceil(percent n / 100), in integers: floating point takes one rank more or less at some n."""
    return n - (100 - percent) * n // 100


def percentile(values: Sequence[float], percent: int = 95) -> Ranked:
    """Drop the highest 5 %, take the highest of the rest. Slots without traffic are zeros among `values`, those that are not known are not."""
    ordered = sorted(values)
    k = rank(len(ordered), percent)
    return Ranked(float(ordered[k - 1]), k, len(ordered)) if ordered else Ranked(0.0, 0, 0)


def slope(values: Sequence[float | None]) -> float:
    """Theil-Sen slope a step: the median of the slopes between every two values; one odd week does not turn it. None: not known, but a step all the same.
    0 for fewer than two."""
    known = [(k, value) for k, value in enumerate(values) if value is not None]
    slopes = sorted((late - early) / (j - i) for i, early in known for j, late in known if j > i)
    if not slopes:
        return 0.0
    middle = len(slopes) // 2
    return slopes[middle] if len(slopes) % 2 else (slopes[middle - 1] + slopes[middle]) / 2
