"""The embedded engine: in this process, or in one of its own, where a core is free for it.

Loading, opening and inserting then take no time of the process that reads packets, and no lock of its Python. The two talk through pipes: SQL one way,
bytes or an error the other; rows travel as files in memory that the engine's process opens by its parent's number.
"""
from __future__ import annotations

import contextlib
import marshal
import os
import signal
import threading
from pathlib import Path
from typing import Any, Protocol

from dpi.store.blank import Blank
from dpi.store.library import engine, location

OLD, EMPTY, COPIED = "old", "empty", "copied"
_SIZE = 8               # bytes of a message's length


class Engine(Protocol):
    """An open engine. RuntimeError with its own words where it refuses."""

    @property
    def begun(self) -> str:
        """What the directory was: OLD, a store; EMPTY; COPIED, empty and then filled with the kept copy."""

    def query(self, sql: str, form: str, params: dict[str, Any] | None = None) -> bytes:
        """Run a statement; its answer in that format."""

    def file(self, number: int) -> str:
        """The path by which the engine reads an open file of this process."""

    def close(self) -> None:
        """Let go of the directory."""


def open_directory(path: Path, keep: bool) -> tuple[Any, str]:
    """A connection, and what the directory was. keep: an empty one may be filled with the kept copy."""
    library, begun = location(), OLD
    if not any(path.iterdir()):
        begun = COPIED if keep and library is not None and Blank(str(library)).copy(path) else EMPTY
    return engine().connect(str(path)), begun


class Here:
    """The engine in this process."""

    def __init__(self, path: Path, keep: bool) -> None:
        self._connection, self.begun = open_directory(path, keep)

    def query(self, sql: str, form: str, params: dict[str, Any] | None = None) -> bytes:
        answer: bytes = self._connection.query(sql, form, params=params or {}).bytes()
        return answer

    def file(self, number: int) -> str:
        return f"/proc/self/fd/{number}"

    def close(self) -> None:
        self._connection.close()


class Beside:
    """The engine in a process of its own, forked from this one: before it has threads, and best before it has imported much."""

    def __init__(self, path: Path, keep: bool) -> None:
        requests, self._ask = os.pipe()
        self._answers, answers = os.pipe()
        self._lock = threading.Lock()
        self._begun = ""
        self._parent = os.getpid()
        self._child = os.fork()
        if not self._child:
            os.close(self._ask)
            os.close(self._answers)
            _serve(path, keep, requests, answers)
        os.close(requests)
        os.close(answers)

    @property
    def begun(self) -> str:
        """See `Engine`. Waits until the engine is open."""
        with self._lock:
            self._begun = self._begun or self._receive().decode()
            return self._begun

    def query(self, sql: str, form: str, params: dict[str, Any] | None = None) -> bytes:
        with self._lock:
            self._begun = self._begun or self._receive().decode()
            message = marshal.dumps((sql, form, params or {}))
            try:
                _write(self._ask, len(message).to_bytes(_SIZE, "little") + message)
            except OSError:
                raise RuntimeError("the engine's process has ended") from None
            return self._receive()

    def _receive(self) -> bytes:
        size = _read(self._answers, _SIZE)
        message = _read(self._answers, int.from_bytes(size, "little"))
        if not message:
            raise RuntimeError("the engine's process has ended")
        if message[:1] != b"+":
            raise RuntimeError(message[1:].decode(errors="replace"))
        return message[1:]

    def file(self, number: int) -> str:
        return f"/proc/{self._parent}/fd/{number}"

    def close(self) -> None:
        if not self._child:
            return
        os.close(self._ask)
        os.waitpid(self._child, 0)
        os.close(self._answers)
        self._child = 0


def _serve(path: Path, keep: bool, requests: int, answers: int) -> None:
    """The engine's process: answers until its parent closes the pipe or is gone. Never returns."""
    # Ctrl-C reaches both: the parent says what becomes of it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(BaseException):        # the pipe is gone, and so is whoever could be told
        try:
            connection, begun = open_directory(path, keep)
        except Exception as error:
            _answer(answers, b"-" + str(error).encode())
            os._exit(1)
        _answer(answers, b"+" + begun.encode())
        while size := _read(requests, _SIZE):
            sql, form, params = marshal.loads(_read(requests, int.from_bytes(size, "little")))
            try:
                answer = b"+" + connection.query(sql, form, params=params).bytes()
            except Exception as error:
                answer = b"-" + str(error).encode()
            _answer(answers, answer)
        connection.close()
    os._exit(0)


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
