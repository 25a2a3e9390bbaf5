"""`fullspan bss rate`: rate what has closed, or close a month. The worker does both by itself."""
from __future__ import annotations

import click

from bss.cli.counter import actor_of_command, office_of, show
from bss.rating import closing, hours


@click.command()
@click.option("--close", "period", default="", help="Close this month, as 2026-12: 48 hours after its end, not before.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def command(ctx: click.Context, period: str, as_json: bool) -> None:
    """Rate the hours that have closed since the last time."""
    office = office_of(ctx)
    actor = actor_of_command(ctx, office)
    if period:
        show([{"period": period, "charges": closing.close(office, period, actor)}], as_json)
        return
    show([hours.hourly(office, {}, actor)._asdict()], as_json)
