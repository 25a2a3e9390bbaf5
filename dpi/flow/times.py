"""Bytes over time by label: the grid behind the timeline."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dpi.batch import Array
from dpi.flow.figures import BINS, SERIES, WIDTHS, Figures, Timeline


class Times:
    """Bytes by label and bin; the bins widen as the span grows."""

    def __init__(self, labels: int) -> None:
        self.width = 0                      # index in WIDTHS
        self.lowest = 0                     # absolute number of the first bin
        self.grid: Array = np.zeros((0, 0))
        self.rows = np.full(labels, -1, np.int64)
        self.labels: list[int] = []

    def add(self, start: Array, end: Array, label: Array, wire: Array) -> None:
        first, last = int(start.min()), int(end.max())
        if self.grid.size:
            first = min(first, self.lowest * WIDTHS[self.width] * 1_000_000)
            last = max(last, (self.lowest + self.grid.shape[1]) * WIDTHS[self.width] * 1_000_000 - 1)
        self._fit(first // 1_000_000, last // 1_000_000)
        used = np.flatnonzero(np.bincount(label, minlength=len(self.rows)))
        for fresh in used[self.rows[used] < 0].tolist():
            self.rows[fresh] = len(self.labels)
            self.labels.append(fresh)
        if len(self.labels) > self.grid.shape[0]:
            self.grid = np.concatenate([self.grid, np.zeros((len(self.labels) - self.grid.shape[0], self.grid.shape[1]))])
        step = WIDTHS[self.width] * 1_000_000
        bins = self.grid.shape[1] + 1
        low, high = start // step - self.lowest, end // step - self.lowest
        high = np.maximum(low, high)
        row = self.rows[label] * bins
        rate = wire / (high - low + 1)
        change = np.bincount(row + low, weights=rate, minlength=len(self.labels) * bins) - np.bincount(row + high + 1, weights=rate,
                                                                                                       minlength=len(self.labels) * bins)
        self.grid += np.cumsum(change.reshape(-1, bins), axis=1)[:, :-1]

    def _fit(self, first: int, last: int) -> None:
        """Make the grid cover the seconds first..last."""
        old = self.width
        while self.width + 1 < len(WIDTHS) and last // WIDTHS[self.width] - first // WIDTHS[self.width] + 1 > BINS:
            self.width += 1
        step = WIDTHS[self.width]
        lowest, bins = first // step, last // step - first // step + 1
        if self.grid.size and old == self.width and lowest == self.lowest and bins == self.grid.shape[1]:
            return
        grid = np.zeros((len(self.labels), bins))
        if self.grid.size:
            place = (self.lowest + np.arange(self.grid.shape[1])) * WIDTHS[old] // step - lowest
            for k, column in enumerate(place.tolist()):
                grid[:, column] += self.grid[:, k]
        self.grid, self.lowest = grid, lowest

    def timeline(self, name: Callable[[int], str]) -> Timeline:
        if not self.grid.size:
            return Timeline()
        named = {row: name(label) for row, label in enumerate(self.labels)}
        return stacked(self.lowest * WIDTHS[self.width] * 1_000_000, WIDTHS[self.width], named, self.grid)

    def peak(self, out: Figures) -> None:
        """The busiest bin of a minute or less, where seconds were not counted."""
        if self.grid.size:
            total = self.grid.sum(axis=0)
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
