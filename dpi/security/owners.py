"""Whose the rows are of what fires, or nearly does: customers and services by key of the table of counts, in bounded memory."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dpi.batch import AnyColumn, Array, Batch
from dpi.security.detector import Rule
from dpi.security.gauge import SERVER, SERVER_NET

KEYS = 1 << 17              # keys that are held; beyond, all are forgotten: entries that made room for others before they were told
CUSTOMERS = 1000            # told apart for a key
Key = tuple[int, ...]


def ends(batch: Batch, rows: Array) -> tuple[Mapping[str, AnyColumn], Array]:
    """Columns that say whose the ends of rows int64[n] of a batch are, and where in them each row is. Of messages only the client's owner is known; all are
    looked up at once."""
    if batch.table == "flows":
        return batch.columns, rows
    if batch.whose is None or not len(rows):
        return {}, rows
    return batch.whose(rows if batch.places is None else batch.places[rows]), np.arange(len(rows))


class Owners:
    """Of keys (rule, ..., slot)."""

    def __init__(self) -> None:
        self._held: dict[Key, tuple[dict[str, None], dict[str, None]]] = {}

    def learn(self, key: Key, rule: Rule, columns: Mapping[str, AnyColumn], row: int) -> None:
        """A row counts for a key: note the owner of the end that is hit, else of the other."""
        if len(self._held) >= KEYS:
            self._held.clear()
        customers, services = self._held.setdefault(key, ({}, {}))
        hit, other = ("server", "client") if (rule.key in (SERVER, SERVER_NET)) == rule.victim else ("client", "server")
        for side in (hit, other):
            customer = _word(columns, f"{side}_customer_id", row)
            if customer:
                if len(customers) < CUSTOMERS:
                    customers[customer] = services[_word(columns, f"{side}_service_id", row)] = None
                return

    def of(self, key: Key) -> tuple[tuple[str, ...], str]:
        """Customers of a key in their order, and the first of its services; '' none."""
        customers, services = self._held.get(key, ({}, {}))
        return tuple(sorted(customers)), min(services, default="")

    def forget(self, key: Key) -> None:
        """A key was told, or is not to be."""
        self._held.pop(key, None)

    def keep(self, wanted: Callable[[Key], bool]) -> None:
        """Forget all others."""
        if self._held:
            self._held = {key: held for key, held in self._held.items() if wanted(key)}


def _word(columns: Mapping[str, AnyColumn], name: str, row: int) -> str:
    found: Any = columns.get(name)
    return "" if found is None else str(found[row])
