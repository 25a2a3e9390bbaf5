"""A storm: services behind one resource that fall at once are one fault, with one parent ticket and theirs as its children.

Five services down within 120 seconds, or three that are 30 % of all behind it, make a resource the cause; of a site, whose services share no equipment, it
takes the share. Of the resources that would do, the one that explains most is taken, and of those that explain nearly as much (90 %) the nearest to the
services: a dead PON port is not its OLT's fault. Children keep their clocks, and each customer is told once (telling.py).
"""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import select

from bss.database import lots
from bss.desk import Desk
from bss.language import state
from bss.tables import Resource, Ticket
from bss.tickets import cause, plant, states
from bss.tickets.ticket import Ask, noted, open_all, said

AT_ONCE = timedelta(seconds=120)
MANY, FEW, SHARE = 5, 3, 0.3
NEARLY = 0.9
BACK = timedelta(hours=1)           # of tickets that are looked at
WITHOUT_EQUIPMENT = ("site",)
MOST = 20_000


class Down(NamedTuple):
    """A service that is down since a time, by its ticket."""
    ticket_id: str
    service_id: str
    at: datetime


class Found(NamedTuple):
    """A resource that explains why services are down."""
    resource_id: str
    down: tuple[Down, ...]


def at_once(held: Sequence[Down]) -> tuple[Down, ...]:
    """The most services that fell within 120 seconds; of two such times the earlier."""
    rows = sorted(held, key=lambda one: (one.at, one.ticket_id))
    best: tuple[int, int, int] = (0, 0, 0)
    begin = 0
    counts: dict[str, int] = defaultdict(int)
    for end, one in enumerate(rows):
        counts[one.service_id] += 1
        while rows[begin].at < one.at - AT_ONCE:
            counts[rows[begin].service_id] -= 1
            if not counts[rows[begin].service_id]:
                del counts[rows[begin].service_id]
            begin += 1
        if len(counts) > best[0]:
            best = len(counts), begin, end + 1
    return tuple(rows[best[1]:best[2]])


def explains(count: int, all_of_it: int, equipment: bool = True) -> bool:
    """Whether so many of the services behind a resource make it the cause."""
    return (equipment and count >= MANY) or (count >= FEW and count >= SHARE * all_of_it)


def causes(down: Iterable[Down], chains: Mapping[str, Sequence[str]], totals: Mapping[str, int], sites: Iterable[str] = ()) -> list[Found]:
    """The resources that explain what is down, each service once. chains: what each service stands on, the nearest first; totals: services behind each."""
    left = {one.ticket_id: one for one in down}
    without = set(sites)
    found: list[Found] = []
    while left:
        behind: dict[str, list[Down]] = defaultdict(list)
        for one in left.values():
            for resource in chains.get(one.service_id, ()):
                behind[resource].append(one)
        groups: dict[str, tuple[Down, ...]] = {}
        for resource, held in behind.items():
            group = at_once(held)
            if explains(len({one.service_id for one in group}), totals.get(resource, 0), resource not in without):
                groups[resource] = group
        if not groups:
            return found
        most = max(len(group) for group in groups.values())
        near = [resource for resource, group in groups.items() if len(group) >= NEARLY * most]
        # the nearest: behind which the fewest services are
        chosen = min(near, key=lambda resource: (totals.get(resource, 0), -len(groups[resource]), resource))
        found.append(Found(chosen, groups[chosen]))
        for one in groups[chosen]:
            del left[one.ticket_id]
    return found


def gather(desk: Desk) -> list[Ticket]:
    """Look at the outages of the last hour that have no cause yet, and give those a parent that fell together: the parents that have new children."""
    desk.demand("alarm.write")
    query = select(Ticket.began).where(Ticket.kind == "outage", Ticket.parent_id.is_(None), Ticket.service_id.is_not(None), Ticket.state.in_(states.OPEN),
                                       Ticket.created >= desk.now - BACK, Ticket.created <= desk.now)
    times = list(desk.session.execute(query.order_by(Ticket.began).limit(MOST)).scalars())
    if not times:
        return []
    near = select(Ticket).where(Ticket.kind == "outage", Ticket.service_id.is_not(None), Ticket.state.not_in(states.TERMINAL),
                                Ticket.began >= times[0] - AT_ONCE, Ticket.began <= times[-1] + AT_ONCE).order_by(Ticket.id).limit(MOST)
    rows = {one.id: one for one in desk.session.execute(near).scalars()}
    chains = plant.standing_on(desk, {str(one.service_id) for one in rows.values()})
    down = [Down(one.id, str(one.service_id), one.began) for one in rows.values()]
    some: dict[str, set[str]] = defaultdict(set)
    for one in down:
        for resource in chains[one.service_id]:
            some[resource].add(one.service_id)
    enough = [resource for resource, services in some.items() if len(services) >= FEW]
    totals = {resource: len(plant.behind(desk, resource)) for resource in enough}
    kinds = _resources(desk, enough)
    parents = []
    for found in causes(down, {service: [one for one in chain if one in kinds] for service, chain in chains.items()}, totals,
                        [key for key, one in kinds.items() if one.kind in WITHOUT_EQUIPMENT]):
        children = [rows[one.ticket_id] for one in found.down]
        if all(child.parent_id is not None for child in children):
            continue
        parents.append(_adopt(desk, kinds[found.resource_id], children, totals[found.resource_id]))
    return parents


def _adopt(desk: Desk, resource: Resource, children: Sequence[Ticket], behind: int) -> Ticket:
    began = min(one.began for one in children)
    worst = min((one.severity for one in children), key=states.SEVERITIES.index)
    what = said(desk, "storm", count=len(children), all=behind, kind=state(desk.office.settings.lang, resource.kind), name=resource.name,
                seconds=int(AT_ONCE.total_seconds()))
    made, known = open_all(desk, [Ask("outage", worst, what, None, None, resource, "", resource.region, cause.key_of("outage", None, resource.id), "storm", "",
                                      {"services": len(children), "behind": behind, "tickets": [one.id for one in children][:50]}, began, None, True, "alarm")])
    parent = (made or known)[0]
    parent.root_cause = True
    below = set(plant.below(desk, resource.id)) - {resource.id}
    count = 0
    for child in children:
        if child.parent_id == parent.id:
            continue
        if child.parent_id is not None:         # it has a smaller cause, that is now known to have this one
            other = desk.session.get_one(Ticket, child.parent_id)
            if other.resource_id in below and other.parent_id is None and other.id != parent.id:
                other.parent_id = parent.id
                noted(desk, other, "link", said(desk, "cause_why", id=parent.id, what=what), {"parent": parent.id})
            continue
        child.parent_id = parent.id
        child.version += 1
        noted(desk, child, "link", said(desk, "cause_why", id=parent.id, what=what), {"parent": parent.id})
        count += 1
    if known:
        noted(desk, parent, "link", said(desk, "storm_more", count=count, what=what), {"children": count})
    desk.session.flush()
    desk.record("ticket.storm", parent, after={"children": count, "behind": behind, "resource": resource.id})
    desk.emit("troubleTicket.storm", parent.id, {"id": parent.id, "resource": resource.id, "children": count})
    return parent


def _resources(desk: Desk, keys: Sequence[str]) -> dict[str, Resource]:
    found: dict[str, Resource] = {}
    for lot in lots(sorted(keys)):
        found |= {one.id: one for one in desk.session.execute(select(Resource).where(Resource.id.in_(lot))).scalars()}
    return found
