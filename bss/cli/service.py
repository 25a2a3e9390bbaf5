"""`fullspan bss service`: the inventory of services."""
from __future__ import annotations

from typing import Any

import click

from bss.cli.counter import acting, show
from bss.desk import Desk
from bss.moment import iso
from bss.services import inventory
from bss.services.states import STATES
from bss.tables import Service

COLUMNS = ("id", "circuit", "customer", "kind", "class", "region", "state", "down_bps", "up_bps")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def command() -> None:
    """Services: list, show, add, change, move through their states."""


@command.command("list")
@click.option("--state", type=click.Choice(STATES), help="In this state.")
@click.option("--customer", default="", metavar="ID", help="Of this customer.")
@click.option("--region", default="", help="In this region.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True)
@_JSON
@click.pass_context
def list_(ctx: click.Context, state: str | None, customer: str, region: str, limit: int, as_json: bool) -> None:
    """Services, by id."""
    def look(desk: Desk) -> list[dict[str, Any]]:
        desk.demand("service.read")
        query: Any = desk.select(Service).order_by(Service.id).limit(limit)
        for column, wanted in ((Service.state, state), (Service.customer_id, customer), (Service.region, region)):
            query = query.where(column == wanted) if wanted else query
        return [_shown(desk, one) for one in desk.session.execute(query).scalars()]

    show(acting(ctx, look), as_json, COLUMNS)


@command.command("show")
@click.argument("id_", metavar="ID")
@click.option("--unmask", metavar="REASON", help="Show the site unmasked; kept in the audit log.")
@_JSON
@click.pass_context
def show_(ctx: click.Context, id_: str, unmask: str | None, as_json: bool) -> None:
    """One service."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("service.read")
        found = desk.find(Service, id_)
        return _shown(desk, found, unmask is not None and desk.unmask(found, unmask))

    found = acting(ctx, look)
    if as_json:
        show([found], True)
    else:
        click.echo("\n".join(f"{name:<14} {value}" for name, value in found.items() if value not in (None, "")))


@command.command()
@click.option("--customer", required=True, metavar="ID")
@click.option("--offering", required=True, metavar="CODE")
@click.option("--offering-version", type=click.IntRange(1), required=True)
@click.option("--kind", required=True)
@click.option("--class", "class_", required=True)
@click.option("--region", required=True)
@click.option("--down", type=click.IntRange(0), required=True, metavar="BPS", help="bit/s towards the customer.")
@click.option("--up", type=click.IntRange(0), required=True, metavar="BPS")
@click.option("--site", help="Where it is delivered; kept sealed.")
@click.option("--circuit", help="The number it is known by (default: its id).")
@click.option("--demarcation", default="", help="Where ours ends.")
@_JSON
@click.pass_context
def add(ctx: click.Context, customer: str, offering: str, offering_version: int, kind: str, class_: str, region: str, down: int, up: int, site: str | None,
        circuit: str | None, demarcation: str, as_json: bool) -> None:
    """A new service, designed."""
    show([acting(ctx, lambda desk: _shown(desk, inventory.design(
        desk, customer_id=customer, offering=offering, offering_version=offering_version, kind=kind, class_=class_, region=region, down_bps=down, up_bps=up,
        site=site, circuit=circuit, demarcation=demarcation)))], as_json, COLUMNS)


@command.command()
@click.argument("id_", metavar="ID")
@click.option("--down", "down_bps", type=click.IntRange(0), metavar="BPS")
@click.option("--up", "up_bps", type=click.IntRange(0), metavar="BPS")
@click.option("--demarcation")
@click.option("--circuit")
@click.option("--site")
@click.option("--owner", "owner_id", metavar="USER_ID")
@_JSON
@click.pass_context
def change(ctx: click.Context, /, id_: str, as_json: bool, **given: Any) -> None:
    """Change what is said of a service."""
    wanted = {name: value for name, value in given.items() if value is not None}
    show([acting(ctx, lambda desk: _shown(desk, inventory.change(desk, id_, **wanted)))], as_json, COLUMNS)


@command.command()
@click.argument("id_", metavar="ID")
@click.argument("state", type=click.Choice(STATES))
@click.option("--reason", default="", help="Needed to suspend or give up a service.")
@_JSON
@click.pass_context
def move(ctx: click.Context, id_: str, state: str, reason: str, as_json: bool) -> None:
    """Bring a service to another state."""
    show([acting(ctx, lambda desk: _shown(desk, inventory.move(desk, id_, state, reason)))], as_json, COLUMNS)


def _shown(desk: Desk, one: Service, unmasked: bool = False) -> dict[str, Any]:
    return {"id": one.id, "circuit": one.circuit, "customer": one.customer_id, "kind": one.kind, "class": one.class_, "region": one.region, "state": one.state,
            "reason": one.reason, "down_bps": one.down_bps, "up_bps": one.up_bps, "offering": f"{one.offering} {one.offering_version}",
            "demarcation": one.demarcation, "site": desk.shown(one.site, unmasked), "owner": one.owner_id, "created": iso(one.created),
            "activated": iso(one.activated), "terminated": iso(one.terminated), "version": one.version}
