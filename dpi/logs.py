"""Logs of a daemon: one event a line on stderr, as key=value (logfmt) or JSON, from the standard logging library.

`logging.getLogger(__name__).warning("store is away", extra={"store": url})` becomes
`time=2026-01-02T03:04:05.678Z level=warning logger=dpi.store msg="store is away" store=...`. An exception is the keys `error` and `at` of the same
line. Under systemd's journal there is no time, which the journal has, and a line begins with its priority, <3> to <7>, which the journal takes off.
"""
from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite
from pathlib import PurePath
from types import TracebackType
from typing import Any, TextIO

from dpi.errors import UserError

FORMS = ("logfmt", "json")
LEVELS = ("debug", "info", "warning", "error")
LONGEST = 4000          # characters of a value: what came off the wire may be in it
_FRAMES = 12            # of an exception, the innermost
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_OWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}     # of every record: what else is there, the event brought

_BARE = re.compile(r"[^\s\"=\\\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_ODD = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\"\\\\]")
_ODD_IN_JSON = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


class Lines(logging.Formatter):
    """Makes one line of a record. `form`: one of FORMS; `journal`: without time, with a priority before."""

    def __init__(self, form: str = "logfmt", journal: bool = False) -> None:
        super().__init__()
        self._form, self._journal = form, journal

    def format(self, record: logging.LogRecord) -> str:
        told = self._told(record)
        line = _json(told) if self._form == "json" else " ".join(f"{_key(name)}={_value(value)}" for name, value in told.items())
        if not self._journal:
            return line
        return f"<{next((number for least, number in _PRIORITIES if record.levelno >= least), 7)}>{line}"

    def _told(self, record: logging.LogRecord) -> dict[str, Any]:
        told: dict[str, Any] = {}
        if not self._journal:
            moment = datetime.fromtimestamp(record.created, UTC)
            told["time"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        told["level"], told["logger"], told["msg"] = record.levelname.lower(), record.name, _message(record)
        for name, value in vars(record).items():
            if name not in _OWN and name not in told and not name.startswith("_"):
                told[name] = value
        if record.exc_info and record.exc_info[1] is not None:
            told["error"], told["at"] = _error(record.exc_info[1])
        return told


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:
        """A stderr that can't be written is no reason to fail, and there is nowhere else to say so."""


def configure(form: str = "logfmt", level: str = "info", stream: TextIO | None = None, environment: Mapping[str, str] | None = None) -> None:
    """Log this way from now on, warnings and exceptions nobody caught included. UserError where the form or the level is unknown."""
    for name, value, among in (("form", form, FORMS), ("level", level, LEVELS)):
        if value not in among:
            raise UserError(f"{value!r} is no {name} of logs", "logs", f"it may be {' or '.join(among)}")
    stream = sys.stderr if stream is None else stream
    handler = _Handler(stream)
    handler.setFormatter(Lines(form, _journal(stream, os.environ if environment is None else environment)))
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old, _Handler):       # of an earlier call: lines must not come twice
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda given: _uncaught(given.exc_type, given.exc_value or given.exc_type(), given.exc_traceback)


def _journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether the stream goes to the journal: $JOURNAL_STREAM names the file behind it, and a child's redirected stderr is another."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    elif not issubclass(kind, SystemExit):
        logging.getLogger("fullspan").critical("an exception nobody caught", exc_info=(kind, error, trace))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:       # the wrong arguments for its words: say both rather than lose the event
        return f"{record.msg} {record.args!r}"


def _error(error: BaseException) -> tuple[str, str]:
    """What it was, with what it came from, and where: file:line function, the innermost last."""
    words: list[str] = []
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen and len(words) < 8:
        seen.add(id(one))
        words.append(f"{type(one).__name__}: {_text(one)}".rstrip(": "))
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return " <- ".join(words), " > ".join(f"{'/'.join(PurePath(frame.filename).parts[-2:])}:{frame.lineno} {frame.name}" for frame in frames)


def _text(value: Any) -> str:
    """The value in words, however odd it is."""
    try:
        words = str(value)
    except Exception as error:
        words = f"<{type(value).__name__} without words: {type(error).__name__}>"
    return words if len(words) <= LONGEST else words[:LONGEST] + f"... ({len(words)} characters)"


def _key(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name) or "_"


def _value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    words = _text(value)
    return words if _BARE.fullmatch(words) else '"' + _ODD.sub(_escaped, words) + '"'


def _json(told: dict[str, Any]) -> str:
    plain = {name: value if value is None or isinstance(value, int) or (isinstance(value, float) and isfinite(value)) else _text(value)
             for name, value in told.items()}
    # json escapes control characters up to 0x1f; those above steer terminals too
    return _ODD_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(plain, ensure_ascii=False))


def _escaped(found: re.Match[str]) -> str:
    return _SHORT.get(found[0]) or f"\\u{ord(found[0]):04x}"
