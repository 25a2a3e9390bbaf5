"""`fullspan bss simulate`: what a customer would have paid on another plan."""
from __future__ import annotations

from typing import Any

import click

from bss.cli.counter import acting, show
from bss.desk import Desk
from bss.rating import simulation


@click.command()
@click.argument("customer_id", metavar="CUSTOMER")
@click.argument("period")
@click.argument("offering")
@click.option("--service", "services", multiple=True, help="Id of a service that changes; may be given again. Default: all that can.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def command(ctx: click.Context, customer_id: str, period: str, offering: str, services: tuple[str, ...], as_json: bool) -> None:
    """Rate a CUSTOMER's PERIOD (as 2026-12) on another OFFERING (its code). Nothing is written."""
    def look(desk: Desk) -> list[dict[str, Any]]:
        found = simulation.simulate(desk, customer_id, period, offering, services)
        rows = [{"plan": plan, "kind": one.kind, "price": one.price_key, "service": one.service_id, "quantity": one.quantity, "unit": one.unit,
                 "amount": str(one.amount)} for plan, lines in (("now", found.now), ("then", found.then)) for one in lines]
        rows += [{"plan": name, "kind": "total", "amount": str(amount)} for name, amount in (("now", found.before), ("then", found.after))]
        return [*rows, {"plan": "saving", "kind": "; ".join(found.hold), "amount": str(found.saving)}]
    show(acting(ctx, look), as_json)
