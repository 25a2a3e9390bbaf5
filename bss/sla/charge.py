"""What a service costs a month: the recurring prices that were frozen when it was ordered, or what catalogue and contract say where it was never ordered here.
By tax, for a credit takes the tax of the line that it credits. A part of a bundle costs its share of the bundle's price, by what the parts would cost alone;
where they would cost nothing, all services of it the same."""
from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import or_, select

from bss.catalogue.document import MBPS
from bss.catalogue.pricing import agreed, priced
from bss.catalogue.publishing import document_of
from bss.charges.money import EXACT
from bss.database import lots
from bss.desk import Desk
from bss.sla.credits import Charge
from bss.tables import Agreement, Offering, OrderItem, ProductOrder, Service

Lines = Sequence[Mapping[str, Any]]
PLACES = Decimal("0.000001")            # of a share


def monthly(desk: Desk, services: Sequence[Service], until: datetime) -> dict[str, list[tuple[str, Lines]]]:
    """The recurring price lines of services, by the orders that were completed before a time, the newest first; each with its currency."""
    found: dict[str, list[tuple[str, Lines]]] = {one.id: [] for one in services}
    alone: dict[tuple[Any, ...], Decimal] = {}          # what a part costs by itself: the same parts are in thousands of bundles
    for lot in lots(list(found)):
        query = select(OrderItem.service_id, OrderItem.order_id, OrderItem.price, OrderItem.wanted).join(
            ProductOrder, ProductOrder.id == OrderItem.order_id).where(
            OrderItem.service_id.in_(lot), OrderItem.state == "completed", OrderItem.action.in_(("add", "modify")), OrderItem.removed.is_(None),
            or_(ProductOrder.completed.is_(None), ProductOrder.completed < until))
        ordered = desk.session.execute(query.order_by(ProductOrder.completed.desc(), OrderItem.id.desc())).all()
        beside = _beside(desk, {order for _, order, price, wanted in ordered if wanted.get("bundle") and not _recurring(price)})
        for service, order, price, wanted in ordered:
            told: tuple[str, Lines] = str(price.get("currency") or "CNY"), _recurring(price)
            if not told[1] and (bundle := str(wanted.get("bundle") or "")):
                told = _of_bundle(desk, beside[order], bundle, service, alone)
            if told[1]:
                found[service].append(told)
    for one in services:
        if not found[one.id] and (listed := _by_catalogue(desk, one)):
            found[one.id].append(listed)
    return found


def _recurring(price: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in price.get("lines", ()) if one["type"] == "recurring"]


def _beside(desk: Desk, orders: Set[str]) -> dict[str, list[OrderItem]]:
    """The items that were added by some orders, by order."""
    found: dict[str, list[OrderItem]] = {one: [] for one in orders}
    for lot in lots(sorted(orders)):
        query = select(OrderItem).where(OrderItem.order_id.in_(lot), OrderItem.action == "add", OrderItem.removed.is_(None))
        for one in desk.session.execute(query.order_by(OrderItem.id)).scalars():
            found[one.order_id].append(one)
    return found


def _of_bundle(desk: Desk, items: Sequence[OrderItem], bundle: str, service_id: str, known: dict[tuple[Any, ...], Decimal]) -> tuple[str, Lines]:
    """The share of a service in the price of the bundle that it was ordered with. items: of the order. known: what parts cost alone, as far as it was asked."""
    parts = [one for one in items if one.wanted.get("bundle") == bundle]
    alone = {}
    for one in parts:
        kind = one.offering, one.offering_version, int(one.wanted.get("down_bps") or 0)
        if kind not in known:
            known[kind] = _alone(desk, *kind)
        alone[one.id] = known[kind]
    if not sum(alone.values()):
        alone = {one.id: Decimal(one.service_id is not None) for one in parts}
    mine = sum((alone[one.id] for one in parts if one.service_id == service_id), Decimal(0))
    lines: list[Mapping[str, Any]] = []
    currency = "CNY"
    for whole in items:
        if whole.offering == bundle and not whole.wanted.get("bundle"):
            currency = str(whole.price.get("currency") or currency)
            lines += [{**one, "amount": str(EXACT.divide(EXACT.multiply(Decimal(one["amount"]), mine), sum(alone.values())).quantize(PLACES))}
                      for one in _recurring(whole.price)]
    return currency, lines


def _alone(desk: Desk, offering: str, version: int, down_bps: int) -> Decimal:
    """What a part would cost a month by itself."""
    row = desk.session.get(Offering, (offering, version))
    if row is None:
        return Decimal(0)
    lines = priced(document_of(row), down_bps)
    return sum((EXACT.divide(Decimal(one["gross"]), Decimal(12 if one["period"] == "year" else 1)) for one in lines if one["type"] == "recurring"), Decimal(0))


def charges(prices: tuple[str, Lines], days: int, active_days: int) -> list[Charge]:
    """The monthly charge of some lines, one for each tax; of a yearly price a twelfth."""
    currency, lines = prices
    sums: dict[tuple[str, str], Decimal] = {}
    for one in lines:
        amount = Decimal(one["amount"])
        if one["period"] == "year":
            amount = EXACT.divide(amount, Decimal(12))
        key = str(one["tax"]), str(one["tax_rate"])
        sums[key] = EXACT.add(sums.get(key, Decimal(0)), amount)
    return [Charge(amount, days, active_days, currency, tax, Decimal(rate)) for (tax, rate), amount in sorted(sums.items()) if amount > 0]


def _by_catalogue(desk: Desk, service: Service) -> tuple[str, Lines] | None:
    row = desk.session.get(Offering, (service.offering, service.offering_version))
    if row is None:
        return None
    document = document_of(row)
    contract = desk.session.get(Agreement, service.agreement_id) if service.agreement_id else None
    own = agreed(contract.terms if contract is not None else None, service.offering)
    lines = [{"amount": str(EXACT.multiply(own.get(one.key, one.amount), Decimal(service.down_bps) / MBPS if one.unit == "Mbps" else Decimal(1))),
              "period": one.period, "tax": one.tax, "tax_rate": str(one.tax_rate)} for one in document.prices if one.type == "recurring"]
    return (document.prices[0].currency, lines) if lines else None
