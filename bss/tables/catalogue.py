"""What is sold (TMF620), in versions: what was ordered keeps the version it was ordered by."""
from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from bss.database import Table

KINDS = ("leased_line", "broadband", "wlan", "mobile", "value_added", "bundle")
LIFECYCLES = ("draft", "active", "retired")


class Offering(Table):
    """One version of an offering. document: the whole, as catalogue/document.py knows it (names, rates, prices, allowances, commitment, SLA)."""
    __tablename__ = "offering"
    __table_args__ = (Index("ix_offering_kind_lifecycle", "kind", "lifecycle"),)
    code: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    class_: Mapped[str] = mapped_column("class", String(8))
    lifecycle: Mapped[str] = mapped_column(String(16), default="active")
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]
    document: Mapped[dict[str, Any]]
    created: Mapped[datetime]


class SlaTerms(Table):
    """One version of the promises of a class: availability, response, restoration, activation, floors."""
    __tablename__ = "sla_terms"
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]
    document: Mapped[dict[str, Any]]
