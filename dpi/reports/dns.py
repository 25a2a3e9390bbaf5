"""What names were asked for, and how were they answered?"""
from __future__ import annotations

from dpi.flow.figures import TOP, Figures
from dpi.reports.question import Question

_BAD = "is_response AND response_code NOT IN ('NOERROR', '')"


def answer(ask: Question, out: Figures) -> None:
    """Fill the DNS figures."""
    queries, responses = ask.rows("countIf(NOT is_response), countIf(is_response)", "dns")[0]
    out.dns.queries, out.dns.responses = int(queries), int(responses)
    out.distinct["dns_names"] = 0
    if not out.dns.queries + out.dns.responses:
        return
    out.dns.codes = ask.counts("response_code", "dns", TOP, "is_response")
    out.dns.types = ask.counts("query_type", "dns", TOP, "NOT is_response")
    out.dns.names = ask.counts("query_name", "dns", TOP, "NOT is_response")
    out.dns.failing = ask.counts("query_name", "dns", TOP, _BAD)
    out.dns.delays = ask.delays("response_time_us", "dns")
    out.distinct["dns_names"] = int(ask.rows("uniqExact(query_name)", "dns", "NOT is_response AND query_name != ''")[0][0])
