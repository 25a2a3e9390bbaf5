"""The embedded store: ClickHouse inside this process (chDB), one directory, owned by one process at a time."""
from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from dpi import ending
from dpi.batch import Batch
from dpi.errors import UserError
from dpi.store import Address, Away, Result, Store, masked, rollups, tables
from dpi.store.answers import result, told
from dpi.store.blank import REPLAYED, WHOLE, Blank
from dpi.store.captures import Captures, Stored, drop, has_begun
from dpi.store.directory import check, held, in_use
from dpi.store.engine import COPIED, EMPTY, ENDED, OLD, Beside, Engine, Here, Reader
from dpi.store.library import location
from dpi.store.native import KERNELS
from dpi.store.parcel import Parcel
from dpi.store.writer import FIRST, LAST, Spool, Writer

log = logging.getLogger(__name__)
_OPEN: dict[str, int] = {}      # paths this process has open: the lock is its own
#: Errors that say the rows themselves are wrong: sent again they would be refused again.
_FINAL = ("NO_SUCH_COLUMN_IN_TABLE", "TYPE_MISMATCH", "CANNOT_CONVERT_TYPE", "CANNOT_READ_ALL_DATA", "INCORRECT_DATA", "UNKNOWN_TYPE", "SYNTAX_ERROR",
          "CANNOT_PARSE", "THERE_IS_NO_COLUMN", "ILLEGAL_COLUMN")
#: Of an insert: threads that wait for each other take a fifth of its time where rows are few, and every column it names is in the file.
_PLAIN = "max_threads = 1, input_format_defaults_for_omitted_fields = 0"
_PARTS = 40             # parts of a table beyond which merging in the background is worth its share of the processor


def is_open(path: Path) -> bool:
    """Whether this process has that path open."""
    return str(path) in _OPEN


class EmbeddedStore:
    """See dpi.store.Store."""

    kernels = KERNELS
    apart = True

    def __init__(self, url: str, where: Address, *, create: bool = True, readonly: bool = False, ahead: Engine | None = None,
                 merging: bool = False, replaying: bool = False) -> None:
        self.url = url
        self._path = where.path
        self._lock = threading.RLock()
        self._merging, self._doubtful = merging, False
        self._replaying = replaying
        self._whole = not replaying         # has all tables, not what replays write alone
        self._writing = merging             # in a replay merging waits for the end, see _begin
        self._captures = Captures(self._run)
        self._replaced: set[int] = set()
        self._rewritten = False             # a row of `captures` was written a second time
        self._at_once = self._dropping = False          # the engine has nothing to bring to an end; it takes away what was dropped
        self._blank = "" if where.database != "default" or merging else REPLAYED if replaying else WHOLE
        self._readonly, self._where = readonly, where
        self._new = self._ready = False
        self._unopened: UserError | None = None     # why it did not open: it is not tried again
        self._writer = Writer(self._insert)
        if ahead is None and str(where.path) not in _OPEN:
            check(where.path, create)
        try:
            self._connection: Engine = ahead or Here(where.path, self._blank)
        except Exception as error:
            raise self._refused(error) from None
        self._open = True
        _OPEN[str(self._path)] = _OPEN.get(str(self._path), 0) + 1
        if ahead is None:
            self._prepare()

    @property
    def process(self) -> int:
        """Of the engine, where it has one of its own; else 0."""
        return self._connection.process

    @property
    def _engine(self) -> Engine:
        """The engine, open and with its tables: where it opens beside this process, that is waited for when it is first asked."""
        if self._unopened is None and not self._ready:
            self._prepare()
        if self._unopened is not None:
            raise UserError(self._unopened.what, self._unopened.where, self._unopened.mend)
        if not self._open:                  # a closed connection that is asked ends the process
            raise UserError("the store is closed", str(self._path))
        if self._connection.ended and self._merging:
            with self._lock:
                if self._connection.ended:
                    self._restart(ENDED)
        return self._connection

    def _restart(self, why: str) -> None:
        """Another process for the engine. Raises Away where the store does not open now: it is tried again with the next statement."""
        self._connection.close()            # it is waited for: with it goes its lock of the directory
        fresh = Beside(self._path, self._blank, fork=False)
        try:
            fresh.query("SELECT 1" if self._where.database == "default" else f"USE {self._where.database}", "Null")
        except RuntimeError as error:
            fresh.close()
            told = self._told(error)
            raise Away(told.what, told.where, told.mend) from None
        self._connection, self._doubtful = fresh, False
        log.warning("the engine was started again", extra={"store": str(self._path), "reason": why})

    def _prepare(self) -> None:
        with self._lock:
            if self._ready or self._unopened is not None:
                return
            try:
                begun = self._connection.begun
            except Exception as error:
                self._let_go()
                self._unopened = self._refused(error)
                raise self._unopened from None
            self._new, self._ready = begun != OLD, True
            if self._new:
                self._captures.none_yet()
            try:
                if self._where.database != "default":
                    self._run(f"CREATE DATABASE IF NOT EXISTS {self._where.database}")
                    self._run(f"USE {self._where.database}")
                if begun != COPIED:
                    self._prepare_tables(key=begun == OLD or not self._blank)
                if begun == EMPTY and self._blank and (library := location()) is not None:
                    Blank(str(library), self._blank).keep(self._path)
                if self._whole and (begun == OLD or self._blank):       # each store its own; one of replays when it is first asked for
                    masked.fill_key(lambda sql: self._run(sql).rows)
                if self._readonly:
                    self._run("SET readonly = 2")
            except BaseException as error:
                self._let_go()
                self._unopened = self._told(error)
                raise

    def _prepare_tables(self, key: bool = True) -> None:
        tables.prepare(lambda sql: self._run(sql).rows, str(self._path), live=self._merging, whole=self._whole, key=key)

    def _ask(self, sql: str, form: str, params: dict[str, Any] | None = None) -> bytes:
        """An answer. RuntimeError where the engine refuses. Has the store made whole where a table is asked for that replays don't write."""
        try:
            return self._engine.query(sql, form, params)
        except RuntimeError as error:
            if self._whole or "UNKNOWN_TABLE" not in str(error):
                raise
        self._whole = True
        try:
            self._prepare_tables()
        except BaseException:               # tried again with the next statement
            self._whole = False
            raise
        return self._engine.query(sql, form, params)

    # ---- writing

    def write(self, batch: Batch) -> None:
        if batch.table == "captures":
            self._rewritten |= self._captures.note(batch)
            # no row of a capture is stored before the one that says its replay has begun, none after the one that says it has ended
            self._writer.write(batch, FIRST if has_begun(batch) else LAST)
        else:
            self._writer.write(batch)

    def start_flush(self) -> None:
        self._writer.start_flush()

    def flush(self) -> None:
        self._writer.flush()
        if self._rewritten:
            self._run("OPTIMIZE TABLE captures FINAL")      # the later row replaces the former for whoever asks without FINAL, too
            self._rewritten = False
        if self._replaced:
            with self._lock:
                self._writing &= not drop(self._run, sorted(self._replaced))
            self._replaced, self._dropping = set(), True

    def _insert(self, spool: Spool) -> None:
        with self._lock:
            if not self._writing:
                self._begin()
            try:
                # chDB's own streaming insert reports success where the disk is full; reading a file in memory does not
                self._ask(f"INSERT INTO {spool.table} ({', '.join(spool.columns)}) FROM INFILE '{self._engine.file(spool.file)}' "
                          f"SETTINGS deduplicate_insert = 'disable', {_PLAIN} FORMAT Native", "Null")
            except Exception as error:
                raise self._told(error) from None

    def insert(self, parcel: Parcel, again: bool = False) -> None:
        file = os.memfd_create("fullspan-parcel", os.MFD_CLOEXEC)
        try:
            with open(file, "wb", closefd=False) as out:
                out.write(parcel.block())
            with self._lock:
                self._send(parcel, file)
                if self._doubtful and isinstance(self._connection, Beside):
                    # a token may have been noted for rows that then could not be stored (see dpi.store.tokens)
                    self._restart("rows could not be stored for a while")
                    self._send(parcel, file)
        except UserError as error:
            if self._unopened is None:
                raise
            raise Away(error.what, error.where, error.mend) from None       # nothing was said of these rows
        except Exception as error:
            told = self._told(error)
            if any(word in str(error) for word in _FINAL):
                raise told from None
            self._doubtful = True
            raise Away(told.what, told.where, told.mend) from None
        finally:
            os.close(file)

    def _send(self, parcel: Parcel, file: int) -> None:
        """Insert a parcel whose block is in an open file. Sent a second time it is known by its token, and each rollup knows by itself whether it has it."""
        self._ask(f"INSERT INTO {parcel.table} ({', '.join(parcel.names)}) FROM INFILE '{self._engine.file(file)}' "
                  f"SETTINGS deduplicate_insert = 'enable', insert_deduplication_token = '{parcel.token}', "
                  "deduplicate_blocks_in_dependent_materialized_views = 1 FORMAT Native", "Null")

    def _begin(self) -> None:
        """A replay leaves few parts: merging them while it runs costs more than it gives. Where many have come together, let it merge."""
        self._writing = True
        parts = 0
        if not self._new:
            parts = int(self._run("SELECT max(parts) FROM (SELECT count() AS parts FROM system.parts "
                                  "WHERE active AND database = currentDatabase() GROUP BY table)").value() or 0)
        self._new = False
        if parts < _PARTS:
            self._run("SYSTEM STOP MERGES")
            self._run("SYSTEM START MERGES captures")       # of few rows, and merged at each flush

    # ---- asking

    def _run(self, sql: str, params: dict[str, Any] | None = None) -> Result:
        """Run one statement and read its rows."""
        with self._lock:
            try:
                text = self._ask(sql, "JSONCompact", params)
            except Exception as error:
                raise self._told(error, sql) from None
        return result(text)

    def query(self, sql: str, params: dict[str, Any] | None = None) -> Result:
        return self._run(sql, params)

    def arrow(self, sql: str, params: dict[str, Any] | None = None) -> Any:
        import pyarrow

        with self._lock:
            try:
                data = self._ask(sql, "ArrowStream", params)
            except Exception as error:
                raise self._told(error, sql) from None
        return pyarrow.ipc.open_stream(data).read_all() if data else pyarrow.table({})

    def for_writing(self) -> Store:
        return EmbeddedStore(self.url, self._where, create=False)

    # ---- asking beside inserts

    @property
    def where(self) -> Address:
        """Its path and its database."""
        return self._where

    def reader(self, settings: Mapping[str, str | int | float]) -> Reader:
        """A second connection to the engine, which only reads: it waits for no insert and no insert for it. settings: of the engine, before reading only
        is set. UserError where the engine does not take them."""
        try:
            return self._engine.reader(settings)
        except RuntimeError as error:
            raise self._told(error) from None

    def fill(self, told: Callable[[str, int], None]) -> int:
        """Compute the rollups of every day anew; how many days. See dpi.store.rollups.fill."""
        with self._lock:
            self.flush()
            return rollups.fill(lambda sql: self._run(sql).rows, told)

    # ---- captures

    def captures(self, size: int) -> list[Stored]:
        return self._captures.of_size(size)

    def replace(self, captures: Iterable[int]) -> None:
        numbers = set(captures)
        self._captures.forget(numbers)
        self._replaced |= numbers

    def close(self) -> None:
        if not self._open:
            return
        try:
            self.flush()
            self._at_once = not self._merging and not self._dropping
        finally:
            try:
                self._writer.close()
            finally:
                self._end()

    def _end(self) -> None:
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        self._connection.close(at_once=self._at_once, ends=self._replaying and ending.soon)
        self._open = False
        _OPEN[str(self._path)] -= 1
        if not _OPEN[str(self._path)]:
            del _OPEN[str(self._path)]

    # ---- errors

    def _refused(self, error: BaseException) -> UserError:
        """Why the engine did not open."""
        return in_use(self._path) if str(self._path) not in _OPEN and held(self._path) else self._told(error)

    def _told(self, error: BaseException, sql: str = "") -> UserError:
        return error if isinstance(error, UserError) else told(str(error), self._path, sql)
