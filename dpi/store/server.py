"""A ClickHouse server as the store, over the native protocol.

Servers from 21 on get the tables of dpi/store/tables.py, older ones those of dpi/store/legacy.py.
"""
from __future__ import annotations

import contextlib
import ipaddress
import re
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from typing import Any

from dpi.batch import Batch
from dpi.errors import UserError
from dpi.schema import TABLES
from dpi.store import Address, Away, Result, Store, legacy, rollups, shown, tables
from dpi.store.captures import Captures, Stored, has_begun, of_captures
from dpi.store.native import KERNELS
from dpi.store.parcel import Packing, Parcel
from dpi.store.session import Session

_TIMES = frozenset(column.name for table in TABLES.values() for column in table.columns if column.kind in ("time", "time?"))
_AT_IT = "Unknown log entry type: 0"
_MUTATION = 600.0           # s that rows of a replaced capture may take to go


class ServerStore:
    """See dpi.store.Store. Calls from several threads wait for each other.

    What `write` is given is inserted when enough has come together, in the thread that writes: a probe puts a Delivery before it.
    """

    kernels = KERNELS

    def __init__(self, url: str, where: Address, *, create: bool = True, readonly: bool = False) -> None:
        self.url, self._where = shown(url), where
        self._create, self._readonly = create, readonly
        self._lock = threading.RLock()
        self._session = Session(where)
        self._dialect = ""
        self._packing = Packing("replay")
        self._ended: list[Batch] = []           # rows of `captures` that go after all others
        self._rewritten = False
        self._replaced: set[int] = set()
        self._captures: Captures | None = None
        self._ready()

    def _ready(self) -> None:
        """A connection, and the tables as this Fullspan knows them: looked at once for each connection, for the server may be another one."""
        if self._session.open:
            return
        self._session.connect(self._create and not self._readonly)
        self._dialect = self._session.dialect
        if self._readonly or not self._create:
            return
        where = f"{self._session.name}/{self._where.database}"
        try:
            if self._dialect == "legacy":
                legacy.prepare(self._rows, where, self._where.replicated, self._where.replica)
            else:
                tables.prepare(self._rows, where, self._where.replicated, self._where.replica)
        except BaseException:
            self._session.close()
            raise

    @property
    def dialect(self) -> str:
        """'modern' or 'legacy', once something was asked."""
        return self._dialect

    def for_writing(self) -> Store:
        return ServerStore(self.url, self._where, create=False)

    # ---- writing

    def write(self, batch: Batch) -> None:
        with self._lock:
            if batch.table != "captures":
                self._packing.add(batch)
                if self._packing.full:
                    self._send(False)
                return
            self._rewritten |= self._known.note(batch)
            if has_begun(batch):
                self._packing.add(batch)
                self._send(True)
            else:
                self._ended.append(batch.whole())

    def start_flush(self) -> None:
        self.flush()

    def flush(self) -> None:
        with self._lock:
            self._send(True)
            for batch in self._ended:
                self._packing.add(batch)
            self._ended = []
            self._send(True)
            if self._rewritten:
                self._merge("captures")         # the later row replaces the former for whoever asks without FINAL, too
                self._rewritten = False
            if self._replaced:
                self._drop(sorted(self._replaced))
                self._replaced = set()

    def _send(self, everything: bool) -> None:
        for gathering in self._packing.take(everything):
            parcel = self._packing.pack(gathering)
            try:
                self.insert(parcel)
            except Away:                        # once more, on a new connection: most of what passes passes at once
                self.insert(parcel, again=True)

    def insert(self, parcel: Parcel, again: bool = False) -> None:
        with self._lock:
            try:
                self._ready()
            except Away:
                raise
            except UserError as error:              # of the tables or the user, not of these rows
                raise Away(error.what, error.where, error.mend) from None
            settings: dict[str, Any] = {}
            if self._dialect == "modern":
                settings = {"insert_deduplicate": 1, "insert_deduplication_token": parcel.token, "deduplicate_blocks_in_dependent_materialized_views": 1,
                            "async_insert": 0}
            elif again and self._is_there(parcel):
                return
            self._session.insert(parcel.table, parcel.names, parcel.block(self._dialect), settings, parcel.token)

    def _merge(self, table: str) -> None:
        """Make one part of this table.

        An old server that is at it by itself has nothing left to merge, and fails for want of an entry in a replicated table's log to wait for
        (https://github.com/ClickHouse/ClickHouse/issues/3611): its own merge is waited for.
        """
        until = time.monotonic() + self._where.timeout
        while True:
            try:
                self._rows(f"OPTIMIZE TABLE {table} FINAL")
                return
            except Away as error:
                if _AT_IT not in error.what or time.monotonic() > until:
                    raise
            time.sleep(0.02)

    def _is_there(self, parcel: Parcel) -> bool:
        """Whether an old server has stored the parcel. Its tables know no tokens, and only replicated ones know a block again, for a while.

        A parcel is one block of one partition, and so is there whole or not at all; its rows are known by the time they were stored at. One that
        is being inserted still, on a connection that was lost, is waited for: raises Away.
        """
        if self._rows(f"SELECT count() FROM system.processes WHERE query_id = {_literal(parcel.token)}")[0][0]:
            raise Away("the server is busy with these rows", self._session.name)
        held = self._rows(f"SELECT count() FROM {parcel.table} WHERE stored_time = {parcel.stored_time}")[0][0]
        return int(held) >= parcel.rows

    # ---- asking

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a statement, as text and numbers."""
        return self._ask(sql).rows

    def _ask(self, sql: str) -> Result:
        with self._lock:
            rows, columns = self._session.ask(sql, {"readonly": 2} if self._readonly else None)
        names, types = [_text(name) for name, _kind in columns], [_text(kind) for _name, kind in columns]
        old = [self._dialect == "legacy" and name in _TIMES and "Int64" in kind for name, kind in zip(names, types, strict=True)]
        values = [tuple(_shown(value, kind, is_time) for value, kind, is_time in zip(row, types, old, strict=True)) for row in rows]
        return Result(names, types, values)

    def query(self, sql: str, params: dict[str, Any] | None = None) -> Result:
        with self._lock:
            self._ready()
            text = _filled(sql, params or {})
            try:
                return self._ask(text)
            except Away:
                if self._session.open:
                    raise
                self._ready()                   # the connection was an old one
                return self._ask(text)

    def arrow(self, sql: str, params: dict[str, Any] | None = None) -> Any:
        import pyarrow

        found = self.query(sql, params)
        columns = list(zip(*found.rows, strict=True)) or [()] * len(found.columns)
        return pyarrow.table([pyarrow.array(values) for values in columns], names=found.columns)

    def fill(self, told: Callable[[str, int], None]) -> int:
        """Compute the rollups of every day anew; how many days. See dpi.store.rollups.fill. UserError on servers before 21."""
        with self._lock:
            self._ready()
            if self._dialect == "legacy":
                raise UserError("rollups are computed when they are asked for on this server", self._session.name, "there is nothing to fill")
            return rollups.fill(self._rows, told)

    # ---- captures

    @property
    def _known(self) -> Captures:
        if self._captures is None:
            self._captures = Captures(self._asked, "modified_time + 0" if self._dialect == "legacy" else "toUnixTimestamp64Micro(modified_time)")
        return self._captures

    def _asked(self, sql: str) -> list[tuple[Any, ...]]:
        self._ready()
        return self._rows(sql)

    def captures(self, size: int) -> list[Stored]:
        with self._lock:
            return self._known.of_size(size)

    def replace(self, captures: Iterable[int]) -> None:
        with self._lock:
            numbers = set(captures)
            self._known.forget(numbers)
            self._replaced |= numbers

    def _drop(self, captures: list[int]) -> None:
        """Delete the rows of these captures; those of `captures` go last, so that what is interrupted is found again."""
        chosen = ", ".join(map(str, captures))
        names = [name for name in of_captures() if not (TABLES[name].folds and self._dialect == "legacy")]
        for name in [*names, "captures"]:
            gone = f"SELECT count() FROM {name} WHERE capture_id IN ({chosen})"
            if not self._rows(gone)[0][0]:
                continue
            self._rows(f"ALTER TABLE {name} DELETE WHERE capture_id IN ({chosen})")
            until = time.monotonic() + _MUTATION
            while self._rows(gone)[0][0]:           # a replicated table takes it up when it likes, so system.mutations can't be asked
                if time.monotonic() > until:
                    raise UserError("the server takes too long to delete the rows of a replaced capture", self._session.name, "see its system.mutations")
                time.sleep(0.02)

    def close(self) -> None:
        with self._lock:
            try:
                if self._packing.rows or self._ended or self._replaced:
                    self.flush()
            finally:
                with contextlib.suppress(UserError):
                    self._session.close()


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _shown(value: Any, kind: str, is_time: bool) -> Any:
    """A value as every store shows it: see dpi.store.Result."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, bytes):
        if "FixedString(16)" in kind and len(value) == 16:
            address = ipaddress.IPv6Address(value)
            return str(address.ipv4_mapped or address)
        return _text(value.rstrip(b"\0") if "FixedString" in kind else value)
    if isinstance(value, int):
        return _moment(value) if is_time else value
    if isinstance(value, datetime):
        utc = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        precision = re.search(r"DateTime64\((\d)", kind)
        digits = int(precision.group(1)) if precision else 0
        return utc.strftime("%Y-%m-%d %H:%M:%S") + (f".{utc.microsecond:06d}"[:1 + digits] if digits else "")
    if isinstance(value, list | tuple):
        return [_shown(one, kind, is_time) for one in value]
    if isinstance(value, ipaddress.IPv6Address):
        return str(value.ipv4_mapped or value)
    if isinstance(value, ipaddress.IPv4Address | date):
        return str(value)
    return _text(value)


def _moment(us: int) -> Any:
    """Microseconds since the epoch as text; the number itself where no calendar reaches."""
    seconds, rest = divmod(us, 1_000_000)
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return us
    return f"{moment.year:04d}-{moment:%m-%d %H:%M:%S}.{rest:06d}"


def _literal(value: Any) -> str:
    """A value in SQL."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    text = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"


def _filled(sql: str, params: dict[str, Any]) -> str:
    """The question with its values in place: old servers take none beside it."""
    def put(found: re.Match[str]) -> str:
        if found.group(1) not in params:
            raise UserError(f"the question needs a value for {found.group(1)}", "query")
        return _literal(params[found.group(1)])
    return re.sub(r"\{(\w+):[^}]+\}", put, sql)
