"""The language of tag rules: text becomes a typed tree. docs/tags.md is its description.

    test   = not test | value [ == != < <= > >= value | [not] in list | contains | startswith | endswith | under | like text ] | ( test )
    value  = column | number [unit] | 'text' | value + - * value | ( value )
    list   = item | ( item, ... ) | [ item, ... ];  item = text | number | number - number | network

Every name is a column of `flows`. What can't be compared is refused here, so a rule that is read can be evaluated on any rows.
"""
from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from dpi.dataclass import dataclass
from dpi.flow.facts import RISKS
from dpi.flow.row import ONE_SIDED
from dpi.flow.rows import CONFIDENCES
from dpi.flow.table import END_REASONS, FOLD_TAGS
from dpi.schema import TABLES
from dpi.tagging.tree import Among, Column, Compare, Flag, Holds, Inside, Join, Match, Node, Not, Number, Sum, Text

LONGEST, DEEPEST = 4000, 40     # characters of an expression, levels of brackets and `not` in it, and terms of a sum or product
UNITS = {"k": (1e3, ""), "M": (1e6, ""), "G": (1e9, ""), "T": (1e12, ""), "Ki": (1 << 10, ""), "Mi": (1 << 20, ""), "Gi": (1 << 30, ""),
         "us": (1, "us"), "ms": (1e3, "us"), "s": (1e6, "us"), "min": (6e7, "us"), "h": (3.6e9, "us")}
TEXT_WORDS = ("contains", "startswith", "endswith", "under", "like")
BUILT_IN = (*FOLD_TAGS, ONE_SIDED)              # tags that rows have without rules
_KNOWN = {"risks": RISKS, "tags": BUILT_IN, "confidence": CONFIDENCES, "end_reason": END_REASONS}
_SORTS = {"flag": "flag", "time": "time", "ip": "address", "mac": "text", "text": "text", "code": "text", "codes": "list", "texts": "list"}
_WORDS = {"number": "a number", "flag": "true or false", "time": "a time", "address": "an address", "text": "text", "list": "a list", "test": "a condition"}
_TOKEN = re.compile(r"""\s*(?:(?P<text>'[^'\n]*'|"[^"\n]*")|(?P<net>(?:\d{1,3}\.){3}\d{1,3}(?:/\d+)?|[0-9a-fA-F]*:[0-9a-fA-F:.]*(?:/\d+)?)"""
                    r"""|(?P<number>\d[\d_]*(?:\.\d+)?)(?P<unit>[A-Za-z]*)|(?P<word>[A-Za-z_]\w*)|(?P<op>==|!=|<=|>=|[-<>()\[\],+*]))""")


class BadExpression(Exception):
    """at: where in the expression, from 0."""

    def __init__(self, at: int, what: str, mend: str) -> None:
        super().__init__(what)
        self.at, self.what, self.mend = at, what, mend


@dataclass(frozen=True)
class _Token:
    kind: str
    value: str
    at: int
    unit: str = ""


def parse(text: str) -> Node:
    """The expression as a tree. Raises BadExpression."""
    if len(text) > LONGEST:
        raise BadExpression(LONGEST, f"longer than {LONGEST} characters", "make several rules of the same name of it: any of them adds the tag")
    reading = _Reading(_tokens(text), len(text))
    found = reading.either()
    if reading.token.kind != "end":
        raise reading.wrong(f"'{reading.token.value}' is not expected here", "join conditions with and, or")
    return reading.test(found, 0)


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    while text[at:].strip():
        token = _TOKEN.match(text, at)
        if token is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            bad = text[at]
            mend = ("write == to compare" if bad == "=" else "write != for unequal, not for no" if bad == "!" else "write and, or" if bad in "&|" else
                    "end the text with the quote it began with" if bad in "'\"" else "docs/tags.md shows the language")
            raise BadExpression(at, f"'{bad}' is not understood", mend)
        kind = str(token.lastgroup) if token.lastgroup != "unit" else "number"
        found.append(_Token(kind, token.group(kind), token.start(kind), token.group("unit") or ""))
        at = token.end()
    return found


class _Reading:
    """Recursive descent over the tokens."""

    def __init__(self, tokens: list[_Token], end: int) -> None:
        self._tokens, self._next, self._end, self._depth = tokens, 0, _Token("end", "the end", end), 0

    @property
    def token(self) -> _Token:
        return self._tokens[self._next] if self._next < len(self._tokens) else self._end

    def take(self) -> _Token:
        token = self.token
        self._next += 1
        return token

    def takes(self, *values: str) -> bool:
        """Take the next token where it is one of these words or signs."""
        if self.token.kind in ("word", "op") and self.token.value in values:
            self._next += 1
            return True
        return False

    def wrong(self, what: str, mend: str, at: int | None = None) -> BadExpression:
        return BadExpression(self.token.at if at is None else at, what, mend)

    def expect(self, sign: str) -> None:
        if not self.takes(sign):
            raise self.wrong(f"'{sign}' is missing before {self.token.value}", f"write {sign} there")

    def test(self, node: Any, at: int) -> Node:
        """The node as a condition."""
        if isinstance(node, Column) and node.sort == "flag":
            return Flag(node)
        if node.sort != "test":
            raise self.wrong(f"{_named(node)} is no condition", "compare it with something: client_bytes > 1M", at)
        found: Node = node
        return found

    # ---- conditions

    def either(self) -> Any:
        return self._joined("or", lambda: self._joined("and", self._negated))

    def _joined(self, op: str, part: Callable[[], Any]) -> Any:
        at, first = self.token.at, part()
        if not (self.token.kind == "word" and self.token.value == op):
            return first
        parts = [self.test(first, at)]
        while self.takes(op):
            at = self.token.at
            parts.append(self.test(part(), at))
        return Join(op, tuple(parts))

    def _negated(self) -> Any:
        at = self.token.at
        if not self.takes("not"):
            return self._compared()
        self._deeper(at)
        found = Not(self.test(self._negated(), at))
        self._depth -= 1
        return found

    def _deeper(self, at: int) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self.wrong(f"more than {DEEPEST} levels", "make several rules of it", at)

    def _compared(self) -> Any:
        at, left = self.token.at, self._sum()
        token = self.token
        if token.kind == "op" and token.value in ("==", "!=", "<", "<=", ">", ">="):
            self.take()
            found = self._comparison(token, left, self._sum(), at)
            if self.token.kind == "op" and self.token.value in ("==", "!=", "<", "<=", ">", ">="):
                raise self.wrong("two comparisons in a row", "join them with and: 1k < client_bytes and client_bytes < 2k")
            return found
        negated = token.kind == "word" and token.value == "not"
        if negated:
            self.take()
        if self.takes("in"):
            found = self._within(left, at)
        elif self.token.kind == "word" and self.token.value in TEXT_WORDS:
            found = self._matched(left, self.take(), at)
        elif negated:
            raise self.wrong("'not' is not expected here", "write: not in, not contains, or: not (...)", token.at)
        else:
            return left
        return Not(found) if negated else found

    def _comparison(self, sign: _Token, left: Any, right: Any, at: int) -> Node:
        if isinstance(left, Text | Number | _Network | _Truth) and isinstance(right, Column | Sum):
            left, right = right, left
            sign = _Token("op", {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(sign.value, sign.value), sign.at)
        unequal = sign.value == "!="
        if left.sort == "flag" and isinstance(right, _Truth) and sign.value in ("==", "!="):
            found: Node = Flag(left)
            return Not(found) if right.value == unequal else found
        if left.sort == "time" and isinstance(right, Text):
            right = Number(_moment(right.value, sign.at), sort="time")
        if left.sort == "address" and isinstance(right, _Network):
            found = Inside(left, (right.bits,))
        elif left.sort == "text" and isinstance(left, Column) and isinstance(right, Text):
            found = Match(left, "==", (self._known(left, right.value, sign.at),))
        elif left.sort == right.sort and left.sort in ("number", "time"):
            self._same_unit(left, right, sign.at)
            return Compare(sign.value, left, right)
        else:
            raise self.wrong(f"{_named(left)} can't be compared with {_named(right)}", _mend(left), sign.at)
        if sign.value not in ("==", "!="):
            raise self.wrong(f"{_named(left)} has no order", "use == or !=", sign.at)
        return Not(found) if unequal else found

    def _same_unit(self, left: Any, right: Any, at: int) -> None:
        units = left.unit, right.unit
        if "us" in units and units[0] != units[1] and not any(isinstance(one, Number) and one.value == 0 for one in (left, right)):
            raise self.wrong(f"{_named(left)} is compared with {_named(right)}", "give durations a unit, and nothing else one: 200ms, 5s", at)

    def _matched(self, left: Any, word: _Token, at: int) -> Node:
        if not (isinstance(left, Column) and left.sort == "text"):
            mend = f"write: '...' in {left.name}" if left.sort == "list" and isinstance(left, Column) else "it is for columns of text, such as server_name"
            raise self.wrong(f"'{word.value}' does not go with {_named(left)}", mend, word.at)
        bracket = self.takes("(")
        words = [self._text(word.value)]
        while bracket and self.takes(","):
            words.append(self._text(word.value))
        if bracket:
            self.expect(")")
        return Match(left, word.value, tuple(words))

    def _text(self, after: str) -> str:
        token = self.take()
        if token.kind != "text" or len(token.value) < 3:
            raise self.wrong(f"'{after}' is followed by {token.value}", f"write a text: {after} 'example.com'", token.at)
        return token.value[1:-1]

    def _within(self, left: Any, at: int) -> Node:
        if isinstance(left, Text):
            token = self.take()
            column = _column(token) if token.kind == "word" else None
            if column is None or column.sort != "list":
                raise self.wrong(f"{token.value} is no list", f"for text write: {token.value} contains '{left.value}'; lists are "
                                 + ", ".join(one.name for one in TABLES["flows"].columns if _SORTS.get(one.kind) == "list"), token.at)
            return Holds(column, self._known(column, left.value, at))
        closing = {"(": ")", "[": "]"}.get(self.token.value if self.token.kind == "op" else "")
        if closing:
            self.take()
        items = [self._item(left)]
        while closing and self.takes(","):
            items.append(self._item(left))
        if closing:
            self.expect(closing)
        if left.sort == "address":
            return Inside(left, tuple(items))
        return Match(left, "==", tuple(items)) if left.sort == "text" else Among(left, tuple(items))

    def _item(self, left: Any) -> Any:
        """An element of a list: for an address (bytes, bits), for text str, for a number (least, most)."""
        at, item = self.token.at, self._primary()
        if left.sort == "address" and isinstance(item, _Network):
            return item.bits
        if left.sort == "text" and isinstance(left, Column) and isinstance(item, Text):
            return self._known(left, item.value, at)
        if left.sort == "number" and isinstance(item, Number) and item.sort == "number":
            last: Any = item
            if self.takes("-"):
                at, last = self.token.at, self._primary()
            if isinstance(last, Number):
                self._same_unit(left, item, at)
                self._same_unit(left, last, at)
                if last.value < item.value:
                    raise self.wrong("the range ends before it begins", "write the smaller number first", at)
                return item.value, last.value
        raise self.wrong(f"{_named(item)} can't be among what {_named(left)} is in", _mend(left), at)

    def _known(self, column: Column, word: str, at: int) -> str:
        known = _KNOWN.get(column.name)
        if known is not None and word not in known:
            near = difflib.get_close_matches(word, known, 1)
            raise self.wrong(f"{column.name} is never '{word}'", f"did you mean '{near[0]}'?" if near else f"it may be {', '.join(filter(None, known))}", at)
        return word

    # ---- values

    def _sum(self) -> Any:
        return self._chained(("+", "-"), lambda: self._chained(("*",), self._primary))

    def _chained(self, signs: tuple[str, ...], part: Callable[[], Any]) -> Any:
        found, terms = part(), 1
        while self.token.kind == "op" and self.token.value in signs:
            sign, terms = self.take(), terms + 1
            if terms > DEEPEST:
                raise self.wrong(f"more than {DEEPEST} terms", "make several rules of it", sign.at)
            found = self._added(sign, found, part())
        return found

    def _added(self, sign: _Token, left: Any, right: Any) -> Any:
        sorts, units = (left.sort, right.sort), (left.unit if hasattr(left, "unit") else "", right.unit if hasattr(right, "unit") else "")
        if sorts == ("number", "number"):
            if sign.value != "*":
                if "us" not in units or units[0] == units[1]:
                    return Sum(sign.value, left, right, units[0])
            elif any(isinstance(one, Number) and not one.unit for one in (left, right)):
                return Sum("*", left, right, units[0] or units[1])
            else:
                raise self.wrong("two columns are multiplied", "multiply by a number: client_bytes > 10 * server_bytes", sign.at)
        elif sorts == ("time", "time") and sign.value == "-":
            return Sum("-", left, right, "us")
        raise self.wrong(f"'{sign.value}' does not go with {_named(left)} and {_named(right)}",
                         "add numbers of one unit; of two times only the difference is a number", sign.at)

    def _primary(self) -> Any:
        token = self.take()
        if token.kind == "op" and token.value == "(":
            self._deeper(token.at)
            found = self.either()
            self.expect(")")
            self._depth -= 1
            return found
        if token.kind == "text":
            return Text(token.value[1:-1])
        if token.kind == "net":
            return _network(token)
        if token.kind == "number":
            return _number(token)
        if token.kind == "word" and token.value in ("true", "false"):
            return _Truth(token.value == "true")
        if token.kind == "word" and token.value not in ("and", "or", "not", "in", *TEXT_WORDS):
            return _column(token)
        raise self.wrong(f"{token.value} comes where a column or a value is expected", "a condition is such as: client_bytes > 1M", token.at)


@dataclass(frozen=True)
class _Network:
    bits: tuple[bytes, int]
    sort: str = "network"


@dataclass(frozen=True)
class _Truth:
    value: bool
    sort: str = "truth"


def _column(token: _Token) -> Column:
    known = {one.name: one for one in TABLES["flows"].columns if one.name not in ("stored_time", "rules_version")}
    if token.value not in known:
        near = difflib.get_close_matches(token.value, [*known, "and", "or", "not", "in"], 1)
        raise BadExpression(token.at, f"flows has no column '{token.value}'",
                            f"did you mean '{near[0]}'?" if near else "docs/schema.md lists them; put text in quotes")
    column = known[token.value]
    sort = _SORTS.get(column.kind, "number")
    return Column(column.name, sort, "us" if sort == "number" and column.unit == "us" else "")


def _number(token: _Token) -> Number:
    if token.unit and token.unit not in UNITS:
        raise BadExpression(token.at, f"the unit '{token.unit}' is not known", f"units are {', '.join(UNITS)}")
    scale, unit = UNITS.get(token.unit, (1, ""))
    if not re.fullmatch(r"\d+(_\d+)*(\.\d+)?", token.value):
        raise BadExpression(token.at, f"'{token.value}' is no number", "write _ between digits only: 1_000_000")
    if len(token.value) > 40:
        raise BadExpression(token.at, "a number of more than 40 characters", "columns of flows go to 18_446_744_073_709_551_615")
    value = float(token.value) * scale if "." in token.value else int(token.value) * int(scale)
    return Number(int(value) if value == int(value) else value, unit)


def _network(token: _Token) -> _Network:
    try:
        found = ipaddress.ip_network(token.value)
    except ValueError as error:
        loose = _loose(token.value)
        raise BadExpression(token.at, f"not a network: {error}",
                            f"write {loose}" if loose else "as 10.0.0.0/8 or 2001:db8::/32; put MAC addresses in quotes") from None
    if found.version == 4:
        return _Network((b"\0" * 10 + b"\xff\xff" + found.network_address.packed, 96 + found.prefixlen))
    return _Network((found.network_address.packed, found.prefixlen))


def _loose(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return ""


def _moment(text: str, at: int) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadExpression(at, f"'{text}' is no time", "write it as '2026-12-01T08:00:00+08:00'; without a zone it is UTC") from None
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1e6)


def _named(value: Any) -> str:
    """A value as an error names it."""
    if isinstance(value, Column):
        return f"{value.name} ({_WORDS[value.sort]}{' in us' if value.unit else ''})"
    if isinstance(value, Number | Text):
        return f"{'a duration' if getattr(value, 'unit', '') == 'us' else _WORDS[value.sort]}"
    return {"network": "a network", "truth": "true or false"}.get(value.sort) or _WORDS[value.sort]


def _mend(left: Any) -> str:
    name = left.name if isinstance(left, Column) else "it"
    return {"address": f"write {name} in 10.0.0.0/8", "text": f"put the text in quotes: {name} == '...'", "list": f"write '...' in {name}",
            "flag": f"write {name}, or not {name}", "time": f"write {name} >= '2026-12-01'"}.get(left.sort, "compare it with a number, such as 1M")
