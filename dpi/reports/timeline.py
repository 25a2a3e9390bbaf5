"""When? Bytes over time by application."""
from __future__ import annotations

import numpy as np

from dpi.flow.figures import BINS, WIDTHS, Figures
from dpi.flow.times import stacked
from dpi.reports.question import LABEL, NAMED, WIRE, Question


def answer(ask: Question, out: Figures) -> None:
    """Fill the timeline and, from it, the busiest slot. Needs the span that `overview` found."""
    if not out.rows:
        return
    width = next((width for width in WIDTHS if out.last // 1_000_000 // width - out.first // 1_000_000 // width < BINS), WIDTHS[-1])
    step = width * 1_000_000
    lowest, bins = out.first // step, out.last // step - out.first // step + 1
    low, high = (f"intDiv({at} - positiveModulo({at}, {step}), {step}) - {lowest}"
                 for at in ("toUnixTimestamp64Micro(interval_start)", "toUnixTimestamp64Micro(interval_end)"))
    inner = (f"SELECT {LABEL} AS label, {NAMED} AS is_named, {low} AS low, greatest({high}, low) AS high, "
             f"{WIRE} / (high - low + 1) AS rate FROM flows {ask.where()}")
    rows = ask.store.query(f"SELECT label, is_named, bin, sum(change) FROM (SELECT label, is_named, arrayJoin([(low, rate), (high + 1, -rate)]) AS pair, "
                           f"pair.1 AS bin, pair.2 AS change FROM ({inner})) GROUP BY label, is_named, bin")
    places: dict[tuple[str, bool], int] = {}
    cells = [(places.setdefault((str(label), bool(is_named)), len(places)), int(at), float(change)) for label, is_named, at, change in rows]
    grid = np.zeros((len(places), bins + 1))
    for row, at, change in cells:
        grid[row, min(at, bins)] += change
    grid = np.cumsum(grid, axis=1)[:, :bins]
    out.timeline = stacked(lowest * step, width, {row: label for (label, _), row in places.items()}, grid)
    total = grid.sum(axis=0)
    k = int(total.argmax())
    out.peak_bits, out.peak_time, out.peak_width = float(total[k]) * 8 / width, (lowest + k) * step, width
    _peak(ask, out)


def _peak(ask: Question, out: Figures) -> None:
    """The busiest second as it was counted packet by packet, where the store knows it; rows of flows are spread evenly over their seconds."""
    second = "toUnixTimestamp64Micro(busiest_second)"
    for octets, when, frames in ask.rows(f"max(busiest_bytes), argMax({second}, (busiest_bytes, -{second})), max(busiest_frames)", "coverage"):
        if int(octets):
            out.peak_bits, out.peak_time, out.peak_width, out.peak_packets = float(octets) * 8, int(when), 1, float(frames)
