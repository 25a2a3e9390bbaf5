"""Usage as it is stored, beside what the slow twin makes of the flows."""
from __future__ import annotations

from typing import Any

from dpi.usage.definition import STEPS, figures, keys
from tests.oracle import usage as twin


def stored(store: Any, table: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The rows of a usage table as anyone reads them, without those of nothing."""
    names = ("probe", "capture_id", *keys(table))
    found = store.query(f"SELECT toUnixTimestamp64Second(time), probe, toString(capture_id), {', '.join((*keys(table), *figures(table)))} FROM {table} FINAL")
    rows = {(int(row[0]), row[1], int(row[2]), *row[3:len(names) + 1]): dict(zip(figures(table), row[len(names) + 1:], strict=True)) for row in found}
    assert len(rows) == len(found)
    return {key: row for key, row in rows.items() if any(value for name, value in row.items() if name != "rtt_histogram")}


def check(store: Any, *batches: Any, tables: tuple[str, ...] = tuple(STEPS)) -> None:
    """The store holds what the slow twin makes of these flows."""
    lines = [line for batch in batches for line in twin.lines(batch)]
    for table in tables:
        expected = getattr(twin, table)(lines)
        found = stored(store, table)
        assert found.keys() == expected.keys()
        for key, row in expected.items():
            assert found[key] == {name: [] if name == "rtt_histogram" else 0 for name in figures(table)} | row, (table, key)
