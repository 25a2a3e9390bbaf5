"""What kinds of files have in common: columns, lines, what is wrong with a line, and reading a cell as what it is meant to be."""
from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import select

from bss import identifier, moment
from bss.database import Table, lots
from bss.desk import Desk
from bss.refusal import Refusal

V = TypeVar("V")
LOT = 5000              # values of a statement


class Column(NamedTuple):
    """name: English, as in the API; zh: Chinese; both may head a column. needed: no line without it."""
    name: str
    zh: str
    needed: bool
    what: str


class Line(NamedTuple):
    """A line of a file: its number, and its cells by column."""
    number: int
    cells: dict[str, str]


class Trouble(NamedTuple):
    """Why a line is not brought in. line 0: the file."""
    line: int
    field: str
    what: str
    mend: str


class Checked(NamedTuple):
    """troubles: of all lines; rows: to be written, by table in order; made: line, entity and id of what is to be undone; totals: of lines."""
    troubles: list[Trouble]
    rows: list[tuple[type[Table], Iterable[dict[str, Any]]]]
    made: list[tuple[int, str, str]]
    totals: dict[str, int]


class Kind(NamedTuple):
    """A kind of files. key: the column whose value is each line's own; sums: columns whose sum is among the totals; check: looks at all lines; undone: what
    the undoing removes, in order (table, which of the batch's entities a column of it names); entities: tables by the name in `import_row`."""
    name: str
    columns: tuple[Column, ...]
    key: str
    sums: tuple[str, ...]
    check: Callable[[Desk, list[Line], datetime], Checked]
    entities: dict[str, type[Table]]
    undone: tuple[tuple[type[Table], str, str], ...]


class Cells:
    """One line while it is looked at: cells as what they are meant to be; what is wrong goes to `troubles`."""

    def __init__(self, line: Line, troubles: list[Trouble], zone: ZoneInfo) -> None:
        self.line, self.troubles, self.zone = line, troubles, zone
        self.good = True

    def text(self, name: str) -> str:
        """As it is written; '' where there is none."""
        return self.line.cells.get(name, "")

    def wrong(self, field: str, what: str, mend: str = "") -> None:
        """Say what is wrong."""
        self.good = False
        self.troubles.append(Trouble(self.line.number, field, what, mend))

    def take(self, field: str, how: Callable[..., V], *given: Any) -> V | None:
        """What `how` makes of it; None where it refuses, which is said."""
        try:
            return how(*given)
        except Refusal as error:
            self.wrong(field, error.what, error.mend)
            return None

    def needed(self, name: str) -> str:
        """A cell that may not be empty."""
        found = self.text(name)
        if not found:
            self.wrong(name, "it is empty", "write something")
        return found

    def choice(self, name: str, words: Mapping[str, str], default: str = "") -> str:
        """One of some words; each may be said in English or Chinese."""
        found = self.text(name)
        if not found and default:
            return default
        if found.casefold() in words:
            return words[found.casefold()]
        self.wrong(name, f"{found!r} is none of them" if found else "it is empty", f"write {', '.join(dict.fromkeys(words.values()))}")
        return default

    def time(self, name: str) -> datetime | None:
        """A day or time; None where there is none."""
        found = self.text(name)
        return self.take(name, when, found, self.zone) if found else None

    def whole(self, name: str, lowest: int, highest: int) -> int | None:
        """A whole number; None where there is none."""
        found = self.text(name)
        if not found:
            return None
        if not re.fullmatch(r"\d{1,18}", found) or not lowest <= int(found) <= highest:
            self.wrong(name, f"{found[:40]!r} is no number of {lowest} to {highest}", "write digits alone")
            return None
        return int(found)

    def yes(self, name: str, default: bool) -> bool:
        """Yes or no."""
        return self.choice(name, YES, "yes" if default else "no") == "yes"


YES = {**{word: "yes" for word in ("yes", "true", "1", "y", "是")}, **{word: "no" for word in ("no", "false", "0", "n", "否")}}


def when(text: str, zone: ZoneInfo) -> datetime:
    """A day or time as files have it: 2026-12-01, 2026/12/1, 2026年12月1日, with a time after it or not."""
    match = re.fullmatch(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[ T](.+))?", text.strip())
    if match is None:
        return moment.read(text, zone)
    year, month, day, rest = match.groups()
    return moment.read(f"{year}-{int(month):02d}-{int(day):02d}" + (f"T{rest}" if rest else ""), zone)


def rate(text: str) -> int:
    """Bit/s of a rate such as 100M, 1 Gbit/s or 2000000."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)\s*([kKmMgGtT]?)(?:(?:b|[bB]it)(?:/s|ps)?)?", text.strip())
    found = Decimal(match[1]) * 1000 ** " kmgt".index(match[2].lower() or " ") if match else Decimal("0.5")
    if found != found.to_integral_value() or found > 10 ** 15:
        raise Refusal("invalid", f"{text[:40]!r} is no rate", "", "write bit/s, or 100M, 1G")
    return int(found)


def known(desk: Desk, column: Any, values: Iterable[str], *also: Any, seen: bool = False) -> dict[str, tuple[Any, ...]]:
    """Which of these values a column has: value -> `also` of its row. seen: rows within the actor's scope alone."""
    found: dict[str, tuple[Any, ...]] = {}
    for lot in lots(dict.fromkeys(value for value in values if value), LOT):
        query: Any = desk.select(column.class_).with_only_columns(column, *also) if seen else select(column, *also)
        found.update((row[0], tuple(row[1:])) for row in desk.session.execute(query.where(column.in_(lot))))
    return found


class Ids:
    """New ids of which none is given twice."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def __call__(self, letter: str) -> str:
        while (made := identifier.fresh(letter)) in self._given:
            continue
        self._given.add(made)
        return made


def twice(cells: Cells, field: str, value: str, first: dict[str, int]) -> None:
    """Say where a value was on an earlier line; `first` is of all lines so far."""
    if value:
        if value in first:
            cells.wrong(field, f"{value!r} is on line {first[value]} as well", "leave one of them")
        else:
            first[value] = cells.line.number
