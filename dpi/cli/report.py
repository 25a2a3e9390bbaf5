"""fullspan report: the report of what the store holds."""
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from dpi.cli.moments import moment
from dpi.errors import UserError

_DEFAULT_STORE = "chdb:///fullspan.chdb"


@click.command("report", short_help="Make the report from rows in the store.")
@click.option("--store", "store_url", metavar="URL", default=_DEFAULT_STORE, help="The store to ask (default: fullspan.chdb in this directory).")
@click.option("--capture", "captures", metavar="NAME|ID", multiple=True, help="Only this capture (its name in `source`, or its capture_id); may be given again.")
@click.option("--since", metavar="TIME", help="Only rows that begin at this moment or later.")
@click.option("--until", metavar="TIME", help="Only rows that begin before this moment.")
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Language.")
@click.option("--out", metavar="FILE.html", default="report.html", show_default=True, help="Where the report goes; - prints the summary only.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def command(store_url: str, captures: tuple[str, ...], since: str | None, until: str | None, lang: str, out: str, as_json: bool) -> None:
    """Make the HTML report of what the store holds, and print its summary."""
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
