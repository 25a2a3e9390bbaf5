"""The ClickHouse tables: DDL from the rows of dpi/schema.py, and what brings an older store up to date.

Partitions and retention follow `stored_time`, never packet time: captures of any year, of many years or with broken clocks are kept whole.
"""
from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence

from dpi.errors import UserError
from dpi.schema import KINDS, TABLES, Column, Table
from dpi.store import masked, rollups

#: Raised when a migration below is added. Adding columns, tables or rollups needs none: they are compared and added.
VERSION = 1
#: Statements that lead from version n - 1 to n, for what adding columns can't express.
MIGRATIONS: dict[int, tuple[str, ...]] = {}

_STATE = "fullspan_schema"
_TAKEN_OVER = "taking over"         # in the place of a digest while rollups are filled: where that was cut short, it is begun again
#: Parcels of which each table remembers the token: sent again, they are known (see Store.insert).
_WINDOW = 1000
_SETTINGS = f"non_replicated_deduplication_window = {_WINDOW}, min_bytes_for_wide_part = 1073741824, min_rows_for_wide_part = 2000000"
#: What replays write. A store that only they have opened has these and their rollups: each other table costs the next opening 2 ms.
REPLAYED = frozenset(("flows", "captures", "coverage", "dns", "tls", "http", "detections", "alerts"))
_FIRST_LATER = next(table.name for table in TABLES.values() if table.name not in REPLAYED)
Rows = Sequence[Sequence[object]]
Run = Callable[[str], Rows]


def _codec(column: Column, table: Table) -> str:
    kind = KINDS[column.kind]
    return kind.codec if table.folds else kind.raw or kind.codec


def _define(column: Column, table: Table) -> str:
    default = " DEFAULT now64(6, 'UTC')" if column.name == "stored_time" else ""
    codec = f" CODEC({_codec(column, table)})" if _codec(column, table) else ""
    comment = column.words.replace("\\", "\\\\").replace("'", "\\'")
    return f"`{column.name}` {column.type()}{default}{codec} COMMENT '{comment}'"


def create(table: Table, replicated: str = "", replica: str = "") -> str:
    """CREATE TABLE for an empty store; replicated: the path in ZooKeeper below which its own is, '' for none."""
    stored = "toDate(stored_time)" if "stored_time" in table.names else "stored_day"
    engine = table.engine
    if engine == "SummingMergeTree":
        sums = [column.name for column in table.columns if column.kind == "u64"]
        engine = f"SummingMergeTree(({', '.join(sums)}))"
    if replicated:
        name, _, rest = engine.partition("(")
        engine = f"Replicated{name}('{replicated}/{table.name}', '{replica}'{f', {rest}' if rest else ')'}"
    order = f"({', '.join(table.order)})" if table.order else "tuple()"
    parts = [_define(column, table) for column in table.columns]
    if table.span:
        parts.append(f"INDEX {table.span}_span {table.span} TYPE minmax GRANULARITY 1")
    columns = ",\n  ".join(parts)
    return (f"CREATE TABLE IF NOT EXISTS {table.name} (\n  {columns}\n) ENGINE = {engine}\nPARTITION BY {stored}\nORDER BY {order}\n"
            f"SETTINGS {_SETTINGS}")


def statements(replicated: str = "", replica: str = "", live: bool = True, whole: bool = True) -> list[str]:
    """All that makes an empty store. live: rows will come day and night, rollups are kept (dpi.store.rollups). whole: not of what is REPLAYED alone."""
    return _tables(replicated, replica, live, whole) + _views(live, whole)


def _tables(replicated: str, replica: str, live: bool, whole: bool = True) -> list[str]:
    wanted = [table for table in TABLES.values() if (live if table.folds else whole or table.name in REPLAYED)]
    return [create(table, replicated, replica) for table in wanted] + masked.keys(replicated, replica)


def _views(live: bool, whole: bool = True) -> list[str]:
    if live:
        return [rollups.view(table) for table in rollups.FOLDED] + masked.statements()
    asked = [rollups.asked(table) for table in (rollups.FOLDED if whole else rollups.FIRST)]
    return asked + (masked.statements() if whole else [])


def digest(replicated: str = "", replica: str = "", live: bool = True, whole: bool = True) -> str:
    """Changes with any table, column or view."""
    return hashlib.sha256("\n".join([str(VERSION), *statements(replicated, replica, live, whole)]).encode()).hexdigest()[:16]


def prepare(run: Run, where: str, replicated: str = "", replica: str = "", live: bool = True, whole: bool = True, key: bool = True) -> None:
    """Create what is missing and bring what is older up to date; costs one query where nothing changed. live: all rollups are kept as rows come; a store in
    which they are stays so. whole: what replays don't write is there as well, else it may be; a new store begins without.
    key: with the key of pseudonyms; without, it is for who asks for it, or is to be copied, to make.

    Raises UserError where the store was written by a newer Fullspan.
    """
    now = digest(replicated, replica, live, whole)
    if _exists(run, _STATE):
        known = list(run(f"SELECT version, digest FROM {_STATE} ORDER BY applied DESC LIMIT 1"))
    else:
        run(f"CREATE TABLE {_STATE} (version UInt32, digest String, applied DateTime64(6, 'UTC') DEFAULT now64(6)) "
            "ENGINE = MergeTree ORDER BY applied")
        known = []
    version = int(str(known[0][0])) if known else VERSION
    if version > VERSION:
        raise UserError(f"the store has schema {version}, this Fullspan knows {VERSION}", where, "use a newer Fullspan, or another --store")
    held = str(known[0][1]) if known else ""
    if held == now or held and held in (digest(replicated, replica), "" if whole else digest(replicated, replica, live=False)):
        return
    if held and whole and held == digest(replicated, replica, live=False, whole=False):
        held = _made_whole(run, replicated, replica)
        if held == now:
            return
    taken_over = False
    if known:
        computed = rollups.computed(run)
        live = live or rollups.kept(run)
        taken_over = live and (held == _TAKEN_OVER or bool(computed) or not _exists(run, _FIRST_LATER))
        if taken_over:
            _note(run, _TAKEN_OVER)
        now = digest(replicated, replica, live)
        for name in computed:
            run(f"DROP VIEW IF EXISTS {name}")
        _upgrade(run, version)
    for statement in _tables(replicated, replica, live, whole or bool(known)):
        run(statement)
    if known:
        rollups.put_back(run)
    if key:
        masked.fill_key(run)
    for statement in _views(live, whole or bool(known)):
        run(statement)
    if taken_over:
        rollups.fill(run)           # through the views: rollups of rollups follow
    _note(run, now)


def _made_whole(run: Run, replicated: str, replica: str) -> str:
    """Add to a store of replays alone what it began without; its digest then."""
    had = set(statements(replicated, replica, live=False, whole=False))
    for statement in statements(replicated, replica, live=False):
        if statement not in had:
            run(statement)
    masked.fill_key(run)
    now = digest(replicated, replica, live=False)
    _note(run, now)
    return now


def _note(run: Run, now: str) -> None:
    run(f"INSERT INTO {_STATE} (version, digest) VALUES ({VERSION}, '{now}')")


def _exists(run: Run, name: str) -> bool:
    return str(list(run(f"EXISTS TABLE {name}"))[0][0]) == "1"


def _upgrade(run: Run, version: int) -> None:
    """Add the columns that are new and drop the views, which are made again; rollups that changed are set aside. Columns that are gone stay, unused."""
    for step in range(version + 1, VERSION + 1):
        for statement in MIGRATIONS[step]:
            run(statement)
    for table in rollups.FOLDED:
        run(f"DROP VIEW IF EXISTS {rollups.view_name(table)}")
    for masking in masked.VIEWS:
        run(f"DROP VIEW IF EXISTS {masking}")
    present: dict[str, set[str]] = {}
    for name, column in run("SELECT table, name FROM system.columns WHERE database = currentDatabase()"):
        present.setdefault(str(name), set()).add(str(column))
    rollups.set_aside(run, present)
    for table in TABLES.values():
        before = ""
        if table.folds:
            continue
        if table.name in present:
            run(f"ALTER TABLE {table.name} MODIFY SETTING non_replicated_deduplication_window = {_WINDOW}")
        for column in table.columns:
            if table.name in present and column.name not in present[table.name]:
                run(f"ALTER TABLE {table.name} ADD COLUMN {_define(column, table)} {f'AFTER `{before}`' if before else 'FIRST'}")
            before = column.name
    _recode(run)


def _recode(run: Run) -> None:
    """Give columns the codec that they have in a new store: parts that are written from now on have it, and a new replica finds the columns it has itself."""
    held = {(str(table), str(name)): re.sub(r"\(\d+\)", "", str(codec)) for table, name, codec in
            run("SELECT table, name, compression_codec FROM system.columns WHERE database = currentDatabase()")}
    for table in TABLES.values():
        wanted = [f"MODIFY COLUMN `{column.name}` CODEC({codec})" for column in table.columns if (codec := _codec(column, table))
                  and held.get((table.name, column.name), f"CODEC({codec})") != f"CODEC({codec})"]
        if wanted:
            run(f"ALTER TABLE {table.name} {', '.join(wanted)}")
