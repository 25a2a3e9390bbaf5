"""Enquiries, checks, orders and their items (TMF622, TMF645), what they passed and when."""
from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from bss.database import Table
from bss.database import number as called
from bss.sealing import Sealed


class Enquiry(Table):
    """Somebody wants something: need is what, where, how fast. state: open, surveyed, quoted, won, lost."""
    __tablename__ = "enquiry"
    LETTER = "E"
    SCOPE: ClassVar[dict[str, str]] = {"region": "region", "customer": "customer_id", "owner": "owner_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    number: Mapped[str] = mapped_column(String(64), unique=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    region: Mapped[str] = mapped_column(String(64))
    channel: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16), default="open")
    need: Mapped[dict[str, Any]]
    site: Mapped[str | None] = mapped_column(Sealed)            # where it is to be
    owner_id: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"), index=True)
    due: Mapped[datetime | None]
    created: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)


class Qualification(Table):
    """A check whether it can be delivered (TMF645). state: accepted, inProgress, done, terminatedWithError; result: qualified, alternative, unqualified."""
    __tablename__ = "qualification"
    LETTER = "Q"
    SCOPE: ClassVar[dict[str, str]] = {"region": "region", "customer": "customer_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    enquiry_id: Mapped[str | None] = mapped_column(ForeignKey("enquiry.id"), index=True)
    order_id: Mapped[str | None] = mapped_column(ForeignKey("product_order.id"), index=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    region: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(24), default="accepted")
    result: Mapped[str] = mapped_column(String(16), default="")
    asked: Mapped[dict[str, Any]]
    found: Mapped[dict[str, Any]] = mapped_column(default=dict)     # what was looked at, nameplate and measured, and reasons
    created: Mapped[datetime]
    done: Mapped[datetime | None]


class ProductOrder(Table):
    """An order (TMF622). state: of orders/states.py; prior_state: where assessing a cancellation goes back to; revision: grows with each amendment."""
    __tablename__ = "product_order"
    __table_args__ = (Index("ix_product_order_state_due", "state", "due"), Index("ix_product_order_state_created", "state", "created", "id"),
                      Index("ix_product_order_created", "created", "id"))
    LETTER = "O"
    SCOPE: ClassVar[dict[str, str]] = {"region": "region", "customer": "customer_id", "owner": "owner_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    number: Mapped[str] = mapped_column(called(64), unique=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    enquiry_id: Mapped[str | None] = mapped_column(ForeignKey("enquiry.id"))
    changes_id: Mapped[str | None] = mapped_column(ForeignKey("product_order.id"))      # the order that this one amends
    agreement_id: Mapped[str | None] = mapped_column(ForeignKey("agreement.id"), index=True)
    region: Mapped[str] = mapped_column(String(64))
    channel: Mapped[str] = mapped_column(String(16))
    class_: Mapped[str] = mapped_column("class", String(8))
    state: Mapped[str] = mapped_column(String(24), default="draft")
    prior_state: Mapped[str | None] = mapped_column(String(24))
    reason: Mapped[str] = mapped_column(String(400), default="")
    revision: Mapped[int] = mapped_column(default=1)
    owner_id: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"), index=True)
    created: Mapped[datetime]
    acknowledged: Mapped[datetime | None]
    pending_since: Mapped[datetime | None]                          # its clock stands since
    pending_seconds: Mapped[int] = mapped_column(default=0)         # that it stood before
    due: Mapped[datetime | None]
    reminded: Mapped[datetime | None]
    jeopardy: Mapped[datetime | None]                               # since when it is at risk
    completed: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)
    items: Mapped[list[OrderItem]] = relationship(back_populates="order", order_by="OrderItem.place", lazy="selectin")


class OrderItem(Table):
    """A line of an order. action: add, modify, delete, noChange; wanted: rates, site, resources; price: as frozen; covered: a sensor sees its service;
    removed: the revision that left it out, since when it counts no more."""
    __tablename__ = "order_item"
    LETTER = "N"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("product_order.id"), index=True)
    place: Mapped[int]
    action: Mapped[str] = mapped_column(String(16))
    offering: Mapped[str] = mapped_column(String(64))
    offering_version: Mapped[int]
    state: Mapped[str] = mapped_column(String(24), default="acknowledged")
    service_id: Mapped[str | None] = mapped_column(ForeignKey("service.id"), index=True)
    wanted: Mapped[dict[str, Any]]
    site: Mapped[str | None] = mapped_column(Sealed)
    price: Mapped[dict[str, Any]]
    covered: Mapped[bool] = mapped_column(default=True)
    verified: Mapped[str] = mapped_column(String(16), default="")       # measured, manual, none
    removed: Mapped[int | None]
    order: Mapped[ProductOrder] = relationship(back_populates="items")


class OrderVersion(Table):
    """An order as it was before it was amended."""
    __tablename__ = "order_version"
    order_id: Mapped[str] = mapped_column(ForeignKey("product_order.id"), primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[dict[str, Any]]
    time: Mapped[datetime]
    user_id: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))


class Transition(Table):
    """A step of an order, an item, an enquiry or a service: from which state to which, when, by whom and why."""
    __tablename__ = "transition"
    __table_args__ = (Index("ix_transition_entity_time", "entity", "entity_id", "time"),)
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    LETTER = "T"
    entity: Mapped[str] = mapped_column(String(16))
    entity_id: Mapped[str] = mapped_column(String(16))
    from_state: Mapped[str] = mapped_column(String(24))
    to_state: Mapped[str] = mapped_column(String(24))
    time: Mapped[datetime] = mapped_column(index=True)
    user_id: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    reason: Mapped[str] = mapped_column(String(400), default="")


class Milestone(Table):
    """What an item has reached: surveyed, resourceReserved, dataConfigured, installed, firstTrafficSeen, rateVerified, accepted; evidence: how it is known."""
    __tablename__ = "milestone"
    item_id: Mapped[str] = mapped_column(ForeignKey("order_item.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(24), primary_key=True)
    reached: Mapped[datetime]
    user_id: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    evidence: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Configuration(Table):
    """Configuration data (局数据) of an item: text for a device, and its inverse. state: rendered, signed, applied, reverted, refused; taken: port,
    ONU, VLANs and prefixes that it takes, by which conflicts are found."""
    __tablename__ = "configuration"
    LETTER = "F"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    item_id: Mapped[str] = mapped_column(ForeignKey("order_item.id"), index=True)
    version: Mapped[int]
    template: Mapped[str] = mapped_column(String(64))
    text: Mapped[str]
    inverse: Mapped[str]
    state: Mapped[str] = mapped_column(String(16), default="rendered")
    conflicts: Mapped[list[Any]] = mapped_column(default=list)
    taken: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created: Mapped[datetime]
    rendered_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    signed_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    signed: Mapped[datetime | None]
