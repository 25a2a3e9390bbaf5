"""What a named report is, whatever it is written as: a title, a period, what is said of its coverage, tables with typed cells, charts.

Every format (dpi/reports/formats) writes the same object, so that a figure is the same in all of them. Times are microseconds since the epoch.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any

from dpi.dataclass import dataclass
from dpi.reports.language import Language

#: Kind of a cell -> the unit of its raw value ('' none). JSON, CSV and XLSX hold raw values, the others words.
KINDS = {"text": "", "time": "us since 1970", "date": "us since 1970", "count": "", "bytes": "bytes", "rate": "bit/s", "share": "0..1", "change": "1 = 100 %",
         "delay": "us", "span": "s", "days": "days", "number": ""}


@dataclass(frozen=True)
class Words:
    """The same in both languages."""
    en: str
    zh: str

    def __call__(self, say: Language) -> str:
        return self.zh if say.code == "zh" else self.en


@dataclass(frozen=True)
class Column:
    """A column: its name in JSON and CSV, what kind of value it holds, its heading, and what it means."""
    name: str
    kind: str
    heading: Words
    meaning: Words

    @property
    def unit(self) -> str:
        return KINDS[self.kind]


#: First columns whose words have names in each language -> the section of these.
_KNOWN = {"category": "category", "severity": "severity", "alert_severity": "severity"}


@dataclass
class Table:
    """Rows of raw values in the order of `columns`; None: not known. `rest` is what was left out below the top, `total` is everything."""
    name: str
    title: Words
    columns: tuple[Column, ...]
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    rest: tuple[Any, ...] | None = None
    total: tuple[Any, ...] | None = None
    left_out: int = 0           # lines that `rest` stands for
    notes: list[Words] = field(default_factory=list)
    bar: str = ""               # the column that is drawn as a bar
    empty: Words = Words("none", "无")      # how a first cell without a value is called

    def lines(self, say: Language) -> list[tuple[str, tuple[Any, ...]]]:
        """All lines as ('row', 'rest' or 'total', raw values); the first cell of the last two names them."""
        first = self.columns[0].name
        known = _KNOWN.get(first)
        out = [("row", (self.empty(say) if row[0] == "" else say.known(known, row[0]) if known else row[0], *row[1:])) for row in self.rows]
        if self.rest is not None:
            out.append(("rest", (say("report.rest", count=say.count(self.left_out)), *self.rest[1:])))
        if self.total is not None:
            out.append(("total", (say("report.total"), *self.total[1:])))
        return out


#: Name of the series of all others: no name of the wire has a NUL.
REST = "\0rest"


@dataclass
class Chart:
    """Courses of time: values of slots `width` s wide from `start`; None where it is not known."""
    title: Words
    start: int
    width: int
    series: list[tuple[str | Words, list[float | None]]]
    kind: str = "rate"
    stacked: bool = False
    limit: float = 0.0          # a line to compare with, such as a capacity; 0: none
    empty: Words = Words("none", "无")      # how a series without a name is called
    notes: list[Words] = field(default_factory=list)


@dataclass(frozen=True)
class Told:
    """One sentence. `state`: good, bad, or unknown."""
    text: Words
    state: str


@dataclass
class Statement:
    """How much of the traffic of the period the figures stand for."""
    figures: dict[str, int] = field(default_factory=dict)
    verdict: Told = field(default_factory=lambda: Told(Words("", ""), "unknown"))
    sentences: list[Told] = field(default_factory=list)


@dataclass
class Report:
    """A report, ready to be written."""
    name: str
    title: Words
    question: Words
    begin: int
    end: int
    zone: str
    by: str
    filters: dict[str, str]
    made: int
    statement: Statement
    tables: list[Table] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    facts: list[tuple[Words, str, Any]] = field(default_factory=list)       # heading, kind, value: the figures at its head
    notes: list[Words] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)                        # tables that it was read from

    @property
    def empty(self) -> bool:
        """Nothing at all was there."""
        return not any(table.rows for table in self.tables)


def shown(value: Any, kind: str, say: Language) -> str:
    """A cell as a person reads it; a dash where it is not known."""
    if value is None:
        return "–"
    if kind == "text":
        return str(value)
    if kind in ("time", "date"):
        return say.minute(int(value), kind == "date")
    if kind == "count":
        return say.count(round(value))
    if kind == "change":
        return f"{value * 100:+,.1f}{' %' if say.code == 'en' else '%'}"
    if kind == "number":
        return f"{value:,.1f}"
    if kind == "days":
        return say("report.days", count=say.count(round(value)))
    writers = {"bytes": say.bytes, "rate": say.rate, "share": say.percent, "delay": say.delay, "span": say.span}
    return writers[kind](float(value))


def text_columns(columns: Sequence[Column]) -> list[bool]:
    """Which columns are set to the left."""
    return [column.kind in ("text", "time", "date") for column in columns]
