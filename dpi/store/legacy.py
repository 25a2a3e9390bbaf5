"""The tables on servers before 21 (18.16 is what Debian has): the same names and columns in the types these servers know.

Times are Int64 microseconds, addresses FixedString(16). There are no codecs and no index of a time, so `flows` is sorted by it. A rollup is a view
that is computed when it is asked for: a materialized one is not told on these servers which blocks of a repeated insert are new, and would miss
or double them.
"""
from __future__ import annotations

from dpi.errors import UserError
from dpi.schema import TABLES, Column, Table
from dpi.store import masked, rollups
from dpi.store.tables import VERSION, Run

_STATE = "fullspan_schema"
_DAY = "toDate(toDateTime(intDiv(stored_time, 1000000)))"
_STORED = " DEFAULT toInt64(toUnixTimestamp(now())) * 1000000"


def _define(column: Column) -> str:
    return f"`{column.name}` {column.type('legacy')}{_STORED if column.name == 'stored_time' else ''}"


def engine(table: Table, replicated: str, replica: str) -> str:
    """The engine of a table; replicated: the path in ZooKeeper below which tables have theirs, '' for none."""
    name, _, rest = table.engine.partition("(")
    inner = [rest.rstrip(")")] if rest else []
    if replicated:
        name, inner = f"Replicated{name}", [f"'{replicated}/{table.name}'", f"'{replica}'", *inner]
    return f"{name}({', '.join(inner)})" if inner else f"{name}()"


def create(table: Table, replicated: str = "", replica: str = "") -> str:
    """CREATE TABLE; of a rollup CREATE VIEW."""
    if table.folds:
        return _view(table)
    order = ", ".join(table.order) or f"({table.span})"
    columns = ",\n  ".join(_define(column) for column in table.columns)
    return (f"CREATE TABLE IF NOT EXISTS {table.name} (\n  {columns}\n) ENGINE = {engine(table, replicated, replica)}\nPARTITION BY {_DAY}\n"
            f"ORDER BY ({order})")


def _root(table: Table) -> Table:
    """The rollup of rows, not of another rollup, that it is folded from in the end."""
    while TABLES[table.folds].folds:
        table = TABLES[table.folds]
    return table


def _view(table: Table) -> str:
    """The rollup straight from the rows it sums up in the end, not from the rollup before it: rows are read once."""
    step, root = table.step, _root(table)
    src = root.folds        # the server keeps a view's text without quotes, and a bare `interval` would keep it from starting again
    moment = f"{src}.interval_start" if src == "flows" else f"{src}.time"
    # the remainder of a time before 1970 is negative
    seconds = f"intDiv({moment} - (({moment} % 1000000) + 1000000) % 1000000, 1000000)"
    if src != "flows" and TABLES[src].column("time").kind == "minute":
        seconds = f"toInt64(toUnixTimestamp({moment}))"
    keys = {"time": f"toDateTime({seconds} - (({seconds} % {step}) + {step}) % {step}, 'UTC')", "stored_day": _DAY}
    # an alias that is a column's name is what every other expression would mean by it
    inner = ", ".join(f"{keys.get(column.name) or rollups.expression(root, root.column(column.name), src)} AS _{column.name}" for column in table.columns)
    grouped = ", ".join(f"_{column.name}" for column in table.columns if rollups.is_key(column))
    outer = ", ".join(f"_{column.name} AS {column.name}" for column in table.columns)
    return (f"CREATE VIEW IF NOT EXISTS {table.name} AS SELECT {outer} FROM (SELECT {inner} FROM {src} {root.picked.format(src=src)} GROUP BY {grouped})")


def prepare(run: Run, where: str, replicated: str = "", replica: str = "") -> None:
    """Create what is missing and add the columns that are new. Columns that are gone stay, unused; rollups are made again where they changed.

    Raises UserError where the tables were made by a newer Fullspan, or differ from what `replicated` says.
    """
    run(f"CREATE TABLE IF NOT EXISTS {_STATE} (version UInt32, applied DateTime DEFAULT now()) ENGINE = MergeTree() ORDER BY applied")
    known = [int(str(row[0])) for row in run(f"SELECT version FROM {_STATE} ORDER BY version DESC LIMIT 1")]
    if known and known[0] > VERSION:
        raise UserError(f"the store has schema {known[0]}, this Fullspan knows {VERSION}", where, "use a newer Fullspan, or another --store")
    present: dict[str, set[str]] = {}
    for name, column in run("SELECT table, name FROM system.columns WHERE database = currentDatabase()"):
        present.setdefault(str(name), set()).add(str(column))
    kinds = {str(name): str(kind) for name, kind in run("SELECT name, engine FROM system.tables WHERE database = currentDatabase()")}
    for table in TABLES.values():
        held = present.get(table.name, set())
        if table.folds and held and held != set(table.names):
            run(f"DROP TABLE {table.name}")
        if table.name in kinds and not table.folds:
            if kinds[table.name].startswith("Replicated") != bool(replicated):
                raise UserError(f"the table {table.name} is {'not ' if replicated else ''}replicated", where,
                                "name another database, or say ?replicated= as when it was made")
            before = ""
            for column in table.columns:
                if column.name not in held:
                    run(f"ALTER TABLE {table.name} ADD COLUMN {_define(column)}{f' AFTER {before}' if before else ''}")
                before = column.name
        else:
            run(create(table, replicated, replica))
    for statement in masked.keys(replicated, replica):      # ids of alerts are keyed with it; views of pseudonyms are not for these servers
        run(statement)
    masked.fill_key(run)
    if not known:
        run(f"INSERT INTO {_STATE} (version) SELECT {VERSION}")
