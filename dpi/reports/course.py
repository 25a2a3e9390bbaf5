"""The course of a volume over the period, of the top lines apart and of the rest together."""
from __future__ import annotations

from collections.abc import Sequence

from dpi.reports.breakdown import DIMENSIONS
from dpi.reports.document import REST, Chart, Words
from dpi.reports.request import Request, quoted
from dpi.reports.sources import SOURCES, choose

SERIES = 6
BINS = 400
_WIDTHS = (60, 300, 900, 3600, 28800, 86400, 604800)


def width_of(ask: Request) -> int:
    """Seconds of a slot such that the period has at most BINS."""
    return next((width for width in _WIDTHS if ask.seconds / width <= BINS), _WIDTHS[-1])


def course(ask: Request, by: str, top: Sequence[str], title: Words, bound: bool = False) -> list[Chart]:
    """Stacked mean rates by slot; none where the period is a single slot, or where no table has it so fine. top: the lines to draw apart, largest first
    (none: the largest are looked for). bound: only traffic that is bound to a service."""
    width = width_of(ask)
    source = choose(ask, [by], ["bytes"], [one for one in SOURCES if (not one.step or width % one.step == 0) and (not bound or "customer" in one.dimensions)])
    relation, where, key = source.rows(ask), source.where(ask), source.key(by, ask)
    if not top:
        top = [str(row[0]) for row in ask.store.query(f"SELECT {key} AS key, sum({source.fields['bytes']}) AS octets FROM {relation} WHERE {where} "
                                                      f"GROUP BY key ORDER BY octets DESC, key LIMIT {SERIES}")]
    names = list(top[:SERIES])
    begin = ask.begin // 1_000_000
    slot_of = f"intDiv(toInt64(toUnixTimestamp(toDateTime({source.time}, 'UTC'))) - {begin}, {width})"
    words = f"[{', '.join(map(quoted, names))}]"
    chosen = f"transform(toString({key}), {words}, {words}, {quoted(REST)})" if names else quoted(REST)     # of a small set: once for each of it
    found = ask.store.query(f"SELECT {slot_of} AS slot, {chosen} AS name, sum({source.fields['bytes']}) FROM {relation} WHERE {where} GROUP BY slot, name").rows
    bins = -(-(ask.end - ask.begin) // (width * 1_000_000))
    if bins < 2 or not found:
        return []
    series: dict[str, list[float | None]] = {name: [0.0] * bins for name in (*names, REST)}
    last = ask.seconds - (bins - 1) * width         # s of the last slot, which the period's end may cut
    for slot, name, octets in found:
        at = min(int(slot), bins - 1)
        series[str(name)][at] = (series[str(name)][at] or 0.0) + float(octets) * 8 / (last if at == bins - 1 else width)
    drawn: list[tuple[str | Words, list[float | None]]] = [(name, values) for name, values in series.items() if any(values)]
    return [Chart(title, ask.begin, width, drawn, stacked=True, empty=DIMENSIONS[by].empty)]
