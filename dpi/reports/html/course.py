"""A chart of a named report as inline SVG that looks the same in a browser and on paper: what it looks like is said in the picture itself."""
from __future__ import annotations

from collections.abc import Sequence
from html import escape

from dpi.reports.document import REST, Chart, Words, shown
from dpi.reports.html.chart import clock, ticks
from dpi.reports.language import Language
from dpi.reports.terminal import clean

COLOURS = ("#2563a8", "#e08a2c", "#3d9a6b", "#b8485a", "#7a5fb0", "#2b9fb3", "#c9a227", "#8a6b52")
_REST, _UNKNOWN, _LIMIT = "#c3c9d1", "#7d8896", "#b3363f"
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 1120, 250, 84, 12, 14, 28
_FONT = 'font-family="Noto Sans CJK SC, DejaVu Sans, sans-serif" font-size="11.5" fill="#5b6775"'


def legend(chart: Chart, say: Language) -> list[tuple[str, str]]:
    """(name, colour) of each series."""
    out: list[tuple[str, str]] = []
    for nth, (name, _) in enumerate(chart.series):
        colour = _REST if name == REST else _UNKNOWN if not name else COLOURS[nth % len(COLOURS)]
        words = name(say) if isinstance(name, Words) else say("report.rest_short") if name == REST else clean(name, 40)
        out.append((words or chart.empty(say), colour))
    return out


def draw(chart: Chart, say: Language) -> str:
    """The picture; '' where there is nothing to draw."""
    bins = max((len(values) for _, values in chart.series), default=0)
    sums = [sum(values[k] or 0.0 for _, values in chart.series) for k in range(bins)] if chart.stacked else [
        max((values[k] or 0.0 for _, values in chart.series), default=0.0) for k in range(bins)]
    if bins < 2 or not any(sums):
        return ""
    highest = max(sums)
    limited = chart.limit > 0 and chart.limit < 3 * highest      # a limit far above would press the curve to the ground: it is told in words
    top, marks = ticks(max(highest, chart.limit if limited else 0.0))
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def x(position: float) -> str:
        return f"{_LEFT + wide * position / bins:.1f}"

    def y(value: float) -> str:
        return f"{_TOP + high * (1 - min(value, top) / top):.1f}"

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(chart.title(say))}">']
    for mark in marks:
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(mark)}" y2="{y(mark)}" stroke="#e6eaef"/>'
                     f'<text x="{_LEFT - 8}" y="{float(y(mark)) + 4:.1f}" text-anchor="end" {_FONT}>'
                     f'{escape(shown(mark, chart.kind, say) if mark else "0")}</text>')
    below = [0.0] * bins
    for (_, values), (name, colour) in zip(chart.series, legend(chart, say), strict=True):
        if chart.stacked:
            above = [low + (value or 0.0) for low, value in zip(below, values, strict=True)]
            outline = [f"{x(k)} {y(v)} L{x(k + 1)} {y(v)}" for k, v in enumerate(above)] + [
                f"{x(k + 1)} {y(v)} L{x(k)} {y(v)}" for k, v in reversed(list(enumerate(below)))]
            parts.append(f'<path d="M{" L".join(outline)}Z" fill="{colour}"><title>{escape(name)}</title></path>')
            below = above
        else:
            parts += [f'<path d="M{" L".join(run)}" fill="none" stroke="{colour}" stroke-width="1.4" stroke-linejoin="round">'
                      f'<title>{escape(name)}</title></path>' for run in _runs(values, x, y)]
    if limited:
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(chart.limit)}" y2="{y(chart.limit)}" stroke="{_LIMIT}" stroke-dasharray="6 4"/>')
    for k, text in clock(chart.start, chart.width, bins, say):
        anchor = "start" if k < bins * 0.03 else "end" if k > bins * 0.97 else "middle"
        parts.append(f'<line x1="{x(k)}" x2="{x(k)}" y1="{_HEIGHT - _BOTTOM}" y2="{_HEIGHT - _BOTTOM + 4}" stroke="#9aa5b1"/>'
                     f'<text x="{x(k)}" y="{_HEIGHT - 9}" text-anchor="{anchor}" {_FONT}>{text}</text>')
    parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_HEIGHT - _BOTTOM}" y2="{_HEIGHT - _BOTTOM}" stroke="#9aa5b1"/></svg>')
    return "".join(parts)


def _runs(values: Sequence[float | None], x: object, y: object) -> list[list[str]]:
    """Points of a line, as steps; what is not known is a gap in it."""
    runs: list[list[str]] = [[]]
    for k, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1] += [f"{x(k)} {y(value)}", f"{x(k + 1)} {y(value)}"]    # type: ignore[operator]
    return [run for run in runs if run]
