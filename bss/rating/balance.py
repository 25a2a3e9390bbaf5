"""What a customer may look at: what is included and left, charges so far and final, days of usage."""
from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select

from bss.desk import Desk
from bss.rating import month
from bss.refusal import Refusal
from bss.tables import Bucket, Customer, RatedCharge, RatedUsage, Service, UsageHour
from bss.tables.rating import USAGE_STATES


class Balance(NamedTuple):
    """A bucket. left: bytes; percent: of it that was used, rounded down."""
    bucket: Bucket
    left: int
    percent: int


def period_of(desk: Desk, text: str = "") -> str:
    """A month as somebody asks for it, the one that runs by default. Refusal: it is none."""
    return month.read(text) if text else month.of(desk.now, desk.office.settings.zone)


def balances(desk: Desk, customer_id: str, period: str = "") -> list[Balance]:
    """What is included of a month and what of it was used, as far as hours have closed."""
    desk.demand("usage.read")
    customer = desk.find(Customer, customer_id)
    query: Any = desk.select(Bucket).where(Bucket.customer_id == customer.id, Bucket.period == period_of(desk, period))
    return [balance(one) for one in desk.session.execute(query.order_by(Bucket.owner, Bucket.key, Bucket.origin)).scalars()]


def balance(one: Bucket) -> Balance:
    """Of one bucket."""
    return Balance(one, max(0, one.quantity - one.used), 100 if one.quantity <= 0 else min(100, one.used * 100 // one.quantity))


def charges(desk: Desk, customer_id: str = "", period: str = "", state: str = "") -> Select[tuple[RatedCharge]]:
    """Charges, the newest month first."""
    desk.demand("usage.read")
    query = desk.select(RatedCharge).order_by(RatedCharge.period.desc(), RatedCharge.service_id, RatedCharge.price_key, RatedCharge.revision)
    if customer_id:
        query = query.where(RatedCharge.customer_id == desk.find(Customer, customer_id).id)
    if state:
        query = query.where(RatedCharge.state == state)
    return query.where(RatedCharge.period == month.read(period)) if period else query


def days(desk: Desk, customer_id: str = "", service_id: str = "", period: str = "", state: str = "", every: bool = False) -> Select[tuple[RatedUsage]]:
    """Days of usage, the newest first. every: also revisions that another one has replaced."""
    desk.demand("usage.read")
    if state and state not in USAGE_STATES:
        raise Refusal("invalid", f"{state!r} is no state of usage", "status", f"states are {', '.join(USAGE_STATES)}")
    query = desk.select(RatedUsage).order_by(RatedUsage.day.desc(), RatedUsage.service_id, RatedUsage.revision.desc())
    if service_id:
        query = query.where(RatedUsage.service_id == desk.find(Service, service_id).id)
    if customer_id:
        query = query.where(RatedUsage.service_id.in_(select(Service.id).where(Service.customer_id == desk.find(Customer, customer_id).id)))
    if period:
        query = query.where(RatedUsage.period == month.read(period))
    if state:
        query = query.where(RatedUsage.state == state)
    if not every:
        other = RatedUsage.__table__.alias()
        query = query.where(RatedUsage.revision == select(func.max(other.c.revision)).where(other.c.service_id == RatedUsage.service_id,
                                                                                            other.c.day == RatedUsage.day).scalar_subquery())
    return query


def day(desk: Desk, service_id: str, at: str, revision: int | None = None) -> RatedUsage:
    """One day, of the revision that holds. Refusal `missing`."""
    query = days(desk, service_id=service_id, every=True).where(RatedUsage.day == at)
    if revision is not None:
        query = query.where(RatedUsage.revision == revision)
    found: Any = desk.session.execute(query.limit(1)).scalar_one_or_none()
    if found is None:
        raise Refusal("missing", f"there is no usage of {service_id} on {at}", "usage", "look at the list of those you may see")
    made: RatedUsage = found
    return made


def counted(desk: Desk) -> datetime | None:
    """Up to when hours were rated: the end of the last one; None: none was."""
    last = desk.session.execute(select(func.max(UsageHour.hour))).scalar_one_or_none()
    return None if last is None else last + timedelta(hours=1)
