"""TRANSACTION records become Batches of their tables, column by column as dpi/schema.py says (`Column.slot`)."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.batch import NULLS, Batch, Coded
from dpi.classify.vocabulary import WORDS
from dpi.flow.facts import TRANSACTION
from dpi.flow.rows import texts
from dpi.schema import KINDS, TABLES, TRANSACTION_TABLES, Column

#: Numbers that mean "not known" where 0 could be meant: negative ones.
_SECONDS = {"not_before", "not_after"}      # parsers give epoch seconds


def _number(table: str, column: Column, values: np.ndarray[Any, Any]) -> Any:
    """A number field as its column."""
    words = WORDS.get((table, column.name))
    if words is not None:
        distinct, codes = np.unique(values, return_inverse=True)
        return Coded(codes.ravel().astype(np.uint32), [words(int(value)) for value in distinct])
    if column.name in _SECONDS:
        return np.where(values == 0, NULLS["time?"], np.clip(values, -9_000_000_000, 9_000_000_000) * 1_000_000)
    dtype = np.dtype(KINDS[column.kind].numpy)
    if not column.nullable:
        return np.clip(values, 0, min(np.iinfo(dtype).max, (1 << 63) - 1)).astype(dtype)
    null = NULLS[column.kind]
    unknown = values < 0 if column.name != "status" and not column.kind.startswith("time") else values <= 0
    if dtype.kind == "i":
        return np.where(unknown, null, values)
    return np.where(unknown, np.uint64(null), np.clip(values, 0, null - 1 if null < 1 << 63 else (1 << 63) - 1).astype(np.uint64)).astype(dtype)


def transactions(outbox: Any, count: int, *, source: str, capture_id: int, probe: str, boot: int, stored_time: int) -> list[Batch]:
    """The first `count` records as one Batch for each table that has some."""
    records = outbox[:count]
    plain = records.view(np.ndarray)
    out: list[Batch] = []
    for number in np.unique(plain["table"]):
        if not 0 < number < len(TRANSACTION_TABLES):
            continue
        table = TABLES[TRANSACTION_TABLES[int(number)]]
        rows = np.flatnonzero(plain["table"] == number).astype(np.uint32)
        mine = plain[rows]
        n = len(rows)
        columns: dict[str, Any] = {
            "flow_id": mine["flow"] + np.uint64(boot << 40),
            "time": mine["time"].copy(),
            "probe": Coded.same(probe, n), "source": Coded.same(source, n),
            "capture_id": np.full(n, capture_id, np.uint64),
            "direction": Coded(np.minimum(mine["direction"], 1).astype(np.uint16), ["client", "server"]),
            "stored_time": np.full(n, stored_time, np.int64),
        }
        ends = np.minimum(mine["ends"].astype(np.int64), TRANSACTION.fields["text"][0].shape[0])   # type: ignore[index]
        used = mine["texts"].astype(np.int64)
        for column in table.columns:
            if not column.slot:
                continue
            kind, _, place = column.slot.partition(" ")
            k = int(place)
            if kind == "number":
                columns[column.name] = _number(table.name, column, mine["numbers"][:, k])
            else:
                begin = np.zeros(n, np.int64) if k == 0 else ends[:, k - 1]
                length = np.where(used > k, np.maximum(ends[:, k] - begin, 0), 0)
                columns[column.name] = texts(records, TRANSACTION, "text", rows, length, shifts=begin)
        out.append(Batch(table.name, n, columns))
    return out
