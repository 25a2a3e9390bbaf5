"""`fullspan bss leakage`: traffic that nobody pays for, services without traffic, rates above the contract."""
from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import click

from bss.cli.counter import acting, actor_of_command, office_of, settings_of, show
from bss.desk import Desk
from bss.refusal import Refusal
from bss.services import leakage


@click.command()
@click.argument("day", required=False, metavar="[DAY]")
@click.option("--write", is_flag=True, help="Write the report of that day anew, as the worker does each night.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, day: str | None, write: bool, as_json: bool) -> None:
    """The report of DAY, as in 2026-12-01 (default: yesterday)."""
    zone = settings_of(ctx).zone
    try:
        wanted = date.fromisoformat(day) if day else None
    except ValueError:
        raise Refusal("invalid", f"{day!r} is no day", "DAY", "write it as 2026-12-01") from None

    def act(desk: Desk) -> list[leakage.Line]:
        at = wanted or desk.now.astimezone(zone).date() - timedelta(days=1)
        if leakage.written(desk, at) is None:
            return leakage.find(desk, at)
        return leakage.report(desk, at)

    if write:
        office = office_of(ctx)
        at = wanted or office.clock().astimezone(zone).date() - timedelta(days=1)
        leakage.daily(office, {"day": at.isoformat()}, actor_of_command(ctx, office))
    rows: list[dict[str, Any]] = [
        {**one._asdict(), **({} if as_json else {"evidence": ", ".join(f"{name} {value}" for name, value in one.evidence.items())})}
        for one in acting(ctx, act)]
    show(rows, as_json, ("kind", "subject", "customer_id", "region", "bytes", "evidence"))
