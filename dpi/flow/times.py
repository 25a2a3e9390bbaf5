"""Bytes over time by label: the grid behind the timeline."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dpi.batch import Array
from dpi.flow.figures import BINS, SERIES, WIDTHS, Figures, Timeline


class Times:
    """Bytes by label and bin; the bins widen as the span grows.

    `grid` float64[labels * STRIDE] holds changes: where the rate of a row begins and where it ends (dpi/flow/fold.py adds them).
    """

    def __init__(self, labels: int, stride: int) -> None:
        self.grid: Array = np.zeros(labels * stride)
        self.width = 0                      # index in WIDTHS
        self.lowest = 0                     # absolute number of the first bin
        self._labels, self._stride = labels, stride

    @property
    def step(self) -> int:
        """Microseconds a bin."""
        return WIDTHS[self.width] * 1_000_000

    def cover(self, first: int, last: int, used: Array) -> None:
        """Make the grid's BINS bins begin with that of the microsecond `first` and reach `last`; `used` labels have something in it."""
        first, last = first // 1_000_000, last // 1_000_000
        width = self.width
        while width + 1 < len(WIDTHS) and last // WIDTHS[width] - first // WIDTHS[width] + 1 > BINS:
            width += 1
        lowest = first // WIDTHS[width]
        if len(used) and (width, lowest) != (self.width, self.lowest):
            self._move(width, lowest, used)
        self.width, self.lowest = width, lowest

    def _move(self, width: int, lowest: int, used: Array) -> None:
        """Put what was counted into bins of another width or beginning."""
        old = self._levels(used, BINS)
        place = (self.lowest + np.arange(BINS)) * WIDTHS[self.width] // WIDTHS[width] - lowest
        kept = (place >= 0) & (place < BINS)            # beyond these nothing was counted
        grid = np.zeros((len(used), BINS))
        np.add.at(grid.T, place[kept], old.T[kept])
        self.grid.reshape(self._labels, self._stride)[used, :BINS + 1] = np.diff(grid, axis=1, prepend=0, append=0)

    def _levels(self, used: Array, bins: int) -> Array:
        """Bytes float64[len(used), bins] of some labels."""
        return np.cumsum(self.grid.reshape(self._labels, self._stride)[used, :bins], axis=1)

    def levels(self, used: Array, last: int) -> Array:
        """Bytes float64[len(used), bins] of some labels, up to the bin of the microsecond `last`."""
        return self._levels(used, last // self.step - self.lowest + 1)

    def timeline(self, used: Array, last: int, name: Callable[[int], str]) -> Timeline:
        if not len(used):
            return Timeline()
        return stacked(self.lowest * self.step, WIDTHS[self.width], {row: name(label) for row, label in enumerate(used.tolist())},
                       self.levels(used, last))

    def peak(self, used: Array, last: int, out: Figures) -> None:
        """The busiest bin of a minute or less, where seconds were not counted."""
        if len(used):
            total = self.levels(used, last).sum(axis=0)
            k = int(total.argmax())
            width = WIDTHS[self.width]
            out.peak_bits, out.peak_time, out.peak_width = float(total[k]) * 8 / width, (self.lowest + k) * width * 1_000_000, width


def stacked(start: int, width: int, names: dict[int, str], grid: Array) -> Timeline:
    """A Timeline of the SERIES largest rows of grid[label, bin] and the rest as one."""
    order = sorted(range(len(grid)), key=lambda row: (-float(grid[row].sum()), names[row]))
    top, rest = order[:SERIES], order[SERIES:]
    timeline = Timeline(start, width, [names[row] for row in top], [grid[row].round(3).tolist() for row in top], grid.sum(axis=0).round(3).tolist())
    if rest:
        timeline.names.append(None)
        timeline.series.append(grid[rest].sum(axis=0).round(3).tolist())
    return timeline
