"""A session with a ClickHouse server: one connection of the native protocol, made when it is needed and made again after it broke.

Blocks go out as they were encoded (dpi.store.parcel), compressed by LZ4; the driver does the rest. Its own writers would make Python values of
every cell first.
"""
from __future__ import annotations

import contextlib
import logging
import re
import socket
from typing import Any

from dpi.errors import UserError
from dpi.store import Address, Away

_REVISION = 54_453              # the last one of the protocol whose blocks are those of the Native format
_CONNECT = 5.0                  # s
_MODERN = (21,)                 # servers from this version have all that the embedded engine is asked for
_UNKNOWN_DATABASE = 81
_NOTHING = b"\0\0"                # a block of no columns and no rows
#: Errors that say the rows themselves, or the question, are wrong: sent again they would be refused again.
_FINAL = frozenset({6, 7, 8, 9, 10, 15, 16, 20, 26, 27, 32, 33, 36, 38, 41, 42, 43, 44, 46, 47, 50, 53, 62, 69, 70, 72, 117, 130, 131, 164, 171, 179, 184, 215,
                    349, 386})
_WORDS = {76: "the server can't write to its disk", 159: "the server was too slow", 192: "the server does not know the user", 193: "wrong password",
          194: "a password is required", 202: "the server has too many queries", 210: "the connection broke", 225: "the server has lost ZooKeeper",
          241: "the server is out of memory", 242: "the table is read-only: its server has lost ZooKeeper", 243: "the disk of the server is full",
          252: "the server has too many parts to merge", 319: "the server does not know whether the rows were stored", 516: "wrong user or password",
          999: "ZooKeeper has trouble"}

# what the driver logs of broken connections is told by this module's errors
logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)


class Session:
    """Not for several threads at once."""

    def __init__(self, where: Address) -> None:
        self._where = where
        self.name = f"{where.host}:{where.port}"            # for errors
        self._client: Any = None

    @property
    def open(self) -> bool:
        """Whether there is a connection. False after it broke."""
        return self._client is not None and bool(self._client.connection.connected)

    @property
    def dialect(self) -> str:
        """'modern' or 'legacy'."""
        return "modern" if self._client.connection.server_info.version_tuple() >= _MODERN else "legacy"

    def connect(self, create: bool = True) -> None:
        """Connect, and make the database where there is none. Raises Away, or UserError with create=False where there is no such database."""
        self.close()
        try:
            try:
                self._client = self._connect(self._where.database)
            except Exception as error:
                if getattr(error, "code", 0) != _UNKNOWN_DATABASE or not create:
                    raise
                first = self._connect("default")
                first.execute(f"CREATE DATABASE IF NOT EXISTS {self._where.database}")
                first.disconnect()
                self._client = self._connect(self._where.database)
        except Exception as error:
            raise self.told(error) from None

    def _connect(self, database: str) -> Any:
        from clickhouse_driver import Client

        where = self._where
        client = Client(where.host, where.port, database, where.user, where.password, client_name="fullspan", connect_timeout=min(_CONNECT, where.timeout),
                        send_receive_timeout=where.timeout, sync_request_timeout=min(_CONNECT, where.timeout), compression="lz4", tcp_keepalive=True,
                        client_revision=_REVISION, settings={"strings_as_bytes": True})
        client.connection.connect()
        return client

    def ask(self, sql: str, settings: dict[str, Any] | None = None) -> tuple[list[tuple[Any, ...]], list[tuple[str, str]]]:
        """Run a statement: its rows, strings as bytes, and the name and type of each column. Raises Away or UserError."""
        try:
            answer = self._client.execute(sql, with_column_types=True, settings=settings)
        except Exception as error:
            raise self.told(error, sql) from None
        return answer if isinstance(answer, tuple) else ([], [])

    def insert(self, table: str, names: list[str], block: bytes, settings: dict[str, Any], query_id: str) -> None:
        """Insert a Native block and return when the server has stored it. Raises Away or UserError; the connection is then a new one."""
        from clickhouse_driver.block import BlockInfo
        from clickhouse_driver.protocol import ClientPacketTypes, ServerPacketTypes
        from clickhouse_driver.varint import write_varint
        from clickhouse_driver.writer import write_binary_str

        connection = self._client.connection

        def send(data: bytes) -> None:
            write_varint(ClientPacketTypes.DATA, connection.fout)
            write_binary_str("", connection.fout)           # of no temporary table
            BlockInfo().write(connection.block_out.fout)
            connection.block_out.fout.write(data)
            connection.block_out.finalize()

        def receive(until: int) -> None:
            while (packet := connection.receive_packet()).type != until:
                if packet.type == ServerPacketTypes.EXCEPTION:
                    raise packet.exception

        try:
            connection.force_connect()                      # anew where it was lost since the last time
            self._client.make_query_settings(settings)
            connection.send_query(f"INSERT INTO {table} ({', '.join(f'`{name}`' for name in names)}) VALUES", query_id=query_id)
            send(_NOTHING)                                  # no more temporary tables
            receive(ServerPacketTypes.DATA)                 # the server knows the table
            send(block)
            send(_NOTHING)
            receive(ServerPacketTypes.END_OF_STREAM)
            connection.is_query_executing = False
        except Exception as error:
            self.close()
            raise self.told(error) from None

    def told(self, error: Exception, sql: str = "") -> UserError:
        """The error as one line for a person: Away where the reason may pass."""
        from clickhouse_driver.errors import NetworkError, ServerException, SocketTimeoutError

        if isinstance(error, UserError):
            return error
        if isinstance(error, SocketTimeoutError | socket.timeout):
            return Away("the server does not answer", self.name)
        if not isinstance(error, ServerException):
            words = str(error.args[0] if isinstance(error, NetworkError) and error.args else error).replace(f" ({self.name})", "") or "it closed the connection"
            return Away(f"the server can't be reached: {_line(words)}", self.name)
        line = _line(str(error.message))
        if error.code == _UNKNOWN_DATABASE:
            return UserError("the server has no such database", f"{self.name}/{self._where.database}")
        if "No space left" in line:
            return Away("the disk of the server is full", self.name)
        if error.code == 164:
            return UserError("only reading is allowed here", self.name, "ask with SELECT, SHOW, DESCRIBE or EXPLAIN")
        if error.code in _FINAL or sql and error.code == 60:
            return UserError(line, "query" if sql else self.name, "see `fullspan doctor`" if sql else "")
        known = _WORDS.get(error.code)
        return Away(f"{known} ({line})" if known else line, self.name)

    def close(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            with contextlib.suppress(Exception):            # it may have broken
                self._client.disconnect()
            self._client = None


def _line(text: str) -> str:
    """The server's message without its code, stack and version."""
    line = " ".join(re.sub(r"^(?:Code: \d+\.\s*)?(?:DB::Exception: )*", "", text.strip()).split("Stack trace")[0].split())
    return re.sub(r"(\. Expected one of.*|\(version .*|, e\.what\(\).*)", "", line)[:300].strip(". ")
