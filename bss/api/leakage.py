"""`/fullspan/v1/leakage`: the report of a day, as it was written, with what was measured."""
from __future__ import annotations

from datetime import date
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from bss.api.entrance import Who
from bss.desk import Desk
from bss.moment import iso
from bss.services import leakage

router = APIRouter(prefix="/fullspan/v1/leakage", tags=["leakage"])


def told(line: leakage.Line) -> dict[str, Any]:
    """A line of the report."""
    return {"kind": line.kind, "subject": line.subject, "customerId": line.customer_id, "region": line.region or None, "bytes": line.bytes,
            "evidence": line.evidence}


@router.get("/{day}")
def report(who: Who, day: date) -> JSONResponse:
    """The lines of a day. written null: it was not written, or there was nothing to say."""
    def look(desk: Desk) -> JSONResponse:
        return JSONResponse({"day": day.isoformat(), "written": iso(leakage.written(desk, day)), "line": [told(one) for one in leakage.report(desk, day)]})

    return who.read(look)
