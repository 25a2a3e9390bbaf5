"""The inventory of resources (TMF639): a tree of sites, devices, OLTs, PON ports, splitters and ONUs, and pools of VLANs and prefixes (pool.py); kept for
orders, used by services.

Exclusive ones (an ONU, a VLAN, a prefix, a port of its own) are one's at a time; shared ones are never promised beyond their nameplate (times
`oversubscription` of their detail), whoever asks at once. Headroom is nameplate less reservations less what is measured, where a probe looks.
"""
from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import delete, func, select

from bss.desk import Desk
from bss.evidence import Busy
from bss.refusal import Refusal
from bss.tables import OrderItem, Reservation, Resource, Service, ServiceResource
from bss.tables.service import ADMINISTRATIVE, OPERATIONAL, RESOURCE_KINDS

EXCLUSIVE = ("port", "onu", "vlan", "prefix")
#: What a resource of a kind may be a part of.
PARENTS: dict[str, tuple[str, ...]] = {
    "site": (), "device": ("site",), "olt": ("site",), "port": ("device", "olt"), "pon_port": ("olt",), "splitter": ("pon_port", "splitter"),
    "onu": ("pon_port", "splitter"), "ap": ("site", "device", "port"), "vlan": ("vlan", "device", "olt", "site"), "prefix": ("prefix", "device", "site"),
    "sensor": ("site", "device")}
DEEPEST, WINDOW, OFFERED, LOOKED = 16, timedelta(days=28), 20, 50       # levels; measured over; candidates given, of how many
LONGEST = timedelta(days=366)                                           # of a reservation


class Headroom(NamedTuple):
    """bit/s. reserved: kept for orders; used: promised to services; measured: 95th percentile of 28 days, None where nothing is measured: then `used` is taken
    in its place. free: what is left, never below 0."""
    capacity_bps: int
    reserved_bps: int
    measured_p95_bps: int | None
    free_bps: int
    used_bps: int = 0
    slots: int = 0


class Candidate(NamedTuple):
    """A resource that could do it, and why."""
    resource_id: str
    name: str
    kind: str
    headroom: Headroom


def add(desk: Desk, *, kind: str, name: str, region: str, parent_id: str | None = None, capacity_bps: int = 0, probe: str = "", interface: str = "",
        owner_id: str | None = None, detail: Mapping[str, Any] | None = None) -> Resource:
    """A new resource. Refusal: a parent that is none of its kind's."""
    desk.demand("resource.write")
    if kind not in RESOURCE_KINDS:
        raise Refusal("invalid", f"{kind!r} is no kind of resource", "kind", f"kinds are {', '.join(RESOURCE_KINDS)}")
    if not name.strip() or len(name) > 200 or not name.isprintable():
        raise Refusal("invalid", "not a name", "name", "write it in at most 200 printable characters")
    if desk.actor.regions and region not in desk.actor.regions:
        raise Refusal("forbidden", f"region {region!r} is not one of yours", "region")
    if parent_id is not None:
        _under(desk, kind, parent_id)
    _figures(capacity_bps, detail or {}, kind)
    made = desk.add(Resource(kind=kind, name=name.strip(), region=region, parent_id=parent_id, capacity_bps=capacity_bps, probe=probe, interface=interface,
                             owner_id=owner_id, detail=dict(detail or {})))
    desk.record("resource.create", made, after={"kind": kind, "name": made.name, "region": region})
    desk.emit("resource.create", made.id, {"id": made.id, "kind": kind})
    return made


def change(desk: Desk, resource_id: str, version: int | None = None, **given: Any) -> Resource:
    """Change what is said of a resource: name, capacity, where it is measured, its administrative and operational state, owner, detail."""
    desk.demand("resource.write")
    row = desk.find(Resource, resource_id, lock=True)
    known = ("name", "capacity_bps", "probe", "interface", "administrative", "operational", "owner_id", "detail", "parent_id")
    for name, value in given.items():
        if name not in known:
            raise Refusal("invalid", f"{name} of a resource can't be changed", name, f"these can: {', '.join(known)}")
        for field, words in (("administrative", ADMINISTRATIVE), ("operational", OPERATIONAL)):
            if name == field and value not in words:
                raise Refusal("invalid", f"{value!r} is no {field} state", field, f"it is {', '.join(words)}")
    if given.get("parent_id"):
        _under(desk, row.kind, given["parent_id"], row.id)
    if "name" in given and (not given["name"].strip() or len(given["name"]) > 200 or not given["name"].isprintable()):
        raise Refusal("invalid", "not a name", "name", "write it in at most 200 printable characters")
    _figures(given.get("capacity_bps", row.capacity_bps), given.get("detail", row.detail), row.kind)
    differing = {name: value for name, value in given.items() if getattr(row, name) != value}
    if differing:
        desk.fresh(row, version)
        before = {name: getattr(row, name) for name in differing}
        for name, value in differing.items():
            setattr(row, name, value)
        desk.session.flush()
        desk.record("resource.change", row, before=before, after=differing)
        desk.emit("resource.attributeValueChange", row.id, {"id": row.id, "changed": sorted(differing)})
    return row


def exclusive(row: Resource) -> bool:
    """Whether it is one's at a time: by its kind, unless its detail says `shared`; pools are nobody's."""
    return row.kind in EXCLUSIVE and not row.detail.get("shared", False)


def headroom(desk: Desk, resource_id: str, measured: dict[tuple[str, str], Busy | None] | None = None) -> Headroom:
    """How much room a resource has. measured: links that were asked for already."""
    desk.demand("resource.read")
    row = desk.find(Resource, resource_id)
    reserved, used = _promised(desk, row.id)
    busy = _busy(desk, row, {} if measured is None else measured)
    taken = used if busy is None or busy.p95_bps is None else round(busy.p95_bps)
    p95 = None if busy is None or busy.p95_bps is None else round(busy.p95_bps)
    return Headroom(row.capacity_bps, reserved, p95, max(0, row.capacity_bps - reserved - taken), used, 0 if busy is None else busy.slots)


def candidates(desk: Desk, region: str, kind: str, bps: int) -> list[Candidate]:
    """What could carry so much in a region: free, unlocked, enabled; the most room first."""
    desk.demand("resource.read")
    query: Any = desk.select(Resource).where(Resource.region == region, Resource.kind == kind, Resource.administrative == "unlocked",
                                        Resource.operational == "enable").order_by(Resource.capacity_bps.desc(), Resource.name)
    measured: dict[tuple[str, str], Busy | None] = {}
    found: list[Candidate] = []
    looked = 0
    for row in desk.session.execute(query).scalars():
        if looked == LOOKED:
            break
        if row.detail.get("pool") or (exclusive(row) and not idle(desk, row)):
            continue
        looked += 1
        room = headroom(desk, row.id, measured)
        if room.free_bps >= bps or (exclusive(row) and not row.capacity_bps):
            found.append(Candidate(row.id, row.name, row.kind, room))
    return sorted(found, key=lambda one: (-one.headroom.free_bps, one.name))[:OFFERED]


def reserve(desk: Desk, resource_id: str, item_id: str, bps: int, until: datetime) -> Reservation:
    """Keep a resource for an item of an order. Asked again by the same item it is kept longer, or for more. Refusal: it is another's, or there is no room."""
    desk.demand("resource.write")
    desk.find(OrderItem, item_id)
    row = desk.find(Resource, resource_id, lock=True)
    if until.tzinfo is None or not desk.now < until <= desk.now + LONGEST:
        raise Refusal("invalid", f"a reservation ends after now and within {LONGEST.days} days", "until")
    if bps < 0:
        raise Refusal("invalid", f"not a rate in bit/s: {bps}", "bps")
    if row.administrative != "unlocked":
        raise Refusal("conflict", f"resource {row.name} is {row.administrative}", "resource", "unlock it, or take another")
    if row.detail.get("pool"):
        raise Refusal("conflict", f"resource {row.name} is a pool", "resource", "allocate one of it")
    mine = desk.session.execute(_live(desk, row.id).where(Reservation.item_id == item_id)).scalars().first()
    reserved, used = _promised(desk, row.id, besides=item_id)
    if exclusive(row):
        other = desk.session.execute(_live(desk, row.id).where(Reservation.item_id != item_id)).scalars().first()
        holder = desk.session.execute(select(ServiceResource).where(ServiceResource.resource_id == row.id)).scalars().first()
        if other is not None or holder is not None:
            whose = f"used by service {holder.service_id}" if holder else f"kept for item {other.item_id if other else ''} until {other.until if other else ''}"
            raise Refusal("conflict", f"resource {row.name} is {whose}", "resource", "take another")
    elif reserved + used + bps > (most := int(row.capacity_bps * float(row.detail.get("oversubscription", 1)))):
        raise Refusal("conflict", f"resource {row.name} has no room for {bps} bit/s: {reserved} are kept and {used} used of {most}", "resource",
                      "take another, or less")
    if mine is None:
        mine = desk.add(Reservation(resource_id=row.id, item_id=item_id, bps=bps, made=desk.now, until=until))
    else:
        mine.bps, mine.until = bps, until
    _mark(desk, row)
    desk.record("resource.reserve", row, after={"item": item_id, "bps": bps, "until": until.isoformat()})
    desk.emit("resource.stateChange", row.id, {"id": row.id, "state": row.state})
    return mine


def release(desk: Desk, item_id: str) -> list[Reservation]:
    """Give back what is kept for an item."""
    desk.demand("resource.write")
    desk.find(OrderItem, item_id)
    found = desk.session.execute(select(Reservation).where(Reservation.item_id == item_id, Reservation.released.is_(None))).scalars().all()
    return [_release(desk, one, "resource.release") for one in found]


def use(desk: Desk, item_id: str, service_id: str) -> list[ServiceResource]:
    """What is kept for an item is its service's from now on. Refusal: the service has not been reserved, or nothing is kept any more."""
    desk.demand("resource.write")
    service = desk.find(Service, service_id, lock=True)
    if service.state not in ("reserved", "inactive", "active"):
        raise Refusal("conflict", f"service {service.id} is {service.state}, and uses nothing", "service")
    query = select(Reservation).where(Reservation.item_id == item_id, Reservation.released.is_(None), Reservation.until > desk.now)
    made = []
    for one in desk.session.execute(query.order_by(Reservation.resource_id)).scalars().all():
        row = desk.find(Resource, one.resource_id, lock=True)
        known = desk.session.get(ServiceResource, (service.id, row.id))
        if known is None:
            known = desk.add(ServiceResource(service_id=service.id, resource_id=row.id, bps=one.bps, holder=row.id if exclusive(row) else None))
        else:
            known.bps = one.bps
        made.append(known)
        _release(desk, one, "resource.use")
    return made


def let_go(desk: Desk, service_id: str) -> int:
    """A service uses nothing any more; how much it did."""
    rows = desk.session.execute(select(ServiceResource.resource_id).where(ServiceResource.service_id == service_id)).scalars().all()
    for resource_id in sorted(rows):
        row = desk.session.execute(select(Resource).where(Resource.id == resource_id).with_for_update()).scalar_one()
        desk.session.execute(delete(ServiceResource).where(ServiceResource.service_id == service_id, ServiceResource.resource_id == resource_id))
        _mark(desk, row)
        desk.record("resource.letGo", row, before={"service": service_id})
    return len(rows)


def expire(desk: Desk, argument: Mapping[str, Any]) -> int:
    """Job: give back what was kept until now; how many."""
    desk.demand("system.run")
    found = desk.session.execute(select(Reservation).where(Reservation.released.is_(None), Reservation.until <= desk.now).limit(1000)).scalars().all()
    return len([_release(desk, one, "resource.expire") for one in found])


def _release(desk: Desk, one: Reservation, action: str) -> Reservation:
    one.released = desk.now
    desk.session.flush()
    row = desk.session.execute(select(Resource).where(Resource.id == one.resource_id).with_for_update()).scalar_one()
    _mark(desk, row)
    desk.record(action, row, before={"item": one.item_id, "bps": one.bps})
    desk.emit("resource.stateChange", row.id, {"id": row.id, "state": row.state})
    return one


def _mark(desk: Desk, row: Resource) -> None:
    """TMF639's states of a resource, from what is kept and used of it."""
    desk.session.flush()
    used = desk.session.execute(select(ServiceResource.service_id).where(ServiceResource.resource_id == row.id).limit(1)).first() is not None
    kept = desk.session.execute(_live(desk, row.id).limit(1)).first() is not None
    row.usage = ("busy" if exclusive(row) else "active") if used else "idle"
    row.state = "reserved" if exclusive(row) and (used or kept) else "available" if row.state == "reserved" else row.state


def _live(desk: Desk, resource_id: str) -> Any:
    return select(Reservation).where(Reservation.resource_id == resource_id, Reservation.released.is_(None), Reservation.until > desk.now)


def idle(desk: Desk, row: Resource) -> bool:
    """Whether nobody keeps or uses it."""
    used = desk.session.execute(select(ServiceResource.service_id).where(ServiceResource.resource_id == row.id).limit(1)).first()
    return used is None and desk.session.execute(_live(desk, row.id).limit(1)).first() is None


def _promised(desk: Desk, resource_id: str, besides: str = "") -> tuple[int, int]:
    """bit/s that are kept (but for that item) and used."""
    live = _live(desk, resource_id).where(Reservation.item_id != besides).subquery()
    reserved = desk.session.execute(select(func.coalesce(func.sum(live.c.bps), 0))).scalar_one()
    used = desk.session.execute(select(func.coalesce(func.sum(ServiceResource.bps), 0)).where(ServiceResource.resource_id == resource_id)).scalar_one()
    return int(reserved), int(used)


def _busy(desk: Desk, row: Resource, measured: dict[tuple[str, str], Busy | None]) -> Busy | None:
    """What the probe says of its link; None where none looks, or it is away."""
    if not row.probe or not row.interface:
        return None
    link = row.probe, row.interface
    if link not in measured:
        try:
            measured[link] = desk.office.evidence.busy(*link, desk.now - WINDOW, desk.now)
        except Refusal:
            measured[link] = None
    return measured[link]


def _under(desk: Desk, kind: str, parent_id: str, own_id: str = "") -> None:
    """Refusal: it can't be a part of that, or would be a part of itself."""
    parent = desk.find(Resource, parent_id)
    if parent.kind not in PARENTS[kind]:
        raise Refusal("invalid", f"a {kind} is no part of a {parent.kind}", "parent", f"it is part of {' or '.join(PARENTS[kind]) or 'nothing'}")
    above: Resource | None = parent
    for _ in range(DEEPEST):
        if above is None:
            return
        if above.id == own_id:
            raise Refusal("invalid", "it would be a part of itself", "parent")
        above = desk.session.get(Resource, above.parent_id) if above.parent_id else None
    raise Refusal("invalid", f"it would be more than {DEEPEST} levels down", "parent")


def _figures(capacity_bps: int, detail: Mapping[str, Any], kind: str = "") -> None:
    if detail.get("pool"):
        from bss.services.pool import checked
        checked(kind, detail)
    factor = detail.get("oversubscription", 1)
    if not 0 <= capacity_bps <= 10 ** 15:
        raise Refusal("invalid", f"not a rate in bit/s: {capacity_bps}", "capacity")
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 1 <= factor <= 1000:
        raise Refusal("invalid", "oversubscription is a number from 1 to 1000", "detail.oversubscription")
