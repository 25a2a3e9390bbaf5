"""Whose the rows are of what fires, or nearly does: customers and services by key of the table of counts, in bounded memory."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dpi.batch import AnyColumn, Array, Batch, coded
from dpi.grouping import groups
from dpi.security.counted import Key
from dpi.security.detector import Rule
from dpi.security.gauge import SERVER, SERVER_NET

KEYS = 1 << 17              # keys that are held; beyond, all are forgotten: entries that made room for others before they were told
CUSTOMERS = 1000            # told apart for a key
COLUMNS = ("client_customer_id", "client_service_id", "server_customer_id", "server_service_id")


def ends(batch: Batch, rows: Array) -> tuple[Mapping[str, AnyColumn], Array]:
    """Columns that say whose the ends of rows int64[n] of a batch are, and where in them each row is. Of messages only the client's owner is known; all are
    looked up at once."""
    if batch.table == "flows":
        return batch.columns, rows
    if batch.whose is None or not len(rows):
        return {}, rows
    return batch.whose(rows if batch.places is None else batch.places[rows]), np.arange(len(rows))


def hit_at_server(rule: Rule) -> bool:
    """Whether who is hit, or else who does it, is at the server's end of the rule's rows."""
    return (rule.key in (SERVER, SERVER_NET)) == rule.victim


class Owners:
    """Of keys (rule, ..., slot)."""

    def __init__(self) -> None:
        self._held: dict[Key, tuple[dict[str, None], dict[str, None]]] = {}

    def learn(self, keys: Sequence[Key], at_server: Array, which: Array, columns: Mapping[str, AnyColumn], rows: Array) -> None:
        """Rows int64[n] count for keys[which[n]], int64[n]: note the owners of the ends that are hit (at_server bool[n]), else of the others. What many rows
        of a key have in common is looked at once."""
        if len(self._held) + len(keys) > KEYS:
            self._held.clear()
        words, codes = zip(*(_looked_up(columns, name, rows) for name in COLUMNS))
        alike = np.ascontiguousarray(np.column_stack([which, at_server, *codes]).astype(np.int64))
        first, _ = groups(alike.view(f"V{alike.itemsize * alike.shape[1]}").ravel())
        for number, server, *here in alike[np.sort(first)].tolist():
            client, client_service, owner, service = (words[k][code] if len(words[k]) else "" for k, code in enumerate(here))
            sides = ((owner, service), (client, client_service))
            customers, services = self._held.setdefault(keys[number], ({}, {}))
            for customer, its_service in sides if server else sides[::-1]:
                if customer:
                    if len(customers) < CUSTOMERS:
                        customers[customer] = services[its_service] = None
                    break

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


def _looked_up(columns: Mapping[str, AnyColumn], name: str, rows: Array) -> tuple[Sequence[str], Array]:
    """Words of a column, and which of them rows have; no words where there is no such column."""
    column = columns.get(name)
    if column is None or not len(rows):
        return (), np.zeros(len(rows), np.int64)
    words, codes = coded(column).lookup
    return words, np.asarray(codes)[rows]
