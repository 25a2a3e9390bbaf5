"""Orders: entered as drafts, acknowledged, amended, cancelled; and the orders that suspend, resume, modify and terminate services. Rows are never removed."""
from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from bss import identifier
from bss.catalogue.pricing import difference, freeze, rates_of
from bss.catalogue.publishing import document_of, holding, version_of
from bss.catalogue.reading import checked
from bss.desk import Desk
from bss.orders import clock, fulfilment, states
from bss.orders.transition import contract_terms, freeze_all, move
from bss.orders.wanted import MOST_ITEMS, Line, Wanted, wanted_of
from bss.refusal import Refusal
from bss.tables import Agreement, Customer, Enquiry, Offering, OrderItem, OrderVersion, ProductOrder, Service, Transition, User
from bss.tables.party import CHANNELS

NETWORK = ("vlan", "inner_vlan", "prefixes", "user", "resources")       # what of a line is of the network


def enter(desk: Desk, customer_id: str, lines: Sequence[Line], *, channel: str = "manager", number: str = "", region: str = "", enquiry_id: str | None = None,
          agreement_id: str | None = None, owner_id: str | None = None, changes_id: str | None = None) -> ProductOrder:
    """A draft. region: the customer's where it is left out; changes_id: the order in progress that this one changes."""
    desk.demand("order.write")
    as_customer(desk, lines)
    customer = desk.find(Customer, customer_id)
    if customer.state == "closed" or customer.merged_into:
        why = f"merged into {customer.merged_into}" if customer.merged_into else "closed"
        raise Refusal("conflict", f"the customer is {why}", f"customer {customer.number}", "order for the one that holds")
    if channel not in CHANNELS:
        raise Refusal("invalid", f"{channel!r} is no channel", "channel", f"channels are {', '.join(CHANNELS)}")
    others = [desk.find(Enquiry, enquiry_id).customer_id if enquiry_id else customer_id, desk.find(Agreement, agreement_id).customer_id if agreement_id
              else customer_id, desk.find(ProductOrder, changes_id).customer_id if changes_id else customer_id]
    if others != [customer_id] * len(others):
        raise Refusal("invalid", "the enquiry, contract or order that it names is another customer's", "customer")
    if changes_id is not None and (changed := desk.find(ProductOrder, changes_id)).state in states.AMENDABLE:
        raise Refusal("conflict", f"order {changed.number} is {changed.state}: it can be amended itself", "changes_id", "amend it")
    enquiry = desk.find(Enquiry, enquiry_id) if enquiry_id else None
    known = {customer.region, enquiry.region if enquiry else "", *(desk.find(Service, one.service_id).region for one in lines if one.service_id)}
    ours(desk, owner=owner_id if enquiry is None or owner_id != enquiry.owner_id else None, region=region if region not in known else "")
    settings = desk.office.settings
    region = region or customer.region
    if settings.regions and region not in settings.regions:
        raise Refusal("invalid", f"{region!r} is no region", "region", f"regions are {', '.join(settings.regions)}")
    if desk.actor.regions and region not in desk.actor.regions:
        raise Refusal("forbidden", "the region is not one of yours", "region", f"yours are {', '.join(desk.actor.regions)}")
    key = identifier.fresh(ProductOrder.LETTER)
    named = number or f"DD{desk.now.astimezone(settings.zone):%Y%m%d}-{key[-6:]}"
    order = ProductOrder(id=key, customer_id=customer_id, number=named, enquiry_id=enquiry_id, agreement_id=agreement_id, changes_id=changes_id, region=region,
                         channel=channel, class_=customer.class_, owner_id=_owner(desk, owner_id), created=desk.now, items=[])
    if desk.actor.own_work and order.owner_id is None:
        order.owner_id = desk.actor.id or None
    desk.add(order)
    _fill(desk, order, lines)
    desk.add(Transition(entity="order", entity_id=order.id, from_state="", to_state="draft", time=desk.now, user_id=desk.actor.id or None))
    desk.record("order.enter", order, after=content(order))
    desk.emit("productOrder.create", order.id, {"id": order.id, "number": order.number, "state": order.state})
    return order


def _owner(desk: Desk, owner_id: str | None) -> str | None:
    if owner_id is not None:
        user = desk.session.get(User, owner_id)
        if user is None or user.disabled:
            raise Refusal("invalid", f"there is no user {owner_id}", "owner", "fullspan bss user list")
    return owner_id


def ours(desk: Desk, **given: Any) -> None:
    """Refusal where a customer's user says what is ours to say."""
    if desk.actor.outside and (name := next((name for name, value in given.items() if value), None)):
        raise Refusal("forbidden", f"{name} is not for customers to say", name, "leave it out")


def as_customer(desk: Desk, lines: Sequence[Line]) -> None:
    """The same of lines: how it is built is not for customers to say."""
    for line in lines:
        ours(desk, covered=line.covered is not None, **{name: getattr(line.wanted, name) for name in NETWORK})


def assign(desk: Desk, order_id: str, owner_id: str, version: int | None = None) -> ProductOrder:
    """Give an order to a responsible person."""
    desk.demand("order.advance" if desk.may("order.advance") else "order.write")
    ours(desk, owner=owner_id)
    order = desk.find(ProductOrder, order_id, lock=True)
    if order.state in states.TERMINAL:
        raise Refusal("conflict", f"the order is {order.state}", f"order {order.number}")
    desk.fresh(order, version)
    before, order.owner_id = order.owner_id, _owner(desk, owner_id)
    order.reminded = None
    desk.record("order.assign", order, {"owner": before}, {"owner": owner_id})
    desk.emit("productOrder.attributeValueChange", order.id, {"id": order.id, "owner": owner_id})
    return order


# ---- items

def _fill(desk: Desk, order: ProductOrder, lines: Sequence[Line]) -> None:
    """Make items of lines; a bundle brings those that it holds."""
    if not lines or all(one.action == "noChange" for one in lines):
        raise Refusal("invalid", "an order does something: it has no item to add, modify or delete", "productOrderItem", "add one")
    place = max((one.place for one in order.items), default=0)
    for line in lines:
        if line.wanted.bundle:
            raise Refusal("invalid", "what a bundle holds comes with the bundle", "wanted.bundle", "order the bundle")
        for one in _expanded(desk, line):
            place += 1
            if place > MOST_ITEMS:
                raise Refusal("large", f"an order has {MOST_ITEMS} items at most", "productOrderItem", "enter several")
            item = _item(desk, order, one)
            item.place = place
            order.items.append(desk.add(item))
    desk.session.flush()


def _expanded(desk: Desk, line: Line) -> list[Line]:
    if line.action != "add":
        return [line]
    document = document_of(holding(desk, line.offering, desk.now))
    parts = [Line(action="add", offering=part.code, site=line.site, covered=line.covered, wanted=Wanted(bundle=line.offering))
             for part in document.bundled for _ in range(part.count)]
    return [line, *parts]


def _item(desk: Desk, order: ProductOrder, line: Line) -> OrderItem:
    """One line as an item, checked against the catalogue and its service."""
    item = OrderItem(order_id=order.id, action=line.action, site=line.site, price={}, covered=True)
    _describe(desk, order, item, line)
    return item


def _describe(desk: Desk, order: ProductOrder, item: OrderItem, line: Line) -> None:
    wanted, code = line.wanted, line.offering
    service: Service | None = None
    if line.service_id is not None:
        service = desk.find(Service, line.service_id)
        _fits(desk, order, service, line)
        code = code or service.offering
    row = _ended(desk, order, item, line) if wanted.ends else version_of(desk, service.offering, service.offering_version) if (
        service is not None and code == service.offering and (line.action != "modify" or wanted.change in ("suspend", "resume"))) else holding(
        desk, code, desk.now)
    if service is not None and row.kind != service.kind:
        raise Refusal("invalid", f"{code} is {row.kind}, and the service {service.kind}", "offering", "terminate the service and add another")
    if line.action == "add" or wanted.change == "rate":
        down, up = rates_of(document_of(row), wanted.down_bps, wanted.up_bps)
        wanted = wanted.model_copy(update={"down_bps": down, "up_bps": up})
    elif wanted.down_bps or wanted.up_bps:
        raise Refusal("invalid", "only an added item or a change of rate orders a rate", "wanted")
    elif wanted.change == "price" and service is not None and document_of(row).rates is not None:
        if code != service.offering:
            rates_of(document_of(row), service.down_bps, service.up_bps)        # a price for other rates is no price of this service
        wanted = wanted.model_copy(update={"down_bps": service.down_bps, "up_bps": service.up_bps})      # what a price by the Mbit/s goes by
    item.offering, item.offering_version = row.code, row.version
    item.service_id, item.wanted = line.service_id, wanted.model_dump(mode="json")
    item.covered = line.covered if line.covered is not None else (service.covered if service is not None else row.kind != "mobile")


def _ended(desk: Desk, order: ProductOrder, item: OrderItem, line: Line) -> Offering:
    """The offering of what a line ends. Refusal: it is another customer's, is no value-added item that was delivered without a service, or ends already."""
    other = desk.find(OrderItem, line.wanted.ends)
    where, whose = f"item {other.id}", desk.find(ProductOrder, other.order_id)
    if whose.customer_id != order.customer_id:
        raise Refusal("invalid", "the item is another customer's", where)
    row = version_of(desk, other.offering, other.offering_version)
    if other.action != "add" or other.state != "completed" or other.service_id is not None or row.kind != "value_added" or wanted_of(other).bundle:
        raise Refusal("conflict", f"the item is {other.state}, to {other.action} {other.offering}" + (" of a bundle" if wanted_of(other).bundle else ""), where,
                      "this ends a value-added item that was delivered without a service; else name the service")
    query = select(ProductOrder.number).join(OrderItem, OrderItem.order_id == ProductOrder.id).where(
        OrderItem.wanted["ends"].as_string() == other.id, OrderItem.id != (item.id or ""), OrderItem.state.not_in(("cancelled", "rejected", "failed")),
        ProductOrder.state.not_in(("cancelled", "rejected", "failed")), ProductOrder.customer_id == order.customer_id)
    if (first := desk.session.execute(query.limit(1)).scalar()) is not None:
        raise Refusal("conflict", f"order {first} ends it", where, "look at that order")
    return row


def _fits(desk: Desk, order: ProductOrder, service: Service, line: Line) -> None:
    """Refusal where a service is another customer's, is in a state in which that is not done to it, or another order is at it."""
    where = f"service {service.circuit}"
    if service.customer_id != order.customer_id:
        raise Refusal("invalid", "the service is another customer's", where)
    change = line.wanted.change
    good = {"suspend": ("active",), "resume": ("inactive",), "rate": ("active",), "price": ("active", "inactive")}.get(change, ("active", "inactive"))
    if service.state not in good:
        raise Refusal("conflict", f"the service is {service.state}", where, f"this is done to one that is {' or '.join(good)}")
    query = select(ProductOrder.number).join(OrderItem, OrderItem.order_id == ProductOrder.id).where(
        OrderItem.service_id == service.id, OrderItem.action != "noChange", OrderItem.state.not_in(states.TERMINAL), ProductOrder.id != order.id,
        ProductOrder.state.not_in(states.TERMINAL))
    if line.action != "noChange" and (other := desk.session.execute(query.limit(1)).scalar()):
        raise Refusal("conflict", f"order {other} is at the service", where, "finish or cancel that first")


# ---- what is done to orders

def acknowledge(desk: Desk, order_id: str, version: int | None = None) -> ProductOrder:
    """Accept a draft: its prices are frozen, its clock begins."""
    return move(desk, order_id, "acknowledged", version=version)


def amend(desk: Desk, order_id: str, lines: Sequence[Line], reason: str = "", version: int | None = None) -> tuple[ProductOrder, dict[str, Any]]:
    """Change what is ordered: `lines` are all its items from now on, those that stay with their ids. Free in a draft; in acknowledged, pending and held it
    makes a new version, prices are frozen anew, and the difference is given; later it takes an order of its own (`enter` with changes_id)."""
    try:
        desk.demand("order.write")
        as_customer(desk, lines)
        order = desk.find(ProductOrder, order_id, lock=True)
        if order.state not in states.AMENDABLE:
            raise Refusal("conflict", f"an order that is {order.state} is not amended", f"order {order.number}",
                          "enter a change order that names it (changes_id)" if order.state in ("inProgress", "completed", "partial") else "enter a new order")
        desk.fresh(order, version)
        before = content(order)
        if order.state != "draft":
            if not reason.strip():
                raise Refusal("invalid", "a reason is needed to amend it", "reason", "give one sentence")
            desk.add(OrderVersion(order_id=order.id, revision=order.revision, content=before, time=desk.now, user_id=desk.actor.id or None))
            order.revision += 1
        _replace(desk, order, lines, reason)
        if order.state != "draft":
            freeze_all(desk, order)
            desk.session.flush()
            order.due = clock.due_of(desk, order)
    except Refusal as refusal:
        raise desk.deny("order.amend", ("product_order", order_id), refusal, reason=reason) from None
    after = content(order)
    told = compared(before, after)
    desk.record("order.amend", order, before, after, reason)
    desk.emit("productOrder.attributeValueChange", order.id, {"id": order.id, "revision": order.revision, **told["total"]})
    return order, told


def _replace(desk: Desk, order: ProductOrder, lines: Sequence[Line], reason: str) -> None:
    known = {one.id: one for one in order.items if one.state not in states.TERMINAL}
    fresh: list[Line] = []
    for line in lines:
        if not line.id:
            fresh.append(line)
            continue
        item = known.pop(line.id, None)
        if item is None:
            raise Refusal("invalid", f"the order has no open item {line.id}", "productOrderItem.id")
        if item.action != line.action:
            raise Refusal("invalid", f"the item is to {item.action}, and stays so", "productOrderItem.action", "leave it out, and add another")
        if wanted_of(item).bundle != line.wanted.bundle or (item.action == "add" and line.offering != item.offering):
            raise Refusal("invalid", "an item keeps its offering and bundle", "productOrderItem.productOffering", "leave it out, and add another")
        if item.service_id and item.action == "add":
            raise Refusal("conflict", "resources are reserved for the item", f"item {item.id}", "leave it out, and add another")
        item.site = line.site if line.site is not None else item.site
        if desk.actor.outside:      # what we said of the network stays
            line = line.model_copy(update={"covered": item.covered, "wanted": line.wanted.model_copy(
                update={name: getattr(wanted_of(item), name) for name in NETWORK})})
        _describe(desk, order, item, line)
    for item in known.values():
        if order.state == "draft":
            order.items.remove(item)
            desk.session.delete(item)
        else:
            desk.add(Transition(entity="order_item", entity_id=item.id, from_state=item.state, to_state="cancelled", time=desk.now,
                                user_id=desk.actor.id or None, reason=reason[:400]))
            item.state, item.removed = "cancelled", order.revision
            fulfilment.drop(desk, item)
    if fresh:
        before = len(order.items)
        _fill(desk, order, fresh)
        for item in order.items[before:]:
            item.state = order.state if order.state in ("pending", "held") else "acknowledged"
    _whole(desk, order)
    if all(one.state in states.TERMINAL or one.action == "noChange" for one in order.items):
        raise Refusal("invalid", "nothing would be left of the order", "productOrderItem", "cancel it")


def _whole(desk: Desk, order: ProductOrder) -> None:
    """Refusal where there are more parts of a bundle than the bundles hold: their price is the bundle's."""
    live = [one for one in order.items if one.state not in ("cancelled", "rejected", "failed")]
    room = Counter[tuple[str, str]]()
    for one in live:
        if one.action == "add":
            for part in document_of(version_of(desk, one.offering, one.offering_version)).bundled:
                room[one.offering, part.code] += part.count
    for one in live:
        if bundle := wanted_of(one).bundle:
            room[bundle, one.offering] -= 1
            if room[bundle, one.offering] < 0:
                raise Refusal("invalid", f"{one.offering} is a part of {bundle}, which is no longer ordered", "productOrderItem",
                              "leave it out too, and order it by itself")


def content(order: ProductOrder) -> dict[str, Any]:
    """An order as a version keeps it; where things are to be is not in it."""
    return {"revision": order.revision, "state": order.state, "items": [
        {"id": one.id, "place": one.place, "action": one.action, "offering": one.offering, "offering_version": one.offering_version, "state": one.state,
         "service_id": one.service_id, "wanted": dict(one.wanted), "price": dict(one.price), "covered": one.covered} for one in order.items]}


def compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What an amendment changes: by item, and in all, gross a month and once."""
    def live(told: Mapping[str, Any]) -> dict[str, Any]:
        return {one["id"]: one for one in told["items"] if one["state"] not in ("cancelled", "rejected", "failed")}

    old, new = live(before), live(after)
    rows = []
    for key in [*old, *(one for one in new if one not in old)]:
        was, now = old.get(key), new.get(key)
        change = "added" if was is None else "removed" if now is None else "changed" if was != now else "same"
        rows.append({"item": key, "offering": (now or was or {})["offering"], "change": change,
                     **difference(was["price"] if was else {}, now["price"] if now else {})})
    total = difference({}, {})
    for name in total:
        total[name] = str(sum((Decimal(one[name]) for one in rows), Decimal(0)))
    return {"revision": after["revision"], "items": rows, "total": total}


def quote_of(desk: Desk, order: ProductOrder) -> list[dict[str, Any]]:
    """What an order would cost if it were acknowledged now: for a draft. Item by item."""
    terms, found = contract_terms(desk, order), []
    for item in order.items:
        wanted = wanted_of(item)
        _row, price = freeze(desk, item.offering, desk.now, wanted.down_bps, wanted.count, terms, wanted.bundle)
        found.append({"item": item.id, "offering": item.offering, "price": price})
    return found


def cancel(desk: Desk, order_id: str, reason: str, version: int | None = None) -> ProductOrder:
    """Cancel an order ("delete"): a draft at once. Else its cancellation is assessed; who may move orders on then also carries it out: what is
    reserved is given back, and the order is cancelled. Who may not leaves it to be assessed."""
    if not reason.strip():
        raise desk.deny("order.cancel", ("product_order", order_id), Refusal("invalid", "a reason is needed to cancel it", "reason", "give one sentence"))
    order = desk.find(ProductOrder, order_id)
    if order.state == "draft":
        return move(desk, order_id, "cancelled", reason, version)
    if order.state not in states.COMMANDED:
        order = move(desk, order_id, "assessingCancellation", reason, version)
    if desk.may("order.advance"):
        if order.state == "assessingCancellation":
            move(desk, order_id, "pendingCancellation", reason)
        order = move(desk, order_id, "cancelled", reason)
    return order


def suspend(desk: Desk, service_id: str, suspended_for: str, **given: Any) -> ProductOrder:
    """An order, acknowledged, that suspends a service. suspended_for: customer, non_payment or fault, by which it is charged."""
    return _about(desk, checked(Line, {"action": "modify", "service_id": service_id, "wanted": {"change": "suspend", "suspended_for": suspended_for}}), given)


def resume(desk: Desk, service_id: str, **given: Any) -> ProductOrder:
    """An order, acknowledged, that ends a suspension."""
    return _about(desk, Line(action="modify", service_id=service_id, wanted=Wanted(change="resume")), given)


def terminate(desk: Desk, service_id: str, **given: Any) -> ProductOrder:
    """An order, acknowledged, that ends a service; or, by its id, a value-added item that was delivered without one."""
    if service_id[:1] == OrderItem.LETTER:
        desk.demand("order.write")
        whose = desk.find(ProductOrder, desk.find(OrderItem, service_id).order_id)
        row = enter(desk, whose.customer_id, [checked(Line, {"action": "delete", "wanted": {"ends": service_id}})], region=whose.region, **given)
        return acknowledge(desk, row.id)
    return _about(desk, Line(action="delete", service_id=service_id), given)


def _about(desk: Desk, line: Line, given: Mapping[str, Any]) -> ProductOrder:
    desk.demand("order.write")
    assert line.service_id is not None
    service = desk.find(Service, line.service_id)
    order = enter(desk, service.customer_id, [line], region=service.region, **given)
    return acknowledge(desk, order.id)
