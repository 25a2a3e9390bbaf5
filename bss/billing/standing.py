"""What stands behind recurring charges: the services of customers (and items without one), on which days each was active or suspended and why, and by which
plan it was charged since when. Read for many customers at once, from services, completed orders and the history of their states."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import select

from bss.catalogue.document import Offering as Document
from bss.catalogue.pricing import priced
from bss.catalogue.publishing import document_of
from bss.charges.proration import Spell, share_of
from bss.desk import Desk
from bss.tables import Agreement, Offering, OrderItem, ProductOrder, Service, Transition

FAR = date(9999, 1, 1)


class Plan(NamedTuple):
    """What something costs since a day. lines: as they were frozen; item: of the order, '' where the catalogue's price stands; added: it began then."""
    since: date
    lines: Sequence[Mapping[str, Any]]
    item: str
    order: str
    offering: str
    version: int
    added: bool


class Standing(NamedTuple):
    """A service, or an item that has none. kind: of its offering; spells: its days; ended: the day from which it is not any more; trouble: why its charges
    can't be told, '' where they can; part: of a bundle, the first of its services."""
    id: str
    customer_id: str
    service_id: str | None
    circuit: str
    kind: str
    spells: list[Spell]
    plans: list[Plan]
    ended: date | None
    trouble: str = ""
    part: str = ""


class Catalogue:
    """Versions of offerings, each read once."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._known: dict[tuple[str, int], Document | None] = {}

    def of(self, code: str, version: int) -> Document | None:
        """A version; None where there is none."""
        if (code, version) not in self._known:
            row = self._desk.session.get(Offering, (code, version))
            self._known[code, version] = None if row is None else document_of(row)
        return self._known[code, version]


def standing(desk: Desk, customer_ids: Collection[str], before: datetime, catalogue: Catalogue) -> list[Standing]:
    """All of these customers' that were there before a time."""
    zone, session = desk.office.settings.zone, desk.session
    services = session.execute(select(Service).where(Service.customer_id.in_(customer_ids), Service.created < before).order_by(Service.id)).scalars().all()
    items = session.execute(
        select(OrderItem.id, OrderItem.order_id, OrderItem.action, OrderItem.offering, OrderItem.offering_version, OrderItem.service_id, OrderItem.price,
               OrderItem.wanted, ProductOrder.customer_id, ProductOrder.number)
        .join(ProductOrder, ProductOrder.id == OrderItem.order_id)
        .where(ProductOrder.customer_id.in_(customer_ids), OrderItem.state == "completed",
               OrderItem.action.in_(("add", "modify", "delete")))).all()
    done: dict[str, datetime] = {}
    for lot in _lots([one.id for one in items]):
        steps = select(Transition.entity_id, Transition.time).where(Transition.entity == "order_item", Transition.to_state == "completed")
        done.update(session.execute(steps.where(Transition.entity_id.in_(lot))).tuples().all())
    steps_of: dict[str, list[Any]] = defaultdict(list)
    for lot in _lots([one.id for one in services]):
        for step in session.execute(select(Transition.entity_id, Transition.from_state, Transition.to_state, Transition.time, Transition.reason)
                                    .where(Transition.entity == "service", Transition.entity_id.in_(lot)).order_by(Transition.time, Transition.id)):
            steps_of[step.entity_id].append(step)
    terms: dict[str, Any] = dict(session.execute(select(Agreement.id, Agreement.terms).where(
        Agreement.id.in_({one.agreement_id for one in services if one.agreement_id}))).tuples().all())
    by_service: dict[str, list[tuple[datetime, Any]]] = defaultdict(list)
    alone: list[tuple[datetime, Any]] = []
    gone: dict[str, date] = {}          # items without a service that another one ended
    for one in items:
        if (at := done.get(one.id)) is None or at >= before:
            continue
        if one.action != "delete":
            (by_service[one.service_id] if one.service_id else alone).append((at, one))
        elif one.wanted.get("ends"):
            gone[one.wanted["ends"]] = _day(at, zone)
    ordered: set[str | None] = set()        # services that an order adds, whether it is completed or not: they are not charged before it is
    for lot in _lots([one.id for one in services if one.id not in by_service]):
        ordered.update(session.execute(select(OrderItem.service_id).where(OrderItem.service_id.in_(lot), OrderItem.action == "add")).scalars())
    ends: dict[str, date | None] = {}
    found = []
    for service in services:
        spells, ended = spells_of(steps_of[service.id], service.state, service.activated or service.created, zone, service.terminated)
        ends[service.id] = ended
        plans, trouble = ([], "") if service.id in ordered else _plans(
            service, by_service[service.id], terms.get(service.agreement_id or ""), catalogue, zone)
        found.append(Standing(service.id, service.customer_id, service.id, service.circuit, service.kind, spells, plans, ended, trouble))
    bundled: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for _, other in (pair for pairs in by_service.values() for pair in pairs):
        if other.wanted.get("bundle"):
            bundled[other.order_id, other.wanted["bundle"]].append(other)
    for at, one in alone:
        if not one.price.get("lines"):
            continue
        mine = [other.service_id for other in bundled.get((one.order_id, one.offering), ())]
        parts = [ends.get(key) for key in mine]
        ended = max((end for end in parts if end is not None), default=None) if parts and None not in parts else gone.get(one.id)
        document, since = catalogue.of(one.offering, one.offering_version), _day(at, zone)
        found.append(Standing(one.id, one.customer_id, None, "", document.kind if document else "", [Spell(since, ended or FAR, Decimal(1))],
                              [_plan(one, at, zone)], ended, part=min(mine, default="")))
    return found


def spells_of(steps: Sequence[Any], state: str, since: datetime, zone: ZoneInfo, terminated: datetime | None = None) -> tuple[list[Spell], date | None]:
    """Days on which a service was active or suspended, by its steps in order; and the day that it ended on. A day is of the state that it ends in."""
    if not steps and terminated is not None:
        return [Spell(_day(since, zone), _day(terminated, zone), Decimal(1))], _day(terminated, zone)
    now, begin, share = steps[0].from_state if steps else state, _day(since, zone), Decimal(1)
    on = now == "active"
    spells: list[Spell] = []
    for step in steps:
        day = _day(step.time, zone)
        if on and day > begin:
            spells.append(Spell(begin, day, share))
        begin, was, now = max(day, begin) if on else day, now, step.to_state
        if now == "active":
            on, share = True, Decimal(1)
        elif was == "active" and now == "inactive":
            on, share = True, share_of(step.reason.strip())
        else:
            on = False
    if on:
        spells.append(Spell(begin, FAR, share))
    return spells, _day(steps[-1].time, zone) if now == "terminated" else None


def _plans(service: Service, items: list[tuple[datetime, Any]], terms: Mapping[str, Any] | None, catalogue: Catalogue,
           zone: ZoneInfo) -> tuple[list[Plan], str]:
    """The plans of a service, the first one since it is there; and why the first can't be told."""
    found = [_plan(one, at, zone) for at, one in sorted(items, key=lambda pair: (pair[0], pair[1].id))
             if one.action == "add" or one.wanted.get("change") in ("rate", "price")]
    if found and found[0].added:
        return found, ""
    if found:
        return found, f"what {service.circuit} cost before order {found[0].order} changed it is not on record"
    document = catalogue.of(service.offering, service.offering_version)
    if document is None:
        return [], f"{service.circuit} has an offering that is not in the catalogue"
    own = terms if terms and terms.get("prices") else None
    return [Plan(_day(service.activated or service.created, zone), priced(document, service.down_bps, 1, own), "", "", service.offering,
                 service.offering_version, True)], ""


def _plan(item: Any, at: datetime, zone: ZoneInfo) -> Plan:
    return Plan(_day(at, zone), item.price.get("lines", []), item.id, item.number, item.offering, item.offering_version, item.action == "add")


def _day(at: datetime, zone: ZoneInfo) -> date:
    return at.astimezone(zone).date()


def _lots(ids: Sequence[str], size: int = 5000) -> list[Sequence[str]]:
    return [ids[k:k + size] for k in range(0, len(ids), size)]
