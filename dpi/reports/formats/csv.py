"""CSV: the first table in raw values, with what else is said in lines that begin with #; a text that a spreadsheet would take for a formula is quoted off."""
from __future__ import annotations

import csv
import io
from typing import Any

from dpi.flow.figures import iso
from dpi.reports.document import Column, Report, Table
from dpi.reports.language import Language
from dpi.reports.terminal import clean

SUFFIX = ".csv"


def write(report: Report, say: Language) -> bytes:
    """A block for each table after a line `# name`: a header of column names, rows, then the others and the total, each with its name in `line`."""
    out = io.StringIO()
    out.write(f"# {report.name} {iso(report.begin)} {iso(report.end)} {report.zone}\r\n# {report.statement.verdict.text(say)}\r\n")
    for note in report.notes:
        out.write(f"# {' '.join(note(say).split())}\r\n")
    for table in report.tables:
        out.write(f"# {table.name}\r\n")
        _table(csv.writer(out), table, say)
    return out.getvalue().encode("utf-8", "replace")


def unformulaic(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _table(lines: Any, table: Table, say: Language) -> None:
    lines.writerow(["line", *(column.name for column in table.columns)])
    for which, row in table.lines(say):
        lines.writerow([which, *(_cell(value, column) for column, value in zip(table.columns, row, strict=True))])


def _cell(value: Any, column: Column) -> Any:
    if value is None:
        return ""
    if isinstance(value, str):
        return unformulaic(clean(value))
    if column.kind in ("time", "date"):
        return iso(value)
    return repr(value) if isinstance(value, float) else value
