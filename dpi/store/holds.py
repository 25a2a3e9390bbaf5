"""Legal holds: rows of a service or a customer in a time that do not expire until the hold is ended.

A hold is a row of `holds` with revision 1, and one with revision 2 when it is ended; adding and ending are noted in `audit`. What it keeps: rows of flows
usage and sessions that name the service or customer, and the dns, tls, http and files of these flows.
"""
from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np

from dpi.batch import NULLS, Batch, Coded, Texts
from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.schema import TABLES
from dpi.store import Store
from dpi.store.audit import Entry, Who, record
from dpi.store.budget import MESSAGES
from dpi.store.parcel import Packing

HELD = ("flows", "sessions", *MESSAGES, "usage_1m", "usage_1h", "usage_slots")         # tables of which rows can be held


@dataclass(frozen=True)
class Hold:
    """Times us since the epoch; ended 0: in force."""
    hold_id: int
    service_id: str
    customer_id: str
    from_time: int
    to_time: int
    reason: str
    ticket: str
    user: str
    uid: int
    host: str
    begun_time: int
    ended_time: int = 0
    revision: int = 1

    @property
    def whom(self) -> str:
        return f"service {self.service_id}" if self.service_id else f"customer {self.customer_id}"

    def where(self, table: str, legacy: bool = False) -> str:
        """The condition in SQL that a row of that table is held."""
        service = self.service_id != ""
        value = _text(self.service_id or self.customer_id)
        column = "service_id" if service else "customer_id"
        begin, end = (str(self.from_time), str(self.to_time)) if legacy else (f"fromUnixTimestamp64Micro({self.from_time}, 'UTC')",
                                                                            f"fromUnixTimestamp64Micro({self.to_time}, 'UTC')")
        if table == "flows":
            return f"(interval_end >= {begin} AND interval_start < {end} AND (client_{column} = {value} OR server_{column} = {value}))"
        if table in MESSAGES:
            return f"flow_id IN (SELECT flow_id FROM flows WHERE {self.where('flows', legacy)})"
        if table == "sessions":                 # one that began long before may be that of the time
            return f"(time < {end} AND {column} = {value})"
        minutes = f"(time >= toDateTime({self.from_time // 1_000_000 // 3600 * 3600}, 'UTC') AND time < toDateTime({-(-self.to_time // 1_000_000)}, 'UTC')"
        return f"{minutes})" if table == "usage_slots" else f"{minutes} AND {column} = {value})"


def every(store: Store, ended: bool = False) -> list[Hold]:
    """The holds in force, or with `ended` all that there were, in order."""
    # in SQL of every server: FINAL is not needed where the highest revision is taken here
    found: dict[int, Hold] = {}
    names = [name for name in TABLES["holds"].names if name != "stored_time"]
    for row in store.query(f"SELECT {', '.join(f'toString({name}) AS {name}' if name == 'hold_id' else name for name in names)} FROM holds "
                           "ORDER BY hold_id, revision").dicts():
        times = {name: _micros(row[name]) for name in ("from_time", "to_time", "begun_time", "ended_time")}
        given: dict[str, Any] = {**row, **times, "hold_id": int(row["hold_id"]), "uid": int(row["uid"]), "revision": int(row["revision"])}
        hold = Hold(**given)
        found[hold.hold_id] = hold
    return [hold for hold in found.values() if ended or not hold.ended_time]


def asked(store: Store, change: dict[str, Any], who: Who) -> dict[str, Any]:
    """Do a change that a command asks for, in this process: {"do": "add", service_id, customer_id, from_time, to_time, reason, ticket} or
    {"do": "end", hold_id, reason, ticket}. UserError where it can't be done, KeyError or ValueError where it is no such change."""
    if change["do"] == "add":
        return asdict(_add(store, change, who))
    if change["do"] == "end":
        return asdict(_end(store, int(change["hold_id"]), str(change["reason"]), str(change["ticket"]), who))
    raise ValueError("do is add or end")


def change(store: Any, what: dict[str, Any], who: Who) -> Hold:
    """The same, wherever the store is: its owner does it where that is another process."""
    done = store.post("/fullspan/hold", what) if hasattr(store, "post") else asked(store, what, who)
    return Hold(**done)


def _add(store: Store, change: dict[str, Any], who: Who) -> Hold:
    service, customer = str(change["service_id"]), str(change["customer_id"])
    begin, end = int(change["from_time"]), int(change["to_time"])
    if bool(service) == bool(customer):
        raise UserError("a hold is of a service or of a customer", "hold add", "give --service ID or --customer ID")
    if not 0 <= begin < end:
        raise UserError("the time ends before it begins", "hold add", "give --from and --to in order")
    now = time.time_ns() // 1000
    hold = Hold(now, service, customer, begin, end, str(change["reason"]), str(change["ticket"]), who.user, who.uid, who.host, now)
    _note(store, hold, who, "hold add", hold.reason, hold.ticket)
    return hold


def _end(store: Store, number: int, reason: str, ticket: str, who: Who) -> Hold:
    known = {hold.hold_id: hold for hold in every(store, ended=True)}
    hold = known.get(number)
    if hold is None or hold.ended_time:
        raise UserError(f"no hold {number} is in force", "hold end", "see them with: fullspan hold list")
    ended = Hold(**{**asdict(hold), "ended_time": time.time_ns() // 1000, "revision": hold.revision + 1})
    _note(store, ended, who, "hold end", reason, ticket)
    return ended


def _note(store: Store, hold: Hold, who: Who, command: str, reason: str, ticket: str) -> None:
    """The audit row first: a hold that is not noted is not made, nor ended."""
    record(store, Entry(who, command, reason, ticket, "hold", f"{hold.hold_id}: {hold.whom}"))
    packing = Packing(f"holds-{os.getpid()}")
    columns: dict[str, Any] = {}
    for name, value in asdict(hold).items():
        kind = TABLES["holds"].column(name).kind
        if kind == "time?":
            value = value or NULLS["time?"]
        columns[name] = Texts.of([value]) if kind == "text" else Coded.of([value]) if kind == "code" else \
            np.array([value], {"u32": np.uint32, "id": np.uint64}.get(kind, np.int64))
    packing.add(Batch("holds", 1, columns))
    for gathering in packing.take(True):
        store.insert(packing.pack(gathering))


def held_captures(store: Store, captures: Iterable[int]) -> list[int]:
    """Which of these captures have rows of flows under a hold."""
    numbers = ", ".join(map(str, captures))
    if not numbers or not (known := every(store)):
        return []
    legacy = getattr(store, "dialect", "modern") == "legacy"
    return [int(row[0]) for row in store.query(
        f"SELECT DISTINCT toString(capture_id) FROM flows WHERE capture_id IN ({numbers}) AND ({condition(known, 'flows', legacy)})")]


def condition(holds: list[Hold], table: str, legacy: bool = False) -> str:
    """The condition that any of them holds a row of the table."""
    return " OR ".join(hold.where(table, legacy) for hold in holds)


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _micros(value: Any) -> int:
    """A time as a store shows it, in us."""
    if value is None or isinstance(value, int):
        return int(value or 0)
    moment = datetime.fromisoformat(str(value)).replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond
