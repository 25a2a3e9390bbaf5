"""Which attacks and faults were found, whom did they hit, how long did they last, and which were the worst?"""
from __future__ import annotations

from dpi.reports.breakdown import DIMENSIONS, Dimension, Measure, breakdown
from dpi.reports.document import Column, Report, Table, Words
from dpi.reports.named import Named
from dpi.reports.request import SLOTS, Request, held
from dpi.reports.sources import Source
from dpi.sinks.discretion import concealed

C = Column
_TAKEN = ("kind", "severity", "technique", "state", "first_time", "last_time", "count", "source", "target", "customer_id", "service_id", "shared_by", "probe")
#: The newest state of each alert.
_NEWEST = (f"(SELECT src.alert_id AS alert, {', '.join(f'argMax(src.{name}, src.revision) AS {name}' for name in _TAKEN)} FROM alerts AS src "
           "GROUP BY src.alert_id)")
_LASTED = "(toUnixTimestamp64Micro(last_time) - toUnixTimestamp64Micro(first_time)) / 1e6"
SOURCE = Source("alerts", _NEWEST, "first_time", 0, {"state": "state", "severity": "severity", "count": "count", "customer": "customer_id",
                                                     "first": "first_time", "last": "last_time", "lasted": _LASTED},
                {"kind": "kind", "severity": "severity", "technique": "technique", "customer": "customer_id", "service": "service_id", "probe": "probe"},
                micro=True)
_SHARED = Words("several, or none known", "多个或未知")
_DIMENSIONS = DIMENSIONS | {one.name: one for one in (
    Dimension("kind", Words("Kind", "类型")), Dimension("severity", Words("Severity", "级别")),
    Dimension("technique", Words("ATT&CK technique", "ATT&CK 技术"), Words("a fault", "故障")),
    Dimension("customer", Words("Customer", "客户"), _SHARED), Dimension("service", Words("Service", "业务"), _SHARED))}
_MEASURES = (
    Measure(C("alerts", "count", Words("Alerts", "告警数"), Words("alerts whose first packet lies in the period", "首包在时段内的告警数")), "count()"),
    Measure(C("grave", "count", Words("High, critical", "高危"), Words("of them, those of severity high or critical", "其中级别为高或紧急的告警数")),
            "countIf({severity} IN ('high', 'critical'))"),
    Measure(C("open", "count", Words("Open", "未清除"), Words("of them, those that are not cleared; of a capture, those that went on at its end", "其中未清除的告警数；抓包文件为结束时仍在持续的告警")),
            "countIf({state} != 'cleared')"),
    Measure(C("detections", "count", Words("Detections", "检测次数"), Words("firings of detectors that were folded into them", "合并到其中的检测触发次数")), "sum({count})"),
    Measure(C("customers", "count", Words("Customers", "客户数"), Words("customers who alone were hit or caused one; those who share a target are not counted", "单独受影响或引发告警的客户数；与他人共享目标的客户不计")),
            "uniqExactIf({customer}, {customer} != '')"),
    Measure(C("first_time", "time", Words("First", "最早"), Words("first packet of the first one", "最早告警的首包时间")), "toUnixTimestamp64Micro(min({first}))"),
    Measure(C("last_time", "time", Words("Last", "最晚"), Words("last packet of the last one", "最晚告警的末包时间")), "toUnixTimestamp64Micro(max({last}))"),
    Measure(C("mean_open", "span", Words("Mean time open", "平均持续"), Words("from the first to the last packet, of those that are cleared", "已清除告警从首包到末包的平均时长")),
            "avgIf({lasted}, {state} = 'cleared')"),
    Measure(C("longest", "span", Words("Longest", "最长"), Words("from the first to the last packet, of all", "全部告警从首包到末包的最长时长")), "max({lasted})"),
)
WORST = (
    C("alert_severity", "text", Words("Severity", "级别"), Words("gravest first; of equals the one with most detections", "最严重者在前；相同时检测次数多者在前")),
    C("alert_kind", "text", Words("Kind", "类型"), Words("what was detected", "检测到的类型")),
    C("state", "text", Words("State", "状态"), Words("raised, updated or cleared", "raised 已触发，updated 已更新，cleared 已清除")),
    C("source", "text", Words("Source", "来源"), Words("where it came from; none: several", "来源地址；空为多个")),
    C("target", "text", Words("Target", "目标"), Words("what it hit; none: several", "目标地址；空为多个")),
    C("alert_customer", "text", Words("Customer", "客户"), Words("who is hit, else who caused it; none: several, or none known", "受影响的客户，否则为引发者；空为多个或未知")),
    C("shared_by", "count", Words("Shared by", "共享客户数"), Words("customers who share the target", "共享目标的客户数")),
    C("begin", "time", Words("First packet", "首包"), Words("its first packet", "告警的首包时间")),
    C("lasted", "span", Words("Time open", "持续"), Words("from its first to its last packet", "从首包到末包的时长")),
    C("fired", "count", Words("Detections", "检测次数"), Words("firings folded into it", "合并到其中的检测触发次数")),
    C("alert", "text", Words("Alert", "告警编号"), Words("its id, for fullspan alerts show", "告警编号，可用 fullspan alerts show 查看")),
)


def make(ask: Request, out: Report) -> None:
    """By the dimension; by kind also by severity and day; and the worst one by one."""
    titles = {"kind": Words("Kinds", "告警类型"), "severity": Words("Severities", "告警级别"), "day": Words("Days", "按日")}
    for by in dict.fromkeys((ask.by, *(("severity", "day") if ask.by == "kind" else ()))):
        table, source = breakdown(ask, by, titles.get(by, Words("Alerts", "告警")), by, _MEASURES, "alerts", sources=(SOURCE,), dimensions=_DIMENSIONS)
        if table.rows:
            out.tables.append(table)
            out.sources.append(source.name)
    if not out.tables:
        first, end = held(ask.store)
        if ask.begin < end and first < ask.end:         # else nobody looked
            out.notes.append(Words("No attack or fault was found in this period.", "该时段内未发现攻击或故障。"))
        return
    total = dict(zip([column.name for column in out.tables[0].columns], out.tables[0].total or (), strict=True))
    out.facts += [(one.column.heading, "count", total[one.column.name]) for one in _MEASURES[:4]]
    out.tables.append(_worst(ask))


def _worst(ask: Request) -> Table:
    """The gravest. Addresses are cut to their network where names are masked."""
    rank = "indexOf(['critical', 'high', 'medium', 'low'], toString(severity))"
    found = ask.store.query(f"SELECT severity, kind, state, source, target, customer_id, shared_by, toUnixTimestamp64Micro(first_time), {_LASTED}, count, alert "
                            f"FROM {SOURCE.rows(ask)} WHERE {SOURCE.where(ask)} ORDER BY {rank}, count DESC, first_time, alert LIMIT {ask.top}").rows
    table = Table("worst", Words("The worst", "最严重的告警"), WORST)
    for severity, kind, state, source, target, customer, shared, begin, lasted, count, alert in found:
        ends = [(concealed(str(end)) if ask.masked else str(end)) or None for end in (source, target)]
        table.rows.append((str(severity), str(kind), str(state), *ends, str(customer) or None, int(shared), int(begin), float(lasted), int(count), str(alert)))
    return table


REPORT = Named(Words("Alerts", "安全告警"), Words("Which attacks and faults were found, whom did they hit, how long did they last, and which were the worst?",
                                             "发现了哪些攻击与故障，影响了谁，持续多久，最严重的有哪些？"),
               ("kind", "severity", "customer", "service", "technique", "probe", *SLOTS), ("customer", "service"),
               (*(one.column for one in _MEASURES), *WORST), make)
