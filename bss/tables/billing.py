"""Accounts of customers (TMF666), runs of bills, bills and their lines (TMF678), what an audit of them found, credit notes, and how tax is charged."""
from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from bss.database import Table
from bss.database import number as called
from bss.sealing import Sealed

LINE_KINDS = ("recurring", "one_time", "usage", "percentile", "credit", "adjustment", "penalty")
ACCOUNT_KINDS = ("postpaid", "prepaid")
FINDINGS = ("change", "zero", "first", "negative")


class Money(TypeDecorator[Decimal]):
    """A column of amounts, kept in whole hundredths: neither database rounds them, and both add them up exactly."""
    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:
        if value is None:
            return None
        hundredths = value * 100
        if hundredths != hundredths.to_integral_value():
            raise ValueError(f"an amount that is not rounded: {value}")
        return int(hundredths)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(int(value)).scaleb(-2)


class Exact(TypeDecorator[Decimal]):
    """A column of decimal numbers as they were written: rates and quantities."""
    impl = String(40)
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        return None if value is None else format(value, "f")

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class BillingAccount(Table):
    """Who pays (TMF666). kind: of ACCOUNT_KINDS; anchor: the day of the month on which its periods begin; payer: individual or organization, which tax goes by;
    tax: JSON, name, number, address and bank as on invoices, the party's where there is none."""
    __tablename__ = "billing_account"
    __table_args__ = (CheckConstraint("anchor BETWEEN 1 AND 31", name="anchor"),)
    LETTER = "Y"
    SCOPE: ClassVar[dict[str, str]] = {"customer": "customer_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    number: Mapped[str] = mapped_column(called(64), unique=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    name: Mapped[str | None] = mapped_column(Sealed)
    kind: Mapped[str] = mapped_column(String(16), default="postpaid")
    state: Mapped[str] = mapped_column(String(16), default="active")           # active, closed
    anchor: Mapped[int] = mapped_column(default=1)
    currency: Mapped[str] = mapped_column(String(3), default="CNY")
    payer: Mapped[str] = mapped_column(String(16), default="organization")
    tax: Mapped[str | None] = mapped_column(Sealed)
    lang: Mapped[str] = mapped_column(String(2), default="zh")
    due_days: Mapped[int] = mapped_column(default=15)
    created: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)


class BilledOn(Table):
    """A service, or an item of an order that has none, is billed on this account of its customer, and not on the oldest that is open."""
    __tablename__ = "billed_on"
    LETTER = "B"
    SCOPE: ClassVar[dict[str, str]] = {"customer": "customer_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    subject: Mapped[str] = mapped_column(String(16), unique=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("billing_account.id"), index=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    made: Mapped[datetime]
    user_id: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))


class TaxRate(Table):
    """A rate of tax for a kind of charge and of customer ('' any), for supplies since a day and before another."""
    __tablename__ = "tax_rate"
    __table_args__ = (UniqueConstraint("charge", "customer", "valid_from"),)
    LETTER = "X"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    charge: Mapped[str] = mapped_column(String(32), default="")
    customer: Mapped[str] = mapped_column(String(16), default="")
    valid_from: Mapped[date]
    valid_to: Mapped[date | None]
    rate: Mapped[Decimal] = mapped_column(Exact)
    created: Mapped[datetime]
    user_id: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))


class BillRun(Table):
    """The bills of a period: trial, built, audited, approved, issued, or cancelled. whole: of all accounts with this anchor, of which there is one run at a
    time; else of `customers`. cursor: the customer up to whom its bills are made, by which it goes on after a kill."""
    __tablename__ = "bill_run"
    __table_args__ = (Index("uq_bill_run_period_anchor", "period", "anchor", unique=True, sqlite_where=text("whole AND state <> 'cancelled'"),
                            postgresql_where=text("whole AND state <> 'cancelled'")),)
    LETTER = "W"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    period: Mapped[str] = mapped_column(String(7))
    anchor: Mapped[int] = mapped_column(default=1)
    whole: Mapped[bool] = mapped_column(default=True)
    customers: Mapped[list[str]] = mapped_column(default=list)
    state: Mapped[str] = mapped_column(String(16), default="trial")
    cursor: Mapped[str] = mapped_column(String(16), default="")
    begun: Mapped[datetime]
    begun_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    audited: Mapped[datetime | None]
    approved: Mapped[datetime | None]
    approved_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    issued: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(String(400), default="")
    version: Mapped[int] = mapped_column(default=1)


class Bill(Table):
    """A bill (CustomerBill). state: of billing/states.py; number: given when it is issued; revision: of an account and period, 2 where the first was void or
    credited; paid: of gross; credited: by a credit note in full; parties: JSON, seller and buyer as they were when it was issued."""
    __tablename__ = "bill"
    __table_args__ = (UniqueConstraint("account_id", "period", "revision"), Index("ix_bill_run_state", "run_id", "state", "id"),
                      Index("ix_bill_state_due", "state", "due"), Index("ix_bill_period_state", "period", "state"),
                      CheckConstraint("net + tax = gross", name="sum"))
    LETTER = "A"
    SCOPE: ClassVar[dict[str, str]] = {"customer": "customer_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    number: Mapped[str | None] = mapped_column(called(32), unique=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("billing_account.id"))
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("bill_run.id"))
    period: Mapped[str] = mapped_column(String(7))
    revision: Mapped[int] = mapped_column(default=1)
    begin: Mapped[date]
    end: Mapped[date]
    state: Mapped[str] = mapped_column(String(16), default="new")
    reason: Mapped[str] = mapped_column(String(400), default="")
    currency: Mapped[str] = mapped_column(String(3), default="CNY")
    net: Mapped[Decimal] = mapped_column(Money)
    tax: Mapped[Decimal] = mapped_column(Money)
    gross: Mapped[Decimal] = mapped_column(Money)
    paid: Mapped[Decimal] = mapped_column(Money, default=Decimal(0))
    credited: Mapped[bool] = mapped_column(default=False)
    due: Mapped[date | None]
    created: Mapped[datetime]
    issued: Mapped[datetime | None]
    parties: Mapped[str | None] = mapped_column(Sealed)
    replaces_id: Mapped[str | None] = mapped_column(ForeignKey("bill.id"))
    version: Mapped[int] = mapped_column(default=1)


class BillLine(Table):
    """A line (AppliedCustomerBillingRate). source: what is charged, which one live line has: the database refuses to charge it twice; live: not of a bill that
    is void or credited; original_period: where it is of an earlier one; evidence: what was measured, or by what it is owed."""
    __tablename__ = "bill_line"
    __table_args__ = (Index("uq_bill_line_source", "source", unique=True, sqlite_where=text("live"), postgresql_where=text("live")),)
    bill_id: Mapped[str] = mapped_column(ForeignKey("bill.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    service_id: Mapped[str | None] = mapped_column(ForeignKey("service.id"), index=True)
    price_key: Mapped[str] = mapped_column(String(160), default="")
    name: Mapped[dict[str, Any]]
    unit: Mapped[str] = mapped_column(String(16), default="")
    quantity: Mapped[Decimal] = mapped_column(Exact)
    begin: Mapped[date]
    end: Mapped[date]
    amount: Mapped[Decimal] = mapped_column(Money)
    tax_mode: Mapped[str] = mapped_column(String(9))
    tax_rate: Mapped[Decimal] = mapped_column(Exact)
    net: Mapped[Decimal] = mapped_column(Money)
    tax: Mapped[Decimal] = mapped_column(Money)
    gross: Mapped[Decimal] = mapped_column(Money)
    original_period: Mapped[str] = mapped_column(String(7), default="")
    source: Mapped[str] = mapped_column(String(160))
    live: Mapped[bool] = mapped_column(default=True)
    evidence: Mapped[dict[str, Any]] = mapped_column(default=dict)


class BillFinding(Table):
    """Something of a bill that a person has to look at before it is approved. kind: of FINDINGS; detail: figures."""
    __tablename__ = "bill_finding"
    __table_args__ = (UniqueConstraint("bill_id", "kind"), Index("ix_bill_finding_run", "run_id", "cleared"))
    LETTER = "Q"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("bill_run.id"))
    bill_id: Mapped[str] = mapped_column(ForeignKey("bill.id"))
    kind: Mapped[str] = mapped_column(String(16))
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    made: Mapped[datetime]
    cleared: Mapped[datetime | None]
    cleared_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    reason: Mapped[str] = mapped_column(String(400), default="")


class BillCounter(Table):
    """The next number of a series; whoever takes one holds the row until his act ends, so that none is left out."""
    __tablename__ = "bill_counter"
    series: Mapped[str] = mapped_column(String(16), primary_key=True)
    next: Mapped[int]


class CreditNote(Table):
    """A bill taken back in full (红字). state: draft, issued, rejected; number: given when it is issued. One a bill that is not rejected."""
    __tablename__ = "credit_note"
    __table_args__ = (Index("uq_credit_note_bill", "bill_id", unique=True, sqlite_where=text("state <> 'rejected'"),
                            postgresql_where=text("state <> 'rejected'")),)
    LETTER = "F"
    SCOPE: ClassVar[dict[str, str]] = {"customer": "customer_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    number: Mapped[str | None] = mapped_column(called(32), unique=True)
    bill_id: Mapped[str] = mapped_column(ForeignKey("bill.id"))
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    state: Mapped[str] = mapped_column(String(16), default="draft")
    reason: Mapped[str] = mapped_column(String(400))
    gross: Mapped[Decimal] = mapped_column(Money)
    written: Mapped[datetime]
    written_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    decided: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
