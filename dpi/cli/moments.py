"""Moments and lengths of time as people type them."""
from __future__ import annotations

import re
from datetime import UTC, datetime

from dpi.errors import UserError

_UNITS = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}
_PART = re.compile(r"(\d+(?:\.\d+)?)(us|ms|min|s|m|h|d|w)")


def moment(text: str | None, option: str) -> int | None:
    """Microseconds since the epoch of '2024-05-01', '2024-05-01T12:30:00Z', '2024-05-01 12:30+08:00' or seconds since the epoch; UTC where no zone is
    given. UserError naming `option` where it is none of these."""
    if text is None:
        return None
    try:
        if re.fullmatch(r"-?\d+(\.\d+)?", text):
            return round(float(text) * 1_000_000)
        when = datetime.fromisoformat(text)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        span = when - datetime(1970, 1, 1, tzinfo=UTC)
        return (span.days * 86400 + span.seconds) * 1_000_000 + span.microseconds
    except (ValueError, OverflowError):
        raise UserError(f"not a time: {text!r}", option, "write 2024-05-01T12:30:00Z or seconds since 1970") from None


def length(text: str | None, option: str) -> int:
    """Microseconds of '90s', '-1h30m', '+2d'; 0 for None. UserError naming `option` where it is no length of time."""
    if text is None:
        return 0
    sign = -1 if text.startswith("-") else 1
    body = text.lstrip("+-")
    if not re.fullmatch(f"(?:{_PART.pattern})+", body) or len(text) - len(body) > 1:
        raise UserError(f"not a length of time: {text!r}", option, "write 90s, -1h30m or +2d")
    return sign * round(sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(body)))
