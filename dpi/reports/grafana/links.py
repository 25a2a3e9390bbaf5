"""How full are the links? Rates, utilisation, busiest minute, 95th percentile, minutes near the limit."""
from __future__ import annotations

from grafana_foundation_sdk.models import units

from dpi.reports.grafana.marks import alerts, losses
from dpi.reports.grafana.panels import Board, Column, Panel, Say, Variable
from dpi.reports.grafana.sql import DOWN, RANGE, SECONDS, SLOT, TIME, UP, Place, capacity, chosen, leading, lines, link, ratio, slots


def board(say: Say, places: tuple[Place, ...]) -> Board:
    """The dashboard in the language of `say`."""
    named = link(places)
    rows = (f"(SELECT time AS at, link, capacity, {DOWN} AS down, {UP} AS up, client_packets + server_packets AS packets, flows FROM "
            f"(SELECT *, {named} AS link, {capacity(places)} AS capacity FROM links_1m WHERE {TIME}) WHERE {chosen('link')})")
    minutes = f"(SELECT at, link, any(capacity) AS capacity, sum(down) * 8 / 60 AS down, sum(up) * 8 / 60 AS up FROM {rows} GROUP BY at, link)"
    fives = (f"(SELECT link, quantileExact(0.95)(down) AS down_95, quantileExact(0.95)(up) AS up_95 FROM (SELECT link, toStartOfInterval(at, INTERVAL 5 "
             f"MINUTE) "
             f"AS slot, sum(down) / 5 AS down, sum(up) / 5 AS up FROM {minutes} GROUP BY link, slot) GROUP BY link)")
    full = "greatest(down, up) / nullIf(capacity, 0)"
    of_links = chosen("link", "link")
    categories = f"(SELECT at, wire, category FROM {slots(f'client_wire_bytes + server_wire_bytes AS wire, category, {named} AS link')} WHERE {of_links})"
    both = lines(f"SELECT {SLOT}, sum(down) * 8 / {SECONDS} AS down, sum(up) * 8 / {SECONDS} AS up FROM {rows} GROUP BY time",
                 {say("Down", "下行"): "down", say("Up", "上行"): "up"})
    table = (f"SELECT link, any(capacity) AS limit, sum(down) * 60 / {RANGE} AS mean_down, sum(up) * 60 / {RANGE} AS mean_up, max(greatest(down, up)) AS peak, "
             f"argMax(at, greatest(down, up)) AS peak_time, any(down_95) AS down_95, any(up_95) AS up_95, max({full}) AS peak_share, "
             f"countIf({full} > 0.7) AS over_70, countIf({full} > 0.85) AS over_85, countIf({full} > 0.95) AS over_95 "
             f"FROM {minutes} AS a INNER JOIN {fives} AS b USING (link) GROUP BY link ORDER BY peak DESC, link LIMIT 200")
    return Board(
        "links", say("Links", "链路总览"),
        say("How full the links are. Down is what is sent to our side (local_networks); where neither side or both are ours, what servers sent.",
            "链路利用情况。下行指发往本网（local_networks）的流量；双方均非或均为本网时，指服务器发送的流量。"),
        (Variable("link", say("Link", "链路"), f"SELECT DISTINCT {named} AS link FROM links_1m WHERE {TIME} ORDER BY link LIMIT 1000"),
         Variable("capacity", say("Mbit/s of links without a capacity", "未配置容量的链路按此计（Mbit/s）"), value="1000")),
        (
            Panel("stat", say("Mean rate, down", "平均下行速率"), say("Frames without FCS, all chosen links together", "所选链路合计，以太帧（不含 FCS）"),
                  f"SELECT sum(down) * 8 / {RANGE} AS value FROM {rows}", units.BitsPerSecondSI, 6, 4),
            Panel("stat", say("Mean rate, up", "平均上行速率"), say("Frames without FCS, all chosen links together", "所选链路合计，以太帧（不含 FCS）"),
                  f"SELECT sum(up) * 8 / {RANGE} AS value FROM {rows}", units.BitsPerSecondSI, 6, 4),
            Panel("stat", say("Fullest minute", "最高分钟利用率"), say("Highest utilisation that a link had in a minute, in either direction",
                  "任一链路任一方向的分钟利用率最大值"),
                  f"SELECT max({full}) AS value FROM {minutes}", units.PercentUnit, 6, 4, limits=(0.7, 0.95)),
            Panel("stat", say("New flows a second", "每秒新建会话"), say("Flows opened on the chosen links", "所选链路新建会话数"),
                  f"SELECT sum(flows) / {RANGE} AS value FROM {rows}", units.CountsPerSecond, 6, 4),
            Panel("series", say("Rate, down and up", "上下行速率"), say("What flows through all chosen links together", "所选链路合计的上下行速率"), both,
                  units.BitsPerSecondSI),
            Panel("series", say("Utilisation by link", "各链路利用率"),
                  say("Fuller direction against the link's capacity; of the links with most traffic", "较满方向的速率与链路容量之比（流量最大的链路）"),
                  f"SELECT {SLOT}, toString(link) AS series, greatest(sum(down), sum(up)) * 8 / {SECONDS} / nullIf(any(capacity), 0) AS value FROM {rows} "
                  f"WHERE link IN (SELECT link FROM {rows} GROUP BY link ORDER BY sum(down + up) DESC, link LIMIT 20) GROUP BY time, link ORDER BY time, "
                  f"series",
                  units.PercentUnit, limits=(0.7, 0.95)),
            Panel("table", say("Links", "链路"), say("Load of each link over the range; the 95th percentile is of five-minute means",
                                                   "各链路负载；第 95 百分位按五分钟均值计算"), table,
                  width=24, height=9, columns={
                      "link": Column(say("Link", "链路")), "limit": Column(say("Capacity", "容量"), units.BitsPerSecondSI),
                      "mean_down": Column(say("Mean down", "平均下行"), units.BitsPerSecondSI), "mean_up": Column(say("Mean up", "平均上行"),
                            units.BitsPerSecondSI),
                      "peak": Column(say("Busiest minute", "最忙分钟"), units.BitsPerSecondSI), "peak_time": Column(say("At", "时刻"), "dateTimeAsIso"),
                      "down_95": Column(say("95 %, down", "下行 95%"), units.BitsPerSecondSI), "up_95": Column(say("95 %, up", "上行 95%"),
                            units.BitsPerSecondSI),
                      "peak_share": Column(say("Fullest minute", "最高利用率"), units.PercentUnit),
                      "over_70": Column(say("Minutes over 70 %", "超 70% 分钟数")), "over_85": Column(say("Over 85 %", "超 85%")),
                      "over_95": Column(say("Over 95 %", "超 95%"))}),
            Panel("bars", say("Fullest minute by link", "各链路最高利用率"), say("Which links come near their limit", "哪些链路接近容量上限"),
                  f"SELECT toString(link) AS name, max({full}) AS value FROM {minutes} GROUP BY link ORDER BY value DESC, name LIMIT 20", units.PercentUnit,
                  8, 9, limits=(0.7, 0.95), most=1),
            Panel("series", say("What fills them", "流量构成"), say("Rate by category of application", "按应用类别的速率"),
                  leading(categories, "category", "wire", say("others", "其他"), 8, f"8 / {SECONDS}"), units.BitsPerSecondSI, 16, 9, stacked=True),
            Panel("series", say("Packets a second by link", "各链路包速率"), say("Load of what forwards packets", "转发设备的包速率负载"),
                  leading(rows, "link", "packets", say("others", "其他"), 10, f"1 / {SECONDS}"), units.PacketsPerSecond),
            Panel("series", say("Retransmitted TCP by link", "各链路 TCP 重传率"), say("Share of TCP packets sent again: a link that loses shows here first",
                  "TCP 重传包占比，可先于告警反映丢包"),
                  f"SELECT {SLOT}, series, {ratio('again', 'tcp')} AS value FROM (SELECT time AS at, {named} AS series, client_retransmissions + "
                  f"server_retransmissions AS again, client_tcp_packets + server_tcp_packets AS tcp FROM links_1m WHERE {TIME}) "
                  f"WHERE {chosen('link', 'series')} GROUP BY time, series ORDER BY time, series LIMIT 20000", units.PercentUnit),
        ),
        (*losses(say), *alerts(say)),
    )


