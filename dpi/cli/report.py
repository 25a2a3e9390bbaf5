"""fullspan report: the report of what the store holds; `fullspan report NAME` those that answer one question each."""
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from dpi.cli.moments import moment
from dpi.errors import UserError

_DEFAULT_STORE = "chdb:///fullspan.chdb"


class Reports(click.Group):
    """A subcommand for each named report, and those that are no report."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from dpi.reports.named import names

        return [*names(), *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from dpi.reports.named import names

        if cmd_name not in names():
            return super().get_command(ctx, cmd_name)
        from dpi.cli.named import command_of

        return command_of(cmd_name)


@click.group("report", cls=Reports, invoke_without_command=True, subcommand_metavar="[NAME [OPTIONS]]", short_help="Make reports from rows in the store.")
@click.option("--store", "store_url", metavar="URL", default=_DEFAULT_STORE, help="The store to ask (default: fullspan.chdb in this directory).")
@click.option("--capture", "captures", metavar="NAME|ID", multiple=True, help="Only this capture (its name in `source`, or its capture_id); may be given again.")
@click.option("--since", metavar="TIME", help="Only rows that begin at this moment or later.")
@click.option("--until", metavar="TIME", help="Only rows that begin before this moment.")
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Language.")
@click.option("--out", metavar="FILE.html", default="report.html", show_default=True, help="Where the report goes; - prints the summary only.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.pass_context
def command(ctx: click.Context, store_url: str, captures: tuple[str, ...], since: str | None, until: str | None, lang: str, out: str, as_json: bool) -> None:
    """Make the HTML report of what the store holds, and print its summary; with a NAME, the report that answers that question."""
    if ctx.invoked_subcommand:
        ctx.default_map = {ctx.invoked_subcommand: {"store_url": store_url, "lang": lang}}       # what came before the name holds for it
        return
    _overview(store_url, captures, since, until, lang, out, as_json)


def _overview(store_url: str, captures: tuple[str, ...], since: str | None, until: str | None, lang: str, out: str, as_json: bool) -> None:
    from dpi.reports.figures import figures_from_store
    from dpi.store import open_store

    begin, end = moment(since, "--since"), moment(until, "--until")
    store = open_store(store_url, create=False)
    try:
        figures = figures_from_store(store, chosen(store, captures), begin, end)
    finally:
        store.close()
    if not figures.rows:
        raise UserError("no flows there", store_url, "see what it holds with: fullspan query 'SELECT source, first_time, packets FROM captures'")
    written: str | None = None
    if out != "-":
        from dpi.reports.html import write

        if not Path(out).absolute().parent.is_dir():
            raise UserError("there is no such directory", str(Path(out).absolute().parent), "make it first, or name another path with --out")
        written = str(write(figures, out, lang).absolute())
    if as_json:
        click.echo(json.dumps({**figures.json(), "report": written}, ensure_ascii=False, indent=2))
        return
    from dpi.reports.language import Language
    from dpi.reports.terminal import sections, show

    say = Language(lang)
    click.echo(show(sections(figures, say), sys.stdout.isatty()))
    if written:
        click.echo(f"\n{say('label.report_at', path=written)}")


def chosen(store: Any, names: tuple[str, ...]) -> list[int]:
    """The capture_ids that names or numbers mean; UserError for one that means none."""
    numbers: list[int] = []
    for name in names:
        found = store.query("SELECT DISTINCT toString(capture_id) FROM captures WHERE source = {name:String} OR path = {name:String} OR toString(capture_id) = {name:String}",
                            {"name": name})
        if not len(found):
            raise UserError(f"no capture called {name!r}", store.url, "see them with: fullspan query 'SELECT capture_id, source FROM captures'")
        numbers += [int(row[0]) for row in found]
    return numbers


@command.command("run-due", short_help="Make and send the scheduled reports that are due.")
@click.option("--store", "store_url", metavar="URL", default=_DEFAULT_STORE, help="The store to ask (default: fullspan.chdb in this directory).")
@click.option("--lang", hidden=True, expose_value=False)
@click.option("--state", metavar="FILE", help="Where it is noted what was made (default: reports.json in $STATE_DIRECTORY, else fullspan.reports.json here); mail that waits is beside it.")
@click.option("--now", metavar="TIME", help="As if it were that moment.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def run_due(store_url: str, state: str | None, now: str | None, as_json: bool) -> None:
    """Make the reports of [schedules] that are due, and send mail that waits: for a timer, or cron. Once each, whatever it is called how often; after a
    time in which nothing ran, once for the last moment. Exits with 1 where one could not be made or sent: it is tried again."""
    import os

    from dpi import settings
    from dpi.logs import configure
    from dpi.schedule import State, run_due
    from dpi.store import open_store

    loaded = settings.load()
    configure(loaded.probe.log)
    beside = Path(os.environ["STATE_DIRECTORY"].partition(":")[0]) / "reports.json" if os.environ.get("STATE_DIRECTORY") else Path("fullspan.reports.json")
    made, sent, failed = run_due(loaded, State(Path(state) if state else beside), lambda: open_store(store_url, create=False), moment(now, "--now") or 0)
    click.echo(json.dumps({"made": made, "sent": sent, "failed": failed}) if as_json else f"made {made}, sent {sent}, failed {failed}")
    if failed:
        sys.exit(1)
