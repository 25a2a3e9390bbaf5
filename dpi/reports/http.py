"""Which web requests, and how were they answered?"""
from __future__ import annotations

from dpi.flow.figures import TOP, Figures, Share, ranked
from dpi.reports.question import Question


def answer(ask: Question, out: Figures) -> None:
    """Fill the HTTP figures."""
    http = out.http
    http.requests = int(ask.rows("count()", "http")[0][0])
    out.distinct["http_hosts"] = 0
    if not http.requests:
        return
    codes = ask.counts("toString(assumeNotNull(status))", "http", 1000, "status > 0 AND status < 1000")
    http.codes = ranked(codes, by="flows")
    classes: dict[str, int] = {}
    for share in codes:
        kind = f"{int(share.name) // 100}xx"
        classes[kind] = classes.get(kind, 0) + share.flows
    http.status = [Share(kind, classes[kind]) for kind in sorted(classes)]
    http.methods, http.types = ask.counts("method", "http", TOP), ask.counts("content_type", "http", TOP)
    http.hosts, http.agents = ask.counts("host", "http", TOP), ask.counts("user_agent", "http", TOP)
    http.delays = ask.delays("response_time_us", "http")
    out.distinct["http_hosts"] = int(ask.rows("uniqExact(host)", "http", "host != ''")[0][0])
