"""The embedded engine: in this process, or in one of its own, where a core is free for it.

Loading, opening and inserting then take no time of the process that reads packets, and no lock of its Python. The two talk through pipes: SQL one way,
bytes or an error the other; rows travel as files in memory that the engine's process opens by its parent's number.

An engine runs one statement at a time for each connection. A `Reader` is a second connection: what it asks runs beside inserts.
"""
from __future__ import annotations

import contextlib
import marshal
import os
import signal
import struct
import sys
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from dpi import ending
from dpi.dataclass import dataclass
from dpi.priority import all_give_way
from dpi.store import tokens
from dpi.store.blank import Blank
from dpi.store.library import engine, location

OLD, EMPTY, COPIED = "old", "empty", "copied"
ENDED = "the engine's process has ended"
_SIZE = 8               # bytes of a message's length


_DRAINED = 4            # statements after which a connection's old output is gone: one is enough
_READ = struct.Struct("<QQd")       # before a reader's answer: rows read, bytes read, seconds


@dataclass(frozen=True)
class Answer:
    """What a reader got. rows, bytes: read from tables to answer; seconds: that it took."""
    data: bytes
    rows: int
    bytes: int
    seconds: float


class Reader(Protocol):
    """A connection that only reads. RuntimeError with the engine's own words where it refuses. One statement at a time: callers take turns."""

    def ask(self, sql: str, form: str, params: Mapping[str, Any] | None = None) -> Answer:
        """Run a statement; its answer in that format."""

    def close(self) -> None:
        """Let go of it; the engine stays open."""


class Engine(Protocol):
    """An open engine. RuntimeError with its own words where it refuses."""

    @property
    def begun(self) -> str:
        """What the directory was: OLD, a store; EMPTY; COPIED, empty and then filled with the kept copy."""

    def query(self, sql: str, form: str, params: dict[str, Any] | None = None) -> bytes:
        """Run a statement; its answer in that format."""

    @property
    def process(self) -> int:
        """The number of its own process; 0: it is in this one."""

    @property
    def ended(self) -> bool:
        """Whether its process has ended before it was closed: no statement is answered any more."""

    def file(self, number: int) -> str:
        """The path by which the engine reads an open file of this process."""

    def reader(self, settings: Mapping[str, str | int | float]) -> Reader:
        """A connection that only reads, under these settings; one at a time."""

    def close(self, at_once: bool = False, ends: bool = False) -> None:
        """Let go of the directory. at_once: nothing is under way, and what was written is in it: a process of its own need not end in order. ends: nor
        need this one, which does so now (dpi/ending.py)."""


def open_directory(path: Path, blank: str) -> tuple[Any, str]:
    """A connection, and what the directory was. blank: which kept copy an empty one may be filled with, '' none (dpi.store.blank)."""
    library, begun = location(), OLD
    if not any(path.iterdir()):
        begun = COPIED if blank and library is not None and Blank(str(library), blank).copy(path) else EMPTY
    else:
        tokens.mend(path)
    return engine().connect(str(path)), begun


def open_reader(path: Path, settings: Mapping[str, str | int | float]) -> Any:
    """A second connection to a directory that this process has open, which only reads."""
    connection = engine().connect(str(path))
    try:
        for name, value in settings.items():
            connection.query(f"SET {name} = {value!r}", "Null", params={})
        # 1, not 2: a statement can't change a setting, and so no limit, and table functions that open files or sockets are refused
        connection.query("SET readonly = 1", "Null", params={})
    except BaseException:
        connection.close()
        raise
    return connection


def _run(connection: Any, sql: str, form: str, params: Mapping[str, Any] | None) -> Any:
    """A statement's result. RuntimeError where the engine refuses.

    What a statement had written when it failed (upon a limit, say) stays in the connection, before the next statement's answer: it is taken out."""
    try:
        return connection.query(sql, form, params=dict(params or {}))
    except Exception:
        for _ in range(_DRAINED):
            with contextlib.suppress(Exception):
                if connection.query("SELECT 1", "RawBLOB", params={}).bytes() == b"1":
                    break
        raise


def _answered(connection: Any, sql: str, form: str, params: Mapping[str, Any] | None) -> Answer:
    got = _run(connection, sql, form, params)
    return Answer(got.bytes(), int(got.storage_rows_read()), int(got.storage_bytes_read()), float(got.elapsed()))


class Here:
    """The engine in this process."""

    def __init__(self, path: Path, blank: str) -> None:
        self._path, self.process, self.ended = path, 0, False
        self._connection, self.begun = open_directory(path, blank)

    def query(self, sql: str, form: str, params: dict[str, Any] | None = None) -> bytes:
        answer: bytes = _run(self._connection, sql, form, params).bytes()
        return answer

    def file(self, number: int) -> str:
        return f"/proc/self/fd/{number}"

    def reader(self, settings: Mapping[str, str | int | float]) -> Reader:
        return _ReaderHere(open_reader(self._path, settings))

    def close(self, at_once: bool = False, ends: bool = False) -> None:
        if not (at_once and ends):
            self._connection.close()


class _ReaderHere:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def ask(self, sql: str, form: str, params: Mapping[str, Any] | None = None) -> Answer:
        return _answered(self._connection, sql, form, params)

    def close(self) -> None:
        self._connection.close()


class _Line:
    """Two pipes to another thread of work in the engine's process. Made before the fork: `keep` and `leave` close what is the other side's."""

    def __init__(self) -> None:
        self.requests, self._ask = os.pipe()
        self._answers, self.answers = os.pipe()
        self._lock, self._asking = threading.Lock(), threading.Lock()       # of a question and its answer; of the pipe that questions go through
        self._waiting = b""
        self.broken = False             # nobody answers any more

    def keep(self) -> None:
        """This is the side that asks."""
        os.close(self.requests)
        os.close(self.answers)

    def leave(self) -> None:
        """This is the side that answers."""
        os.close(self._ask)
        os.close(self._answers)

    def first(self) -> bytes:
        """What it says unasked when it is ready."""
        with self._lock:
            return self._first()

    def _first(self) -> bytes:
        self._waiting = self._waiting or self._receive()
        return self._waiting

    def ask(self, message: Any, unasked: bool = False) -> bytes:
        """The answer to a message. unasked: there is a `first` to be received before."""
        with self._lock:
            if unasked:
                self._first()
            said = marshal.dumps(message)
            with self._asking:
                if self.broken:
                    raise RuntimeError(ENDED)
                try:
                    _write(self._ask, len(said).to_bytes(_SIZE, "little") + said)
                except OSError:
                    self.broken = True
                    raise RuntimeError(ENDED) from None
            return self._receive()

    def _receive(self) -> bytes:
        size = _read(self._answers, _SIZE)
        message = _read(self._answers, int.from_bytes(size, "little"))
        if not message:
            self.broken = True
            raise RuntimeError(ENDED)
        if message[:1] != b"+":
            raise RuntimeError(message[1:].decode(errors="replace"))
        return message[1:]

    def hang_up(self) -> None:
        """No more questions: the other side ends."""
        with self._asking:
            self.broken = True
            os.close(self._ask)

    def close(self) -> None:
        """After `hang_up`, once the other side has ended: whoever waited for an answer has been told."""
        with self._lock:
            os.close(self._answers)


class Beside:
    """The engine in a process of its own, forked from this one: before it has threads, and best before it has imported much.

    fork=False: started as a program, which takes longer and may be done at any time. gives_way: once it is open, to this process, where cores are few
    (forked only)."""

    def __init__(self, path: Path, blank: str, *, fork: bool = True, gives_way: bool = False) -> None:
        self._line, self._reading = _Line(), _Line()
        self._parent = os.getpid()
        if fork:
            self._child = os.fork()
            if not self._child:
                self._line.leave()
                self._reading.leave()
                _serve(path, blank, self._line, self._reading, gives_way)
        else:
            files = (self._line.requests, self._line.answers, self._reading.requests, self._reading.answers)
            import subprocess

            program = subprocess.Popen([sys.executable, "-m", "dpi.store.engine", str(path), blank, *map(str, files)], pass_fds=files,
                                       stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
            self._child, program.returncode = program.pid, 0        # waited for below, not by Popen
        self._line.keep()
        self._reading.keep()

    @property
    def process(self) -> int:
        """See `Engine`."""
        return self._child

    @property
    def ended(self) -> bool:
        """See `Engine`."""
        return self._line.broken or self._reading.broken

    @property
    def begun(self) -> str:
        """See `Engine`. Waits until the engine is open."""
        return self._line.first().decode()

    def query(self, sql: str, form: str, params: dict[str, Any] | None = None) -> bytes:
        return self._line.ask((sql, form, params or {}), unasked=True)

    def file(self, number: int) -> str:
        return f"/proc/{self._parent}/fd/{number}"

    def reader(self, settings: Mapping[str, str | int | float]) -> Reader:
        return _ReaderBeside(self._reading, settings)

    def close(self, at_once: bool = False, ends: bool = False) -> None:
        if not self._child:
            return
        self._reading.hang_up()
        self._line.hang_up()
        if at_once:
            os.kill(self._child, signal.SIGKILL)
        if at_once and ends:
            ending.last.append(partial(os.waitpid, self._child, 0))
        else:
            os.waitpid(self._child, 0)
        self._line.close()
        self._reading.close()
        self._child = 0


class _ReaderBeside:
    """Its questions are answered by a thread of the engine's process."""

    def __init__(self, line: _Line, settings: Mapping[str, str | int | float]) -> None:
        self._line = line
        line.ask(("open", dict(settings)))

    def ask(self, sql: str, form: str, params: Mapping[str, Any] | None = None) -> Answer:
        said = self._line.ask(("ask", sql, form, dict(params or {})))
        return Answer(said[_READ.size:], *_READ.unpack_from(said))

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):         # it has ended, and the connection with it
            self._line.ask(("close",))


def _serve(path: Path, blank: str, line: _Line | _Given, reading: _Line | _Given, gives_way: bool = False) -> None:
    """The engine's process: answers until its parent closes the pipe or is gone. Never returns."""
    # Ctrl-C and a service's end reach both: the parent says what becomes of it, and closes the pipe last
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(BaseException):        # the pipe is gone, and so is whoever could be told
        try:
            connection, begun = open_directory(path, blank)
        except Exception as error:
            _answer(line.answers, b"-" + str(error).encode())
            os._exit(1)
        if gives_way:
            all_give_way()
        reader = threading.Thread(target=_read_beside, args=(path, reading), daemon=True)
        reader.start()
        _answer(line.answers, b"+" + begun.encode())
        while size := _read(line.requests, _SIZE):
            sql, form, params = marshal.loads(_read(line.requests, int.from_bytes(size, "little")))
            try:
                answer = b"+" + _run(connection, sql, form, params).bytes()
            except Exception as error:
                answer = b"-" + str(error).encode()
            _answer(line.answers, answer)
        reader.join(1)                              # a question still running is nobody's any more
        connection.close()
    os._exit(0)


def _read_beside(path: Path, line: _Line | _Given) -> None:
    """The thread of the engine's process that answers its reader."""
    connection: Any = None
    with contextlib.suppress(OSError):
        while size := _read(line.requests, _SIZE):
            what, *given = marshal.loads(_read(line.requests, int.from_bytes(size, "little")))
            try:
                said = b"+"
                if what == "ask":
                    got = _answered(connection, *given)
                    said += _READ.pack(got.rows, got.bytes, got.seconds) + got.data
                elif what == "close":
                    connection.close()
                    connection = None
                elif connection is not None:
                    raise RuntimeError("this store has a reader already")
                else:
                    connection = open_reader(path, *given)
            except Exception as error:
                said = b"-" + str(error).encode()
            _answer(line.answers, said)
    if connection is not None:
        connection.close()


def _answer(file: int, message: bytes) -> None:
    _write(file, len(message).to_bytes(_SIZE, "little") + message)


def _write(file: int, message: bytes) -> None:
    view = memoryview(message)
    while view:
        view = view[os.write(file, view):]


def _read(file: int, size: int) -> bytes:
    """So many bytes, or none where the other side is gone."""
    pieces = []
    while size:
        piece = os.read(file, min(size, 1 << 20))
        if not piece:
            return b""
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


class _Given:
    """The side of a line that answers, in a process that was given its two files."""

    def __init__(self, requests: int, answers: int) -> None:
        self.requests, self.answers = requests, answers


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2], _Given(*map(int, sys.argv[3:5])), _Given(*map(int, sys.argv[5:7])))
