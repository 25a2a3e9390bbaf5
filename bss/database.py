"""The database: SQLite by default, PostgreSQL where there is one. What is written in one transaction is there whole or not at all, also after kill -9."""
from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any, ClassVar, TypeVar, cast

from sqlalchemy import JSON, BigInteger, Engine, MetaData, String, create_engine, event, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError, DisconnectionError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

from bss.moment import Moment
from bss.refusal import Refusal

Document = JSON().with_variant(JSONB(), "postgresql")
T = TypeVar("T")
CONNECTIONS = 16        # of a process, kept; a few more at need
IDLE = 1.0              # s after which it is asked whether a connection is still there
WAIT = 20.0             # s that a writer waits for another one


#: What is done at the end of a glance, as it is before a session commits (audit.py).
ENDINGS: list[Callable[[Session], None]] = []


def number(length: int) -> String:
    """The type of what people call something by: compared byte by byte, so that an index finds those that begin with a text, whatever the language is."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def lots(rows: Iterable[T], size: int = 500) -> Iterator[list[T]]:
    """The rows in lots that fit into a statement."""
    left = iter(rows)
    while lot := list(islice(left, size)):
        yield lot


class Table(DeclarativeBase):
    """All tables. LETTER: of ids; SCOPE: by which column who may see a row is told (people/scope.py): region, customer, owner."""
    metadata = MetaData(naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s", "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"})
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: Moment, dict[str, Any]: Document, list[Any]: Document, list[str]: Document, int: BigInteger}
    LETTER: ClassVar[str] = ""
    SCOPE: ClassVar[dict[str, str]] = {}


class Glance:
    """What stands for a session while somebody looks: a connection without a transaction for questions that are worded once (asking.py), and a session, which
    costs more to make than many a question, from when somebody asks for one. One of them at a time."""

    def __init__(self, engine: Engine, sessions: Callable[[], Session]) -> None:
        self.info: dict[str, Any] = {"looking": True}
        self._engine, self._sessions = engine, sessions
        self._pooled: Any = None
        self._session: Session | None = None

    def __getattr__(self, name: str) -> Any:
        """All else is the session's."""
        return getattr(self._whole(), name)

    def get_bind(self) -> Engine:
        """The engine."""
        return self._engine

    def flush(self) -> None:
        """Nothing is ever changed."""

    def driver(self) -> tuple[Any, Dialect, Callable[[BaseException], None]]:
        """The driver's connection, how it speaks, and how to say that it is gone."""
        if self._session is not None:
            connection = self._session.connection()
            return connection.connection.driver_connection, connection.dialect, connection.invalidate
        if self._pooled is None:
            base: Any = self._engine.dialect.loaded_dbapi.Error           # type: ignore[attr-defined]
            try:
                self._pooled = self._engine.raw_connection()
                self._pooled.driver_connection.autocommit = True
            except base as error:
                if self._pooled is not None:
                    self._pooled.invalidate(error)
                raise DBAPIError.instance("", {}, error, base, connection_invalidated=self._pooled is not None, dialect=self._engine.dialect) from error
        return self._pooled.driver_connection, self._engine.dialect, self._pooled.invalidate

    def commit(self) -> None:
        """What is done at the end of a transaction is done at the end of this."""
        for one in ENDINGS:
            one(cast(Session, self))
        if self._session is not None:
            self._session.commit()

    def close(self) -> None:
        """Let go of the connection."""
        session, self._session = self._session, None
        if session is not None:
            session.close()
        self._release()

    def _whole(self) -> Session:
        if self._session is None:
            self._release()
            self._session = self._sessions()
            self._session.info["looking"] = True
        return self._session

    def _release(self) -> None:
        pooled, self._pooled = self._pooled, None
        if pooled is None or not pooled.is_valid:
            return
        try:
            pooled.driver_connection.autocommit = False
        except self._engine.dialect.loaded_dbapi.Error as error:          # type: ignore[attr-defined]
            pooled.invalidate(error)
            return
        pooled.close()


class Database:
    """An engine and its sessions."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.lite = url.startswith("sqlite")
        try:
            self.engine = _lite(url) if self.lite else _server(url)
        except (SQLAlchemyError, ImportError) as error:
            raise Refusal("invalid", f"the database can't be used: {error}", url, "write sqlite:///path or postgresql+psycopg://user@host/name") from None
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self._looking = self._sessions if self.lite else sessionmaker(self.engine.execution_options(isolation_level="AUTOCOMMIT"), expire_on_commit=False,
                                                                      autoflush=False)

    @contextmanager
    def session(self, writing: bool = False) -> Iterator[Session]:
        """One transaction: committed at the end, undone where something is raised."""
        with self._sessions() as session:
            if writing and self.lite:
                session.connection(execution_options={"fullspan_writing": True})
            try:
                yield session
                session.commit()
            except BaseException:
                session.rollback()
                raise

    @contextmanager
    def looking(self) -> Iterator[Session]:
        """No transaction where there is a server: each question is asked by itself, as it would be seen by itself in a transaction too (READ COMMITTED), and
        costs one exchange less to begin and one to end. What is put on record is written at the end (audit.py), each row whole; nothing else can be."""
        if self.lite:
            with self._looking() as session:
                session.info["looking"] = True
                yield session
                session.commit()
            return
        glance = Glance(self.engine, self._looking)
        try:
            yield cast(Session, glance)
            glance.commit()
        finally:
            glance.close()

    def reach(self) -> None:
        """Refusal: the database is not there."""
        try:
            with self.engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except OperationalError as error:
            raise Refusal("away", f"the database can't be reached: {str(error.orig).splitlines()[0]}", self.url.split("@")[-1],
                          "start it, or name another") from None

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()


@event.listens_for(Session, "before_flush")
def _refuse(session: Session, _context: object, _instances: object) -> None:
    if session.info.get("looking") and (session.new or session.dirty or session.deleted):
        raise AssertionError("who looks changes nothing")


def _document(text: bytes | str) -> Any:
    """A document of the database. Most are empty, and there are many in a list."""
    return {} if text in (b"{}", "{}") else json.loads(text)


def _server(url: str) -> Engine:
    engine = create_engine(url, pool_size=CONNECTIONS, max_overflow=8, pool_use_lifo=True, json_deserializer=_document)

    @event.listens_for(engine, "checkin")
    def leave(_connection: Any, record: Any) -> None:
        record.info["left"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def take(connection: Any, record: Any, _proxy: Any) -> None:
        # one that was just used is taken as it is: to ask each time whether it is still there costs as much as a small question does (office.py tries again)
        if time.monotonic() - record.info.get("left", 0.0) > IDLE:
            try:
                connection.execute("SELECT 1")
                connection.rollback()
            except connection.Error as error:
                raise DisconnectionError from error

    return engine


def _lite(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": WAIT, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None           # transactions begin where we say, not where the driver thinks
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", f"busy_timeout = {int(1000 * WAIT)}"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        # a writer that began as a reader can't go on once another has written: it says at once that it will write
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("fullspan_writing") else "BEGIN")

    return engine
