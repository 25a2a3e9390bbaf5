"""The evidence chain, step by step: each figure that was made of something is a link to what it was made of."""
from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from bss.desk import Desk
from bss.language import catalogue
from bss.moment import read
from bss.pages.visitor import Visit, Visitor
from bss.refusal import Refusal
from bss.tracing import chain, gate, things
from bss.tracing.flows import Chosen
from bss.tracing.rollup import STEPS
from bss.tracing.step import Figure, Step

router = APIRouter()
#: Where the words for a figure's value stand in language/, by its name, or by the kind of step and its name; values of others are shown as they are.
PARTS = {
    **dict.fromkeys(("directions", "hours", "minutes", "told"), "trace."),
    **dict.fromkeys(("state", "kind", "class", "severity", "line_kind", "milestone"), "state."),
    **dict.fromkeys(("verdict", "minute_state", "measured_as", "slaMonth state", "credit state"), "sla_state."), "why": "sla_reason.", "algorithm": "trace.by_",
    "ticket state": "state.ticket.", "ticket field": "state.evidence.", "ticket value": "state.", "credit field": "credit_why.", "credit value": "credit_is.",
}


@router.get("/trace/{thing_id}")
def thing(visit: Visit, thing_id: str) -> Response:
    """A thing, by its id or number."""
    return _shown(visit, lambda desk: things.trace(desk, thing_id))


@router.get("/trace/{thing_id}/hours")
def hours(visit: Visit, thing_id: str, since: str = "", until: str = "") -> Response:
    """Closed hours of a service."""
    return _shown(visit, lambda desk: chain.hours(desk, [thing_id], *_span(desk, since, until)))


@router.get("/trace/{thing_id}/minutes")
def minutes(visit: Visit, thing_id: str, since: str = "", until: str = "") -> Response:
    """Closed minutes of a service."""
    return _shown(visit, lambda desk: chain.minutes(desk, thing_id, *_span(desk, since, until)))


@router.get("/trace/{thing_id}/flows")
def flows(visit: Visit, thing_id: str, since: str = "", until: str = "", table: str = "usage_1h", category: str | None = None,
          application: str | None = None) -> Response:
    """Flows of a service; that they were looked at is put on record."""
    if table not in STEPS:
        raise Refusal("invalid", f"{table!r} is no usage", "table")
    return _shown(visit, lambda desk: chain.flow(desk, thing_id, Chosen(table, *_span(desk, since, until), category, application)))


@router.get("/trace/{thing_id}/alert")
def alert(visit: Visit, thing_id: str) -> Response:
    """An alert and its detections."""
    return _shown(visit, lambda desk: chain.alert(desk, thing_id))


@router.get("/trace/{thing_id}/alertFlows")
def alert_flows(visit: Visit, thing_id: str) -> Response:
    """The flows that an alert was counted from."""
    return _shown(visit, lambda desk: chain.alert_flows(desk, thing_id))


def _span(desk: Desk, since: str, until: str) -> tuple[datetime, datetime]:
    zone = desk.office.settings.zone
    return chain.span(read(since, zone, "since") if since else None, read(until, zone, "until") if until else None, desk.now)


def _shown(visit: Visitor, what: Callable[[Desk], Step]) -> Response:
    step = visit.act(lambda desk: gate.opened(desk, what(desk)))
    known = catalogue(visit.lang)

    def cell(one: Figure) -> dict[str, Any]:
        return {"name": known.get(f"trace.{one.name}", one.name), "text": worded(visit, one, step.kind), "href": one.way.href() if one.way else "",
                "n": isinstance(one.value, int | float | Decimal) and not isinstance(one.value, bool)}

    tables = [{"name": visit.say(f"trace.{one.name}"), "heads": visit.heads(*(f"trace.{head}" for head in one.heads)), "more": one.more,
               "lines": [[cell(each) for each in line] for line in one.lines]} for one in step.rows]
    said = [{"text": visit.say(f"trace.said_{one.key}", **{name: visit.time(value, True) if isinstance(value, datetime) else value
                                                            for name, value in one.given.items()}), "good": one.good} for one in step.said]
    return visit.page("trace", step=step, title=visit.say(f"trace.of_{step.kind}"), figures=[cell(one) for one in step.figures], tables=tables, said=said)


def worded(visit: Visitor, one: Figure, kind: str) -> str:
    """A figure's value as people read it: exact, bytes and all. kind: of the step."""
    value = one.value
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return visit.time(value, True)
    if isinstance(value, bool):
        return visit.say("service.yes" if value else "service.no")
    if isinstance(value, int):
        return f"{value:,}" + (f" {one.unit}" if one.unit else "")
    if isinstance(value, str) and one.unit:
        return f"{value} {one.unit}"
    if isinstance(value, str):
        part = PARTS.get(f"{kind} {one.name}", PARTS.get(one.name))
        return value if part is None else catalogue(visit.lang).get(f"{part}{value}", value)
    return f"{value}" + (f" {one.unit}" if one.unit else "")
