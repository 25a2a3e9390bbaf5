"""`fullspan bss token`: tokens of the API."""
from __future__ import annotations

from typing import Any

import click

from bss.cli.counter import acting, show
from bss.desk import Desk
from bss.moment import iso
from bss.people import token, user
from bss.tables import ApiToken, User
from bss.tables.person import ROLES

as_json = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


@click.group()
def command() -> None:
    """Tokens of the API: make, list, revoke."""


def told(desk: Desk, one: ApiToken) -> dict[str, Any]:
    """A token as a row."""
    owner, zone = desk.session.get(User, one.user_id), desk.office.settings.zone
    return {"id": one.id, "user": owner.login if owner else None, "name": one.name, "roles": ", ".join(one.roles) or "all", "created": iso(one.created, zone),
            "expires": iso(one.expires, zone), "used": iso(one.used, zone), "revoked": iso(one.revoked, zone)}


@command.command()
@click.argument("login")
@click.option("--name", required=True, help="What it is for.")
@click.option("--role", "roles", multiple=True, type=click.Choice(ROLES), help="One of the user's roles that it has; may be given again. Default: all.")
@click.option("--days", default=365, show_default=True, type=click.IntRange(1, token.LONGEST), help="How long it is good.")
@as_json
@click.pass_context
def make(ctx: click.Context, login: str, name: str, roles: tuple[str, ...], days: int, as_json: bool) -> None:
    """Make a token. It is shown this once."""
    def act(desk: Desk) -> dict[str, Any]:
        secret, made = token.make(desk, user.named(desk, login).id, name, roles, days)
        return {**told(desk, made), "token": secret}

    show([acting(ctx, act)], as_json, ("token", "user", "name", "roles", "expires", "id"))


@command.command(name="list")
@click.option("--user", "login", help="Only of this user.")
@as_json
@click.pass_context
def list_(ctx: click.Context, login: str | None, as_json: bool) -> None:
    """Tokens, the newest first."""
    def look(desk: Desk) -> list[dict[str, Any]]:
        found: Any = desk.session.execute(token.search(desk, user.named(desk, login).id if login else "")).scalars()
        return [told(desk, one) for one in found]

    show(acting(ctx, look), as_json)


@command.command()
@click.argument("token_id", metavar="ID")
@as_json
@click.pass_context
def revoke(ctx: click.Context, token_id: str, as_json: bool) -> None:
    """Make a token useless, by its id in the list."""
    show([acting(ctx, lambda desk: told(desk, token.revoke(desk, token_id)))], as_json)
