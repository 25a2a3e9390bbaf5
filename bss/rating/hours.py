"""As hours close: what the store closed and nobody rated yet (or as something else) is rated. Done in lots of customers, each in an act of its own: killed
anywhere, the next run finds what is kept to be what it would keep, and goes on."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import select

from bss.catalogue.document import Offering as Document
from bss.catalogue.publishing import document_of
from bss.charges.quantity import BYTES
from bss.database import lots
from bss.desk import Desk
from bss.office import Office
from bss.people.scope import SYSTEM, Actor
from bss.rating import asking, month, rate, threshold, usage
from bss.rating.asking import Closed, Told
from bss.rating.lines import Name
from bss.rating.plan import metered, plans
from bss.rating.rate import Tools
from bss.tables import Offering, OrderItem, ProductOrder, RatedUsage, Service, UsageHour

BACK = 13               # months that are looked at for what changed
LOT = 200               # customers of an act


class Run(NamedTuple):
    """What a run did. lines: (service, hour, category) that were looked at; changed: customers whose usage is another one than was rated; recycled: bytes."""
    hours: int = 0
    lines: int = 0
    changed: int = 0
    recycled: int = 0
    told: int = 0


def hourly(office: Office, argument: Mapping[str, Any], actor: Actor = SYSTEM) -> Run:
    """Duty: rate what has closed. Refusal `away`: the store does not answer, and nothing is rated."""
    from bss.rating import closing

    if office.settings.store == "none":
        return Run()
    with office.reading(actor) as desk:
        desk.demand("system.run")
        first, done = _since(desk), usage.closed(desk)
        held = {(month.second(one.hour), one.probe, one.capture): one.digest for one in desk.session.execute(
            select(UsageHour).where(UsageHour.hour >= datetime.fromtimestamp(first, UTC))).scalars()}
    last = month.second(office.clock()) // month.HOUR * month.HOUR
    if first >= last:
        return Run()
    due, again = asking.due(held, asking.hours(office.evidence, first, last))
    by_hour: dict[int, list[Closed]] = {}
    for one in due:
        by_hour.setdefault(one.at, []).append(one)
    if not by_hour:
        return Run(told=office.act(actor, threshold.tell))
    with office.reading(actor) as desk:
        tools, mine, words = Tools(desk), services(desk), applications(desk)
    found = Run(len(by_hour))
    for hours in asking.batches(list(by_hour), len(mine)):
        told = asking.usage(office.evidence, hours[0], hours[-1] + month.HOUR, list(mine), words) if mine else {}
        changed = again & set(hours)
        found = _added(found, rated(office, actor, mine, told, hours, changed, tools))
        for period in sorted({month.of(datetime.fromtimestamp(at, UTC), office.settings.zone) for at in changed} & done):
            closing.measure_again(office, actor, period, tools)
        office.act(actor, lambda desk, hours=hours: _mark(desk, [one for at in hours for one in by_hour[at]]))       # type: ignore[misc]
    return found._replace(told=office.act(actor, threshold.tell))


def rated(office: Office, actor: Actor, mine: Mapping[str, str], told: Told, hours: Sequence[int], again: set[int], tools: Tools) -> Run:
    """Rate what was told of some hours. mine: whose each service is."""
    names: set[Name] = {name for lines in told.values() for some in lines.values() for name, _, _ in some}
    tools.names.learn(office, names)
    some = set(told)
    if again:
        with office.reading(actor) as desk:
            days = {tools.calendar.day(at) for at in again}
            some |= set(desk.session.execute(select(RatedUsage.service_id).where(RatedUsage.day.in_(days)).distinct()).scalars())
    customers = sorted({mine[one] for one in some if one in mine})
    found = Run(lines=sum(len(lines) for hours_told in told.values() for lines in hours_told.values()))
    for lot in lots(customers, LOT):
        found = _added(found, office.act(actor, lambda desk, lot=lot: _lot(desk, lot, told, hours, again, tools)))      # type: ignore[misc]
    return found


def _lot(desk: Desk, customers: Sequence[str], told: Told, hours: Sequence[int], again: set[int], tools: Tools) -> Run:
    from bss.rating import closing

    hold(desk, customers)
    known = plans(desk, customers)
    taken = usage.take(desk, known, told, hours, again, tools)
    done = usage.closed(desk)
    for period, fresh in sorted(taken.fresh.items()):
        some = {customer: plan for customer, plan in known.items() if (period, customer) not in taken.changed and any(one in fresh for one in plan.spells)}
        rate.advance(desk, some, period, fresh, tools)
    for period in sorted({period for period, _ in taken.changed}):
        other = {customer: known[customer] for named, customer in taken.changed if named == period}
        if period in done:
            closing.settle(desk, list(other.values()), period, tools, {})
            continue
        rate.advance(desk, other, period, usage.of_period(desk, [one for plan in other.values() for one in plan.spells], period), tools, anew=True)
    for period, customer in sorted(taken.changed):
        desk.record("usage.rerate", ("customer", customer), after={"period": period, "closed": period in done})
        desk.emit("usage.rerate", customer, {"customer": customer, "period": period, "closed": period in done})
    return Run(changed=len(taken.changed), recycled=taken.recycled)


def hold(desk: Desk, customers: Sequence[str]) -> None:
    """From here to the end of the act nobody else rates these customers."""
    from bss.tables import Customer

    desk.session.execute(select(Customer.id).where(Customer.id.in_(customers)).order_by(Customer.id).with_for_update(key_share=True))


def services(desk: Desk) -> dict[str, str]:
    """Services that are paid by what they use, or were, and whose each is: what others use is never asked for."""
    paid = {(row.code, row.version) for row in desk.session.execute(select(Offering)).scalars() if _paid(document_of(row))}
    bundled = set(desk.session.execute(select(OrderItem.service_id).where(OrderItem.wanted["bundle"].as_string() != "",
                                                                          OrderItem.service_id.is_not(None))).scalars())
    changed = set(desk.session.execute(select(OrderItem.service_id).join(ProductOrder, OrderItem.order_id == ProductOrder.id).where(
        OrderItem.action == "modify", OrderItem.state == "completed")).scalars())
    query = select(Service.id, Service.customer_id, Service.offering, Service.offering_version).where(Service.activated.is_not(None))
    return {key: customer for key, customer, code, version in desk.session.execute(query)
            if (code, version) in paid or key in bundled or key in changed}


def _paid(document: Document) -> bool:
    return any(metered(document, access) is not None for access in ("leased_line", "broadband", "wlan", "mobile"))


def applications(desk: Desk) -> list[str]:
    """Applications that an allowance means: only these are told apart."""
    found = {one.application for row in desk.session.execute(select(Offering)).scalars() for one in document_of(row).allowances
             if one.application and one.unit in BYTES}
    return sorted(found)


def _since(desk: Desk) -> int:
    """The hour from which on anything may be rated: the first service was in use, but not more than BACK months ago."""
    first = desk.session.execute(select(Service.activated).where(Service.activated.is_not(None)).order_by(Service.activated).limit(1)).scalar_one_or_none()
    zone = desk.office.settings.zone
    oldest = month.span(month.after(month.of(desk.now, zone), -BACK), zone)[0]
    return month.second(max(oldest, first or desk.now)) // month.HOUR * month.HOUR


def _mark(desk: Desk, hours: Sequence[Closed]) -> None:
    for one in hours:
        hour = datetime.fromtimestamp(one.at, UTC)
        row = desk.session.get(UsageHour, (hour, one.probe, one.capture))
        if row is None:
            row = UsageHour(hour=hour, probe=one.probe, capture=one.capture)
            desk.session.add(row)
        row.revision, row.digest, row.rows, row.bytes, row.rated = one.revision, one.digest, one.rows, one.bytes, desk.now


def _added(one: Run, other: Run) -> Run:
    return Run(*(left + right for left, right in zip(one, other, strict=True)))
