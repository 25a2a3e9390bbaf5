"""Closing a month: 48 hours after its end all of it is rated once more, in order, and what that comes to is final. What is known later makes another charge, of
the difference, on the next bill; nothing that was closed changes.

A customer is settled in one act, and settled again it comes to the same: a run that was killed is run again.
"""
from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import delete, func, insert, select, tuple_, update

from bss.catalogue.publishing import document_of
from bss.charges.allowance import Drawn
from bss.charges.percentile import Slot
from bss.charges.quantity import BYTES
from bss.database import lots
from bss.desk import Desk
from bss.office import Office
from bss.people.scope import SYSTEM, Actor
from bss.rating import buckets, burst, month, rate, usage
from bss.rating.lines import Kept, digest, unpack
from bss.rating.plan import Plan, plans
from bss.rating.rate import Tools, Total
from bss.refusal import Refusal
from bss.tables import Bucket, Draw, Offering, RatedCharge, RatedPeriod, RatedUsage, Service, UsageHour

COLLECTION = timedelta(hours=48)        # after a month's end in which late usage is still of it
LOT = 100
Slots = Mapping[str, dict[str, list[Slot]]]         # key and first service of a line -> service -> slots


def closed(desk: Desk, period: str) -> bool:
    """Whether a month is closed, so that it may be billed."""
    return desk.session.get(RatedPeriod, period) is not None


def due(desk: Desk, period: str, customers: Sequence[str] = ()) -> bool:
    """Whether a month has usage to be closed: hours of a store were rated before its end, and services that were in use then are paid by what they use. What
    was before the first hour nobody has measured, and nobody closes (`monthly`). customers: of these alone."""
    first = desk.session.execute(select(func.min(UsageHour.hour))).scalar_one_or_none()
    if desk.office.settings.store == "none" or first is None or first >= month.span(period, desk.office.settings.zone)[1]:
        return False
    codes = [(row.code, row.version) for row in desk.session.execute(select(Offering)).scalars()
             if any(one.type == "usage" and (one.algorithm == "percentile" or one.unit in BYTES) for one in document_of(row).prices)]
    query = select(Service.id).where(tuple_(Service.offering, Service.offering_version).in_(codes), Service.activated.is_not(None),
                                     Service.activated < month.span(period, desk.office.settings.zone)[1],
                                     Service.terminated.is_(None) | (Service.terminated >= month.span(period, desk.office.settings.zone)[0]))
    return any(desk.session.execute((query.where(Service.customer_id.in_(lot)) if lot else query).limit(1)).first() for lot in [*lots(customers)] or [[]])


def charges(desk: Desk, customer_ids: Sequence[str], period: str) -> dict[str, list[RatedCharge]]:
    """What is closed and on no bill, up to that period, by customer: what an earlier bill left out is not forgotten."""
    return {customer: [row for row, _ in rows] for customer, rows in waiting(desk, customer_ids, period).items()}


def waiting(desk: Desk, customer_ids: Sequence[str], period: str) -> dict[str, list[tuple[RatedCharge, str]]]:
    """The same, each with why it keeps its bill on hold, '' where it does not: of what was computed several times what was said last counts."""
    desk.demand("usage.read")
    found: dict[str, list[tuple[RatedCharge, str]]] = {one: [] for one in customer_ids}
    for lot in lots(customer_ids):
        query: Any = desk.select(RatedCharge).where(RatedCharge.customer_id.in_(lot), RatedCharge.period <= period, RatedCharge.state == "closed",
                                                    RatedCharge.bill_id.is_(None))
        query = query.order_by(RatedCharge.service_id, RatedCharge.price_key, RatedCharge.original_period, RatedCharge.revision)
        rows = list(desk.session.execute(query).scalars())
        last = {(row.service_id, row.price_key, row.original_period): row.id for row in rows}
        for row in rows:
            why = str(row.evidence.get("hold") or "") if last[row.service_id, row.price_key, row.original_period] == row.id else ""
            if row.amount != 0 or why:
                found[row.customer_id].append((row, why))
    return found


def billed(desk: Desk, ids: Sequence[str], bill_id: str) -> None:
    """They are on that bill. Refusal `conflict`: one of them is on another one, or is not closed."""
    billed_of(desk, dict.fromkeys(ids, bill_id))


def billed_of(desk: Desk, bills: Mapping[str, str]) -> None:
    """The same of charges of many bills at once: charge -> bill."""
    for lot in lots(sorted(bills)):
        rows = list(desk.session.execute(select(RatedCharge).where(RatedCharge.id.in_(lot)).order_by(RatedCharge.id).with_for_update()).scalars())
        if len(rows) != len(lot):
            raise Refusal("missing", "a charge that is to be billed is not there", "ratedCharge")
        for row in rows:
            if row.bill_id == bills[row.id]:
                continue
            if row.state != "closed" or row.bill_id is not None:
                raise Refusal("conflict", f"charge {row.id} is {row.state}" + (f" on bill {row.bill_id}" if row.bill_id else ""), "ratedCharge")
            row.bill_id, row.state = bills[row.id], "billed"
        desk.session.flush()
        pairs: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            pairs[row.original_period] |= set(row.evidence["services"])
        for period, services in pairs.items():
            desk.session.execute(update(RatedUsage).where(RatedUsage.service_id.in_(services), RatedUsage.period == period,
                                                          RatedUsage.state.in_(("rated", "rerated"))).values(state="billed"))


def monthly(office: Office, argument: Mapping[str, Any], actor: Actor = SYSTEM) -> int:
    """Duty: close the months that are over and collected, from the first one in which hours were rated on; how many charges they have. Again where they were
    closed it does nothing. period: that one alone."""
    if office.settings.store == "none":
        return 0
    zone = office.settings.zone
    with office.reading(actor) as desk:
        first = desk.session.execute(select(func.min(UsageHour.hour))).scalar_one_or_none()
        done = usage.closed(desk)
    now = month.of(office.clock(), zone)
    since = now if first is None else max(month.of(first, zone), month.after(now, -usage.LATE - 1))
    wanted = [str(argument["period"])] if "period" in argument else [month.after(since, n) for n in range(month.apart(since, now))]
    return sum(close(office, one, actor) for one in wanted if one not in done and office.clock() >= month.span(month.read(one), zone)[1] + COLLECTION)


def close(office: Office, period: str, actor: Actor = SYSTEM) -> int:
    """Close a month; how many charges. Refusal: it is not over and collected, or the store does not answer."""
    from bss.rating.hours import hourly

    zone = office.settings.zone
    end = month.span(month.read(period), zone)[1]
    if office.clock() < end + COLLECTION:
        raise Refusal("conflict", f"usage of {period} is collected until {(end + COLLECTION).astimezone(zone):%Y-%m-%d %H:%M}", "period", "close it then")
    with office.reading(actor) as desk:
        desk.demand("system.run")
        if closed(desk, period):
            return 0
    hourly(office, {}, actor)
    with office.reading(actor) as desk:
        tools = Tools(desk)
        customers = list(desk.session.execute(select(Service.customer_id).where(Service.activated.is_not(None), Service.activated < end).distinct()
                                              .order_by(Service.customer_id)).scalars())
    count = 0
    for lot in lots(customers, LOT):
        slots = measured(office, actor, lot, period, tools)
        count += office.act(actor, lambda desk, lot=lot, slots=slots: settled(desk, lot, period, tools, slots))        # type: ignore[misc]
    return office.act(actor, lambda desk: _end(desk, period, count, tools))


def measure_again(office: Office, actor: Actor, period: str, tools: Tools) -> None:
    """Minutes of a closed month have changed: what is paid by the 95th percentile is measured anew. Refusal `away`."""
    end = month.span(period, office.settings.zone)[1]
    with office.reading(actor) as desk:
        codes = [row.code for row in desk.session.execute(select(Offering)).scalars()
                 if any(one.algorithm == "percentile" for one in document_of(row).prices)]
        query = select(Service.customer_id).where(Service.offering.in_(codes), Service.activated < end).distinct().order_by(Service.customer_id)
        customers = list(desk.session.execute(query).scalars())
    for lot in lots(customers, LOT):
        slots = measured(office, actor, lot, period, tools)
        office.act(actor, lambda desk, lot=lot, slots=slots: settled(desk, lot, period, tools, slots))        # type: ignore[misc]


def measured(office: Office, actor: Actor, customers: Sequence[str], period: str, tools: Tools) -> Slots:
    """What the store says of the lines of customers that are paid by the 95th percentile. Refusal `away`."""
    with office.reading(actor) as desk:
        found = [line for plan in plans(desk, customers).values() for line in burst.lines(desk, plan, tools.catalogue, period)]
    return {f"{line.key}|{line.service}": burst.measured(office.evidence, line) for line in found}


class Ledger(NamedTuple):
    """What is on record of several customers' period, read at once. rows, following: their buckets of it and of the next month; days: of each service its days
    in order; charges: what was charged of it; closed: months that are; draws: who drew how much, to be written."""
    rows: dict[str, list[Bucket]]
    following: dict[str, list[Bucket]]
    days: dict[str, list[bytes]]
    charges: dict[str, list[RatedCharge]]
    closed: set[str]
    draws: list[dict[str, Any]]


def settled(desk: Desk, customers: Sequence[str], period: str, tools: Tools, slots: Slots) -> int:
    """Settle a period of several customers; how many charges there are of it now."""
    from bss.rating.hours import hold

    hold(desk, customers)
    charged = set(desk.session.execute(select(RatedCharge.customer_id).where(RatedCharge.customer_id.in_(customers),
                                                                             RatedCharge.original_period == period)).scalars())
    paying = [plan for plan in plans(desk, customers).values()
              if plan.customer in charged or any(tools.catalogue.paid(desk, plan, one) for one in plan.spells)
              or burst.lines(desk, plan, tools.catalogue, period)]          # of others, most of them, nothing is paid by what is used
    settle(desk, paying, period, tools, slots)
    return desk.session.execute(select(func.count()).select_from(RatedCharge).where(
        RatedCharge.customer_id.in_(customers), RatedCharge.original_period == period, RatedCharge.revision > 0)).scalar_one()


def settle(desk: Desk, paying: Sequence[Plan], period: str, tools: Tools, slots: Slots) -> None:
    """Rate all of these customers' period in order, and charge what is not charged yet: first all of it, later the difference, on the bill of the next month
    that is open."""
    if not paying:
        return
    ledger = _ledger(desk, paying, period)
    carried = {plan.customer: plan for plan in paying if _settle(desk, plan, period, tools, slots, ledger)}
    desk.session.flush()
    _write(desk, ledger)
    following = month.after(period)
    if carried and following in ledger.closed:          # what was left over was used there already: that month is another one as well
        settle(desk, list(carried.values()), following, tools, {})
    elif carried:
        services = [one for plan in carried.values() for one in plan.spells]
        rate.advance(desk, carried, following, usage.of_period(desk, services, following), tools, anew=True)
        desk.session.flush()


def _ledger(desk: Desk, paying: Sequence[Plan], period: str) -> Ledger:
    customers = [plan.customer for plan in paying]
    days: dict[str, list[bytes]] = defaultdict(list)
    for lot in lots([one for plan in paying for one in plan.spells]):
        for (service, _), (_, lines, _) in sorted(usage.current(desk, lot, f"{period}-01", f"{period}-31").items()):
            days[service].append(lines)
    charges: dict[str, list[RatedCharge]] = defaultdict(list)
    desk.session.execute(delete(RatedCharge).where(RatedCharge.customer_id.in_(customers), RatedCharge.original_period == period, RatedCharge.revision == 0))
    query = select(RatedCharge).where(RatedCharge.customer_id.in_(customers), RatedCharge.original_period == period).order_by(RatedCharge.revision)
    for charge in desk.session.execute(query).scalars():
        charges[charge.customer_id].append(charge)
    return Ledger(buckets.kept(desk, customers, period), buckets.kept(desk, customers, month.after(period)), days, charges, usage.closed(desk), [])


def _write(desk: Desk, ledger: Ledger) -> None:
    """Who drew how much, once a period is closed."""
    for lot in lots(sorted({row.id for rows in ledger.rows.values() for row in rows})):
        desk.session.execute(delete(Draw).where(Draw.bucket_id.in_(lot)))
    if ledger.draws:
        desk.session.execute(insert(Draw), ledger.draws)


def _settle(desk: Desk, plan: Plan, period: str, tools: Tools, slots: Slots, ledger: Ledger) -> bool:
    """Settle one of them; whether what he carries over to the next month changed."""
    rows = ledger.rows[plan.customer]
    told = buckets.given(desk, plan, tools.catalogue, period)
    pairs = list(buckets.ensured(desk, plan, period, told, rows))
    for row, _ in pairs:
        row.used, row.state = 0, "closed"
    lines, proofs = _kept(plan, ledger)
    found, tariffs = rate.drawn(desk, plan, period, lines, tools, pairs)
    ids = {one.id: row.id for row, one in pairs}
    ledger.draws.extend({"bucket_id": ids[key], "service_id": service, "bytes": octets} for (key, service), octets in sorted(found.draws.items()))
    before: dict[str, list[RatedCharge]] = defaultdict(list)
    for charge in ledger.charges.get(plan.customer, ()):
        before[f"{charge.evidence['owner']}|{charge.price_key}"].append(charge)
    target = _target(ledger.closed, period)
    for total in rate.totals(found.overage, tariffs):
        _difference(desk, plan, period, target, total, before.pop(f"{total.tariff.owner}|{total.tariff.key}", []), proofs, found)
    for line in burst.lines(desk, plan, tools.catalogue, period):
        earlier = before.pop(f"{line.service}|{line.key}", [])
        if (measured := slots.get(f"{line.key}|{line.service}")) is not None:
            made = burst.figure(desk, line, measured, period, tools.calendar)
            rest = made.amount - sum((one.amount for one in earlier), Decimal(0))
            if not earlier or rest or (earlier[-1].evidence.get("hold") and not made.evidence.get("hold")):
                more = burst.charge(desk, plan.customer, target, period, made, len(earlier) + 1, "closed")
                more.amount, more.quantity = rest, made.over - sum((one.quantity for one in earlier), Decimal(0))
                desk.session.add(more)
    for earlier in before.values():         # what is no longer to be paid
        if earlier and earlier[0].unit != "Mbps" and (sum(one.amount for one in earlier) or sum(one.bytes for one in earlier)):
            _back(desk, earlier, target)
    return buckets.carry(desk, plan, period, told, rows, ledger.following[plan.customer])


def _target(done: Collection[str], period: str) -> str:
    """The first month from a period on that is not closed: on its bill a difference goes."""
    while period in done:
        period = month.after(period)
    return period


def _difference(desk: Desk, plan: Plan, period: str, target: str, total: Total, earlier: Sequence[RatedCharge], proofs: Mapping[str, str],
                found: Drawn) -> None:
    rest = total.charged.amount - sum((one.amount for one in earlier), Decimal(0))
    octets = total.bytes - sum(one.bytes for one in earlier)
    if earlier and not rest and not octets:         # some bytes that cost nothing are a charge of nothing: what is drawn and over is what was used
        return
    evidence = {"digests": {one: proofs[one] for one in total.services if one in proofs},
                "drawn": sum(part for (_, service), part in found.draws.items() if service in total.services)}
    row = rate.charge(desk, plan.customer, target, period, total, len(earlier) + 1, "closed", evidence)
    if earlier:
        row.service_id = earlier[0].service_id
        row.evidence = {**row.evidence, "before": [one.id for one in earlier]}
    row.amount, row.bytes, row.quantity = rest, octets, total.quantity - sum((one.quantity for one in earlier), Decimal(0))
    desk.session.add(row)


def _back(desk: Desk, earlier: Sequence[RatedCharge], target: str) -> None:
    """Give back what was charged before."""
    from bss import identifier

    one = earlier[-1]
    desk.session.add(RatedCharge(
        id=identifier.fresh(RatedCharge.LETTER), customer_id=one.customer_id, service_id=one.service_id, period=target, original_period=one.original_period,
        price_key=one.price_key, revision=one.revision + 1, name=one.name, unit=one.unit, bytes=-sum(row.bytes for row in earlier),
        quantity=-sum((row.quantity for row in earlier), Decimal(0)), amount=-sum((row.amount for row in earlier), Decimal(0)), currency=one.currency,
        tax=one.tax, tax_rate=one.tax_rate, evidence={**one.evidence, "before": [row.id for row in earlier]}, state="closed", bill_id=None, made=desk.now))


def _kept(plan: Plan, ledger: Ledger) -> tuple[dict[str, list[Kept]], dict[str, str]]:
    """The lines of each service, and the SHA-256 of its days' digests, in order."""
    found = {service: [line for lines in ledger.days[service] for line in unpack(lines)] for service in plan.spells if service in ledger.days}
    proofs = {service: hashlib.sha256(b"".join(digest(lines) for lines in ledger.days[service])).hexdigest() for service in found}
    return found, proofs


def _end(desk: Desk, period: str, count: int, tools: Tools) -> int:
    """The month is closed; what somebody rated of it since its customer was settled is settled with it, or it would be on no bill."""
    late = list(desk.session.execute(select(RatedCharge.customer_id).where(RatedCharge.original_period == period, RatedCharge.revision == 0).distinct()
                                     .order_by(RatedCharge.customer_id)).scalars())
    for lot in lots(late, LOT):
        settled(desk, lot, period, tools, {})
    return _mark(desk, period, count)


def _mark(desk: Desk, period: str, count: int) -> int:
    if closed(desk, period):
        return 0
    query = select(func.count(RatedUsage.service_id.distinct())).where(RatedUsage.day >= f"{period}-01", RatedUsage.day <= f"{period}-31")
    services = desk.session.execute(query).scalar_one()
    desk.session.add(RatedPeriod(period=period, closed=desk.now, charges=count, services=services, detail={}))
    desk.record("usage.close", ("rated_period", period), after={"charges": count, "services": services})
    desk.emit("usage.close", period, {"period": period, "charges": count, "services": services})
    return count


