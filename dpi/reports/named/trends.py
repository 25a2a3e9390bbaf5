"""How do day, week and month compare with the last one and with the same of before, how does load grow, and when is a link full?"""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from dpi.reports.breakdown import Measure, breakdown, key_column
from dpi.reports.closing import opened, since
from dpi.reports.document import Column, Report, Table, Words
from dpi.reports.load import Load, loads
from dpi.reports.named import Named
from dpi.reports.percentile import percentile, slope
from dpi.reports.period import following, local, microseconds, start_of
from dpi.reports.request import MINUTE, Request, held
from dpi.reports.sources import choose

C = Column
FULL, WEEKS, LEAST = 0.8, 13, 3
#: Unit -> which one before is "the same": a day is compared with that of the week before, a week with that of 52 weeks before, a month with that of a year before.
SAME = {"day": ("day", 7), "week": ("week", 52), "month": ("month", 12)}
#: What the figures of the two spans before, and the changes against them, are called in the table of a unit.
_BEFORE = {"day": (Words("The day before", "前一日"), Words("On the day before", "环比"), Words("A week before", "上周同日"), Words("On a week before", "同比")),
           "week": (Words("The week before", "前一周"), Words("On the week before", "环比"), Words("52 weeks before", "52 周前"), Words("On 52 weeks before", "同比")),
           "month": (Words("The month before", "上月"), Words("On the month before", "环比"), Words("A year before", "上年同月"), Words("On a year before", "同比"))}
_UNITS = {"day": Words("Day", "日"), "week": Words("Week", "周"), "month": Words("Month", "月")}


def _change(name: str) -> Any:
    return lambda line, _seconds, _total: (line["bytes"] - line[name]) / line[name] if line[name] and line["bytes"] is not None else None


_BYTES = C("bytes", "bytes", Words("Volume", "流量"), Words("octets of IP packets of the last whole day, week or month of the period", "时段内最近一个完整日、周或月的 IP 字节数"))
_LAST = C("last_bytes", "bytes", Words("The one before", "上期"), Words("the same of the day, week or month before", "上一日、周或月的流量"))
_ON_LAST = C("on_last", "change", Words("Change", "环比"), Words("against the one before", "与上期相比的变化（环比）"))
_SAME = C("same_bytes", "bytes", Words("The same before", "同期"), Words("of the same weekday a week before, the week 52 weeks before, the month a year before", "上周同日、52 周前的周、上年同月的流量"))
_ON_SAME = C("on_same", "change", Words("Change", "同比"), Words("against the same before", "与同期相比的变化（同比）"))
GROWTH = (
    C("capacity_bps", "rate", Words("Capacity", "容量"), Words("of the link in each direction, as the settings say", "链路每个方向的容量（按配置）")),
    C("weeks", "count", Words("Weeks", "周数"), Words("whole weeks (Monday to Sunday) that the slope is of, at most 13", "参与计算的完整周数（周一至周日），最多 13 周")),
    C("busy_bps", "rate", Words("Now", "当前忙时"), Words("of the last of these weeks the 95th percentile of the slots of five minutes in its seven busy hours, a day's busiest each", "最近一周七个忙时（每日最忙小时）内 5 分钟时隙的 95 分位")),
    C("growth_bps", "rate", Words("Growth a week", "周增长"), Words("median of the slopes between every two weeks (Theil-Sen)", "任意两周之间斜率的中位数（Theil-Sen）")),
    C("use", "share", Words("Use", "利用率"), Words("of the capacity now", "当前占容量的比例")),
    C("days_left", "days", Words("Days to 80 %", "距 80% 天数"), Words("(0.8 capacity - now) / growth a week x 7; 0 where it is there already, none where it does not grow", "（0.8 容量 - 当前）÷ 周增长 × 7；已达到时为 0，不增长时为空")),
)


def make(ask: Request, out: Report) -> None:
    """A table for each unit, and the growth of links."""
    known = held(ask.store)
    for unit in _UNITS:
        table = _compare(ask, unit, known, out)
        if table is not None:
            out.tables.append(table)
    growth = _growth(ask, known)
    if growth.rows:
        out.tables.append(growth)
        out.sources.append("coverage")
    if not out.tables and ask.begin < known[1] and known[0] < ask.end:
        out.notes.append(Words("The period holds no whole day yet.", "该时段尚不足一个完整日。"))


def _compare(ask: Request, unit: str, known: tuple[int, int], out: Report) -> Table | None:
    """The last whole unit of the period with those before it. Of one that the store does not hold whole nothing is said."""
    start = start_of(unit, local(ask.end, ask.zone))
    start = following(unit, start, -1)
    same_unit, steps = SAME[unit]
    spans = {"bytes": start, "last_bytes": following(unit, start, -1), "same_bytes": following(same_unit, start, -steps)}
    edges = {name: (microseconds(first), microseconds(following(unit, first))) for name, first in spans.items()}
    computed = since(ask, choose(replace(ask, begin=edges["bytes"][0], end=edges["bytes"][1]), [ask.by], ["bytes"])) or known[0]
    whole = {name: max(known[0], computed) <= first and end <= known[1] for name, (first, end) in edges.items()}
    if not whole["bytes"] or edges["bytes"][1] <= ask.begin:
        return None
    held_spans = [edge for name, edge in edges.items() if whole[name]]
    wide = replace(ask, begin=min(first for first, _ in held_spans), end=max(end for _, end in held_spans))

    def inside(span: tuple[int, int]) -> str:
        return f"({{time}} >= toDateTime64({span[0] // 1_000_000}, 0, 'UTC') AND {{time}} < toDateTime64({span[1] // 1_000_000}, 0, 'UTC'))"

    measures = [Measure(column, f"sumIf({{bytes}}, {inside(edges[name])})" if whole[name] else "NULL")
                for name, column in (("bytes", _BYTES), ("last_bytes", _LAST), ("same_bytes", _SAME))]
    measures.insert(2, Measure(_ON_LAST, derive=_change("last_bytes")))
    measures.append(Measure(_ON_SAME, derive=_change("same_bytes")))
    first, end = edges["bytes"]
    zone = ask.zone
    words = f"{local(first, zone):%Y-%m-%d}" + ("" if unit == "day" else f" – {local(end - 1, zone):%Y-%m-%d}")
    title = Words(f"{_UNITS[unit].en}: {words}", f"{_UNITS[unit].zh}：{words}")
    headings = dict(zip(("last_bytes", "on_last", "same_bytes", "on_same"), _BEFORE[unit], strict=True))
    measures = [replace(one, column=replace(one.column, heading=headings.get(one.column.name, one.column.heading))) for one in measures]
    table, source = breakdown(wide, unit, title, ask.by, measures, "bytes", more=" OR ".join(inside(edge) for edge in held_spans))
    out.sources.append(source.name)
    table.notes += opened(replace(ask, begin=first, end=end), source)
    return table


def _growth(ask: Request, known: tuple[int, int]) -> Table:
    table = Table("growth", Words("Growth of links", "链路增长"), (key_column("link"), *GROWTH))
    end = start_of("week", local(min(ask.end, known[1]), ask.zone))
    starts = [following("week", end, -back) for back in range(WEEKS, 0, -1)]
    starts = [one for one in starts if microseconds(one) >= known[0]]
    if len(starts) < LEAST:
        return table
    wide = replace(ask, begin=microseconds(starts[0]), end=microseconds(end))
    for one in loads(wide):
        values = [(_busy(one.part(microseconds(first) // MINUTE, microseconds(following("week", first)) // MINUTE))) for first in starts]
        held_values = [value for value in values if value is not None]
        if len(held_values) < LEAST or values[-1] is None:
            continue
        now, growth = values[-1], slope(values)         # a week that is not known is a step all the same
        room = FULL * one.capacity - now
        left = None if not one.capacity else 0.0 if room <= 0 else room / growth * 7 if growth > 0 else None
        table.rows.append((one.name, one.capacity or None, len(held_values), now, growth, now / one.capacity if one.capacity else None,
                           left))
    table.rows.sort(key=lambda row: (row[6] is None, row[6] or 0, str(row[0])))
    return table


def _busy(week: Load) -> float | None:
    """The 95th percentile of the slots in the busiest hour of each of its days; None where less than half of its minutes are known."""
    if not len(week.known) or week.known.mean() < 0.5:
        return None
    slots: list[float] = []
    for day in range(0, len(week.known), 1440):
        known, octets = week.known[day:day + 1440], week.busy[day:day + 1440]
        hours = np.arange(len(known)) // 60
        told = np.bincount(hours, known)
        rates = np.where(told >= 30, np.bincount(hours, np.where(known, octets, 0.0)) / np.maximum(told, 1), -1.0)
        best = int(rates.argmax())
        if rates[best] >= 0:
            slots += week.part(week.first + day + best * 60, week.first + day + best * 60 + 60).slots(octets[best * 60:best * 60 + 60]).tolist()
    return percentile(slots).value if slots else None


REPORT = Named(Words("Trends", "趋势"), Words("How do day, week and month compare with the one before and the same before, how does load grow, and when is a link full?",
                                           "日、周、月与上期（环比）、同期（同比）相比如何，负荷如何增长，链路何时达到 80%？"),
               ("application", "category", "protocol", "customer", "service", "site", "link", "interface", "probe"), ("customer", "service", "application", "tag"),
               (_BYTES, _LAST, _ON_LAST, _SAME, _ON_SAME, *GROWTH), make)
