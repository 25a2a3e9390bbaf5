"""Parties (TMF632), customers (TMF629), agreements (TMF651), interactions (TMF683), and what they are found by."""
from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from bss.database import Table
from bss.database import number as called
from bss.sealing import Sealed

PARTY_KINDS = ("individual", "organization", "household", "community")
RELATION_KINDS = ("parent", "member", "household", "community")        # `from` is a child, employee or member of `to`
CUSTOMER_STATES = ("initialized", "active", "suspended", "closed")
CLASSES = ("A", "B", "C", "home", "wlan", "mobile")
CHANNELS = ("hall", "manager", "web", "phone", "sms", "other")
MEDIA = ("phone", "email", "address", "wechat", "fax")


class Party(Table):
    """A person or organisation. kind: of PARTY_KINDS; tax: name, number, address, bank as on invoices."""
    __tablename__ = "party"
    LETTER = "P"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(Sealed)
    legal_id: Mapped[str | None] = mapped_column(Sealed)            # identity card, or unified social credit code
    tax: Mapped[str | None] = mapped_column(Sealed)                 # JSON
    created: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)
    contacts: Mapped[list[Contact]] = relationship(back_populates="party", order_by="Contact.id")


class Contact(Table):
    """A way to reach a party. medium: of MEDIA."""
    __tablename__ = "contact"
    LETTER = "K"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    party_id: Mapped[str] = mapped_column(ForeignKey("party.id"), index=True)
    medium: Mapped[str] = mapped_column(String(16))
    value: Mapped[str] = mapped_column(Sealed)
    role: Mapped[str] = mapped_column(String(32), default="")       # technical, billing ...
    preferred: Mapped[bool] = mapped_column(default=False)
    party: Mapped[Party] = relationship(back_populates="contacts")


class Relation(Table):
    """`from_id` is the `kind` of `to_id`: child of a parent, member of a household or community."""
    __tablename__ = "relation"
    LETTER = "L"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    from_id: Mapped[str] = mapped_column(ForeignKey("party.id"), index=True)
    to_id: Mapped[str] = mapped_column(ForeignKey("party.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]


class Customer(Table):
    """A party that buys. class_: of CLASSES; number: what people call it by; merged_into: where it was found to be another one."""
    __tablename__ = "customer"
    __table_args__ = (Index("ix_customer_region_state", "region", "state", "merged_into"), Index("ix_customer_created", "created", "id"),
                      Index("ix_customer_region_created", "region", "created", "id"))
    LETTER = "C"
    SCOPE: ClassVar[dict[str, str]] = {"region": "region", "customer": "id", "owner": "manager_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    number: Mapped[str] = mapped_column(called(64), unique=True)
    party_id: Mapped[str] = mapped_column(ForeignKey("party.id"), index=True)
    class_: Mapped[str] = mapped_column("class", String(8))
    region: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16), default="active")
    manager_id: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"), index=True)
    marketing_consent: Mapped[bool] = mapped_column(default=False)
    merged_into: Mapped[str | None] = mapped_column(ForeignKey("customer.id"), index=True)
    created: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)
    party: Mapped[Party] = relationship(lazy="joined", innerjoin=True)


class Agreement(Table):
    """A contract. terms: what differs from the catalogue."""
    __tablename__ = "agreement"
    LETTER = "G"
    SCOPE: ClassVar[dict[str, str]] = {"customer": "customer_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    number: Mapped[str] = mapped_column(called(64), unique=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(16), default="contract")          # contract, framework
    state: Mapped[str] = mapped_column(String(16), default="active")           # draft, active, ended
    signed: Mapped[datetime | None]
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]
    terms: Mapped[dict[str, Any]] = mapped_column(default=dict)
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("agreement.id"), index=True)
    version: Mapped[int] = mapped_column(default=1)


class Interaction(Table):
    """A contact with a customer. channel: of CHANNELS; direction: in or out."""
    __tablename__ = "interaction"
    LETTER = "I"
    SCOPE: ClassVar[dict[str, str]] = {"customer": "customer_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    time: Mapped[datetime]
    channel: Mapped[str] = mapped_column(String(16))
    direction: Mapped[str] = mapped_column(String(8), default="in")
    subject: Mapped[str] = mapped_column(Sealed)
    note: Mapped[str | None] = mapped_column(Sealed)
    user_id: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))


class Merge(Table):
    """Two customers found to be one: what was taken from which, and what it was before, so that it can be undone field by field."""
    __tablename__ = "merge"
    LETTER = "M"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    kept_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    gone_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    time: Mapped[datetime]
    user_id: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    before: Mapped[str] = mapped_column(Sealed)         # JSON: fields of both, and ids of what moved
    undone: Mapped[datetime | None]


class Blind(Table):
    """Keyed digests that sealed fields are found by: whole values, and parts of names and their pinyin. entity: id of a party."""
    __tablename__ = "blind"
    __table_args__ = (Index("ix_blind_field_token", "field", "token"),)
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)
    entity_id: Mapped[str] = mapped_column(String(16), index=True)
    field: Mapped[str] = mapped_column(String(16))      # of parties/finding.py: name, bigram, pinyin, initials, phone, last4 ...
    token: Mapped[bytes] = mapped_column(LargeBinary(16))
