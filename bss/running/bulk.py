"""Rows by the hundred thousand: COPY on PostgreSQL, lots of inserts on SQLite. Types, sealing and defaults are those of the tables."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.inspection import inspect

from bss.database import Table, lots
from bss.desk import Desk

LOT = 2000              # rows of an insert


def write(desk: Desk, table: type[Table], rows: Iterable[dict[str, Any]]) -> None:
    """Insert rows, given by the names of attributes; all of one batch have the same ones."""
    left = iter(rows)
    first = next(left, None)
    if first is None:
        return
    rows = chain([first], left)
    desk.session.flush()
    if desk.office.database.lite:
        for lot in lots(rows, LOT):
            desk.session.execute(insert(table), lot)
    else:
        _copy(desk, table, set(first), rows)


def known(desk: Desk, *tables: type[Table]) -> None:
    """Let the database look at tables anew that have many more rows than before, or it finds rows of them by ways that were good for few."""
    if not desk.office.database.lite:
        quote = desk.session.connection().dialect.identifier_preparer.quote
        desk.session.execute(text(f"ANALYZE {', '.join(quote(table.__tablename__) for table in dict.fromkeys(tables))}"))


def _copy(desk: Desk, table: type[Table], given: set[str], rows: Iterable[dict[str, Any]]) -> None:
    connection = desk.session.connection()
    dialect, quote = connection.dialect, connection.dialect.identifier_preparer.quote
    names: list[str] = []
    ways: list[tuple[str, Any, Callable[[Any], Any] | None]] = []
    for attribute in inspect(table).column_attrs:
        column = attribute.columns[0]
        if attribute.key not in given and column.primary_key:
            continue                        # the database numbers it
        names.append(quote(column.name))
        default: Any = column.default
        fill = None if default is None else default.arg if default.is_scalar else default.arg(None)
        ways.append((attribute.key, fill, column.type.dialect_impl(dialect).bind_processor(dialect)))
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY {quote(table.__tablename__)} ({', '.join(names)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row([value if process is None else process(value) for value, process in ((row.get(key, fill), process) for key, fill, process in ways)])
