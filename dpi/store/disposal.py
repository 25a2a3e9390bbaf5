"""How rows go: by parts of a table in an embedded store, by days (partitions) on a server, and out of a part that is to stay by a mutation.

A part that holds rows under a legal hold stays; what else is in it goes by ALTER TABLE ... DELETE once its day is too old. Servers before 21 drop whole
partitions only and know no `IN PARTITION` of DELETE.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.store import expired
from dpi.store.access import is_stamped
from dpi.store.audit import of_retention, record
from dpi.store.holds import HELD, Hold, condition, every

DAY = 86_400
_UNBOUND = "client_service_id = '' AND server_service_id = ''"
_PARTS = ("SELECT table, name, rows, bytes_on_disk, multiIf(toUnixTimestamp(max_time) > 0, toUnixTimestamp(max_time) + 1, "
          "max_date > '1970-01-01', toUnixTimestamp(toDateTime(max_date + 1, 'UTC')), 0), partition "
          "FROM system.parts WHERE active AND database = currentDatabase()")
#: On a server the day may be one of its own zone, so its end is taken a day later.
_PARTITIONS = ("SELECT table, partition, sum(rows), sum(bytes_on_disk), toUInt32(toDate(partition) + 2) * 86400, partition FROM system.parts "
               "WHERE active AND database = currentDatabase() AND length(partition) = 10 GROUP BY table, partition")


class Asked(Protocol):
    """The store: dpi.store.Store."""
    url: str

    def query(self, sql: str, params: dict[str, Any] | None = None) -> Any: ...


@dataclass(frozen=True)
class Part:
    """A part of a table; newest: when its newest row was stored, s since the epoch, or a little later; 0: not known. day: its partition."""
    table: str
    name: str
    rows: int
    bytes: int
    newest: int
    day: str = ""


class Disposal:
    """Of one store. wait: a mutation is waited for, as a replay that ends must."""

    def __init__(self, store: Asked, wait: bool = False) -> None:
        self._store, self._wait = store, wait
        self._server = store.url.startswith("clickhouse:")
        self._legacy = self._server and getattr(store, "dialect", "modern") == "legacy"
        self._day = "toDate(toDateTime(intDiv(stored_time, 1000000)))" if self._legacy else "toDate(stored_time)"
        self._clean: set[str] = set()           # days of flows without unbound rows
        self.holds: list[Hold] = []

    def parts(self) -> list[Part]:
        """Every part, or on a server every day of a table."""
        self.holds = every(self._store)         # type: ignore[arg-type]
        return [Part(str(table), str(name), int(rows), int(size), int(newest), str(day))
                for table, name, rows, size, newest, day in self._store.query(_PARTITIONS if self._server else _PARTS)]

    def held(self) -> set[tuple[str, str]]:
        """(table, part) of those that hold rows under a hold."""
        if not self.holds:
            return set()
        which = f"toString({self._day})" if self._server else "_part"
        return {(table, str(row[0])) for table in HELD
                for row in self._store.query(f"SELECT DISTINCT {which} FROM {table} WHERE {condition(self.holds, table, self._legacy)}")}

    def drop(self, part: Part, why: str) -> bool:
        """Drop a part. False where it was merged with another meanwhile: that one is looked at the next time."""
        where = f"{self._day} = '{part.name}'" if self._server else f"_part = '{part.name}'"
        if part.table == "flows":
            expired.note(self._store.query, where, why, self._legacy)
        elif part.table == "audit":             # the chain goes on after the rows that went
            last = self._store.query(f"SELECT max(number) FROM audit WHERE {where}").value()
            record(self._store, of_retention(int(last or 0)))          # type: ignore[arg-type]
        try:
            self._store.query(f"ALTER TABLE {part.table} DROP {'PARTITION' if self._server else 'PART'} '{part.name}'")
        except UserError as error:
            if "NO_SUCH_DATA_PART" in str(error) or "No part" in str(error) or "no such part" in str(error).lower():
                return False
            raise
        return True

    def strip(self, part: Part) -> int:
        """Of a part that is too old and stays for a hold, let all else go. How many rows that is."""
        return self._delete(part.table, part.day, part.newest, f"NOT ({condition(self.holds, part.table, self._legacy)})", "age")

    def unbound(self, parts: Iterable[Part], before: float) -> int:
        """Let rows of flows go in which no side is bound, of days that ended before, s since the epoch: where the store knows whose flows are whose."""
        days: dict[str, int] = {}
        for part in parts:
            if part.table == "flows" and part.newest and part.day not in self._clean:
                days[part.day] = max(days.get(part.day, 0), part.newest)
        due = [day for day, newest in days.items() if (newest // DAY + 1) * DAY < before]
        if not due or not is_stamped(self._store.query):
            return 0
        gone = {day: self._delete("flows", day, days[day], _UNBOUND, "unbound") for day in due}
        self._clean |= {day for day, rows in gone.items() if not rows and not self._busy("flows")}
        return sum(gone.values())

    def _busy(self, table: str) -> bool:
        """Whether rows of the table are being taken out."""
        return bool(int(self._store.query(f"SELECT count() FROM system.mutations WHERE table = '{table}' AND database = currentDatabase() "
                                          "AND NOT is_done").value() or 0))

    def _delete(self, table: str, day: str, newest: int, what: str, why: str) -> int:
        """Delete rows of a day that were stored before `newest`; how many. 0 as well where that is under way: it is looked at the next time."""
        where = f"{self._day} = '{day}'" + ("" if self._server else f" AND stored_time < fromUnixTimestamp64Micro({newest * 1_000_000 + 1})") + f" AND ({what})"
        rows = int(self._store.query(f"SELECT count() FROM {table} WHERE {where}").value() or 0)
        if not rows or self._busy(table):
            return 0
        if table == "flows":
            expired.note(self._store.query, where, why, self._legacy)
        if self._server:
            self._store.query(f"ALTER TABLE {table} DELETE WHERE {where}")
        else:
            self._store.query(f"SYSTEM START MERGES {table}")
            self._store.query(f"ALTER TABLE {table} DELETE IN PARTITION '{day}' WHERE {where} SETTINGS mutations_sync = {int(self._wait)}")
        return rows
