"""`fullspan bss inspection`: what is looked at each period."""
from __future__ import annotations

from typing import Any

import click

from bss.cli.counter import acting, settings_of, show
from bss.cli.enquiry import document
from bss.desk import Desk
from bss.moment import iso
from bss.moment import read as read_time

COLUMNS = ("id", "plan", "period", "state", "result", "owner", "due", "overdue", "done", "ticket")
as_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group()
def command() -> None:
    """Inspections: plan, list, fill in."""


def plan_of(desk: Desk, row: Any) -> dict[str, Any]:
    """A line of the list of plans."""
    zone = desk.office.settings.zone
    return {"id": row.id, "name": row.name, "every": row.every, "days": row.days, "region": row.region, "resource": row.resource_id, "owner": row.owner_id,
            "checklist": row.checklist, "since": iso(row.since, zone), "until": iso(row.until, zone)}


def row_of(desk: Desk, row: Any) -> dict[str, Any]:
    """A line of the list of inspections."""
    zone = desk.office.settings.zone
    return {"id": row.id, "plan": row.plan_id, "period": row.period, "state": row.state, "result": row.result, "owner": row.owner_id, "due": iso(row.due, zone),
            "overdue": iso(row.overdue, zone), "done": iso(row.done, zone), "ticket": row.ticket_id, "answers": row.answers, "note": row.note}


@command.command()
@click.argument("name")
@click.argument("every", type=click.Choice(["week", "month", "quarter", "year"]))
@click.argument("owner")
@click.option("--resource", help="What is looked at (id).")
@click.option("--region", default="", help="Where; default: of the resource.")
@click.option("--checklist", default="site", show_default=True, help="Key of the checklist.")
@click.option("--days", type=click.IntRange(0, 366), default=0, help="Of the period in which it is done; default: the whole.")
@as_json
@click.pass_context
def plan(ctx: click.Context, name: str, every: str, owner: str, resource: str | None, region: str, checklist: str, days: int, as_json: bool) -> None:
    """Have something looked at EVERY week, month, quarter or year by an OWNER (id)."""
    from bss.tickets import inspection

    show([acting(ctx, lambda desk: plan_of(desk, inspection.plan(desk, name=name, every=every, owner_id=owner, resource_id=resource, region=region,
                                                                 checklist=checklist, days=days)))], as_json)


@command.command()
@click.option("--region", default="", help="Of this region.")
@as_json
@click.pass_context
def plans(ctx: click.Context, region: str, as_json: bool) -> None:
    """List the newest 200 plans."""
    from bss.tickets import inspection

    show(acting(ctx, lambda desk: [plan_of(desk, one) for one in desk.session.execute(inspection.plans(desk, region).limit(200)).scalars()]), as_json)


@command.command()
@click.argument("id")
@click.option("--owner", help="Who does it from now on (id).")
@click.option("--until", default="", help="Or when it ends.")
@as_json
@click.pass_context
def change(ctx: click.Context, id: str, owner: str | None, until: str, as_json: bool) -> None:
    """Give a plan to somebody else, or end it."""
    from bss.tickets import inspection

    end = read_time(until, settings_of(ctx).zone, "--until") if until else None
    show([acting(ctx, lambda desk: plan_of(desk, inspection.change(desk, id, owner_id=owner, until=end)))], as_json)


@command.command("list")
@click.option("--state", default="", help="In this state: due, done, missed.")
@click.option("--owner", default="", help="Of this person (id).")
@click.option("--region", default="", help="Of this region.")
@click.option("--overdue", is_flag=True, help="Those that are overdue.")
@as_json
@click.pass_context
def listed(ctx: click.Context, state: str, owner: str, region: str, overdue: bool, as_json: bool) -> None:
    """List the last 200 inspections."""
    from bss.tickets import inspection

    show(acting(ctx, lambda desk: [row_of(desk, one) for one in desk.session.execute(
        inspection.listed(desk, state, owner, region, overdue=overdue).limit(200)).scalars()]), as_json, () if as_json else COLUMNS)


@command.command()
@click.argument("id")
@click.argument("answers")
@click.option("--note", default="", help="What is to be known.")
@click.option("--done", is_flag=True, help="It is finished with them.")
@as_json
@click.pass_context
def fill(ctx: click.Context, id: str, answers: str, note: str, done: bool, as_json: bool) -> None:
    """Answer the questions of an inspection (ANSWERS, as JSON)."""
    from bss.tickets import inspection

    given = document(answers, "ANSWERS")
    show([acting(ctx, lambda desk: row_of(desk, inspection.fill(desk, id, given, note, done)))], as_json, () if as_json else COLUMNS)
