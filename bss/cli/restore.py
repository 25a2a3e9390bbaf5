"""`fullspan bss restore`: a backup is put back."""
from __future__ import annotations

import json
from pathlib import Path

import click

from bss.cli.counter import settings_of
from bss.keeping.restoring import restore


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--keys", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The key file that was written with it; default: the settings' own.")
@click.option("--unchecked", is_flag=True, help="Also where the chain of the audit log is broken.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(ctx: click.Context, file: Path, keys: Path | None, unchecked: bool, as_json: bool) -> None:
    """Put a backup into the database, the folder and the key file of the settings, where nothing is yet.

    Digests, signature and the chain of the audit log are checked before.
    """
    told = restore(settings_of(ctx), file, keys, unchecked)
    if as_json:
        click.echo(json.dumps(told))
        return
    rows = "of an audit log that is NOT whole" if told["audit_rows"] is None else f"{told['audit_rows']} rows of the audit log, as they were written"
    click.echo(f"As of {told['time']}: {rows}, {told['attachments']} attachments.")
