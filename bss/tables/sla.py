"""What minutes of services were, months of them, what people say otherwise, and what is given back for a month that was breached."""
from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from bss.database import Table

SPELLS = ("down", "excluded", "unknown", "degraded")
MONTHS = ("open", "closed")
RECLASSIFIED = ("proposed", "approved", "rejected")
CREDITS = ("drafted", "approved", "rejected", "superseded", "applied")
LIVE = "state IN ('drafted', 'approved', 'applied')"


class Exact(TypeDecorator[Decimal]):
    """A decimal number to its last digit, as text: SQLite has no decimals."""
    impl = String(40)
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        return None if value is None else format(value, "f")

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class SlaMark(Table):
    """Until when minutes are judged: one row."""
    __tablename__ = "sla_mark"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    measured_until: Mapped[datetime]


class SlaMinute(Table):
    """Minutes in a row, [since, until), in which a service was not simply up. state: of SPELLS, which counts; measured: what was found before a person said
    otherwise; reason: of sla/slots.py; evidence: what was read for it. What lies between two of them and was active was up."""
    __tablename__ = "sla_minute"
    __table_args__ = (Index("ix_sla_minute_until", "until"), CheckConstraint("until > since", name="order"))
    service_id: Mapped[str] = mapped_column(ForeignKey("service.id"), primary_key=True)
    since: Mapped[datetime] = mapped_column(primary_key=True)
    until: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(16))
    measured: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(24))
    reclassification_id: Mapped[str | None] = mapped_column(ForeignKey("reclassification.id"), index=True)
    evidence: Mapped[dict[str, Any]] = mapped_column(default=dict)


class SlaMonth(Table):
    """A month of a service in the operator's time zone. promised: the terms that were held; total: active minutes, and of them excluded, unknown, down,
    degraded; faults: their number, and `down` their minutes; rtt_us: 95th percentile of the medians of minutes; again, tcp: segments sent again and sent."""
    __tablename__ = "sla_month"
    __table_args__ = (Index("uq_sla_month_service_id_month", "service_id", "month", unique=True), Index("ix_sla_month_month_verdict", "month", "verdict"))
    LETTER = "Y"
    SCOPE: ClassVar[dict[str, str]] = {"region": "region", "customer": "customer_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    service_id: Mapped[str] = mapped_column(ForeignKey("service.id"))
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    region: Mapped[str] = mapped_column(String(64))
    month: Mapped[str] = mapped_column(String(7))
    state: Mapped[str] = mapped_column(String(16), default="open")
    promised: Mapped[dict[str, Any]] = mapped_column(default=dict)
    total: Mapped[int] = mapped_column(default=0)
    excluded: Mapped[int] = mapped_column(default=0)
    unknown: Mapped[int] = mapped_column(default=0)
    down: Mapped[int] = mapped_column(default=0)
    degraded: Mapped[int] = mapped_column(default=0)
    faults: Mapped[int] = mapped_column(default=0)
    rtt_us: Mapped[int | None]
    again: Mapped[int] = mapped_column(default=0)
    tcp: Mapped[int] = mapped_column(default=0)
    verdict: Mapped[str] = mapped_column(String(16))
    revision: Mapped[int] = mapped_column(default=1)
    measured_until: Mapped[datetime]
    ticket_id: Mapped[str | None] = mapped_column(String(16))
    evidence: Mapped[dict[str, Any]] = mapped_column(default=dict)
    made: Mapped[datetime]
    closed: Mapped[datetime | None]
    closed_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))


class Reclassification(Table):
    """A person says what unknown minutes were. before: the spells as they were found; evidence: what he saw; decided by somebody else, until the month
    closes. state: of RECLASSIFIED."""
    __tablename__ = "reclassification"
    LETTER = "F"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    service_id: Mapped[str] = mapped_column(ForeignKey("service.id"), index=True)
    since: Mapped[datetime]
    until: Mapped[datetime]
    to_state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(400))
    evidence: Mapped[dict[str, Any]] = mapped_column(default=dict)
    before: Mapped[list[Any]] = mapped_column(default=list)
    minutes: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(String(16), default="proposed", index=True)
    asked: Mapped[datetime]
    asked_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    decided: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    answer: Mapped[str] = mapped_column(String(400), default="")


class SpeedTest(Table):
    """A speed test of a service that somebody recorded, bit/s."""
    __tablename__ = "speed_test"
    __table_args__ = (Index("ix_speed_test_service_id_time", "service_id", "time"),)
    LETTER = "U"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    service_id: Mapped[str] = mapped_column(ForeignKey("service.id"))
    time: Mapped[datetime]
    down_bps: Mapped[int]
    up_bps: Mapped[int]
    note: Mapped[str] = mapped_column(String(400), default="")
    user_id: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))


class Credit(Table):
    """What is given back for a month of a service. state: of CREDITS; one of them lives for each month and tax. amount: rounded as the line that it becomes;
    tax: inclusive or exclusive; why: how it was reached; evidence: the month that it is of."""
    __tablename__ = "credit"
    __table_args__ = (Index("uq_credit_live", "service_id", "month", "tax_mode", "tax_rate", unique=True, sqlite_where=text(LIVE),
                            postgresql_where=text(LIVE)),
                      Index("ix_credit_customer_id_state", "customer_id", "state"), Index("ix_credit_state_month", "state", "month"))
    LETTER = "K"
    SCOPE: ClassVar[dict[str, str]] = {"region": "region", "customer": "customer_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    service_id: Mapped[str] = mapped_column(ForeignKey("service.id"), index=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"))
    region: Mapped[str] = mapped_column(String(64))
    month: Mapped[str] = mapped_column(String(7))
    state: Mapped[str] = mapped_column(String(16), default="drafted")
    amount: Mapped[Decimal] = mapped_column(Exact)
    currency: Mapped[str] = mapped_column(String(3))
    tax_mode: Mapped[str] = mapped_column(String(16))
    tax_rate: Mapped[Decimal] = mapped_column(Exact)
    why: Mapped[dict[str, Any]] = mapped_column(default=dict)
    evidence: Mapped[dict[str, Any]] = mapped_column(default=dict)
    drafted: Mapped[datetime]
    drafted_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    decided: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    reason: Mapped[str] = mapped_column(String(400), default="")
    applied: Mapped[datetime | None]
    applied_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    bill_id: Mapped[str | None] = mapped_column(String(16), index=True)
    line_number: Mapped[int | None]
    version: Mapped[int] = mapped_column(default=1)
