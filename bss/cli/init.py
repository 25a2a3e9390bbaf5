"""`fullspan bss init`: database, keys and the first administrator."""
from __future__ import annotations

import json

import click

from bss.cli.counter import settings_of
from bss.office import Office
from bss.people.scope import SYSTEM
from bss.people.user import hashed, make


@click.command()
@click.option("--login", default="admin", show_default=True, help="Log-in of the first administrator.")
@click.option("--password", envvar="FULLSPAN_BSS_PASSWORD", help="His password; asked for where it is not given.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_context
def command(ctx: click.Context, login: str, password: str | None, as_json: bool) -> None:
    """Make the database, the ring of keys and the first administrator."""
    settings = settings_of(ctx)
    given = password or click.prompt("Password of the administrator", hide_input=True, confirmation_prompt=True)
    hashed(given, login)            # refused before anything is made
    Office.found(settings)
    office = Office(settings)
    ctx.call_on_close(office.close)
    user = office.act(SYSTEM, lambda desk: make(desk, login, login, given, ["administrator"]))
    if as_json:
        click.echo(json.dumps({"database": settings.database.split("@")[-1], "keys": settings.keys, "login": user.login, "id": user.id}))
        return
    click.echo(f"Made {settings.database.split('@')[-1]} and {settings.keys} (keep a copy of the keys elsewhere: without them nothing sealed can be read).")
    click.echo(f"Administrator: {user.login}. Next: fullspan bss user add, fullspan bss serve")
