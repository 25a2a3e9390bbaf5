"""Usage is computed some time after its minutes and hours: which of a period are there."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.reports.document import Words
from dpi.reports.request import Request, quoted
from dpi.reports.sources import Source
from dpi.usage.definition import STEPS


def opened(ask: Request, source: Source) -> list[Words]:
    """What is said where hours (minutes) of the period are not computed yet; nothing where all are, and where the source is not usage."""
    if not source.closes:
        return []
    closed = int(ask.store.query(f"SELECT uniqExact(time) FROM usage_slots FINAL WHERE table_name = {quoted(source.closes)} AND {ask.of('time')}").value())
    step = STEPS[source.closes] * 1_000_000
    whole = max(0, -(-min(ask.end, ask.now or ask.end) // step) - ask.begin // step)
    if closed >= whole:
        return []
    unit = ("hours", "小时") if source.closes == "usage_1h" else ("minutes", "分钟")
    return [Words(f"Usage is computed of {closed:,} of the {whole:,} {unit[0]} of this period; others are not in these figures.",
                  f"本时段 {whole:,} {unit[1]}中有 {closed:,} {unit[1]}已完成用量计算，其余不计入。")]


def computed(ask: Request, source: Source, first: int, count: int) -> Any:
    """Of the minutes from `first` (since the epoch) on whether usage of them is computed: bool[count]. One that is not is no minute without traffic."""
    out = np.ones(count, bool)
    if source.closes:
        found = ask.store.arrow(f"SELECT DISTINCT intDiv(toUnixTimestamp64Second(time), 60) AS minute FROM usage_slots "
                                f"WHERE table_name = {quoted(source.closes)} AND {ask.of('time')}").column("minute").to_numpy().astype(np.int64) - first
        out[:] = False
        out[found[(found >= 0) & (found < count)]] = True
    return out


def since(ask: Request, source: Source) -> int | None:
    """When (us) the first slot began of which usage is computed; None where the source is not usage, or nothing is computed."""
    if not source.closes:
        return None
    found = ask.store.query(f"SELECT count(), min(toUnixTimestamp64Second(time)) FROM usage_slots WHERE table_name = {quoted(source.closes)}").rows[0]
    return int(found[1]) * 1_000_000 if int(found[0]) else None
