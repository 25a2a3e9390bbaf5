"""Runs of bills: `/fullspan/v1/billRun`. Begun, audited, approved by a second person, issued; what takes long the worker does."""
from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from bss.api import shape
from bss.api.contact import Model
from bss.api.entrance import Who
from bss.api.order import Reason
from bss.billing import audit, issuing, run
from bss.desk import Desk
from bss.moment import iso
from bss.tables import BillFinding, BillRun

ROOT = "/fullspan/v1/billRun"
router = APIRouter(tags=["billing"])
Id = Annotated[str, Field(max_length=16)]


class New(Model):
    """A run of a period (2026-11). customers: ids of these alone; without any of all accounts with this anchor."""
    period: Annotated[str, Field(pattern=r"^\d{4}-\d{2}$")]
    anchor: Annotated[int, Field(ge=1, le=31)] = 1
    customers: Annotated[list[Id], Field(max_length=1000)] = []


class Step(Model):
    """build: go on making bills; audit; approve (a second person); issue; cancel; again: of these customers."""
    step: Literal["build", "audit", "approve", "issue", "cancel", "again"]
    reason: Reason = ""
    customers: Annotated[list[Id], Field(max_length=1000)] = []


class Clear(Model):
    """Say that what was found is as it should be: these findings, or all of a kind."""
    reason: Annotated[str, Field(min_length=1, max_length=400)]
    findings: Annotated[list[Id], Field(max_length=1000)] = []
    kind: Annotated[str, Field(max_length=16)] = ""


def told(desk: Desk, row: BillRun) -> dict[str, Any]:
    """A run, with its bills by state and what nobody has cleared."""
    return {"id": row.id, "href": f"{ROOT}/{row.id}", "period": row.period, "anchor": row.anchor, "whole": row.whole, "customers": row.customers,
            "state": row.state, "begun": iso(row.begun), "begunBy": row.begun_by, "audited": iso(row.audited), "approved": iso(row.approved),
            "approvedBy": row.approved_by, "issued": iso(row.issued), "stateReason": row.reason, **run.totals(desk, row.id),
            "findings": audit.open_(desk, row.id), "@type": "BillRun"}


def finding_told(row: BillFinding) -> dict[str, Any]:
    """Something that the audit found."""
    return {"id": row.id, "bill": {"id": row.bill_id}, "kind": row.kind, "detail": row.detail, "made": iso(row.made), "cleared": iso(row.cleared),
            "clearedBy": row.cleared_by, "reason": row.reason, "@type": "BillFinding"}


@router.get(ROOT)
def listed(who: Who, offset: shape.Offset = 0, limit: shape.Limit = 50) -> JSONResponse:
    """Runs, the newest first."""
    return who.read(lambda desk: shape.page(desk.session, run.listed(desk), offset, limit, lambda row: told(desk, row)))


@router.get(ROOT + "/{bill_run_id}")
def one(who: Who, bill_run_id: str) -> JSONResponse:
    """One run."""
    def look(desk: Desk) -> JSONResponse:
        row = run.find(desk, bill_run_id)
        return shape.one(told(desk, row), row.version)
    return who.read(look)


@router.get(ROOT + "/{bill_run_id}/finding")
def findings(who: Who, bill_run_id: str, kind: Annotated[str, Query(max_length=16)] = "", cleared: bool | None = None, offset: shape.Offset = 0,
             limit: shape.Limit = 100) -> JSONResponse:
    """What the audit of a run found."""
    def look(desk: Desk) -> JSONResponse:
        run.find(desk, bill_run_id)
        return shape.page(desk.session, audit.listed(desk, bill_run_id, kind, cleared), offset, limit, finding_told)
    return who.read(look)


@router.post(ROOT, status_code=201)
def made(who: Who, sent: New) -> Response:
    """Begin a run; its bills are made by the worker, those of a few customers at once."""
    def act(desk: Desk) -> Response:
        row = run.start(desk, sent.period, sent.anchor, sent.customers)
        run.later(desk, row)
        return shape.one(told(desk, row), row.version, 201)
    return who.write(act)


@router.post(ROOT + "/{bill_run_id}/step")
def stepped(who: Who, bill_run_id: str, sent: Step) -> Response:
    """Take a run on."""
    def act(desk: Desk) -> Response:
        issuing.take(desk, bill_run_id, sent.step, sent.reason, sent.customers)
        row = run.find(desk, bill_run_id)
        return shape.one(told(desk, row), row.version)
    return who.write(act)


@router.post(ROOT + "/{bill_run_id}/clear")
def cleared(who: Who, bill_run_id: str, sent: Clear) -> Response:
    """Clear what was found."""
    def act(desk: Desk) -> Response:
        return JSONResponse({"cleared": audit.clear(desk, bill_run_id, sent.reason, sent.findings, sent.kind), "findings": audit.open_(desk, bill_run_id)})
    return who.write(act)
