"""What a customer's usage is rated by: which version of which offering each service had when, what its bundle and its packs bring, when it was in use.

It is told by what was ordered: a completed item says since when. What was brought in without an order has its offering since it was in use; what it had before
its first change is in the audit log.
"""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import select

from bss import audit
from bss.catalogue.document import Offering as Document
from bss.catalogue.document import Price
from bss.catalogue.pricing import agreed
from bss.catalogue.publishing import document_of, version_of
from bss.charges.quantity import BYTES
from bss.desk import Desk
from bss.orders.wanted import wanted_of
from bss.tables import Agreement, AuditRow, OrderItem, ProductOrder, Service, Transition

NO_RATES: Mapping[str, Decimal] = {}


class Spell(NamedTuple):
    """A service had an offering in [since, until). bundle: order/offering, '' none; agreement: its contract; rates: what was agreed, by key of the price."""
    service: str
    access: str
    offering: str
    version: int
    since: datetime
    until: datetime | None
    bundle: str = ""
    agreement: str = ""
    rates: Mapping[str, Decimal] = NO_RATES
    bps: int = 0


class Grant(NamedTuple):
    """A bundle or a pack, which brings allowances to several services. owner: a bundle, or '' for all services of the customer."""
    owner: str
    kind: str
    offering: str
    version: int
    since: datetime
    until: datetime | None
    many: int = 1
    rates: Mapping[str, Decimal] = NO_RATES


class Tariff(NamedTuple):
    """What bytes of a service cost beyond what is included. key: offering/version/price; owner: whose total is rounded up, a service or a bundle."""
    key: str
    owner: str
    price: Price
    amount: Decimal


class Plan(NamedTuple):
    """All of a customer. used: of each service the times in which it was active."""
    customer: str
    spells: dict[str, list[Spell]]
    grants: list[Grant]
    active: dict[str, list[tuple[datetime, datetime | None]]]

    def spell(self, service: str, at: datetime) -> Spell | None:
        """What a service had at a time."""
        return next((one for one in self.spells.get(service, ()) if one.since <= at and (one.until is None or at < one.until)), None)

    def in_use(self, service: str, at: datetime) -> bool:
        """Whether it was active then."""
        return any(since <= at and (until is None or at < until) for since, until in self.active.get(service, ()))

    def members(self, bundle: str) -> frozenset[str]:
        """Services of a bundle; '' all of the customer."""
        return frozenset(name for name, spells in self.spells.items() if not bundle or any(one.bundle == bundle for one in spells))


class Catalogue:
    """Documents of versions, read once: what was published never changes."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, int], Document] = {}

    def of(self, desk: Desk, code: str, version: int) -> Document:
        """What a version says. Refusal `missing`."""
        if (found := self._held.get((code, version))) is None:
            found = self._held[code, version] = document_of(version_of(desk, code, version))
        return found

    def tariff(self, desk: Desk, plan: Plan, spell: Spell, at: datetime) -> Tariff | None:
        """What traffic of a service costs at a time: its bundle's price for its access, else its own; None: it is not paid by what is used."""
        for one in plan.grants:
            if one.kind == "bundle" and one.owner == spell.bundle and one.since <= at and (one.until is None or at < one.until):
                if (price := metered(self.of(desk, one.offering, one.version), spell.access)) is not None:
                    return Tariff(f"{one.offering}/{one.version}/{price.key}", one.owner, price, one.rates.get(price.key, price.amount))
        price = metered(self.of(desk, spell.offering, spell.version), spell.access)
        if price is None:
            return None
        return Tariff(f"{spell.offering}/{spell.version}/{price.key}", spell.service, price, spell.rates.get(price.key, price.amount))

    def paid(self, desk: Desk, plan: Plan, service: str) -> bool:
        """Whether a service is, or was at some time, paid by what it uses."""
        for spell in plan.spells[service]:
            parts = [(one.offering, one.version) for one in plan.grants if one.kind == "bundle" and one.owner == spell.bundle]
            if any(metered(self.of(desk, code, version), spell.access) is not None for code, version in [*parts, (spell.offering, spell.version)]):
                return True
        return False

    def percentile(self, desk: Desk, spell: Spell) -> Price | None:
        """The price by the 95th percentile of what a service had."""
        return next((one for one in self.of(desk, spell.offering, spell.version).prices if one.algorithm == "percentile"), None)


def metered(document: Document, access: str) -> Price | None:
    """The price of traffic by an access that an offering has."""
    return next((one for one in document.prices if one.type == "usage" and one.unit in BYTES and (not one.access or access in one.access)), None)


def plans(desk: Desk, customers: Sequence[str]) -> dict[str, Plan]:
    """Of these customers; those without a service that was ever active have none."""
    services = list(desk.session.execute(select(Service).where(Service.customer_id.in_(customers), Service.activated.is_not(None))).scalars())
    query = select(OrderItem, ProductOrder.customer_id, ProductOrder.completed).join(ProductOrder, OrderItem.order_id == ProductOrder.id)
    items = list(desk.session.execute(query.where(
        ProductOrder.customer_id.in_(customers), OrderItem.state == "completed", OrderItem.removed.is_(None), OrderItem.action.in_(("add", "modify", "delete"))
    ).order_by(OrderItem.order_id, OrderItem.place)))
    terms = {one.id: one.terms for one in desk.session.execute(select(Agreement).where(
        Agreement.id.in_({one.agreement_id for one in services if one.agreement_id}))).scalars()} if services else {}
    times = _completed(desk, [item.id for item, _, _ in items])
    active = _active(desk, services)
    by_service: dict[str, list[tuple[datetime, OrderItem]]] = defaultdict(list)
    gone = {wanted_of(item).ends: times.get(item.id) or completed or desk.now for item, _, completed in items if item.action == "delete"}
    for item, _, completed in items:
        if item.action != "delete" and item.service_id is not None and wanted_of(item).change in ("", "rate", "price"):
            by_service[item.service_id].append((times.get(item.id) or completed or desk.now, item))
    found: dict[str, Plan] = {}
    for one in services:
        plan = found.setdefault(one.customer_id, Plan(one.customer_id, {}, [], {}))
        spells = list(_spells(desk, one, sorted(by_service[one.id], key=lambda two: (two[0], two[1].id)), terms))
        if one.kind in ("value_added", "bundle"):
            plan.grants.extend(Grant("", one.kind, two.offering, two.version, two.since, two.until) for two in spells if not two.bundle)
            continue
        plan.spells[one.id], plan.active[one.id] = spells, active[one.id]
    for item, customer, completed in items:
        if customer in found and item.action == "add":
            _grant(desk, found[customer], item, times.get(item.id) or completed or desk.now, gone.get(item.id))
    return found


def _spells(desk: Desk, service: Service, told: list[tuple[datetime, OrderItem]], terms: Mapping[str, Mapping[str, Any]]) -> Iterator[Spell]:
    assert service.activated is not None
    bundle = next((f"{item.order_id}/{wanted_of(item).bundle}" for _, item in told if item.action == "add" and wanted_of(item).bundle), "")
    rows: list[tuple[datetime, str, int, Mapping[str, Decimal], int]] = [
        (service.activated if item.action == "add" else at, item.offering, item.offering_version, _rates(item), wanted_of(item).down_bps) for at, item in told]
    if not rows or rows[0][0] > service.activated:
        code, version, bps = _before(desk, service) if rows else (service.offering, service.offering_version, service.down_bps)
        rows.insert(0, (service.activated, code, version, agreed(terms.get(service.agreement_id or ""), code), bps))
    ordered = service.down_bps
    for place, (since, code, version, rates, bps) in enumerate(rows):
        ordered = bps or (ordered if place else service.down_bps)           # a change of the price alone leaves the rate
        until = rows[place + 1][0] if place + 1 < len(rows) else service.terminated
        if service.terminated is not None and (until is None or until > service.terminated):
            until = service.terminated
        if until is None or since < until:
            yield Spell(service.id, service.kind, code, version, since, until, bundle, service.agreement_id or "", rates, ordered)


def _grant(desk: Desk, plan: Plan, item: OrderItem, since: datetime, ended: datetime | None) -> None:
    """What an item brings that is no access: a bundle, or a pack without a service of its own. ended: when an order ended it."""
    wanted = wanted_of(item)
    kind = version_of(desk, item.offering, item.offering_version).kind
    owner = f"{item.order_id}/{item.offering if kind == 'bundle' else wanted.bundle}"
    if kind == "bundle" or (kind == "value_added" and (wanted.bundle or item.service_id is None)):
        ends = [two.until for two in (spells[-1] for name, spells in plan.spells.items() if spells and spells[-1].bundle == owner)]
        until = ended if not ends or any(one is None for one in ends) else max(one for one in ends if one is not None)
        plan.grants.append(Grant(owner if kind == "bundle" or wanted.bundle else "", kind, item.offering, item.offering_version, since, until, wanted.count,
                                 _rates(item)))


def _rates(item: OrderItem) -> Mapping[str, Decimal]:
    return {one["key"]: Decimal(one["rate"]) for one in item.price.get("lines", ()) if one["type"] == "usage" and one.get("by_contract")}


def _completed(desk: Desk, ids: Sequence[str]) -> dict[str, datetime]:
    query = select(Transition.entity_id, Transition.time).where(Transition.entity == "order_item", Transition.entity_id.in_(ids),
                                                                Transition.to_state == "completed")
    return {key: time for key, time in desk.session.execute(query)} if ids else {}


def _active(desk: Desk, services: Sequence[Service]) -> dict[str, list[tuple[datetime, datetime | None]]]:
    """When each of them was active: from its activation on, but for suspensions, until it ended."""
    moves: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    query = select(Transition.entity_id, Transition.time, Transition.to_state).where(
        Transition.entity == "service", Transition.entity_id.in_([one.id for one in services])).order_by(Transition.time, Transition.id)
    for key, time, state in desk.session.execute(query) if services else ():
        moves[key].append((time, state))
    found: dict[str, list[tuple[datetime, datetime | None]]] = {}
    for one in services:
        spans: list[tuple[datetime, datetime | None]] = [(one.activated, None)] if one.activated is not None else []
        for time, state in moves[one.id]:
            if spans and spans[-1][1] is None and state != "active" and time > spans[-1][0]:
                spans[-1] = (spans[-1][0], time)
            elif spans and spans[-1][1] is not None and state == "active":
                spans.append((time, None))
        if spans and spans[-1][1] is None and one.terminated is not None:
            spans[-1] = (spans[-1][0], one.terminated)
        found[one.id] = [(since, until) for since, until in spans if until is None or since < until]
    return found


def _before(desk: Desk, service: Service) -> tuple[str, int, int]:
    """What a service had before anything was ordered for it, and at which rate: its first change says so."""
    rows = desk.session.execute(select(AuditRow).where(AuditRow.entity == "service", AuditRow.entity_id == service.id, AuditRow.action == "service.change")
                                .order_by(AuditRow.number)).scalars()
    code, version, bps = "", 0, 0
    for row in rows:
        before = (audit.detail(row) or {}).get("before", {})
        code, version, bps = code or before.get("offering", ""), version or before.get("offering_version", 0), bps or before.get("down_bps", 0)
        if code and version and bps:
            break
    return code or service.offering, version or service.offering_version, bps or service.down_bps
