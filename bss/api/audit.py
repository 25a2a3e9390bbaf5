"""`/fullspan/v1/audit`: what was done, by whom and why. What it holds of persons is told with a reason alone, and that is recorded."""
from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from bss import audit
from bss.api import shape
from bss.api.entrance import Who
from bss.desk import Desk
from bss.moment import iso
from bss.tables import AuditRow

ROOT = "/fullspan/v1/audit"
router = APIRouter(tags=["audit"])
Word = Annotated[str, Query(max_length=100)]


def told(row: AuditRow, detail: bool = False) -> dict[str, Any]:
    """A row as the API has it."""
    return {"number": row.number, "time": iso(row.time), "actor": row.actor, "action": row.action, "entity": row.entity, "entityId": row.entity_id,
            "reason": row.reason, "hash": bytes(row.hash).hex(), **({"detail": audit.detail(row)} if detail else {})}


@router.get(ROOT)
def rows(who: Who, entity: Word = "", entityId: Word = "", actor: Word = "", action: Word = "", since: datetime | None = None, until: datetime | None = None,
         detail: Annotated[bool, Query(description="what was before and after; needs a reason")] = False, reason: Annotated[str, Query(max_length=400)] = "",
         offset: shape.Offset = 0, limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Rows, the newest first. since, until: half-open, with an offset."""
    def look(desk: Desk) -> JSONResponse:
        query = audit.search(desk, entity, entityId, actor, action, since, until)
        if detail:
            audit.open_detail(desk, reason, {"entity": entity, "entityId": entityId, "actor": actor, "action": action})
        return shape.page(desk.session, query, offset, limit, lambda one: told(one, detail), fields)

    return who.audited(look) if detail else who.read(look)


@router.get(f"{ROOT}/check")
def check(who: Who) -> JSONResponse:
    """Walk the whole chain; 409 where a row is not as it was written."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("audit.read")
        number = audit.check(desk.session)
        return JSONResponse({"rows": number, "whole": True})

    return who.within(look)
