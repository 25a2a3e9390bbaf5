"""The slow twin of dpi.tagging: a test asked of one row, a dict of plain Python values, at a time."""
from __future__ import annotations

import fnmatch
import ipaddress
import re
from typing import Any

from dpi.batch import NULLS, Batch, mac
from dpi.schema import TABLES
from dpi.tagging.tree import Among, Column, Compare, Flag, Holds, Inside, Join, Match, Node, Not, Number


def rows_of(batch: Batch) -> list[dict[str, Any]]:
    """Rows of flows: numbers and times int or None, addresses 16 bytes, text str, lists list."""
    rows: list[dict[str, Any]] = [{} for _ in range(batch.count)]
    for column in TABLES["flows"].columns:
        if column.name not in batch.columns:
            continue
        for row, value in zip(rows, batch.columns[column.name], strict=True):
            if column.kind == "ip":
                row[column.name] = bytes(value)
            elif column.kind == "mac":
                row[column.name] = mac(int(value))
            elif isinstance(value, str | list):
                row[column.name] = value
            else:
                row[column.name] = None if column.nullable and int(value) == NULLS[column.kind] else int(value)
    return rows


def value(node: Any, row: dict[str, Any]) -> Any:
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Column):
        return row[node.name]
    left, right = value(node.left, row), value(node.right, row)
    if left is None or right is None:
        return None
    return float(left) + float(right) if node.op == "+" else float(left) - float(right) if node.op == "-" else float(left) * float(right)


def _matches(how: str, text: str, word: str) -> bool:
    if how == "under":
        text, word = (re.sub("[A-Z]", lambda found: found.group().lower(), one) for one in (text, word))
        return text == word or text.endswith("." + word)
    if how == "like":
        return fnmatch.fnmatchcase(text, word.replace("[", "[[]"))
    return {"==": text == word, "contains": word in text, "startswith": text.startswith(word), "endswith": text.endswith(word)}[how]


def holds(node: Node, row: dict[str, Any]) -> bool:
    """Whether the test is true for the row."""
    if isinstance(node, Not):
        return not holds(node.of, row)
    if isinstance(node, Join):
        found = [holds(one, row) for one in node.of]
        return all(found) if node.op == "and" else any(found)
    if isinstance(node, Flag):
        return bool(row[node.of.name])
    if isinstance(node, Compare):
        left, right = value(node.left, row), value(node.right, row)
        if left is None or right is None:
            return False
        return bool({"==": left == right, "!=": left != right, "<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[node.op])
    if isinstance(node, Among):
        found_value = value(node.of, row)
        return found_value is not None and any(least <= found_value <= most for least, most in node.ranges)
    if isinstance(node, Match):
        return any(_matches(node.how, row[node.of.name], word) for word in node.words)
    if isinstance(node, Inside):
        address = ipaddress.IPv6Address(row[node.of.name])
        return any(address in ipaddress.IPv6Network((network, bits)) for network, bits in node.networks)
    assert isinstance(node, Holds)
    return node.word in row[node.of.name]
