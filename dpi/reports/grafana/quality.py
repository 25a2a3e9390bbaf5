"""How well does it travel? Round trips, response times, retransmissions, connections without an answer: by site, link and application."""
from __future__ import annotations

from grafana_foundation_sdk.models import units

from dpi.reports.grafana.marks import losses
from dpi.reports.grafana.panels import Board, Column, Panel, Say, Variable
from dpi.reports.grafana.sql import LATE, RETRANSMITTED, SLOT, TIME, UNANSWERED, Place, chosen, days, lines, link, octaves, percentile, site, slots, totals

_TCP = ("client_tcp_packets, server_tcp_packets, client_retransmissions, server_retransmissions, client_out_of_order, server_out_of_order, tcp_opened, "
        "tcp_unanswered")
_SIDES = ("client", "server", "response")
_ENOUGH = 100               # measures below which an application's percentiles are not shown


def board(say: Say, places: tuple[Place, ...]) -> Board:
    """The dashboard in the language of `say`."""
    named, sited = link(places), site(places)
    of_link, of_application = chosen("link"), chosen("application")
    delays = f"(SELECT *, {named} AS link, {sited} AS site FROM delays_5m WHERE {TIME})"
    hourly = (f"(SELECT * FROM {days('delays', f'side, application, bin, measures, {named} AS link, {sited} AS site')} "
              f"WHERE {of_link} AND {of_application})")
    packets = f"(SELECT * FROM {totals(f'{_TCP}, application, {named} AS link, {sited} AS site')} WHERE {of_link} AND {of_application})"
    course = f"(SELECT * FROM {slots(f'{_TCP}, application, {named} AS link')} WHERE {of_link} AND {of_application})"
    titles = {"client": say("Client", "客户端"), "server": say("Server", "服务器"), "response": say("Response", "响应")}
    marks = ", ".join(f"{percentile(share, f'side = {chr(39)}{side}{chr(39)}')} AS {side}_{int(share * 100)}" for side in _SIDES for share in (0.5, 0.95))
    series = {f"{titles[side]} {share} %": f"{side}_{share}" for side in _SIDES for share in (50, 95)}

    def over(key: str, of: str, tcp: str) -> str:
        return (f"SELECT a.{key} AS {key}, measured, client_95, server_95, response_50, response_95, again, late, unanswered FROM "
                f"(SELECT {key}, sum(measures) AS measured, {marks} FROM {of} GROUP BY {key} HAVING measured >= {_ENOUGH}) AS a LEFT JOIN "
                f"(SELECT {key}, {RETRANSMITTED} AS again, {LATE} AS late, {UNANSWERED} AS unanswered FROM {tcp} GROUP BY {key}) AS b USING ({key}) "
                f"ORDER BY measured DESC, {key} LIMIT 300")

    columns = {
        "measured": Column(say("Measures", "样本数"), units.Short), "client_95": Column(say("RTT client 95 %", "客户端 RTT 95%"), units.Milliseconds),
        "server_95": Column(say("RTT server 95 %", "服务器 RTT 95%"), units.Milliseconds), "response_50": Column(say("Response 50 %", "响应 50%"),
              units.Milliseconds),
        "response_95": Column(say("Response 95 %", "响应 95%"), units.Milliseconds), "again": Column(say("Sent again", "重传率"), units.PercentUnit, 2),
        "late": Column(say("Out of order", "乱序率"), units.PercentUnit, 2), "unanswered": Column(say("Unanswered", "无应答率"), units.PercentUnit, 2)}

    def figure(title: str, words: str, side: str, share: float) -> Panel:
        when = f"side = '{side}'"
        return Panel("stat", title, words, f"SELECT {percentile(share, when)} AS value FROM (SELECT * FROM {delays} WHERE {of_link})", units.Milliseconds, 6, 4)

    client = say("Round trip between probe and client: the access side", "探针与客户端之间的往返时延（接入侧）")
    server = say("Round trip between probe and server: the way out", "探针与服务器之间的往返时延（出口侧）")
    response = say("From the client's question to the server's first answer", "从客户端请求到服务器首个应答")
    return Board(
        "quality", say("Quality", "质量"),
        say("How well traffic travels: round trips, response times, loss. Percentiles come from histograms of two bins a doubling.",
                                            "流量传输质量：往返时延、响应时间、丢包。百分位由每倍程两档的直方图得出。"),
        (Variable("link", say("Link", "链路"), f"SELECT DISTINCT {named} AS link FROM links_1m WHERE {TIME} ORDER BY link LIMIT 1000"),
         Variable("application", say("Application", "应用"),
                  f"SELECT application FROM {days('delays', 'application, measures')} WHERE application != '' GROUP BY application "
                                                           "ORDER BY sum(measures) DESC, application LIMIT 1000")),
        (
            figure(say("RTT to clients, 95 %", "客户端 RTT 95%"), client, "client", 0.95),
            figure(say("RTT to servers, 95 %", "服务器 RTT 95%"), server, "server", 0.95),
            Panel("stat", say("TCP sent again", "TCP 重传率"), say("Share of TCP packets that were sent again", "TCP 重传包占比"),
                  f"SELECT {RETRANSMITTED} AS value FROM {packets}", units.PercentUnit, 6, 4, limits=(0.01, 0.03)),
            Panel("stat", say("Connections unanswered", "无应答连接占比"), say("Share of TCP connections without SYN-ACK in the row in which they began",
                  "未收到 SYN-ACK 的 TCP 连接占比"),
                  f"SELECT {UNANSWERED} AS value FROM {packets}", units.PercentUnit, 6, 4, limits=(0.05, 0.2)),
            Panel("series", say("Round trips and response", "往返时延与响应时间"),
                  say("Median and 95th percentile over the chosen links, all applications", "所选链路全部应用的中位数与第 95 百分位"),
                  lines(f"SELECT {SLOT}, {marks} FROM (SELECT time AS at, * FROM {delays} WHERE {of_link}) GROUP BY time", series), units.Milliseconds,
                  height=9),
            Panel("series", say("TCP sent again and out of order", "TCP 重传与乱序"), say("Shares of TCP packets of the chosen links and applications",
                  "所选链路与应用的 TCP 包占比"),
                  lines(f"SELECT {SLOT}, {RETRANSMITTED} AS again, {LATE} AS late, {UNANSWERED} AS unanswered FROM {course} GROUP BY time",
                        {say("sent again", "重传"): "again", say("out of order", "乱序"): "late", say("connections unanswered", "无应答连接"): "unanswered"}),
                  units.PercentUnit, height=9),
            Panel("heatmap", say("RTT to clients", "客户端 RTT 分布"), client, octaves(f"(SELECT * FROM {delays} WHERE {of_link})", "side = 'client'"),
                  units.Short, 12, 9),
            Panel("heatmap", say("Response time", "响应时间分布"), response, octaves(f"(SELECT * FROM {delays} WHERE {of_link})", "side = 'response'"),
                  units.Short, 12, 9),
            Panel("table", say("By application", "按应用"), say("Whose traffic suffers; applications with at least 100 measures",
                  "哪些应用质量不佳（样本数不少于 100）"),
                  over("application", hourly, packets), width=24, height=11, columns={"application": Column(say("Application", "应用")), **columns}),
            Panel("table", say("By site", "按站点"), say("Where it suffers: sites of the links, or probes", "哪些站点质量不佳（链路所属站点或探针）"),
                  over("site", hourly, packets), width=16, height=9, columns={"site": Column(say("Site", "站点")), **columns}),
            Panel("bars", say("Slowest applications", "响应最慢的应用"), response,
                  f"SELECT toString(application) AS name, {percentile(0.95)} AS value FROM {hourly} WHERE side = 'response' AND application != '' GROUP BY "
                  f"application "
                  f"HAVING sum(measures) >= {_ENOUGH} ORDER BY value DESC, name LIMIT 20", units.Milliseconds, 8, 9),
        ),
        losses(say),
    )
