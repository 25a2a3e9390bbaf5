"""A customer's month: what was promised of each service, what was measured, what that comes to; every figure with the page of its evidence. HTML, and PDF of
the same page, in both languages."""
from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from sqlalchemy import select

from bss.desk import Desk
from bss.language import LANGUAGES, words
from bss.language import state as called
from bss.moment import iso
from bss.printing import printed
from bss.refusal import Refusal
from bss.sla import facts, keeping, verdict
from bss.sla import month as months
from bss.tables import Credit, Customer, Service, SlaMonth

TEMPLATES = Path(__file__).resolve().parents[1] / "samples" / "documents"
SPELLS = 200                # of a service that are listed; the page of the month has all


def of(desk: Desk, customer_id: str, month: str) -> dict[str, Any]:
    """What the report says, as figures. Refusal: there is no such customer for him, or nothing of the month is measured."""
    desk.demand("sla.read")
    customer = desk.find(Customer, customer_id)
    since, until = facts.span_of(desk, month)
    rows: list[SlaMonth] = list(desk.session.scalars(months.listed(desk, month=month, customer=customer_id)))
    if not rows:
        raise Refusal("missing", f"nothing of the month {month} is measured for this customer", "month", "look at the list of months")
    circuits = {one.id: one for one in desk.session.execute(select(Service).where(Service.id.in_([row.service_id for row in rows]))).scalars()}
    query: Any = desk.select(Credit).where(Credit.customer_id == customer_id, Credit.month == month, Credit.state.in_(("drafted", "approved", "applied")))
    credits = list(desk.session.execute(query.order_by(Credit.service_id, Credit.id)).scalars())
    days = (until - since + timedelta(hours=12)).days
    services = [_service(desk, circuits[row.service_id], row, days, [one for one in credits if one.service_id == row.service_id]) for row in rows]
    return {"customer": customer.id, "number": customer.number, "name": desk.shown(customer.party.name), "month": month, "from": iso(since, _zone(desk)),
            "to": iso(until, _zone(desk)), "services": services, "closed": all(row.state == "closed" for row in rows),
            "verdicts": {name: sum(row.verdict == name for row in rows) for name in verdict.VERDICTS}}


def _service(desk: Desk, service: Service, row: SlaMonth, days: int, credits: list[Credit]) -> dict[str, Any]:
    minutes = months.minutes_of_month(row)
    target = row.promised.get("availability_percent")
    found = verdict.Faults(row.faults, row.down, minutes.up)
    spells = keeping.held(desk, [service.id], *facts.span_of(desk, row.month)).get(service.id, [])
    told = [{"from": iso(one.since, _zone(desk)), "to": iso(one.until, _zone(desk)), "minutes": (one.until - one.since) // timedelta(minutes=1),
             "state": one.state, "measured": one.measured, "reason": one.reason, "page": page(service.id, row.month, iso(one.since))}
            for one in spells if one.state != "up" or one.measured != "up"]
    return {"service": service.id, "circuit": service.circuit, "class": service.class_, "page": page(service.id, row.month), "verdict": row.verdict,
            "why": months.why(row), "objectives": months.objectives(row), "total": row.total, "excluded": row.excluded, "unknown": row.unknown,
            "down": row.down, "degraded": row.degraded, "availability": verdict.percent(minutes.availability), "coverage": verdict.percent(minutes.coverage),
            "best": verdict.percent(minutes.best), "worst": verdict.percent(minutes.worst), "target": target, "faults": row.faults,
            "allowed": None if target is None else f"{verdict.allowed(Decimal(str(target)), days).normalize():f}",
            "restore_minutes": _text(found.restore_minutes), "between_minutes": _text(found.between_minutes), "revision": row.revision, "state": row.state,
            "digest": row.evidence.get("digest", ""), "rows": row.evidence.get("rows", 0), "spells": told[:SPELLS], "more": max(0, len(told) - SPELLS),
            "credits": [{"id": one.id, "state": one.state, "amount": f"{one.amount:f}", "currency": one.currency, "tax": one.tax_mode,
                         "tax_rate": f"{one.tax_rate:f}", "page": f"/credits/{one.id}"} for one in credits]}


def page(service_id: str, month: str, at: str | None = None) -> str:
    """The address of the page of a month of a service, or of the evidence of one of its minutes."""
    return f"/sla/{service_id}/{month}" + (f"/evidence?at={at}" if at else "")


def html(desk: Desk, customer_id: str, month: str, lang: str = "", base: str = "", paper: bool = False) -> str:
    """The report as a page to print. base: of links, where the page is looked at elsewhere."""
    lang = lang or desk.office.settings.lang
    if lang not in LANGUAGES:
        raise Refusal("invalid", f"{lang!r} is no language of documents", "lang", f"languages are {', '.join(LANGUAGES)}")
    told = of(desk, customer_id, month)
    desk.record("sla.report", ("customer", customer_id), reason=month)
    environment = ImmutableSandboxedEnvironment(loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, autoescape=True, trim_blocks=True,
                                                lstrip_blocks=True)
    return environment.get_template("service_level.j2").render(lang=lang, t=words(lang), told=told, paper=paper, base=base.rstrip("/"),
                                                               state=lambda name: called(lang, name), operator=desk.office.settings.operator)


def pdf(desk: Desk, customer_id: str, month: str, lang: str = "", base: str = "") -> bytes:
    """The same page on A4. Refusal `away`: what sets the text is not on this machine."""
    return printed(html(desk, customer_id, month, lang, base, paper=True))


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"


def _zone(desk: Desk) -> Any:
    return desk.office.settings.zone
