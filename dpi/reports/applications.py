"""Which applications, protocols and categories, and how surely?"""
from __future__ import annotations

from dpi.flow.figures import TOP, Figures, Share, merged, ranked
from dpi.reports.question import LABEL, NAMED, SUMS, Question


def answer(ask: Question, out: Figures) -> None:
    """Fill applications, protocols, categories and confidences."""
    lines: dict[tuple[str, bool], Share] = {}
    for label, is_named, category, confidence, flows, packets, octets in ask.rows(
            f"{LABEL} AS label, {NAMED} AS is_named, any(category), confidence, {SUMS}", tail="GROUP BY label, is_named, confidence"):
        line = lines.setdefault((str(label), bool(is_named)), Share(str(label), category=str(category), named=bool(is_named)))
        line.flows, line.packets, line.bytes = line.flows + int(flows), line.packets + int(packets), line.bytes + int(octets)
        if int(octets):
            line.confidence[str(confidence)] = line.confidence.get(str(confidence), 0) + int(octets)
    out.distinct["applications"] = sum(named for _, named in lines)
    out.applications = ranked(merged(lines.values()))
    protocols = ask.shares("protocol", 100_000)
    out.protocols, out.distinct["protocols"] = protocols[:TOP], sum(bool(share.name) for share in protocols)
    out.categories = ask.shares("category", TOP)
    out.confidences = ask.shares("confidence", TOP)
