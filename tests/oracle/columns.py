"""Slow twin of what stores and files make of a Batch: each value as plain Python."""
from __future__ import annotations

import datetime
import ipaddress
from typing import Any

import numpy as np

from dpi.batch import NULLS, Batch
from dpi.schema import TABLES, Column

_EPOCH = datetime.datetime(1970, 1, 1)


def address(raw: bytes) -> str:
    """Sixteen bytes as text, IPv4 plain."""
    six = ipaddress.IPv6Address(raw)
    return str(six.ipv4_mapped) if six.ipv4_mapped else str(six)


def moment(us: int) -> str:
    """Microseconds as ISO 8601 with Z."""
    return (_EPOCH + datetime.timedelta(microseconds=us)).isoformat(timespec="microseconds") + "Z"


def value(column: Column, one: Any) -> Any:
    """One cell as JSON lines have it."""
    kind = column.kind
    if kind == "ip":
        return address(bytes(one))
    if kind == "mac" and not isinstance(one, str):
        return ":".join(f"{int(one):012x}"[i:i + 2] for i in range(0, 12, 2)) if one else ""
    if kind in ("codes", "texts"):
        return list(one)
    if kind == "u64s":
        return [int(item) for item in one]
    if isinstance(one, str):
        return one
    number = int(one)
    if kind in NULLS and number == NULLS[kind]:
        return None
    if kind in ("time", "time?"):
        return moment(number)
    if kind == "flag":
        return bool(number)
    return str(number) if kind == "id" else number


def default(column: Column) -> Any:
    """What a column the batch lacks is."""
    if column.nullable:
        return None
    return {"ip": "::", "flag": False, "id": "0", "text": "", "code": "", "mac": "", "codes": [], "texts": [], "u64s": [],
            "time": moment(0)}.get(column.kind, 0)


def rows(batch: Batch) -> list[dict[str, Any]]:
    """Every row, without stored_time where the batch has none."""
    out: list[dict[str, Any]] = [{} for _ in range(batch.count)]
    for column in TABLES[batch.table].columns:
        if column.name not in batch.columns and column.name == "stored_time":
            continue
        values = batch.columns.get(column.name)
        for number in range(batch.count):
            out[number][column.name] = default(column) if values is None else value(column, values[number])
    return out


def same(left: Any, right: Any) -> bool:
    """Equal, whatever numpy types are inside."""
    return bool(np.array_equal(np.asarray(left, object), np.asarray(right, object)))
