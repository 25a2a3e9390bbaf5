"""`fullspan bss roster`: who is on duty."""
from __future__ import annotations

from typing import Any

import click

from bss.cli.counter import acting, settings_of, show
from bss.desk import Desk
from bss.moment import iso
from bss.moment import read as read_time

LEVELS = click.Choice(["duty", "lead", "manager"])
as_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group()
def command() -> None:
    """Rosters: add a shift, cut it short, list, who is on duty now."""


def row_of(desk: Desk, row: Any) -> dict[str, Any]:
    """A line of the list."""
    from bss.tables import User

    zone, user = desk.office.settings.zone, desk.session.get(User, row.user_id)
    return {"id": row.id, "level": row.level, "region": row.region or "all", "user": user.login if user else row.user_id, "since": iso(row.since, zone),
            "until": iso(row.until, zone)}


@command.command()
@click.argument("level", type=LEVELS)
@click.argument("user")
@click.argument("since")
@click.argument("until")
@click.option("--region", default="", help="Of this region; default: of all.")
@as_json
@click.pass_context
def add(ctx: click.Context, level: str, user: str, since: str, until: str, region: str, as_json: bool) -> None:
    """Put a USER (his id) on duty at a LEVEL, SINCE a time and UNTIL another."""
    from bss.tickets import roster

    zone = settings_of(ctx).zone
    begin, end = read_time(since, zone, "SINCE"), read_time(until, zone, "UNTIL")
    show([acting(ctx, lambda desk: row_of(desk, roster.add(desk, level=level, user_id=user, since=begin, until=end, region=region)))], as_json)


@command.command()
@click.argument("id")
@click.option("--until", default="", help="End it then; default: now.")
@as_json
@click.pass_context
def cut(ctx: click.Context, id: str, until: str, as_json: bool) -> None:
    """End a shift earlier."""
    from bss.tickets import roster

    end = read_time(until, settings_of(ctx).zone, "--until") if until else None
    show([acting(ctx, lambda desk: row_of(desk, roster.cut(desk, id, end)))], as_json)


@command.command("list")
@click.option("--region", default="", help="Of this region.")
@click.option("--level", default="", help="Of this level.")
@click.option("--since", default="", help="That end after then; default: now.")
@as_json
@click.pass_context
def listed(ctx: click.Context, region: str, level: str, since: str, as_json: bool) -> None:
    """List the next 200 shifts."""
    from bss.tickets import roster

    begin = read_time(since, settings_of(ctx).zone, "--since") if since else None
    show(acting(ctx, lambda desk: [row_of(desk, one) for one in desk.session.execute(roster.listed(desk, begin, None, region, level).limit(200)).scalars()]),
         as_json)


@command.command()
@click.option("--region", default="", help="In this region.")
@as_json
@click.pass_context
def now(ctx: click.Context, region: str, as_json: bool) -> None:
    """Who is on duty now, at each level."""
    from bss.tickets import roster

    def look(desk: Desk) -> list[dict[str, Any]]:
        desk.demand("calendar.write" if not desk.may("ticket.work") else "ticket.work")
        return [{"level": level, "user": user.login if (user := roster.on_duty(desk, level, region)) else None} for level in ("duty", "lead", "manager")]
    show(acting(ctx, look), as_json)
