"""Which applications carry the traffic, how much, and when?"""
from __future__ import annotations

from dpi.reports.breakdown import breakdown
from dpi.reports.closing import opened
from dpi.reports.course import course
from dpi.reports.document import Report, Words
from dpi.reports.named import Named
from dpi.reports.request import SLOTS, Request
from dpi.reports.volumes import BYTES, DOWN, FLOWS, MEAN, PACKETS, SHARE, UP

_MEASURES = (FLOWS, PACKETS, UP, DOWN, BYTES, SHARE, MEAN)
_TITLES = {"category": Words("Categories", "类别")}


def make(ask: Request, out: Report) -> None:
    """A table by the dimension, one by category, and the course of the top lines."""
    table, source = breakdown(ask, ask.by, Words("Traffic by {}", "流量"), ask.by, _MEASURES, "bytes", bar="share")
    table.title = Words(f"Traffic by {table.columns[0].heading.en.lower()}", f"按{table.columns[0].heading.zh}统计的流量")
    out.tables.append(table)
    out.sources.append(source.name)
    out.notes += opened(ask, source)
    if ask.by == "application":
        second, source = breakdown(ask, "category", Words("Categories", "类别"), "category", _MEASURES, "bytes", bar="share")
        out.tables.append(second)
    if table.rows:
        split = "application" if ask.by in SLOTS else ask.by
        out.charts += course(ask, split, [str(row[0]) for row in table.rows] if split == ask.by else [], Words("Course", "流量走势"))


REPORT = Named(Words("Applications", "应用流量"), Words("Which applications carry the traffic, how much, and when?", "哪些应用产生流量，多少，何时？"),
               ("application", "category", "protocol", "customer", "service", "site", "link", "interface", "probe", "tag", *SLOTS),
               ("customer", "service", "application", "tag"), tuple(one.column for one in _MEASURES), make)
