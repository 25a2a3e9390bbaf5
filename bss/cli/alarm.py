"""`fullspan bss alarm`: alarms that were told, files of them, link states, and what the probe has stored."""
from __future__ import annotations

from typing import Any

import click

from bss.cli.counter import acting, actor_of_command, office_of, settings_of, show
from bss.desk import Desk
from bss.moment import read as read_time
from bss.refusal import Refusal

COLUMNS = ("id", "source", "key", "kind", "severity", "state", "service", "resource", "raised", "cleared", "ticket", "suppressed")
LINKS = ("id", "source", "state", "service", "resource", "since", "until")
JSON = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group()
def command() -> None:
    """Alarms and link states: list, bring in from files, tell, sweep the probe's store."""


@command.command("list")
@click.option("--state", default="", help="raised, updated or cleared.")
@click.option("--kind", default="", help="Of this kind.")
@click.option("--service", default="", help="Of this service (id).")
@click.option("--resource", default="", help="Of this resource (id).")
@click.option("--source", default="", help="probe, tmf642, csv, snmp or ping.")
@JSON
@click.pass_context
def listed(ctx: click.Context, state: str, kind: str, service: str, resource: str, source: str, as_json: bool) -> None:
    """List the 200 alarms that changed last."""
    from bss.tickets import alarm

    def look(desk: Desk) -> list[dict[str, Any]]:
        query = alarm.listed(desk, state=state, kind=kind, service=service, resource=resource, source=source).limit(200)
        return [_alarm(one) for one in desk.session.execute(query).scalars()]
    show(acting(ctx, look), as_json, COLUMNS)


@command.command("import")
@click.argument("file", type=click.Path())
@click.option("--later", is_flag=True, help="Have the worker do it.")
@click.option("--dry-run", is_flag=True, help="Look at it, and write nothing.")
@JSON
@click.pass_context
def bring(ctx: click.Context, file: str, later: bool, dry_run: bool, as_json: bool) -> None:
    """Take alarms and link states from a CSV or XLSX FILE. The same file again does nothing.

    Columns: time*, state* (raised, cleared, down, up), kind, service (circuit) or resource (id, kind/name), until, severity, event_id, key, summary.
    """
    from pathlib import Path

    from bss.running.reading import read
    from bss.tickets import sheet
    from bss.working import job

    office = office_of(ctx)
    actor = actor_of_command(ctx, office)
    found = read(file, sheet.COLUMNS)
    if dry_run:
        told = office.look(actor, lambda desk: sheet.understood(desk, found))
        show([{"events": len(told.events), "link_states": len(told.says)}], as_json)
    elif later:
        def ask(desk: Desk) -> bool:
            desk.demand("alarm.write")
            return job.add(desk, "alarms.sheet", f"alarms.sheet {found.digest}", {"file": str(Path(file).resolve())})
        show([{"asked": office.act(actor, ask)}], as_json)
    else:
        show([sheet.bring(office, found, actor)], as_json)


@command.command()
@click.option("--since", help="From when on it was stored; where it is left out since the last sweep.")
@click.option("--replayed", is_flag=True, help="Also alerts of captures that were replayed.")
@JSON
@click.pass_context
def sweep(ctx: click.Context, since: str | None, replayed: bool, as_json: bool) -> None:
    """Take the alerts and pings that the probe has stored, as the worker does each minute."""
    from bss.tickets import sweeping

    office = office_of(ctx)
    actor = actor_of_command(ctx, office)
    argument: dict[str, Any] = {"replayed": replayed, **({"since": read_time(since, settings_of(ctx).zone, "--since").isoformat()} if since else {})}
    office.act(actor, lambda desk: desk.demand("alarm.write"))
    show([{"from": "alerts", **sweeping.alerts(office, argument, actor)}, {"from": "pings", **sweeping.pings(office, argument, actor)}], as_json,
         ("from", "new", "known", "opened", "raised", "cleared", "suppressed"))


@command.command()
@click.option("--service", default="", help="Of this service (id).")
@click.option("--resource", default="", help="Of this resource (id).")
@click.option("--current", is_flag=True, help="What holds now.")
@JSON
@click.pass_context
def links(ctx: click.Context, service: str, resource: str, current: bool, as_json: bool) -> None:
    """List what is said of links, the newest 200."""
    from bss.tickets import linkstate

    def look(desk: Desk) -> list[dict[str, Any]]:
        query = linkstate.listed(desk, service=service, resource=resource, current=current).limit(200)
        return [_link(one) for one in desk.session.execute(query).scalars()]
    show(acting(ctx, look), as_json, LINKS)


@command.command()
@click.argument("what", type=click.Choice(["down", "up"]))
@click.option("--service", help="Id of the service.")
@click.option("--resource", help="Id of the resource.")
@click.option("--since", help="Since when; now where it is left out.")
@click.option("--until", help="To when, where it is over.")
@click.option("--note", "said", required=True, help="How it is known.")
@JSON
@click.pass_context
def link(ctx: click.Context, what: str, service: str | None, resource: str | None, since: str | None, until: str | None, said: str, as_json: bool) -> None:
    """Say that a link is down or up, as a person."""
    from bss.tickets import linkstate

    if (service is None) == (resource is None):
        raise Refusal("invalid", "a link state is of a service or of a resource", "--service", "name one of them")
    zone = settings_of(ctx).zone
    begin, end = (read_time(text, zone, name) if text else None for text, name in ((since, "--since"), (until, "--until")))
    show([acting(ctx, lambda desk: _link(linkstate.tell(desk, state=what, service_id=service, resource_id=resource, since=begin, until=end,
                                                        evidence={"note": said})))], as_json, LINKS)


def _alarm(one: Any) -> dict[str, Any]:
    return {"id": one.id, "source": one.source, "key": one.key, "kind": one.kind, "severity": one.severity, "state": one.state, "service": one.service_id,
            "resource": one.resource_id, "raised": one.raised, "cleared": one.cleared, "ticket": one.ticket_id, "suppressed": one.suppressed,
            "summary": one.summary, "count": one.count}


def _link(one: Any) -> dict[str, Any]:
    return {"id": one.id, "source": one.source, "state": one.state, "service": one.service_id, "resource": one.resource_id, "since": one.since,
            "until": one.until, "evidence": one.evidence}
