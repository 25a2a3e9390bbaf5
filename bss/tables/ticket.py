"""Tickets (TMF621), the alarms they come from (TMF642), what is said of links, and times that are planned or excluded."""
from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from bss.database import Table
from bss.sealing import Sealed

#: Tickets of which there is one at a time of a key.
LIVE = "state NOT IN ('closed', 'cancelled', 'rejected')"
CURRENT = "until IS NULL"


class Ticket(Table):
    """A ticket. kind: of tickets/states.py; dedup_key: one that is not over has it alone, which the database sees to; began: when the fault did; responded:
    the first act of a person; claimed: when somebody says that it was restored, restored: when that was measured, restoration: how; pauses: [from, to] of being
    pending; raises: the last times that it was raised; proposal: what is proposed against an attack; evidence: what it was opened for."""
    __tablename__ = "ticket"
    __table_args__ = (Index("uq_ticket_dedup_key", "dedup_key", unique=True, sqlite_where=text(LIVE), postgresql_where=text(LIVE)),
                      Index("ix_ticket_state_created", "state", "created", "id"), Index("ix_ticket_region_state", "region", "state"),
                      Index("ix_ticket_service_id_created", "service_id", "created"))
    LETTER = "T"
    SCOPE: ClassVar[dict[str, str]] = {"region": "region", "customer": "customer_id", "owner": "owner_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    kind: Mapped[str] = mapped_column(String(24))
    severity: Mapped[str] = mapped_column(String(16))
    priority: Mapped[int]
    state: Mapped[str] = mapped_column(String(16), default="acknowledged")
    reason: Mapped[str] = mapped_column(String(400), default="")
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customer.id"), index=True)
    service_id: Mapped[str | None] = mapped_column(ForeignKey("service.id"))
    resource_id: Mapped[str | None] = mapped_column(ForeignKey("resource.id"), index=True)
    class_: Mapped[str] = mapped_column("class", String(8), default="")
    region: Mapped[str] = mapped_column(String(64), default="")
    summary: Mapped[str] = mapped_column(Sealed)
    channel: Mapped[str] = mapped_column(String(16), default="alarm")       # alarm, or the channel of a complaint
    dedup_key: Mapped[str | None] = mapped_column(String(64))
    alarm_kind: Mapped[str] = mapped_column(String(64), default="")
    alert_id: Mapped[str] = mapped_column(String(64), default="", index=True)     # of the probe, which leads to detections and flows
    evidence: Mapped[dict[str, Any]] = mapped_column(default=dict)
    root_cause: Mapped[bool] = mapped_column(default=False)
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("ticket.id"), index=True)
    repeat_of_id: Mapped[str | None] = mapped_column(ForeignKey("ticket.id"), index=True)
    count: Mapped[int] = mapped_column(default=1)                   # how often it was raised
    raises: Mapped[list[str]] = mapped_column(default=list)
    flapping: Mapped[bool] = mapped_column(default=False)
    cleared: Mapped[datetime | None]                                # its source says that it is over
    owner_id: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"), index=True)
    opened_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    began: Mapped[datetime]
    created: Mapped[datetime]
    updated: Mapped[datetime]
    responded: Mapped[datetime | None]
    response_due: Mapped[datetime | None] = mapped_column(index=True)
    restore_due: Mapped[datetime | None] = mapped_column(index=True)
    pending_since: Mapped[datetime | None]
    pauses: Mapped[list[Any]] = mapped_column(default=list)
    reminded: Mapped[int] = mapped_column(default=0)                # reminders of this time of being pending
    claimed: Mapped[datetime | None]
    claimed_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"), index=True)
    restored: Mapped[datetime | None]
    restoration: Mapped[dict[str, Any]] = mapped_column(default=dict)
    resolved: Mapped[datetime | None] = mapped_column(index=True)
    closed: Mapped[datetime | None]
    told: Mapped[datetime | None]                                   # its customer was told of it
    proposal: Mapped[dict[str, Any]] = mapped_column(default=dict)
    version: Mapped[int] = mapped_column(default=1)


class TicketNote(Table):
    """What was said of a ticket. kind: note, raise, clear, claim, link, proposal, check, told; internal: not for its customer."""
    __tablename__ = "ticket_note"
    __table_args__ = (Index("ix_ticket_note_ticket_id_time", "ticket_id", "time"),)
    LETTER = "T"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    ticket_id: Mapped[str] = mapped_column(ForeignKey("ticket.id"))
    kind: Mapped[str] = mapped_column(String(16), default="note")
    time: Mapped[datetime]
    user_id: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    internal: Mapped[bool] = mapped_column(default=True)
    text: Mapped[str] = mapped_column(Sealed)
    evidence: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Alarm(Table):
    """An alarm (TMF642) as its source last told it. key: by which the source knows it; state: raised, updated, cleared; suppressed: the window that kept it
    from becoming a ticket."""
    __tablename__ = "alarm"
    __table_args__ = (Index("uq_alarm_source_key", "source", "key", unique=True), Index("ix_alarm_state_changed", "state", "changed", "id"))
    LETTER = "Y"
    SCOPE: ClassVar[dict[str, str]] = {"region": "region", "customer": "customer_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    source: Mapped[str] = mapped_column(String(16))
    key: Mapped[str] = mapped_column(String(128))
    kind: Mapped[str] = mapped_column(String(64))
    severity: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    service_id: Mapped[str | None] = mapped_column(ForeignKey("service.id"), index=True)
    resource_id: Mapped[str | None] = mapped_column(ForeignKey("resource.id"), index=True)
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customer.id"), index=True)
    region: Mapped[str] = mapped_column(String(64), default="")
    subject: Mapped[str] = mapped_column(String(255), default="")   # as the source calls it, where it is nothing that is known here
    summary: Mapped[str] = mapped_column(Sealed)
    raised: Mapped[datetime]
    changed: Mapped[datetime]
    cleared: Mapped[datetime | None]
    count: Mapped[int] = mapped_column(default=1)
    suppressed: Mapped[str] = mapped_column(String(16), default="")
    ticket_id: Mapped[str | None] = mapped_column(ForeignKey("ticket.id"), index=True)
    evidence: Mapped[dict[str, Any]] = mapped_column(default=dict)


class AlarmEvent(Table):
    """An event that was taken, by the id that its source gave it: told again, it is not taken again."""
    __tablename__ = "alarm_event"
    source: Mapped[str] = mapped_column(String(16), primary_key=True)
    event_id: Mapped[str] = mapped_column(String(160), primary_key=True)
    taken: Mapped[datetime] = mapped_column(index=True)


class SweepMark(Table):
    """Until when a table of the store was swept."""
    __tablename__ = "sweep_mark"
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    time: Mapped[datetime]


class LinkState(Table):
    """A time in which a source said that a service or a resource is down, or up. One that goes on has no end; of each source and subject there is one."""
    __tablename__ = "link_state"
    __table_args__ = (Index("uq_link_state_source_subject", "source", "subject", unique=True, sqlite_where=text(CURRENT), postgresql_where=text(CURRENT)),
                      Index("uq_link_state_source_subject_since", "source", "subject", "since", unique=True),
                      Index("ix_link_state_subject_since", "subject", "since"),
                      CheckConstraint("until IS NULL OR until > since", name="order"))
    LETTER = "Y"
    SCOPE: ClassVar[dict[str, str]] = {"region": "region", "customer": "customer_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    source: Mapped[str] = mapped_column(String(16))
    subject: Mapped[str] = mapped_column(String(16))                # id of the service or resource
    service_id: Mapped[str | None] = mapped_column(ForeignKey("service.id"))
    resource_id: Mapped[str | None] = mapped_column(ForeignKey("resource.id"))
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customer.id"), index=True)
    region: Mapped[str] = mapped_column(String(64), default="")
    state: Mapped[str] = mapped_column(String(8))
    since: Mapped[datetime]
    until: Mapped[datetime | None]
    seen: Mapped[datetime]                                          # the last time that the source said so
    told_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    evidence: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Window(Table):
    """A time that is planned or excluded, once it is approved. kind: maintenance, customer, force_majeure, nonpayment; announced: when its customers were told
    of it; state: planned, approved, rejected, cancelled."""
    __tablename__ = "planned_window"
    __table_args__ = (Index("ix_planned_window_state_since", "state", "since"), CheckConstraint("until IS NULL OR until > since", name="order"))
    LETTER = "W"
    SCOPE: ClassVar[dict[str, str]] = {"region": "region", "owner": "made_by"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    region: Mapped[str] = mapped_column(String(64))
    since: Mapped[datetime]
    until: Mapped[datetime | None]
    announced: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(String(400))
    state: Mapped[str] = mapped_column(String(16), default="planned")
    made_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    made: Mapped[datetime]
    approved_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    approved: Mapped[datetime | None]
    evidence: Mapped[dict[str, Any]] = mapped_column(default=dict)
    version: Mapped[int] = mapped_column(default=1)


class WindowSubject(Table):
    """A service or resource of a window; a resource stands for the services behind it."""
    __tablename__ = "planned_window_subject"
    window_id: Mapped[str] = mapped_column(ForeignKey("planned_window.id"), primary_key=True)
    subject: Mapped[str] = mapped_column(String(16), primary_key=True, index=True)
    service_id: Mapped[str | None] = mapped_column(ForeignKey("service.id"))
    resource_id: Mapped[str | None] = mapped_column(ForeignKey("resource.id"))
