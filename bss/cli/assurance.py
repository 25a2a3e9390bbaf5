"""`fullspan bss assurance`: events whose services are guarded (通信保障)."""
from __future__ import annotations

from typing import Any

import click

from bss.cli.counter import acting, settings_of, show
from bss.cli.enquiry import document
from bss.desk import Desk
from bss.moment import iso
from bss.moment import read as read_time

COLUMNS = ("id", "name", "state", "region", "since", "until", "services", "freeze")
as_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group()
def command() -> None:
    """Event assurance: plan, approve, call off, list; the reports by hour."""


def row_of(desk: Desk, row: Any) -> dict[str, Any]:
    """A line of the list."""
    from bss.tickets import assurance

    zone = desk.office.settings.zone
    return {"id": row.id, "name": row.name, "state": row.state, "region": row.region, "since": iso(row.since, zone), "until": iso(row.until, zone),
            "services": " ".join(assurance.services_of(desk, row.id)), "freeze": row.freeze, "thresholds": row.thresholds, "roster": row.roster}


@command.command()
@click.argument("name")
@click.argument("since")
@click.argument("until")
@click.option("--service", "services", multiple=True, required=True, help="Id of a service; may be given again.")
@click.option("--on-duty", "roster", multiple=True, help="Id of who is on duty for it; the first is responsible.")
@click.option("--thresholds", default="", help="As JSON: loss_percent, rtt_ms, down_mbps, silent_minutes.")
@click.option("--no-freeze", is_flag=True, help="Changes are allowed meanwhile.")
@as_json
@click.pass_context
def plan(ctx: click.Context, name: str, since: str, until: str, services: tuple[str, ...], roster: tuple[str, ...], thresholds: str, no_freeze: bool,
         as_json: bool) -> None:
    """Plan an event, SINCE a time and UNTIL another; somebody else approves it."""
    from bss.tickets import assurance

    zone = settings_of(ctx).zone
    begin, end = read_time(since, zone, "SINCE"), read_time(until, zone, "UNTIL")
    limits = document(thresholds, "--thresholds") if thresholds else None
    show([acting(ctx, lambda desk: row_of(desk, assurance.plan(desk, name=name, services=services, since=begin, until=end, thresholds=limits, roster=roster,
                                                               freeze=not no_freeze)))], as_json, () if as_json else COLUMNS)


@command.command()
@click.argument("id")
@click.argument("state", type=click.Choice(["approved", "rejected", "cancelled"]))
@click.option("--reason", default="", help="Why.")
@as_json
@click.pass_context
def move(ctx: click.Context, id: str, state: str, reason: str, as_json: bool) -> None:
    """Approve an event, as the second person, reject it, or call it off."""
    from bss.tickets import assurance

    def act(desk: Desk) -> dict[str, Any]:
        return row_of(desk, assurance.cancel(desk, id, reason) if state == "cancelled" else assurance.decide(desk, id, state == "approved", reason))
    show([acting(ctx, act)], as_json, () if as_json else COLUMNS)


@command.command("list")
@click.option("--state", default="", help="In this state.")
@click.option("--region", default="", help="Of this region.")
@as_json
@click.pass_context
def listed(ctx: click.Context, state: str, region: str, as_json: bool) -> None:
    """List the newest 200 events."""
    from bss.tickets import assurance

    show(acting(ctx, lambda desk: [row_of(desk, one) for one in desk.session.execute(assurance.listed(desk, state, region).limit(200)).scalars()]), as_json,
         () if as_json else COLUMNS)


@command.command()
@click.argument("id")
@click.option("--lang", type=click.Choice(["en", "zh"]), help="In this language; default: the operator's.")
@as_json
@click.pass_context
def report(ctx: click.Context, id: str, lang: str | None, as_json: bool) -> None:
    """The reports of an event, the newest first."""
    from bss.tickets import assurance, bulletin

    def look(desk: Desk) -> list[dict[str, Any]]:
        name = assurance.find(desk, id).name
        return [{"hour": iso(one.hour, desk.office.settings.zone), **({"content": one.content} if as_json else {
            "report": bulletin.text_of(desk, name, one.content, lang or desk.office.settings.lang)})} for one in bulletin.reports(desk, id)]
    show(acting(ctx, look), as_json)
