"""Dunning: cases with what is open and since when, and what may be done about each."""
from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from sqlalchemy import select

from bss.billing import dunning, states, writeoff
from bss.billing.journal import today
from bss.desk import Desk
from bss.pages.bill import whose
from bss.pages.visitor import ROWS, Visit
from bss.tables import Bill, DunningCase, WriteOff

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
        offs: list[Any] = [] if desk.actor.outside else list(desk.session.execute(writeoff.listed(desk).limit(ROWS)).scalars())
        offs.sort(key=lambda row: row.state != "proposed")
        bills |= {one.id: one for one in desk.session.scalars(select(Bill).where(Bill.id.in_([row.bill_id for row in offs])))}
        waiting = {row.bill_id for row in offs if row.state == "proposed"}
        return {"rows": rows, "bills": bills, "days": days, "names": whose(desk, [row.customer_id for row in (*rows, *offs)]),
                "moves": {row.id: _moves(desk, row) for row in rows}, "offs": offs, "decisions": {row.id: _decisions(desk, row) for row in offs},
                "hopeless": {row.id for row in rows if days[row.id] > 0 and row.bill_id not in waiting and desk.may("dunning.write")}}
    return visit.page("dunning", said=visit.request.query_params.get("said", ""), **visit.read(look))


def _moves(desk: Desk, row: DunningCase) -> list[str]:
    """What this actor may do about a case."""
    ways = [*states.DUNNING.ways[row.state], *((row.prior_state,) if row.state == "disputed" and row.prior_state else ())]
    if row.state not in (*DECIDED, "disputed"):
        ways = [to for to in ways if to not in dunning.NOTICES]
    def needs(to: str) -> str:
        return "dunning.approve" if to in ("suspended", "terminated") or (row.state in DECIDED and to != "disputed") else "dunning.write"
    return [to for to in ways if to != "cleared" and desk.may(needs(to))]


def _decisions(desk: Desk, row: WriteOff) -> list[str]:
    """What this actor may do about a write-off."""
    return [to for to in states.WRITE_OFF.ways[row.state] if desk.may("payment.write" if to == "reversed" else "payment.approve")]


@router.post("/bills/one/{bill_id}/write-off")
async def proposed(visit: Visit, bill_id: str) -> Response:
    """Propose that what is open of a bill is given up."""
    reason = visit.form.get("reason", "")
    await run_in_threadpool(visit.act, lambda desk: writeoff.propose(desk, bill_id, reason))
    return visit.back("/bills/dunning", visit.say("dunning.proposed"))


@router.post("/bills/write-offs/{write_off_id}/move")
async def decided(visit: Visit, write_off_id: str) -> Response:
    """Approve a write-off or reject it, as the second person; or take it back."""
    to, reason = visit.form.get("to", ""), visit.form.get("reason", "")
    row = await run_in_threadpool(visit.act, lambda desk: writeoff.move(desk, write_off_id, to, reason))
    return visit.back("/bills/dunning", visit.say("dunning.off_moved", state=visit.state(row.state)))


@router.post("/bills/dunning/{dunning_case_id}/move")
async def moved(visit: Visit, dunning_case_id: str) -> Response:
    """Take a case on."""
    to, reason = visit.form.get("to", ""), visit.form.get("reason", "")
    row = await run_in_threadpool(visit.act, lambda desk: dunning.move(desk, dunning_case_id, to, reason))
    return visit.back("/bills/dunning", visit.say("dunning.moved", state=visit.state(row.state)))
