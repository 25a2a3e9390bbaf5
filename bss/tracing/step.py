"""A step of the evidence chain, as pages, API and command show it: figures, each with the way on to what it was made of, and what was checked on the way."""
from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from bss.moment import iso

Value = str | int | float | Decimal | datetime | bool | None
PATH = "/trace"


class Way(NamedTuple):
    """Where a figure leads. what: thing (a row of the business), hours, minutes, flows (of a service and a time), alert, alertFlows. table: the usage that
    flows are told apart by; category, application: of an hour's row."""
    what: str
    id: str
    since: datetime | None = None
    until: datetime | None = None
    table: str = ""
    category: str | None = None
    application: str | None = None

    def href(self, before: str = PATH) -> str:
        """The address of its page, or with the API's path of that."""
        told = {"since": iso(self.since), "until": iso(self.until), "table": self.table or None, "category": self.category, "application": self.application}
        asked = urlencode({name: value for name, value in told.items() if value is not None})
        return f"{before}/{quote(self.id)}{'' if self.what == 'thing' else '/' + self.what}{'?' + asked if asked else ''}"


class Figure(NamedTuple):
    """What it is (a word of language/*.trace.toml), its value, and where it came from. None: it was not measured."""
    name: str
    value: Value
    way: Way | None = None
    unit: str = ""


class Rows(NamedTuple):
    """Lines of the same figures. more: there are others that are not shown."""
    name: str
    heads: tuple[str, ...]
    lines: list[tuple[Figure, ...]]
    more: bool = False


class Said(NamedTuple):
    """A sentence of language/*.trace.toml. good: None neither."""
    key: str
    given: dict[str, Any]
    good: bool | None = None


class Step(NamedTuple):
    """One step. called: what people call the thing; back: the step before it, where there is one."""
    kind: str
    id: str
    called: str
    figures: list[Figure]
    rows: list[Rows]
    said: list[Said]


def told(step: Step, before: str) -> dict[str, Any]:
    """As JSON: amounts as text, times in ISO 8601. before: path of the API."""
    def value(one: Value) -> Any:
        return iso(one) if isinstance(one, datetime) else str(one) if isinstance(one, Decimal) else one

    def figure(one: Figure) -> dict[str, Any]:
        found = {"name": one.name, "value": value(one.value)}
        if one.unit:
            found["unit"] = one.unit
        if one.way is not None:
            found["href"] = one.way.href(before)
        return found

    return {"kind": step.kind, "id": step.id, "name": step.called, "figure": [figure(one) for one in step.figures],
            "table": [{"name": one.name, "row": [[figure(cell) for cell in line] for line in one.lines], "more": one.more} for one in step.rows],
            "check": [{"name": one.key, "good": one.good, **{name: value(given) for name, given in one.given.items()}} for one in step.said]}


def plain(value: Any) -> str | int | float:
    """What was kept as JSON, as a figure's value: lists and objects in one line."""
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, dict):
        return ", ".join(f"{name} {plain(one)}" for name, one in value.items())
    return ", ".join(str(plain(one)) for one in value) if isinstance(value, list | tuple) else str(value)


def ends(begin: datetime, seconds: int) -> tuple[datetime, datetime]:
    """A slot from its beginning."""
    return begin, begin + timedelta(seconds=seconds)
