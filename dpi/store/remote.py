"""A store that another process owns, read over HTTP from its owner (dpi.store.answering)."""
from __future__ import annotations

import http.client
import json
import secrets
import sys
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, urlencode

from dpi.batch import Batch
from dpi.errors import UserError
from dpi.store import Address, Result, Store
from dpi.store.access import Access
from dpi.store.answers import result, told
from dpi.store.captures import Captures, Stored
from dpi.store.directory import in_use
from dpi.store.notice import HEADER, Notice
from dpi.store.parcel import Parcel

_PATIENCE = 120         # seconds without a byte: more than a question may wait and run at its owner
_LIMITS = {"TIMEOUT_EXCEEDED": "it took longer than the owner of the store lets a question run",
           "TOO_MANY_ROWS_OR_BYTES": "its result is larger than the owner of the store gives away",
           "MEMORY_LIMIT_EXCEEDED": "it takes more memory than the owner of the store gives a question",
           "TOO_MANY_SIMULTANEOUS_QUERIES": "the owner of the store is busy with other questions"}


class RemoteStore:
    """See dpi.store.Store; it only reads."""

    def __init__(self, url: str, where: Address, notice: Notice) -> None:
        self.url = url
        self._where, self._notice = where, notice
        self.access: Access | None = None           # why it is read, where a command says so; otherwise the command's name alone goes with what it asks
        self._read = secrets.token_hex(8)
        self._captures = Captures(self.query)

    def query(self, sql: str, params: dict[str, Any] | None = None) -> Result:
        return result(self._ask(sql, "JSONCompact", params))

    def arrow(self, sql: str, params: dict[str, Any] | None = None) -> Any:
        import pyarrow

        data = self._ask(sql, "ArrowStream", params)
        return pyarrow.ipc.open_stream(data).read_all() if data else pyarrow.table({})

    def _ask(self, sql: str, form: str, params: dict[str, Any] | None) -> bytes:
        """An answer in that format. UserError for a wrong question, a limit, and an owner that is gone."""
        asked = {"default_format": form, "database": self._where.database, **{f"param_{name}": _written(value) for name, value in (params or {}).items()}}
        return self._send(f"/?{urlencode(asked)}", sql.encode(), sql)

    def post(self, path: str, change: dict[str, Any]) -> dict[str, Any]:
        """Have the owner change what it keeps (a legal hold): see dpi.store.interface."""
        answered: dict[str, Any] = json.loads(self._send(path, json.dumps(change).encode(), ""))
        return answered

    def _headers(self) -> dict[str, str]:
        """Why it is read; text as in a URL, for headers are ASCII."""
        access = self.access or Access("report" if len(sys.argv) < 2 else sys.argv[1])
        said = {"Reason": access.reason, "Ticket": access.ticket, "Kind": access.kind, "Target": access.value, "Command": access.command,
                "Read": "" if self.access else self._read}
        return {f"X-Fullspan-{name}": quote(value[:1000]) for name, value in said.items() if value}

    def _send(self, target: str, body: bytes, sql: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._notice.port, timeout=_PATIENCE)
        try:
            connection.request("POST", target, body, self._headers())
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException):
            raise UserError("the process that owns the store ended before it answered", str(self._where.path), "ask again") from None
        finally:
            connection.close()
        if answer.getheader(HEADER) != self._notice.mark:       # its port has gone to another
            raise in_use(self._where.path)
        if answer.status != 200:
            raise self._told(said.decode(errors="replace"), sql)
        return said

    def _told(self, text: str, sql: str) -> UserError:
        if "(ACCESS_DENIED)" in text:
            what, _, mend = text.split("DB::Exception: ")[-1].split(" (ACCESS_DENIED)")[0].rstrip(". ").partition(": say ")
            return UserError(what, str(self._where.path), f"say {mend.partition(', over HTTP')[0]}" if mend else "")
        for name, what in _LIMITS.items():
            if name in text:
                return UserError(what, "query", "ask for less, narrow the time, or ask again later")
        if "setting in readonly mode" in text:
            return UserError("settings can't be changed while another process owns the store", "query", "leave out SETTINGS")
        if "This interface only reads: " in text:
            return UserError("only reading is allowed here", str(self._where.path), text.split("only reads: ")[1].split(". (")[0])
        return told(text, self._where.path, sql)

    def captures(self, size: int) -> list[Stored]:
        return self._captures.of_size(size)

    # ---- writing is the owner's

    def write(self, batch: Batch) -> None:
        raise self._refused()

    def insert(self, parcel: Parcel, again: bool = False) -> None:
        raise self._refused()

    def for_writing(self) -> Store:
        raise self._refused()

    def start_flush(self) -> None:
        """There is nothing to store."""

    def flush(self) -> None:
        """There is nothing to store."""

    def replace(self, captures: Iterable[int]) -> None:
        raise self._refused()

    def _refused(self) -> UserError:
        return UserError("another process owns the store, here it is only read", str(self._where.path), "name another with --store chdb:///path")

    def close(self) -> None:
        """Nothing is kept open between questions."""


def _written(value: Any) -> str:
    """A parameter's value as the embedded engine takes it: text as it is, what is not text as Python writes it, without quotes of its own."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_written, value))}]"
    return "NULL" if value is None else str(value)
