"""Does the probe see everything? What was read, lost, refused, given up and late, from coverage."""
from __future__ import annotations

from grafana_foundation_sdk.models import units

from dpi.reports.grafana.marks import losses
from dpi.reports.grafana.panels import Board, Column, Panel, Say, Variable
from dpi.reports.grafana.sql import RANGE, SECONDS, SLOT, TIME, Place, chosen, leading, lines

_PLACES = {"dropped_nic": ("network card", "网卡"), "dropped_kernel": ("kernel", "内核"), "dropped_ring": ("ring", "环形缓冲")}


def board(say: Say, places: tuple[Place, ...]) -> Board:
    """The dashboard in the language of `say`."""
    rows = f"(SELECT time AS at, * FROM coverage WHERE {TIME} AND {chosen('probe')})"
    lost = " + ".join(_PLACES)
    others = say("others", "其他")
    rate = f"1 / {SECONDS}"

    def by_name(values: dict[str, str]) -> str:
        chosen_columns = ", ".join(f"sum({column}) * {rate} AS {column}" for column in values.values())
        return lines(f"SELECT {SLOT}, {chosen_columns} FROM {rows} GROUP BY time", values)

    refused = (f"(SELECT at, tupleElement(pair, 1) AS reason, tupleElement(pair, 2) AS refusals FROM "
               f"(SELECT at, arrayJoin(arrayZip(refused_reasons, refused_counts)) AS pair FROM {rows}))")
    return Board(
        "health", say("Probe health", "探针健康"),
        say("Whether the probes see everything: read, lost, refused, given up, late. Counted each minute in `coverage`.",
                                                     "探针是否完整观测：已读、丢失、拒绝、放弃与延迟，逐分钟记录于 coverage。"),
        (Variable("probe", say("Probe", "探针"), f"SELECT DISTINCT probe FROM coverage WHERE {TIME} ORDER BY probe LIMIT 1000"),),
        (
            Panel("stat", say("Frames lost", "丢失帧占比"), say("Share of frames lost in card, kernel or ring", "在网卡、内核或环形缓冲丢失的帧占比"),
                  f"SELECT sum({lost}) / nullIf(sum(frames + {lost}), 0) AS value FROM {rows}", units.PercentUnit, 6, 4, limits=(0.0001, 0.01)),
            Panel("stat", say("Rows lost", "丢失行数"), say("Rows that the spool had no room for or the store refused", "缓存区已满或存储拒绝而丢失的行数"),
                  f"SELECT sum(dropped_store) AS value FROM {rows}", units.Short, 6, 4, limits=(1, 1000)),
            Panel("stat", say("Not read", "未读取时间"), say("Time before starts in which nothing was read, all probes together", "启动前未读取的时间合计"),
                  f"SELECT sum(unread_us) / 1e6 AS value FROM {rows}", units.Seconds, 6, 4, limits=(1, 60)),
            Panel("stat", say("Store's highest lag", "最大存储延迟"), say("Age of the oldest row that waited for the store, at its highest",
                                                          "等待写入存储的最旧行的最大时延"),
                  f"SELECT max(store_lag_us) / 1e6 AS value FROM {rows}", units.Seconds, 6, 4, limits=(30, 300)),
            Panel("series", say("Frames read", "读取帧速率"), say("By probe", "按探针"), leading(rows, "probe", "frames", others, 20, rate),
                  units.PacketsPerSecond),
            Panel("series", say("Rate read", "读取速率"), say("On the wire, by probe; the busiest second is in the table", "线路速率，按探针；最忙秒见下表"),
                  leading(rows, "probe", "wire_bytes", others, 20, f"8 / {SECONDS}"), units.BitsPerSecondSI),
            Panel("series", say("Frames lost by place", "丢失位置"), say("A second; where they are lost says what to mend", "每秒；丢失位置指示需要修复之处"),
                  by_name({say(*words): column for column, words in _PLACES.items()}), units.PacketsPerSecond),
            Panel("series", say("Refused by reason", "拒绝原因"), say("Frames that are in no flow, a second", "每秒未归入任何会话的帧"),
                  leading(refused, "reason", "refusals", others, 10, rate), units.PacketsPerSecond, stacked=True),
            Panel("series", say("Given up and bounded", "放弃与受限"),
                  say("Rows not made, first bytes not kept, flows that ended early for want of room, connections folded, a second",
                      "每秒未生成的行、未保留的首字节、因空间不足提前结束的会话、被折叠的连接"),
                  by_name({say("rows not made", "未生成的行"): "rows_given_up", say("first bytes not kept", "未保留首字节"): "arena_refused",
                           say("flows ended early", "提前结束的会话"): "evicted", say("connections folded", "折叠的连接"): "folded"}), units.CountsPerSecond),
            Panel("series", say("Pressure", "压力级别"), say("0 nothing given up, 1 rows of messages, 2 naming by first bytes as well; highest of each slot",
                                                         "0 无放弃，1 放弃消息行，2 同时放弃首字节识别；取各时段最大值"),
                  f"SELECT {SLOT}, toString(probe) AS series, max(pressure) AS value FROM {rows} GROUP BY time, series ORDER BY time, series", units.NoUnit,
                  limits=(1, 2), most=2),
            Panel("series", say("One direction only", "单向流量占比"),
                  say("Share of TCP packets whose flow was seen in one direction: a mirror that lacks a side", "仅观测到单方向的 TCP 包占比：镜像可能缺少一侧"),
                  f"SELECT {SLOT}, toString(probe) AS series, sum(one_sided_packets) / nullIf(sum(tcp_packets), 0) AS value FROM {rows} GROUP BY time, series "
                  "ORDER BY time, series", units.PercentUnit, limits=(0.1, 0.5), most=1),
            Panel("series", say("Store's lag", "存储延迟"), say("Age of the oldest row that waited, by probe", "等待写入的最旧行的时延，按探针"),
                  f"SELECT {SLOT}, toString(probe) AS series, max(store_lag_us) / 1e6 AS value FROM {rows} GROUP BY time, series ORDER BY time, series",
                  units.Seconds),
            Panel("table", say("Probes", "探针列表"), say("What each probe read and lost, and when it last told", "各探针的读取、丢失与最近上报时间"),
                  f"SELECT probe, max(at) AS last, sum(frames) AS frames, sum(wire_bytes) * 8 / {RANGE} AS mean, max(busiest_bytes) * 8 AS peak, sum({lost}) "
                  f"AS lost, "
                  "sum(dropped_store) AS lost_rows, sum(duplicates) AS copies, sum(refused) AS refused, uniqExact(at) AS minutes, sum(unread_us) / 1e6 AS "
                  "unread "
                  f"FROM {rows} GROUP BY probe ORDER BY probe LIMIT 1000", width=24, height=8, columns={
                      "probe": Column(say("Probe", "探针")), "last": Column(say("Last minute told", "最近上报"), "dateTimeAsIso"),
                      "frames": Column(say("Frames", "帧数"), units.Short), "mean": Column(say("Mean rate", "平均速率"), units.BitsPerSecondSI),
                      "peak": Column(say("Busiest second", "最忙秒"), units.BitsPerSecondSI), "lost": Column(say("Lost frames", "丢失帧"), units.Short),
                      "lost_rows": Column(say("Lost rows", "丢失行"), units.Short), "copies": Column(say("Copies dropped", "剔除的重复帧"), units.Short),
                      "refused": Column(say("Refused", "拒绝"), units.Short), "minutes": Column(say("Minutes told", "已报分钟数"), units.NoUnit),
                      "unread": Column(say("Not read", "未读取"), units.Seconds)}),
        ),
        losses(say),
    )
