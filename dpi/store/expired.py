"""What is kept of flows that have expired: of each part the range of their numbers and times, so that an evidence link says that they were there."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from dpi.dataclass import dataclass
from dpi.store import Store

_SLOTS = 48             # closed slots shown of a time


@dataclass(frozen=True)
class Expired:
    """Rows that went together. Times as text, UTC."""
    probe: str
    capture_id: int
    first: str
    last: str
    rows: int
    cause: str
    stored: str

    @property
    def source(self) -> str:
        return f"probe {self.probe}" if not self.capture_id else f"capture {self.capture_id}"

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "capture_id": str(self.capture_id)}


def note(run: Callable[[str], Any], where: str, cause: str, legacy: bool = False) -> None:
    """Note the rows of flows that are about to go. where: which, in SQL; cause: age, size or unbound."""
    stored = "toInt64(toUnixTimestamp(now())) * 1000000" if legacy else "now64(6)"
    run("INSERT INTO expired (boot, probe, capture_id, first_flow, last_flow, first_time, last_time, rows, cause, stored_time) "
        "SELECT intDiv(flow_id, 1099511627776) AS b, probe, capture_id, min(flow_id), max(flow_id), min(interval_start), max(interval_end), count(), "
        f"'{cause}', {stored} FROM flows WHERE {where} GROUP BY b, probe, capture_id")


def span_of(store: Store, flow: int) -> Expired | None:
    """The expired rows among which the flow's were; None where no such are known. Of several the narrowest."""
    found = store.query("SELECT probe, toString(capture_id) AS capture, first_time, last_time, toString(rows) AS many, cause, stored_time FROM expired "
                        f"WHERE boot = {flow >> 40} AND first_flow <= {flow} AND last_flow >= {flow} ORDER BY last_flow - first_flow, stored_time LIMIT 1").rows
    if not found:
        return None
    probe, capture, first, last, rows, cause, stored = found[0]
    return Expired(str(probe), int(capture), str(first)[:19], str(last)[:19], int(rows), str(cause), f"{str(stored)[:10]}")


def closed(store: Store, gone: Expired) -> list[dict[str, Any]]:
    """The closed slots of usage of that time: name of the table, time, rows, bytes and digest; hours before minutes, at most _SLOTS."""
    return store.query("SELECT table_name, toString(u.time) AS at, toString(u.rows) AS rows, toString(u.bytes) AS bytes, digest FROM usage_slots AS u FINAL "
                       "WHERE u.probe = {probe:String} AND u.capture_id = {capture:UInt64} AND u.time >= toStartOfHour(toDateTime({first:String}, 'UTC')) "
                       f"AND u.time <= toDateTime({{last:String}}, 'UTC') ORDER BY table_name != 'usage_1h', table_name, at LIMIT {_SLOTS}",
                       {"probe": gone.probe, "capture": gone.capture_id, "first": gone.first, "last": gone.last}).dicts()
