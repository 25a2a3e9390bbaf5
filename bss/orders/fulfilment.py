"""What an item does to services and resources: reserves, connects, disconnects, and at its end changes the service it was ordered for."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from bss.catalogue.publishing import version_of
from bss.desk import Desk
from bss.moment import iso
from bss.orders.milestone import reach, reached
from bss.orders.wanted import access, ends, wanted_of
from bss.refusal import Refusal
from bss.services import binding, inventory, resource
from bss.tables import Binding, OrderItem, ProductOrder, Reservation, Service
from bss.tickets.assurance import untouched

RESERVED_FOR = timedelta(days=30)
MOST_RESOURCES = 32


def service_of(desk: Desk, item: OrderItem) -> Service:
    """The service that an item is about. Refusal: it has none yet."""
    if item.service_id is None:
        raise Refusal("conflict", "the item has no service yet", f"item {item.id}", "reserve resources for it first")
    return desk.find(Service, item.service_id)


def working_item(desk: Desk, item_id: str, states: Sequence[str] = ("inProgress",)) -> tuple[OrderItem, ProductOrder]:
    """An item that is being worked on, held until the act ends, and its order. Refusal: it is in another state."""
    item = desk.find(OrderItem, item_id, lock=True)
    order = desk.find(ProductOrder, item.order_id)
    if item.state not in states or order.state in ("draft", "assessingCancellation", "pendingCancellation"):
        raise Refusal("conflict", f"the item is {item.state} and its order {order.state}", f"item {item_id}", f"it is done while it is {' or '.join(states)}")
    untouched(desk, [item.service_id])
    return item, order


def reserve(desk: Desk, item_id: str, resource_ids: Sequence[str], until: datetime | None = None) -> list[Reservation]:
    """Keep resources for an item, until the order ends or 30 days from now. An added item gets its service, designed and reserved. What has no wire may do
    without resources of its own."""
    desk.demand("order.advance")
    item, order = working_item(desk, item_id, ("acknowledged", "inProgress", "held"))
    wired = version_of(desk, item.offering, item.offering_version).kind in ("leased_line", "broadband")
    if not wired <= len(resource_ids) <= MOST_RESOURCES:
        raise Refusal("invalid", f"{int(wired)} to {MOST_RESOURCES} resources are reserved at once", "resources")
    end = min(until or desk.now + RESERVED_FOR, desk.now + RESERVED_FOR)
    if end <= desk.now:
        raise Refusal("invalid", "a reservation ends in the future", "until")
    wanted = wanted_of(item)
    made = [resource.reserve(desk, one, item.id, max(wanted.down_bps, wanted.up_bps), end) for one in dict.fromkeys(resource_ids)]
    service = _designed(desk, item, order)
    _move(desk, service, ("designed",), "reserved")
    reach(desk, item, "resourceReserved", {"resources": list(resource_ids), "until": iso(end)})
    return made


def _designed(desk: Desk, item: OrderItem, order: ProductOrder) -> Service:
    """The service of an item: its own, or for an added one a new one as it was ordered."""
    if item.service_id is not None:
        return desk.find(Service, item.service_id)
    if item.action != "add":
        raise Refusal("conflict", f"an item to {item.action} names a service", f"item {item.id}")
    version, wanted = version_of(desk, item.offering, item.offering_version), wanted_of(item)
    service = inventory.design(
        desk, customer_id=order.customer_id, offering=item.offering, offering_version=item.offering_version, kind=version.kind, class_=version.class_,
        region=order.region, down_bps=wanted.down_bps, up_bps=wanted.up_bps, site=item.site, covered=item.covered, agreement_id=order.agreement_id)
    item.service_id = service.id
    desk.session.flush()
    return service


def _move(desk: Desk, service: Service, before: Sequence[str], to: str, reason: str = "") -> None:
    if service.state in before:
        inventory.move(desk, service.id, to, reason=reason)


def connect(desk: Desk, item_id: str, bindings: Sequence[Mapping[str, Any]]) -> list[Binding]:
    """Put an item's resources to use and bind traffic to its service: from now on the probe knows whose it is. The service stays inactive until the item is
    completed. bindings: each prefix, vlan, inner_vlan, mac, user, circuit, probe, interface, valid_from."""
    desk.demand("order.advance")
    item, _order = working_item(desk, item_id)
    if ends(item):
        raise Refusal("conflict", "the item takes its traffic away", f"item {item_id}", "disconnect it")
    service = service_of(desk, item)
    if "resourceReserved" not in reached(desk, item) and item.action == "add":
        raise Refusal("conflict", "no resource is reserved for it", f"item {item_id}", "reserve resources first")
    _move(desk, service, ("reserved",), "inactive")
    if _reservations(desk, item):
        resource.use(desk, item.id, service.id)
    return [binding.bind(desk, service.id, **{"valid_from": desk.now, **one}) for one in bindings]


def disconnect(desk: Desk, item_id: str, at: datetime | None = None) -> int:
    """End the bindings of a service that is deleted or suspended; how many."""
    desk.demand("order.advance")
    item, _order = working_item(desk, item_id)
    if not ends(item):
        raise Refusal("conflict", "the item takes no traffic away", f"item {item_id}", "it is done for a deletion or a suspension")
    service = service_of(desk, item)
    before = open_bindings(desk, service.id)
    if before:
        binding.end(desk, service.id, at or desk.now)
    return len(before)


def open_bindings(desk: Desk, service_id: str) -> list[Binding]:
    """Those that have no end."""
    query = select(Binding).where(Binding.service_id == service_id, Binding.withdrawn.is_(None), Binding.valid_to.is_(None))
    return list(desk.session.execute(query).scalars())


def _reservations(desk: Desk, item: OrderItem) -> list[Reservation]:
    return list(desk.session.execute(select(Reservation).where(Reservation.item_id == item.id, Reservation.released.is_(None))).scalars())


def finish(desk: Desk, item: OrderItem) -> None:
    """What a completed item changes: the service is active, has other rates, is suspended, or is terminated and gives its resources back."""
    if item.service_id is None:
        return
    service, wanted = desk.find(Service, item.service_id, lock=True), wanted_of(item)
    kind = version_of(desk, item.offering, item.offering_version).kind
    if item.action == "delete":
        if service.state != "terminated":
            _move(desk, service, (service.state,), "terminated", f"order {item.order.number}")
        _release(desk, item)
        return
    if wanted.change == "suspend":
        _move(desk, service, ("active",), "inactive", wanted.suspended_for)
        return
    if item.action in ("add", "modify") and wanted.change != "resume":
        changed: dict[str, Any] = {"offering": item.offering, "offering_version": item.offering_version}
        if access(item, kind) and wanted.change in ("", "rate"):
            changed |= {"down_bps": wanted.down_bps, "up_bps": wanted.up_bps}
        inventory.change(desk, service.id, **changed)
    if item.action == "add" or wanted.change == "resume":
        _move(desk, service, ("reserved",), "inactive")
        _move(desk, service, ("inactive",), "active", f"order {item.order.number}")


def drop(desk: Desk, item: OrderItem) -> None:
    """Give back what an item that is not delivered holds: reservations, and the service that was designed for it alone, with its bindings."""
    _release(desk, item)
    if item.action == "add" and item.service_id is not None:
        service = desk.find(Service, item.service_id, lock=True)
        if service.state != "terminated":
            _move(desk, service, (service.state,), "terminated", f"order {item.order.number} was not delivered")


def _release(desk: Desk, item: OrderItem) -> None:
    if _reservations(desk, item):
        resource.release(desk, item.id)


def held_resources(desk: Desk, order: ProductOrder) -> int:
    """How many reservations and open bindings an order's own items still have."""
    count = 0
    for item in order.items:
        count += len(_reservations(desk, item))
        if item.action == "add" and item.service_id is not None:
            count += len(open_bindings(desk, item.service_id))
    return count
