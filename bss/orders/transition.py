"""Moving orders and items from state to state: the tables of states.py and the guards.

What is refused is explained, and is on record though the act is undone.
"""
from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from bss.catalogue.pricing import freeze
from bss.catalogue.publishing import version_of
from bss.desk import Desk
from bss.orders import clock, fulfilment, states
from bss.orders.milestone import reached
from bss.orders.verifying import judge
from bss.orders.wanted import access, ends, wanted_of
from bss.refusal import Refusal
from bss.tables import Agreement, OrderItem, OrderVersion, ProductOrder, Qualification, Transition
from bss.tickets.assurance import untouched

TOUCHING = frozenset({"inProgress", "completed", "failed", "partial"})       # steps that change a service, and wait while it is guarded for an event
TIMEOUT = timedelta(days=30)                # after which an order that waits for its customer may be cancelled at once
#: What items become where an order as a whole is moved.
CARRIED = {"rejected": "rejected", "inProgress": "inProgress", "pending": "pending", "held": "held", "completed": "completed", "failed": "failed",
           "partial": "failed", "cancelled": "cancelled"}


def move(desk: Desk, order_id: str, to: str, reason: str = "", version: int | None = None) -> ProductOrder:
    """Move an order, and its items with it. Refusal `conflict` with one sentence why not; the attempt is in the audit log."""
    try:
        desk.demand("order.write" if to in ("acknowledged", "assessingCancellation", "cancelled") else "order.advance")
        order = desk.find(ProductOrder, order_id, lock=True)
        if order.state not in ("draft", "assessingCancellation") and to == "cancelled":
            desk.demand("order.advance")
        desk.fresh(order, version)
        before = order.state
        if to in TOUCHING:
            untouched(desk, (item.service_id for item in order.items if item.removed is None and item.state not in states.TERMINAL))
        if why := states.refusal(before, to, order.prior_state):
            raise Refusal("conflict", why, f"order {order.number}", _ways(order))
        back = before == "assessingCancellation" and to == order.prior_state
        _enter(desk, order, to, reason)
        if not back:
            _carry(desk, order, to, reason)
        _step(desk, order, to, reason)
        return order
    except Refusal as refusal:
        raise desk.deny("order.move", ("product_order", order_id), refusal, to=to, reason=reason) from None


def move_item(desk: Desk, item_id: str, to: str, reason: str = "", version: int | None = None) -> OrderItem:
    """Move one item; its order goes where its items take it. version: of the order."""
    try:
        desk.demand("order.advance")
        item = desk.find(OrderItem, item_id, lock=True)
        order = desk.find(ProductOrder, item.order_id, lock=True)
        desk.fresh(order, version)
        if order.state == "draft" or order.state in states.COMMANDED:
            raise Refusal("conflict", f"its order is {order.state}: its items don't move by themselves", f"order {order.number}", "move the order")
        if to in TOUCHING:
            untouched(desk, [item.service_id])
        if why := states.refusal(item.state, to, item=True):
            raise Refusal("conflict", why, f"item {item_id}", f"it can become {', '.join(states.ITEM[item.state]) or 'nothing else'}")
        if to in ("rejected", "failed", "cancelled", "pending") and not reason.strip():
            raise Refusal("invalid", f"a reason is needed for {to}", "reason", "give one sentence")
        _step_item(desk, item, to, reason)
        target = states.derived(((one.action, one.state) for one in order.items if one.removed is None), order.state)
        if target != order.state:
            _follow(desk, order, target, reason)
        return item
    except Refusal as refusal:
        raise desk.deny("order.item.move", ("order_item", item_id), refusal, to=to, reason=reason) from None


def _follow(desk: Desk, order: ProductOrder, target: str, reason: str) -> None:
    """Bring an order to the state that its items have taken it to."""
    if target == "cancelled":
        raise Refusal("conflict", "nothing would be left of the order", f"order {order.number}", "cancel the order")
    way = states.path(order.state, target)
    if way is None:
        raise Refusal("conflict", states.refusal(order.state, target), f"order {order.number}", _ways(order))
    for to in way:
        _enter(desk, order, to, reason, judged=True)
        _step(desk, order, to, reason)


def _ways(order: ProductOrder) -> str:
    ways = states.ORDER[order.state] + ((order.prior_state,) if order.state == "assessingCancellation" and order.prior_state else ())
    return f"it can become {', '.join(ways)}" if ways else "enter a new order"


# ---- guards

def _enter(desk: Desk, order: ProductOrder, to: str, reason: str, judged: bool = False) -> None:
    """The guards of entering a state. judged: the items have been looked at one by one."""
    where = f"order {order.number}"
    if to in ("pending", "rejected", "failed", "assessingCancellation", "partial") and not reason.strip():
        raise Refusal("invalid", f"a reason is needed for {to}", "reason", "give one sentence")
    if to == "acknowledged" and order.state == "draft":
        _acknowledge(desk, order)
    elif to == "inProgress":
        _qualified(desk, order)
    elif to == "held" and order.owner_id is None:
        raise Refusal("conflict", "an order is held by somebody: it has no owner", where, "give it an owner first")
    elif to in ("assessingCancellation", "pendingCancellation"):
        _cancellable(desk, order)
    elif to == "cancelled" and order.state == "pending":
        since = order.pending_since or desk.now
        if desk.now - since < TIMEOUT:
            raise Refusal("conflict", f"the customer has {TIMEOUT.days} days to act, until {(since + TIMEOUT).date()}", where,
                          "or assess its cancellation (assessingCancellation)")
        _cancellable(desk, order)
    done = any(item.state == "completed" for item in order.items)
    if to == "partial" and not done:
        raise Refusal("conflict", "no item of it is completed", where, "let it fail, or complete what is delivered first")
    if to == "failed" and done and not judged:
        raise Refusal("conflict", "a part of it is completed", where, "it is partial")


def _acknowledge(desk: Desk, order: ProductOrder) -> None:
    """Freeze prices, and start the clock."""
    if not order.items:
        raise Refusal("invalid", "the order has no items", f"order {order.number}", "amend it")
    freeze_all(desk, order)
    order.acknowledged = desk.now
    desk.session.flush()
    order.due = clock.due_of(desk, order)


def freeze_all(desk: Desk, order: ProductOrder) -> None:
    """Freeze the prices of an order's items as they are now, by the catalogue and its contract. An item that ends a service costs nothing."""
    terms = contract_terms(desk, order)
    for item in order.items:
        if item.state in states.TERMINAL or item.action in ("delete", "noChange") or ends(item) or wanted_of(item).change == "resume":
            continue
        wanted = wanted_of(item)
        row, item.price = freeze(desk, item.offering, desk.now, wanted.down_bps, wanted.count, terms, wanted.bundle)
        item.offering_version = row.version


def contract_terms(desk: Desk, order: ProductOrder) -> dict[str, Any] | None:
    """What an order's contract says otherwise than the catalogue. Refusal: it is not in force."""
    if order.agreement_id is None:
        return None
    agreement = desk.session.get_one(Agreement, order.agreement_id)
    if agreement.state != "active" or agreement.valid_from > desk.now or (agreement.valid_to is not None and agreement.valid_to <= desk.now):
        raise Refusal("conflict", f"contract {agreement.number} is not in force", "agreement", "name another one, or have it renewed")
    return agreement.terms


def needs_check(desk: Desk, item: OrderItem) -> bool:
    """Whether it has to be checked that an item can be delivered."""
    kind = version_of(desk, item.offering, item.offering_version).kind
    return item.state not in states.TERMINAL and not ends(item) and kind != "mobile" and wanted_of(item).change != "resume" and access(item, kind)


def _qualified(desk: Desk, order: ProductOrder) -> None:
    """Refusal where an item needs a check that is not done, does not say yes, or is of before the last amendment."""
    if not any(needs_check(desk, item) for item in order.items):
        return
    query = select(Qualification).where(Qualification.order_id == order.id).order_by(Qualification.created.desc(), Qualification.id.desc()).limit(1)
    last = desk.session.execute(query).scalar_one_or_none()
    where = f"order {order.number}"
    if last is None or last.state != "done":
        raise Refusal("conflict", "whether it can be delivered is not checked" if last is None else f"its check is {last.state}", where, "qualify the order")
    amended = desk.session.execute(select(OrderVersion.time).where(OrderVersion.order_id == order.id).order_by(OrderVersion.revision.desc()).limit(1)).scalar()
    if amended is not None and (last.done or last.created) <= amended:
        raise Refusal("conflict", "it was amended after it was checked", where, "qualify the order again")
    if last.result != "qualified":
        raise Refusal("conflict", f"the check says {last.result}", where, "amend it to what can be delivered, or reject it")


def _cancellable(desk: Desk, order: ProductOrder) -> None:
    for item in order.items:
        if item.state == "completed" or "accepted" in reached(desk, item):
            raise Refusal("conflict", f"item {item.place} is delivered: what is delivered is not cancelled", f"order {order.number}",
                          "terminate its service by an order of its own")


# ---- steps

def _carry(desk: Desk, order: ProductOrder, to: str, reason: str) -> None:
    """Take the items along."""
    target = CARRIED.get(to)
    if target is None:
        return
    for item in order.items:
        if item.state in states.TERMINAL or item.state == target or item.action == "noChange":
            continue
        commanded = target == "cancelled" or order.state in (*states.COMMANDED, "draft") or to in ("failed", "partial")
        if not commanded and (why := states.refusal(item.state, target, item=True)):
            raise Refusal("conflict", f"item {item.place}: {why}", f"order {order.number}", "move its items first")
        _step_item(desk, item, target, reason)


def _step_item(desk: Desk, item: OrderItem, to: str, reason: str) -> None:
    before = item.state
    if to == "completed":
        verdict = judge(desk, item)
        if not verdict.done:
            raise Refusal("conflict", f"item {item.place} is not verified: {verdict.why}", f"item {item.id}", "verify it, or hold it, or let it fail")
        item.verified = verdict.how
    item.state = to
    if to == "completed":
        fulfilment.finish(desk, item)
    elif to in ("failed", "cancelled", "rejected"):
        fulfilment.drop(desk, item)
    _note(desk, "order_item", item.id, before, to, reason)
    desk.emit("productOrderItem.stateChange", item.order_id, {"id": item.order_id, "item": item.id, "from": before, "to": to})


def _step(desk: Desk, order: ProductOrder, to: str, reason: str) -> None:
    """Write a step of an order."""
    before = order.state
    if to == "cancelled" and before == "pendingCancellation" and (count := fulfilment.held_resources(desk, order)):
        raise Refusal("conflict", f"{count} of its reservations and bindings are not released", f"order {order.number}", "release them, or let it fail")
    if before == "pending":
        begin = order.pending_since or desk.now
        order.pending_seconds += int(clock.elapsed(begin, desk.now, clock.days(desk)).total_seconds())
        order.pending_since = None
    if to == "pending":
        order.pending_since = desk.now
    if to == "assessingCancellation":
        order.prior_state = before
    elif before == "assessingCancellation" and to == order.prior_state:
        order.prior_state = None
    order.state = to
    if reason:
        order.reason = reason[:400]
    if to in ("completed", "partial"):
        order.completed = desk.now
    _note(desk, "order", order.id, before, to, reason)
    desk.session.flush()
    if before == "pending" or to == "pending":
        order.due = clock.due_of(desk, order)
    desk.record("order.move", order, {"state": before}, {"state": to}, reason)
    desk.emit("productOrder.stateChange", order.id, {"id": order.id, "number": order.number, "from": before, "to": to, "revision": order.revision})


def _note(desk: Desk, entity: str, key: str, before: str, to: str, reason: str) -> None:
    note: dict[str, Any] = {"entity": entity, "entity_id": key, "from_state": before, "to_state": to, "reason": reason[:400]}
    desk.add(Transition(time=desk.now, user_id=desk.actor.id or None, **note))
