"""`fullspan bss search`: one search for everything."""
from __future__ import annotations

from typing import Any

import click

from bss.cli.counter import acting, show
from bss.desk import Desk
from bss.moment import read
from bss.parties.search import Hit, search


@click.command()
@click.argument("text")
@click.option("--at", help="When bindings of an address are to hold; default: now.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
@click.pass_context
def command(ctx: click.Context, text: str, at: str | None, as_json: bool) -> None:
    """Find by name, pinyin, telephone number, contract, circuit, address, VLAN or ONU."""
    def called(desk: Desk, hit: Hit) -> str:
        if hit.kind == "customer":
            return f"{hit.row.number} {desk.shown(hit.row.party.name)}"
        return str(getattr(hit.row, {"service": "circuit", "binding": "key", "resource": "name"}.get(hit.kind, "number")))

    def look(desk: Desk) -> list[dict[str, Any]]:
        moment = read(at, desk.office.settings.zone, "--at") if at else None
        return [{"kind": hit.kind, "by": hit.by, "id": hit.row.id, "customer": hit.customer_id, "called": called(desk, hit)}
                for hit in search(desk, text, moment)]
    show(acting(ctx, look), as_json)
