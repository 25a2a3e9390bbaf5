"""Runs of bills: the list and how one is begun; one run with its bills by state, what its audit found, and what may be done next."""
from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from sqlalchemy import select

from bss.billing import audit, issuing, run, states
from bss.desk import Desk
from bss.pages.figures import figures
from bss.pages.listing import named
from bss.pages.visitor import Visit
from bss.refusal import Refusal
from bss.tables import Bill, BillRun, Customer, User

router = APIRouter()
SHOWN = 100
STEPS = {"trial": ("build", "cancel"), "built": ("audit", "cancel"), "audited": ("audit", "approve", "cancel"), "approved": ("issue",)}
NEEDS = {"approve": "bill.approve", "issue": "bill.approve"}


@router.get("/bills/runs")
def runs(visit: Visit) -> Response:
    """The list, and a form that begins one."""
    def look(desk: Desk) -> dict[str, Any]:
        rows: list[Any] = list(desk.session.execute(run.listed(desk).limit(SHOWN)).scalars())
        return {"rows": rows, "totals": {one.id: run.totals(desk, one.id) for one in rows}, "open": {one.id: audit.open_(desk, one.id) for one in rows},
                "period": run.last_period(desk), "users": named(desk, User, [one.begun_by for one in rows], lambda user: str(user.login))}
    return visit.page("bill_runs", said=visit.request.query_params.get("said", ""), **visit.read(look))


@router.post("/bills/runs")
async def begun(visit: Visit) -> Response:
    """Begin one."""
    anchor = visit.form.get("anchor", "1")
    if not anchor.isdigit():
        raise Refusal("invalid", f"{anchor[:20]!r} is no day of a month", "anchor", "write 1 to 31")

    def act(desk: Desk) -> str:
        row = run.start(desk, visit.form.get("period", ""), int(anchor), visit.form.get("customers", "").split())
        run.later(desk, row)
        return row.id
    key = await run_in_threadpool(visit.act, act)
    return visit.back(f"/bills/runs/{key}", visit.say("bill_run.started"))


@router.get("/bills/runs/{bill_run_id}")
def one(visit: Visit, bill_run_id: str) -> Response:
    """One of them."""
    def look(desk: Desk) -> dict[str, Any]:
        row = run.find(desk, bill_run_id)
        findings: list[Any] = list(desk.session.execute(audit.listed(desk, row.id, cleared=False).limit(SHOWN)).scalars())
        bills = {bill.id: bill for bill in desk.session.scalars(select(Bill).where(Bill.id.in_([finding.bill_id for finding in findings])))}
        held = list(desk.session.scalars(select(Bill).where(Bill.run_id == row.id, Bill.state == "onHold").order_by(Bill.id).limit(SHOWN)))
        names = named(desk, Customer, [bill.customer_id for bill in (*bills.values(), *held)], lambda customer: str(desk.shown(customer.party.name)))
        steps = [step for step in STEPS.get(row.state, ()) if desk.may(NEEDS.get(step, "bill.write"))]
        return {"one": row, "totals": run.totals(desk, row.id), "open": audit.open_(desk, row.id),
                "findings": [(finding, figures(visit, finding.detail, {})) for finding in findings], "bills": bills, "held": held,
                "names": names, "steps": steps, "meaning": states.RUN.meaning[row.state],
                "users": named(desk, User, [row.begun_by, row.approved_by], lambda user: str(user.login))}
    return visit.page("bill_run", said=visit.request.query_params.get("said", ""), **visit.read(look))


@router.post("/bills/runs/{bill_run_id}/step")
async def stepped(visit: Visit, bill_run_id: str) -> Response:
    """Take it on."""
    step, reason = visit.form.get("step", ""), visit.form.get("reason", "")

    def act(desk: Desk) -> str:
        run.find(desk, bill_run_id)
        issuing.take(desk, bill_run_id, step, reason)
        return desk.find(BillRun, bill_run_id).state
    state = await run_in_threadpool(visit.act, act)
    return visit.back(f"/bills/runs/{bill_run_id}", visit.say("bill_run.moved", state=visit.state(state)))


@router.post("/bills/runs/{bill_run_id}/clear")
async def cleared(visit: Visit, bill_run_id: str) -> Response:
    """Clear what was found: one finding, or all of a kind."""
    finding, kind, reason = visit.form.get("finding", ""), visit.form.get("kind", ""), visit.form.get("reason", "")
    await run_in_threadpool(visit.act, lambda desk: audit.clear(desk, bill_run_id, reason, (finding,) if finding else (), kind))
    return visit.back(f"/bills/runs/{bill_run_id}")
