"""`fullspan query`: ask the store in SQL; without a question, say what it holds."""
from __future__ import annotations

import csv
import json
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from dpi.cli.reasons import permitted, reason_options
from dpi.errors import UserError

if TYPE_CHECKING:
    from dpi.store import Result, Store

_SHOWN = 200            # rows shown in a terminal
_ACROSS = 14            # columns beyond which rows are shown one below the other
_EXACT = 1 << 53        # JSON numbers beyond are not exact everywhere


@click.command("query", short_help="Ask the store in SQL; without SQL, show what it holds.")
@click.argument("sql", required=False)
@click.option("--store", "url", metavar="URL", help="chdb:///path or clickhouse://user@host:9000/database.  [default: chdb:///fullspan.chdb, in the working directory]")
@reason_options
@click.option("--json", "form", flag_value="json", help="Print JSON: a list of rows.")
@click.option("--csv", "form", flag_value="csv", help="Print CSV.")
def command(sql: str | None, url: str | None, reason: str, ticket: str, form: str | None) -> None:
    """Ask the store in SQL (ClickHouse's). Only reading is allowed. `docs/schema.md` lists the tables and their columns.

    \b
    fullspan query "SELECT application, sum(client_bytes + server_bytes) AS bytes FROM flows GROUP BY application ORDER BY bytes DESC LIMIT 10"
    """
    from dpi import settings
    from dpi.store import open_store

    store = open_store(url or settings.load().store.url, create=False, readonly=True)
    try:
        found = _interruptible(lambda: overview(store) if sql is None else _asked(store, _one(sql), reason, ticket))
        show(found, form)
    finally:
        store.close()


def _interruptible(ask: Callable[[], Result]) -> Result:
    """Ask in a thread: the embedded engine does not return before it has the answer, and Ctrl-C must not wait for that."""
    answers: list[Result | BaseException] = []

    def work() -> None:
        try:
            answers.append(ask())
        except BaseException as error:      # raised again where the person waits
            answers.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.2)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.stdout.flush()
        os._exit(130)                       # nothing was being written: the store was opened for reading
    if isinstance(answers[0], BaseException):
        raise answers[0]
    return answers[0]


def _asked(store: Store, sql: str, reason: str, ticket: str) -> Result:
    """The answer, once its row of `audit` is written where it takes one."""
    reading = permitted(store, "query", reason, ticket, "tables", "", sql)
    try:
        found = store.query(sql)
    except UserError:
        reading.told(0, sql)            # an error's words may hold what a row holds
        raise
    reading.told(len(found), sql)
    return found


def _one(sql: str) -> str:
    return sql.strip().rstrip(";")


def overview(store: Store) -> Result:
    """A row for each table: how many rows, what time they cover, what they mean."""
    from dpi.schema import TABLES
    from dpi.store import Result

    sizes = {str(row[0]): int(row[1]) for row in store.query(
        "SELECT table, sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table")}
    rows: list[tuple[Any, ...]] = []
    for table in TABLES.values():
        first, last = {"flows": ("interval_start", "interval_end"), "captures": ("first_time", "last_time"), "expired": ("first_time", "last_time"), "alerts": ("first_time", "last_time"),
                       "holds": ("from_time", "to_time")}.get(table.name, ("time", "time"))
        final = " FINAL" if table.engine.startswith("Replacing") else ""
        count, begin, end = store.query(f"SELECT count(), toString(min({first})), toString(max({last})) FROM {table.name}{final}").rows[0]
        rows.append((table.name, int(count), sizes.get(table.name, 0), begin if count else "", end if count else "", table.words))
    return Result(["table", "rows", "bytes", "first_time", "last_time", "meaning"], ["String", "UInt64", "UInt64", "String", "String", "String"], rows)


def show(result: Result, form: str | None) -> None:
    """Print rows as JSON, CSV, a table (terminal) or tab-separated lines (pipe)."""
    if form == "json":
        click.echo(json.dumps([dict(zip(result.columns, map(_json, result.columns, row), strict=True)) for row in result.rows], indent=2, ensure_ascii=False))
    elif form == "csv" or not sys.stdout.isatty():
        writer = csv.writer(sys.stdout, lineterminator="\n") if form == "csv" else csv.writer(sys.stdout, "excel-tab", lineterminator="\n")
        writer.writerow(result.columns)
        writer.writerows([_cell(value, "") for value in row] for row in result.rows)
    elif len(result.columns) > _ACROSS:
        _down(result)
    else:
        _across(result)


def _json(name: str, value: Any) -> Any:
    from dpi.schema import IDS

    if isinstance(value, int) and not isinstance(value, bool) and (name in IDS or abs(value) > _EXACT):
        return str(value)
    return value


def _cell(value: Any, null: str = "-") -> str:
    if value is None:
        return null
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _across(result: Result) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, kind in zip(result.columns, result.types, strict=True):
        table.add_column(name, justify="right" if "Int" in kind or "Float" in kind or "Decimal" in kind else "left", overflow="fold")
    for row in result.rows[:_SHOWN]:
        table.add_row(*(Text(_cell(value)) for value in row))
    Console(highlight=False).print(table)
    _more(result)


def _down(result: Result) -> None:
    width = max(len(name) for name in result.columns)
    for number, row in enumerate(result.rows[:_SHOWN], 1):
        click.secho(f"row {number}", bold=True)
        for name, value in zip(result.columns, row, strict=True):
            click.echo(f"  {name:<{width}}  {_cell(value)}")
    _more(result)


def _more(result: Result) -> None:
    if len(result) > _SHOWN:
        click.echo(f"{len(result) - _SHOWN} more of {len(result)} rows: use LIMIT, --json or --csv", err=True)
