"""Lines that every format of a report has at its head and its end."""
from __future__ import annotations

from dataclasses import replace

from dpi import __version__
from dpi.reports.breakdown import DIMENSIONS
from dpi.reports.document import Column, Report, Words
from dpi.reports.language import Language

_FILTERS = ("customer", "service", "application", "tag")


def heads(report: Report, say: Language) -> list[tuple[str, str]]:
    """(what, words): the period, the dimension and the filters."""
    out = [(say("report.period"), say("report.period_from_to", begin=say.time(report.begin), end=say.time(report.end), zone=report.zone))]
    if report.by in DIMENSIONS:
        out.append((say("report.by"), DIMENSIONS[report.by].heading(say)))
    only = [f"{DIMENSIONS[name].heading(say)} {report.filters[name]}" for name in _FILTERS if name in report.filters]
    if only:
        out.append((say("report.only"), say("unit.comma").join(only)))
    return out


def maker(report: Report, say: Language) -> str:
    """Who made it, and when."""
    return say("report.made_by", version=__version__, made=say.time(report.made))


def columns(report: Report) -> list[Column]:
    """Every column of its tables once; one that tables call otherwise with all its headings."""
    found: dict[str, list[Column]] = {}
    for column in (column for table in report.tables for column in table.columns):
        found.setdefault(column.name, []).append(column)
    return [replace(same[0], heading=Words(*(" / ".join(dict.fromkeys(text)) for text in zip(*((one.heading.en, one.heading.zh) for one in same)))))
            for same in found.values()]
