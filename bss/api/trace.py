"""`/fullspan/v1/trace`: the evidence chain. A thing's figures lead to closed rollups, and these to flows; `href` of each figure is the next step."""
from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, Field

from bss.api.entrance import Who
from bss.desk import Desk
from bss.tracing import chain, gate, things
from bss.tracing.flows import Chosen
from bss.tracing.step import Step, told

PATH = "/fullspan/v1/trace"
router = APIRouter(prefix=PATH, tags=["trace"])
Id = Annotated[str, Field(max_length=64)]
Name = Annotated[str | None, Query(max_length=200)]
Usage = Literal["usage_1h", "usage_1m"]


def _answer(who: Who, look: Callable[[Desk], Step]) -> JSONResponse:
    return JSONResponse(told(who.audited(lambda desk: gate.opened(desk, look(desk))), PATH))


@router.get("/{id}")
def thing(who: Who, id: Id) -> JSONResponse:
    """A service, bill, rated charge, month of an SLA, credit or ticket, by its id or number."""
    return _answer(who, lambda desk: things.trace(desk, id))


@router.get("/{id}/hours")
def hours(who: Who, id: Id, since: AwareDatetime | None = None, until: AwareDatetime | None = None) -> JSONResponse:
    """A service's closed hours in a time (the last day), with whether they are as they were closed."""
    def look(desk: Desk) -> Step:
        return chain.hours(desk, [id], *chain.span(since, until, desk.now))

    return _answer(who, look)


@router.get("/{id}/minutes")
def minutes(who: Who, id: Id, since: AwareDatetime | None = None, until: AwareDatetime | None = None) -> JSONResponse:
    """A service's closed minutes in a time, with whether its probe saw them well."""
    def look(desk: Desk) -> Step:
        return chain.minutes(desk, id, *chain.span(since, until, desk.now))

    return _answer(who, look)


@router.get("/{id}/flows")
def flows(who: Who, id: Id, since: AwareDatetime | None = None, until: AwareDatetime | None = None, table: Usage = "usage_1h", category: Name = None,
          application: Name = None) -> JSONResponse:
    """The flows of a service in a time: sums, and rows for whoever may see traffic. table: whose slots are meant."""
    def look(desk: Desk) -> Step:
        return chain.flow(desk, id, Chosen(table, *chain.span(since, until, desk.now), category, application))

    return _answer(who, look)


@router.get("/{id}/alert")
def alert(who: Who, id: Id) -> JSONResponse:
    """An alert of the probe, and the detections that it was made of."""
    return _answer(who, lambda desk: chain.alert(desk, id))


@router.get("/{id}/alertFlows")
def alert_flows(who: Who, id: Id) -> JSONResponse:
    """The flows that an alert was counted from."""
    return _answer(who, lambda desk: chain.alert_flows(desk, id))
