"""`/fullspan/v1/scorecard/{kind}`: post-evaluation (后评估) of customers, orders and contractors, with where each figure was read."""
from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from bss.api.contact import aware
from bss.api.entrance import Who
from bss.desk import Desk
from bss.sla import evaluation
from bss.sla.evaluation import Ranked
from bss.sla.scorecard import Card, shown

ROOT = "/fullspan/v1/scorecard"
router = APIRouter(tags=["scorecard"])
Region = Annotated[str, Query(max_length=64)]


def told(card: Card, one: Ranked) -> dict[str, Any]:
    """A card filled in. total and scores with one decimal; values at full precision; null: no data."""
    return {"kind": card.key, "subject": {"id": one.subject, "name": one.name}, "total": None if one.total.total is None else shown(one.total.total),
            "place": one.place, "ranked": one.total.ranked, "cases": one.total.cases, "enough": card.enough,
            "kpi": [{"key": line.kpi.key, "name": line.kpi.name.model_dump(), "unit": line.kpi.unit, "weight": str(line.kpi.weight),
                     "floor": str(line.kpi.floor), "target": str(line.kpi.target), "value": None if line.value is None else str(line.value),
                     "score": None if line.score is None else shown(line.score), "share": shown(line.share), "cases": line.cases,
                     "evidence": dict(line.evidence)} for line in one.total.scored]}


@router.get(ROOT + "/{kind}")
def listed(who: Who, kind: str, since: datetime | None = None, until: datetime | None = None, region: Region = "") -> JSONResponse:
    """The cards of a kind (customer, order, contractor), ranked, of a time: the last 90 days where none is named."""
    begin, end = aware(since, "since"), aware(until, "until")

    def look(desk: Desk) -> JSONResponse:
        card, rows = evaluation.all_of(desk, kind, begin, end, region)
        return JSONResponse({"period": evaluation.span_of(desk, begin, end), "card": [told(card, one) for one in rows]})
    return who.read(look)


@router.get(ROOT + "/{kind}/{subject}")
def one(who: Who, kind: str, subject: str, since: datetime | None = None, until: datetime | None = None) -> JSONResponse:
    """The card of one customer, order or contractor, by id."""
    begin, end = aware(since, "since"), aware(until, "until")

    def look(desk: Desk) -> JSONResponse:
        card, row = evaluation.one(desk, kind, subject, begin, end)
        return JSONResponse({"period": evaluation.span_of(desk, begin, end), **told(card, row)})
    return who.read(look)
