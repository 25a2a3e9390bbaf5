"""Pools: of VLANs (detail {"first": 100, "last": 199}) and of prefixes (detail {"prefix": "10.0.0.0/16", "length": 29}). The lowest that is free is kept for an
item of an order; two who ask at once get two."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from ipaddress import ip_network
from typing import Any

from sqlalchemy import select

from bss.desk import Desk
from bss.refusal import Refusal
from bss.services import resource
from bss.tables import Reservation, Resource

LARGEST = 65536         # of a pool


def create(desk: Desk, *, kind: str, name: str, region: str, parent_id: str | None = None, first: int = 0, last: int = 0, prefix: str = "",
           length: int = 0) -> Resource:
    """A new pool. Refusal: it holds none, or more than 65,536."""
    detail: dict[str, object] = {"pool": True, **({"first": first, "last": last} if kind == "vlan" else {"prefix": prefix, "length": length})}
    return resource.add(desk, kind=kind, name=name, region=region, parent_id=parent_id, detail=detail)


def checked(kind: str, detail: Mapping[str, Any]) -> None:
    """Refusal: no pool is described so."""
    first, last, prefix, length = (detail.get(name, 0) for name in ("first", "last", "prefix", "length"))
    if any(isinstance(one, bool) or not isinstance(one, int) for one in (first, last, length)):
        raise Refusal("invalid", "first, last and length of a pool are whole numbers", "detail")
    if kind not in ("vlan", "prefix"):
        raise Refusal("invalid", f"{kind!r} has no pools", "kind", "pools are of vlan or prefix")
    if kind == "vlan" and not 1 <= first <= last <= 4094:
        raise Refusal("invalid", "a pool of VLANs has a first and a last one", "first", "they are 1 to 4094")
    if kind == "prefix":
        try:
            network = ip_network(str(prefix))
        except ValueError as error:
            raise Refusal("invalid", f"not a network: {error}", "prefix", "write it as 10.0.0.0/16") from None
        if not network.prefixlen <= length <= network.max_prefixlen or 1 << length - network.prefixlen > LARGEST:
            raise Refusal("invalid", f"a pool has 1 to {LARGEST} prefixes", "length", f"between {network.prefixlen} and {network.prefixlen + 16}")


def allocate(desk: Desk, pool_id: str, item_id: str, until: datetime) -> tuple[Resource, Reservation]:
    """Keep the lowest free one of a pool for an item. Refusal: all are taken."""
    desk.demand("resource.write")
    pool = desk.find(Resource, pool_id, lock=True)
    if not pool.detail.get("pool"):
        raise Refusal("conflict", f"resource {pool.name} is no pool", "resource", "reserve it")
    made = {one.name: one for one in desk.session.execute(select(Resource).where(Resource.parent_id == pool.id, Resource.kind == pool.kind)
                                                          .execution_options(populate_existing=True)).scalars()}
    for name, detail in _members(pool):
        known = made.get(name)
        if known is None:
            known = resource.add(desk, kind=pool.kind, name=name, region=pool.region, parent_id=pool.id, detail=detail)
        elif known.administrative != "unlocked" or not resource.idle(desk, known):
            continue
        return known, resource.reserve(desk, known.id, item_id, 0, until)
    raise Refusal("conflict", f"pool {pool.name} is used up", "resource", "make it larger, or take another")


def _members(pool: Resource) -> Iterator[tuple[str, dict[str, object]]]:
    """Names and details of what a pool has, in order. A name says of which pool it is: two pools may have the same VLANs."""
    if pool.kind == "vlan":
        for number in range(int(pool.detail["first"]), int(pool.detail["last"]) + 1):
            yield f"{pool.name}/{number}", {"vlan": number}
        return
    for network in ip_network(pool.detail["prefix"]).subnets(new_prefix=int(pool.detail["length"])):
        yield f"{pool.name}/{network}", {"prefix": str(network)}
