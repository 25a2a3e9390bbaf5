"""Questions that are asked again and again: worded once, and read as plain rows.

To build a statement, find it among the compiled ones and map what comes back costs several times what the question costs the driver. A `Question` is built
once, with `bindparam` where its values come, and asked of PostgreSQL through the driver, in the transaction of the session; SQLite is asked as with any
statement. What a `Sight` gives are objects of the mapped classes that belong to no session: they have their columns, can't be changed or added,
and load nothing later.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import BindParameter, ColumnElement, CompoundSelect, Integer, Select, bindparam, func, literal_column, select
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.inspection import inspect
from sqlalchemy.orm import Session

from bss.database import Glance, Table

T = TypeVar("T", bound=Table)
Read = Callable[[Any], Any]
_AMONG = re.compile(r" IN \(__\[POSTCOMPILE_(\w+)\]\)")


def driven(session: Session, sql: str, given: Mapping[str, Any]) -> Any:
    """Ask PostgreSQL through the driver, in the session's transaction; the driver's cursor. What it refuses is raised as SQLAlchemy does."""
    with _driver(session, sql) as raw:
        return raw.execute(sql, given, prepare=True)


def concluded(session: Session, sql: str, rows: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Ask PostgreSQL the same of each of the rows and commit, without waiting for an answer in between: what it locks is locked no longer than it takes
    there. The first rows of the answers. Nothing of the session may follow."""
    with _driver(session, sql) as raw:
        with raw.pipeline():
            cursors = [raw.execute(sql, row, prepare=True) for row in rows]
            raw.commit()
        return [one.fetchone() for one in cursors]


@contextmanager
def _driver(session: Session, sql: str) -> Iterator[Any]:
    """The driver's connection. What it refuses is raised as SQLAlchemy does."""
    raw: Any
    dialect: Any
    if isinstance(session, Glance):
        raw, dialect, invalidate = session.driver()
    else:
        connection = session.connection()
        raw, dialect, invalidate = connection.connection.driver_connection, connection.dialect, connection.invalidate
    try:
        yield raw
    except dialect.loaded_dbapi.Error as error:
        gone = dialect.is_disconnect(error, raw, None)
        if gone:
            invalidate(error)
        raise DBAPIError.instance(sql, {}, error, dialect.loaded_dbapi.Error, connection_invalidated=gone, dialect=dialect) from error


class Question:
    """A statement whose values are named by `bindparam`."""

    def __init__(self, statement: Select[Any] | CompoundSelect[Any]) -> None:
        self.statement = statement
        self._sql, self._fixed = "", {}         # type: str, dict[str, Any]
        self._writes: dict[str, Read] = {}
        self._reads: list[tuple[int, Read]] | None = None

    def ask(self, session: Session, **given: Any) -> Sequence[Sequence[Any]]:
        """Its rows, for values by name."""
        dialect = session.get_bind().dialect
        if not session.info.get("looking"):
            session.flush()
        if dialect.name != "postgresql":
            return session.connection().execute(self.statement, given).all()
        if not self._sql:
            self._word(dialect)
        values = {**self._fixed, **given}
        for name, write in self._writes.items():
            values[name] = write(values[name])
        cursor = driven(session, self._sql, values)
        found: list[Any] = cursor.fetchall()
        if not found:
            return found
        if self._reads is None:
            self._reads = _reads(self.statement, dialect, [one.type_code for one in cursor.description])
        for k, row in enumerate(found):
            found[k] = row = list(row)
            for place, read in self._reads:
                row[place] = read(row[place])
        return found

    def _word(self, dialect: Dialect) -> None:
        compiled: Any = self.statement.compile(dialect=dialect)
        for name, one in compiled.binds.items():
            kind: Any = one.type.dialect_impl(dialect)
            if not one.expanding and (write := kind.bind_processor(dialect)) is not None:
                self._writes[name] = write
        self._fixed = {name: one.effective_value for name, one in compiled.binds.items() if not one.required}
        self._sql = _AMONG.sub(r" = ANY(%(\1)s)", str(compiled))         # one statement however long the list is


def _reads(statement: Select[Any] | CompoundSelect[Any], dialect: Dialect, codes: Sequence[Any]) -> list[tuple[int, Read]]:
    found = []
    for k, (column, code) in enumerate(zip(statement.selected_columns, codes, strict=True)):
        kind: Any = column.type.dialect_impl(dialect)
        if (read := kind.result_processor(dialect, code)) is not None:
            found.append((k, read))
    return found


@cache
def columns(table: type[Table]) -> tuple[tuple[str, Any], ...]:
    """Names of a table's attributes, and their columns."""
    return tuple((one.key, one.columns[0]) for one in inspect(table).column_attrs)


def whole(*tables: type[Table]) -> Select[Any]:
    """A select of all columns of some tables, one table after the other."""
    return select(*(column for table in tables for _, column in columns(table)))


class Sight:
    """A question for rows of some tables, as objects of theirs. statement: of `whole` of the same tables."""

    def __init__(self, statement: Select[Any], *tables: type[Table]) -> None:
        self._question = Question(statement)
        self._parts: list[tuple[type[Table], tuple[str, ...], int, int, int]] = []
        begin = 0
        for table in tables:
            names = tuple(name for name, _ in columns(table))
            key = names.index(str(inspect(table).primary_key[0].key))
            self._parts.append((table, names, begin, begin + len(names), begin + key))
            begin += len(names)

    def all(self, session: Session, **given: Any) -> list[list[Any]]:
        """Of each row an object of each table; None where an outer join has none."""
        parts = self._parts
        return [[None if row[key] is None else _made(table, names, row[begin:end]) for table, names, begin, end, key in parts]
                for row in self._question.ask(session, **given)]

    def each(self, session: Session, **given: Any) -> list[Any]:
        """The objects of the first table."""
        table, names, begin, end, _ = self._parts[0]
        return [_made(table, names, row[begin:end]) for row in self._question.ask(session, **given)]


class Listing:
    """Pages of a query of a table's rows, and how many rows it has. query: with its values named by `bindparam`."""

    def __init__(self, query: Select[Any], table: type[Table]) -> None:
        self.sight = Sight(query.with_only_columns(*(column for _, column in columns(table))).offset(given("offset")).limit(given("limit")), table)
        bare: Any = query.order_by(None).with_only_columns(inspect(table).primary_key[0])
        self.count = Question(select(func.count()).select_from(bare.subquery()))


def _made(table: type[T], names: tuple[str, ...], values: Sequence[Any]) -> T:
    made = table.__new__(table)
    made.__dict__.update(zip(names, values, strict=True))
    return made


def give(row: Table, name: str, value: Any) -> None:
    """Let an object of a sight have what belongs to it."""
    row.__dict__[name] = value


def gathered(rows: Iterable[T], key: str) -> dict[str, list[T]]:
    """Rows by what an attribute of theirs says, in their order."""
    found: dict[str, list[T]] = {}
    for row in rows:
        found.setdefault(getattr(row, key), []).append(row)
    return found


def given(name: str, like: Any = None) -> BindParameter[Any]:
    """A value to come, of a column's type where it is not told from what it stands beside."""
    return bindparam(name, type_=like.type if like is not None else None, required=True)


def at_most(count: int) -> ColumnElement[int]:
    """A limit that is written into the statement: where it is a value as others, PostgreSQL thinks of a tenth of all rows, and plans anew each time."""
    return literal_column(str(count), Integer)


def several(name: str) -> BindParameter[Any]:
    """Values to come, for `in_`: a list."""
    return bindparam(name, expanding=True, required=True)
