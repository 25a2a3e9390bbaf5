"""Lines that are paid by the 95th percentile: their slots of 5 minutes are read from the closed minutes of the store, and looked at once the month is over."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import chain, count
from typing import Any, NamedTuple

from bss import identifier
from bss.catalogue.document import MBPS, Price
from bss.charges import percentile
from bss.charges.percentile import SLOT, Slot, Terms
from bss.charges.price import text
from bss.desk import Desk
from bss.evidence import Evidence, Minute
from bss.moment import iso
from bss.rating import month
from bss.rating.month import Calendar
from bss.rating.plan import Catalogue, Plan, Spell
from bss.tables import RatedCharge

MINUTES = SLOT // 60


class Line(NamedTuple):
    """Services that are measured together in a period. since, until: of each, within it; followed: another plan or rate takes over when it ends."""
    key: str
    price: Price
    amount: Decimal
    cir_bps: int
    spans: dict[str, tuple[datetime, datetime]]
    followed: bool = False

    @property
    def service(self) -> str:
        """By which it stands on a bill."""
        return min(self.spans)


class Figure(NamedTuple):
    """What a line comes to. evidence: of the charge."""
    line: Line
    amount: Decimal
    over: Decimal
    evidence: dict[str, Any]


def lines(desk: Desk, plan: Plan, catalogue: Catalogue, period: str) -> list[Line]:
    """The lines of a customer that had such a price in a period. Where a line's ordered rate changed, and it is what it is committed to, each rate is a line of
    its own days."""
    begin, end = month.span(period, desk.office.settings.zone)
    found: dict[tuple[str, str], Line] = {}
    for service, spells in sorted(plan.spells.items()):
        for place, spell in enumerate(spells):
            price = catalogue.percentile(desk, spell)
            since, until = max(begin, spell.since), min(end, spell.until or end)
            if price is None or price.percentile is None or since >= until:
                continue
            key = f"{spell.offering}/{spell.version}/{price.key}"
            pooled, cir = price.percentile.pooled and bool(spell.agreement), _committed(price, spell)
            owner = spell.agreement if pooled else service
            if not pooled:
                key = _own(found, service, key, cir, since)
            line = found.setdefault((owner, key), Line(key, price, spell.rates.get(price.key, price.amount), cir, {}))
            before = line.spans.get(service)
            line.spans[service] = (since, until) if before is None else (min(before[0], since), max(before[1], until))
            found[owner, key] = line._replace(followed=any(other.since == until for other in spells[place + 1:]))
    return [found[key] for key in sorted(found)]


def _own(found: Mapping[tuple[str, str], Line], service: str, key: str, cir: int, since: datetime) -> str:
    """The key of a service's line of one rate. A spell goes on with the line that ends where it begins; where there was another rate or offering between, it is
    a line of its own, or it would be charged for the days between as well. The key is told by the spells alone: a month that is rated again has the same."""
    rate = f"{key}@{cir // MBPS}"
    for name in chain((key, rate), (f"{rate}/{n}" for n in count(2))):
        line = found.get((service, name))
        if line is None or (line.cir_bps == cir and line.spans[service][1] == since):
            return name
    raise AssertionError


def _committed(price: Price, spell: Spell) -> int:
    assert price.percentile is not None
    return price.percentile.cir_mbps * MBPS or spell.bps


def measured(evidence: Evidence, line: Line) -> dict[str, list[Slot]]:
    """The slots of each service of a line, from the store. Refusal `away`."""
    return {service: slots(evidence.minutes(service, since, until)) for service, (since, until) in sorted(line.spans.items())}


def slots(minutes: Sequence[Minute]) -> list[Slot]:
    """Whole slots of 5 minutes. One is known where each of its minutes is."""
    by_slot: dict[int, list[Minute]] = defaultdict(list)
    for one in minutes:
        at = month.second(one.begin)
        by_slot[at - at % SLOT].append(one)
    return [Slot(at, sum(one.down_bytes for one in some), sum(one.up_bytes for one in some), all(one.covered for one in some))
            for at, some in sorted(by_slot.items()) if len(some) == MINUTES]


def figure(desk: Desk, line: Line, told: dict[str, list[Slot]], period: str, calendar: Calendar) -> Figure:
    """What a line is charged: base and what is above its committed rate, for its valid days."""
    how = line.price.percentile
    assert how is not None
    terms = Terms(how.base, Decimal(line.cir_bps) / MBPS, line.amount, how.direction, how.whole)
    together = percentile.together([told[one] for one in sorted(told)])
    found = percentile.measure(together, terms)
    since, until = min(one for one, _ in line.spans.values()), max(one for _, one in line.spans.values())
    full = month.days(period)
    days = month.within(period, since, until, desk.office.settings.zone)
    zone = desk.office.settings.zone
    if not line.followed and until < month.span(period, zone)[1] and until.astimezone(zone).time().isoformat() != "00:00:00":
        days = min(full, days + 1)          # the day on which it ended was one of the contract
    if how.days == "traffic":
        days = len({calendar.day(one.at) for one in together if one.down or one.up})
    evidence: dict[str, Any] = {"owner": line.service, "table": "usage_1m", "algorithm": percentile.KIND, "days": days, "of": full,
                                "services": {service: {"from": iso(begin), "to": iso(end)} for service, (begin, end) in sorted(line.spans.items())}}
    if found.billed is None:
        return Figure(line, Decimal(0), Decimal(0), {**evidence, "computed": percentile.told(found, terms), "hold": found.hold})
    made = percentile.charge(found, terms, days, full)
    if found.hold:
        evidence["hold"] = found.hold
    slot = datetime.fromtimestamp(found.billed.slot, since.tzinfo)
    evidence["slot"] = {"from": iso(slot), "to": iso(slot + timedelta(seconds=SLOT))}
    return Figure(line, made.amount, Decimal(str(made.detail["over_mbps"])), {**evidence, "computed": dict(made.detail)})


def charge(desk: Desk, customer: str, period: str, original: str, made: Figure, revision: int, state: str) -> RatedCharge:
    """A row of it."""
    price = made.line.price
    return RatedCharge(id=identifier.fresh(RatedCharge.LETTER), customer_id=customer, service_id=made.line.service, period=period, original_period=original,
                       price_key=made.line.key, revision=revision, name=price.name.model_dump(), unit=price.unit, bytes=0, quantity=made.over,
                       amount=made.amount, currency=price.currency, tax=price.tax, tax_rate=price.tax_rate,
                       evidence={**made.evidence, "quantity": text(made.over)}, state=state, bill_id=None, made=desk.now)
