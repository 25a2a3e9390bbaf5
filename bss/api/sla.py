"""TMF657 Service Quality: what is promised as specifications and objectives, and what was measured of each service's months, its minutes and what stands behind
them, as results; reclassifications; the report."""
from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import Field
from sqlalchemy import select

from bss.api import shape
from bss.api.contact import Model
from bss.api.entrance import Who
from bss.api.shape import Short
from bss.catalogue.document import Sla
from bss.desk import Desk
from bss.moment import iso
from bss.refusal import Refusal
from bss.sla import evidence, facts, keeping, measuring, reclassification, report, speedtest, verdict
from bss.sla import month as months
from bss.tables import Reclassification, Service, SlaMonth, SlaTerms
from bss.working import job

BASE = "/tmf-api/serviceQualityManagement/v4"
OWN = "/fullspan/v1"
router = APIRouter(tags=["service level"])
Reason = Annotated[str, Field(min_length=1, max_length=400)]


class Said(Model):
    """What unknown minutes of [since, until) were, why, and by what that is known."""
    since: datetime
    until: datetime
    state: Literal["up", "down", "excluded"]
    reason: Reason
    evidence: Annotated[dict[str, Annotated[str, Field(max_length=400)]], Field(max_length=10)]


class Decision(Model):
    """Approve it or reject it."""
    state: Literal["approved", "rejected"]
    reason: Annotated[str, Field(max_length=400)] = ""


class Test(Model):
    """A speed test, bit/s."""
    time: datetime
    down_bps: Annotated[int, Field(ge=0, le=10 ** 15)]
    up_bps: Annotated[int, Field(ge=0, le=10 ** 15)]
    note: Annotated[str, Field(max_length=400)] = ""


def objectives(row: SlaTerms) -> list[dict[str, Any]]:
    """The objectives of a version of promises. The warning threshold of availability is half of what may be lost."""
    document = Sla.model_validate(row.document)
    found: list[dict[str, Any]] = []
    for name, value, comparator, unit in (
            ("availability", document.availability_percent, ">=", "%"), ("firstResponse", document.response_minutes, "<=", "min"),
            ("restore", document.restore_minutes, "<=", "min"), ("activation", document.activation_days, "<=", "working day"),
            ("throughputFloor", document.floor_percent, ">=", "% of the ordered rate"), ("degradedMinutes", document.degraded_minutes, "<=", "min"),
            ("accessRoundTrip", document.rtt_ms, "<=", "ms"), ("loss", document.loss_percent, "<=", "%")):
        if value is None:
            continue
        key = f"{row.key}.{row.version}.{name}"
        action = f"credit by {document.credit.model}" if name == "availability" and document.credit else "ticket" if name == "availability" else ""
        found.append({"id": key, "href": f"{BASE}/serviceLevelObjective/{key}", "name": name, "conformanceTarget": str(value),
                      "conformanceComparator": comparator, "conformancePeriod": shape.span(row.valid_from, row.valid_to),
                      "thresholdTarget": str((100 + value) / 2) if name == "availability" else None, "unitOfMeasure": unit,
                      "serviceLevelObjectiveParameter": {"name": name, "parameterType": "KQI", "@type": "ServiceLevelObjectiveParameter"},
                      "serviceLevelObjectiveConsequence": [{"prescribedAction": action}] if action else [], "@type": "ServiceLevelObjective"})
    return found


def specification(row: SlaTerms) -> dict[str, Any]:
    """The promises of a class."""
    key = f"{row.key}.{row.version}"
    return {"id": key, "href": f"{BASE}/serviceLevelSpecification/{key}", "name": row.document["name"]["en"], "version": str(row.version),
            "validFor": shape.span(row.valid_from, row.valid_to), "relatedServiceLevelObjective": objectives(row), "credit": row.document.get("credit"),
            "@type": "ServiceLevelSpecification"}


def told(row: SlaMonth) -> dict[str, Any]:
    """A month of a service."""
    minutes = months.minutes_of_month(row)
    found = verdict.Faults(row.faults, row.down, minutes.up)
    return {"id": row.id, "href": f"{OWN}/service/{row.service_id}/sla/{row.month}", "service": {"id": row.service_id}, "month": row.month, "state": row.state,
            "relatedParty": [{"role": "customer", "id": row.customer_id}], "region": row.region, "revision": row.revision,
            "minutes": {"active": row.total, "excluded": row.excluded, "unknown": row.unknown, "down": row.down, "degraded": row.degraded},
            "availability": verdict.percent(minutes.availability), "coverage": verdict.percent(minutes.coverage), "best": verdict.percent(minutes.best),
            "worst": verdict.percent(minutes.worst), "verdict": row.verdict, "why": months.why(row) or None, "objective": months.objectives(row),
            "fault": {"count": row.faults, "restoreMinutes": _text(found.restore_minutes), "betweenMinutes": _text(found.between_minutes)},
            "measuredUntil": iso(row.measured_until), "closed": iso(row.closed), "ticket": {"id": row.ticket_id} if row.ticket_id else None,
            "evidence": row.evidence, "@type": "ServiceLevelResult"}


def reclassified(row: Reclassification) -> dict[str, Any]:
    """What somebody said of unknown minutes."""
    return {"id": row.id, "href": f"{OWN}/reclassification/{row.id}", "service": {"id": row.service_id}, "since": iso(row.since), "until": iso(row.until),
            "to": row.to_state, "reason": row.reason, "evidence": row.evidence, "before": row.before, "minutes": row.minutes, "state": row.state,
            "asked": iso(row.asked), "askedBy": row.asked_by, "decided": iso(row.decided), "decidedBy": row.decided_by, "answer": row.answer or None}


@router.get(f"{BASE}/serviceLevelSpecification")
def specifications(who: Who, key: Short = "", offset: shape.Offset = 0, limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """What is promised, by class."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("catalogue.read")
        query: Any = select(SlaTerms).order_by(SlaTerms.key, SlaTerms.version)
        return shape.page(desk.session, query.where(SlaTerms.key == key) if key else query, offset, limit, specification, fields)
    return who.read(look)


@router.get(BASE + "/serviceLevelSpecification/{id}")
def one_specification(who: Who, id: str) -> JSONResponse:
    """One version of them."""
    return who.read(lambda desk: JSONResponse(specification(_terms(desk, id))))


@router.get(f"{BASE}/serviceLevelObjective")
def all_objectives(who: Who, key: Short = "") -> JSONResponse:
    """Every objective of every version, or of one class of promises."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("catalogue.read")
        query = select(SlaTerms).order_by(SlaTerms.key, SlaTerms.version)
        rows = desk.session.execute(query.where(SlaTerms.key == key) if key else query).scalars()
        return JSONResponse([one for row in rows for one in objectives(row)])
    return who.read(look)


@router.get(BASE + "/serviceLevelObjective/{id}")
def one_objective(who: Who, id: str) -> JSONResponse:
    """One of them."""
    def look(desk: Desk) -> JSONResponse:
        found = [one for one in objectives(_terms(desk, id.rpartition(".")[0])) if one["id"] == id]
        if not found:
            raise Refusal("missing", f"there is no objective {id}", "id", "look at the list")
        return JSONResponse(found[0])
    return who.read(look)


@router.get(f"{OWN}/sla")
def listed(who: Who, month: Short = "", verdict: Short = "", customer: Short = "", service: Short = "", state: Short = "", offset: shape.Offset = 0,
           limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Months of services, the newest first."""
    return who.read(lambda desk: shape.page(desk.session, months.listed(desk, month, verdict, customer, service, state), offset, limit, told, fields))


@router.post(OWN + "/sla/{month}/close", status_code=202)
def close(who: Who, month: str) -> Response:
    """Have a month measured once more and closed, by the worker."""
    def act(desk: Desk) -> Response:
        measuring.demand_close(desk, month)
        job.add(desk, "sla.close", f"sla.close {month} {desk.now.isoformat()}", {"month": month, "user": desk.actor.id})
        return JSONResponse({"month": month, "state": "acknowledged"}, 202)
    return who.write(act)


@router.get(OWN + "/service/{service_id}/sla/{month}")
def one(who: Who, service_id: str, month: str) -> JSONResponse:
    """One month of a service."""
    def look(desk: Desk) -> JSONResponse:
        row = months.find(desk, service_id, month)
        return shape.one(told(row), row.revision)
    return who.read(look)


@router.get(OWN + "/service/{service_id}/sla/{month}/minute")
def spells(who: Who, service_id: str, month: str) -> JSONResponse:
    """The minutes of a month that were not simply up, those in a row as one: as they count, and as they were found."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("sla.read")
        desk.find(Service, service_id)
        found = keeping.held(desk, [service_id], *facts.span_of(desk, month)).get(service_id, [])
        return JSONResponse([{"from": iso(one.since), "to": iso(one.until), "minutes": (one.until - one.since) // timedelta(minutes=1), "state": one.state,
                              "measured": one.measured, "reason": one.reason, "reclassification": one.reclassification_id, "evidence": one.evidence}
                             for one in found])
    return who.read(look)


@router.get(OWN + "/service/{service_id}/sla/{month}/check")
def check(who: Who, service_id: str, month: str) -> JSONResponse:
    """Whether the store still says what the month was counted from."""
    return who.read(lambda desk: JSONResponse(evidence.check(desk, service_id, month)._asdict()))


@router.get(OWN + "/service/{service_id}/minute")
def minutes(who: Who, service_id: str, since: datetime, until: datetime) -> JSONResponse:
    """What the store says of minutes of a service, beside what was made of them. That it was looked at is put on record."""
    return who.audited(lambda desk: JSONResponse(evidence.told(evidence.of(desk, service_id, _aware(since, "since"), _aware(until, "until")))))


@router.post(OWN + "/service/{service_id}/reclassification", status_code=201)
def proposed(who: Who, service_id: str, sent: Said) -> Response:
    """Say what unknown minutes were."""
    def act(desk: Desk) -> Response:
        return JSONResponse(reclassified(reclassification.propose(desk, service_id, _aware(sent.since, "since"), _aware(sent.until, "until"), sent.state,
                                                                  sent.reason, sent.evidence)), 201)
    return who.write(act)


@router.post(OWN + "/service/{service_id}/speedTest", status_code=201)
def tested(who: Who, service_id: str, sent: Test) -> Response:
    """Record a speed test."""
    def act(desk: Desk) -> Response:
        row = speedtest.record(desk, service_id, _aware(sent.time, "time"), sent.down_bps, sent.up_bps, sent.note)
        return JSONResponse({"id": row.id, "service": {"id": row.service_id}, "time": iso(row.time), "down_bps": row.down_bps, "up_bps": row.up_bps}, 201)
    return who.write(act)


@router.get(f"{OWN}/reclassification")
def said(who: Who, state: Short = "", service: Short = "", offset: shape.Offset = 0, limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """What people said of unknown minutes, the newest first."""
    return who.read(lambda desk: shape.page(desk.session, reclassification.listed(desk, state, service), offset, limit, reclassified, fields))


@router.patch(OWN + "/reclassification/{reclassification_id}")
def decided(who: Who, reclassification_id: str, sent: Decision) -> Response:
    """Approve it, or reject it, as the second person."""
    return who.write(lambda desk: JSONResponse(reclassified(reclassification.decide(desk, reclassification_id, sent.state == "approved", sent.reason))))


@router.get(OWN + "/customer/{customer_id}/sla/{month}")
def reported(who: Who, customer_id: str, month: str, format: Literal["json", "html", "pdf"] = "json",
             lang: Annotated[str, Query(max_length=2)] = "") -> Response:
    """A customer's month. format: html and pdf as the report to print."""
    def look(desk: Desk) -> Response:
        if format == "json":
            return JSONResponse(report.of(desk, customer_id, month))
        if format == "html":
            return Response(report.html(desk, customer_id, month, lang), media_type="text/html")
        return Response(report.pdf(desk, customer_id, month, lang), media_type="application/pdf")
    return who.audited(look)


def _terms(desk: Desk, key: str) -> SlaTerms:
    desk.demand("catalogue.read")
    name, _, version = key.rpartition(".")
    found = desk.session.get(SlaTerms, (name, int(version))) if version.isdigit() and len(version) < 10 else None
    if found is None:
        raise Refusal("missing", f"there are no promises {key}", "id", "look at the list")
    return found


def _aware(moment: datetime, where: str) -> datetime:
    if moment.tzinfo is None:
        raise Refusal("invalid", "a time needs a zone", where, "write it as 2026-12-01T08:00:00+08:00")
    return moment


def _text(value: Any) -> str | None:
    return None if value is None else f"{value:f}"
