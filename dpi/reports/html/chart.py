"""Pictures as inline SVG: traffic over time, and small histograms of delays."""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from dpi.flow.figures import BOUNDS, Delays, Timeline
from dpi.reports.language import Language

_WIDTH, _HEIGHT = 1120, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 12, 12, 30
_STEPS_UP_TO = 150              # bins drawn as steps; more are drawn as a line
_TIMES = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800)


def area(timeline: Timeline, colours: Sequence[str], names: Sequence[str], say: Language) -> str:
    """A stacked area chart of bits a second; '' where there is nothing to draw."""
    bins = len(timeline.total)
    if bins < 2 or not any(timeline.total):     # one slot is no course of time
        return ""
    scale = 8 / timeline.width
    top, marks = ticks(max(timeline.total) * scale)
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def x(position: float) -> float:
        return _LEFT + wide * position / bins

    def y(bits: float) -> float:
        return _TOP + high * (1 - bits / top)

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(say("title.timeline"))}">']
    for tick in marks:
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" class="grid"/>'
                     f'<text x="{_LEFT - 8}" y="{y(tick) + 4:.1f}" class="tick end">{escape(say.rate(tick) if tick else "0")}</text>')
    places = _places(bins, x)
    heights = [0.0] * bins
    below = _curve(heights, places, y)
    for row, colour, name in zip(timeline.series, colours, names, strict=True):
        heights = [low + value * scale for low, value in zip(heights, row, strict=True)]
        above = _curve(heights, places, y)
        parts.append(f'<path d="M{"L".join([*above, *reversed(below)])}Z" fill="{colour}"><title>{escape(name)}</title></path>')
        below = above
    for k, text in clock(timeline.start, timeline.width, bins, say):
        anchor = "start" if k < bins * 0.03 else "end" if k > bins * 0.97 else "middle"
        parts.append(f'<line x1="{x(k):.1f}" x2="{x(k):.1f}" y1="{_HEIGHT - _BOTTOM}" y2="{_HEIGHT - _BOTTOM + 4}" class="axis"/>'
                     f'<text x="{x(k):.1f}" y="{_HEIGHT - 10}" class="tick {anchor}">{text}</text>')
    parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_HEIGHT - _BOTTOM}" y2="{_HEIGHT - _BOTTOM}" class="axis"/></svg>')
    return "".join(parts)


def _places(bins: int, x: Callable[[float], float]) -> list[str]:
    """Where the points of a curve are from left to right: the ends of its bins while there are few, then their middles."""
    return [f"{x(k):.1f} " for k in range(bins + 1)] if bins <= _STEPS_UP_TO else [f"{x(k + 0.5):.1f} " for k in range(bins)]


def _curve(heights: Sequence[float], places: Sequence[str], y: Callable[[float], float]) -> list[str]:
    """The points of a curve; bins as steps while there are few."""
    levels = [f"{y(value):.1f}" for value in heights]
    if len(places) == len(levels):
        return [place + level for place, level in zip(places, levels, strict=True)]
    return [place + level for k, level in enumerate(levels) for place in places[k:k + 2]]


def ticks(highest: float) -> tuple[float, list[float]]:
    """A round top above `highest` and the marks up to it."""
    step = 10 ** math.floor(math.log10(max(highest, 1) / 4))
    while highest / step > 5:
        step *= 2 if str(step)[0] in "15" else 2.5
    count = math.ceil(highest / step) or 1
    return step * count, [step * k for k in range(count + 1)]


def clock(begin: int, width: int, bins: int, say: Language) -> list[tuple[float, str]]:
    """Marks on the time axis: (position in bins, text), on round times of the language's zone. begin: us; width: s of a bin."""
    seconds = bins * width
    step = next((step for step in _TIMES if seconds / step <= 10), max(1, seconds // 8))
    start = begin // 1_000_000
    ahead = say.offset(begin)
    marks: list[tuple[float, str]] = []
    moment = -(-(start + ahead) // step) * step - ahead
    while moment <= start + seconds and len(marks) < 20:
        full = say.time(moment * 1_000_000, clock=True) if seconds < 2 * 86400 else say.time(moment * 1_000_000).rsplit(" ", 2)[0]
        marks.append(((moment - start) / width, escape(full)))
        moment += step
    return marks


def histogram(delays: Delays, colour: str = "#2563a8") -> str:
    """A small log histogram, 100 us to 10 s from left to right; the median as a line."""
    low, high = math.log2(50), math.log2(20_000_000)
    columns = [0] * 72
    for bound, count in zip(BOUNDS, delays.counts, strict=True):
        place = (math.log2(max(bound, 1)) - low) / (high - low)
        columns[min(71, max(0, int(place * 72)))] += count
    most = max(columns) or 1
    bars = "".join(f'<rect x="{k * 3}" y="{30 - 28 * count / most:.1f}" width="2.4" height="{28 * count / most:.1f}"/>' for k,
                   count in enumerate(columns) if count)
    median = (math.log2(max(delays.percentile(0.5), 1)) - low) / (high - low) * 216
    marks = "".join(f'<path d="M{(math.log2(us) - low) / (high - low) * 216:.1f} 30v3" class="axis"/>'
                    for us in (100, 1000, 10_000, 100_000, 1_000_000, 10_000_000))
    return (f'<svg class="spark" viewBox="0 0 216 34" preserveAspectRatio="none"><g fill="{colour}">{bars}</g>'
            f'<line x1="0" x2="216" y1="30" y2="30" class="axis"/>{marks}'
            f'<line x1="{min(216, max(0, median)):.1f}" x2="{min(216, max(0, median)):.1f}" y1="0" y2="30" class="median"/></svg>')
