"""Work in the field: documents that it goes by (calendars, checklists, scorecards), who is on duty, who was told of a clock, who is sent where, what is looked
at each month, what is guarded for an event, and what is known about faults."""
from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from bss.database import Table
from bss.database import number as called
from bss.sealing import Sealed

LEVELS = ("duty", "lead", "manager")
DISPATCHES = ("repair", "install", "survey")
EVERY = ("week", "month", "quarter", "year")


class Template(Table):
    """A version of a document that work goes by; the highest holds. kind: calendar, checklist, scorecard."""
    __tablename__ = "template"
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    document: Mapped[dict[str, Any]]
    written: Mapped[datetime]
    user_id: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))


class Roster(Table):
    """A shift: who is on duty in a region ('' all) from when to when. level: of LEVELS."""
    __tablename__ = "roster"
    __table_args__ = (Index("ix_roster_level_since", "level", "since"), CheckConstraint("until > since", name="order"))
    LETTER = "Y"
    SCOPE: ClassVar[dict[str, str]] = {"region": "region", "owner": "user_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    level: Mapped[str] = mapped_column(String(16))
    region: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(ForeignKey("app_user.id"), index=True)
    since: Mapped[datetime]
    until: Mapped[datetime]


class Escalation(Table):
    """Somebody was told that so many percent of a ticket's clock (response, restore) have run: once, by its key. at: when it was so many; user_id: who; None:
    nobody was on duty."""
    __tablename__ = "escalation"
    ticket_id: Mapped[str] = mapped_column(ForeignKey("ticket.id"), primary_key=True)
    clock: Mapped[str] = mapped_column(String(16), primary_key=True)
    percent: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    level: Mapped[str] = mapped_column(String(16))
    user_id: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    at: Mapped[datetime]
    told: Mapped[datetime]


class Dispatch(Table):
    """Somebody is sent: field staff or a contractor (TMF697 work order), for a ticket or an item of an order. state: assigned, accepted, arrived, done,
    declined, cancelled; site: where; answers: to its checklist; due: accepted by then."""
    __tablename__ = "dispatch"
    __table_args__ = (Index("ix_dispatch_owner_id_state", "owner_id", "state"), Index("ix_dispatch_state_due", "state", "due"))
    LETTER = "W"
    SCOPE: ClassVar[dict[str, str]] = {"region": "region", "customer": "customer_id", "owner": "owner_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    number: Mapped[str] = mapped_column(called(64), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    ticket_id: Mapped[str | None] = mapped_column(ForeignKey("ticket.id"), index=True)
    item_id: Mapped[str | None] = mapped_column(ForeignKey("order_item.id"), index=True)
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customer.id"), index=True)
    region: Mapped[str] = mapped_column(String(64))
    owner_id: Mapped[str] = mapped_column(ForeignKey("app_user.id"))
    state: Mapped[str] = mapped_column(String(16), default="assigned")
    task: Mapped[str] = mapped_column(String(400))
    site: Mapped[str | None] = mapped_column(Sealed)
    checklist: Mapped[str] = mapped_column(String(64), default="")
    checklist_version: Mapped[int] = mapped_column(default=0)
    answers: Mapped[dict[str, Any]] = mapped_column(default=dict)
    assigned: Mapped[datetime]
    due: Mapped[datetime]
    accepted: Mapped[datetime | None]
    arrived: Mapped[datetime | None]
    done: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(String(400), default="")
    made_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    version: Mapped[int] = mapped_column(default=1)


class InspectionPlan(Table):
    """Something that is looked at each period (定期巡检). every: of EVERY; days: of the period after which it is overdue."""
    __tablename__ = "inspection_plan"
    LETTER = "Y"
    SCOPE: ClassVar[dict[str, str]] = {"region": "region", "owner": "owner_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    region: Mapped[str] = mapped_column(String(64))
    resource_id: Mapped[str | None] = mapped_column(ForeignKey("resource.id"), index=True)
    checklist: Mapped[str] = mapped_column(String(64))
    every: Mapped[str] = mapped_column(String(16))
    days: Mapped[int]
    owner_id: Mapped[str] = mapped_column(ForeignKey("app_user.id"))
    since: Mapped[datetime]
    until: Mapped[datetime | None]
    created: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)


class Inspection(Table):
    """One look by a plan, one a period: 2026-12, 2026-W49, 2026-Q4, 2026. state: due, done, missed; result: good, fault; overdue: since when that was told."""
    __tablename__ = "inspection"
    __table_args__ = (Index("uq_inspection_plan_id_period", "plan_id", "period", unique=True), Index("ix_inspection_state_due", "state", "due"))
    LETTER = "Y"
    SCOPE: ClassVar[dict[str, str]] = {"region": "region", "owner": "owner_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    plan_id: Mapped[str] = mapped_column(ForeignKey("inspection_plan.id"))
    period: Mapped[str] = mapped_column(String(16))
    region: Mapped[str] = mapped_column(String(64))
    owner_id: Mapped[str] = mapped_column(ForeignKey("app_user.id"), index=True)
    state: Mapped[str] = mapped_column(String(16), default="due")
    result: Mapped[str] = mapped_column(String(16), default="")
    due: Mapped[datetime]
    checklist: Mapped[str] = mapped_column(String(64))
    checklist_version: Mapped[int]
    answers: Mapped[dict[str, Any]] = mapped_column(default=dict)
    note: Mapped[str] = mapped_column(String(400), default="")
    ticket_id: Mapped[str | None] = mapped_column(ForeignKey("ticket.id"))
    overdue: Mapped[datetime | None]
    done: Mapped[datetime | None]
    done_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    version: Mapped[int] = mapped_column(default=1)


class Assurance(Table):
    """An event whose services are guarded (通信保障) from `since` to `until`. state: draft, approved, rejected, cancelled; thresholds: tighter ones; roster:
    ids of who is on duty for it; freeze: nothing is changed on its services meanwhile."""
    __tablename__ = "assurance"
    __table_args__ = (Index("ix_assurance_state_until", "state", "until"), CheckConstraint("until > since", name="order"))
    LETTER = "Y"
    SCOPE: ClassVar[dict[str, str]] = {"region": "region", "owner": "owner_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    region: Mapped[str] = mapped_column(String(64))
    owner_id: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    state: Mapped[str] = mapped_column(String(16), default="draft")
    since: Mapped[datetime]
    until: Mapped[datetime]
    thresholds: Mapped[dict[str, Any]] = mapped_column(default=dict)
    roster: Mapped[list[str]] = mapped_column(default=list)
    freeze: Mapped[bool] = mapped_column(default=True)
    made: Mapped[datetime]
    made_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    decided: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    reason: Mapped[str] = mapped_column(String(400), default="")
    version: Mapped[int] = mapped_column(default=1)


class AssuredService(Table):
    """A service of an event."""
    __tablename__ = "assured_service"
    assurance_id: Mapped[str] = mapped_column(ForeignKey("assurance.id"), primary_key=True)
    service_id: Mapped[str] = mapped_column(ForeignKey("service.id"), primary_key=True, index=True)


class AssuranceReport(Table):
    """What was measured in an hour of an event, and what was beyond its thresholds. content: figures with where they were read, in no language."""
    __tablename__ = "assurance_report"
    assurance_id: Mapped[str] = mapped_column(ForeignKey("assurance.id"), primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    content: Mapped[dict[str, Any]]
    written: Mapped[datetime]


class Article(Table):
    """What is known about a fault, in both languages. alert_kinds, ticket_kinds: where it is suggested."""
    __tablename__ = "article"
    LETTER = "Y"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    title: Mapped[dict[str, Any]]
    text: Mapped[dict[str, Any]]
    alert_kinds: Mapped[list[str]] = mapped_column(default=list)
    ticket_kinds: Mapped[list[str]] = mapped_column(default=list)
    retired: Mapped[bool] = mapped_column(default=False)
    changed: Mapped[datetime]
    user_id: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    version: Mapped[int] = mapped_column(default=1)


class ArticleWord(Table):
    """A word of an article, or two letters of Chinese that stand beside each other, by which it is found. weight: how much it says of it."""
    __tablename__ = "article_word"
    word: Mapped[str] = mapped_column(called(64), primary_key=True)
    article_id: Mapped[str] = mapped_column(ForeignKey("article.id"), primary_key=True, index=True)
    weight: Mapped[int]
