"""Which slots there are, which of them are closed, and what is stored of them.

Live traffic: a probe's rows reach the store in the order in which they were made, and each worker's row of `coverage` for a minute after its flows of that
minute (dpi.worker, dpi.store.delivery). So once every worker has told of a minute, all flows of it and of the minutes before are stored. `coverage.workers`
says how many tell. Of a probe that went away and told nothing more, what is a day old is closed as it is. A capture is closed once its row in `captures` is
whole.
"""
from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import field
from typing import Any, Protocol

from dpi.dataclass import dataclass
from dpi.store.captures import UNFINISHED
from dpi.usage.definition import MINUTE, STEPS, slot

SILENCE = 86_400        # s after which a minute is closed though its probe did not tell of it


class Asked(Protocol):
    """The store: dpi.store.Store."""
    url: str

    def query(self, sql: str, params: dict[str, Any] | None = None) -> Any: ...

    def insert(self, parcel: Any, again: bool = False) -> None: ...


@dataclass(frozen=True, order=True)
class Source:
    """Where flows came from: a probe, or a capture (probe 'replay')."""
    probe: str
    capture_id: int = 0

    @property
    def params(self) -> dict[str, Any]:
        """Of a question about it."""
        return {"probe": self.probe, "capture": self.capture_id}


@dataclass(frozen=True)
class Held:
    """A row of usage_slots, without its key."""
    revision: int = 0
    flow_rows: int = 0
    rows: int = 0
    bytes: int = 0
    digest: str = ""


@dataclass
class Minutes:
    """The minutes of a source: at, s -> rows of flows. until: the first minute that is not closed; expired: minutes whose flows are gone."""
    rows: dict[int, int] = field(default_factory=dict)
    until: int = 0
    expired: set[int] = field(default_factory=set)

    def slots(self, table: str) -> dict[int, int]:
        """Rows of flows by slot of that table."""
        step = STEPS[table]
        if step == MINUTE:
            return self.rows
        summed: dict[int, int] = {}
        for minute, rows in self.rows.items():
            summed[minute - minute % step] = summed.get(minute - minute % step, 0) + rows
        return summed

    def closed(self, table: str, at: int) -> bool:
        """Whether that slot is: an hour is closed when all its minutes are."""
        return at + STEPS[table] <= self.until


def _span(column: str, begin: int | None, end: int | None) -> str:
    """AND ... of a DateTime64(6) column; s."""
    parts = [f" AND {column} {sign} fromUnixTimestamp64Micro({at * 1_000_000}, 'UTC')" for sign, at in ((">=", begin), ("<", end)) if at is not None]
    return "".join(parts)


def _of(captures: Iterable[int] | None, column: str = "capture_id") -> str:
    """Which sources: None all, () live ones only, else these captures."""
    if captures is None:
        return "1"
    numbers = ", ".join(map(str, captures))
    return f"{column} IN ({numbers})" if numbers else f"{column} = 0"


def told_until(store: Asked, now: float | None = None) -> dict[str, int]:
    """Probe -> the first minute, s, of which not every worker has told, nor of a later one. A minute that has not begun yet was told by a clock that was
    ahead for a while, and closes nothing before it comes."""
    begun = int((time.time() if now is None else now) * 1_000_000)
    told = store.query(
        f"SELECT probe, max(told >= asked ? at : -{MINUTE}) FROM (SELECT probe, {slot(MINUTE, 'toUnixTimestamp64Micro(time)')} AS at, "
        "uniqExact(source, worker) AS told, max(workers) AS asked FROM coverage WHERE capture_id = 0 AND workers > 0 "
        f"AND time <= fromUnixTimestamp64Micro({begun}, 'UTC') GROUP BY probe, at) GROUP BY probe")
    return {str(probe): int(last) + MINUTE for probe, last in told}


def minutes(store: Asked, begin: int | None, end: int | None, captures: Iterable[int] | None = None, now: float | None = None) -> dict[Source, Minutes]:
    """The minutes that have flows or coverage, by source. begin, end: s; captures: None all sources, () live ones only, else these captures."""
    which, found = None if captures is None else tuple(captures), dict[Source, Minutes]()
    live = told_until(store, now)
    silent = int(time.time() if now is None else now) - SILENCE
    silent -= silent % MINUTE
    whole = {int(number) for number, damage in store.query(f"SELECT toString(capture_id), damage FROM captures FINAL WHERE {_of(which)}")
             if str(damage) != UNFINISHED}
    told: dict[tuple[Source, int], tuple[int, int]] = {}
    for probe, capture, at, frames, stored in store.query(
            f"SELECT probe, toString(capture_id), {slot(MINUTE, 'toUnixTimestamp64Micro(time)')} AS at, sum(frames) > sum(refused), "
            f"max(toUnixTimestamp64Micro(stored_time)) FROM coverage WHERE {_of(which)}{_span('time', begin, end)} GROUP BY 1, 2, at"):
        source = Source(str(probe), int(capture))
        found.setdefault(source, Minutes()).rows[int(at)] = 0
        told[source, int(at)] = int(frames), int(stored)
    for probe, capture, at, rows in store.query(
            f"SELECT src.probe, toString(src.capture_id), {slot(MINUTE)} AS at, count() FROM flows AS src "
            f"WHERE {_of(which, 'src.capture_id')}{_span('src.interval_start', begin, end)} GROUP BY 1, 2, at"):
        found.setdefault(Source(str(probe), int(capture)), Minutes()).rows[int(at)] = int(rows)
    first = _first_stored(store, which) if any(not found[source].rows[at] and frames for (source, at), (frames, _) in told.items()) else {}
    for source, known in found.items():
        forever = 1 << 40
        known.until = max(live.get(source.probe, 0), silent) if not source.capture_id else forever if source.capture_id in whole else -forever
        known.expired = {at for at, rows in known.rows.items() if not rows and told.get((source, at), (0, 0))[0]
                         and told[source, at][1] < first.get(source, forever * 1_000_000)}
    return found


def _first_stored(store: Asked, which: tuple[int, ...] | None) -> dict[Source, int]:
    """When the oldest flows that are still there were stored, us."""
    return {Source(str(probe), int(capture)): int(stored) for probe, capture, stored in store.query(
        f"SELECT probe, toString(capture_id), min(toUnixTimestamp64Micro(stored_time)) FROM flows WHERE {_of(which)} GROUP BY 1, 2")}


def held(store: Asked, table: str, source: Source, begin: int | None, end: int | None) -> dict[int, Held]:
    """What usage_slots says of a source: slot, s -> its row."""
    span = "".join(f" AND time {sign} fromUnixTimestamp64Second({at}, 'UTC')" for sign, at in ((">=", begin), ("<", end)) if at is not None)
    found = store.query("SELECT toInt64(toUnixTimestamp64Second(time)), revision, flow_rows, rows, bytes, digest FROM usage_slots FINAL "
                        f"WHERE table_name = '{table}' AND probe = {{probe:String}} AND capture_id = {{capture:UInt64}}{span}", source.params)
    return {int(at): Held(int(revision), int(flow_rows), int(rows), int(octets), str(digest)) for at, revision, flow_rows, rows, octets, digest in found}


