"""Parcels: rows of one table on their way to a store, encoded once. What is sent again is the same bytes under the same token, and counts once.

The data has no dictionaries and no types, so every store takes it: `block` names the types as the store it goes to knows them.
"""
from __future__ import annotations

import re
import time
from collections import deque

import numpy as np

from dpi.batch import Batch
from dpi.dataclass import dataclass
from dpi.schema import TABLES
from dpi.store.gathering import Gathering, signature
from dpi.store.native import plain, varint

ROWS = 65_536           # rows after which a parcel goes without waiting for more
_ROOM = 1_024           # rows that memory is taken for at first


@dataclass(frozen=True)
class Parcel:
    """Rows of one table. Its place in the order of all is (boot, sequence)."""
    table: str
    rows: int
    probe: str                                  # who sends it
    boot: int                                   # when the sender began, us since the epoch; of two of one probe the later one's is larger
    sequence: int                               # from 0 in each boot
    stored_time: int                            # us since the epoch, of all its rows; no two parcels of a probe have the same
    columns: tuple[tuple[str, bytes], ...]      # names in the table's order, and the data of each

    @property
    def token(self) -> str:
        """What tells it from all others: letters, digits and _ . -"""
        return f"{re.sub('[^A-Za-z0-9_.]', '_', self.probe)}-{self.boot}-{self.sequence}"

    @property
    def order(self) -> tuple[int, int]:
        """Earlier parcels come first."""
        return self.boot, self.sequence

    @property
    def names(self) -> list[str]:
        """Of its columns."""
        return [name for name, _data in self.columns]

    @property
    def size(self) -> int:
        """Bytes of its data."""
        return sum(len(data) for _name, data in self.columns)

    def block(self, dialect: str = "modern") -> bytes:
        """One Native block, its types named in that dialect ('modern' or 'legacy')."""
        table = TABLES[self.table]
        pieces = [varint(len(self.columns)), varint(self.rows)]
        for name, data in self.columns:
            kind = table.column(name).type(dialect).replace("LowCardinality(String)", "String")
            for word in (name.encode(), kind.encode()):
                pieces += [varint(len(word)), word]
            # a DateTime of an old server has 4 bytes
            pieces.append(np.frombuffer(data, "<i8").astype("<u4").tobytes() if kind == "DateTime" else data)
        return b"".join(pieces)


class Packing:
    """Batches put together by table and columns until a parcel is worth sending. Not for several threads at once, but `pack` may run beside `add`."""

    def __init__(self, probe: str, rows: int = ROWS, boot: int = 0) -> None:
        """boot: us since the epoch, 0 for now."""
        self.probe, self.boot = probe, boot or time.time_ns() // 1000
        self._rows = rows
        self._gathered: dict[tuple[str, ...], Gathering] = {}
        self._full: deque[Gathering] = deque()
        self._sequence = self._stored = 0
        self.rows = 0               # held here
        self.oldest = 0.0           # s since the epoch: when the first row of those held came, 0 where there is none

    @property
    def full(self) -> bool:
        """Whether a parcel is due without waiting."""
        return bool(self._full)

    def add(self, batch: Batch) -> None:
        """Take rows; nothing of the batch is kept. ValueError for a column the table has not, KeyError for a table there is not."""
        if not batch.count:
            return
        key = signature(batch)
        gathering = self._gathered.get(key)
        if gathering is None:
            gathering = self._gathered[key] = Gathering(batch, _ROOM)
        gathering.add(batch)
        self.rows += batch.count
        self.oldest = self.oldest or time.time()
        if gathering.rows >= self._rows:
            self._full.append(self._gathered.pop(key))

    def take(self, everything: bool) -> list[Gathering]:
        """What is due, or all there is, in the order in which it began or was filled; what says that a minute is complete comes after what the minute had."""
        taken = list(self._full)
        self._full.clear()
        if everything:
            taken += sorted(self._gathered.values(), key=lambda one: one.table == "coverage")
            self._gathered = {}
            self.oldest = 0.0
        elif not self._gathered:
            self.oldest = 0.0
        self.rows -= sum(one.rows for one in taken)
        return taken

    def pack(self, gathering: Gathering) -> Parcel:
        """Its rows as the next parcel, stored now."""
        batch = gathering.batch()
        stored = self._stored = max(time.time_ns() // 1000, self._stored + 1)
        columns = {**batch.columns, "stored_time": np.full(batch.count, stored, np.int64)}
        data = tuple((column.name, b"".join(plain(column, columns[column.name]))) for column in TABLES[batch.table].columns if column.name in columns)
        parcel = Parcel(batch.table, batch.count, self.probe, self.boot, self._sequence, stored, data)
        self._sequence += 1
        return parcel
