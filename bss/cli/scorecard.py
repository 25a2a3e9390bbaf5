"""`fullspan bss scorecard`: post-evaluation (后评估) of customers, orders and contractors."""
from __future__ import annotations

from typing import Any

import click

from bss.cli.counter import acting, settings_of, show
from bss.desk import Desk
from bss.moment import read as read_time


@click.command()
@click.argument("kind", type=click.Choice(["customer", "order", "contractor"]))
@click.argument("subject", required=False, metavar="[ID]")
@click.option("--since", default="", help="Of what ended since then; default: 90 days ago.")
@click.option("--until", default="", help="And before then; default: now.")
@click.option("--region", default="", help="Of this region.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with where each figure was read.")
@click.pass_context
def command(ctx: click.Context, kind: str, subject: str | None, since: str, until: str, region: str, as_json: bool) -> None:
    """The cards of a KIND, ranked; of one, by its ID, each figure."""
    from bss.sla import evaluation
    from bss.sla.scorecard import shown

    zone = settings_of(ctx).zone
    begin, end = (read_time(text, zone, name) if text else None for text, name in ((since, "--since"), (until, "--until")))

    def lines(one: Any) -> list[dict[str, Any]]:
        return [{"kpi": line.kpi.key, "value": None if line.value is None else f"{line.value:.2f}", "unit": line.kpi.unit, "floor": str(line.kpi.floor),
                 "target": str(line.kpi.target), "weight": str(line.kpi.weight), "score": shown(line.score), "share": shown(line.share), "cases": line.cases,
                 **({"evidence": dict(line.evidence)} if as_json else {})} for line in one.total.scored]

    def row_of(one: Any) -> dict[str, Any]:
        return {"place": one.place, "subject": one.subject, "name": one.name, "total": shown(one.total.total), "cases": one.total.cases,
                **({"kpi": lines(one)} if as_json else {line.kpi.key: shown(line.score) for line in one.total.scored})}

    def look(desk: Desk) -> list[dict[str, Any]]:
        if subject:
            _, found = evaluation.one(desk, kind, subject, begin, end)
            return [row_of(found)] if as_json else [*lines(found), {"kpi": "total", "score": shown(found.total.total), "cases": found.total.cases}]
        return [row_of(one) for one in evaluation.all_of(desk, kind, begin, end, region)[1]]
    show(acting(ctx, look), as_json)
