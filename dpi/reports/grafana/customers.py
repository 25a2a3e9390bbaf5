"""Who uses what, by pseudonym? Volumes, applications and quality of customers and services, from usage that is computed for closed minutes and hours."""
from __future__ import annotations

from grafana_foundation_sdk.models import units

from dpi.reports.grafana.marks import losses
from dpi.reports.grafana.panels import Board, Column, Panel, Say, Variable
from dpi.reports.grafana.sql import LONG, RANGE, SECONDS, SLOT, TIME, Place, chosen, days, leading, lines, used


def board(say: Say, places: tuple[Place, ...]) -> Board:
    """The dashboard in the language of `say`."""
    whose = f"{chosen('customer')} AND {chosen('service')}"
    hours = f"(SELECT * FROM grafana_services_1h WHERE {TIME} AND {whose})"
    course = used("customer, service, up_bytes, down_bytes, up_bytes + down_bytes AS octets", whose)
    applications = days("grafana_services", "application, category, up_bytes + down_bytes AS octets", whose, "grafana_usage_1h")
    others, unknown = say("others", "其他"), say("unknown", "未识别")
    slot = f"8 / greatest($__interval_s, if({LONG}, 86400, 3600))"
    octets = say("Octets of IP packets, as bills count them; what is metered elsewhere is not in it", "IP 报文字节数（计费口径），不含他处计量的流量")
    return Board(
        "customers", say("Customers", "客户"),
        say("What customers and services use. c-... and s-... are pseudonyms: the same as long as the store lives, and without names. Whose they are is "
            "asked with a "
            "reason, not here.", "客户与业务的使用情况。c-… 与 s-… 为假名，在数据存储期内保持不变，不含姓名；查询真实身份须在别处说明理由。"),
        (Variable("customer", say("Customer", "客户"), f"SELECT customer FROM grafana_services_1h WHERE {TIME} GROUP BY customer "
                                                     "ORDER BY sum(up_bytes + down_bytes) DESC, customer LIMIT 1000"),
         Variable("service", say("Service", "业务"), f"SELECT service FROM grafana_services_1h WHERE {TIME} AND {chosen('customer')} GROUP BY service "
                                                   "ORDER BY sum(up_bytes + down_bytes) DESC, service LIMIT 1000")),
        (
            Panel("stat", say("Customers with traffic", "有流量的客户"), say("Distinct customers in the range", "时段内有流量的客户数"),
                  f"SELECT uniqExact(customer) AS value FROM {hours}", units.NoUnit, 6, 4),
            Panel("stat", say("Volume", "流量"), octets, f"SELECT sum(up_bytes + down_bytes) AS value FROM {hours}", units.BytesSI, 6, 4),
            Panel("stat", say("Covered by a binding", "已绑定占比"),
                  say("Share of local traffic that a binding gives to a service; the rest is counted by network", "本网流量中已绑定到业务的占比，其余按网段计"),
                  f"SELECT bound / nullIf(bound + unbound, 0) AS value FROM (SELECT (SELECT sum(up_bytes + down_bytes) FROM grafana_services_1h WHERE "
                  f"{TIME}) AS bound, "
                  f"(SELECT sum(up_bytes + down_bytes) FROM grafana_unbound_1h WHERE {TIME}) AS unbound)", units.PercentUnit, 6, 4),
            Panel("stat", say("Metered elsewhere", "他处计量"), say("Traffic of services that was seen where they are not metered: counted, never billed",
                  "在非计量点观测到的业务流量：计数但不计费"),
                  f"SELECT sum(duplicate_bytes) AS value FROM {hours}", units.BytesSI, 6, 4),
            Panel("series", say("Rate by customer", "各客户速率"), say("The ten customers with most traffic, and the rest", "流量最大的十个客户及其余"),
                  leading(course, "customer", "octets", others, 10, f"8 / {SECONDS}"), units.BitsPerSecondSI, stacked=True, height=10),
            Panel("series", say("Down and up", "上下行"), say("Of all chosen customers and services", "所选客户与业务合计"),
                  lines(f"SELECT {SLOT}, sum(down_bytes) * 8 / {SECONDS} AS down, sum(up_bytes) * 8 / {SECONDS} AS up FROM {course} GROUP BY time",
                        {say("Down", "下行"): "down", say("Up", "上行"): "up"}), units.BitsPerSecondSI, height=10),
            Panel("table", say("Customers", "客户列表"), octets,
                  f"SELECT customer, uniqExact(service) AS services, sum(up_bytes + down_bytes) AS volume, sum(down_bytes) AS down, sum(up_bytes) AS up, "
                  f"sum(flows) AS opened, "
                  f"max(up_bytes + down_bytes) * 8 / 3600 AS busiest, sum(up_bytes + down_bytes) * 8 / {RANGE} AS mean FROM {hours} GROUP BY customer "
                  "ORDER BY volume DESC, customer LIMIT 500", height=11, columns={
                      "customer": Column(say("Customer", "客户")), "services": Column(say("Services", "业务数")), "volume": Column(say("Volume", "流量"),
                            units.BytesSI),
                      "down": Column(say("Down", "下行"), units.BytesSI), "up": Column(say("Up", "上行"), units.BytesSI), "opened": Column(say("Flows",
                            "会话数"), units.Short),
                      "busiest": Column(say("Busiest hour of a service", "单业务最忙小时"), units.BitsPerSecondSI), "mean": Column(say("Mean rate",
                            "平均速率"), units.BitsPerSecondSI)}),
            Panel("table", say("Services and their quality", "业务质量"),
                  say("Round trip to the service, retransmissions, connections it tried that were answered", "到业务侧的往返时延、重传率、连接应答率"),
                  "SELECT service, any(customer) AS customer, sum(up_bytes + down_bytes) AS volume, max(up_bytes + down_bytes) * 8 / 3600 AS busiest, "
                  "sum(rtt_sum_us) / nullIf(sum(rtt_count), 0) / 1000 AS rtt, (sum(up_retransmissions) + sum(down_retransmissions)) / "
                  "nullIf(sum(up_packets + down_packets), 0) AS again, sum(syn_ack_down) / nullIf(sum(syn_up), 0) AS answered, sum(minutes) AS busy_minutes "
                  f"FROM {hours} GROUP BY service ORDER BY volume DESC, service LIMIT 500", height=11, columns={
                      "service": Column(say("Service", "业务")), "customer": Column(say("Customer", "客户")), "volume": Column(say("Volume", "流量"),
                            units.BytesSI),
                      "busiest": Column(say("Busiest hour", "最忙小时"), units.BitsPerSecondSI), "rtt": Column(say("Mean RTT", "平均 RTT"), units.Milliseconds),
                      "again": Column(say("Sent again", "重传率"), units.PercentUnit, 2), "answered": Column(say("Answered", "应答率"), units.PercentUnit, 1),
                      "busy_minutes": Column(say("Minutes with traffic", "有流量分钟数"))}),
            Panel("series", say("What they use", "使用的应用"),
                  say("Rate by application of the chosen customers and services, by hour; beyond three days by day",
                      "所选客户与业务的各应用速率，按小时；超过三天按天"),
                  leading(applications, "application", "octets", others, 10, slot, unknown), units.BitsPerSecondSI, 16,
                  9, stacked=True),
            Panel("bars", say("Categories", "类别"), octets,
                  f"SELECT if(category = '', '{unknown}', toString(category)) AS name, sum(octets) AS value FROM {applications} GROUP BY name "
                  "ORDER BY value DESC, name LIMIT 20", units.BytesSI, 8, 9),
            Panel("bars", say("Local, without a binding", "未绑定的本网流量"), say("Networks inside local_networks that no binding covers",
                  "local_networks 内未被绑定覆盖的网段"),
                  f"SELECT toString(prefix) AS name, sum(up_bytes + down_bytes) AS value FROM grafana_unbound_1h WHERE {TIME} GROUP BY name ORDER BY value "
                  f"DESC, name LIMIT 20",
                  units.BytesSI, 24, 8),
        ),
        losses(say),
    )
