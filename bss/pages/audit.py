"""The audit log, and whether its chain is whole."""
from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from bss.audit import check, search
from bss.desk import Desk
from bss.pages.visitor import Visit

router = APIRouter()
MOST = 200


@router.get("/audit")
def audit(visit: Visit, entity_id: str = "", actor: str = "", whole: bool = False) -> Response:
    """The newest rows."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("audit.read")
        count = check(desk.session) if whole else 0
        found = list(desk.session.execute(search(desk, entity_id=entity_id[:64], actor=actor[:100]).limit(MOST)).scalars())
        desk.record("audit.read", ("audit", entity_id[:64] or actor[:64] or "all"))
        return {"rows": found, "count": count}

    return visit.page("audit", entity_id=entity_id, actor=actor, **visit.act(look))
