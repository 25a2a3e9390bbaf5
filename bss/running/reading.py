"""Files that people bring in: CSV (UTF-8 or GB18030) and XLSX, read whole, within bounds. Cells are text; a formula is refused, not calculated.

The first line has the names of columns, English or Chinese. A last line that begins with `total`, `合计` or `总计` (and may go on with the number of rows, such
as `合计:1000`) states the file's own totals, which are compared with what was read.
"""
from __future__ import annotations

import csv
import hashlib
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from bss.refusal import Refusal
from bss.running.kind import Column, Line

BYTES = 128 << 20           # of a file
UNPACKED = 768 << 20        # of all parts of an XLSX file
PACKED_BY = 400             # a part that is smaller by more is no table
ROWS, COLUMNS, CELL = 200_000, 64, 2000
BEGIN = 20                  # rows that tell how wide a sheet is
EXACT = 10 ** 15            # from here on spreadsheets round numbers
_TOTAL = re.compile(r"(?:total|合计|总计)\s*[::]?\s*(\d*)", re.IGNORECASE)


class Sheet(NamedTuple):
    """lines: rows that say something; stated: the file's own totals, as it writes them; digest: SHA-256 of the file, hex."""
    name: str
    digest: str
    columns: tuple[str, ...]
    lines: list[Line]
    stated: dict[str, str]


def read(path: str | Path, columns: Sequence[Column]) -> Sheet:
    """A file by its path. Refusal: it is too large, no table, or has columns that are not known or lacks one that is needed."""
    file = Path(path)
    try:
        if file.stat().st_size > BYTES:
            raise Refusal("large", f"the file has {file.stat().st_size >> 20} MB", file.name, f"{BYTES >> 20} MB are the most: cut it into several")
        return parse(file.read_bytes(), file.name, columns)
    except OSError as error:
        raise Refusal("invalid", f"the file can't be read: {error.strerror}", str(path), "name another one") from None


def parse(content: bytes, name: str, columns: Sequence[Column]) -> Sheet:
    """The same of a file that was sent."""
    if len(content) > BYTES:
        raise Refusal("large", f"the file has {len(content) >> 20} MB", name, f"{BYTES >> 20} MB are the most: cut it into several")
    rows = _workbook(content, name) if content[:4] == b"PK\x03\x04" else _text(content, name)
    known = {_spelled(spelling): column.name for column in columns for spelling in (column.name, column.zh)}
    head: tuple[str, ...] = ()
    lines: list[Line] = []
    stated: dict[str, str] = {}
    for number, cells in rows:
        if number > ROWS + 2:
            raise Refusal("large", f"the file has more than {ROWS} rows", name, "cut it into several")
        if not any(cells):
            continue
        if not head:
            head = _head(cells, known, columns, name)
            continue
        if len(cells) > len(head) and any(cells[len(head):]):
            raise Refusal("invalid", f"the line has {len(cells)} cells, the first one {len(head)}", f"{name}: line {number}", "give each column a name")
        if stated:
            raise Refusal("invalid", "a line follows the totals", f"{name}: line {number}", "let the line of totals be the last one")
        named = {column: cell for column, cell in zip(head, cells, strict=False) if column}
        total = _TOTAL.fullmatch(next(cell for cell in cells if cell))
        if total is not None:
            stated = {"rows": total[1]} | {column: cell for column, cell in named.items() if cell and not _TOTAL.fullmatch(cell)}
        else:
            lines.append(Line(number, named))
    if not head:
        raise Refusal("invalid", "the file is empty", name, "begin with a line of the columns' names")
    return Sheet(name, hashlib.sha256(content).hexdigest(), head, lines, stated)


def _spelled(text: str) -> str:
    return re.sub(r"[\s_-]+", "_", text.strip().rstrip("*").strip().casefold())


def _head(cells: Sequence[str], known: dict[str, str], columns: Sequence[Column], name: str) -> tuple[str, ...]:
    """The columns by the names that we know."""
    while cells and not cells[-1]:
        cells = cells[:-1]
    if len(cells) > COLUMNS:
        raise Refusal("large", f"the file has {len(cells)} columns", name, f"{COLUMNS} are the most")
    found = []
    for cell in cells:
        if _spelled(cell) not in known:
            raise Refusal("invalid", f"there is no column {cell[:40]!r}", f"{name}: line 1", f"columns are {', '.join(one.name for one in columns)}")
        found.append(known[_spelled(cell)])
    for column in columns:
        if column.needed and column.name not in found:
            raise Refusal("invalid", f"the column {column.name} ({column.zh}) is missing", f"{name}: line 1", "add it")
    if len(set(found)) != len(found):
        raise Refusal("invalid", f"the column {max(found, key=found.count)} is there twice", f"{name}: line 1", "leave one of them")
    return tuple(found)


def _checked(cell: str, number: int, name: str) -> str:
    kept = cell.strip()
    if len(kept) > CELL:
        raise Refusal("large", f"a cell has {len(kept)} characters", f"{name}: line {number}", f"{CELL} are the most")
    if kept[:1] == "=":
        raise Refusal("invalid", "a cell is a formula", f"{name}: line {number}", "write what it comes to")
    return kept


def _text(content: bytes, name: str) -> Iterator[tuple[int, list[str]]]:
    """Lines of a CSV file."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise Refusal("invalid", "the file is neither UTF-8 nor GB18030", name, "save it as CSV UTF-8")
    if "\0" in text:
        raise Refusal("invalid", "the file is no text", name, "bring CSV or XLSX")
    first = text[:text.find("\n") if "\n" in text else len(text)]
    csv.field_size_limit(4 * CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",\t;", key=first.count), strict=True)
    try:
        for cells in reader:
            if len(cells) > 4 * COLUMNS:
                raise Refusal("large", f"the line has {len(cells)} cells", f"{name}: line {reader.line_num}", f"{COLUMNS} columns are the most")
            yield reader.line_num, [_checked(cell, reader.line_num, name) for cell in cells]
    except csv.Error as error:
        raise Refusal("invalid", f"the line is no CSV: {error}", f"{name}: line {reader.line_num}", "mend its quotes") from None


def _workbook(content: bytes, name: str) -> Iterator[tuple[int, list[str]]]:
    """Lines of the first sheet of an XLSX file."""
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            _bounded(parts, name)
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=False, keep_links=False)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()            # what the file says of its size is not to be relied on
        width = max((k + 1 for row in islice(sheet.iter_rows(values_only=True, max_col=4 * COLUMNS), BEGIN) for k, value in enumerate(row)
                     if value is not None), default=1)
        # with a bound on columns each row has that many cells, however far out the file says that one lies
        for number, row in enumerate(sheet.iter_rows(values_only=True, max_col=width + 1), 1):
            yield number, [_checked(_cell(value, number, name), number, name) for value in row]
        book.close()
    except Refusal:
        raise
    except Exception as error:          # whatever a library makes of a broken file
        raise Refusal("invalid", f"the file is no workbook: {str(error)[:100] or type(error).__name__}", name, "save it anew as XLSX or CSV") from None


def _bounded(parts: zipfile.ZipFile, name: str) -> None:
    """Refusal: the parts are larger than a table is, or say what no workbook does."""
    members = parts.infolist()
    if len(members) > 1000 or sum(one.file_size for one in members) > UNPACKED:
        raise Refusal("large", "the workbook unpacks to too much", name, f"{UNPACKED >> 20} MB are the most: bring it as CSV, or cut it into several")
    for one in members:
        if one.file_size > 1 << 20 and one.file_size > PACKED_BY * max(one.compress_size, 1):
            raise Refusal("large", "the workbook is packed like no table", f"{name}: {one.filename}", "bring it as CSV")
        if one.filename.endswith((".xml", ".rels")):
            with parts.open(one) as part:
                if re.search(rb"<!(DOCTYPE|ENTITY)", part.read(4096).replace(b"\0", b""), re.IGNORECASE):
                    raise Refusal("invalid", "the workbook declares entities", f"{name}: {one.filename}", "save it anew as XLSX or CSV")


def _cell(value: Any, number: int, name: str) -> str:
    """A value as text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        if abs(value) >= EXACT:
            raise Refusal("invalid", "a number has more than 15 digits, which spreadsheets round", f"{name}: line {number}",
                          "make the cell text and write it again")
        return str(int(value)) if float(value).is_integer() else repr(value)
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)
