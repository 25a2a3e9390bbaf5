"""What is asked of DNS, and how are connections secured? Codes, delays, domains; TLS versions, suites, ALPN."""
from __future__ import annotations

from grafana_foundation_sdk.models import units

from dpi.reports.grafana.marks import losses
from dpi.reports.grafana.panels import Board, Column, Panel, Say, Variable
from dpi.reports.grafana.sql import RANGE, SLOT, TIME, Place, chosen, days, leading, lines, octaves, percentile, ratio

_OBSOLETE = "version IN ('SSL 2.0', 'SSL 3.0', 'TLS 1.0', 'TLS 1.1', 'DTLS 1.0')"


def board(say: Say, places: tuple[Place, ...]) -> Board:
    """The dashboard in the language of `say`."""
    probe = chosen("probe")
    dns = f"(SELECT time AS at, * FROM dns_5m WHERE {TIME} AND {probe})"
    five = "greatest($__interval_s, 300)"
    hour = "greatest($__interval_s, 3600)"
    hellos = f"(SELECT time AS at, * FROM tls_1h WHERE {TIME} AND {probe} AND role = 'server')"
    domains = f"{days('dns_names', 'name, queries, answers, nxdomain, failures', probe)} WHERE name != ''"
    others = say("others", "其他")
    slow = say("From question to answer, as the probe saw them", "探针观测到的查询至应答时间")
    return Board(
        "names", say("DNS and TLS", "DNS 与 TLS"), say("What is asked of DNS and how it answers; which TLS is spoken. DNS by five minutes, TLS by hour.",
                                                       "DNS 查询与应答情况；使用的 TLS 版本。DNS 粒度为五分钟，TLS 为一小时。"),
        (Variable("probe", say("Probe", "探针"), f"SELECT DISTINCT probe FROM links_1m WHERE {TIME} ORDER BY probe LIMIT 1000"),),
        (
            Panel("stat", say("Questions a second", "每秒查询"), say("DNS, mDNS and LLMNR", "DNS、mDNS 与 LLMNR"),
                  f"SELECT sumIf(messages, NOT is_response) / {RANGE} AS value FROM {dns}", units.CountsPerSecond, 6, 4),
            Panel("stat", say("No such name", "NXDOMAIN 占比"), say("Share of answers that say NXDOMAIN", "应答为 NXDOMAIN 的占比"),
                  f"SELECT sumIf(messages, response_code = 'NXDOMAIN' AND is_response) / nullIf(sumIf(messages, is_response), 0) AS value FROM {dns}",
                  units.PercentUnit, 6, 4, limits=(0.2, 0.5)),
            Panel("stat", say("Failures", "失败占比"), say("Share of answers with SERVFAIL, REFUSED or another error", "应答为 SERVFAIL、REFUSED 等错误的占比"),
                  f"SELECT sumIf(messages, is_response AND response_code NOT IN ('NOERROR', 'NXDOMAIN')) / nullIf(sumIf(messages, is_response), 0) AS value "
                  f"FROM {dns}",
                  units.PercentUnit, 6, 4, limits=(0.02, 0.1)),
            Panel("stat", say("Response time, 95 %", "响应时间 95%"), slow, f"SELECT {percentile(0.95)} AS value FROM {dns}", units.Milliseconds, 6, 4,
                  limits=(100, 500)),
            Panel("series", say("Answers by code", "应答码"), say("NOERROR, NXDOMAIN, SERVFAIL ... a second", "每秒各应答码数量"),
                  leading(f"(SELECT at, messages, response_code FROM {dns} WHERE is_response)", "response_code", "messages", others, 8, f"1 / {five}"),
                  units.CountsPerSecond, stacked=True),
            Panel("series", say("Questions by type", "查询类型"), say("A, AAAA, HTTPS ... a second", "每秒各类型查询数量"),
                  leading(f"(SELECT at, messages, query_type FROM {dns} WHERE NOT is_response)", "query_type", "messages", others, 8, f"1 / {five}"),
                  units.CountsPerSecond, stacked=True),
            Panel("series", say("Response time", "响应时间"), slow,
                  lines(f"SELECT {SLOT}, {percentile(0.5)} AS half, {percentile(0.95)} AS most FROM {dns} GROUP BY time",
                        {say("median", "中位数"): "half", "95 %": "most"}), units.Milliseconds),
            Panel("heatmap", say("Response times", "响应时间分布"), slow, octaves("dns_5m", f"measures > 0 AND {probe}"), units.Short),
            Panel("table", say("Domains asked for", "查询最多的域名"), say("Registered domains by questions, with what came back",
                  "按查询次数排序的注册域名及其应答"),
                  f"SELECT name, sum(queries) AS asked, sum(answers) AS answered, {ratio('nxdomain', 'answers')} AS absent, {ratio('failures', 'answers')} "
                  f"AS failed "
                  f"FROM {domains} GROUP BY name ORDER BY asked DESC, name LIMIT 200", height=11, columns={
                      "name": Column(say("Domain", "域名")), "asked": Column(say("Questions", "查询"), units.Short),
                      "answered": Column(say("Answers", "应答"), units.Short), "absent": Column("NXDOMAIN", units.PercentUnit, 1),
                      "failed": Column(say("Failures", "失败"), units.PercentUnit, 1)}),
            Panel("bars", say("Domains that do not exist", "不存在的域名"), say("Answers NXDOMAIN by domain: mistakes, and software that guesses names",
                  "按域名统计的 NXDOMAIN：误配置或猜测域名的软件"),
                  f"SELECT name, sum(nxdomain) AS value FROM {domains} GROUP BY name HAVING value > 0 ORDER BY value DESC, name LIMIT 20", units.Short,
                  height=11),
            Panel("stat", say("Obsolete TLS", "过时 TLS 占比"), say("Share of servers' hellos that chose TLS 1.1 or older",
                  "服务器选择 TLS 1.1 及更早版本的占比"),
                  f"SELECT sumIf(hellos, {_OBSOLETE}) / nullIf(sum(hellos), 0) AS value FROM {hellos}", units.PercentUnit, 6, 9, limits=(0.01, 0.05)),
            Panel("series", say("TLS versions chosen", "TLS 版本"), say("Hellos of servers a second, by hour", "每秒服务器握手数，按小时"),
                  leading(hellos, "version", "hellos", others, 8, f"1 / {hour}"), units.CountsPerSecond, 18, 9, stacked=True),
            Panel("bars", say("ALPN", "ALPN"), say("What is spoken inside, as chosen in the clear: TLS 1.3 hides it", "明文协商的内层协议；TLS 1.3 中不可见"),
                  f"SELECT if(alpn = '', '-', toString(alpn)) AS name, sum(hellos) AS value FROM {hellos} GROUP BY name ORDER BY value DESC, name LIMIT 20",
                  units.Short, 12, 9),
            Panel("table", say("Cipher suites", "加密套件"), say("What servers chose", "服务器选择的套件"),
                  f"SELECT version, cipher, sum(hellos) AS chosen FROM {hellos} GROUP BY version, cipher ORDER BY chosen DESC, version, cipher LIMIT 200",
                  height=9,
                  columns={"version": Column(say("Version", "版本")), "cipher": Column(say("Suite", "套件")), "chosen": Column(say("Hellos", "握手数"),
                        units.Short)}),
        ),
        losses(say),
    )


