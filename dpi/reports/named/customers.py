"""Which customers and services use how much, and how much at their busiest?"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.reports.breakdown import Measure, breakdown, key_column
from dpi.reports.closing import computed, opened
from dpi.reports.course import course
from dpi.reports.document import Column, Report, Table, Words
from dpi.reports.load import NO_SLOT, SLOT, known_minutes
from dpi.reports.named import Named
from dpi.reports.percentile import percentile
from dpi.reports.request import SLOTS, Request, quoted
from dpi.reports.sources import SOURCES, choose
from dpi.reports.volumes import BYTES, DOWN, ELSEWHERE, FLOWS, MEAN, SHARE, UP

SERVICES = Measure(Column("services", "count", Words("Services", "业务数"), Words("services that had traffic", "有流量的业务数")), "uniqExact(cityHash64(service_id))")
_MEASURES = (SERVICES, FLOWS, UP, DOWN, BYTES, SHARE, MEAN, ELSEWHERE)
C = Column
PEAKS = (
    C("p95_up_bps", "rate", Words("95th up", "上行 95 分位"), Words("95th percentile of up: the k-th smallest of N slots of five minutes, summed over services first", "上行 95 分位：先按业务合计，再取 N 个 5 分钟时隙从小到大第 k 个")),
    C("p95_down_bps", "rate", Words("95th down", "下行 95 分位"), Words("the same of down", "下行 95 分位，算法相同")),
    C("p95_rank", "count", Words("k", "k"), Words("rank of the 95th percentile: k = N - floor(5 N / 100)", "95 分位的序号：k = N - ⌊5N/100⌋")),
    C("slots", "count", Words("N", "N"), Words("slots of five minutes that are known whole on every link, and of which usage is computed; one without traffic counts as 0", "所有链路上完整已知且用量已计算的 5 分钟时隙数；无流量的时隙按 0 计入")),
    C("peak_bps", "rate", Words("Peak", "峰值"), Words("busiest slot of five minutes, of the busier direction", "最忙 5 分钟时隙中较忙方向的平均速率")),
    C("peak_time", "time", Words("Peak at", "峰值时刻"), Words("when that slot began", "该时隙的开始时刻")),
)


def make(ask: Request, out: Report) -> None:
    """Volumes, the 95th percentile and peak of the top lines, and their course. What is not bound to a service is in none of it."""
    table, source = breakdown(ask, "customers", Words("Volume", "流量"), ask.by, _MEASURES, "bytes", bar="share")
    out.tables.append(table)
    out.sources.append(source.name)
    if not table.rows:
        out.notes.append(Words("No traffic is bound to a service: bindings are given with [identity] bindings, or replay --bindings.", "没有流量绑定到业务：请用 [identity] bindings 或 replay --bindings 提供绑定文件。"))
        return
    out.notes += opened(ask, source)
    names = [str(row[0]) for row in table.rows]
    if ask.by in ("customer", "service"):
        peaks = _peaks(ask, names)
        if any(row[4] for row in peaks.rows):
            out.tables.append(peaks)
        else:
            out.notes.append(NO_SLOT)
    split = "customer" if ask.by in SLOTS else ask.by
    out.charts += course(ask, split, names if split == ask.by else [], Words("Course", "流量走势"), bound=True)


def _peaks(ask: Request, names: list[str]) -> Table:
    source = choose(ask, [ask.by], ["up", "down"], [one for one in SOURCES if "customer" in one.dimensions and one.step <= SLOT * 60])
    key = source.key(ask.by, ask)
    at = f"intDiv(toInt64(toUnixTimestamp(toDateTime({source.time}, 'UTC'))), {SLOT * 60})"
    found = ask.store.arrow(f"SELECT toString({key}) AS key, {at} AS slot, sum({source.fields['up']}) AS up, sum({source.fields['down']}) AS down "
                            f"FROM {source.rows(ask)} WHERE {source.where(ask)} AND toString({key}) IN ({', '.join(map(quoted, names))}) GROUP BY key, slot")
    first = -(-ask.begin // (SLOT * 60_000_000))
    minute, sure = known_minutes(ask)
    known = _whole(sure & computed(ask, source, minute, len(sure)), minute)
    code = found.column("key").combine_chunks().dictionary_encode()
    words, rows_of = [str(word) for word in code.dictionary.to_pylist()], np.asarray(code.indices)
    slot, up, down = (found.column(name).to_numpy().astype(np.float64) for name in ("slot", "up", "down"))
    table = Table("peaks", Words("Busiest times", "最忙时段"), (key_column(ask.by), *PEAKS))
    for name in names:
        rows = np.flatnonzero(rows_of == words.index(name)) if name in words else np.zeros(0, np.int64)
        table.rows.append((name, *_line(slot[rows].astype(np.int64) - first, up[rows], down[rows], known, first)))
    return table


def _whole(known: Any, first: int) -> Any:
    """Of the slots of five minutes from the first whole one on, which are known."""
    lead = -first % SLOT
    count = max(0, (len(known) - lead) // SLOT)
    return known[lead:lead + count * SLOT].reshape(count, SLOT).all(axis=1)


def _line(place: Any, up: Any, down: Any, known: Any, first: int) -> tuple[Any, ...]:
    scale = 8 / (SLOT * 60)
    dense = [np.zeros(len(known)), np.zeros(len(known))]
    inside = (place >= 0) & (place < len(known))
    for values, given in zip(dense, (up, down), strict=True):
        values[place[inside]] = given[inside] * scale
    one, two = (percentile(values[known].tolist()) for values in dense)
    busy = np.where(known, np.maximum(*dense), -1.0)
    if not one.n:
        return (None, None, 0, 0, None, None)
    peak = int(busy.argmax())
    return one.value, two.value, one.k, one.n, float(busy[peak]), (first + peak) * SLOT * 60_000_000


REPORT = Named(Words("Customers", "客户用量"), Words("Which customers and services use how much, and how much at their busiest?", "哪些客户和业务用了多少，最忙时多少？"),
               ("customer", "service", "application", "category", "probe", *SLOTS), ("customer", "service", "application", "tag"),
               (*(one.column for one in _MEASURES), *PEAKS), make)
