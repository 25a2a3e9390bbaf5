"""What an engine answers: rows as a Result, a refusal as one line for a person. The same for an engine here, beside, or behind HTTP."""
from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from dpi.errors import UserError
from dpi.store import Result, plain
from dpi.store.directory import in_use


def result(text: bytes) -> Result:
    """The rows of an answer in the format JSONCompact: addresses plain, 64-bit numbers int. No text: no columns and no rows."""
    if not text:
        return Result([], [])
    body = json.loads(text)
    types = [one["type"] for one in body["meta"]]
    rows: list[tuple[Any, ...]] = [tuple(row) for row in body["data"]]
    if any("IPv6" in one for one in types):
        shown = ["IPv6" in one for one in types]
        rows = [tuple(plain(value) if ip else value for value, ip in zip(row, shown, strict=True)) for row in rows]
    return Result([one["name"] for one in body["meta"]], types, rows)


def told(text: str, path: Path, sql: str = "") -> UserError:
    """An engine's error as one line. path: of its store; sql: the question, '' where nobody asked one."""
    where = str(path)
    if "Cannot lock file" in text or "already running" in text or "CANNOT_OPEN_FILE" in text and "lock" in text.lower():
        return in_use(path)
    if "already initialized with path" in text:
        return UserError("this process has another store open", where, "close that one first: an embedded engine serves one path at a time")
    if "No space left" in text or "NOT_ENOUGH_SPACE" in text or "Cannot reserve" in text or "ENOSPC" in text:
        return UserError("the disk is full", where, "free some space, or name a store on another disk with --store")
    if "Permission denied" in text or "Read-only file system" in text:
        return UserError("no permission to write the store", where, "name another path with --store chdb:///path")
    if "READONLY" in text:
        return UserError("only reading is allowed here", where, "ask with SELECT, SHOW, DESCRIBE or EXPLAIN")
    return UserError(first_line(text), where if not sql else "query", "" if sql else "see `fullspan doctor`")


def first_line(text: str) -> str:
    """The engine's message without its code, stack and version."""
    found = re.search(r"DB::Exception: (.*)", text, re.DOTALL)
    line = " ".join((found.group(1) if found else text).split())
    line = re.sub(r"(:? While executing .*|\. Expected one of.*|Stack trace.*|\. In scope .*|\(version .*|\([A-Z_]+\)$)", "", line)
    return line[:300].strip(". ")
