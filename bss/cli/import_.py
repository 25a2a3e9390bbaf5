"""`fullspan bss import`: the running base, file by file: customers, agreements, services, bindings."""
from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from bss.cli.counter import acting, show
from bss.desk import Desk
from bss.moment import iso, read
from bss.refusal import Refusal
from bss.running import batch, reading, undoing

JSON = click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")


class _Kinds(click.Group):
    """Commands, and the kinds of files, which are commands too."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*batch.KINDS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _of(cmd_name) if cmd_name in batch.KINDS else super().get_command(ctx, cmd_name)


@click.group(cls=_Kinds)
def command() -> None:
    """Bring in the running base as of a cut-over: whole or not at all, each file undone until something is built on it.

    fullspan bss import customers FILE --cutover DATE [--dry-run]
    """


def stated(given: Sequence[str]) -> dict[str, str]:
    """Totals as the command line has them. Refusal: one is none."""
    found = {}
    for one in given:
        for part in one.split(","):
            name, sign, value = part.partition("=")
            if not sign or not name.strip():
                raise Refusal("invalid", f"{part!r} is no total", "--totals", "write rows=1000,class.A=12")
            found[name.strip()] = value.strip()
    return found


def _of(kind: str) -> click.Command:
    """The command of a kind."""
    columns = "\n".join(f"{one.name} ({one.zh}){'*' if one.needed else ''}: {one.what}" for one in batch.KINDS[kind].columns)

    @click.command(kind, help=f"Bring in {kind} from a CSV (UTF-8, GB18030) or XLSX file.\n\n\b\nColumns (* needed):\n{columns}")
    @click.argument("file", type=click.Path())
    @click.option("--cutover", required=True, metavar="DATE", help="As of when the file is right.")
    @click.option("--dry-run", is_flag=True, help="Report on every line; write nothing.")
    @click.option("--totals", multiple=True, metavar="NAME=NUMBER,...", help="Totals of the source, such as rows=1000,down_rate=10G; they must agree.")
    @JSON
    @click.pass_context
    def made(ctx: click.Context, file: str, cutover: str, dry_run: bool, totals: tuple[str, ...], as_json: bool) -> None:
        def act(desk: Desk) -> tuple[str | None, batch.Report]:
            moment = read(cutover, desk.office.settings.zone, "--cutover")
            desk.demand("import.write")
            sheet = reading.read(file, batch.kind_of(kind).columns)
            report = batch.look(desk, kind, sheet, moment, stated(totals)) if dry_run else None
            if report is not None:
                return None, report
            done, found = batch.bring(desk, kind, sheet, moment, stated(totals))
            return done.id, found
        number, report = acting(ctx, act)
        _say(number, report, as_json)
        if report.troubles:
            ctx.exit(1)
    return made


def _say(number: str | None, report: batch.Report, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"batch": number, **report._asdict(), "troubles": [one._asdict() for one in report.troubles], "compared": [
            {"total": name, "found": has, "stated": wanted} for name, has, wanted in report.compared]}, ensure_ascii=False, indent=2))
        return
    if report.troubles:
        show([one._asdict() for one in report.troubles], False)
    show([{"total": name, "found": value, "stated": next((wanted for one, _has, wanted in report.compared if one == name), None)}
          for name, value in sorted(report.totals.items())], False)
    click.echo(f"{report.rows} lines, {report.good} good, {len(report.troubles)} faults. " + (
        f"Brought in as batch {number}; take it back with: fullspan bss import undo {number}" if number else "Nothing was written."))


@command.command("list")
@click.option("--kind", type=click.Choice(list(batch.KINDS)))
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@JSON
@click.pass_context
def listed(ctx: click.Context, kind: str | None, limit: int, as_json: bool) -> None:
    """List batches, newest first."""
    def look(desk: Desk) -> list[dict[str, Any]]:
        return [{"batch": one.id, "kind": one.kind, "file": one.name, "state": one.state, "rows": one.totals.get("rows"),
                 "cutover": iso(one.cutover, desk.office.settings.zone), "time": iso(one.time, desk.office.settings.zone)}
                for one in desk.session.scalars(batch.listed(desk, kind or "").limit(limit))]
    show(acting(ctx, look), as_json)


@command.command("undo")
@click.argument("number", metavar="BATCH")
@click.option("--reason", default="", help="Why; put on record.")
@JSON
@click.pass_context
def undone(ctx: click.Context, number: str, reason: str, as_json: bool) -> None:
    """Take a batch back: refused where something was built on it, which is told."""
    def act(desk: Desk) -> dict[str, Any]:
        one = undoing.undo(desk, number, reason)
        return {"batch": one.id, "kind": one.kind, "state": one.state}
    show([acting(ctx, act)], as_json)
