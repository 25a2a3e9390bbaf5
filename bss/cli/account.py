"""`fullspan bss account`: billing accounts, and the rates of tax."""
from __future__ import annotations

from typing import Any

import click

from bss.cli.counter import acting, show
from bss.cli.journal import day
from bss.desk import Desk

COLUMNS = ("id", "number", "customer", "kind", "state", "anchor", "currency", "owed", "balance", "payer", "due_days")


def row_of(desk: Desk, row: Any) -> dict[str, Any]:
    """A line of the list."""
    from bss.billing import account

    return {"id": row.id, "number": row.number, "customer": row.customer_id, "kind": row.kind, "state": row.state, "anchor": row.anchor,
            "currency": row.currency, "owed": account.owed(desk, row.id), "balance": account.balance(desk, row.id), "payer": row.payer,
            "due_days": row.due_days}


def _given(kind: str | None, anchor: int | None, payer: str | None, name: str | None, lang: str | None, due_days: int | None,
           tax: tuple[str, ...]) -> dict[str, Any]:
    return {"kind": kind, "anchor": anchor, "payer": payer, "name": name, "lang": lang, "due_days": due_days,
            "tax": dict(one.partition("=")[::2] for one in tax) or None}


@click.group()
def command() -> None:
    """Billing accounts: open, change, list; rates of tax."""


_OPTIONS = (click.option("--kind", type=click.Choice(["postpaid", "prepaid"]), help="Paid afterwards, or ahead."),
            click.option("--anchor", type=click.IntRange(1, 31), help="The day of the month on which its periods begin."),
            click.option("--payer", type=click.Choice(["individual", "organization"]), help="What tax goes by; default: by the customer."),
            click.option("--name", help="Who is billed, where it is not the customer."),
            click.option("--lang", type=click.Choice(["en", "zh"]), help="Language of its bills."),
            click.option("--due-days", type=click.IntRange(0, 365), help="Days to pay."),
            click.option("--tax", multiple=True, metavar="FIELD=TEXT", help="name, number, address or bank as on invoices; may be given again."),
            click.option("--json", "as_json", is_flag=True, help="As JSON."))


def _options(function: Any) -> Any:
    for one in reversed(_OPTIONS):
        function = one(function)
    return function


@command.command("open")
@click.argument("customer")
@_options
@click.pass_context
def opened(ctx: click.Context, /, customer: str, as_json: bool, **given: Any) -> None:
    """Open an account of a CUSTOMER (id)."""
    from bss.billing import account

    show([acting(ctx, lambda desk: row_of(desk, account.open_(desk, customer, **_given(**given))))], as_json, COLUMNS)


@command.command()
@click.argument("account")
@click.option("--state", type=click.Choice(["active", "closed"]), help="Close it, or open it again.")
@_options
@click.pass_context
def change(ctx: click.Context, /, account: str, as_json: bool, state: str | None, **given: Any) -> None:
    """Change an ACCOUNT (id)."""
    from bss.billing import account as accounts

    show([acting(ctx, lambda desk: row_of(desk, accounts.change(desk, account, state=state, **_given(**given))))], as_json, COLUMNS)


@command.command()
@click.argument("account")
@click.argument("services", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def pays(ctx: click.Context, account: str, services: tuple[str, ...], as_json: bool) -> None:
    """Put SERVICES (ids; or items that have no service) on an ACCOUNT (id) of their customer, and list what it pays for."""
    from bss.billing import choosing
    from bss.tables import BillingAccount

    def act(desk: Desk) -> list[dict[str, Any]]:
        desk.demand("bill.read")
        if services:
            choosing.choose(desk, account, services)
        row = desk.find(BillingAccount, account)
        return [{"id": one.id, "circuit": one.circuit, "state": one.state} for one in choosing.services_of(desk, row.customer_id, row.id)]
    show(acting(ctx, act), as_json)


@command.command("list")
@click.option("--customer", default="", help="Of this customer (id).")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def listed(ctx: click.Context, customer: str, as_json: bool) -> None:
    """List the newest 200 accounts, with what each owes and has."""
    from bss.billing import account

    def look(desk: Desk) -> list[dict[str, Any]]:
        found: Any = desk.session.execute(account.listed(desk, customer).limit(200)).scalars()
        return [row_of(desk, one) for one in found]
    show(acting(ctx, look), as_json, COLUMNS)


@command.command()
@click.argument("value", required=False)
@click.option("--charge", default="", help="Of this kind of line or of offering; default: any.")
@click.option("--payer", default="", help="To an individual or organization; default: both.")
@click.option("--since", default="", help="For supplies from this day on.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def rate(ctx: click.Context, value: str | None, charge: str, payer: str, since: str, as_json: bool) -> None:
    """List the rates of tax, or enter one: VALUE 0.06 is 6 %. They come before what a price says."""
    from bss.billing import account
    from bss.cli.payment import amount_of

    def act(desk: Desk) -> list[dict[str, Any]]:
        desk.demand("bill.read")
        if value is not None:
            account.enter_rate(desk, charge, payer, day(since, "--since"), amount_of(value))
        return [{"charge": one.charge or "any", "customer": one.customer or "any", "since": one.since, "until": one.until, "rate": one.rate}
                for one in account.rates(desk)]
    show(acting(ctx, act), as_json)
