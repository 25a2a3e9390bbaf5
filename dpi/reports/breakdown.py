"""Figures broken down by a dimension: the top lines, what the others come to, and the total, each asked of the store, so that percentiles and ratios of
the others are theirs and not sums of rounded ones."""
from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dpi.reports.document import Column, Table, Words
from dpi.reports.request import SLOTS, Request, quoted
from dpi.reports.sources import SOURCES, Source, choose

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
    select = ", ".join(f"{filled(one.sql)} AS m_{one.column.name}" for one in asked)
    key = source.key(by, ask)
    timed = by in SLOTS
    order = "key" if timed else f"m_{rank} DESC, key"
    limit = MOST_SLOTS if timed else ask.top
    found = ask.store.query(f"SELECT {key} AS key, {select}, count() OVER () AS every FROM {relation} WHERE {where} "
                            f"GROUP BY key ORDER BY {order} LIMIT {limit}").rows
    table = Table(name, title, (key_column(by, dimensions), *(one.column for one in measures)), bar=bar,
                  empty=dimensions[by].empty)
    if not found:
        return table, source
    # a row with several tags is in several lines: the total counts it once
    names = [one.column.name for one in asked]

    def figures(row: tuple[Any, ...]) -> dict[str, Any]:
        return {name: _plain(value) for name, value in zip(names, row, strict=True)}

    left_out = max(0, int(found[0][-1]) - len(found))
    keys = ", ".join(quoted(str(row[0])) for row in found)
    outside = f"notEmpty(tags) AND NOT hasAny(tags, [{keys}])" if by == "tag" else f"toString({key}) NOT IN ({keys})"
    if left_out:        # the rest and the whole at once: each is a walk over all rows
        sets = ask.store.query(f"SELECT grouping(outside) AS every, {outside} AS outside, {select} FROM {relation} WHERE {where} "
                               f"GROUP BY GROUPING SETS ((outside), ())").rows
    else:
        sets = [(1, 0, *ask.store.query(f"SELECT {select} FROM {relation} WHERE {where}").rows[0])]
    whole = next(figures(row[2:]) for row in sets if int(row[0]))

    def line(first: Any, values: dict[str, Any], seconds: float) -> tuple[Any, ...]:
        for one in measures:
            if one.derive is not None:
                values[one.column.name] = one.derive(values, seconds, whole)
        return (first, *(values[one.column.name] for one in measures))

    table.left_out = left_out
    for row in found:
        seconds = ask.slot(int(row[0]), by) if timed else ask.seconds
        table.rows.append(line(int(row[0]) if timed else str(row[0]), figures(row[1:-1]), seconds))
    if left_out:
        table.rest = line("", next(figures(row[2:]) for row in sets if not int(row[0]) and int(row[1])), ask.seconds)
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
