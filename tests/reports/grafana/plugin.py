"""What Grafana and its plugin grafana-clickhouse-datasource do to a panel's SQL before ClickHouse gets it, written from their documentation.

In the browser: $__conditionalAll, then variables; in the plugin's server: the macros of time. Grafana's own rounding of intervals.
"""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ALL = "$__all"
#: Grafana's round intervals, s: what is shorter than the limit becomes the width.
_ROUND = ((1, 1), (3.5, 2), (7.5, 5), (12.5, 10), (17.5, 15), (25, 20), (45, 30), (90, 60), (210, 120), (450, 300), (750, 600), (1050, 900), (1500, 1200),
          (2700, 1800), (5400, 3600), (9000, 7200), (16200, 10800), (32400, 21600), (86400, 43200), (604800, 86400), (1814400, 604800), (3628800, 2592000))


@dataclass(frozen=True)
class Look:
    """What a person looks at: a range, s since the epoch, and what is chosen of each variable: ALL, values of a list, or the text of a field."""
    since: int
    until: int
    values: Mapping[str, str | Sequence[str]] = field(default_factory=dict)

    def interval(self, points: int = 1000, least: int = 1) -> int:
        """Width of a panel's slots, s."""
        raw = (self.until - self.since) / points
        return max(least, next((width for limit, width in _ROUND if raw < limit), 31536000))


def _arguments(text: str, opening: int) -> tuple[list[str], int]:
    """The arguments in the bracket that opens there, and where it closes. Brackets and commas in strings count as well: so it is in the plugin."""
    depth, begin, found = 0, opening + 1, []
    for at in range(opening, len(text)):
        if text[at] == "(":
            depth += 1
        elif text[at] == ")":
            depth -= 1
            if depth == 0:
                return [*found, text[begin:at]], at
        elif text[at] == "," and depth == 1:
            found.append(text[begin:at])
            begin = at + 1
    raise ValueError(f"a bracket is not closed: {text[opening:opening + 60]}")


def conditions(sql: str, values: Mapping[str, str | Sequence[str]]) -> str:
    """$__conditionalAll(condition, $variable): the condition, or 1=1 where all is chosen; the last one first."""
    macro = "$__conditionalAll("
    while (at := sql.rfind(macro)) >= 0:
        (condition, variable), end = _arguments(sql, at + len(macro) - 1)
        name = re.search(r"(?<=\$\{)\w+(?=\})|(?<=\$)\w+", variable.strip())
        assert name is not None and name.group() in values, variable
        value = values[name.group()]
        sql = sql[:at] + ("1=1" if value in ("", ALL) or list(value) == [ALL] else condition) + sql[end + 1:]
    return sql


def variables(sql: str, values: Mapping[str, str | Sequence[str]]) -> str:
    """${name:sqlstring}: values in quotes, quotes in them doubled, joined by commas. What is no variable stays."""
    def put(found: re.Match[str]) -> str:
        name, form = found.group(1) or found.group(3), found.group(2)
        if name not in values:
            return found.group()
        value = values[name]
        listed = [value] if isinstance(value, str) else list(value)
        assert form == "sqlstring", f"{found.group()} goes in as it is"
        return ",".join("'" + one.replace("'", "''") + "'" for one in listed)
    return re.sub(r"\$\{(\w+)(?::(\w+))?\}|\$(\w+)", put, sql)


def macros(sql: str, look: Look, interval: int) -> str:
    """The macros of time."""
    since, until = f"toDateTime({look.since})", f"toDateTime({look.until})"
    sql = sql.replace("$__fromTime", since).replace("$__toTime", until).replace("$__interval_s", str(interval))
    for name in ("timeFilter", "timeInterval"):
        while (at := sql.find(f"$__{name}(")) >= 0:
            (column,), end = _arguments(sql, at + len(name) + 3)
            put = (f"{column} >= {since} AND {column} <= {until}" if name == "timeFilter"
                   else f"toStartOfInterval(toDateTime({column}), INTERVAL {interval} second)")
            sql = sql[:at] + put + sql[end + 1:]
    return sql


def expanded(sql: str, look: Look, interval: int) -> str:
    """What ClickHouse is asked. ValueError where a macro or a variable is left."""
    done = macros(variables(conditions(sql, look.values), look.values), look, interval)
    if left := re.search(r"\$\{?\w+", done):
        raise ValueError(f"{left.group()} is neither a macro nor a variable")
    return done
