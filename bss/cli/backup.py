"""`fullspan bss backup`: database and attachments into one file, the keys into another."""
from __future__ import annotations

import json
from pathlib import Path

import click

from bss.cli.counter import actor_of_command, office_of
from bss.keeping import backup


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--keys", type=click.Path(dir_okay=False, path_type=Path), help="Write the ring of keys here, to be kept elsewhere.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(ctx: click.Context, file: Path, keys: Path | None, as_json: bool) -> None:
    """Copy database and attachments into FILE, while others work.

    What is personal in it is sealed. The keys are not in it: without them it can't be read, by anybody.
    """
    office = office_of(ctx)
    told = backup.make(office, actor_of_command(ctx, office), file, keys)
    if as_json:
        click.echo(json.dumps(told))
        return
    click.echo(f"{told['file']}: {told['bytes']} bytes, the database (version {told['version']}) and {told['attachments']} attachments.")
    click.echo(f"Keys: {told['keys']}. Keep it elsewhere." if keys else "The keys are not in it: keep a copy of the key file elsewhere.")
