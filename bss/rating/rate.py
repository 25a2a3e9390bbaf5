"""Rating: usage of customers in a period is drawn from what is included, and what is over is priced. The same function counts as hours close, once more in
order when the month is closed, anew after a correction, and dry on another plan."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import select

from bss import identifier
from bss.charges.allowance import Bucket as Pure
from bss.charges.allowance import Drawn, Line, draw
from bss.charges.price import Charged, Price, Tier
from bss.charges.quantity import of_bytes
from bss.charges.registry import by_quantity
from bss.desk import Desk
from bss.rating import buckets, threshold
from bss.rating.lines import Kept, Names
from bss.rating.month import Calendar
from bss.rating.plan import Catalogue, Plan, Tariff
from bss.tables import Bucket, RatedCharge


class Total(NamedTuple):
    """What one price comes to. service: the first of `services`, by which it stands on a bill; services: bytes of each beyond what is included."""
    tariff: Tariff
    service: str
    services: dict[str, int]
    quantity: Decimal
    charged: Charged

    @property
    def bytes(self) -> int:
        """Of all services."""
        return sum(self.services.values())


class Tools:
    """What rating needs beside the rows: documents, names, the calendar. Kept as long as a run lasts."""

    def __init__(self, desk: Desk) -> None:
        self.catalogue, self.names, self.calendar = Catalogue(), Names().load(desk), Calendar(desk.office.settings.zone)


def lines(desk: Desk, plan: Plan, usage: Mapping[str, Iterable[Kept]], tools: Tools) -> tuple[list[Line], dict[str, Tariff]]:
    """Usage as it is drawn, and the tariffs by their names in it. What is not paid by what is used is left out."""
    found: list[Line] = []
    tariffs: dict[str, Tariff] = {}
    for service, kept in usage.items():
        spells = plan.spells.get(service, [])
        known: dict[int, Tariff | None] = {}
        always = len(spells) == 1 and not spells[0].bundle
        for one in kept:
            at = 0 if always else one.at
            if at not in known:
                known[at] = _tariff(desk, plan, service, one.at, tools) if not always else tools.catalogue.tariff(desk, plan, spells[0], spells[0].since)
            tariff = known[at]
            if tariff is None:
                continue
            name = tools.names.names[one.name]
            price = f"{tariff.owner}|{tariff.key}"
            tariffs[price] = tariff
            found.append(Line(one.at, service, spells[0].access, name.category, name.application, name.rules, one.up + one.down, price))
    return found, tariffs


def _tariff(desk: Desk, plan: Plan, service: str, at: int, tools: Tools) -> Tariff | None:
    moment = datetime.fromtimestamp(at, UTC)
    spell = plan.spell(service, moment) or next(iter(plan.spells.get(service, ())), None)
    return None if spell is None else tools.catalogue.tariff(desk, plan, spell, moment)


def totals(drawn: Mapping[tuple[str, str], int], tariffs: Mapping[str, Tariff]) -> list[Total]:
    """Overage by price, rounded up once and priced."""
    by_price: dict[str, dict[str, int]] = defaultdict(dict)
    for (price, service), octets in drawn.items():
        by_price[price][service] = octets
    return [priced(tariffs[price], dict(sorted(services.items()))) for price, services in sorted(by_price.items())]


def priced(tariff: Tariff, services: dict[str, int]) -> Total:
    """What bytes beyond what is included cost."""
    one = tariff.price
    quantity = of_bytes(sum(services.values()), one.unit, one.step)
    pure = Price(tariff.amount, tuple(Tier(tier.to, tier.amount) for tier in one.tiers), one.size)
    return Total(tariff, min(services), services, quantity, by_quantity(one.algorithm)(pure, quantity))


def drawn(desk: Desk, plan: Plan, period: str, usage: Mapping[str, Iterable[Kept]], tools: Tools, pairs: Sequence[tuple[Bucket, Pure]]
          ) -> tuple[Drawn, dict[str, Tariff]]:
    """Draw from rows of buckets what they have left."""
    taken, tariffs = lines(desk, plan, usage, tools)
    found = draw([one._replace(left=max(0, row.quantity - row.used)) for row, one in pairs], taken, tools.calendar.clock)
    by_key = {one.id: row for row, one in pairs}
    for (key, _), octets in found.draws.items():
        by_key[key].used += octets
    return found, tariffs


def advance(desk: Desk, told: Mapping[str, Plan], period: str, usage: Mapping[str, Iterable[Kept]], tools: Tools, anew: bool = False) -> None:
    """Count usage of a period that is open: balances and charges so far. usage: of services, what is new, or with `anew` all of the period."""
    rows = buckets.kept(desk, list(told), period)
    before: dict[str, list[RatedCharge]] = defaultdict(list)
    for row in desk.session.execute(select(RatedCharge).where(RatedCharge.customer_id.in_(told), RatedCharge.original_period == period,
                                                              RatedCharge.revision == 0)).scalars():
        before[row.customer_id].append(row)
    for customer, plan in told.items():
        mine = {service: usage[service] for service in plan.spells if service in usage}
        if not mine and not anew:
            continue
        pairs = list(buckets.ensured(desk, plan, period, buckets.given(desk, plan, tools.catalogue, period), rows[customer]))
        if anew:
            for bucket, _ in pairs:
                bucket.used = 0
        found, tariffs = drawn(desk, plan, period, mine, tools, pairs)
        _provisional(desk, customer, period, found, tariffs, before[customer], anew)
        for bucket, _ in pairs:
            threshold.look(desk, bucket)


def _provisional(desk: Desk, customer: str, period: str, found: Drawn, tariffs: Mapping[str, Tariff], rows: Sequence[RatedCharge], anew: bool) -> None:
    """Charges so far: bytes are added to, and priced together."""
    known = {f"{row.evidence['owner']}|{row.price_key}": row for row in rows}
    sums: dict[str, dict[str, int]] = defaultdict(dict)
    for (price, service), octets in found.overage.items():
        sums[price][service] = octets
    if anew:
        for price, row in known.items():
            if price not in sums:
                desk.session.delete(row)
    for price, services in sorted(sums.items()):
        old = known.get(price)
        if old is not None and not anew:
            for service, octets in old.evidence["services"].items():
                services[service] = services.get(service, 0) + octets
        made = priced(tariffs[price], dict(sorted(services.items())))
        values = told_of(made)
        if old is None:
            row = charge(desk, customer, period, period, made, 0, "provisional")
            desk.session.add(row)
            continue
        old.service_id, old.bytes, old.quantity, old.amount, old.evidence, old.made = (made.service, made.bytes, made.quantity, made.charged.amount, values,
                                                                                      desk.now)


def charge(desk: Desk, customer: str, period: str, original: str, made: Total, revision: int, state: str, evidence: Mapping[str, Any] | None = None
           ) -> RatedCharge:
    """A row of it."""
    price = made.tariff.price
    return RatedCharge(id=identifier.fresh(RatedCharge.LETTER), customer_id=customer, service_id=made.service, period=period, original_period=original,
                       price_key=made.tariff.key, revision=revision, name=price.name.model_dump(), unit=price.unit, bytes=made.bytes, quantity=made.quantity,
                       amount=made.charged.amount, currency=price.currency, tax=price.tax, tax_rate=price.tax_rate,
                       evidence={**told_of(made), **(evidence or {})}, state=state, bill_id=None, made=desk.now)


def told_of(made: Total) -> dict[str, Any]:
    """What a charge says of itself."""
    return {"owner": made.tariff.owner, "table": "usage_1h", "bytes": made.bytes, "services": made.services, "algorithm": made.tariff.price.algorithm,
            "computed": dict(made.charged.detail), "step": made.tariff.price.step}
