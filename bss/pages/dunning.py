"""Dunning: cases with what is open and since when, and what may be done about each."""
from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from sqlalchemy import select

from bss.billing import dunning, states
from bss.billing.journal import today
from bss.desk import Desk
from bss.pages.bill import whose
from bss.pages.visitor import ROWS, Visit
from bss.tables import Bill, DunningCase

router = APIRouter()
DECIDED = ("suspensionProposed", "terminationProposed")


@router.get("/bills/dunning")
def cases(visit: Visit) -> Response:
    """The list: what a person has to decide first, then by days."""
    def look(desk: Desk) -> dict[str, Any]:
        rows: list[Any] = list(desk.session.execute(dunning.listed(desk).where(DunningCase.state != "cleared").limit(4 * ROWS)).scalars())
        bills = {one.id: one for one in desk.session.scalars(select(Bill).where(Bill.id.in_([row.bill_id for row in rows])))}
        day = today(desk)
        days = {row.id: dunning.days_of(row, bills[row.bill_id].due or day, day) for row in rows}
        rows.sort(key=lambda row: (row.state not in DECIDED, -days[row.id]))
        return {"rows": rows, "bills": bills, "days": days, "names": whose(desk, [row.customer_id for row in rows]), "moves": {row.id: _moves(desk, row)
                                                                                                                      for row in rows}}
    return visit.page("dunning", said=visit.request.query_params.get("said", ""), **visit.read(look))


def _moves(desk: Desk, row: DunningCase) -> list[str]:
    """What this actor may do about a case."""
    ways = [*states.DUNNING.ways[row.state], *((row.prior_state,) if row.state == "disputed" and row.prior_state else ())]
    if row.state not in (*DECIDED, "disputed"):
        ways = [to for to in ways if to not in dunning.NOTICES]
    def needs(to: str) -> str:
        return "dunning.approve" if to in ("suspended", "terminated") or (row.state in DECIDED and to != "disputed") else "dunning.write"
    return [to for to in ways if to != "cleared" and desk.may(needs(to))]


@router.post("/bills/dunning/{dunning_case_id}/move")
async def moved(visit: Visit, dunning_case_id: str) -> Response:
    """Take a case on."""
    to, reason = visit.form.get("to", ""), visit.form.get("reason", "")
    row = await run_in_threadpool(visit.act, lambda desk: dunning.move(desk, dunning_case_id, to, reason))
    return visit.back("/bills/dunning", visit.say("dunning.moved", state=visit.state(row.state)))
