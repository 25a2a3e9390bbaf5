"""One walk over rows for the top lines, what the others come to, and the total: aggregates are kept as their states for each key, and merged three ways."""
from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_AGGREGATE = re.compile(r"\b(sumForEach|sumIf|sum|countIf|count|uniqExactIf|uniqExact|avgIf|max|min|quantileExactWeightedIf|quantileExact)\(")


def walked(relation: str, where: str, key: str, figures: Sequence[str], rank: int | None, top: int) -> str:
    """SQL whose rows are: 1 for the total and 0 else; the line's number from 1, 0 of the others and of the total; its key; how many keys there are; the
    figures. Lines come in their order, the others (if there are any) before them, the total at the end. key, figures: SQL over the rows of `relation`, figures
    of aggregates. rank: the figure by which keys are ordered, largest first; None for the order of keys."""
    states: dict[str, str] = {}
    merged = [rewritten(one, lambda name, arguments: f"{_combined(name, 'Merge')}({_state(states, name, arguments)})") for one in figures]
    by = "key" if rank is None else f"{rewritten(figures[rank], lambda name, arguments: f'finalizeAggregation({_state(states, name, arguments)})')} DESC, key"
    kept = ", ".join(f"{_combined(*call.split('|', 1))} AS {alias}" for call, alias in states.items())
    inner = f"SELECT {key} AS key{', ' if kept else ''}{kept} FROM {relation} WHERE {where} GROUP BY key"
    placed = f"SELECT *, row_number() OVER (ORDER BY {by}) AS place, count() OVER () AS every, if(place <= {top}, place, 0) AS line FROM ({inner})"
    return (f"SELECT grouping(line) AS whole, line AS number, any(key) AS name, max(every) AS keys, {', '.join(merged)} FROM ({placed}) "
            f"GROUP BY GROUPING SETS ((line), ()) ORDER BY whole, number")


def rewritten(sql: str, each: Callable[[str, str], str]) -> str:
    """An expression with every call of an aggregate put another way. each: is given its name, with parameters if it has some, and its arguments."""
    found, at = "", 0
    while (call := _AGGREGATE.search(sql, at)) is not None:
        name, end = call[1], _closed(sql, call.end())
        arguments = sql[call.end():end - 1]
        if name.startswith("quantile"):
            name, start = f"{name}({arguments})", end + 1
            end = _closed(sql, start)
            arguments = sql[start:end - 1]
        found += sql[at:call.start()] + each(name, arguments)
        at = end
    return found + sql[at:]


def _combined(name: str, combinator: str) -> str:
    """`sumIf` and State are sumIfState; `quantile(0.5)` and Merge are quantileMerge(0.5). With State, combinator holds the arguments."""
    if combinator != "Merge":
        return f"{_combined(name, 'Merge').replace('Merge', 'State', 1)}({combinator})"
    bare, bracket, parameters = name.partition("(")
    return f"{bare}Merge{bracket}{parameters}"


def _state(states: dict[str, str], name: str, arguments: str) -> str:
    return states.setdefault(f"{name}|{arguments}", f"state_{len(states)}")


def _closed(sql: str, at: int) -> int:
    """Where the bracket that was opened before `at` is closed, and behind it."""
    depth, quoted = 1, False
    while depth:
        sign = sql[at]
        if sign == "'":
            quoted = not quoted
        elif not quoted:
            depth += (sign == "(") - (sign == ")")
        at += 1
    return at
