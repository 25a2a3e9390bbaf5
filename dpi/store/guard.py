"""What the owner of a store asks of those who read it: a reason where a question reads what names a person, and a row of `audit` before the answer."""
from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dpi.errors import UserError
from dpi.store.access import MEND, bindings_named, databases_named, is_stamped, tables_read
from dpi.store.audit import Entry, Who, record, user_of
from dpi.store.statement import Refusal

if TYPE_CHECKING:
    from dpi.store.answering import Owned, Question

_AGAIN = 30.0           # s after which a store without stamped rows is looked at again
_READS = 1000           # readings that are remembered
_DENIED = (497, "ACCESS_DENIED")
#: Commands that name no person: they sum, and each of their questions is noted once, without a reason.
SUMMING = frozenset(["report", "usage", "doctor"])
#: Of what this program notes by itself; nobody who asks may say that it is that.
_OWN = ("retention", "hold")
_WORD = 40              # characters of a command's name and of a kind that are kept

Text = Callable[[str, Mapping[str, str]], str]


class Guard:
    """Asked for every question. text: runs a statement on the reader and gives its answer as text."""

    def __init__(self, store: Owned, text: Text) -> None:
        self._store, self._text = store, text
        self._named, self._stamped, self._looked = bindings_named(), False, 0.0
        self._reads: OrderedDict[str, None] = OrderedDict()

    def stamped(self, question: Question, sql: str, tables: list[str]) -> bool:
        """Whether the store knows whose flows are whose; once it does, it does. Of its other databases one is looked at where it is in use or named."""
        own = self._store.where.database
        if not self._stamped and not self._named and time.monotonic() - self._looked > _AGAIN or not self._looked:
            self._looked = time.monotonic()
            self._stamped = is_stamped(self._rows, [own])
        if self._named or self._stamped:
            return True
        others = {question.database or own, *databases_named(self._rows, " ".join((sql, *question.params.values())), tables)} - {own}
        return is_stamped(self._rows, sorted(others))

    def _rows(self, sql: str) -> list[list[str]]:
        return [line.split("\t") for line in self._text(sql, {}).splitlines()]

    def touched(self, sql: str, question: Question) -> list[str]:
        """The tables that name persons and are read, where that is to be noted. Refusal where it takes a reason and has none."""
        tables = tables_read(lambda asked, params: self._text(asked, params).rstrip("\n").split("\n"), sql, dict(question.params))
        if not tables or not self.stamped(question, sql, tables):
            return []
        access = question.access
        if not access.given and not (access.command in SUMMING and question.read):
            raise Refusal(*_DENIED, f"This store knows whose flows these are, and {', '.join(tables)} name persons: {MEND}, over HTTP "
                                    "as a header X-Fullspan-Reason or X-Fullspan-Ticket")
        return [] if _again(question, sql) in self._reads else tables

    def note(self, tables: list[str], sql: str, question: Question, form: str, data: bytes) -> None:
        """Store the row of `audit`. Refusal where that fails: the answer is not given away then."""
        access = question.access
        entry = Entry(self._who(question.uid), _said(access.command), access.reason, access.ticket, _said(access.kind) or "tables",
                      access.value or ", ".join(tables), sql, _rows(form, data))
        try:
            record(self._store, entry)          # type: ignore[arg-type]
        except UserError as error:
            raise Refusal(*_DENIED, f"The audit row can't be written, so nothing is shown: {error.what}") from None
        if again := _again(question, sql):
            self._reads[again] = None
            while len(self._reads) > _READS:
                self._reads.popitem(last=False)

    def change(self, path: str, body: bytes, uid: int) -> dict[str, Any]:
        """Do what a command asks of the owner: `/fullspan/hold`, or `/fullspan/audit` to note what was read elsewhere. Refusal for another path, a wrong
        request, or a user who may not."""
        from dpi.store import alerts, holds

        if path not in ("/fullspan/hold", "/fullspan/audit", "/fullspan/alert"):
            raise Refusal(36, "BAD_ARGUMENTS", f"There is no {path}")
        if path != "/fullspan/audit" and uid not in (0, os.getuid()):
            what = "hold rows or end a hold" if path == "/fullspan/hold" else "acknowledge or mute alerts"
            raise Refusal(*_DENIED, f"Only root and {user_of(os.getuid())} may {what}: say it with sudo")
        try:
            asked = json.loads(body)
            if path == "/fullspan/audit":
                words = {name: str(asked[name]) for name in ("command", "reason", "ticket", "target_kind", "target")}
                words |= {name: _said(words[name]) for name in ("command", "target_kind")}
                rows = int(asked["rows"])
                if not 0 <= rows < 1 << 63:
                    raise ValueError("rows is no number of rows")
                return {"digest": record(self._store, Entry(self._who(uid), **words, rows=rows))}        # type: ignore[arg-type]
            if path == "/fullspan/alert":
                return alerts.asked(self._store, asked, self._who(uid))        # type: ignore[arg-type]
            return holds.asked(self._store, asked, self._who(uid))         # type: ignore[arg-type]
        except (ValueError, KeyError, TypeError) as error:
            raise Refusal(36, "BAD_ARGUMENTS", f"The request is not understood: {error}") from None
        except UserError as error:
            raise Refusal(36, "BAD_ARGUMENTS", str(error)) from None

    @staticmethod
    def _who(uid: int) -> Who:
        return Who(user_of(uid) if uid >= 0 else "not known", max(uid, 0) if uid >= 0 else 0xFFFFFFFF, socket.gethostname())


def _said(word: str) -> str:
    """A command's name, or a kind, that a client gave."""
    word = word[:_WORD]
    return f"http: {word}" if word.startswith(_OWN) else word


def _again(question: Question, sql: str) -> str:
    """What is noted once of a command that sums: the same question of the same user; '' of all others, which are noted each time."""
    if question.access.given or not question.read:
        return ""
    told = json.dumps([question.read, question.uid, question.access.command, sql, sorted(question.params.items())])
    return hashlib.sha256(told.encode()).hexdigest()


def _rows(form: str, data: bytes) -> int:
    """Rows of an answer, in forms that say how many."""
    if form in ("JSON", "JSONCompact"):
        return int(json.loads(data).get("rows", 0)) if data else 0
    lines = data.count(b"\n")
    return lines if form in ("TabSeparated", "TSV", "TSVRaw", "TabSeparatedRaw", "CSV", "JSONEachRow", "JSONCompactEachRow") else \
        max(lines - 1, 0) if form in ("TabSeparatedWithNames", "TSVWithNames", "CSVWithNames") else 0
