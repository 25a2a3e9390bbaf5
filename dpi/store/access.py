"""When reading takes a reason: where the store knows whose a flow is, and what is read names one person's service, addresses or flows.

A command makes a `Reading` before it asks, asks, and calls `told` with the number of rows before it shows any. Where another process owns the store, the
owner does both (dpi.store.answering): the reason goes with each question, and an answer comes only once its row of `audit` is stored.
"""
from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.schema import PERSONAL, TABLES
from dpi.store.masked import KEY, VIEWS
from dpi.store.statement import ESCAPES, Refusal, tokens

if TYPE_CHECKING:
    from dpi.store import Store

MEND = "say why with --reason TEXT or --ticket NUMBER; it is kept in the audit table"
_STAMPED = (("audit", "target_kind NOT IN ('hold', 'audit', 'action')"), ("usage_1m", "1"), ("flows", "client_service_id != '' OR server_service_id != ''"))
_IN = frozenset(["in", "notin", "globalin", "globalnotin", "nullin", "notnullin", "globalnullin", "globalnotnullin"])
#: Functions that take a table's name as text.
_BY_NAME = frozenset(["joinget", "joingetornull", "file"])
#: Table functions that read no table, or tables which the tree names as well. Every other one may read any: merge, remote, loop, dictionary ...
_MADE = frozenset(["numbers", "numbers_mt", "zeros", "zeros_mt", "primes", "generaterandom", "generateseries", "generate_series", "values",
                   "sqlstandardvalues", "view", "viewexplain", "null", "format", "input"])
#: Tables and views of a store that name nobody; what else there is may be somebody's view over what does.
_NAMELESS = frozenset(TABLES) - PERSONAL | frozenset(VIEWS) | {"fullspan_schema"} | {f"{name}_view" for name, table in TABLES.items() if table.folds}
_NAMING = PERSONAL | {KEY}              # with the key, pseudonyms are names
_LINE = re.compile(r"( *)(\S+)(?: (.*?))?(?: \(alias .*\))?(?: \(children \d+\))?$")
_TREE = re.compile(r"\s*(Select|Explain|Describe|Show|Exists|Intersect)\w*")
_SHAPE = re.compile(r"\s*(Describe|Show|Exists)\w*")
_WRITING = re.compile(r"\s*(ALTER|ATTACH|BACKUP|CREATE|DELETE|DETACH|DROP|GRANT|INSERT|KILL|MOVE|OPTIMIZE|RENAME|REPLACE|RESTORE|REVOKE|SET|SYSTEM|"
                      r"TRUNCATE|UNDROP|UPDATE|USE)\s", re.IGNORECASE)
_FORM = re.compile(r"\sFORMAT\s+\w+(\s+SETTINGS\s.*)?$", re.IGNORECASE | re.DOTALL)
_ODD = re.compile(r"[\\\x00-\x1f\x7f-\x9f]")       # in a quoted name: its line of the tree may be several

Ask = Callable[[str], Any]
Lines = Callable[[str, dict[str, str]], list[str]]


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


def is_stamped(ask: Ask, databases: Iterable[str] = ("",)) -> bool:
    """Whether rows of the store say, or said, whose they are. ask: gives the rows of a statement. databases: in which it is looked; '' the one in use."""
    return any(len(list(ask(f"SELECT 1 FROM {place}{table} WHERE {where} LIMIT 1")))
               for place in (f"`{one}`." if one else "" for one in dict.fromkeys(databases)) for table, where in _STAMPED
               if str(next(iter(ask(f"EXISTS TABLE {place}{table}")))[0]) == "1")


def databases_named(ask: Ask, text: str, tables: Iterable[str]) -> list[str]:
    """The databases of the store that a statement names beside the one in use, as far as they hold flows; all of them where it may read any table."""
    found = [str(row[0]) for row in ask("SELECT DISTINCT database FROM system.columns WHERE table = 'flows' AND name = 'client_service_id'") if row[0]]
    words = set(re.findall(r"\w+", text))
    return [one for one in found if re.fullmatch(r"\w+", one) and (one in words or set(tables) >= PERSONAL)]


def plain_statement(lines: Lines, sql: str) -> str:
    """The statement as the engine's own parser writes it, without comments, in one line; '' where it knows no such thing or no such statement. lines: gives
    the first column of a statement with parameters. UserError for several statements, and for one that writes a file."""
    try:
        plain = "\n".join(lines("SELECT formatQuerySingleLine({sql:String})", {"sql": sql.translate(ESCAPES)}))
    except UserError as error:
        if "Multi-statements" in str(error):
            raise UserError("these are several statements", "query", "ask one at a time") from None
        return ""
    pieces = tokens(plain)
    if any(one.is_word("INTO") and after.is_word("OUTFILE") for one, after in itertools.pairwise(pieces)):
        raise UserError("only reading is allowed here, and INTO OUTFILE writes a file", "query", "leave it out, and say --csv > FILE")
    return plain


def tables_read(lines: Lines, sql: str, params: dict[str, str]) -> list[str]:
    """The tables that name persons and are read by a statement, sorted. sql: as `plain_statement` writes it; else its words tell, rather a table too many."""
    try:
        tree = "\n".join(lines(f"EXPLAIN AST {without_form(sql)}", params))
    except (UserError, Refusal):
        tree = ""
    found = set(personal_tables(tree, sql))
    if others := sorted(_named(tree) - _NAMING - _NAMELESS) if _TREE.match(tree) else []:       # of a WITH, or somebody's own view
        listed = ", ".join("'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'" for name in others)
        found |= set(filter(None, lines("SELECT DISTINCT name FROM system.tables WHERE lower(database) NOT IN ('system', 'information_schema') "
                                        f"AND name IN ({listed})", {})))
    return sorted(found)


def personal_tables(tree: str, sql: str) -> list[str]:
    """The tables of PERSONAL that a statement reads, sorted. tree: what EXPLAIN AST says of it; where that is no tree, its words tell."""
    if not _TREE.match(tree):
        return personal_words(sql)
    if _SHAPE.match(tree):                      # DESCRIBE, SHOW, EXISTS: no rows, but for what a SELECT in them says
        return personal_words(sql) if re.search(r"\bselect\b", sql, re.IGNORECASE) else []
    if any(_ODD.search(token.text) for token in tokens(sql) if token.kind == "quoted"):
        return sorted(PERSONAL)
    return sorted(_named(tree) & _NAMING)


def _named(tree: str) -> set[str]:
    """The tables that a tree names; all of PERSONAL where it may read any."""
    found, lines = set[str](), [match for line in tree.split("\n") if (match := _LINE.match(line))]
    for at, line in enumerate(lines):
        kind, name = line[2], (line[3] or "").lower()
        if kind == "TableIdentifier":
            found.add(_last(line[3]))
        elif kind == "Function" and (name in _BY_NAME or name not in _MADE and at and lines[at - 1][2] == "TableExpression"):
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
    return found


def without_form(sql: str) -> str:
    """The statement without the FORMAT at its end, in which its tree would be told as well."""
    return _FORM.sub(r"\1", sql.strip())


def personal_words(sql: str) -> list[str]:
    """The same from the words of a statement, for servers that explain nothing: rather a table too many."""
    words = {word.lower() for word in re.findall(r"\w+", sql)}
    if "\\" in sql or words & (_BY_NAME | {"merge", "remote", "remotesecure", "cluster", "clusterallreplicas", "loop", "dictionary"}):
        return sorted(PERSONAL)
    return sorted(words & _NAMING)


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
    others = databases_named(store.query, sql, tables) if sql is not None else []
    if not (bindings_named() or is_stamped(store.query, ["", *others])):
        return Reading(store, access, False)
    if not access.given:
        raise UserError("this store knows whose flows these are: reading them takes a reason", store_name(store), MEND)
    return Reading(store, access, True, ", ".join(tables))


def _touched(store: Store, sql: str) -> list[str]:
    def lines(asked: str, params: dict[str, str]) -> list[str]:
        return [str(row[0]) for row in store.query(asked, params)]

    plain = plain_statement(lines, sql)
    if _WRITING.match(plain or sql):
        return []                               # it is refused: only reading is allowed
    # of what the parser does not know, an old server or no statement at all, words tell
    return tables_read(lines, plain, {}) if plain else personal_words(sql)


def store_name(store: Any) -> str:
    """A store as errors name it."""
    from dpi.store import shown

    return shown(str(store.url))
