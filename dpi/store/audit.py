"""The audit table: rows that are only added, each with the digest of those before it, so that one that was changed or taken out shows.

A row names the digests of the rows that none yet follows, usually the last one. Writers that did not see each other (a server with several clients)
leave two such rows, and the next row follows both. What no digest tells is the newest row itself: note it (`fullspan audit verify` prints it) and give it
to the next verification.
"""
from __future__ import annotations

import hashlib
import json
import os
import pwd
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from dpi.batch import Batch, Coded, Lists, Texts
from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.schema import TABLES
from dpi.store import Away, Store, shown
from dpi.store.parcel import Packing

_SQL = 4096             # characters of a statement that are kept
_TEXT = 1000            # of a reason, ticket or target
_TAKEN = threading.Lock()           # one row after the other, of this process
_NAMES = tuple(name for name in TABLES["audit"].names if name not in ("digest", "stored_time"))


@dataclass(frozen=True)
class Who:
    """Who does it."""
    user: str
    uid: int
    host: str


@dataclass(frozen=True)
class Entry:
    """What is to be noted. rows: of the answer."""
    who: Who
    command: str
    reason: str = ""
    ticket: str = ""
    target_kind: str = ""
    target: str = ""
    sql: str = ""
    rows: int = 0


@dataclass(frozen=True)
class Fault:
    """A row that is not as it was written, or one that is missing."""
    number: int
    what: str


def myself() -> Who:
    """The user of this process: the one who logged in, where sudo says so."""
    uid = os.getuid()
    user = user_of(uid)
    if uid == 0 and (behind := os.environ.get("SUDO_USER")):
        user = f"{behind} (as {user})"
    return Who(user, uid, os.uname().nodename)


def user_of(uid: int) -> str:
    """The login name of a user id."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        import getpass  # a replay asks nobody's name

        return getpass.getuser() if uid == os.getuid() and os.environ.get("USER") else f"uid {uid}"


def record(store: Store, entry: Entry) -> str:
    """Add a row; return its digest once it is stored. Raises UserError where it can't be stored: then nothing may be shown."""
    with _TAKEN:
        heads = store.query("SELECT digest, number FROM audit WHERE digest NOT IN (SELECT arrayJoin(previous) FROM audit) ORDER BY digest").rows
        now = time.time_ns() // 1000
        row: dict[str, Any] = {
            "number": max((int(number) for _digest, number in heads), default=0) + 1, "previous": [str(digest) for digest, _number in heads],
            "time": now, "user": entry.who.user, "uid": entry.who.uid, "host": entry.who.host, "command": entry.command,
            "reason": _cut(entry.reason), "ticket": _cut(entry.ticket), "target_kind": entry.target_kind, "target": _cut(entry.target),
            "sql": _cut(entry.sql, _SQL), "rows": entry.rows, "store": shown(store.url)}
        digest = digest_of({**row, "time": shown_time(now)})
        packing = Packing(f"audit-{os.getpid()}")
        packing.add(Batch("audit", 1, {name: _column(name, [value]) for name, value in {**row, "digest": digest}.items()}))
        try:
            for gathering in packing.take(True):
                store.insert(packing.pack(gathering))
        except Away as error:
            raise UserError(f"the audit row can't be written, so nothing is shown: {error.what}", error.where, error.mend) from None
        return digest


def digest_of(row: dict[str, Any]) -> str:
    """SHA-256 over the columns in the table's order, as JSON; times as text with microseconds."""
    values = [row[name] if isinstance(row[name], list) else str(row[name]) for name in _NAMES]
    return hashlib.sha256(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def rows_of(store: Store, since: str = "") -> list[dict[str, Any]]:
    """The rows in order; since: time as text (UTC)."""
    found = store.query(f"SELECT {', '.join((*_NAMES, 'digest'))} FROM audit ORDER BY number, digest").dicts()
    return [row for row in found if str(row["time"]) >= since] if since else found


def verify(store: Store, heads: Iterable[str] = ()) -> tuple[list[dict[str, Any]], list[Fault]]:
    """The rows, and what is wrong with them. heads: digests that were noted earlier and must be among them."""
    rows = rows_of(store)
    known = {str(row["digest"]): int(row["number"]) for row in rows}
    gone = max((int(row["target"]) for row in rows if row["command"] == "retention" and row["target_kind"] == "audit" and str(row["target"]).isdecimal()),
               default=0)
    faults, seen = [], set[str]()
    for row in rows:
        number, digest = int(row["number"]), str(row["digest"])
        if digest_of(row) != digest:
            faults.append(Fault(number, "the row was changed after it was written"))
        if digest in seen:
            faults.append(Fault(number, "the row is there twice"))
        seen.add(digest)
        before = [str(one) for one in row["previous"]]
        missing = [one for one in before if one not in known]
        if missing and number - 1 > gone:
            faults.append(Fault(number - 1, "a row is missing, or was changed together with its digest"))
        if not before and number > 1 or before and not missing and number != max(known[one] for one in before) + 1:
            faults.append(Fault(number, "the row does not follow the rows it names"))
    faults += [Fault(0, f"no row has the digest {head}, which was noted earlier") for head in heads if head not in known]
    return rows, faults


def newest(rows: list[dict[str, Any]]) -> list[str]:
    """Digests of the rows that none follows."""
    followed = {one for row in rows for one in row["previous"]}
    return sorted(str(row["digest"]) for row in rows if row["digest"] not in followed)


def _cut(text: str, most: int = _TEXT) -> str:
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= most else f"{text[:most - 90]} ... {len(text)} characters, sha256 {hashlib.sha256(text.encode()).hexdigest()}"[:most]


def _column(name: str, values: list[Any]) -> Any:
    kind = TABLES["audit"].column(name).kind
    if kind in ("texts", "codes"):
        return Lists(np.array([0, *np.cumsum([len(one) for one in values])], np.int64), Texts.of(word for one in values for word in one))
    if kind == "text":
        return Texts.of(values)
    if kind == "code":
        return Coded.of(values)
    return np.array(values, {"time": np.int64, "u32": np.uint32}.get(kind, np.uint64))


def shown_time(us: int) -> str:
    """A time, us since the epoch, as a store shows it (UTC)."""
    return f"{datetime.fromtimestamp(us // 1_000_000, UTC):%Y-%m-%d %H:%M:%S}.{us % 1_000_000:06d}"


def of_retention(number: int) -> Entry:
    """That audit rows up to this number have expired."""
    return replace(Entry(myself(), "retention"), target_kind="audit", target=str(number))
