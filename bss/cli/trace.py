"""`fullspan bss trace`: from a figure to what it was made of, down to flows."""
from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from bss.cli.counter import acting, show
from bss.desk import Desk
from bss.language import catalogue, words
from bss.moment import iso, read
from bss.tracing import chain, gate, things
from bss.tracing.flows import Chosen
from bss.tracing.step import Figure, Step, told

STEPS = ("thing", "hours", "minutes", "flows", "alert", "alertFlows")


@click.command()
@click.argument("thing", metavar="ID")
@click.option("--step", type=click.Choice(STEPS), default="thing", help="thing: what ID is, with its figures; hours, minutes and flows of a service; alert, "
              "alertFlows of an alert.")
@click.option("--since", help="Begin of the time; default: a day before its end.")
@click.option("--until", help="End of the time; default: now.")
@click.option("--by-minute", is_flag=True, help="Flows of closed minutes, not hours.")
@click.option("--category", help="Flows of this category alone.")
@click.option("--application", help="Flows of this application alone.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, thing: str, step: str, since: str | None, until: str | None, by_minute: bool, category: str | None, application: str | None,
            as_json: bool) -> None:
    """Show what the figures of ID (a service, ticket, bill, rated charge, credit: id or number; or an alert) were made of."""
    def look(desk: Desk) -> Step:
        zone = desk.office.settings.zone
        if step == "thing":
            return things.trace(desk, thing)
        if step in ("alert", "alertFlows"):
            return (chain.alert if step == "alert" else chain.alert_flows)(desk, thing)
        span = chain.span(read(since, zone, "--since") if since else None, read(until, zone, "--until") if until else None, desk.now)
        if step == "flows":
            return chain.flow(desk, thing, Chosen("usage_1m" if by_minute else "usage_1h", *span, category, application))
        return chain.hours(desk, [thing], *span) if step == "hours" else chain.minutes(desk, thing, *span)

    found = acting(ctx, lambda desk: gate.opened(desk, look(desk)))
    if as_json:
        click.echo(json.dumps(told(found, "/fullspan/v1/trace"), ensure_ascii=False, indent=2, default=str))
        return
    _print(found)


def _print(found: Step) -> None:
    say, known = words("en"), catalogue("en")
    click.echo(f"{say(f'trace.of_{found.kind}')}: {found.called}")
    for one in found.figures:
        click.echo(f"  {known.get(f'trace.{one.name}', one.name)}: {_text(one)}{f'   [{_way(one)}]' if one.way else ''}")
    for said in found.said:
        mark = {True: "ok", False: "NOT OK", None: "note"}[said.good]
        click.echo(f"  {mark}: " + say(f"trace.said_{said.key}", **{name: iso(value) if isinstance(value, datetime) else value
                                                                   for name, value in said.given.items()}))
    for table in found.rows:
        rows: list[dict[str, Any]] = [{known.get(f"trace.{one.name}", one.name): _text(one) for one in line} | (
            {"next": _way(next(one for one in line if one.way))} if any(one.way for one in line) else {}) for line in table.lines]
        show(rows, False)


def _text(one: Figure) -> str:
    if isinstance(one.value, datetime):
        return str(iso(one.value))
    return "" if one.value is None else f"{one.value}{f' {one.unit}' if one.unit else ''}"


def _way(one: Figure) -> str:
    """The words after `fullspan bss trace` that lead there."""
    way = one.way
    assert way is not None
    if way.what == "thing":
        return way.id
    told = [way.id, "--step", way.what]
    for option, value in (("--since", iso(way.since)), ("--until", iso(way.until)), ("--category", way.category), ("--application", way.application)):
        if value is not None:
            told += [option, value if value and " " not in value else f"'{value}'"]
    return " ".join(told + (["--by-minute"] if way.table == "usage_1m" else []))
