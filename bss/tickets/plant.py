"""What hangs on what: the resources that a service stands on, all the way up, and the services behind a resource, all the way down."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from sqlalchemy import or_, select

from bss.database import lots
from bss.desk import Desk
from bss.tables import Resource, Service, ServiceResource

DEEPEST = 16            # levels of resources
ENDS = ("onu", "port", "ap")
LIVE = ("active",)      # states of services that something can be down of


def above(desk: Desk, resource_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Of each resource itself and those that it is a part of, the nearest first."""
    parents: dict[str, str | None] = {}
    wanted = set(resource_ids)
    for _ in range(DEEPEST):
        if not wanted:
            break
        found: dict[str, str | None] = {}
        for lot in lots(sorted(wanted)):
            found.update(desk.session.execute(select(Resource.id, Resource.parent_id).where(Resource.id.in_(lot))).tuples().all())
        parents |= found
        wanted = {one for one in found.values() if one is not None} - parents.keys()
    chains: dict[str, tuple[str, ...]] = {}
    for one in resource_ids:
        chain: list[str] = []
        at: str | None = one
        while at is not None and at in parents and at not in chain:
            chain.append(at)
            at = parents[at]
        chains[one] = tuple(chain)
    return chains


def standing_on(desk: Desk, service_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The resources that each service stands on, those that it uses and what these are parts of, the nearest first."""
    used: dict[str, list[str]] = defaultdict(list)
    for lot in lots(service_ids):
        for service, resource in desk.session.execute(select(ServiceResource.service_id, ServiceResource.resource_id).where(
                ServiceResource.service_id.in_(lot))):
            used[service].append(resource)
    chains = above(desk, {one for held in used.values() for one in held})
    return {one: tuple(dict.fromkeys(step for resource in sorted(used.get(one, ()), key=lambda key: -len(chains.get(key, ())))
                                     for step in chains.get(resource, ()))) for one in service_ids}


def own(desk: Desk, service_id: str) -> list[str]:
    """The resources that are a service's own end: where one of them is up, so is the line. What it shares with others says nothing of it."""
    query = select(Resource.id).join(ServiceResource, ServiceResource.resource_id == Resource.id).where(
        ServiceResource.service_id == service_id, Resource.kind.in_(ENDS)).order_by(Resource.id)
    return list(desk.session.execute(query).scalars())


def below(desk: Desk, resource_id: str) -> list[str]:
    """A resource and all that are parts of it."""
    found, level = [resource_id], [resource_id]
    for _ in range(DEEPEST):
        following: list[str] = []
        for lot in lots(level):
            following += desk.session.execute(select(Resource.id).where(Resource.parent_id.in_(lot))).scalars()
        level = [one for one in following if one not in set(found)]
        if not level:
            break
        found += level
    return found


def behind(desk: Desk, resource_id: str, states: Iterable[str] = LIVE) -> list[Service]:
    """The services that stand on a resource, by their ids."""
    found: dict[str, Service] = {}
    for lot in lots(below(desk, resource_id)):
        query = select(Service).join(ServiceResource, ServiceResource.service_id == Service.id).where(
            ServiceResource.resource_id.in_(lot), or_(*(Service.state == one for one in states)))
        found |= {one.id: one for one in desk.session.execute(query).scalars()}
    return [found[key] for key in sorted(found)]
