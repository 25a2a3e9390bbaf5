"""A workbook: a sheet for each table with typed cells, and one that says of what time, with what coverage and what the columns mean."""
from __future__ import annotations

import io
from datetime import datetime
from typing import Any

from dpi.reports.document import Column, Report, Table
from dpi.reports.language import Language
from dpi.reports.period import local
from dpi.reports.terminal import clean
from dpi.reports.wording import columns, heads, maker

SUFFIX = ".xlsx"
_FORMS = {"time": "yyyy-mm-dd hh:mm", "date": "yyyy-mm-dd", "count": "#,##0", "bytes": "#,##0", "rate": "#,##0", "share": "0.0%", "change": "+0.0%;-0.0%;0.0%",
          "delay": "#,##0",
          "span": "#,##0", "days": "#,##0", "number": "#,##0.0"}
_WIDTHS = {"text": 26, "time": 17, "date": 12, "bytes": 19, "rate": 19}


def write(report: Report, say: Language) -> bytes:
    """Figures are numbers in the unit that the head of the column names; times are those of the report's zone."""
    from xlsxwriter import Workbook

    out = io.BytesIO()
    book = Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "nan_inf_to_errors": True})
    book.set_properties({"title": report.title(say), "subject": report.question(say), "created": datetime.fromtimestamp(report.made / 1e6)})
    used: set[str] = set()
    for table in report.tables:
        _sheet(book, table, _named(table.title(say), used), say)
    _about(book, report, _named(say("report.coverage"), used), say)
    book.close()
    return out.getvalue()


def _named(title: str, used: set[str]) -> str:
    """A name that a sheet may have, and that no other has."""
    name = "".join(" " if letter in "[]:*?/\\'" else letter for letter in clean(title))[:28].strip() or "-"
    while name.lower() in used:
        name = f"{name[:26]} {len(used)}"
    used.add(name.lower())
    return name


def _head(column: Column, say: Language) -> str:
    unit = column.unit if column.kind in ("bytes", "rate", "delay", "span") else ""
    return f"{column.heading(say)} ({unit})" if unit else column.heading(say)


def _sheet(book: Any, table: Table, name: str, say: Language) -> None:
    sheet = book.add_worksheet(name)
    head = {align: book.add_format({"bold": True, "bg_color": "#1f4e86", "font_color": "#ffffff", "text_wrap": True, "valign": "vcenter", "align": align})
            for align in ("left", "right")}
    styles = {"row": {}, "rest": {"font_color": "#5b6775", "italic": True}, "total": {"bold": True, "top": 1, "bg_color": "#f4f6f9"}}
    forms = {(which, kind): book.add_format({**style, **({"num_format": _FORMS[kind]} if kind in _FORMS else {})})
             for which, style in styles.items() for kind in {column.kind for column in table.columns} | {"text"}}
    sheet.set_row(0, 30)
    for nth, column in enumerate(table.columns):
        sheet.write_string(0, nth, _head(column, say), head["left" if column.kind in ("text", "time", "date") else "right"])
        sheet.set_column(nth, nth, _WIDTHS.get(column.kind, 13) if nth or column.kind != "text" else 34)
    sheet.freeze_panes(1, 1)
    for at, (which, row) in enumerate(table.lines(say), 1):
        for nth, (column, value) in enumerate(zip(table.columns, row, strict=True)):
            _cell(sheet, at, nth, value, column.kind, forms, which, say)
    if table.rows:
        sheet.autofilter(0, 0, len(table.rows), len(table.columns) - 1)
    else:
        sheet.write_string(1, 0, say("report.nothing"))
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)


def _cell(sheet: Any, at: int, nth: int, value: Any, kind: str, forms: dict[Any, Any], which: str, say: Language) -> None:
    """None stays empty: it is no figure."""
    form = forms[which, kind]
    if value is None:
        sheet.write_blank(at, nth, None, form)
    elif isinstance(value, str):
        sheet.write_string(at, nth, clean(value)[:32000], forms[which, "text"])
    elif kind in ("time", "date"):
        sheet.write_datetime(at, nth, local(value, say.zone).replace(tzinfo=None), form)
    else:
        sheet.write_number(at, nth, value, form)


def _about(book: Any, report: Report, name: str, say: Language) -> None:
    sheet, bold = book.add_worksheet(name), book.add_format({"bold": True})
    wrap, title = book.add_format({"text_wrap": True, "valign": "top"}), book.add_format({"bold": True, "font_size": 14})
    form = book.add_format({"num_format": "#,##0", "align": "left"})
    sheet.set_column(0, 0, 30)
    sheet.set_column(1, 1, 110)
    sheet.write_string(0, 0, report.title(say), title)
    at = 1
    lines: list[tuple[str, Any]] = [*heads(report, say), (say("report.coverage"), report.statement.verdict.text(say)),
                                    *(("", one.text(say)) for one in report.statement.sentences), *report.statement.figures.items(),
                                    *(("", note(say)) for note in report.notes), (say("report.made"), maker(report, say)),
                                    (say("report.definition"), ""), *((_head(column, say), column.meaning(say)) for column in columns(report))]
    for what, value in lines:
        sheet.write_string(at, 0, what, bold)
        if isinstance(value, int):
            sheet.write_number(at, 1, value, form)
        else:
            sheet.write_string(at, 1, clean(value), wrap)
        at += 1
