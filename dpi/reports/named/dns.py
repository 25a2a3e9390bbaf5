"""What is asked of DNS, how often is it answered with an error, and how fast?"""
from __future__ import annotations

from dpi.reports.breakdown import Measure, breakdown, of_total, per
from dpi.reports.document import Column, Report, Words
from dpi.reports.named import Named
from dpi.reports.request import SLOTS, Request
from dpi.reports.sources import DNS

C = Column
_MEASURES = (
    Measure(C("queries", "count", Words("Questions", "查询数"), Words("questions that were seen; mDNS and LLMNR among them", "看到的查询数，含 mDNS 与 LLMNR")), "{queries}"),
    Measure(C("query_share", "share", Words("Share", "占比"), Words("of all questions", "占全部查询的比例")), derive=of_total("queries")),
    Measure(C("answers", "count", Words("Answers", "应答数"), Words("answers that were seen", "看到的应答数")), "{answers}"),
    Measure(C("nxdomain", "count", Words("No such name", "域名不存在"), Words("answers NXDOMAIN", "应答 NXDOMAIN 数")), "{nxdomain}"),
    Measure(C("nxdomain_share", "share", Words("No such name %", "不存在率"), Words("of the answers", "占应答的比例")), derive=per("nxdomain", "answers")),
    Measure(C("failures", "count", Words("Failures", "失败"), Words("answers other than NOERROR and NXDOMAIN", "NOERROR 与 NXDOMAIN 以外的应答数")), "{failures}"),
    Measure(C("failure_share", "share", Words("Failures %", "失败率"), Words("of the answers", "占应答的比例")), derive=per("failures", "answers")),
    Measure(C("measured", "count", Words("Timed", "时延样本"), Words("answers whose question was seen", "看到对应查询的应答数")), "{n_answered}"),
    Measure(C("response_p50_us", "delay", Words("Median", "时延中位数"), Words("half of them took no longer", "应答时间中位数")), "{p50_answered}"),
    Measure(C("response_p95_us", "delay", Words("95th", "时延 95 分位"), Words("95 % of them took no longer", "应答时间 95 分位")), "{p95_answered}"),
)


def make(ask: Request, out: Report) -> None:
    """By the dimension; by domain also by answer and by type."""
    for by in dict.fromkeys((ask.by, *(("code", "type") if ask.by == "name" else ()))):
        titles = {"name": Words("Domains", "域名"), "code": Words("Answers", "应答码"), "type": Words("Types", "查询类型")}
        rank = "answers" if by == "code" else "queries"
        table, source = breakdown(ask, by, titles.get(by, Words("DNS", "DNS")), by, _MEASURES, rank, sources=DNS, bar="query_share" if by != "code" else "")
        out.tables.append(table)
        out.sources.append(source.name)
    if out.tables[0].total and out.tables[0].rows:
        if "dns_names_1h" in out.sources:
            out.tables[0].notes.append(Words("Out of the rollup by hour: of each block of rows the first 500 domains have a name.", "取自按小时汇总：每个数据块只保留前 500 个域名。"))
        if "dns_5m" in out.sources:
            out.tables[-1].notes.append(Words("Out of histograms with two bins a doubling: a delay is told as the least of its bin.", "取自直方图，每倍程两档，按所在档的下限显示。"))


REPORT = Named(Words("DNS", "DNS 解析"), Words("What is asked of DNS, how often is it answered with an error, and how fast?", "查询了哪些域名，出错多少，多快？"),
               ("name", "type", "code", "probe", *SLOTS), (), tuple(one.column for one in _MEASURES), make)
