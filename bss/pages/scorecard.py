"""Scorecards (后评估): all of a kind, ranked, and one with each figure, its score and where it was read."""
from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from bss.desk import Desk
from bss.pages.visitor import Visit, Visitor
from bss.refusal import Refusal
from bss.sla import evaluation
from bss.sla.scorecard import Scored, shown

router = APIRouter()


@router.get("/field/scorecards")
def scorecards(visit: Visit) -> Response:
    """The cards of a kind (?kind=), of the last 90 days."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("scorecard.read")
        alone = "contractor" in desk.actor.roles and not desk.may("calendar.write") and not desk.may("dispatch.write")
        kinds = ("contractor",) if alone else evaluation.SUBJECTS
        asked = visit.request.query_params.get("kind", "")
        kind = asked if asked in kinds else "contractor"
        card, rows = evaluation.all_of(desk, kind)
        return {"kind": kind, "kinds": kinds, "card": card, "span": _span(desk, visit),
                "rows": [(one, shown(one.total.total), [shown(line.score) for line in one.total.scored]) for one in rows]}

    return visit.page("scorecards", **visit.read(look))


@router.get("/field/scorecards/{kind}/{subject}")
def one(visit: Visit, kind: str, subject: str) -> Response:
    """One card."""
    def look(desk: Desk) -> dict[str, Any]:
        if kind not in evaluation.SUBJECTS:
            raise Refusal("missing", "there is no such scorecard", kind, "look at the list")
        card, row = evaluation.one(desk, kind, subject)
        return {"kind": kind, "card": card, "one": row, "total": shown(row.total.total), "span": _span(desk, visit),
                "lines": [(line, _value(line), shown(line.score), shown(line.share), json.dumps(dict(line.evidence), ensure_ascii=False))
                          for line in row.total.scored]}

    return visit.page("scorecard", **visit.read(look))


def _span(desk: Desk, visit: Visitor) -> str:
    told = evaluation.span_of(desk, None, None)
    begin, end = (visit.time(datetime.fromisoformat(str(told[name]))) for name in ("startDateTime", "endDateTime"))
    return visit.say("scorecard.span", begin=begin, end=end)


def _value(line: Scored) -> str:
    return "" if line.value is None else f"{line.value:.2f} {line.kpi.unit}".strip()
