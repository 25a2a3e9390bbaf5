"""`fullspan bss export-bindings`: the file that the probe follows."""
from __future__ import annotations

import click

from bss.cli.counter import office_of, show
from bss.services import export


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Write the bindings file now. It is written after each change by itself; this is for the first time, and after a restore."""
    found = export.write(office_of(ctx), always=True)
    if as_json:
        show([found._asdict()], True)
    else:
        click.echo(f"{found.path}: {found.lines} bindings, {'written' if found.changed else 'as they were'}")
