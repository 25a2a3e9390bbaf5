"""`fullspan bss credit`: credits for missed service levels."""
from __future__ import annotations

from typing import Any

import click

from bss.cli.counter import acting, show
from bss.desk import Desk

COLUMNS = ("id", "month", "service", "customer", "state", "amount", "currency", "tax", "tax_rate", "how", "reason")


def row_of(row: Any) -> dict[str, Any]:
    """A line of the list."""
    why = row.why
    told = ("availability_percent", "target_percent", "model", "band", "share_percent", "hours", "each")
    how = " ".join(f"{name} {why[name]}" for name in told if name in why)
    return {"id": row.id, "month": row.month, "service": row.service_id, "customer": row.customer_id, "state": row.state, "amount": f"{row.amount:f}",
            "currency": row.currency, "tax": row.tax_mode, "tax_rate": f"{row.tax_rate:f}", "how": how, "reason": row.reason, "bill": row.bill_id, "why": why}


@click.group()
def command() -> None:
    """Credits: list, approve, reject, take back."""


@command.command("list")
@click.option("--state", default="", help="In this state: drafted, approved, rejected, superseded, applied.")
@click.option("--month", default="", help="Of this month, as in 2026-12.")
@click.option("--customer", default="", help="Of this customer (id).")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def listed(ctx: click.Context, state: str, month: str, customer: str, as_json: bool) -> None:
    """List the newest 200 credits."""
    from bss.sla import credit

    def look(desk: Desk) -> list[dict[str, Any]]:
        return [row_of(one) for one in desk.session.execute(credit.listed(desk, state, month, customer).limit(200)).scalars()]
    show(acting(ctx, look), as_json, COLUMNS)


@command.command()
@click.argument("credit")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def approve(ctx: click.Context, credit: str, as_json: bool) -> None:
    """Approve a CREDIT (its id) of a closed month; it goes onto the next bill."""
    from bss.sla.credit import decide

    show([acting(ctx, lambda desk: row_of(decide(desk, credit, True)))], as_json, COLUMNS)


@command.command()
@click.argument("credit")
@click.option("--reason", required=True, help="Why.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def reject(ctx: click.Context, credit: str, reason: str, as_json: bool) -> None:
    """Reject a CREDIT (its id)."""
    from bss.sla.credit import decide

    show([acting(ctx, lambda desk: row_of(decide(desk, credit, False, reason)))], as_json, COLUMNS)


@command.command()
@click.argument("credit")
@click.option("--reason", required=True, help="Why.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def withdraw(ctx: click.Context, credit: str, reason: str, as_json: bool) -> None:
    """Take a draft back."""
    from bss.sla.credit import withdraw as back

    show([acting(ctx, lambda desk: row_of(back(desk, credit, reason)))], as_json, COLUMNS)
