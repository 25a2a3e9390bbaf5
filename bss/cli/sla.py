"""`fullspan bss sla`: months of services, their minutes, what people say of unknown ones, reports, closing."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bss.cli.counter import acting, actor_of_command, office_of, settings_of, show
from bss.desk import Desk
from bss.moment import read as read_time

COLUMNS = ("service", "month", "state", "verdict", "availability", "coverage", "best", "worst", "target", "down", "unknown", "excluded", "degraded", "faults",
           "rtt_ms", "revision")
SPELLS = ("from", "before", "minutes", "state", "measured", "reason", "evidence")


def row_of(row: Any) -> dict[str, Any]:
    """A line of the list."""
    from bss.sla import verdict
    from bss.sla.month import minutes_of_month

    minutes = minutes_of_month(row)
    return {"id": row.id, "service": row.service_id, "month": row.month, "state": row.state, "verdict": row.verdict,
            "availability": verdict.percent(minutes.availability), "coverage": verdict.percent(minutes.coverage), "best": verdict.percent(minutes.best),
            "worst": verdict.percent(minutes.worst), "target": row.promised.get("availability_percent"), "active": row.total, "down": row.down,
            "unknown": row.unknown, "excluded": row.excluded, "degraded": row.degraded, "faults": row.faults,
            "rtt_ms": None if row.rtt_us is None else row.rtt_us / 1000, "revision": row.revision, "measured_until": row.measured_until,
            "ticket": row.ticket_id}


def said_of(row: Any) -> dict[str, Any]:
    """A line of what people said."""
    return {"id": row.id, "service": row.service_id, "since": row.since, "until": row.until, "to": row.to_state, "minutes": row.minutes, "state": row.state,
            "reason": row.reason, "asked_by": row.asked_by, "decided_by": row.decided_by}


@click.group()
def command() -> None:
    """Service levels: what was promised, what was measured."""


@command.command("show")
@click.argument("service", required=False)
@click.argument("month", required=False)
@click.option("--customer", default="", help="Of this customer (id).")
@click.option("--verdict", type=click.Choice(["met", "breached", "undecided", "none"]), help="That came out so.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def shown(ctx: click.Context, service: str | None, month: str | None, customer: str, verdict: str | None, as_json: bool) -> None:
    """Months of services, the newest 200; of a SERVICE, or the minutes of one MONTH of it, as in 2026-12."""
    from bss.sla import facts, keeping
    from bss.sla import month as months

    def look(desk: Desk) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
        if service and month:
            row = months.find(desk, service, month)
            found = keeping.held(desk, [service], *facts.span_of(desk, month)).get(service, [])
            spells = [{"from": one.since, "before": one.until, "minutes": int((one.until - one.since).total_seconds()) // 60, "state": one.state,
                       "measured": one.measured, "reason": one.reason, "evidence": dict(one.evidence)} for one in found]
            return ([{**row_of(row), "objectives": months.objectives(row), "spells": spells}] if as_json else spells), (() if as_json else SPELLS)
        query = months.listed(desk, service=service or "", customer=customer, verdict_=verdict or "")
        return [row_of(one) for one in desk.session.execute(query.limit(200)).scalars()], COLUMNS
    rows, columns = acting(ctx, look)
    show(rows, as_json, columns)


@command.command()
@click.argument("month")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def measure(ctx: click.Context, month: str, as_json: bool) -> None:
    """Measure a MONTH whole, or as much of it as is over, and count it anew."""
    from bss.sla import measuring

    office = office_of(ctx)
    show([{"month": month, "services": measuring.recount(office, month, actor_of_command(ctx, office))}], as_json)


@command.command()
@click.argument("month")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def close(ctx: click.Context, month: str, as_json: bool) -> None:
    """Measure a MONTH once more and close it: nothing of it changes any more, and its credits can be approved."""
    from bss.sla import measuring

    office = office_of(ctx)
    show([{"month": month, "closed": measuring.close(office, month, actor_of_command(ctx, office))}], as_json)


@command.command()
@click.argument("customer")
@click.argument("month")
@click.option("--format", "form", type=click.Choice(["json", "html", "pdf"]), default="json", show_default=True, help="As what.")
@click.option("--out", type=click.Path(path_type=Path), help="Into this file; needed for pdf.")
@click.option("--lang", type=click.Choice(["en", "zh"]), help="Language; default: of the settings.")
@click.option("--base", default="", help="Address of the pages, for links of a report that is sent away.")
@click.pass_context
def report(ctx: click.Context, customer: str, month: str, form: str, out: Path | None, lang: str | None, base: str) -> None:
    """The report of a CUSTOMER's MONTH."""
    import json

    from bss.refusal import Refusal
    from bss.sla import report as reports

    if form == "pdf" and out is None:
        raise Refusal("invalid", "a PDF goes into a file", "--out", "name one")

    def look(desk: Desk) -> bytes:
        if form == "pdf":
            return reports.pdf(desk, customer, month, lang or "", base)
        if form == "html":
            return reports.html(desk, customer, month, lang or "", base).encode()
        return json.dumps(reports.of(desk, customer, month), ensure_ascii=False, indent=2).encode()
    content = acting(ctx, look)
    if out is not None:
        out.write_bytes(content)
    else:
        click.echo(content.decode())


@command.command()
@click.argument("service")
@click.argument("since")
@click.argument("until")
@click.argument("state", type=click.Choice(["up", "down", "excluded"]))
@click.option("--reason", required=True, help="Why.")
@click.option("--evidence", required=True, help="By what it is known: a note, a ticket, an attachment.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def reclassify(ctx: click.Context, service: str, since: str, until: str, state: str, reason: str, evidence: str, as_json: bool) -> None:
    """Say that the unknown minutes of a SERVICE from SINCE to UNTIL were up, down or excluded; somebody else decides."""
    from bss.sla import reclassification

    zone = settings_of(ctx).zone
    begin, end = read_time(since, zone, "SINCE"), read_time(until, zone, "UNTIL")
    show([acting(ctx, lambda desk: said_of(reclassification.propose(desk, service, begin, end, state, reason, {"note": evidence})))], as_json)


@command.command("reclassifications")
@click.option("--state", default="", help="In this state: proposed, approved, rejected.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def said(ctx: click.Context, state: str, as_json: bool) -> None:
    """What people said of unknown minutes, the newest 200."""
    from bss.sla import reclassification

    show(acting(ctx, lambda desk: [said_of(one) for one in desk.session.execute(reclassification.listed(desk, state).limit(200)).scalars()]), as_json)


@command.command()
@click.argument("reclassification")
@click.argument("what", type=click.Choice(["approve", "reject"]))
@click.option("--reason", default="", help="Why; to reject it takes one.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def decide(ctx: click.Context, reclassification: str, what: str, reason: str, as_json: bool) -> None:
    """Decide on a RECLASSIFICATION (its id), as the second person."""
    from bss.sla import reclassification as reclassifications

    show([acting(ctx, lambda desk: said_of(reclassifications.decide(desk, reclassification, what == "approve", reason)))], as_json)


@command.command()
@click.argument("service")
@click.argument("month")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def check(ctx: click.Context, service: str, month: str, as_json: bool) -> None:
    """Whether the store still says what a MONTH of a SERVICE was counted from."""
    from bss.sla import evidence

    show([acting(ctx, lambda desk: evidence.check(desk, service, month)._asdict())], as_json)
