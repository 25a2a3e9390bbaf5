"""Batches for tests: every column of a table with values of its kind, random but repeatable."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.batch import NULLS, Batch, Coded, Lists, Texts
from dpi.schema import KINDS, TABLES

WORDS = ("", "a", "TLS", 'quote " and \\ back', "tab\tline\n", "网络", "x" * 300, "é")
START = 1_334_000_000_000_000       # April 2012


def batch(table: str, count: int, seed: int = 1, start: int = START, span: int = 200_000_000, **given: Any) -> Batch:
    """`count` rows with every column but stored_time; `given` columns replace the random ones."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {}
    for column in TABLES[table].columns:
        kind = column.kind
        if column.name == "stored_time":
            continue
        if (table, column.name) == ("alerts", "alert_id"):         # of the same key one row stays
            columns[column.name] = Texts.of(map(str, range(count)))
        elif kind in ("text", "code"):
            words = [WORDS[i] for i in rng.integers(0, len(WORDS), count)]
            columns[column.name] = Texts.of(words) if rng.integers(2) else Coded.of(words)
        elif kind == "mac":
            columns[column.name] = rng.choice(np.array([0, 1, 0xAABBCCDDEEFF], np.uint64), count)
        elif kind == "ip":
            address = np.zeros((count, 16), np.uint8)
            address[:, 10:12] = 0xFF
            address[:, 12:] = rng.integers(0, 256, (count, 4))
            six = rng.random(count) < 0.3
            address[six] = rng.integers(0, 256, (int(six.sum()), 16))
            columns[column.name] = address
        elif kind in ("codes", "texts", "u64s"):
            offsets = np.zeros(count + 1, np.int64)
            np.cumsum(rng.integers(0, 4, count), out=offsets[1:])
            total = int(offsets[-1])
            words = [WORDS[i] for i in rng.integers(0, len(WORDS), total)]
            values: Any = Coded.of(words) if rng.integers(2) else Texts.of(words)
            if kind == "u64s":
                values = rng.integers(0, 1 << 40, total).astype(np.uint64)
            columns[column.name] = Lists(offsets, values)
        elif kind in ("time", "time?"):
            columns[column.name] = start + rng.integers(0, span, count)
        elif kind == "minute":
            columns[column.name] = (start + rng.integers(0, span, count)) // 60_000_000 * 60
        elif kind == "flag":
            columns[column.name] = rng.integers(0, 2, count).astype(np.uint8)
        else:
            dtype = np.dtype(KINDS[kind].numpy)
            columns[column.name] = rng.integers(0, min(np.iinfo(dtype).max, 1 << 50), count).astype(dtype)
        if kind in NULLS and kind.endswith("?"):
            columns[column.name][rng.random(count) < 0.3] = np.array(NULLS[kind]).astype(columns[column.name].dtype)
    columns.update(given)
    return Batch(table, count, columns)
