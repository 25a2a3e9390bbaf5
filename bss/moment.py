"""Times: UTC within, the operator's time zone at the edges. A time without a zone is refused, not guessed."""
from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import DateTime
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from bss.refusal import Refusal


class Moment(TypeDecorator[datetime]):
    """A column of aware times, UTC in the database whatever it is."""
    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone: {value}")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)      # type: ignore[no-any-return]


def read(text: str, zone: ZoneInfo, where: str = "") -> datetime:
    """A time or a day as a person writes it (ISO 8601); a day is its beginning, and without an offset both are of `zone`. Refusal: it is neither."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Refusal("invalid", f"{text!r} is no time", where, "write it as 2026-12-01 or 2026-12-01T08:00:00+08:00") from None
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


def iso(moment: datetime | None, zone: ZoneInfo | None = None) -> str | None:
    """As an interface shows it, in `zone` or UTC."""
    if moment is None:
        return None
    if zone is None and moment.tzinfo is UTC and not moment.microsecond:
        return moment.isoformat()[:-6] + "Z"
    return moment.astimezone(zone or UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def begin_of(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a day there, in UTC."""
    return datetime.combine(day, time(), zone).astimezone(UTC)
