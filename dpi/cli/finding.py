"""What `fullspan doctor` finds."""
from __future__ import annotations

from dpi.dataclass import dataclass

GOOD, NOTE, BAD = "ok", "note", "bad"


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""
    name: str
    state: str              # ok, note (works, but ...), bad
    detail: str
    mend: str = ""
