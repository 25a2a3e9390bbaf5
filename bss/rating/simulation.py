"""What a customer would have paid on another plan: what was measured of a month is rated by it with the functions that rate, and nothing is written."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import select

from bss.catalogue.document import Offering as Document
from bss.catalogue.pricing import cents, priced, rates_of, split
from bss.catalogue.publishing import document_of, holding, newest
from bss.charges.allowance import draw
from bss.charges.price import text
from bss.desk import Desk
from bss.rating import asking, buckets, burst, month, rate, usage
from bss.rating.lines import Kept
from bss.rating.plan import Catalogue, Grant, Plan, Spell, plans
from bss.rating.rate import Tools
from bss.refusal import Refusal
from bss.tables import Agreement, Customer


class Line(NamedTuple):
    """kind: recurring, usage or percentile; amount: with tax, as it would stand on a bill."""
    kind: str
    service_id: str
    price_key: str
    name: Mapping[str, str]
    quantity: str
    unit: str
    amount: Decimal


class Simulation(NamedTuple):
    """now, then: of a whole month. hold: why a figure of them is not to be relied on. left: bucket -> bytes, on the other plan."""
    period: str
    offering: str
    version: int
    services: list[str]
    now: list[Line]
    then: list[Line]
    left: dict[str, int]
    hold: list[str]

    @property
    def before(self) -> Decimal:
        """What the month costs as it is."""
        return sum((one.amount for one in self.now), Decimal(0))

    @property
    def after(self) -> Decimal:
        """What it would cost."""
        return sum((one.amount for one in self.then), Decimal(0))

    @property
    def saving(self) -> Decimal:
        """What he would pay less, negative where it is more."""
        return self.before - self.after


def simulate(desk: Desk, customer_id: str, period: str, offering: str, service_ids: Sequence[str] = ()) -> Simulation:
    """Rate a month of a customer on an offering that is sold now. service_ids: which services change to it, by default all of its access. Refusal: none of them
    can, or the store is asked and does not answer."""
    desk.demand("rating.write")
    customer = desk.find(Customer, customer_id)
    begin, end = month.span(month.read(period), desk.office.settings.zone)
    if begin > desk.now:
        raise Refusal("invalid", f"{period} has not begun", "period", "name a month that was measured")
    tools, other = Tools(desk), holding(desk, offering, desk.now)
    document = document_of(other)
    known = plans(desk, [customer.id]).get(customer.id)
    plan = _present(known, end) if known is not None else Plan(customer.id, {}, [], {})
    chosen = _chosen(desk, plan, document, service_ids)
    changed = _changed(desk, plan, other.code, other.version, document, chosen, begin, tools.catalogue)
    kept = usage.of_period(desk, list(plan.spells), period)
    kept |= _measured(desk, tools, plan, changed, chosen, kept, period)
    now, _, held = _cost(desk, plan, period, kept, tools, chosen)
    then, left, too = _cost(desk, changed, period, kept, tools, chosen)
    desk.record("usage.simulate", customer, after={"period": period, "offering": other.code, "version": other.version})
    return Simulation(period, other.code, other.version, chosen, now, then, left, sorted({*held, *too}))


def _present(plan: Plan, end: datetime) -> Plan:
    """The plan as it is at the end of a month, as if it had been so from the beginning on."""
    spells = {service: [told[-1]._replace(until=None)] for service, some in plan.spells.items()
              if (told := [one for one in some if one.since < end]) and (told[-1].until is None or told[-1].until >= end)}
    return Plan(plan.customer, spells, [one for one in plan.grants if one.since < end and (one.until is None or one.until >= end)], plan.active)


def _chosen(desk: Desk, plan: Plan, document: Document, wanted: Sequence[str]) -> list[str]:
    kinds = {document.kind} if document.kind != "bundle" else {holding(desk, one.code, desk.now).kind for one in document.bundled}
    fitting = sorted(service for service, spells in plan.spells.items() if spells[0].access in kinds)
    for one in wanted:
        if one not in fitting:
            raise Refusal("invalid", f"service {one} can't have {document.code}", "service", f"it is for {' and '.join(sorted(kinds))}")
    if not fitting:
        raise Refusal("conflict", f"the customer has no service in use that could have {document.code}", "offering", "choose another one")
    return sorted(set(wanted)) or fitting


def _changed(desk: Desk, plan: Plan, code: str, version: int, document: Document, chosen: Sequence[str], begin: datetime, catalogue: Catalogue) -> Plan:
    """The plan with these services on the other offering: a bundle takes its parts with it."""
    spells, grants = dict(plan.spells), list(plan.grants)
    owner = f"simulated/{code}" if document.kind == "bundle" else ""
    parts = {}
    for one in document.bundled:
        row = holding(desk, one.code, desk.now)
        parts[row.kind] = (row.code, row.version)
        if row.kind == "value_added":
            grants.append(Grant(owner, row.kind, row.code, row.version, begin, None, one.count))
    for service in chosen:
        old = spells[service][0]
        named, number = parts.get(old.access, (code, version)) if owner else (code, version)
        own = catalogue.of(desk, named, number)
        down = rates_of(own)[0] if own.rates is not None and not own.rates.down_mbps * 10 ** 6 <= old.bps <= max(
            own.rates.most_mbps, own.rates.down_mbps) * 10 ** 6 else old.bps
        spells[service] = [Spell(service, old.access, named, number, old.since, None, owner, old.agreement, {}, down)]
    if owner:
        grants.append(Grant(owner, "bundle", code, version, begin, None))
    held = {one.bundle for some in spells.values() for one in some}
    return Plan(plan.customer, spells, [one for one in grants if not one.owner or one.owner in held], plan.active)


def _measured(desk: Desk, tools: Tools, plan: Plan, changed: Plan, chosen: Sequence[str], kept: Mapping[str, list[Kept]], period: str) -> dict[str, list[Kept]]:
    """Of services whose usage is not kept, for nobody pays by it, what the store has."""
    missing = [one for one in chosen if one not in kept and tools.catalogue.paid(desk, changed, one) and not tools.catalogue.paid(desk, plan, one)]
    if not missing:
        return {}
    first, last = month.seconds(period, desk.office.settings.zone)
    told = asking.usage(desk.office.evidence, first, min(last, month.second(desk.now)), missing)
    tools.names.pretend({name for hours in told.values() for lines in hours.values() for name, _, _ in lines})
    return {service: [Kept(at, tools.names.numbers[name], up, down) for at, lines in sorted(hours.items()) for name, up, down in lines]
            for service, hours in told.items()}


def _cost(desk: Desk, plan: Plan, period: str, kept: Mapping[str, list[Kept]], tools: Tools, chosen: Sequence[str]
          ) -> tuple[list[Line], dict[str, int], list[str]]:
    """What a month of a plan costs, whole: recurring prices, usage beyond what is included, 95th percentiles of the services that change (of others they are
    the same on both sides, and left out)."""
    found: list[Line] = []
    terms = {one.id: one.terms for one in desk.session.execute(select(Agreement).where(Agreement.customer_id == plan.customer)).scalars()}
    for service, spells in sorted(plan.spells.items()):
        spell = spells[0]
        found += _recurring(service, priced(tools.catalogue.of(desk, spell.offering, spell.version), spell.bps, 1, terms.get(spell.agreement), spell.bundle),
                            spell.offering)
    for grant in plan.grants:
        if grant.kind == "bundle" or not grant.owner:
            found += _recurring("", priced(tools.catalogue.of(desk, grant.offering, grant.version), 0, grant.many), grant.offering)
    begin = month.span(period, desk.office.settings.zone)[0]
    whole = plan._replace(spells={service: [spells[0]._replace(since=begin)] for service, spells in plan.spells.items()},
                          grants=[one._replace(since=begin) for one in plan.grants])
    pures = [buckets.pure(one, period, one.quantity, f"{period}/{one.key}/{one.owner}", desk)
             for one in buckets.given(desk, whole, tools.catalogue, period)]
    lines, tariffs = rate.lines(desk, whole, {service: kept[service] for service in whole.spells if service in kept}, tools)
    drawn = draw(pures, lines, tools.calendar.clock)
    for total in rate.totals(drawn.overage, tariffs):
        price = total.tariff.price
        found.append(_line("usage", total.service, total.tariff.key, price.name.model_dump(), text(total.quantity), price.unit, total.charged.amount, price.tax,
                           price.tax_rate))
    hold = []
    for line in burst.lines(desk, plan, tools.catalogue, period):
        if not set(line.spans) & set(chosen):
            continue
        made = burst.figure(desk, line, burst.measured(desk.office.evidence, line), period, tools.calendar)
        found.append(_line("percentile", line.service, line.key, line.price.name.model_dump(), text(made.over), "Mbps", made.amount, line.price.tax,
                           line.price.tax_rate))
        if why := made.evidence.get("hold"):
            hold.append(f"{line.service}: {why}")
    return found, drawn.left, hold


def _recurring(service: str, told: Sequence[Mapping[str, Any]], offering: str) -> list[Line]:
    return [Line("recurring", service, f"{offering}/{one['key']}", one["name"], one["quantity"], one["unit"],
                 Decimal(one["gross"]) if one["period"] == "month" else cents(Decimal(one["gross"]) / 12)) for one in told if one["type"] == "recurring"]


def _line(kind: str, service: str, key: str, name: Mapping[str, str], quantity: str, unit: str, amount: Decimal, tax: str, rate_: Decimal) -> Line:
    net, added = split(amount, tax, rate_)
    return Line(kind, service, key, name, quantity, unit, net + added)


def offered(desk: Desk) -> list[str]:
    """Offerings that are sold now and may be tried: those with an access and a price, and bundles."""
    return [row.code for row in desk.session.execute(newest(at=desk.now)).scalars() if row.kind != "value_added" and document_of(row).prices]
