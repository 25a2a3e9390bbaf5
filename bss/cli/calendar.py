"""`fullspan bss calendar`: calendars, and the other documents that work goes by: checklists, scorecards."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bss.cli.counter import acting, settings_of, show
from bss.desk import Desk
from bss.moment import iso
from bss.moment import read as read_time

KINDS = click.Choice(["calendar", "checklist", "scorecard"])
as_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")
of_kind = click.option("--kind", type=KINDS, default="calendar", show_default=True, help="Of these documents.")


@click.group()
def command() -> None:
    """Calendars, checklists and scorecards: list, show, load; when so much working time has run."""


def row_of(one: Any) -> dict[str, Any]:
    """A line of the list."""
    return {"kind": one.kind, "key": one.key, "version": one.version or "standard", "name": one.document.name.en, "name_zh": one.document.name.zh}


@command.command("list")
@of_kind
@as_json
@click.pass_context
def listed(ctx: click.Context, kind: str, as_json: bool) -> None:
    """List those that hold, and say which lack the holidays of a year."""
    from bss.tickets import holidays, template

    def look(desk: Desk) -> list[dict[str, Any]]:
        desk.demand("ticket.read")
        lacks = holidays.lacking(desk) if kind == "calendar" else []
        rows = [row_of(one) for one in template.listed(desk, kind)]
        return [{**row, "holidays_lacking": ", ".join(str(one.year) for one in lacks if one.calendar == row["key"])} for row in rows] if lacks else rows
    show(acting(ctx, look), as_json)


@command.command("holidays")
@click.option("--off", multiple=True, metavar="DAYS", help="Days off, such as 2027-01-01 or 2027-02-05/2027-02-11; again for more.")
@click.option("--worked", multiple=True, metavar="DAYS", help="Days that are worked instead; again for more.")
@as_json
@click.pass_context
def entered(ctx: click.Context, off: tuple[str, ...], worked: tuple[str, ...], as_json: bool) -> None:
    """Enter holidays and make-up days of a year that is not published, in all calendars that go by China's."""
    from bss.tickets import holidays

    days = [day for text in off for day in holidays.read(text, "--off")], [day for text in worked for day in holidays.read(text, "--worked")]
    show(acting(ctx, lambda desk: [row_of(one) for one in holidays.enter(desk, *days)]), as_json)


@command.command("show")
@click.argument("key")
@of_kind
@click.pass_context
def one(ctx: click.Context, key: str, kind: str) -> None:
    """Show the document that holds under a KEY, as JSON."""
    from bss.tickets import template

    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("ticket.read")
        found = template.current(desk, kind, key)
        told: dict[str, Any] = found.document.model_dump(mode="json", by_alias=True)
        return {"version": found.version, **told}
    show([acting(ctx, look)], True)


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@as_json
@click.pass_context
def load(ctx: click.Context, file: Path, as_json: bool) -> None:
    """Load calendars, checklists and scorecards of a TOML FILE: all of them, or none."""
    from bss.tickets import template

    kept = template.read(file)
    show(acting(ctx, lambda desk: [row_of(one) for one in template.put_all(desk, kept)]), as_json)


@command.command()
@click.argument("key")
@click.argument("since")
@click.option("--minutes", type=click.IntRange(0, 10 ** 6), required=True, help="So many.")
@as_json
@click.pass_context
def due(ctx: click.Context, key: str, since: str, minutes: int, as_json: bool) -> None:
    """When so many minutes of the calendar KEY have run SINCE a time."""
    from bss.tickets import clock, holidays, timetable

    zone = settings_of(ctx).zone
    begin = read_time(since, zone, "SINCE")

    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("ticket.read")
        end = clock.due(timetable.calendar_of(desk, key), begin, minutes * 60)
        lacks = holidays.between(desk, key, begin.astimezone(zone).date(), end.astimezone(zone).date())
        return {"calendar": key, "since": iso(begin, zone), "minutes": minutes, "due": iso(end, zone), "holidays_lacking": ", ".join(map(str, lacks))}
    show([acting(ctx, look)], as_json)
