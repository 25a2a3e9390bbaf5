"""The views that fill rollups as rows are stored, what keeps an older store's rollups when their columns change, and the filling of days before a view.

A view sees each block that is inserted into the table it folds; views of views follow. A rollup that is new in an older store has nothing of the rows
before: `fill` computes days anew, for days follow `stored_time` and each is a partition of its own.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from dpi.schema import TABLES, Column, Table

Run = Callable[[str], Sequence[Sequence[object]]]
FOLDED = tuple(table for table in TABLES.values() if table.folds)
#: Those that fold tables which are no rollups: all others follow from them.
ROOTS = tuple(table for table in FOLDED if not TABLES[table.folds].folds)
#: Those that every store has from its beginning. Kept as rows come is each of FOLDED where rows come day and night; in a store of replays all are views that
#: are computed when they are asked for: a view that sees each insert costs a replay more than all else of storing it.
FIRST = tuple(table for table in FOLDED if table.name in ("flows_1m", "flows_5m", "flows_1h"))
_BLOCKS = 100                   # a day that is filled may have as many names as so many blocks
_BEFORE = "_before"             # a rollup's rows while its table is made anew


def view_name(table: Table) -> str:
    """Name of the materialized view that fills a rollup."""
    return f"{table.name}_view"


def view(table: Table) -> str:
    """CREATE MATERIALIZED VIEW that folds `table.folds` into the rollup `table`."""
    return f"CREATE MATERIALIZED VIEW IF NOT EXISTS {view_name(table)} TO {table.name} AS\n{folded(table)}"


def asked(table: Table) -> str:
    """CREATE VIEW of a rollup that is computed when it is asked for."""
    return f"CREATE VIEW IF NOT EXISTS {table.name} AS\n{folded(table)}"


def computed(run: Run) -> set[str]:
    """The rollups of a store that are computed when they are asked for."""
    return _of_engine(run, "= 'View'")


def kept(run: Run) -> bool:
    """Whether a store keeps rollups as rows come."""
    return bool(_of_engine(run, "!= 'View'"))


def _of_engine(run: Run, engine: str) -> set[str]:
    found = run(f"SELECT name FROM system.tables WHERE database = currentDatabase() AND engine {engine}")
    return {str(name) for name, in found} & {table.name for table in FOLDED}


def is_key(column: Column) -> bool:
    """Whether rows of a rollup are told apart by it; the others are sums."""
    return column.kind != "u64"


def folded(table: Table, more: str = "") -> str:
    """SELECT of the rollup's rows from all of `table.folds`; more: a condition on its rows, `src`, where it is not a view that asks: then of usage
    the last computation of each slot counts, not the first."""
    last = bool(more) and TABLES[table.folds].engine.startswith("Replacing")
    picked = "FINAL" if last else table.picked.format(src="src")
    raw = TABLES[table.folds].folds == ""
    # in integers: toStartOfMinute() clamps times before 1970
    moment = "interval_start" if table.folds == "flows" else "time"
    at, scale = (f"toUnixTimestamp64Micro(src.{moment})", 1_000_000) if raw else ("toUnixTimestamp64Second(src.time)", 1)
    given = {"time": f"fromUnixTimestamp64Second(intDiv({at} - positiveModulo({at}, {table.step * scale}), {scale}), 'UTC')",
             "stored_day": "toDate(src.stored_time)" if raw else "src.stored_day"}
    keys = [column for column in table.columns if is_key(column)]
    bounded = bool(table.most)
    sums = [column.name for column in table.columns if not is_key(column)]
    chosen = []
    for column in table.columns:
        if bounded and column.name == "name":
            chosen.append(f"src.{table.named} AS {table.named}")
        else:
            chosen.append(f"{given.get(column.name) or expression(table, column, 'src')} AS {column.name}")
    grouped = ", ".join(table.named if bounded and column.name == "name" else column.name for column in keys)
    where = f"{'AND' if 'WHERE ' in picked else 'WHERE'} {more}" if more else ""
    inner = f"SELECT {', '.join(chosen)}\nFROM {table.folds} AS src {picked} {where}\nGROUP BY {grouped}"
    if not bounded:
        return inner
    # the names are cut once they have been counted, and only what comes first by the first sum keeps its own
    others = ", ".join(column.name for column in keys if column.name != "name")
    added = ", ".join(f"sum(src.{name}) AS {name}" for name in sums)
    cut = (f"SELECT {others}, {table.column('name').fold.format(src='src')} AS name, {added}, row_number() OVER (ORDER BY {sums[0]} DESC, name) AS place\n"
           f"FROM ({inner}) AS src\nGROUP BY {others}, name")
    return (f"SELECT {others}, if(src.place <= {table.most}, src.name, '') AS name, {added}\nFROM ({cut}) AS src\nGROUP BY {others}, name")


def expression(table: Table, column: Column, src: str) -> str:
    """SQL of a key or a sum over rows of the table that is folded, called `src`."""
    if column.fold and not TABLES[table.folds].folds:
        return column.fold.format(src=src)
    return f"{src}.{column.name}" if is_key(column) else f"sum({src}.{column.name})"


def set_aside(run: Run, present: dict[str, set[str]]) -> None:
    """Keep the rows of the rollups whose columns changed, and drop these tables: what they sum and how they are sorted can't be changed where they are.
    present: the columns of each table there is."""
    for table in FOLDED:
        held = present.get(table.name)
        if held is not None and not set(table.names) <= held:
            run(f"DROP TABLE IF EXISTS {table.name}{_BEFORE} SYNC")
            run(f"CREATE TABLE {table.name}{_BEFORE} ENGINE = MergeTree ORDER BY tuple() AS SELECT * FROM {table.name}")
            run(f"DROP TABLE {table.name} SYNC")


def put_back(run: Run) -> None:
    """Give rollups that were made anew their rows. Views must not be there yet. Where it was cut short, it is begun again."""
    for name, in list(run(f"SELECT name FROM system.tables WHERE database = currentDatabase() AND endsWith(name, '{_BEFORE}')")):
        table = TABLES[str(name).removesuffix(_BEFORE)]
        held = {str(column) for column, in run(f"SELECT name FROM system.columns WHERE database = currentDatabase() AND table = '{name}'")}
        columns = ", ".join(column for column in table.names if column in held)
        run(f"TRUNCATE TABLE {table.name}")
        run(f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {name}")
        run(f"DROP TABLE {name} SYNC")


def fill(run: Run, told: Callable[[str, int], None] = lambda day, rows: None) -> int:
    """Compute every rollup anew for each day whose rows are still stored, the oldest first; how many days that were. Nobody may insert meanwhile.

    A day of which a table's rows have expired, or are fewer than what its rollup was made of, keeps the rollup it has. told: called with each day and
    the rows of rollups it then has. Raises UserError where the store can't be asked."""
    days: dict[str, list[Table]] = {}
    views = computed(run)
    for root in (root for root in ROOTS if root.name not in views):
        for day, in run(f"SELECT DISTINCT toString(toDate(stored_time)) FROM {root.folds}"):
            days.setdefault(str(day), []).append(root)
    for day in sorted(days):
        done = 0
        for root in days[day]:
            done += _filled(run, root, f"'{day}'", views)
        told(day, done)
    return len(days)


def _filled(run: Run, root: Table, day: str, views: set[str]) -> int:
    """Fill a rollup and those that follow from it for a day, given as a literal; rows there are then."""
    size = next(column for column in root.columns if not is_key(column))
    held, = run(f"SELECT sum({size.name}) FROM {root.name} WHERE stored_day = {day}")[0]
    where = f"toDate(src.stored_time) = {day}"
    rows = folded(replace(root, most=root.most * _BLOCKS), where)
    found, = run(f"SELECT sum({size.name}) FROM ({rows})")[0]
    if int(str(found)) < int(str(held)):
        return 0
    for table in (one for one in (root, *_below(root)) if one.name not in views):
        run(f"ALTER TABLE {table.name} DROP PARTITION {day}")
    names = ", ".join(root.names)
    run(f"INSERT INTO {root.name} ({names}) SELECT {names} FROM ({rows})")
    return int(str(run(f"SELECT count() FROM {root.name} WHERE stored_day = {day}")[0][0]))


def _below(root: Table) -> list[Table]:
    """The rollups that follow from a rollup."""
    return [found for table in FOLDED if table.folds == root.name for found in (table, *_below(table))]
