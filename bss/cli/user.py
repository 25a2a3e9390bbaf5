"""`fullspan bss user`: who may come in, and what they may do."""
from __future__ import annotations

from typing import Any

import click
from sqlalchemy import select

from bss.cli.counter import acting, actor_of_command, office_of, show
from bss.desk import Desk
from bss.moment import iso
from bss.people import totp, user
from bss.tables import Customer, User
from bss.tables.person import ROLES

as_json = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
roles_option = click.option("--role", "roles", multiple=True, type=click.Choice(ROLES), help="A role; may be given again.")
regions_option = click.option("--region", "regions", multiple=True, help="A region that he is limited to; may be given again.")
customers_option = click.option("--customer", "customers", multiple=True, help="Number of a customer whose user he is; may be given again.")


@click.group()
def command() -> None:
    """Users: add, list, change, disable, password, totp."""


def told(desk: Desk, one: User, unmasked: bool = False) -> dict[str, Any]:
    """A user as a row."""
    return {"id": one.id, "login": one.login, "name": desk.shown(one.name, unmasked), "email": desk.shown(one.email, unmasked), "roles": ", ".join(one.roles),
            "regions": ", ".join(one.regions), "customers": ", ".join(one.customers), "own_work": one.own_work, "disabled": one.disabled,
            "totp": bool(one.totp), "locked_until": _until(desk, one)}


def _until(desk: Desk, one: User) -> str | None:
    return iso(one.locked_until, desk.office.settings.zone) if one.locked_until and one.locked_until > desk.now else None


def _customers(desk: Desk, numbers: tuple[str, ...]) -> list[str]:
    """Ids of customers by number or id."""
    found = {one.number: one.id for one in desk.session.scalars(select(Customer).where(Customer.number.in_(numbers)))}
    return [found.get(one, one) for one in numbers]


def _password(given: str | None) -> str:
    """As given, else asked for: it is not seen in lists of processes then."""
    return given if given is not None else click.prompt("Password", hide_input=True, confirmation_prompt=True)


@command.command()
@click.argument("login")
@click.option("--name", required=True, help="His name.")
@click.option("--email", help="His e-mail address, for reminders and log-in by the OpenID provider.")
@click.option("--password", envvar="FULLSPAN_BSS_PASSWORD", help="His password; asked for where it is not given.")
@click.option("--no-password", is_flag=True, help="He comes in by the OpenID provider alone.")
@click.option("--own-work", is_flag=True, help="He sees only what he owns.")
@roles_option
@regions_option
@customers_option
@as_json
@click.pass_context
def add(ctx: click.Context, login: str, name: str, email: str | None, password: str | None, no_password: bool, own_work: bool, roles: tuple[str, ...],
        regions: tuple[str, ...], customers: tuple[str, ...], as_json: bool) -> None:
    """Make a user."""
    word = None if no_password else _password(password)

    def act(desk: Desk) -> dict[str, Any]:
        made = user.make(desk, login, name, word, roles, email=email, regions=regions, customers=_customers(desk, customers), own_work=own_work)
        return told(desk, made)

    show([acting(ctx, act)], as_json)


@command.command(name="list")
@click.option("--role", default="", help="Only who has this role.")
@click.option("--disabled/--enabled", default=None, help="Only who is kept out, or who is not.")
@click.option("--unmask", metavar="REASON", help="Show names and e-mail addresses, and say why: it is recorded.")
@as_json
@click.pass_context
def list_(ctx: click.Context, role: str, disabled: bool | None, unmask: str | None, as_json: bool) -> None:
    """Users by log-in."""
    def look(desk: Desk) -> list[dict[str, Any]]:
        found: Any = desk.session.execute(user.search(desk, role=role, disabled=disabled)).scalars()
        return [told(desk, one, unmask is not None and desk.unmask(one, unmask)) for one in found]

    show(acting(ctx, look), as_json, ("login", "name", "email", "roles", "regions", "own_work", "disabled", "totp", "locked_until"))


@command.command()
@click.argument("login")
@click.option("--name", help="His name.")
@click.option("--email", help="His e-mail address; empty: none.")
@click.option("--own-work/--all-work", default=None, help="Whether he sees only what he owns.")
@click.option("--no-roles", is_flag=True, help="Take all roles away.")
@click.option("--all-regions", is_flag=True, help="Limit him to no region.")
@click.option("--no-customers", is_flag=True, help="Make him no customer's user.")
@roles_option
@regions_option
@customers_option
@as_json
@click.pass_context
def change(ctx: click.Context, login: str, name: str | None, email: str | None, own_work: bool | None, no_roles: bool, all_regions: bool, no_customers: bool,
           roles: tuple[str, ...], regions: tuple[str, ...], customers: tuple[str, ...], as_json: bool) -> None:
    """Change a user: what is not named stays. Roles, regions and customers replace those he has."""
    def act(desk: Desk) -> dict[str, Any]:
        given: dict[str, Any] = {}
        if name is not None:
            given["name"] = name
        if email is not None:
            given["email"] = email or None
        if own_work is not None:
            given["own_work"] = own_work
        for key, values, none in (("roles", list(roles), no_roles), ("regions", list(regions), all_regions),
                                  ("customers", _customers(desk, customers), no_customers)):
            if values or none:
                given[key] = values
        return told(desk, user.change(desk, user.named(desk, login).id, **given))

    show([acting(ctx, act)], as_json)


@command.command()
@click.argument("login")
@click.option("--undo", is_flag=True, help="Let him in again.")
@as_json
@click.pass_context
def disable(ctx: click.Context, login: str, undo: bool, as_json: bool) -> None:
    """Keep a user out: he is logged out, and his tokens are of no use."""
    show([acting(ctx, lambda desk: told(desk, user.disable(desk, user.named(desk, login).id, disabled=not undo)))], as_json)


@command.command()
@click.argument("login")
@as_json
@click.pass_context
def unlock(ctx: click.Context, login: str, as_json: bool) -> None:
    """Let a user try again who was locked after too many wrong passwords."""
    show([acting(ctx, lambda desk: told(desk, user.unlock(desk, user.named(desk, login).id)))], as_json)


@command.command()
@click.argument("login")
@click.option("--password", envvar="FULLSPAN_BSS_PASSWORD", help="The new one; asked for where it is not given.")
@as_json
@click.pass_context
def password(ctx: click.Context, login: str, password: str | None, as_json: bool) -> None:
    """Give a user a new password; he is logged out everywhere."""
    word = _password(password)
    show([acting(ctx, lambda desk: told(desk, user.set_password(desk, user.named(desk, login).id, word)))], as_json)


@command.command(name="totp")
@click.argument("login")
@click.option("--remove", is_flag=True, help="Want no codes of him any more, as when his telephone is lost.")
@as_json
@click.pass_context
def totp_(ctx: click.Context, login: str, remove: bool, as_json: bool) -> None:
    """Want one-time codes of a user: his authenticator is told a secret, and gives the first code."""
    if remove:
        show([acting(ctx, lambda desk: told(desk, totp.remove(desk, user.named(desk, login).id)))], as_json)
        return
    office = office_of(ctx)
    actor = actor_of_command(ctx, office)
    key, begun = office.act(actor, lambda desk: (lambda one: (one.id, totp.enrol(desk, one.id)))(user.named(desk, login)))
    click.echo(f"Secret: {begun.secret}\nURI:    {begun.uri}", err=True)
    code = click.prompt("First code", err=True)
    show([office.act(actor, lambda desk: told(desk, totp.confirm(desk, key, begun.pending, code.strip())))], as_json)
