"""The store: ClickHouse, embedded (chDB) or a server. Open it with `open_store(url)`.

chdb:///path          embedded, the path owned by one process at a time, others read it through that one where it answers them; a bare name
                      (chdb:///fullspan.chdb, the default) is in the working directory; ?database=name for another database than `default`
clickhouse://user@host:9000/database
                      a server; ?replicated=/clickhouse/tables/path makes its tables ReplicatedMergeTree below that path of ZooKeeper or Keeper,
                      &replica=name names this replica (else the server's macro does); ?timeout=30: seconds without an answer
none                  keeps nothing
"""
from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from dpi.dataclass import dataclass
from dpi.errors import UserError

if TYPE_CHECKING:
    from dpi.batch import Batch
    from dpi.store.captures import Stored
    from dpi.store.engine import Engine
    from dpi.store.parcel import Parcel

DEFAULT = "chdb:///fullspan.chdb"       # a bare name: in the working directory

__all__ = ["DEFAULT", "Address", "Away", "NoStore", "Result", "Store", "address", "new_capture_id", "open_ahead", "open_store", "shown"]


class Away(UserError):
    """The store can't take rows now, for a reason that may pass: not reachable, no answer, disk full. Sent again, they may go in."""


@dataclass(frozen=True)
class Result:
    """Rows of a query. Times are text (UTC), addresses text with plain IPv4, 64-bit numbers int."""
    columns: list[str]
    types: list[str]
    rows: list[tuple[Any, ...]] = field(default_factory=list)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def dicts(self) -> list[dict[str, Any]]:
        """Each row as {column: value}."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def value(self) -> Any:
        """The first column of the first row, None where there is none."""
        return self.rows[0][0] if self.rows else None


class Store(Protocol):
    """What every store can do. It is a sink."""
    url: str

    def write(self, batch: Batch) -> None:
        """Take rows; they are visible after `flush`. Raises UserError for this or an earlier batch (disk full, connection lost).

        A row of `captures` that says its replay has begun (dpi.store.captures.UNFINISHED) is stored before all others, one that says how it
        ended after them."""

    def start_flush(self) -> None:
        """Begin to store all rows written so far, and return at once."""

    def flush(self) -> None:
        """Return when all rows written so far are stored."""

    def insert(self, parcel: Parcel, again: bool = False) -> None:
        """Store a parcel now, whole or not at all; return when it is stored. again: it may have been sent before; it counts once all the same.

        Raises Away where it can be sent again later (whether this time it was stored is then not known), UserError where it never will go in."""

    def query(self, sql: str, params: dict[str, Any] | None = None) -> Result:
        """Answer a question; rows not flushed are not seen. `{name:Type}` in the SQL stands for params[name]. UserError for wrong SQL."""

    def arrow(self, sql: str, params: dict[str, Any] | None = None) -> Any:
        """The same as a pyarrow.Table."""

    def captures(self, size: int) -> list[Stored]:
        """The captures whose files have this size, those written and not yet flushed among them."""

    def for_writing(self) -> Store:
        """The same store opened once more, for writing also where this one only reads; to be closed before this one."""

    def replace(self, captures: Iterable[int]) -> None:
        """Drop every row of these captures. They go at the next flush, once the new rows are stored: nothing is lost where that fails."""

    def close(self) -> None:
        """Flush and let go. Raises UserError where rows could not be stored."""


class NoStore:
    """Keeps nothing."""
    url = "none"

    def write(self, batch: Batch) -> None:
        pass

    def start_flush(self) -> None:
        pass

    def flush(self) -> None:
        pass

    def insert(self, parcel: Parcel, again: bool = False) -> None:
        pass

    def query(self, sql: str, params: dict[str, Any] | None = None) -> Result:
        raise UserError("there is no store to ask", "--store none", "name a store, such as chdb:///path")

    def arrow(self, sql: str, params: dict[str, Any] | None = None) -> Any:
        return self.query(sql, params)

    def captures(self, size: int) -> list[Stored]:
        return []

    def for_writing(self) -> Store:
        return self

    def replace(self, captures: Iterable[int]) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Address:
    """A store URL taken apart."""
    scheme: str                     # chdb, clickhouse, none
    path: Path = Path()
    host: str = ""
    port: int = 9000
    user: str = "default"
    password: str = field(default="", repr=False)
    database: str = "default"
    replicated: str = ""            # where in ZooKeeper the tables' paths begin; '': tables of one server
    replica: str = "{replica}"
    timeout: float = 30.0           # s


def address(url: str) -> Address:
    """Take a store URL apart; '' is the default. A bare name, chdb:path and chdb://path are relative to the working directory."""
    url = url or DEFAULT
    if url == "none":
        return Address("none")
    try:
        parts = urlsplit(url)
        port = parts.port or 9000
    except ValueError as error:
        raise UserError(f"not a store URL: {error}", url, "use chdb:///path, clickhouse://user@host:9000/db or none") from None
    if parts.scheme == "chdb":
        database = parse_qs(parts.query).get("database", ["default"])[0]
        if not database.isidentifier():
            raise UserError("a database name is made of letters, digits and _", url)
        path = unquote(parts.netloc + parts.path)
        if not path.strip("/"):
            raise UserError("a chdb store needs a path", url, "use chdb:///path/to/fullspan.chdb")
        if path.count("/") == 1:        # chdb:///name: nobody keeps a store in the root directory
            path = path.lstrip("/")
        return Address("chdb", Path(path).absolute(), database=database)
    if parts.scheme == "clickhouse" and parts.hostname:
        return _server(url, parts, port)
    raise UserError("not a store URL", url, "use chdb:///path, clickhouse://user@host:9000/db or none")


def shown(url: str) -> str:
    """A store URL without its password."""
    password = urlsplit(url).password
    return url.replace(f":{password}@", ":***@") if password else url


def _server(url: str, parts: SplitResult, port: int) -> Address:
    """The address of a server."""
    options = {name: values[0] for name, values in parse_qs(parts.query).items()}
    database, unknown = parts.path.strip("/") or "default", sorted(set(options) - {"replicated", "replica", "timeout"})
    if not database.isidentifier():
        raise UserError("a database name is made of letters, digits and _", shown(url))
    if unknown:
        raise UserError(f"a store on a server has no option {', '.join(unknown)}", shown(url), "it has replicated, replica and timeout")
    try:
        timeout = float(options.get("timeout", "30"))
    except ValueError:
        timeout = 0.0
    if not 0 < timeout < 86400:
        raise UserError("timeout is a number of seconds", shown(url))
    path = options.get("replicated", "").rstrip("/")
    if path and not path.startswith("/") or "'" in "".join(options.values()) or "\\" in "".join(options.values()):
        raise UserError("replicated is a path of ZooKeeper, such as /clickhouse/tables/1", shown(url))
    return Address("clickhouse", host=parts.hostname or "", port=port, user=unquote(parts.username or "default"), password=unquote(parts.password or ""),
                   database=database, replicated=path, replica=options.get("replica", "{replica}"), timeout=timeout)


def open_ahead(url: str, merging: bool = False) -> Engine | None:
    """Begin to open (and to make) the store in a process beside this one, for `open_store`; None where that is of no use, or too late: a process
    that has threads can't be forked. merging: for rows that come day and night, on a single core as well; else for a replay, to which it gives
    way. Raises UserError for what can be told already."""
    where = address(url)
    if where.scheme != "chdb" or len(os.sched_getaffinity(0)) < 2 and not merging or threading.active_count() > 1 or "chdb._chdb" in sys.modules:
        return None
    from dpi.store.blank import REPLAYED
    from dpi.store.directory import check
    from dpi.store.engine import Beside

    check(where.path, create=True)
    return Beside(where.path, "" if merging or where.database != "default" else REPLAYED, gives_way=not merging)


def open_store(url: str = DEFAULT, *, create: bool = True, readonly: bool = False, ahead: Engine | None = None, merging: bool = False,
               replaying: bool = False) -> Store:
    """Open the store, made and brought up to date where needed. ahead: what `open_ahead` gave. merging: rows will come day and night, so parts are
    merged while they do. replaying: a replay opens it, and a new embedded store has only what replays write until it is asked for more.

    create=False refuses a chdb path, or a database on a server, that does not exist; readonly=True lets `query` read only (what a person typed). Where
    one of them says that it is for reading, a path held by a process that answers others (dpi.store.answering) is read over HTTP from that one.
    Raises UserError: wrong URL, held by another process, no permission, disk full, written by a newer Fullspan;
    Away for a server that does not answer.
    """
    where = address(url)
    if where.scheme == "none":
        return NoStore()
    if where.scheme == "clickhouse":
        from dpi.store.server import ServerStore

        there: Store = ServerStore(url, where, create=create, readonly=readonly)
        return there
    if (readonly or not create) and (read := _held_elsewhere(url or DEFAULT, where)) is not None:
        return read
    from dpi.store.embedded import EmbeddedStore

    opened: Store = EmbeddedStore(url or DEFAULT, where, create=create, readonly=readonly, ahead=ahead, merging=merging, replaying=replaying)
    return opened


def _held_elsewhere(url: str, where: Address) -> Store | None:
    """The store as its owner gives it, where another process owns the path and answers: also in the moment in which its engine is started again."""
    from dpi.store.notice import standing

    here = sys.modules.get("dpi.store.embedded")
    if here is not None and here.is_open(where.path):
        return None
    from dpi.store.remote import RemoteStore

    notice = standing(where.path)
    return None if notice is None else RemoteStore(url, where, notice)


def new_capture_id() -> int:
    """A number for a capture, unique in practice: microseconds since the epoch."""
    return time.time_ns() // 1000


def plain(value: Any) -> Any:
    """An address as people write it: IPv4 out of its mapping; lists through and through."""
    if isinstance(value, str) and value.startswith("::ffff:") and value.count(".") == 3:
        return value[7:]
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(one) for one in value]
    return value
