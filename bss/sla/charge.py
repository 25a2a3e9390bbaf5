"""What a service costs a month: the recurring prices that were frozen when it was ordered, or what catalogue and contract say where it was never ordered here.
By tax, for a credit takes the tax of the line that it credits."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import or_, select

from bss.catalogue.document import MBPS
from bss.catalogue.pricing import agreed
from bss.catalogue.publishing import document_of
from bss.charges.money import EXACT
from bss.database import lots
from bss.desk import Desk
from bss.sla.credits import Charge
from bss.tables import Agreement, Offering, OrderItem, ProductOrder, Service

Lines = Sequence[Mapping[str, Any]]


def monthly(desk: Desk, services: Sequence[Service], until: datetime) -> dict[str, list[tuple[str, Lines]]]:
    """The recurring price lines of services, by the orders that were completed before a time, the newest first; each with its currency."""
    found: dict[str, list[tuple[str, Lines]]] = {one.id: [] for one in services}
    for lot in lots(list(found)):
        query = select(OrderItem.service_id, OrderItem.price).join(ProductOrder, ProductOrder.id == OrderItem.order_id).where(
            OrderItem.service_id.in_(lot), OrderItem.state == "completed", OrderItem.action.in_(("add", "modify")), OrderItem.removed.is_(None),
            or_(ProductOrder.completed.is_(None), ProductOrder.completed < until))
        for service, price in desk.session.execute(query.order_by(ProductOrder.completed.desc(), OrderItem.id.desc())):
            lines = [one for one in price.get("lines", ()) if one["type"] == "recurring"]
            if lines:
                found[service].append((str(price.get("currency") or "CNY"), lines))
    for one in services:
        if not found[one.id] and (told := _by_catalogue(desk, one)):
            found[one.id].append(told)
    return found


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
