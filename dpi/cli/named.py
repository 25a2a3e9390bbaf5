"""The commands `fullspan report NAME`: one for each report of the registry, with the dimensions and filters it has."""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from dpi.cli.reasons import permitted_of
from dpi.errors import UserError

_PERSONS = {"customer", "service"}         # filters by which figures are one person's
_HELP = {"customer": "Only this customer's traffic.", "service": "Only this service's traffic.", "application": "Only this application.",
         "tag": "Only rows with this tag."}


def command_of(name: str) -> click.Command:
    """The command of a report."""
    from dpi.reports.formats import formats
    from dpi.reports.named import registry

    report = registry()[name]
    options: list[click.Parameter] = [
        click.Option(["--store", "store_url"], metavar="URL", default="chdb:///fullspan.chdb", help="The store to ask (default: fullspan.chdb in this directory)."),
        click.Option(["--from", "since"], metavar="TIME", help="Its beginning: 2026-11-01, 2026-11-01T08:00, yesterday, last week, last month, last 7 days; default: all that the store holds."),
        click.Option(["--to", "until"], metavar="TIME", help="The first moment that is not in it; default: the end of what --from names."),
        click.Option(["--by"], type=click.Choice(report.dimensions), help=f"What its lines are (default: {report.dimensions[0]})."),
        click.Option(["--top"], type=click.IntRange(1, 10000), default=20, show_default=True, help="Lines; the others are one line, so that totals are right."),
        *(click.Option([f"--{one}"], metavar="NAME", help=_HELP[one]) for one in report.filters),
        click.Option(["--format", "form"], type=click.Choice(formats()), help="Default: what the name of --out ends with, else table."),
        click.Option(["--lang"], type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Language."),
        click.Option(["--out"], metavar="FILE", help="Where it goes; - is standard output (default: standard output, for xlsx and pdf NAME.xlsx and NAME.pdf)."),
    ]

    if set(report.filters) & _PERSONS:
        options += [click.Option(["--reason"], metavar="TEXT", default="", help="Why one customer's or service's figures are read; kept in the audit table."),
                    click.Option(["--ticket"], metavar="NUMBER", default="", help="The ticket for which they are read; kept in the audit table.")]

    def run(**given: Any) -> None:
        _run(name, **given)

    return click.Command(name, params=options, callback=run, short_help=report.question.en, help=f"{report.title.en}: {report.question.en}")


def _run(name: str, store_url: str, since: str | None, until: str | None, by: str | None, top: int, form: str | None, lang: str, out: str | None,
         reason: str = "", ticket: str = "", **filters: str | None) -> None:
    from dpi.reports.formats import formats, save, suffix, written
    from dpi.reports.language import Language

    ends = {suffix(one): one for one in formats()}
    form = form or ends.get(Path(out).suffix if out else "", "table")
    report, zone = asked(name, store_url, since, until, by or "", top, {key: value for key, value in filters.items() if value is not None}, reason, ticket)
    content = written(report, form, Language(lang, zone))
    if out is None and form in ("xlsx", "pdf"):
        out = f"{name}{suffix(form)}"
    if out is None or out == "-":
        sys.stdout.buffer.write(content)
        return
    if not Path(out).absolute().parent.is_dir():
        raise UserError("there is no such directory", str(Path(out).absolute().parent), "make it first, or name another path with --out")
    save(content, Path(out))
    click.echo(Language(lang)("label.report_at", path=str(Path(out).absolute())), err=True)


def asked(name: str, store_url: str, since: str | None, until: str | None, by: str, top: int, filters: dict[str, str], reason: str = "",
          ticket: str = "") -> tuple[Any, Any]:
    """The report, and the zone that its times are said in."""
    from dpi import settings
    from dpi.reports.asking import make_asked
    from dpi.store import open_store

    loaded = settings.load()
    store = open_store(store_url, create=False)
    try:
        reading = permitted_of(store, "report", reason, ticket, *([filters[one]] if one in filters else [] for one in ("customer", "service")))
        made = make_asked(store, loaded, name, since, until, by=by, top=top, filters=filters)
        if reading is not None:
            reading.told(sum(len(table.rows) for table in made[0].tables))
        return made
    finally:
        store.close()
