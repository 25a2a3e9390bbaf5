"""`fullspan bss journal`: postings as CSV, sums by account, rows for e-invoices."""
from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import click

from bss.cli.counter import acting, kept, show
from bss.desk import Desk
from bss.refusal import Refusal


def day(text: str, where: str) -> date:
    """A day as a person writes it."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refusal("invalid", f"{text!r} is no day", where, "write it as 2026-12-01") from None


@click.command()
@click.option("--since", required=True, help="From this day on.")
@click.option("--until", required=True, help="And before this one.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the postings here, as CSV.")
@click.option("--invoices", is_flag=True, help="Rows for e-invoices (数电发票) instead; buyers are in them unmasked.")
@click.option("--reason", default="", help="Of taking those: it is put on record.")
@click.option("--lang", type=click.Choice(["en", "zh"]), default="zh", show_default=True, help="Of the accounts' names.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def command(ctx: click.Context, since: str, until: str, out: Path | None, invoices: bool, reason: str, lang: str, as_json: bool) -> None:
    """Debits and credits of each account, and the postings as a file. Debits are credits."""
    from bss.billing import data, journal

    first, last = day(since, "--since"), day(until, "--until")

    def look(desk: Desk) -> tuple[list[dict[str, Any]], str]:
        if invoices:
            return [], data.invoices(desk, first, last, reason)
        return journal.sums(desk, first, last), journal.export(desk, first, last, lang) if out else ""
    rows, content = acting(ctx, look)
    if out is not None:
        kept(out, content.encode())
    elif invoices:
        click.echo(content)
        return
    show(rows, as_json)
