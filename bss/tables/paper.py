"""Papers people approve (solutions, quotes, test sheets, acceptance sheets), in versions, and the files attached to anything."""
from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from bss.database import Table
from bss.sealing import Sealed

PAPERS = ("solution", "quote", "test", "acceptance", "contract", "data")


class Paper(Table):
    """One version. kind: of PAPERS; state: draft, approved, rejected, superseded. Who approves is not who wrote."""
    __tablename__ = "paper"
    __table_args__ = (Index("ix_paper_entity", "entity", "entity_id", "kind"),)
    LETTER = "D"
    SCOPE: ClassVar[dict[str, str]] = {"customer": "customer_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    entity: Mapped[str] = mapped_column(String(16))
    entity_id: Mapped[str] = mapped_column(String(16))
    customer_id: Mapped[str] = mapped_column(ForeignKey("customer.id"), index=True)
    number: Mapped[int]
    state: Mapped[str] = mapped_column(String(16), default="draft")
    content: Mapped[dict[str, Any]]
    written: Mapped[datetime]
    written_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    decided: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    reason: Mapped[str] = mapped_column(String(400), default="")


class Attachment(Table):
    """A sealed file. digest: SHA-256 of what is in it, hex; size: of that."""
    __tablename__ = "attachment"
    __table_args__ = (Index("ix_attachment_entity", "entity", "entity_id"),)
    LETTER = "X"
    SCOPE: ClassVar[dict[str, str]] = {"customer": "customer_id"}
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    entity: Mapped[str] = mapped_column(String(16))
    entity_id: Mapped[str] = mapped_column(String(16))
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customer.id"), index=True)
    name: Mapped[str] = mapped_column(Sealed)
    media_type: Mapped[str] = mapped_column(String(100))
    size: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))
    time: Mapped[datetime]
    user_id: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
