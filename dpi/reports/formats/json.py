"""JSON: raw values, times as ISO 8601, every column with its unit."""
from __future__ import annotations

import json
from typing import Any

from dpi.flow.figures import iso
from dpi.reports.document import REST, Chart, Column, Report, Table, Words
from dpi.reports.language import Language

SUFFIX = ".json"


def write(report: Report, say: Language) -> bytes:
    """One object; sentences in the language asked for."""
    told = report.statement
    return (json.dumps({
        "report": report.name, "title": report.title(say), "from": iso(report.begin), "to": iso(report.end), "timezone": report.zone, "by": report.by,
        "filters": report.filters, "made": iso(report.made), "empty": report.empty, "read_from": report.sources,
        "coverage": {**told.figures, "verdict": told.verdict.text(say), "sentences": [one.text(say) for one in told.sentences]},
        "facts": [{"name": heading(say), "value": value, "kind": kind} for heading, kind, value in report.facts],
        "tables": [_table(table, say) for table in report.tables], "charts": [_chart(chart, say) for chart in report.charts],
        "notes": [note(say) for note in report.notes],
    }, ensure_ascii=False, indent=2, allow_nan=False) + "\n").encode()


def _table(table: Table, say: Language) -> dict[str, Any]:
    return {"name": table.name, "title": table.title(say),
            "columns": [{"name": one.name, "kind": one.kind, "unit": one.unit, "heading": one.heading(say)} for one in table.columns],
            "rows": [_row(table, row) for row in table.rows], "others": _row(table, table.rest, 1), "others_count": table.left_out,
            "total": _row(table, table.total, 1), "notes": [note(say) for note in table.notes]}


def _row(table: Table, row: tuple[Any, ...] | None, skip: int = 0) -> dict[str, Any] | None:
    if row is None:
        return None
    return {one.name: raw(value, one) for one, value in list(zip(table.columns, row, strict=True))[skip:]}


def raw(value: Any, column: Column) -> Any:
    """A value as machines read it."""
    return iso(value) if column.kind in ("time", "date") and isinstance(value, int) else value


def _chart(chart: Chart, say: Language) -> dict[str, Any]:
    return {"title": chart.title(say), "from": iso(chart.start), "slot_seconds": chart.width, "kind": chart.kind,
            "series": [{"name": name(say) if isinstance(name, Words) else say("report.rest_short") if name == REST else name, "values": values}
                       for name, values in chart.series]}
