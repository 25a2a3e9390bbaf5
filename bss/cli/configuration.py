"""`fullspan bss configuration`: configuration data of items."""
from __future__ import annotations

from typing import Any

import click

from bss.cli.counter import acting, show
from bss.cli.enquiry import document
from bss.desk import Desk

COLUMNS = ("id", "item", "version", "state", "conflicts", "signed_by")


def row_of(row: Any) -> dict[str, Any]:
    """A line of the list."""
    return {"id": row.id, "item": row.item_id, "version": row.version, "state": row.state, "conflicts": "; ".join(row.conflicts), "signed_by": row.signed_by,
            "text": row.text, "inverse": row.inverse}


@click.group()
def command() -> None:
    """Configuration data: render, show, sign, note that it was applied or reverted."""


@command.command()
@click.argument("item")
@click.option("--values", default="{}", help="Values beside those of the order, as JSON.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with the text.")
@click.pass_context
def render(ctx: click.Context, item: str, values: str, as_json: bool) -> None:
    """Render configuration data of an ITEM (its id)."""
    from bss.orders import configuration

    show([row_of(acting(ctx, lambda desk: configuration.render(desk, item, document(values, "--values"))))], as_json, () if as_json else COLUMNS)


@command.command("list")
@click.option("--order", default="", help="Of this order.")
@click.option("--item", default="", help="Of this item.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with the text.")
@click.pass_context
def listed(ctx: click.Context, order: str, item: str, as_json: bool) -> None:
    """List the newest 200."""
    from bss.orders import configuration

    show(acting(ctx, lambda desk: [row_of(one) for one in desk.session.execute(configuration.listed(desk, item, order).limit(200)).scalars()]),
         as_json, () if as_json else COLUMNS)


@command.command("show")
@click.argument("id")
@click.option("--inverse", is_flag=True, help="What undoes it.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def one(ctx: click.Context, id: str, inverse: bool, as_json: bool) -> None:
    """Print it, as a device is told it."""
    from bss.tables import Configuration

    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("order.read")
        return row_of(desk.find(Configuration, id))
    row = acting(ctx, look)
    if as_json:
        show([row], True)
    else:
        click.echo(row["inverse" if inverse else "text"], nl=False)


@command.command()
@click.argument("id")
@click.argument("state", type=click.Choice(["signed", "refused", "applied", "reverted"]))
@click.option("--reason", default="", help="Why.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def move(ctx: click.Context, id: str, state: str, reason: str, as_json: bool) -> None:
    """Sign or refuse it (a second person), or note that a device was told it, or its inverse."""
    from bss.orders import configuration

    def act(desk: Desk) -> dict[str, Any]:
        if state in ("signed", "refused"):
            return row_of(configuration.sign(desk, id, state == "signed", reason))
        return row_of(configuration.apply(desk, id, reason) if state == "applied" else configuration.revert(desk, id, reason))
    show([acting(ctx, act)], as_json, () if as_json else COLUMNS)
