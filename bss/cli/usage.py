"""`fullspan bss usage`: what is included and what was used, charges by use, days, what waits for a person."""
from __future__ import annotations

from typing import Any

import click

from bss.cli.counter import acting, show
from bss.desk import Desk
from bss.rating import balance, evidence, recycling
from bss.refusal import Refusal


@click.command()
@click.argument("customer_id", required=False, metavar="[CUSTOMER]")
@click.option("--period", default="", help="A month, as 2026-12; default: the one that runs.")
@click.option("--days", is_flag=True, help="Days of usage instead.")
@click.option("--charges", "charged", is_flag=True, help="Charges by use instead.")
@click.option("--open", "charge", default="", help="Open a charge (its id): its hours, and whether their slots are as they were.")
@click.option("--recycled", is_flag=True, help="What waits for a person instead.")
@click.option("--take", default="", help="Take recycled usage up (its id): it goes on the next bill.")
@click.option("--reject", default="", help="Reject recycled usage (its id): nobody is charged for it.")
@click.option("--reason", default="", help="Why it is taken up or rejected.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def command(ctx: click.Context, customer_id: str | None, period: str, days: bool, charged: bool, charge: str, recycled: bool, take: str, reject: str,
            reason: str, as_json: bool) -> None:
    """Balances of a CUSTOMER (his id) in a month."""
    def act(desk: Desk) -> list[dict[str, Any]]:
        rows: list[Any]
        if take or reject:
            return recycling.told([recycling.decide(desk, take or reject, "rated" if take else "rejected", reason)])
        if recycled:
            rows = list(desk.session.execute(recycling.queue(desk, customer_id=customer_id or "").limit(200)).scalars())
            return recycling.told(rows)
        if charge:
            found = evidence.of(desk, charge)
            changed = {one.begin for one in found.slots if one.unchanged is False}
            return [{"service": one.service_id, "hour": one.begin, "category": one.category, "bytes": one.bytes, "drawn": one.drawn, "over": one.over,
                     "slot": "changed" if one.begin in changed else "unknown" if found.away else "unchanged"} for one in found.hours]
        if customer_id is None:
            raise Refusal("invalid", "whose usage is not said", "CUSTOMER", "give the id of a customer, or --recycled")
        if days:
            rows = list(desk.session.execute(balance.days(desk, customer_id, period=period).limit(200)).scalars())
            return [{"service": one.service_id, "day": one.day, "revision": one.revision, "state": one.state, "up_bytes": one.up_bytes,
                     "down_bytes": one.down_bytes} for one in rows]
        if charged:
            rows = list(desk.session.execute(balance.charges(desk, customer_id, period).limit(200)).scalars())
            return [{"id": one.id, "service": one.service_id, "period": one.period, "of": one.original_period, "price": one.price_key,
                     "quantity": one.quantity, "unit": one.unit, "amount": one.amount, "state": one.state} for one in rows]
        return [{"key": one.bucket.key, "owner": one.bucket.owner, "of": one.bucket.origin, "bytes": one.bucket.quantity, "used": one.bucket.used,
                 "left": one.left, "percent": one.percent, "expires": one.bucket.expires, "state": one.bucket.state}
                for one in balance.balances(desk, customer_id, period)]
    show(acting(ctx, act), as_json)
