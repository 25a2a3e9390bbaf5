"""What is paid: payments and the bills they are for, refunds, what is done about what is not paid, and the journal of all of it."""
from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from bss.database import Table
from bss.sealing import Sealed
from bss.tables.billing import Money

#: credit: ours to give back, of a bill that was negative; write_off: nobody paid it, and nobody will.
METHODS = ("bank", "cash", "card", "online", "credit", "write_off")


class Payment(Table):
    """Money that came in. source: what it is known by (the bank's serial number), once; matched: of amount, to bills; refunded: given back or about to be;
    suggestion: bills that it may be for, where a person has to say so. What is neither matched nor refunded is the account's balance."""
    __tablename__ = "payment"
    __table_args__ = (Index("ix_payment_state", "state", "id"),
                      CheckConstraint("matched >= 0 AND refunded >= 0 AND matched + refunded <= amount", name="spent"))
    LETTER = "P"
    SCOPE: ClassVar[dict[str, str]] = {"customer": "customer_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    source: Mapped[str] = mapped_column(String(120), unique=True)
    account_id: Mapped[str | None] = mapped_column(ForeignKey("billing_account.id"), index=True)
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customer.id"), index=True)
    method: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16), default="received")
    amount: Mapped[Decimal] = mapped_column(Money)
    matched: Mapped[Decimal] = mapped_column(Money, default=Decimal(0))
    refunded: Mapped[Decimal] = mapped_column(Money, default=Decimal(0))
    currency: Mapped[str] = mapped_column(String(3), default="CNY")
    received: Mapped[datetime]
    payer: Mapped[str | None] = mapped_column(Sealed)
    remark: Mapped[str | None] = mapped_column(Sealed)
    suggestion: Mapped[list[Any]] = mapped_column(default=list)
    created: Mapped[datetime]
    user_id: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    reason: Mapped[str] = mapped_column(String(400), default="")
    version: Mapped[int] = mapped_column(default=1)


class PaymentMatch(Table):
    """So much of a payment is for a bill. undone: since when it is not any more."""
    __tablename__ = "payment_match"
    LETTER = "M"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payment.id"), index=True)
    bill_id: Mapped[str] = mapped_column(ForeignKey("bill.id"), index=True)
    amount: Mapped[Decimal] = mapped_column(Money)
    made: Mapped[datetime]
    user_id: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    undone: Mapped[datetime | None]


class Refund(Table):
    """Money that is given back out of a payment. state: of billing/states.py; who decides is not who asked."""
    __tablename__ = "refund"
    LETTER = "R"
    SCOPE: ClassVar[dict[str, str]] = {"customer": "customer_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payment.id"), index=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    amount: Mapped[Decimal] = mapped_column(Money)
    state: Mapped[str] = mapped_column(String(16), default="asked")
    reason: Mapped[str] = mapped_column(String(400))
    asked: Mapped[datetime]
    asked_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    decided: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    paid: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)


class WriteOff(Table):
    """What is open of a bill and nobody will pay, given up: proposed by one, approved by another; from then on a payment of ours stands for it (payment_id).
    state: of billing/states.py. One a bill that is neither rejected nor taken back."""
    __tablename__ = "write_off"
    __table_args__ = (Index("uq_write_off_bill", "bill_id", unique=True, sqlite_where=text("state IN ('proposed', 'approved')"),
                            postgresql_where=text("state IN ('proposed', 'approved')")),)
    LETTER = "V"
    SCOPE: ClassVar[dict[str, str]] = {"customer": "customer_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    bill_id: Mapped[str] = mapped_column(ForeignKey("bill.id"), index=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    payment_id: Mapped[str | None] = mapped_column(ForeignKey("payment.id"))
    amount: Mapped[Decimal] = mapped_column(Money)
    state: Mapped[str] = mapped_column(String(16), default="proposed")
    reason: Mapped[str] = mapped_column(String(400))
    proposed: Mapped[datetime]
    proposed_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    decided: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    why: Mapped[str] = mapped_column(String(400), default="")
    version: Mapped[int] = mapped_column(default=1)


class DunningCase(Table):
    """What is done about a bill that is not paid when it is due: one open one a bill. state: of billing/states.py; prior_state: where a dispute goes back to;
    paused: days of disputes, which do not count; wait_until: the day before which nothing more is proposed; services,
    windows: that were suspended for it, and the times of that which nobody is owed."""
    __tablename__ = "dunning_case"
    __table_args__ = (Index("ix_dunning_case_state", "state", "id"), Index("uq_dunning_case_bill", "bill_id", unique=True,
                      sqlite_where=text("state <> 'cleared'"), postgresql_where=text("state <> 'cleared'")))
    LETTER = "D"
    SCOPE: ClassVar[dict[str, str]] = {"customer": "customer_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    bill_id: Mapped[str] = mapped_column(ForeignKey("bill.id"))
    account_id: Mapped[str] = mapped_column(ForeignKey("billing_account.id"), index=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    state: Mapped[str] = mapped_column(String(24), default="noticed")
    prior_state: Mapped[str | None] = mapped_column(String(24))
    opened: Mapped[datetime]
    disputed: Mapped[date | None]
    paused: Mapped[int] = mapped_column(default=0)
    wait_until: Mapped[date | None]
    services: Mapped[list[str]] = mapped_column(default=list)
    windows: Mapped[list[str]] = mapped_column(default=list)
    reason: Mapped[str] = mapped_column(String(400), default="")
    proposed_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    cleared: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)


class JournalEntry(Table):
    """A line of a posting. posting: what it is of, once; account: of billing/journal.py; the debits of a posting are its credits."""
    __tablename__ = "journal_entry"
    __table_args__ = (Index("ix_journal_entry_day", "day", "posting"), CheckConstraint("(debit = 0) <> (credit = 0)", name="side"),
                      CheckConstraint("debit >= 0 AND credit >= 0", name="sign"))
    SCOPE: ClassVar[dict[str, str]] = {"customer": "customer_id"}
    posting: Mapped[str] = mapped_column(String(64), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date]
    account: Mapped[str] = mapped_column(String(32))
    debit: Mapped[Decimal] = mapped_column(Money, default=Decimal(0))
    credit: Mapped[Decimal] = mapped_column(Money, default=Decimal(0))
    currency: Mapped[str] = mapped_column(String(3), default="CNY")
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customer.id"), index=True)
    entity: Mapped[str] = mapped_column(String(16))
    entity_id: Mapped[str] = mapped_column(String(16))
