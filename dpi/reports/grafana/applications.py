"""What is it? Applications, categories, protocols and names by volume."""
from __future__ import annotations

from grafana_foundation_sdk.models import units

from dpi.reports.grafana.marks import losses
from dpi.reports.grafana.panels import Board, Column, Panel, Say, Variable
from dpi.reports.grafana.sql import DOWN, RANGE, SECONDS, TIME, UP, WIRE, Place, chosen, days, leading, link, slots, totals


def board(say: Say, places: tuple[Place, ...]) -> Board:
    """The dashboard in the language of `say`."""
    named = link(places)
    columns = f"{WIRE} AS wire, {DOWN} AS down, {UP} AS up, flows, application, category, protocol, {named} AS link"
    where = f"{chosen('link')} AND {chosen('application')}"
    over_time, whole = f"(SELECT * FROM {slots(columns)} WHERE {where})", f"(SELECT * FROM {totals(columns)} WHERE {where})"
    unknown = say("unknown", "未识别")
    called = f"if(application = '', '{unknown}', toString(application))"
    rate = f"8 / {SECONDS}"
    others = say("others", "其他")
    recent = ("SELECT flow_id, interval_start AS at, application, server_name, toString(client_network) AS client, toString(server_network) AS server, "
              "server_port, client_wire_bytes + server_wire_bytes AS wire FROM grafana_flows WHERE interval_start >= greatest($__fromTime, $__toTime - "
              f"INTERVAL 5 MINUTE) AND interval_start <= $__toTime AND {chosen('application')}")
    return Board(
        "applications", say("Applications", "应用"), say("Which applications, categories and names the traffic belongs to.", "流量属于哪些应用、类别和域名。"),
        (Variable("link", say("Link", "链路"), f"SELECT DISTINCT {named} AS link FROM links_1m WHERE {TIME} ORDER BY link LIMIT 1000"),
         Variable("application", say("Application", "应用"), f"SELECT application FROM {totals(f'application, {WIRE} AS wire')} WHERE application != '' "
                                                           "GROUP BY application ORDER BY sum(wire) DESC, application LIMIT 1000")),
        (
            Panel("stat", say("Volume", "流量"), say("Frames both ways, without FCS", "双向以太帧字节数（不含 FCS）"),
                  f"SELECT sum(wire) AS value FROM {whole}",
                  units.BytesSI, 6, 4),
            Panel("stat", say("Flows opened", "新建会话"), say("Conversations that began in the range", "时段内新建的会话数"),
                  f"SELECT sum(flows) AS value FROM {whole}",
                  units.Short, 6, 4),
            Panel("stat", say("Applications seen", "应用数"), say("Distinct applications with traffic", "有流量的应用数"),
                  f"SELECT uniqExactIf(application, application != '') AS value FROM {whole}", units.NoUnit, 6, 4),
            Panel("stat", say("Without a name", "未识别占比"), say("Share of the volume whose protocol and application are both unknown",
                  "协议与应用均未识别的流量占比"),
                  f"SELECT sumIf(wire, application = '' AND protocol = '') / nullIf(sum(wire), 0) AS value FROM {whole}", units.PercentUnit, 6, 4,
                  limits=(0.1, 0.3)),
            Panel("series", say("Rate by application", "各应用速率"), say("The ten applications with most traffic, and the rest", "流量最大的十个应用及其余"),
                  leading(over_time, "application", "wire", others, 10, rate, unknown), units.BitsPerSecondSI, stacked=True, height=10),
            Panel("series", say("Rate by category", "各类别速率"), say("Video, messaging, web ...", "视频、即时通信、网页等"),
                  leading(over_time, "category", "wire", others, 12, rate, unknown), units.BitsPerSecondSI, stacked=True, height=10),
            Panel("table", say("Applications", "应用列表"), say("Volume, direction and flows of each", "各应用的流量、方向与会话数"),
                  f"SELECT {called} AS application, any(category) AS category, sum(wire) AS volume, sum(wire) / nullIf((SELECT sum(wire) FROM {whole}), 0) "
                  f"AS share, "
                  f"sum(down) AS down, sum(up) AS up, sum(flows) AS opened, sum(wire) * 8 / {RANGE} AS mean FROM {whole} "
                  "GROUP BY application ORDER BY volume DESC, application LIMIT 500", width=16, height=12, columns={
                      "application": Column(say("Application", "应用")), "category": Column(say("Category", "类别")),
                      "volume": Column(say("Volume", "流量"), units.BytesSI), "share": Column(say("Share", "占比"), units.PercentUnit, 1),
                      "down": Column(say("Down", "下行"), units.BytesSI), "up": Column(say("Up", "上行"), units.BytesSI),
                      "opened": Column(say("Flows", "会话数"), units.Short), "mean": Column(say("Mean rate", "平均速率"), units.BitsPerSecondSI)}),
            Panel("bars", say("Protocols", "协议"), say("What carries it: TLS, QUIC, DNS ...", "承载协议：TLS、QUIC、DNS 等"),
                  f"SELECT if(protocol = '', '{unknown}', toString(protocol)) AS name, sum(wire) AS value FROM {whole} GROUP BY name ORDER BY value DESC, "
                  f"name LIMIT 20",
                  units.BytesSI, 8, 12),
            Panel("bars", say("Names", "域名"), say("Registered domains of servers by volume, over all links and applications",
                                                  "按流量排序的服务器注册域名（全部链路与应用）"),
                  f"SELECT name, sum(wire_bytes) AS value FROM {days('names', 'name, wire_bytes')} WHERE name != '' GROUP BY name ORDER BY value DESC, name "
                  f"LIMIT 20",
                  units.BytesSI, 8, 10),
            Panel("series", say("New flows a second", "每秒新建会话"), say("By category: a scan or a flood shows here", "按类别；扫描与洪泛在此显现"),
                  leading(over_time, "category", "flows", others, 8, f"1 / {SECONDS}", unknown), units.CountsPerSecond, 16, 10),
            Panel("table", say("Largest flows of the last five minutes", "最近五分钟的大流"),
                  say("Rows of flows in the last five minutes of the range; addresses of persons are cut to their network",
                      "时段最后五分钟的会话；个人地址仅显示网段"),
                  f"SELECT toString(flow_id) AS flow, min(at) AS began, any(application) AS application, any(server_name) AS server_name, any(client) AS "
                  f"client, "
                  f"any(server) AS server, any(server_port) AS port, sum(wire) AS volume FROM ({recent}) GROUP BY flow_id ORDER BY volume DESC LIMIT 50",
                  width=24, height=9, columns={
                      "flow": Column(say("Flow", "会话号"), "string"), "began": Column(say("Began", "开始"), "dateTimeAsIso"),
                      "application": Column(say("Application", "应用")), "server_name": Column(say("Server's name", "服务器名")),
                      "client": Column(say("Client", "客户端")), "server": Column(say("Server", "服务器")), "port": Column(say("Port", "端口"), "string"),
                      "volume": Column(say("Volume", "流量"), units.BytesSI)}),
        ),
        losses(say),
    )


