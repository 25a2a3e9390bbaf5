"""`fullspan bss window`: planned maintenance, and other times that do not count."""
from __future__ import annotations

from typing import Any

import click

from bss.cli.counter import acting, settings_of, show
from bss.desk import Desk
from bss.moment import read as read_time

COLUMNS = ("id", "kind", "state", "region", "since", "until", "announced", "made_by", "approved_by", "counts", "reason")
JSON = click.option("--json", "as_json", is_flag=True, help="As JSON.")


def row_of(row: Any) -> dict[str, Any]:
    """A line of the list."""
    from bss.tickets.window import counts

    return {"id": row.id, "kind": row.kind, "state": row.state, "region": row.region, "since": row.since, "until": row.until, "announced": row.announced,
            "made_by": row.made_by, "approved_by": row.approved_by, "counts": counts(row), "reason": row.reason}


@click.group()
def command() -> None:
    """Windows: plan, approve, end; a second person approves."""


@command.command()
@click.argument("kind", type=click.Choice(["maintenance", "customer", "force_majeure", "nonpayment"]))
@click.option("--since", required=True, help="When it begins.")
@click.option("--until", help="When it ends.")
@click.option("--service", "services", multiple=True, help="Id of a service; may be given again.")
@click.option("--resource", "resources", multiple=True, help="Id of a resource, with all behind it; may be given again.")
@click.option("--announced", help="When its customers were told; maintenance counts where that is 24 hours ahead.")
@click.option("--reason", required=True, help="Why.")
@JSON
@click.pass_context
def plan(ctx: click.Context, kind: str, since: str, until: str | None, services: tuple[str, ...], resources: tuple[str, ...], announced: str | None,
         reason: str, as_json: bool) -> None:
    """Plan a window of a KIND, to be approved by another one."""
    from bss.tickets import window

    zone = settings_of(ctx).zone
    begin = read_time(since, zone, "--since")
    end, told = (read_time(text, zone, name) if text else None for text, name in ((until, "--until"), (announced, "--announced")))
    show([acting(ctx, lambda desk: row_of(window.plan(desk, kind=kind, since=begin, until=end, reason=reason, services=services, resources=resources,
                                                      announced=told)))], as_json, COLUMNS)


@command.command("list")
@click.option("--kind", default="", help="Of this kind.")
@click.option("--state", default="", help="planned, approved, rejected or cancelled.")
@JSON
@click.pass_context
def listed(ctx: click.Context, kind: str, state: str, as_json: bool) -> None:
    """List the latest 200 windows."""
    from bss.tickets import window

    def look(desk: Desk) -> list[dict[str, Any]]:
        return [row_of(one) for one in desk.session.execute(window.listed(desk, kind=kind, state=state).limit(200)).scalars()]
    show(acting(ctx, look), as_json, COLUMNS)


@command.command()
@click.argument("planned_window_id")
@click.argument("state", type=click.Choice(["approved", "rejected", "cancelled"]))
@click.option("--reason", default="", help="Why; not needed to approve.")
@JSON
@click.pass_context
def move(ctx: click.Context, planned_window_id: str, state: str, reason: str, as_json: bool) -> None:
    """Approve, reject or cancel a window. Who made it does not approve it."""
    from bss.tickets import window

    show([acting(ctx, lambda desk: row_of(window.move(desk, planned_window_id, state, reason)))], as_json, COLUMNS)


@command.command()
@click.argument("planned_window_id")
@click.option("--at", help="When; now where it is left out.")
@click.option("--reason", default="", help="Why.")
@JSON
@click.pass_context
def end(ctx: click.Context, planned_window_id: str, at: str | None, reason: str, as_json: bool) -> None:
    """End a window sooner."""
    from bss.tickets import window

    when = read_time(at, settings_of(ctx).zone, "--at") if at else None
    show([acting(ctx, lambda desk: row_of(window.end(desk, planned_window_id, when, reason)))], as_json, COLUMNS)
