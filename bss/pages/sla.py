"""Service levels: the list of months, one month of a service with its minutes as a strip, what stands behind a minute, what people say of unknown ones, a
customer's report."""
from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from bss.desk import Desk
from bss.moment import iso
from bss.moment import read as read_time
from bss.pages.cell import link, number, text
from bss.pages.listing import listed, named
from bss.pages.visitor import HEADERS, POLICY, Visit, Visitor
from bss.refusal import Refusal
from bss.sla import evidence, facts, keeping, measuring, reclassification, report, verdict
from bss.sla import month as months
from bss.sla.keeping import Kept
from bss.tables import Credit, Customer, Reclassification, Service, SlaMonth, User
from bss.tracing.step import Way
from bss.working import job

router = APIRouter()
DAY, LINE = 1440, 9                 # minutes of a line of the strip, and its height
COLOURS = {"up": "#cfe9da", "down": "#b3363f", "unknown": "#9aa5b1", "excluded": "#8fb3dc", "degraded": "#e0b040"}
SPAN = timedelta(hours=1)           # of evidence that is shown at once


@router.get("/sla")
def all_months(visit: Visit) -> Response:
    """The list."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("sla.read")
        filters = {"month": SlaMonth.month, "verdict": SlaMonth.verdict, "region": SlaMonth.region}
        found = listed(desk, desk.select(SlaMonth), visit, filters, SlaMonth.id.desc())
        circuits = named(desk, Service, [one.service_id for one in found["rows"]], lambda one: str(one.circuit))
        whose = named(desk, Customer, [one.customer_id for one in found["rows"]], lambda one: str(desk.shown(one.party.name)))
        found["cells"] = []
        for one in found["rows"]:
            minutes = months.minutes_of_month(one)
            found["cells"].append([
                link(one.month, f"/sla/{one.service_id}/{one.month}"), link(circuits.get(one.service_id, ""), f"/services/{one.service_id}"),
                link(whose.get(one.customer_id, ""), f"/customers/{one.customer_id}/sla/{one.month}"),
                number(one.promised.get("availability_percent") or "–"), number(verdict.percent(minutes.availability)),
                number(verdict.percent(minutes.coverage)),
                text(visit.say(f"sla_state.{one.verdict}")), number(one.down), number(one.unknown), number(one.degraded),
                text(visit.say(f"sla_state.{one.state}"))])
        return found

    heads = visit.heads("sla.month", "sla.service", "sla.report", "sla.target", "sla.availability", "sla.coverage", "sla.verdict", "sla.down", "sla.unknown",
                        "sla.degraded", "sla.state", numbers=("sla.target", "sla.availability", "sla.coverage", "sla.down", "sla.unknown", "sla.degraded"))
    return visit.page("list", what="sla", heads=heads, exported="", **visit.read(look))


@router.get("/sla/{service_id}")
def newest(visit: Visit, service_id: str) -> Response:
    """The newest month of a service."""
    def look(desk: Desk) -> str:
        desk.demand("sla.read")
        query: Any = months.listed(desk, service=service_id).limit(1)
        row: SlaMonth | None = desk.session.execute(query).scalar_one_or_none()
        if row is None:
            raise Refusal("missing", "no month of this service is measured yet", mend="minutes are measured each hour")
        return row.month
    return RedirectResponse(f"/sla/{service_id}/{visit.read(look)}", 303)


@router.get("/sla/{service_id}/{month}")
def one_month(visit: Visit, service_id: str, month: str) -> Response:
    """One of them."""
    def look(desk: Desk) -> dict[str, Any]:
        row = months.find(desk, service_id, month)          # whoever sees the month need not own the service
        service = desk.session.get_one(Service, service_id)
        since, until = facts.span_of(desk, month)
        spells = keeping.held(desk, [service_id], since, until).get(service_id, [])
        active = facts.activity(desk, [service], since, min(until, row.measured_until))[service_id]
        others = list(desk.session.scalars(months.listed(desk, service=service_id).limit(24)))
        query: Any = desk.select(Credit).where(Credit.service_id == service_id, Credit.month == month).order_by(Credit.id)
        of: Any = reclassification.listed(desk, service=service_id).where(Reclassification.since < until, Reclassification.until > since)
        asked: list[Reclassification] = list(desk.session.execute(of.limit(50)).scalars())
        minutes = months.minutes_of_month(row)
        found = verdict.Faults(row.faults, row.down, minutes.up)
        target = row.promised.get("availability_percent")
        days = (until - since + timedelta(hours=12)).days
        return {"one": row, "service": service, "minutes": minutes, "percent": verdict.percent, "objectives": months.objectives(row), "why": months.why(row),
                "faults": found, "allowed": None if target is None else verdict.allowed(_decimal(target), days).normalize(), "others": others,
                "credits": list(desk.session.execute(query).scalars()), "asked": asked,
                "strip": drawn(active, spells, since, until), "spells": [_shown(visit, service_id, month, one) for one in spells[:500]],
                "users": named(desk, User, [one.asked_by for one in asked], lambda user: str(user.login)),
                "over": desk.now >= until}

    return visit.page("sla", said=visit.request.query_params.get("said", ""), **visit.read(look))


@router.get("/sla/{service_id}/{month}/evidence")
def behind(visit: Visit, service_id: str, month: str) -> Response:
    """What stands behind the minutes from `at` on."""
    def look(desk: Desk) -> dict[str, Any]:
        row = months.find(desk, service_id, month)
        service = desk.session.get_one(Service, service_id)
        at = visit.request.query_params.get("at", "")
        begin = read_time(at, visit.office.settings.zone, "at") if at else facts.span_of(desk, month)[0]
        begin = begin.replace(second=0, microsecond=0)
        found, checked, why = None, None, ""
        try:
            found = evidence.of(desk, service_id, begin, begin + SPAN)
            if "digest" in row.evidence and "check" in visit.request.query_params:
                checked = evidence.check(desk, service_id, month)
        except Refusal as error:
            if error.kind != "away":
                raise
            why = error.what
        return {"one": row, "service": service, "behind": found, "checked": checked, "why": why, "flows": _flows(service_id),
                "at": iso(begin, visit.office.settings.zone),
                "earlier": iso(begin - SPAN, visit.office.settings.zone), "later": iso(begin + SPAN, visit.office.settings.zone)}

    return visit.page("sla_evidence", **visit.act(look))


@router.post("/sla/{service_id}/{month}/reclassify")
async def reclassified(visit: Visit, service_id: str, month: str) -> Response:
    """Say what unknown minutes were."""
    form = visit.form

    def act(desk: Desk) -> Reclassification:
        months.find(desk, service_id, month)
        zone = visit.office.settings.zone
        return reclassification.propose(desk, service_id, read_time(form.get("since", ""), zone, "since"), read_time(form.get("until", ""), zone, "until"),
                                        form.get("state", ""), form.get("reason", ""), {"note": form.get("evidence", "")})
    made = await run_in_threadpool(visit.act, act)
    return visit.back(f"/sla/{service_id}/{month}", visit.say("sla.proposed", minutes=made.minutes))


@router.post("/reclassifications/{reclassification_id}/decide")
async def decided(visit: Visit, reclassification_id: str) -> Response:
    """Approve it, or reject it."""
    approve, reason = visit.form.get("to", "") == "approved", visit.form.get("reason", "")
    row = await run_in_threadpool(visit.act, lambda desk: reclassification.decide(desk, reclassification_id, approve, reason))
    month = f"{row.since.astimezone(visit.office.settings.zone):%Y-%m}"
    return visit.back(f"/sla/{row.service_id}/{month}", visit.say("sla.decided", state=visit.say(f"sla_state.{row.state}")))


@router.post("/sla/{service_id}/{month}/close")
async def closed(visit: Visit, service_id: str, month: str) -> Response:
    """Have the month, of all services, measured once more and closed."""
    def act(desk: Desk) -> None:
        months.find(desk, service_id, month)
        measuring.demand_close(desk, month)
        job.add(desk, "sla.close", f"sla.close {month} {desk.now.isoformat()}", {"month": month, "user": desk.actor.id})
    await run_in_threadpool(visit.act, act)
    return visit.back(f"/sla/{service_id}/{month}", visit.say("sla.closing", month=month))


@router.get("/customers/{customer_id}/sla/{month}")
def reported(visit: Visit, customer_id: str, month: str) -> Response:
    """A customer's report, to print; with ?format=pdf as PDF."""
    if visit.request.query_params.get("format") == "pdf":
        content = visit.act(lambda desk: report.pdf(desk, customer_id, month, visit.lang, str(visit.request.base_url)))
        return Response(content, 200, {"Content-Security-Policy": POLICY, "Content-Disposition": f'inline; filename="service-level-{month}.pdf"', **HEADERS},
                        "application/pdf")
    return visit.document(lambda desk: report.html(desk, customer_id, month, visit.lang))


def drawn(active: list[facts.Span], spells: list[Kept], since: datetime, until: datetime) -> dict[str, Any]:
    """The rectangles of the strip: a line a day from the first minute on, a unit a minute. x, y, width, colour."""
    found: list[tuple[int, int, int, str]] = []
    for begin, end, colour in [*((begin, end, COLOURS["up"]) for begin, end in active), *((one.since, one.until, COLOURS[one.state]) for one in spells)]:
        first, last = ((max(since, min(until, at)) - since) // timedelta(minutes=1) for at in (begin, end))
        for day in range(first // DAY, -(-last // DAY)):
            left, right = max(first, day * DAY), min(last, (day + 1) * DAY)
            if left < right:
                # one minute alone is less than a pixel wide: it is drawn so that it is seen
                wide = max(right - left, 2) if colour != COLOURS["up"] else right - left
                found.append((left - day * DAY, day * LINE, wide, colour))
    lines = -(-((until - since) // timedelta(minutes=1)) // DAY)
    return {"rects": found, "width": DAY, "height": lines * LINE, "line": LINE - 1}


def _flows(service_id: str) -> Callable[[datetime], str]:
    """The address of the flows of a minute."""
    return lambda at: Way("flows", service_id, at, at + timedelta(minutes=1), "usage_1m").href()


def _shown(visit: Visitor, service_id: str, month: str, one: Kept) -> dict[str, Any]:
    return {"one": one, "minutes": (one.until - one.since) // timedelta(minutes=1), "page": report.page(service_id, month, iso(one.since)),
            "figures": [f"{name}: {value}" for name, value in one.evidence.items() if name not in ("tables",)][:6]}


def _decimal(value: Any) -> Any:
    from decimal import Decimal
    return Decimal(str(value))
