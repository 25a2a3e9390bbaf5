"""When reading takes a reason: where the store knows whose a flow is, and what is read names one person's service, addresses or flows.

A command makes a `Reading` before it asks, asks, and calls `told` with the number of rows before it shows any. Where another process owns the store, the
owner does both (dpi.store.answering): the reason goes with each question, and an answer comes only once its row of `audit` is stored.
"""
from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dpi.errors import UserError
from dpi.schema import PERSONAL

if TYPE_CHECKING:
    from dpi.store import Store

MEND = "say why with --reason TEXT or --ticket NUMBER; it is kept in the audit table"
_STAMPED = (("audit", "target_kind NOT IN ('hold', 'audit')"), ("usage_1m", "1"), ("flows", "client_service_id != '' OR server_service_id != ''"))
_IN = frozenset(["in", "notin", "globalin", "globalnotin", "nullin", "notnullin", "globalnullin", "globalnotnullin"])
_BY_NAME = frozenset(["merge", "joinget", "joingetornull", "mergetreeindex", "mergetreeprojection", "loop"])       # take a table's name as text
_LINE = re.compile(r"( *)(\S+)(?: (.*?))?(?: \(alias .*\))?(?: \(children \d+\))?$")
_TREE = re.compile(r"\s*(Select|Explain|Describe|Show|Exists|Intersect)\w*")
_SHAPE = re.compile(r"\s*(Describe|Show|Exists)\w*")
_READING = re.compile(r"[\s(]*(SELECT|WITH|FROM|EXPLAIN|DESC|DESCRIBE|SHOW|EXISTS|TABLE|VALUES|/\*|--|#)", re.IGNORECASE)
_FORM = re.compile(r"\sFORMAT\s+\S+(\s+SETTINGS\s.*)?$", re.IGNORECASE | re.DOTALL)
_QUOTED = re.compile(r"'(?:[^'\\]|\\.|'')*'")

Ask = Callable[[str], Any]


@dataclass(frozen=True)
class Access:
    """Why something is read: by which command, for which reason or ticket, and of whom (kind: flow, service, customer, address, tables)."""
    command: str
    reason: str = ""
    ticket: str = ""
    kind: str = ""
    value: str = ""

    @property
    def given(self) -> bool:
        """Whether there is a reason."""
        return bool(self.reason.strip() or self.ticket.strip())


def is_stamped(ask: Ask) -> bool:
    """Whether rows of the store say, or said, whose they are. ask: gives the rows of a statement."""
    return any(len(list(ask(f"SELECT 1 FROM {table} WHERE {where} LIMIT 1"))) for table, where in _STAMPED
               if str(next(iter(ask(f"EXISTS TABLE {table}")))[0]) == "1")


def personal_tables(tree: str, sql: str) -> list[str]:
    """The tables of PERSONAL that a statement reads, sorted. tree: what EXPLAIN AST says of it; where that is no tree, its words tell."""
    if not _TREE.match(tree):
        return personal_words(sql)
    if _SHAPE.match(tree):
        return []                               # DESCRIBE, SHOW, EXISTS: no rows
    found, lines = set[str](), [match for line in tree.splitlines() if (match := _LINE.match(line))]
    for at, line in enumerate(lines):
        kind, name = line[2], (line[3] or "").lower()
        if kind == "TableIdentifier":
            found.add(_last(line[3]))
        elif kind == "Function" and name in _BY_NAME:
            found |= PERSONAL
        elif kind == "Function" and name in _IN and at + 1 < len(lines):         # IN name: the name of a table
            depth = len(lines[at + 1][1]) + 1
            arguments = []
            for inner in lines[at + 2:]:
                if len(inner[1]) < depth:
                    break
                if len(inner[1]) == depth:
                    arguments.append(inner)
            if len(arguments) == 2 and arguments[1][2] == "Identifier":
                found.add(_last(arguments[1][3]))
    return sorted(found & PERSONAL)


def without_form(sql: str) -> str:
    """The statement without the FORMAT at its end, in which its tree would be told as well."""
    return _FORM.sub(r"\1", sql.strip())


def personal_words(sql: str) -> list[str]:
    """The same from the words of a statement, for servers that explain nothing: rather a table too many."""
    words = {word.lower() for word in re.findall(r"\w+", _QUOTED.sub("''", sql))}
    return sorted(PERSONAL) if words & _BY_NAME else sorted(words & PERSONAL)


def _last(name: str | None) -> str:
    return (name or "").rpartition(".")[2].strip("`\"")


class Reading:
    """A reading that was allowed; `told` notes it."""

    def __init__(self, store: Store | None, access: Access, noted: bool, tables: str = "") -> None:
        self._store, self._access, self.noted, self.tables = store, access, noted, tables

    def told(self, rows: int, sql: str = "") -> None:
        """Note it, before anything is shown. UserError where that can't be done."""
        if self.noted and self._store is not None:
            from dpi.store.audit import Entry, myself, record

            a = self._access
            with contextlib.closing(self._store.for_writing()) as own:         # the one that is asked may be open for reading only
                record(own, Entry(myself(), a.command, a.reason, a.ticket, a.kind or "tables", a.value or self.tables, sql, rows))
            self.noted = False


def bindings_named() -> bool:
    """Whether the settings name a bindings file."""
    from dpi.settings import load

    return bool(getattr(getattr(load(), "identity", None), "bindings", ""))


def permit(store: Store, access: Access, sql: str | None = None) -> Reading:
    """Allow a reading, or raise UserError where it takes a reason and has none.

    sql: a statement that a person typed; it takes a reason where it reads a table of PERSONAL. None: the command itself names a person."""
    if hasattr(store, "access"):                # of another process: that one decides and notes
        store.access = access
        return Reading(None, access, False)
    tables = [] if sql is None or store.url == "none" else _touched(store, sql)
    if store.url == "none" or sql is not None and not tables:
        return Reading(store, access, False)
    if not (bindings_named() or is_stamped(store.query)):
        return Reading(store, access, False)
    if not access.given:
        raise UserError("this store knows whose flows these are: reading them takes a reason", store_name(store), MEND)
    return Reading(store, access, True, ", ".join(tables))


def _touched(store: Store, sql: str) -> list[str]:
    if not _READING.match(sql):
        return []                               # it is refused: only reading is allowed
    try:
        tree = "\n".join(str(row[0]) for row in store.query(f"EXPLAIN AST {without_form(sql)}"))
    except UserError:
        tree = ""                               # an old server, or no statement at all: that is told when it is asked
    return personal_tables(tree, sql)


def store_name(store: Any) -> str:
    """A store as errors name it."""
    from dpi.store import shown

    return shown(str(store.url))
