"""The terminal: the tables, what is said of coverage, and nothing a terminal would obey."""
from __future__ import annotations

import io
import sys
from typing import Any

from dpi.reports.document import Report, Table, shown, text_columns
from dpi.reports.language import Language
from dpi.reports.terminal import clean
from dpi.reports.wording import heads

SUFFIX = ".txt"
_COLOURS = {"good": "green", "bad": "red", "unknown": "yellow"}


def write(report: Report, say: Language) -> bytes:
    """In colour where standard output is a terminal, as wide as it is; elsewhere so wide that no figure is broken."""
    from rich.console import Console
    from rich.text import Text

    live = sys.stdout.isatty()
    out = io.StringIO()
    console = Console(file=out, force_terminal=live, width=None if live else 200, highlight=False, emoji=False)
    console.print(Text(report.title(say), "bold"), Text(report.question(say), "dim"))
    for heading, words in heads(report, say):
        console.print(Text(f"{heading}: ", "dim") + Text(clean(words)))
    told = report.statement.verdict
    console.print(Text(f"{say('report.coverage')}: ", "dim") + Text(told.text(say), _COLOURS[told.state]))
    for name, kind, value in report.facts:
        console.print(Text(f"{name(say)}: ", "dim") + Text(clean(shown(value, kind, say))))
    for table in report.tables:
        console.print()
        if table.rows:
            console.print(_table(table, say))
        else:
            console.print(Text(table.title(say), "bold"), Text(say("report.nothing")))
        for note in table.notes:
            console.print(Text(clean(note(say)), "dim"))
    if report.notes:
        console.print()
    for note in report.notes:
        console.print(Text(clean(note(say))))
    return out.getvalue().encode()


def _table(table: Table, say: Language) -> Any:
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(title=Text(table.title(say), "bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, title_style="")
    left = text_columns(table.columns)
    for nth, column in enumerate(table.columns):
        grid.add_column(Text(column.heading(say)), justify="left" if left[nth] else "right", vertical="bottom", overflow="fold",
                        min_width=10 if nth == 0 else None)
    lines = table.lines(say)
    for nth, (which, row) in enumerate(lines):
        cells = [_cell(clean(shown(value, column.kind if which == "row" or k else "text", say), 48), column.kind)
                 for k, (column, value) in enumerate(zip(table.columns, row, strict=True))]
        ends = which == "row" and nth + 1 < len(lines) and lines[nth + 1][0] != "row"
        grid.add_row(*cells, style="bold" if which == "total" else "dim" if which == "rest" else None, end_section=ends)
    return grid


def _cell(words: str, kind: str) -> Any:
    """A figure is not broken over lines, a text may be."""
    from rich.text import Text

    return Text(words if kind == "text" else words.replace(" ", "\N{NO-BREAK SPACE}"))
