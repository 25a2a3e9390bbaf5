"""Figures broken down by a dimension: the top lines, what the others come to, and the total, each asked of the store, so that percentiles and ratios of
the others are theirs and not sums of rounded ones."""
from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any

from dpi.dataclass import dataclass
from dpi.reports.document import Column, Table, Words
from dpi.reports.request import SLOTS, Request, quoted
from dpi.reports.sources import SOURCES, Source, choose
from dpi.reports.walk import walked

#: What is worked out of a line: its figures by name, seconds it covers, figures of the total.
Derive = Callable[[dict[str, Any], float, dict[str, Any]], Any]
_FIELD = re.compile(r"\{(\w+)\}")
MOST_SLOTS = 5000


@dataclass(frozen=True)
class Measure:
    """A column of figures. sql: an aggregate over {fields} of a source, and its {time}; derive: worked out of the line instead."""
    column: Column
    sql: str = ""
    derive: Derive | None = field(default=None, compare=False)

    @property
    def fields(self) -> set[str]:
        return set(_FIELD.findall(self.sql)) - {"time"}


@dataclass(frozen=True)
class Dimension:
    """What lines can be made by. empty: what a line without a value is called."""
    name: str
    heading: Words
    empty: Words = Words("not known", "未知")


DIMENSIONS = {one.name: one for one in (
    Dimension("application", Words("Application", "应用"), Words("unknown", "未知")),
    Dimension("category", Words("Category", "类别"), Words("unknown", "未知")),
    Dimension("protocol", Words("Protocol", "协议"), Words("unknown", "未知")),
    Dimension("customer", Words("Customer", "客户"), Words("not bound", "未绑定")),
    Dimension("service", Words("Service", "业务"), Words("not bound", "未绑定")),
    Dimension("site", Words("Site", "局点"), Words("no site", "未设局点")),
    Dimension("link", Words("Link", "链路"), Words("no link", "未设链路")),
    Dimension("role", Words("Role", "角色"), Words("no role", "未设角色")),
    Dimension("interface", Words("Interface", "接口"), Words("none", "无")),
    Dimension("probe", Words("Probe", "探针"), Words("none", "无")),
    Dimension("tag", Words("Tag", "标签"), Words("none", "无")),
    Dimension("name", Words("Domain", "域名"), Words("none, or an address", "无或为地址")),
    Dimension("type", Words("Type", "类型"), Words("none", "无")),
    Dimension("code", Words("Answer", "应答码"), Words("questions", "查询")),
    Dimension("version", Words("Version", "版本"), Words("no answer seen", "未见应答")),
    Dimension("cipher", Words("Cipher suite", "加密套件"), Words("no answer seen", "未见应答")),
    Dimension("ja4", Words("JA4", "JA4 指纹"), Words("no hello seen", "未见 Hello")),
    Dimension("issuer", Words("Issuer", "证书颁发者"), Words("no certificate seen", "未见证书")),
    Dimension("hour", Words("Hour", "小时")), Dimension("day", Words("Day", "日")),
    Dimension("week", Words("Week", "周")), Dimension("month", Words("Month", "月")),
)}


def key_column(by: str, dimensions: dict[str, Dimension] = DIMENSIONS) -> Column:
    """The first column of a table."""
    return Column(by, "time" if by == "hour" else "date" if by in SLOTS else "text", dimensions[by].heading, Words("what the line is about", "本行所指对象"))


def breakdown(ask: Request, name: str, title: Words, by: str, measures: Sequence[Measure], rank: str, *, sources: Sequence[Source] = SOURCES, more: str = "",
              bar: str = "", dimensions: dict[str, Dimension] = DIMENSIONS) -> tuple[Table, Source]:
    """The table, and the source that it was read from. rank: the measure by which lines are ordered, largest first; slots of time come in order, all of
    them up to MOST_SLOTS. more: a further condition. UserError as `choose` raises it."""
    asked = [one for one in measures if one.sql]
    source = choose(ask, [by], sorted(set().union(*(one.fields for one in asked))), sources)
    fields = {**source.fields, "time": source.time}

    def filled(sql: str) -> str:
        return _FIELD.sub(lambda found: fields[found[1]], sql)

    relation, where = source.rows(ask), source.where(ask) + (f" AND ({filled(more)})" if more else "")
    key, timed, names = source.key(by, ask), by in SLOTS, [one.column.name for one in asked]
    table = Table(name, title, (key_column(by, dimensions), *(one.column for one in measures)), bar=bar,
                  empty=dimensions[by].empty)

    def figures(row: Sequence[Any]) -> dict[str, Any]:
        return {name: _plain(value) for name, value in zip(names, row, strict=True)}

    sums = [filled(one.sql) for one in asked]
    rows = ask.store.query(walked(relation, where, key, sums, None if timed else names.index(rank), MOST_SLOTS if timed else ask.top)).rows
    lines, others = [row for row in rows if not row[0] and row[1]], [row for row in rows if not row[0] and not row[1]]
    if not lines:
        return table, source
    whole = figures(next(row for row in rows if row[0])[4:])
    rest = figures(others[0][4:]) if others else None
    if by == "tag":             # a row with several tags is in several lines: the total and the others count it once
        shown = ", ".join(quoted(str(row[2])) for row in lines)
        every = ask.store.query(f"SELECT grouping(outside) AS every, notEmpty(tags) AND NOT hasAny(tags, [{shown}]) AS outside, {', '.join(sums)} "
                                f"FROM {relation} WHERE {where} GROUP BY GROUPING SETS ((outside), ())").rows
        whole = next(figures(row[2:]) for row in every if int(row[0]))
        rest = next((figures(row[2:]) for row in every if others and not int(row[0]) and int(row[1])), None)

    def line(first: Any, values: dict[str, Any], seconds: float) -> tuple[Any, ...]:
        for one in measures:
            if one.derive is not None:
                values[one.column.name] = one.derive(values, seconds, whole)
        return (first, *(values[one.column.name] for one in measures))

    table.left_out = int(lines[0][3]) - len(lines)
    for row in lines:
        seconds = ask.slot(int(row[2]), by) if timed else ask.seconds
        table.rows.append(line(int(row[2]) if timed else str(row[2]), figures(row[4:]), seconds))
    if rest is not None:
        table.rest = line("", rest, ask.seconds)
    table.total = line("", whole, ask.seconds)
    return table, source


def _plain(value: Any) -> Any:
    """A number of the store as Python's; nothing measured (NaN) is None."""
    if isinstance(value, float):
        return None if value != value else value
    return value


def per(part: str, whole: str) -> Derive:
    """The share of one figure of the line in another; None where that is 0."""
    return lambda line, _seconds, _total: line[part] / line[whole] if line[whole] else None


def of_total(name: str) -> Derive:
    """The share of the line in the total."""
    return lambda line, _seconds, total: line[name] / total[name] if total[name] else None


def rate_of(name: str) -> Derive:
    """Mean bits a second of a figure in bytes."""
    return lambda line, seconds, _total: line[name] * 8 / seconds if seconds > 0 else None
