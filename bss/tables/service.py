"""Services (TMF638), what binds traffic to them, and resources (TMF639)."""
from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from bss.database import Table
from bss.database import number as called
from bss.sealing import Sealed

RESOURCE_KINDS = ("site", "device", "port", "olt", "pon_port", "splitter", "onu", "ap", "vlan", "prefix", "sensor")
ADMINISTRATIVE, OPERATIONAL, USAGE = ("locked", "unlocked", "shutdown"), ("enable", "disable"), ("idle", "active", "busy")
RESOURCE_STATES = ("standby", "alarm", "available", "reserved", "unknown", "suspended")


class Service(Table):
    """A service of a customer. state: designed, reserved, inactive, active, terminated; circuit: the number people know it by; demarcation: where ours ends."""
    __tablename__ = "service"
    __table_args__ = (Index("ix_service_region_state", "region", "state"),)
    LETTER = "S"
    SCOPE: ClassVar[dict[str, str]] = {"region": "region", "customer": "customer_id", "owner": "owner_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    circuit: Mapped[str] = mapped_column(called(64), unique=True)
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    agreement_id: Mapped[str | None] = mapped_column(ForeignKey("agreement.id"), index=True)
    offering: Mapped[str] = mapped_column(String(64))
    offering_version: Mapped[int]
    kind: Mapped[str] = mapped_column(String(16))
    class_: Mapped[str] = mapped_column("class", String(8))
    region: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16), default="designed", index=True)
    reason: Mapped[str] = mapped_column(String(400), default="")        # of being suspended
    down_bps: Mapped[int] = mapped_column(default=0)
    up_bps: Mapped[int] = mapped_column(default=0)
    demarcation: Mapped[str] = mapped_column(String(200), default="")
    site: Mapped[str | None] = mapped_column(Sealed)
    owner_id: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"), index=True)
    covered: Mapped[bool] = mapped_column(default=True)                 # a sensor sees it
    created: Mapped[datetime]
    activated: Mapped[datetime | None]
    terminated: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)


class Binding(Table):
    """What tells the probe that traffic is a service's, from `valid_from` on and before `valid_to`. key: what is bound, one spelling (services/binding.py);
    low, high: 32 hexadecimal digits of the first and last address. withdrawn: it was found wrong, and never held."""
    __tablename__ = "binding"
    __table_args__ = (Index("ix_binding_key", "key", "valid_from"), Index("ix_binding_low_high", "low", "high"), *(
                          Index(f"ix_binding_{name}", name, sqlite_where=text(there), postgresql_where=text(there)) for name, there in (
                              ("vlan", "vlan IS NOT NULL"), ("inner_vlan", "inner_vlan IS NOT NULL"), ("mac", "mac <> ''"), ("user_name", "user_name <> ''"),
                              ("circuit", "circuit <> ''"))),
                      CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name="order"))
    LETTER = "B"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    service_id: Mapped[str] = mapped_column(ForeignKey("service.id"), index=True)
    key: Mapped[str] = mapped_column(String(300))
    prefix: Mapped[str] = mapped_column(String(64), default="")
    vlan: Mapped[int | None]
    inner_vlan: Mapped[int | None]
    mac: Mapped[str] = mapped_column(String(17), default="")
    user: Mapped[str] = mapped_column("user_name", String(255), default="")
    circuit: Mapped[str] = mapped_column(String(255), default="")
    probe: Mapped[str] = mapped_column(String(255), default="")
    interface: Mapped[str] = mapped_column(String(64), default="")
    low: Mapped[str] = mapped_column(String(32), default="")
    high: Mapped[str] = mapped_column(String(32), default="")
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(default=1)
    withdrawn: Mapped[datetime | None] = mapped_column(index=True)
    created: Mapped[datetime]


class ExportMark(Table):
    """How often bindings were changed: one row. Whoever writes the file knows by it whether it is behind."""
    __tablename__ = "export_mark"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    version: Mapped[int]


class Leakage(Table):
    """A line of a day's report: traffic that nobody pays for, a service without traffic, one above its contract. kind: of services/leakage.py;
    subject: a service, a network, or an id that only the store knows; evidence: figures and where they were read."""
    __tablename__ = "leakage"
    SCOPE: ClassVar[dict[str, str]] = {"region": "region", "customer": "customer_id"}
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    kind: Mapped[str] = mapped_column(String(24), primary_key=True)
    subject: Mapped[str] = mapped_column(String(255), primary_key=True)
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customer.id"), index=True)
    region: Mapped[str] = mapped_column(String(64), default="")
    bytes: Mapped[int] = mapped_column(default=0)
    evidence: Mapped[dict[str, Any]] = mapped_column(default=dict)
    made: Mapped[datetime]


class Resource(Table):
    """A resource. name: unique of its kind and region; capacity_bps: nameplate; probe, interface: where the probe measures it; detail: of the kind."""
    __tablename__ = "resource"
    __table_args__ = (Index("uq_resource_kind_region_name", "kind", "region", "name", unique=True),)
    LETTER = "R"
    SCOPE: ClassVar[dict[str, str]] = {"region": "region", "owner": "owner_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(called(200), index=True)
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("resource.id"), index=True)
    region: Mapped[str] = mapped_column(String(64))
    administrative: Mapped[str] = mapped_column(String(16), default="unlocked")
    operational: Mapped[str] = mapped_column(String(16), default="enable")
    usage: Mapped[str] = mapped_column("usage_state", String(16), default="idle")
    state: Mapped[str] = mapped_column(String(16), default="available")
    capacity_bps: Mapped[int] = mapped_column(default=0)
    probe: Mapped[str] = mapped_column(String(255), default="")
    interface: Mapped[str] = mapped_column(String(64), default="")
    owner_id: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    version: Mapped[int] = mapped_column(default=1)


class Reservation(Table):
    """A resource that is kept for an item of an order, until it is used by its service or given back. bps: of a shared one."""
    __tablename__ = "reservation"
    __table_args__ = (Index("ix_reservation_resource", "resource_id", "released"),)
    LETTER = "V"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    resource_id: Mapped[str] = mapped_column(ForeignKey("resource.id"))
    item_id: Mapped[str] = mapped_column(ForeignKey("order_item.id"), index=True)
    bps: Mapped[int] = mapped_column(default=0)
    made: Mapped[datetime]
    until: Mapped[datetime]
    released: Mapped[datetime | None]


class ServiceResource(Table):
    """A resource that a service uses. exclusive ones (an ONU, a VLAN, a port of its own) have one at a time: `holder` is their id, unique."""
    __tablename__ = "service_resource"
    service_id: Mapped[str] = mapped_column(ForeignKey("service.id"), primary_key=True)
    resource_id: Mapped[str] = mapped_column(ForeignKey("resource.id"), primary_key=True, index=True)
    bps: Mapped[int] = mapped_column(default=0)
    holder: Mapped[str | None] = mapped_column(String(16), unique=True)
