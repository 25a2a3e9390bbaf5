"""`fullspan bss resource`: the inventory of resources."""
from __future__ import annotations

from typing import Any

import click

from bss.cli.counter import acting, settings_of, show
from bss.desk import Desk
from bss.moment import iso, read
from bss.services import pool, resource
from bss.tables import Resource
from bss.tables.service import RESOURCE_KINDS

COLUMNS = ("id", "kind", "name", "region", "parent", "state", "usage", "capacity_bps")
ROOM = ("id", "name", "capacity_bps", "reserved_bps", "used_bps", "measured_p95_bps", "slots", "free_bps")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def command() -> None:
    """Resources: list, add, pools, room, candidates, reservations."""


@command.command("list")
@click.option("--kind", type=click.Choice(RESOURCE_KINDS))
@click.option("--region", default="")
@click.option("--parent", default="", metavar="ID")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True)
@_JSON
@click.pass_context
def list_(ctx: click.Context, kind: str | None, region: str, parent: str, limit: int, as_json: bool) -> None:
    """Resources, by id."""
    def look(desk: Desk) -> list[dict[str, Any]]:
        desk.demand("resource.read")
        query: Any = desk.select(Resource).order_by(Resource.id).limit(limit)
        for column, wanted in ((Resource.kind, kind), (Resource.region, region), (Resource.parent_id, parent)):
            query = query.where(column == wanted) if wanted else query
        return [_shown(one) for one in desk.session.execute(query).scalars()]

    show(acting(ctx, look), as_json, COLUMNS)


@command.command()
@click.argument("kind", type=click.Choice(RESOURCE_KINDS))
@click.argument("name")
@click.option("--region", required=True)
@click.option("--parent", metavar="ID")
@click.option("--capacity", type=click.IntRange(0), default=0, metavar="BPS", help="Nameplate, bit/s.")
@click.option("--probe", default="", help="Probe that measures it.")
@click.option("--interface", default="", help="And at which interface.")
@_JSON
@click.pass_context
def add(ctx: click.Context, kind: str, name: str, region: str, parent: str | None, capacity: int, probe: str, interface: str, as_json: bool) -> None:
    """A new resource."""
    show([acting(ctx, lambda desk: _shown(resource.add(desk, kind=kind, name=name, region=region, parent_id=parent, capacity_bps=capacity, probe=probe,
                                                       interface=interface)))], as_json, COLUMNS)


@command.command("pool")
@click.argument("kind", type=click.Choice(("vlan", "prefix")))
@click.argument("name")
@click.option("--region", required=True)
@click.option("--parent", metavar="ID")
@click.option("--first", type=click.IntRange(1, 4094), default=1, help="First VLAN.")
@click.option("--last", type=click.IntRange(1, 4094), default=1, help="Last VLAN.")
@click.option("--prefix", default="", help="Network that is divided.")
@click.option("--length", type=click.IntRange(0, 128), default=32, help="Length of each prefix.")
@_JSON
@click.pass_context
def pool_(ctx: click.Context, kind: str, name: str, region: str, parent: str | None, first: int, last: int, prefix: str, length: int, as_json: bool) -> None:
    """A new pool of VLANs or prefixes."""
    show([acting(ctx, lambda desk: _shown(pool.create(desk, kind=kind, name=name, region=region, parent_id=parent, first=first, last=last, prefix=prefix,
                                                      length=length)))], as_json, COLUMNS)


@command.command()
@click.argument("id_", metavar="ID")
@click.option("--administrative", type=click.Choice(("locked", "unlocked", "shutdown")))
@click.option("--operational", type=click.Choice(("enable", "disable")))
@click.option("--capacity", "capacity_bps", type=click.IntRange(0), metavar="BPS")
@click.option("--probe")
@click.option("--interface")
@_JSON
@click.pass_context
def change(ctx: click.Context, /, id_: str, as_json: bool, **given: Any) -> None:
    """Change what is said of a resource."""
    wanted = {name: value for name, value in given.items() if value is not None}
    show([acting(ctx, lambda desk: _shown(resource.change(desk, id_, **wanted)))], as_json, COLUMNS)


@command.command()
@click.argument("id_", metavar="ID")
@_JSON
@click.pass_context
def headroom(ctx: click.Context, id_: str, as_json: bool) -> None:
    """How much room a resource has: nameplate, kept, used, measured."""
    show([acting(ctx, lambda desk: {"id": id_, "name": desk.find(Resource, id_).name, **resource.headroom(desk, id_)._asdict()})], as_json, ROOM)


@command.command()
@click.argument("region")
@click.argument("kind", type=click.Choice(RESOURCE_KINDS))
@click.option("--bps", type=click.IntRange(0), default=0, help="That it must carry.")
@_JSON
@click.pass_context
def candidates(ctx: click.Context, region: str, kind: str, bps: int, as_json: bool) -> None:
    """What could carry so much, the most room first."""
    found = acting(ctx, lambda desk: resource.candidates(desk, region, kind, bps))
    show([{"id": one.resource_id, "name": one.name, **one.headroom._asdict()} for one in found], as_json, ROOM)


@command.command()
@click.argument("id_", metavar="ID")
@click.argument("item_id")
@click.option("--bps", type=click.IntRange(0), default=0)
@click.option("--until", required=True, metavar="TIME")
@_JSON
@click.pass_context
def reserve(ctx: click.Context, id_: str, item_id: str, bps: int, until: str, as_json: bool) -> None:
    """Keep a resource, or the lowest free one of a pool, for an item of an order."""
    end = read(until, settings_of(ctx).zone, "--until")

    def act(desk: Desk) -> dict[str, Any]:
        made = pool.allocate(desk, id_, item_id, end)[1] if desk.find(Resource, id_).detail.get("pool") else resource.reserve(desk, id_, item_id, bps, end)
        return {"id": made.id, "resource": made.resource_id, "item": made.item_id, "bps": made.bps, "until": iso(made.until)}

    show([acting(ctx, act)], as_json)


@command.command()
@click.argument("item_id")
@_JSON
@click.pass_context
def release(ctx: click.Context, item_id: str, as_json: bool) -> None:
    """Give back what is kept for an item of an order."""
    show(acting(ctx, lambda desk: [{"id": one.id, "resource": one.resource_id} for one in resource.release(desk, item_id)]), as_json)


def _shown(one: Resource) -> dict[str, Any]:
    return {"id": one.id, "kind": one.kind, "name": one.name, "region": one.region, "parent": one.parent_id, "state": one.state, "usage": one.usage,
            "administrative": one.administrative, "operational": one.operational, "capacity_bps": one.capacity_bps, "probe": one.probe,
            "interface": one.interface, "detail": one.detail, "version": one.version}
