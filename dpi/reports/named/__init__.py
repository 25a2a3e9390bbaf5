"""Reports that answer one question each, `fullspan report NAME`. A file here is a report: the registry finds it, no list is edited.

A file has `REPORT`, a `Named`, whose `make` fills a Report with tables and charts. Reports are strangers: what they share is beside this folder.
"""
from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path

from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.reports.document import Column, Report, Words
from dpi.reports.request import Request
from dpi.reports.statement import statement


@dataclass(frozen=True)
class Named:
    """title, question: at its head. dimensions: what --by may be, the first where it is not given. filters: which of --customer, --service, --application
    and --tag it takes. columns: every column that its tables may have, for the docs. make: fills the tables and charts."""
    title: Words
    question: Words
    dimensions: tuple[str, ...]
    filters: tuple[str, ...]
    columns: tuple[Column, ...]
    make: Callable[[Request, Report], None]


@cache
def registry() -> dict[str, Named]:
    """Every report by the name of its file, in order."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
    return {name: import_module(f"{__name__}.{name}").REPORT for name in names}


def names() -> list[str]:
    """Their names, without importing them."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def make(name: str, ask: Request) -> Report:
    """The report. UserError where it has no such dimension or filter, or where there is no store to ask."""
    one = registry()[name]
    by = ask.by or one.dimensions[0]
    if by not in one.dimensions:
        raise UserError(f"the report {name} is not made by {by}", "--by", f"it is made by {', '.join(one.dimensions)}")
    for given in ask.filters:
        if given not in one.filters:
            raise UserError(f"the report {name} can't be narrowed by {given}", f"--{given}",
                            f"it takes {', '.join(f'--{known}' for known in one.filters)}" if one.filters else "leave it out")
    report = Report(name, one.title, one.question, ask.begin, ask.end, ask.zone.key, by, dict(ask.filters), ask.now or time.time_ns() // 1000, statement(ask))
    one.make(replace(ask, by=by), report)
    return report
