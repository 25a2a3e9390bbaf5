"""`fullspan bss audit`: what was done, and whether the log of it is whole."""
from __future__ import annotations

import json
from typing import Any

import click

from bss import audit, moment
from bss.cli.counter import acting, settings_of, show
from bss.desk import Desk

as_json = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


@click.group()
def command() -> None:
    """The audit log: show, check."""


@command.command(name="show")
@click.option("--entity", default="", help="Only of this kind of thing, such as customer.")
@click.option("--id", "entity_id", default="", help="Only of this one.")
@click.option("--actor", default="", help="Only by this user.")
@click.option("--action", default="", help="Only this act, such as personal.unmask.")
@click.option("--since", help="Not before this time or day.")
@click.option("--until", help="Before this time or day.")
@click.option("--detail", metavar="REASON", help="Show what was before and after, and say why: it is recorded.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 100_000), help="Rows at most.")
@as_json
@click.pass_context
def show_(ctx: click.Context, entity: str, entity_id: str, actor: str, action: str, since: str | None, until: str | None, detail: str | None, limit: int,
          as_json: bool) -> None:
    """Rows, the newest first."""
    zone = settings_of(ctx).zone
    begin, end = (moment.read(one, zone, name) if one else None for one, name in ((since, "--since"), (until, "--until")))

    def look(desk: Desk) -> list[dict[str, Any]]:
        query = audit.search(desk, entity, entity_id, actor, action, begin, end).limit(limit)
        found: Any = desk.session.execute(query).scalars().all()
        if detail is not None:
            audit.open_detail(desk, detail, {"entity": entity, "entityId": entity_id, "actor": actor, "action": action})
        return [{"number": one.number, "time": moment.iso(one.time, zone), "actor": one.actor, "action": one.action, "entity": one.entity, "id": one.entity_id,
                 "reason": one.reason, **({"detail": _shown(audit.detail(one), as_json)} if detail is not None else {})} for one in found]

    show(acting(ctx, look), as_json)


@command.command()
@as_json
@click.pass_context
def check(ctx: click.Context, as_json: bool) -> None:
    """Walk the whole chain. A row that was edited or is missing ends it with 2."""
    def look(desk: Desk) -> int:
        desk.demand("audit.read")
        return audit.check(desk.session)

    rows = acting(ctx, look)
    click.echo(json.dumps({"rows": rows, "whole": True}) if as_json else f"{rows} rows, as they were written.")


def _shown(detail: dict[str, Any] | None, as_json: bool) -> Any:
    return detail if as_json or detail is None else json.dumps(detail, ensure_ascii=False)
