"""What is true of orders, their items and services whatever was killed, by plain queries."""
from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from benchmarks.bss_kills.record import BOUND, count_of, steps_of, walk
from bss.orders.states import COMMANDED, TERMINAL, derived
from bss.tables import ImportRow, OrderItem, OrderVersion, ProductOrder, Reservation, Service, ServiceResource


def faults(session: Session, said: Mapping[str, str]) -> Iterator[str]:
    """What is not as it has to be. said: the states of orders that were acknowledged."""
    yield from _order(session, said)
    yield from _item(session)


def _order(session: Session, said: Mapping[str, str]) -> Iterator[str]:
    items: dict[str, list[Any]] = defaultdict(list)
    for one in session.execute(select(OrderItem.order_id, OrderItem.action, OrderItem.state)):
        items[one.order_id].append((one.action, one.state))
    steps = steps_of(session, "order")
    moves = count_of(session, "order.move")
    versions = Counter(session.scalars(select(OrderVersion.order_id)))
    entered = count_of(session, "order.enter")
    states: dict[str, str] = {}
    for key, state, revision in session.execute(select(ProductOrder.id, ProductOrder.state, ProductOrder.revision)):
        states[key] = state
        if not items[key]:
            yield f"order {key} has no items"
        if state == "draft" and any(one != "acknowledged" for _, one in items[key]):
            yield f"draft {key} has items that are {items[key]}"
        left = [one for one in items[key] if one[1] != "cancelled"]         # what an amendment has left out says nothing
        if state not in ("draft", *COMMANDED) and derived(left or items[key], state) != state:
            yield f"order {key} is {state} and its items {items[key]}"
        if why := walk(steps[key], "", state):
            yield f"order {key}: {why}"
        if moves[key] != len(steps[key]) - 1 or entered[key] != 1:
            yield f"order {key} has {len(steps[key])} steps; {entered[key]} entries and {moves[key]} moves are on record"
        if versions[key] != revision - 1:
            yield f"order {key} is revision {revision} and has {versions[key]} versions"
    for key, state in said.items():
        if states.get(key) != state:
            yield f"order {key} was said to be {state} and is {states.get(key)}"


def _item(session: Session) -> Iterator[str]:
    steps = steps_of(session, "order_item")
    kept = set(session.scalars(select(Reservation.item_id).where(Reservation.released.is_(None))))
    services = dict(session.execute(select(Service.id, Service.state)).tuples().all())
    for key, state, service in session.execute(select(OrderItem.id, OrderItem.state, OrderItem.service_id)):
        if why := walk(steps[key], None, state):
            yield f"item {key}: {why}"
        if state in TERMINAL and key in kept:
            yield f"item {key} is {state} and keeps resources"
        if state == "cancelled" and service is not None and services[service] != "terminated":
            yield f"item {key} is cancelled and its service {services[service]}"
    walked = steps_of(session, "service")
    imported = set(session.scalars(select(ImportRow.entity_id).where(ImportRow.entity == "service")))
    for key, state in services.items():
        if key not in imported and (why := walk(walked[key], "designed", state)):
            yield f"service {key}: {why}"
    used = set(session.scalars(select(ServiceResource.service_id)))
    if wrong := [key for key in used if services[key] not in BOUND]:
        yield f"services {wrong} have ended and use resources"
