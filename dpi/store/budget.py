"""What a store may keep: so many days of each kind of rows, and an embedded one so many bytes. `dpi/store/keeping.py` holds it to that."""
from __future__ import annotations

from typing import Any

from dpi.dataclass import dataclass
from dpi.schema import TABLES, TRANSACTION_TABLES

MESSAGES = tuple(name for name in TRANSACTION_TABLES if name)
RAW = ("flows", "sessions", *MESSAGES)
FOLDED = ("coverage", "link_state", *(name for name, table in TABLES.items() if table.folds))
USAGE = tuple(name for name in TABLES if name.startswith("usage_") or name in ("detections", "alerts", "alert_actions"))
NOTED = ("audit", "expired")


@dataclass(frozen=True)
class Budget:
    """0: no limit. bytes: of flows, messages, rollups and coverage together; days since rows were stored, of flows and sessions, of dns, tls, http and files,
    of usage, rollups and coverage, of audit rows, and of flows in which no side is bound."""
    bytes: int = 0
    flows: int = 0
    messages: int = 0
    folded: int = 0
    audit: int = 0
    unbound: int = 0

    @property
    def days(self) -> dict[str, int]:
        """By table, where there is a limit."""
        given = {"flows": self.flows, "sessions": self.flows, **dict.fromkeys(MESSAGES, self.messages), **dict.fromkeys((*FOLDED, *USAGE), self.folded),
                 **dict.fromkeys(NOTED, self.audit)}
        return {table: days for table, days in given.items() if days}

    def __bool__(self) -> bool:
        return bool(self.bytes or self.days or self.unbound)


def budget_of(settings: Any, replay: bool = False) -> Budget:
    """From the settings (dpi.settings.Settings). replay: rows of a replay have no age unless [retention] replays = 1 says so."""
    kept, room = settings.retention, settings.store.max_mb << 20
    if replay and not kept.replays:
        return Budget(room)
    return Budget(room, kept.flows, kept.messages, kept.usage, kept.audit, kept.unbound_flows)
