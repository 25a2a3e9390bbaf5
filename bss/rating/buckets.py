"""What is included in a period: which buckets a customer's plan gives, how large they are, and their rows."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import select

from bss import identifier
from bss.catalogue.document import Allowance
from bss.charges.allowance import Bucket as Pure
from bss.charges.allowance import Window
from bss.charges.quantity import BYTES, bytes_of, share
from bss.desk import Desk
from bss.moment import begin_of
from bss.rating import month
from bss.rating.plan import Catalogue, Plan
from bss.tables import Bucket


class Given(NamedTuple):
    """A bucket as the plan gives it. quantity: bytes; services: whose usage it covers."""
    owner: str
    key: str
    allowance: Allowance
    quantity: int
    services: frozenset[str]


def given(desk: Desk, plan: Plan, catalogue: Catalogue, period: str) -> list[Given]:
    """The buckets of a period: of each the part of its days. Two spells of one service with an allowance of the same key are one bucket, so that what was used
    of the one is used of the other."""
    zone, full = desk.office.settings.zone, month.days(period)
    found: dict[tuple[str, str], Given] = {}

    def add(owner: str, prefix: str, one: Allowance, services: frozenset[str], since: datetime, until: datetime | None, count: int) -> None:
        if one.unit not in BYTES:
            return          # minutes and messages are not what a probe measures
        days = month.within(period, since, until, zone)
        if not days:
            return
        if one.shared == "customer":
            owner, prefix, services = plan.customer, prefix, plan.members("")
        key = owner, f"{prefix}{one.key}"
        before = found.get(key)
        size = share(bytes_of(one.quantity, one.unit), days, full) * count
        found[key] = Given(*key, one, size + (before.quantity if before else 0), services | (before.services if before else frozenset()))

    for spells in plan.spells.values():
        for spell in spells:
            for one in catalogue.of(desk, spell.offering, spell.version).allowances:
                prefix = f"{spell.offering}/" if one.shared else ""
                add(spell.service, prefix, one, frozenset({spell.service}), spell.since, spell.until, 1)
    for grant in plan.grants:
        for one in catalogue.of(desk, grant.offering, grant.version).allowances:
            add(grant.owner or plan.customer, f"{grant.offering}/", one, plan.members(grant.owner), grant.since, grant.until, grant.many)
    return [found[key] for key in sorted(found)]


def pure(one: Given, period: str, left: int, key: str, desk: Desk) -> Pure:
    """As it is drawn from. key: what decides between equals."""
    zone, told = desk.office.settings.zone, one.allowance
    begin, end = month.seconds(period, zone)
    if told.days is not None:
        end = min(end, month.second(begin_of(month.first(period) + timedelta(days=told.days), zone)))
    window = None
    if told.hours is not None:
        window = Window(told.hours.since, told.hours.until, frozenset(day - 1 for day in told.hours.days) or frozenset(range(7)))
    return Pure(key, left, frozenset(told.access), one.services, end, begin, told.category, told.application, told.weight, window)


def kept(desk: Desk, customers: Sequence[str], period: str) -> dict[str, list[Bucket]]:
    """The rows of a period, by customer."""
    found: dict[str, list[Bucket]] = {one: [] for one in customers}
    query: Any = select(Bucket).where(Bucket.customer_id.in_(customers), Bucket.period == period).order_by(Bucket.id)
    for row in desk.session.execute(query).scalars():
        found[row.customer_id].append(row)
    return found


def ensured(desk: Desk, plan: Plan, period: str, told: Sequence[Given], rows: list[Bucket]) -> Iterator[tuple[Bucket, Pure]]:
    """A row of each bucket, made where there is none, as large as the plan says now; with what is carried over from the period before. The second of each is
    what is drawn from, full."""
    have = {(row.owner, row.key, row.origin): row for row in rows}
    for one in told:
        row = have.get((one.owner, one.key, period))
        if row is None:
            row = _row(plan.customer, one, period, period, one.quantity, _expires(desk, one, period))
            desk.session.add(row)
            rows.append(row)
        elif row.quantity != one.quantity or row.detail != _detail(one):
            row.quantity, row.detail = one.quantity, _detail(one)
        yield row, pure(one, period, row.quantity, f"{period}/{one.key}/{one.owner}", desk)
        if one.allowance.rollover and (over := have.get((one.owner, one.key, month.after(period, -1)))) is not None:
            yield over, pure(one, period, over.quantity, f"{over.origin}/{one.key}/{one.owner}", desk)


def carry(desk: Desk, plan: Plan, period: str, told: Sequence[Given], rows: list[Bucket], later: Sequence[Bucket]) -> bool:
    """Give what is left of allowances that are carried over to the next period, once; whether anything there changed. later: the rows of that period."""
    following, changed = month.after(period), False
    left = {(row.owner, row.key): row.quantity - row.used for row in rows if row.origin == period}
    wanted = {(one.owner, one.key): one for one in told if one.allowance.rollover}
    have = {(row.owner, row.key): row for row in later if row.origin == period}
    for key, one in wanted.items():
        row, rest = have.get(key), left.get(key, 0)
        if row is None and rest > 0:
            desk.session.add(_row(plan.customer, one, following, period, rest, month.span(following, desk.office.settings.zone)[1]))
            changed = True
        elif row is not None and row.quantity != rest:
            row.quantity, changed = rest, True
    return changed


def _row(customer: str, one: Given, period: str, origin: str, quantity: int, expires: datetime) -> Bucket:
    return Bucket(id=identifier.fresh(Bucket.LETTER), customer_id=customer, owner=one.owner, period=period, origin=origin, key=one.key,
                  name=one.allowance.name.model_dump(), quantity=quantity, used=0, expires=expires, crossed=0, detail=_detail(one), state="open")


def _expires(desk: Desk, one: Given, period: str) -> datetime:
    end = month.span(period, desk.office.settings.zone)[1]
    if one.allowance.days is None:
        return end
    return min(end, begin_of(month.first(period) + timedelta(days=one.allowance.days), desk.office.settings.zone))


def _detail(one: Given) -> dict[str, Any]:
    told = one.allowance
    return {"unit": told.unit, "access": list(told.access), "category": told.category, "application": told.application, "weight": told.weight,
            "hours": None if told.hours is None else [told.hours.since, told.hours.until, *told.hours.days], "services": sorted(one.services)}
