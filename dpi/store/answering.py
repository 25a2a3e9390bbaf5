"""Answers for others what a store holds, while this process owns it: ClickHouse's HTTP interface on 127.0.0.1, for reading only.

An embedded store has one owner. With `Answering(store)` the owner serves `fullspan query`, `report`, `flow` (dpi.store.remote) and any client of
ClickHouse over HTTP. The engine runs one statement at a time for a connection, and answering has a connection of its own: inserts do not wait for a
question but share processors with it, so a question gets half of them and few seconds; questions wait for each other.

Whoever can open a socket to 127.0.0.1 can read the store: there are no users. But where the store knows whose flows are whose, a question that reads
what names a person has a reason, and its answer leaves once its row of `audit` is stored, with the user id that the system has for the other end
(dpi.store.peer).
"""
from __future__ import annotations

import contextlib
import os
import re
import secrets
import threading
from collections.abc import Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Protocol

from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.store import Address
from dpi.store.access import Access
from dpi.store.blocks import revised
from dpi.store.engine import ENDED, Answer, Reader
from dpi.store.notice import Notice
from dpi.store.statement import ESCAPES, Refusal, reading

if TYPE_CHECKING:
    from dpi.store.guard import Guard
    from dpi.store.interface import Server
    from dpi.store.parcel import Parcel

_PARSE = "SELECT formatQuerySingleLine({sql:String})"
_COMMENT = "fullspan answering"         # by which a question still running is found when answering ends


class Owned(Protocol):
    """What is answered for: dpi.store.embedded.EmbeddedStore."""

    @property
    def where(self) -> Address: ...

    def reader(self, settings: Mapping[str, str | int | float]) -> Reader: ...

    def query(self, sql: str, params: dict[str, Any] | None = None) -> Any: ...

    def insert(self, parcel: Parcel, again: bool = False) -> None: ...


@dataclass(frozen=True)
class Limits:
    """Of one question: seconds it may run; rows and bytes of its result (bytes as columns in memory, and again as text); memory in bytes; waiting:
    seconds it may wait for those before it. Of one request: body in bytes; patience: seconds to send it; taking: seconds to take the answer.
    connections: open at once."""
    seconds: float = 20
    rows: int = 1_000_000
    bytes: int = 256 << 20
    memory: int = 1 << 30
    waiting: float = 20
    body: int = 1 << 20
    patience: float = 10
    taking: float = 60
    connections: int = 32

    def settings(self) -> dict[str, str | int | float]:
        """The engine's settings that hold them."""
        return {"max_execution_time": self.seconds, "max_result_rows": self.rows, "max_result_bytes": self.bytes, "result_overflow_mode": "throw",
                "timeout_overflow_mode": "throw", "max_memory_usage": self.memory, "max_threads": max(1, len(os.sched_getaffinity(0)) // 2),
                "log_comment": _COMMENT}


@dataclass(frozen=True)
class Question:
    """A statement as it came. form: the format where it names none; database: '' for the store's own; revision: of the protocol, that Native follows.
    access: why it is asked; read: what several questions of one command have in common, '' none; uid: of the user who asks, -1 not known."""
    sql: str
    form: str = "TabSeparated"
    database: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    revision: int = 0
    access: Access = Access("http")
    read: str = ""
    uid: int = -1


@dataclass(frozen=True)
class Reply:
    """An answer. form: the format's name, kind: its content type."""
    answer: Answer
    form: str
    kind: str


class Answering:
    """Answers until `close`, which comes before the store's own. port 0: any that is free, then in `port`.

    UserError: the port is taken, the notice can't be written, or the store is not one that this process owns."""

    def __init__(self, store: Owned, port: int = 0, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._store = store
        self._turn = threading.Lock()
        self._ended = False
        if getattr(store, "reader", None) is None:
            raise UserError("only a store that this process owns is answered for", getattr(store, "url", ""), "name one with --store chdb:///path")
        self._reader = store.reader(self.limits.settings())
        self._database = "default"
        self.guard = self._guarding()
        self.mark = secrets.token_hex(16)
        try:
            self._know()
            self._server = self._listening(port)
            self.port: int = self._server.server_port
            self._notice = Notice(self.port, os.getpid(), self.mark)
            self._announce()
        except BaseException:
            self._reader.close()
            raise
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="answering", daemon=True)
        self._thread.start()

    def _guarding(self) -> Guard:
        from dpi.store.guard import Guard

        return Guard(self._store, lambda sql, params: self._ask(sql, "TSVRaw", params).data.decode(errors="replace"))

    def _listening(self, port: int) -> Server:
        from dpi.store.interface import Server

        try:
            return Server(self, port)
        except (OSError, OverflowError) as error:
            raise UserError(f"the port can't be opened: {getattr(error, 'strerror', error)}", f"127.0.0.1:{port}", "name another port") from None

    def _announce(self) -> None:
        try:
            self._notice.put_up(self._store.where.path)
        except OSError as error:
            self._server.server_close()
            raise UserError(f"the store's directory can't be written: {error.strerror}", str(self._store.where.path)) from None

    def _know(self) -> None:
        """What the engine knows: its version, its clock's zone, formats, functions."""
        def column(sql: str) -> list[list[str]]:
            return [line.split("\t") for line in self._reader.ask(sql, "TSV").data.decode().splitlines()]

        (self.zone,), = column("SELECT timezone()")
        self._forms = {name.lower(): (name, kind) for name, kind in column("SELECT name, content_type FROM system.formats WHERE is_output")}
        self._table_functions = frozenset(name.lower() for name, in column("SELECT name FROM system.table_functions"))
        self._functions = frozenset(name.lower() for name, in column("SELECT name FROM system.functions"))

    def __enter__(self) -> Answering:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def answer(self, question: Question) -> Reply:
        """The answer to a question. Refusal: it does not only read, is wrong, or came upon a limit."""
        if self._ended or not self._turn.acquire(timeout=self.limits.waiting):
            raise Refusal(202, "TOO_MANY_SIMULTANEOUS_QUERIES", f"Other questions ran for the {self.limits.waiting:g} s that this one may wait")
        try:
            if self._ended:
                raise Refusal(236, "ABORTED", "The store is being closed")
            return self._run(question)
        finally:
            self._turn.release()

    def _run(self, question: Question) -> Reply:
        self._use(question.database or self._store.where.database)
        if not question.sql.strip():
            raise Refusal(62, "SYNTAX_ERROR", "Empty query")
        parsed = self._ask(_PARSE, "RawBLOB", {"sql": question.sql.translate(ESCAPES)}).data.decode()
        statement = reading(parsed, question.params, self._table_functions, self._functions)
        form = statement.form or question.form
        if form.lower() not in self._forms:
            raise Refusal(73, "UNKNOWN_FORMAT", f"Unknown format {form}")
        name, kind = self._forms[form.lower()]
        touched = self.guard.touched(statement.sql, question)
        try:
            answer = self._ask(statement.sql, name, question.params)
        except Refusal:
            if touched:                             # an error's words may hold what a row holds
                self.guard.note(touched, statement.sql, question, name, b"")
            raise
        if len(answer.data) > self.limits.bytes:
            raise Refusal(396, "TOO_MANY_ROWS_OR_BYTES", f"Limit for result exceeded, max bytes: {self.limits.bytes}, as {name}: {len(answer.data)}")
        if touched:
            self.guard.note(touched, statement.sql, question, name, answer.data)
        if name == "Native" and question.revision:
            try:
                answer = replace(answer, data=revised(answer.data, question.revision))
            except ValueError as error:
                raise Refusal(48, "NOT_IMPLEMENTED", f"{error}: cast it to a plain type, such as String") from None
        return Reply(answer, name, kind)

    def _use(self, database: str) -> None:
        if database == self._database:
            return
        if not re.fullmatch(r"[A-Za-z_]\w*", database, re.ASCII):
            raise Refusal(81, "UNKNOWN_DATABASE", "A database name is made of letters, digits and _")
        self._ask(f"USE `{database}`", "Null", {})
        self._database = database

    def _ask(self, sql: str, form: str, params: Mapping[str, str]) -> Answer:
        try:
            return self._reader.ask(sql, form, params)
        except RuntimeError as error:
            if str(error) != ENDED:
                raise _refusal(str(error)) from None
        # the engine's process was ended: where its owner has another one, that is asked, once
        try:
            self._reader, database, self._database = self._store.reader(self.limits.settings()), self._database, "default"
            self._use(database)
            return self._reader.ask(sql, form, params)
        except (UserError, RuntimeError) as error:
            raise _refusal(str(error)) from None

    def close(self) -> None:
        """Take the notice down, stop answering and let go of the reader. A question that is running is stopped."""
        if self._ended:
            return
        self._ended = True
        self._notice.take_down(self._store.where.path)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for _ in range(100):
            if self._turn.acquire(timeout=0.02):
                break
            with contextlib.suppress(UserError):    # the engine's process may be gone
                self._store.query(f"KILL QUERY WHERE Settings['log_comment'] = '{_COMMENT}' ASYNC")
            if self._turn.acquire(timeout=0.2):
                break
        else:
            return                                  # it does not let itself be stopped: it ends with its time limit, and the connection with the process
        self._reader.close()
        self._turn.release()


def _refusal(text: str) -> Refusal:
    """An engine's words taken apart."""
    text = text.split(": In scope SELECT formatQuerySingleLine(")[0].strip()
    found = re.search(r"Code: (\d+)\.", text)
    name = re.search(r"\(([A-Z][A-Z_]+)\)[^()]*$", text)
    what = re.sub(r"(^Code: \d+\. DB::Exception: )+|(\s*\([A-Z][A-Z_]+\)|\s*\(version [^)]*(\([^)]*\))?\))+\.?$", "", text)
    return Refusal(int(found.group(1)) if found else 1000, name.group(1) if name else "SYNTAX_ERROR" if found and found.group(1) == "62" else "POCO_EXCEPTION",
                   what.rstrip(". "))
