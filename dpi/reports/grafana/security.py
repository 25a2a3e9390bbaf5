"""What attacks and faults were found, what of it goes on, and who is hit, by pseudonym?"""
from __future__ import annotations

from grafana_foundation_sdk.models import units

from dpi.reports.grafana.marks import alerts, losses
from dpi.reports.grafana.panels import Board, Column, Panel, Say, Variable
from dpi.reports.grafana.sql import TIME, Place, chosen, leading, quoted

_RANKS = ("critical", "high", "medium", "low")
_RANK = f"indexOf([{', '.join(map(quoted, _RANKS))}], toString(severity))"


def board(say: Say, places: tuple[Place, ...]) -> Board:
    """The dashboard in the language of `say`."""
    whose = f"{chosen('probe')} AND {chosen('severity')} AND {chosen('kind')}"
    begun = f"(SELECT time AS at, * FROM grafana_alerts WHERE {TIME} AND {whose})"
    # whatever its beginning: an attack that goes on is not forgotten when the range has passed that
    standing = f"(SELECT * FROM grafana_alerts WHERE time <= $__toTime AND last_time >= $__fromTime AND state != 'cleared' AND {whose})"
    found = f"(SELECT time AS at, kind, toUInt64(1) AS one FROM grafana_detections WHERE {TIME} AND {whose})"
    words = {"critical": say("critical", "紧急"), "high": say("high", "高"), "medium": say("medium", "中"), "low": say("low", "低")}
    called = f"transform(toString(severity), [{', '.join(map(quoted, words))}], [{', '.join(map(quoted, words.values()))}], toString(severity))"
    customer = f"if(customer = '', {quoted(say('several, or none known', '多个或未知'))}, customer)"
    lasted = "toUnixTimestamp64Micro(last_time) - toUnixTimestamp64Micro(at)"
    columns = {
        "began": Column(say("First packet", "首包时间"), "dateTimeAsIso"), "ended": Column(say("Last packet", "末包时间"), "dateTimeAsIso"),
        "severity": Column(say("Severity", "级别")), "state": Column(say("State", "状态")), "kind": Column(say("Kind", "类型")),
        "source": Column(say("Source", "来源")), "target": Column(say("Target", "目标")), "customer": Column(say("Customer", "客户")),
        "shared_by": Column(say("Customers who share it", "共享客户数")), "detections": Column(say("Detections", "检测次数"), units.Short),
        "technique": Column(say("ATT&CK", "ATT&CK 技术")), "probe": Column(say("Probe", "探针")), "alert": Column(say("Alert", "告警编号"), "string")}
    return Board(
        "security", say("Security", "安全告警"),
        say("Attacks and faults that detectors found. Addresses are cut to /24 and /48, customers are pseudonyms; `fullspan alerts show` tells all of an "
            "alert, with a reason.", "检测到的攻击与故障。地址截断为 /24 与 /48，客户为假名；完整内容须说明理由后用 fullspan alerts show 查看。"),
        (Variable("probe", say("Probe", "探针"), f"SELECT DISTINCT probe FROM grafana_alerts WHERE {TIME} ORDER BY probe LIMIT 1000"),
         Variable("severity", say("Severity", "级别"), f"SELECT DISTINCT severity FROM grafana_alerts WHERE {TIME} ORDER BY {_RANK}"),
         Variable("kind", say("Kind", "类型"), f"SELECT DISTINCT kind FROM grafana_alerts WHERE {TIME} ORDER BY kind LIMIT 1000")),
        (
            Panel("stat", say("Open, high and critical", "未清除的高危告警"), say("Alerts that are not cleared and had packets in the range",
                  "时段内有报文且未清除的告警"),
                  f"SELECT countIf(severity IN ('high', 'critical')) AS value FROM {standing}", units.NoUnit, 6, 4, limits=(1, 5)),
            Panel("stat", say("Alerts", "告警数"), say("Alerts that began in the range", "时段内开始的告警数"),
                  f"SELECT count() AS value FROM {begun}", units.NoUnit, 6, 4),
            Panel("stat", say("Customers hit", "受影响客户"), say("Customers who alone are hit by an alert; those who share a target are not counted",
                  "单独受影响的客户数；与他人共享目标的客户不计"),
                  f"SELECT uniqExactIf(customer, customer != '') AS value FROM {begun}", units.NoUnit, 6, 4),
            Panel("stat", say("Mean time open", "平均持续时间"), say("From the first to the last packet of alerts that are cleared",
                  "已清除告警从首包到末包的平均时长"),
                  f"SELECT avgIf({lasted}, state = 'cleared') / 1e6 AS value FROM {begun}", units.Seconds, 6, 4),
            Panel("bars", say("Open alerts by severity", "未清除告警（按级别）"), say("What somebody should look at now", "当前需要关注的告警"),
                  f"SELECT {called} AS name, count() AS value FROM {standing} GROUP BY severity ORDER BY {_RANK} LIMIT 20", units.NoUnit, 8, 8),
            Panel("series", say("Alerts a day by kind", "每日告警（按类型）"), say("By the day (UTC) on which they began", "按开始日期（UTC）统计"),
                  f"SELECT toStartOfDay(toDateTime(at, 'UTC')) AS time, toString(kind) AS series, count() AS value FROM {begun} GROUP BY time, series "
                  "ORDER BY time, series", units.NoUnit, 16, 8, stacked=True),
            Panel("series", say("Detections over time", "检测次数走势"), say("Firings of detectors, before they are folded into alerts, by kind",
                  "检测器触发次数（合并为告警之前），按类型"), leading(found, "kind", "one", say("others", "其他"), 10), units.NoUnit, 16, 9, stacked=True),
            Panel("bars", say("Customers hit most", "受影响最多的客户"), say("Alerts of each customer, by pseudonym", "各客户（假名）的告警数"),
                  f"SELECT customer AS name, count() AS value FROM {begun} WHERE customer != '' GROUP BY name ORDER BY value DESC, name LIMIT 20",
                  units.NoUnit, 8, 9),
            Panel("table", say("Kinds", "告警类型"), say("How often each kind was found, how long it lasted, and how many customers it hit",
                  "各类告警的次数、时长与受影响客户数"),
                  f"SELECT kind, argMin({called}, {_RANK}) AS worst, count() AS alerts, countIf(state != 'cleared') AS standing, sum(count) AS detections, "
                  f"uniqExactIf(customer, customer != '') AS customers, min(at) AS began, max(last_time) AS ended, avg({lasted}) / 1e6 AS lasts "
                  f"FROM {begun} GROUP BY kind ORDER BY alerts DESC, kind LIMIT 200", width=24, height=9, columns={
                      "kind": Column(say("Kind", "类型")), "worst": Column(say("Gravest", "最高级别")), "alerts": Column(say("Alerts", "告警数"), units.Short),
                      "standing": Column(say("Open", "未清除"), units.Short), "detections": Column(say("Detections", "检测次数"), units.Short),
                      "customers": Column(say("Customers hit", "受影响客户"), units.Short), "began": Column(say("First packet", "首包时间"), "dateTimeAsIso"),
                      "ended": Column(say("Last packet", "末包时间"), "dateTimeAsIso"), "lasts": Column(say("Mean time open", "平均持续时间"), units.Seconds)}),
            Panel("table", say("Last alerts", "最近告警"), say("The newest 200; addresses are cut to their network", "最新 200 条；地址仅显示网段"),
                  f"SELECT at AS began, last_time AS ended, {called} AS severity, toString(state) AS state, toString(kind) AS kind, source, target, "
                  f"{customer} AS customer, shared_by, count AS detections, toString(technique) AS technique, toString(probe) AS probe, alert_id AS alert "
                  f"FROM {begun} ORDER BY began DESC, alert LIMIT 200", width=24, height=12, columns=columns),
        ),
        (*losses(say), *alerts(say)),
    )
