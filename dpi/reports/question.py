"""What every question asked of the store shares: which rows are meant, and how an answer is read."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any

from dpi.dataclass import dataclass
from dpi.flow.figures import BOUNDS, Delays, Share, counted
from dpi.store import Store

#: Wire bytes and packets of a row, flows opened, and what a row is shown under: its application, else its protocol.
WIRE = "(client_wire_bytes + server_wire_bytes)"
PACKETS = "(client_packets + server_packets)"
SUMS = f"countIf(interval = 0) AS flows, sum({PACKETS}) AS packets, sum({WIRE}) AS bytes"
LABEL = "if(application != '', application, protocol)"
NAMED = "application != ''"


@dataclass
class Question:
    """Rows of some captures (none: all) whose interval or time lies in [since, until), us."""
    store: Store
    captures: Sequence[int] = ()
    since: int | None = None
    until: int | None = None
    table: str = field(default="flows", repr=False)

    def where(self, table: str = "flows", more: str = "") -> str:
        """The WHERE clause for a table."""
        column = "interval_start" if table == "flows" else "time"
        parts = [f"capture_id IN ({', '.join(str(int(one)) for one in self.captures)})"] if self.captures else []
        if self.since is not None:
            parts.append(f"toUnixTimestamp64Micro({column}) >= {int(self.since)}")
        if self.until is not None:
            parts.append(f"toUnixTimestamp64Micro({column}) < {int(self.until)}")
        parts += [f"({more})"] if more else []
        return f"WHERE {' AND '.join(parts)}" if parts else ""

    def rows(self, select: str, table: str = "flows", more: str = "", tail: str = "") -> list[tuple[Any, ...]]:
        """SELECT ... FROM table WHERE (what is meant) ..."""
        return list(self.store.query(f"SELECT {select} FROM {table} {self.where(table, more)} {tail}").rows)

    def shares(self, expression: str, top: int, more: str = "", by: str = "bytes") -> list[Share]:
        """A ranking of flows by an expression."""
        return [counted(str(row[0]), row[1:4])
                for row in self.rows(f"{expression} AS name, {SUMS}", more=more, tail=f"GROUP BY name ORDER BY {by} DESC, toString(name) LIMIT {top}")]

    def counts(self, expression: str, table: str, top: int, more: str = "", empty: bool = False) -> list[Share]:
        """A ranking of rows of a table by an expression; the empty word left out unless asked for."""
        found = self.rows(f"{expression} AS name, count() AS flows", table, more,
                          f"GROUP BY name {'' if empty else HAVING} ORDER BY flows DESC, name LIMIT {top}")
        return [Share(str(name), int(count)) for name, count in found]

    def delays(self, column: str, table: str = "flows") -> Delays:
        """The histogram of a nullable delay."""
        bounds = ", ".join(map(str, BOUNDS))
        out = Delays()
        places = {bound: k for k, bound in enumerate(BOUNDS)}
        for bound, count in self.rows(f"roundDown(toUInt32(assumeNotNull({column})), [{bounds}]) AS bin, count()", table, f"{column} IS NOT NULL",
                                      "GROUP BY bin"):
            out.counts[places[int(bound)]] += int(count)
        return out


HAVING = "HAVING name != ''"
