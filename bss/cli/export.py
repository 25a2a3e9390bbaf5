"""`fullspan bss export`: lists as XLSX and CSV."""
from __future__ import annotations

import json
import os
from pathlib import Path

import click

from bss.cli.counter import acting
from bss.refusal import Refusal
from bss.running.taking import LISTS, MEDIA, take


@click.command()
@click.argument("name", type=click.Choice(list(LISTS)))
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--format", "form", type=click.Choice(list(MEDIA)), help="Default: as the file's name ends.")
@click.option("--filter", "filters", multiple=True, metavar="NAME=VALUE", help="Such as state=active or region=...; again for more.")
@click.option("--lang", type=click.Choice(["en", "zh"]), help="Of the columns' names; default: of the settings.")
@click.option("--unmask", default="", metavar="REASON", help="Personal fields as they are; the reason is put on record.")
@click.option("--json", "as_json", is_flag=True, help="Say in JSON what was written.")
@click.pass_context
def command(ctx: click.Context, name: str, file: str, form: str | None, filters: tuple[str, ...], lang: str | None, unmask: str, as_json: bool) -> None:
    """Take a list away as a file; it is put on record."""
    wanted = form or Path(file).suffix.lstrip(".").lower()
    given = dict(one.partition("=")[::2] for one in filters)
    content = acting(ctx, lambda desk: take(desk, name, wanted, given, unmask=unmask, lang=lang or ""))
    try:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:       # it is of persons
            out.write(content)
    except OSError as error:
        raise Refusal("invalid", f"the file can't be written: {error.strerror}", file, "name another one") from None
    click.echo(json.dumps({"list": name, "file": file, "bytes": len(content)}) if as_json else f"Wrote {file}.")
