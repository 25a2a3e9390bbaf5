"""`fullspan bss upgrade`: bring the database to this program's version."""
from __future__ import annotations

import json

import click

from bss.cli.counter import settings_of
from bss.database import Database
from bss.migrations import current, upgrade


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Bring the database to the version that this program wants."""
    database = Database(settings_of(ctx).database)
    database.reach()
    before, wanted = current(database.engine)
    upgrade(database.engine)
    if as_json:
        click.echo(json.dumps({"before": before, "version": wanted}))
    else:
        click.echo(f"Version {before or 'none'} -> {wanted}." if before != wanted else f"Version {wanted} already.")
    database.close()
