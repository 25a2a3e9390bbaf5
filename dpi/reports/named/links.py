"""How full are the links, when, and for how long?"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.reports.breakdown import key_column
from dpi.reports.document import Chart, Column, Report, Table, Words
from dpi.reports.load import NO_SLOT, Load, loads
from dpi.reports.named import Named
from dpi.reports.period import following, local, microseconds, start_of
from dpi.reports.request import MINUTE, SLOTS, Place, Request

_BOUNDS = (70, 85, 95)
C = Column
COLUMNS = (
    C("capacity_bps", "rate", Words("Capacity", "容量"), Words("of the link in each direction, as the settings say; of several links their sum", "链路每个方向的容量（按配置）；多条链路为合计")),
    C("bytes", "bytes", Words("Volume", "流量"), Words("frames that were read, both ways, without FCS", "读取到的双向以太帧字节数（不含 FCS）")),
    C("in_bps", "rate", Words("Mean in", "平均入向"), Words("towards local_networks, over the minutes that are known", "流向本地网络的平均速率，按已知分钟计")),
    C("out_bps", "rate", Words("Mean out", "平均出向"), Words("from local_networks, over the minutes that are known", "来自本地网络的平均速率，按已知分钟计")),
    C("mean_bps", "rate", Words("Mean", "平均"), Words("both ways together, over the minutes that are known", "双向合计平均速率，按已知分钟计")),
    C("p95_in_bps", "rate", Words("95th in", "入向 95 分位"), Words("95th percentile of in: the k-th smallest of N slots of five minutes", "入向 95 分位：N 个 5 分钟时隙从小到大第 k 个")),
    C("p95_out_bps", "rate", Words("95th out", "出向 95 分位"), Words("the same of out", "出向 95 分位，算法相同")),
    C("p95_bps", "rate", Words("95th", "95 分位"), Words("the greater of the two where directions can be told apart, else of both ways together",
                                                     "能区分方向时为两者中较大者，否则为双向合计的 95 分位")),
    C("p95_rank", "count", Words("k", "k"), Words("rank of the 95th percentile: k = N - floor(5 N / 100)", "95 分位的序号：k = N - ⌊5N/100⌋")),
    C("slots", "count", Words("N", "N"), Words("slots of five minutes that are known whole; one without traffic counts as 0", "完整已知的 5 分钟时隙数；无流量的时隙按 0 计入")),
    C("p95_use", "share", Words("95th use", "95 分位利用率"), Words("95th percentile over capacity", "95 分位与容量之比")),
    C("peak_bps", "rate", Words("Peak", "峰值"), Words("mean rate of the busiest minute, of the busier direction where they can be told apart",
                                                  "最忙一分钟的平均速率；能区分方向时取较忙方向")),
    C("peak_use", "share", Words("Peak use", "峰值利用率"), Words("peak over capacity", "峰值与容量之比")),
    C("peak_time", "time", Words("Peak minute", "峰值时刻"), Words("when that minute began", "该分钟的开始时刻")),
    C("busy_hour", "time", Words("Busy hour", "忙时"), Words("the hour of the clock with most traffic in its known minutes, of those known for half an hour or more",
                                                       "已知分钟达半小时以上的整点小时中平均负荷最高者")),
    C("busy_hour_bps", "rate", Words("In it", "忙时速率"), Words("mean rate of its known minutes, as for the peak", "该小时已知分钟的平均速率，口径同峰值")),
    *(C(f"above_{bound}", "count", Words(f"> {bound} %", f"> {bound}%"), Words(f"minutes whose mean rate is above {bound} % of capacity", f"平均速率超过容量 {bound}% 的分钟数"))
      for bound in _BOUNDS),
    C("minutes", "count", Words("Minutes", "已知分钟"), Words("minutes of the period that are known: covered, and read all the time", "时段内已知的分钟数：有覆盖记录且全程读取")),
    C("unknown", "count", Words("Unknown", "未知分钟"), Words("minutes of the period that are not known; in none of the figures", "时段内未知的分钟数，不计入任何数字")),
    C("lost", "count", Words("Lost", "丢帧"), Words("frames lost on the way to the decoder: the load was higher by these", "到达解码器之前丢失的帧：实际负荷高出这些")),
)
_NAMES = tuple(column.name for column in COLUMNS)
#: Two tables: the load, and when it is high; one would be too wide to read.
_LOAD = ("capacity_bps", "bytes", "in_bps", "out_bps", "mean_bps", "p95_in_bps", "p95_out_bps", "p95_bps", "p95_use", "p95_rank", "slots")
_HIGH = ("peak_bps", "peak_use", "peak_time", "busy_hour", "busy_hour_bps", "above_70", "above_85", "above_95", "minutes", "unknown", "lost")


def figures(one: Load, ask: Request) -> dict[str, Any]:
    """The columns of one line."""
    known, busy = one.known, one.busy
    minutes = int(known.sum())
    out: dict[str, Any] = {name: None for name in _NAMES}
    out |= {"capacity_bps": one.capacity or None, "bytes": int(one.octets.sum()), "minutes": minutes, "unknown": len(known) - minutes, "lost": int(one.lost.sum())}
    if not minutes:
        return out
    seconds = 60 * minutes

    def mean(values: Any) -> float:
        return float(values[known].sum()) * 8 / seconds

    out["mean_bps"] = mean(one.octets)
    if one.told:
        into, from_ = one.p95(one.incoming), one.p95(one.outgoing)
        ranked = max(into, from_, key=lambda one: one.value)
        out |= {"in_bps": mean(one.incoming), "out_bps": mean(one.outgoing), "p95_in_bps": into.value if into.n else None,
                "p95_out_bps": from_.value if from_.n else None}
    else:
        ranked = one.p95(one.octets)
    rates = np.where(known, busy, -1.0) * 8 / 60
    peak = int(rates.argmax())
    out |= {"p95_bps": ranked.value if ranked.n else None, "p95_rank": ranked.k, "slots": ranked.n, "peak_bps": float(rates[peak]),
            "peak_time": (one.first + peak) * MINUTE}
    hour, rate = _busy_hour(one, ask)
    out |= {"busy_hour": hour, "busy_hour_bps": rate}
    if one.capacity:
        out |= {"p95_use": ranked.value / one.capacity if ranked.n else None, "peak_use": float(rates[peak]) / one.capacity}
        out |= {f"above_{bound}": int((rates * 100 > bound * one.capacity).sum()) for bound in _BOUNDS}
    return out


def _busy_hour(one: Load, ask: Request) -> tuple[int | None, float | None]:
    """Start (us) and mean rate of the busiest hour of the zone's clock."""
    offset = local(one.first * MINUTE, ask.zone).utcoffset()
    lead = (one.first + (round(offset.total_seconds()) // 60 if offset else 0)) % 60
    hours = (np.arange(len(one.known)) + lead) // 60
    known = np.bincount(hours, one.known)
    octets = np.bincount(hours, np.where(one.known, one.busy, 0.0))
    rates = np.where(known >= 30, octets * 8 / (60 * np.maximum(known, 1)), -1.0)
    best = int(rates.argmax()) if len(rates) else 0
    if not len(rates) or rates[best] < 0:
        return None, None
    return (one.first - lead + best * 60) * MINUTE, float(rates[best])


def make(ask: Request, out: Report) -> None:
    """The load, when it is high, and the course of the busiest lines."""
    places = {one.name: one for one in ask.places}
    of = {"site": lambda link: places.get(link, Place(link)).site, "role": lambda link: places.get(link, Place(link)).role}
    every = loads(ask, of.get(ask.by, (lambda _: "") if ask.by in SLOTS else None))
    out.sources += ["coverage", "links_1m"]
    seen = every if any(one.known.any() or one.octets.any() for one in every) else []       # a link of the settings that is silent among them
    lines = _slots(seen[0], ask) if ask.by in SLOTS and seen else [(one.name, one) for one in seen]
    told = [(key, figures(one, ask)) for key, one in lines]
    if ask.by not in SLOTS:
        told.sort(key=lambda line: (-(line[1]["p95_use"] or 0), -(line[1]["p95_bps"] or 0), -line[1]["bytes"], line[0]))
    first = key_column(ask.by)
    for name, title, columns in (("load", Words("Load", "负荷"), _LOAD), ("high", Words("Peaks and busy times", "峰值与忙时"), _HIGH)):
        # a column that nothing is known of is left out
        kept = [one for one in COLUMNS if one.name in columns and (not told or any(line[one.name] is not None for _, line in told) or one.name == "p95_bps")]
        if told and not any(line["slots"] for _, line in told):
            kept = [one for one in kept if one.name not in ("p95_bps", "p95_rank", "slots")]
        table = Table(name, title, (first, *kept), bar="p95_use" if any(one.name == "p95_use" for one in kept) else "")
        table.rows = [(key, *(line[one.name] for one in kept)) for key, line in told[:None if ask.by in SLOTS else ask.top]]
        table.left_out = len(told) - len(table.rows)
        if table.left_out:
            table.notes.append(Words(f"{table.left_out} more are not shown: --top.", f"另有 {table.left_out} 项未显示（--top）。"))
        if ask.by in ("site", "role"):
            table.empty = Words(*(("no site", "未设局点") if ask.by == "site" else ("no role", "未设角色")))
        out.tables.append(table)
    if not told:
        return
    _explain(seen, places, out)
    drawn = [one for key, _ in told for one in seen if one.name == key][:3] if ask.by not in SLOTS else seen[:1]
    out.charts += [chart for one in drawn if (chart := _course(one)) is not None]


def _slots(one: Load, ask: Request) -> list[tuple[int, Load]]:
    """All links together, cut at the slots of time."""
    out, moment = [], start_of(ask.by, local(ask.begin, ask.zone))
    while microseconds(moment) < ask.end:
        after = following(ask.by, moment)
        start = microseconds(moment)
        out.append((start, one.part(start // MINUTE, microseconds(after) // MINUTE)))
        moment = after
    return [(start, part) for start, part in out if len(part.known)]


def _explain(seen: list[Load], places: dict[str, Place], out: Report) -> None:
    """What can't be told, and how that is mended."""
    if not any(len(one.slots(one.octets)) for one in seen):
        out.notes.append(NO_SLOT)
    together = [one for one in seen if not one.told and one.octets.any()]
    if together:
        out.notes.append(Words(f"Directions can't be told apart on {', '.join(one.name or 'all links together' for one in together[:5])}: less than 95 % of the bytes have one side inside "
                               "local_networks. Rates there are of both directions together.",
                               f"{'、'.join(one.name or '全部链路' for one in together[:5])} 无法区分方向：不足 95% 的字节恰有一端在 local_networks 内，相应速率为双向合计。"))
    missing = [one.name for one in seen if not one.capacity and one.octets.any()]
    if missing:
        out.notes.append(Words("There is no utilisation where a capacity is not given: name it in the settings, [links.NAME] capacity_bps.",
                               "未给出容量的链路没有利用率：请在配置中填写 [links.NAME] capacity_bps。"))


def _course(one: Load) -> Chart | None:
    """Rates of slots so wide that there are at most 800; a slot with a minute that is not known is a gap."""
    minutes = len(one.known)
    width = next((width for width in (1, 5, 15, 60, 360, 1440) if minutes / width <= 800), 1440)
    bins = minutes // width
    if bins < 2:
        return None

    def course(values: Any) -> list[float | None]:
        sums = values[:bins * width].reshape(bins, width).sum(axis=1) * 8 / (60 * width)
        whole = one.known[:bins * width].reshape(bins, width).all(axis=1)
        return [float(rate) if known else None for rate, known in zip(sums, whole, strict=True)]

    series: list[tuple[str | Words, list[float | None]]] = [(Words("in + out", "双向合计"), course(one.octets))]
    if one.told:
        series = [(Words("in", "入向"), course(one.incoming)), (Words("out", "出向"), course(one.outgoing))]
    title = Words(f"Course of {one.name}" if one.name else "Course of all links", f"{one.name} 的走势" if one.name else "全部链路的走势")
    return Chart(title, one.first * MINUTE, width * 60, series, limit=float(one.capacity),
                 notes=[Words("What is not known is a gap.", "未知时段为空缺。")] if not one.known.all() else [])


REPORT = Named(Words("Links", "链路利用率"), Words("How full are the links, when, and for how long?", "链路有多满，何时，持续多久？"),
               ("link", "site", "role", *SLOTS), (), COLUMNS, make)
