"""`fullspan bss dunning`: bills that are not paid when they are due."""
from __future__ import annotations

from typing import Any

import click

from bss.cli.counter import acting, show
from bss.desk import Desk

COLUMNS = ("id", "bill", "customer", "state", "days", "open", "services", "reason")


def row_of(desk: Desk, row: Any) -> dict[str, Any]:
    """A line of the list."""
    from bss.billing.dunning import days_of
    from bss.billing.journal import today
    from bss.tables import Bill

    bill = desk.session.get_one(Bill, row.bill_id)
    return {"id": row.id, "bill": bill.number, "customer": row.customer_id, "state": row.state, "days": days_of(row, bill.due, today(desk)) if bill.due else 0,
            "open": bill.gross - bill.paid, "services": " ".join(row.services), "reason": row.reason}


@click.group()
def command() -> None:
    """Dunning: cases, and what people decide about them."""


@command.command("list")
@click.option("--state", default="", help="In this state.")
@click.option("--customer", default="", help="Of this customer (id).")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def listed(ctx: click.Context, state: str, customer: str, as_json: bool) -> None:
    """List the newest 200 cases."""
    from bss.billing import dunning

    def look(desk: Desk) -> list[dict[str, Any]]:
        found: Any = desk.session.execute(dunning.listed(desk, state, customer).limit(200)).scalars()
        return [row_of(desk, one) for one in found]
    show(acting(ctx, look), as_json, COLUMNS)


@command.command()
@click.argument("dunning")
@click.argument("state")
@click.option("--reason", default="", help="Why.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def move(ctx: click.Context, dunning: str, state: str, reason: str, as_json: bool) -> None:
    """Take a case (DUNNING: its id) to a STATE: disputed and back, suspended or terminated (a second person), back where that is declined."""
    from bss.billing import dunning as cases

    show([acting(ctx, lambda desk: row_of(desk, cases.move(desk, dunning, state, reason)))], as_json, COLUMNS)


@command.command("write-off")
@click.argument("bill")
@click.option("--state", type=click.Choice(["approved", "rejected", "reversed"]), help="Decide on a write-off (its id instead of the bill's), or take it back.")
@click.option("--reason", default="", help="Why.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def write_off(ctx: click.Context, bill: str, state: str | None, reason: str, as_json: bool) -> None:
    """Propose that what is open of an overdue BILL (id) is given up; a second person approves it, and the bill is settled."""
    from bss.billing import writeoff

    def act(desk: Desk) -> dict[str, Any]:
        row = writeoff.move(desk, bill, state, reason) if state else writeoff.propose(desk, bill, reason)
        return {"id": row.id, "bill": row.bill_id, "amount": row.amount, "state": row.state, "reason": row.reason, "why": row.why}
    show([acting(ctx, act)], as_json)


@command.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def daily(ctx: click.Context, as_json: bool) -> None:
    """Do the day's duty now, which the worker does each day: open cases, give notices, propose."""
    from bss.billing import dunning
    from bss.tables import DunningCase

    def act(desk: Desk) -> list[dict[str, Any]]:
        desk.demand("dunning.write")
        if desk.actor.limited:
            desk.demand("system.run")
        dunning.daily(desk, {})
        found: Any = desk.session.execute(dunning.listed(desk).where(DunningCase.state != "cleared").limit(200)).scalars()
        return [row_of(desk, one) for one in found]
    show(acting(ctx, act), as_json, COLUMNS)
