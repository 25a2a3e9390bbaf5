"""Usage as it was rated, what is included and what was drawn of it, charges (TMF635), what waits for a person, thresholds that were crossed.

A row of rated usage is a service's day: 24 bytes an hour and category (rating/lines.py), so that a month of a hundred thousand services stays in a few million
rows. What was replaced by a later revision is kept.
"""
from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, LargeBinary, String
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from bss.database import Table

_Number = BigInteger().with_variant(Integer, "sqlite")
USAGE_STATES = ("received", "rejected", "recycled", "guided", "rated", "rerated", "billed")
CHARGE_STATES = ("provisional", "closed", "billed")
RECYCLED_STATES = ("recycled", "rated", "rejected")


class Precise(TypeDecorator[Decimal]):
    """A decimal number with all of its digits, as text."""
    impl = String(64)
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        return None if value is None else format(value, "f")[:64]

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class UsageHour(Table):
    """A closed hour of a source of `usage_1h` as it was when it was rated: what usage_slots said of it. Another digest later: it is rated again."""
    __tablename__ = "usage_hour"
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    probe: Mapped[str] = mapped_column(String(255), primary_key=True)
    capture: Mapped[str] = mapped_column(String(20), primary_key=True)
    revision: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))
    rows: Mapped[int]
    bytes: Mapped[int]
    rated: Mapped[datetime]


class UsageName(Table):
    """What lines of rated usage are called, by number."""
    __tablename__ = "usage_name"
    __table_args__ = (Index("uq_usage_name_name", "category", "application", "rules_version", unique=True),)
    id: Mapped[int] = mapped_column(_Number, primary_key=True, autoincrement=True)
    category: Mapped[str] = mapped_column(String(64))
    application: Mapped[str] = mapped_column(String(64))
    rules_version: Mapped[str] = mapped_column(String(64))


class RatedUsage(Table):
    """A service's usage of a day of the operator's time. revision: the highest one holds; lines: hours and categories (rating/lines.py), digest: SHA-256 of
    them; state: of USAGE_STATES."""
    __tablename__ = "rated_usage"
    __table_args__ = (Index("ix_rated_usage_day", "day"),)
    service_id: Mapped[str] = mapped_column(ForeignKey("service.id"), primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True)
    period: Mapped[str] = mapped_column(String(7))
    state: Mapped[str] = mapped_column(String(16), default="rated")
    up_bytes: Mapped[int]
    down_bytes: Mapped[int]
    lines: Mapped[bytes] = mapped_column(LargeBinary)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    rated: Mapped[datetime]


class Bucket(Table):
    """What is included for a period, and how much of it was used. owner: a service, a bundle (order/offering) or a customer; origin: the period it was granted
    in, another one where it was carried over; detail: what it covers. state: open, closed."""
    __tablename__ = "bucket"
    __table_args__ = (Index("uq_bucket_place", "owner", "period", "key", "origin", unique=True), Index("ix_bucket_customer_period", "customer_id", "period"))
    LETTER = "Z"
    SCOPE: ClassVar[dict[str, str]] = {"customer": "customer_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"))
    owner: Mapped[str] = mapped_column(String(100))
    period: Mapped[str] = mapped_column(String(7))
    origin: Mapped[str] = mapped_column(String(7))
    key: Mapped[str] = mapped_column(String(140))
    name: Mapped[dict[str, Any]]
    quantity: Mapped[int]
    used: Mapped[int] = mapped_column(default=0)
    expires: Mapped[datetime]
    crossed: Mapped[int] = mapped_column(default=0)             # the highest threshold, percent
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[str] = mapped_column(String(16), default="open")


class Draw(Table):
    """How many bytes of a service were drawn from a bucket."""
    __tablename__ = "draw"
    bucket_id: Mapped[str] = mapped_column(ForeignKey("bucket.id"), primary_key=True)
    service_id: Mapped[str] = mapped_column(ForeignKey("service.id"), primary_key=True, index=True)
    bytes: Mapped[int]


class RatedCharge(Table):
    """What one price comes to for a service and period. period: on whose bill it goes; original_period: of the usage; amount: exact; revision 0: so far, from 1
    on each is what its time added to those before. state: provisional, closed, billed."""
    __tablename__ = "rated_charge"
    __table_args__ = (Index("uq_rated_charge_place", "service_id", "price_key", "original_period", "revision", unique=True),
                      Index("ix_rated_charge_customer_period", "customer_id", "period"))
    LETTER = "Z"
    SCOPE: ClassVar[dict[str, str]] = {"customer": "customer_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"))
    service_id: Mapped[str] = mapped_column(ForeignKey("service.id"))
    period: Mapped[str] = mapped_column(String(7))
    original_period: Mapped[str] = mapped_column(String(7))
    price_key: Mapped[str] = mapped_column(String(160))
    revision: Mapped[int] = mapped_column(default=0)
    name: Mapped[dict[str, Any]]
    unit: Mapped[str] = mapped_column(String(16))
    bytes: Mapped[int] = mapped_column(default=0)
    quantity: Mapped[Decimal] = mapped_column(Precise)
    amount: Mapped[Decimal] = mapped_column(Precise)
    currency: Mapped[str] = mapped_column(String(3))
    tax: Mapped[str] = mapped_column(String(16))
    tax_rate: Mapped[Decimal] = mapped_column(Precise)
    evidence: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[str] = mapped_column(String(16), default="provisional")
    bill_id: Mapped[str | None] = mapped_column(String(16), index=True)
    made: Mapped[datetime]


class Recycled(Table):
    """Usage that nobody is charged for until a person has looked: it came too late, or its service was not in use. state: recycled, then rated or rejected."""
    __tablename__ = "recycled"
    __table_args__ = (Index("uq_recycled_place", "service_id", "day", "reason", "digest", unique=True), Index("ix_recycled_state", "state", "made"))
    LETTER = "Z"
    SCOPE: ClassVar[dict[str, str]] = {"customer": "customer_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    service_id: Mapped[str] = mapped_column(ForeignKey("service.id"))
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    day: Mapped[str] = mapped_column(String(10))
    period: Mapped[str] = mapped_column(String(7))
    reason: Mapped[str] = mapped_column(String(24))
    lines: Mapped[bytes] = mapped_column(LargeBinary)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    octets: Mapped[int]
    state: Mapped[str] = mapped_column(String(16), default="recycled")
    made: Mapped[datetime]
    decided: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    why: Mapped[str] = mapped_column(String(400), default="")
    version: Mapped[int] = mapped_column(default=1)


class ThresholdEvent(Table):
    """A bucket of which so much was used. told: when others were told of it; None: it waits, for the last event of the bucket was a moment ago."""
    __tablename__ = "threshold_event"
    bucket_id: Mapped[str] = mapped_column(ForeignKey("bucket.id"), primary_key=True)
    percent: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    crossed: Mapped[datetime]
    told: Mapped[datetime | None] = mapped_column(index=True)


class RatedPeriod(Table):
    """A month that was closed: all of it was rated once more, in order, and what is rated later goes on a later bill. hold: lines that wait for a decision."""
    __tablename__ = "rated_period"
    period: Mapped[str] = mapped_column(String(7), primary_key=True)
    closed: Mapped[datetime]
    charges: Mapped[int]
    services: Mapped[int]
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
