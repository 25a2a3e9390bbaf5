"""What usage there is: read from the usage tables, with how complete they are."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dpi.dataclass import dataclass
from dpi.usage.definition import HOUR, MINUTE, slot
from dpi.usage.slots import Asked, minutes

#: What usage may be shown by -> the table that holds it, and its name in SQL. Of hours the table has whole ones only.
BY = {"service": ("usage_1m", "service_id"), "customer": ("usage_1m", "customer_id"), "minute": ("usage_1m", "formatDateTime(time, '%Y-%m-%d %H:%i', 'UTC')"),
      "hour": ("usage_1m", "formatDateTime(toStartOfHour(time, 'UTC'), '%Y-%m-%d %H:%i', 'UTC')"), "application": ("usage_1h", "application"),
      "category": ("usage_1h", "category"), "network": ("usage_unbound_1h", "prefix")}
_IN_TIME = ("minute", "hour")


@dataclass(frozen=True)
class Used:
    """One line. bytes are IP octets; rtt_us: the mean, None where none was measured; duplicates are in none of the others."""
    name: str
    up_bytes: int = 0
    down_bytes: int = 0
    up_packets: int = 0
    down_packets: int = 0
    flows: int = 0
    rtt_us: float | None = None
    retransmitted: float | None = None      # of the TCP packets both ways, the share that was sent again
    duplicate_bytes: int = 0
    customer_id: str = ""


@dataclass(frozen=True)
class Complete:
    """How complete usage of a span is, in minutes or hours of its sources. seen: with traffic or coverage; closed: computed; unread_us: time in which a probe
    did not read; lost: frames; rows_lost: rows of flows and others that never reached the store."""
    unit: str = "minutes"
    seen: int = 0
    closed: int = 0
    unread_us: int = 0
    lost: int = 0
    rows_lost: int = 0


@dataclass(frozen=True)
class Account:
    """What was asked. begin, end: s, whole hours where the table has only those."""
    begin: int
    end: int
    by: str
    lines: list[Used]
    complete: Complete


def newest(store: Asked) -> int | None:
    """The end of the newest minute that is computed, s; None where none is."""
    count, last = store.query("SELECT count(), max(toUnixTimestamp64Second(time)) FROM usage_slots WHERE table_name = 'usage_1m'").rows[0]
    return int(last) + MINUTE if int(count) else None


def account(store: Asked, begin: int, end: int, by: str = "service", services: Iterable[str] = (), customers: Iterable[str] = ()) -> Account:
    """Usage of [begin, end), s, most bytes first, or in order of time."""
    table, name = BY[by]
    if table != "usage_1m":
        begin, end = begin - begin % HOUR, end + -end % HOUR
    named = {"service_id": list(services), "customer_id": list(customers)}
    params: dict[str, Any] = {}
    where = f"time >= fromUnixTimestamp64Second({begin}, 'UTC') AND time < fromUnixTimestamp64Second({end}, 'UTC')"
    for column, wanted in named.items():
        if wanted and table == "usage_unbound_1h":
            return Account(begin, end, by, [], complete(store, table, begin, end))
        for number, one in enumerate(wanted):
            params[f"{column}_{number}"] = one
        if wanted:
            where += f" AND {column} IN ({', '.join(f'{{{column}_{number}:String}}' for number in range(len(wanted)))})"
    quality = ("sum(rtt_count), sum(rtt_sum_us), sum(up_retransmissions + down_retransmissions), sum(up_tcp_packets + down_tcp_packets)"
               if table == "usage_1m" else "0, 0, 0, 0")
    duplicates = "sum(duplicate_bytes)" if table != "usage_unbound_1h" else "0"
    whose = "arrayStringConcat(arraySort(groupUniqArray(10)(customer_id)), ' ')" if by == "service" else "''"
    order = "name" if by in _IN_TIME else "sum(up_bytes + down_bytes) DESC, name"
    volumes = "sum(up_bytes), sum(down_bytes), sum(up_packets), sum(down_packets), sum(flows)"
    some = f"sum(up_packets + down_packets) + sum(up_bytes + down_bytes) + {duplicates} > 0"
    found = store.query(f"SELECT {name} AS name, {volumes}, {duplicates}, {whose}, {quality} FROM {table} FINAL WHERE {where} GROUP BY name "
                        f"HAVING {some} ORDER BY {order}", params)
    return Account(begin, end, by, [_used(*row) for row in found], complete(store, table, begin, end))


def _used(name: Any, up: Any, down: Any, up_packets: Any, down_packets: Any, flows: Any, duplicates: Any, whose: Any, measured: Any, rtt: Any, again: Any,
          tcp: Any) -> Used:
    """A line of the answer."""
    return Used(str(name), int(up), int(down), int(up_packets), int(down_packets), int(flows), int(rtt) / int(measured) if int(measured) else None,
                int(again) / int(tcp) if int(tcp) else None, int(duplicates), str(whose))


def complete(store: Asked, table: str, begin: int, end: int) -> Complete:
    """How complete that table is in [begin, end), s."""
    seen = sum(len(known.slots(table)) for known in minutes(store, begin, end).values())
    closed = store.query(f"SELECT uniqExact(probe, capture_id, time) FROM usage_slots WHERE table_name = '{table}' "
                         f"AND time >= fromUnixTimestamp64Second({begin}, 'UTC') AND time < fromUnixTimestamp64Second({end}, 'UTC')").value()
    unread, lost, rows = store.query(
        "SELECT sum(unread_us), sum(dropped_nic + dropped_kernel + dropped_ring), sum(dropped_store) FROM coverage "
        f"WHERE {slot(MINUTE, 'toUnixTimestamp64Micro(time)')} >= {begin} AND {slot(MINUTE, 'toUnixTimestamp64Micro(time)')} < {end}").rows[0]
    return Complete("minutes" if table == "usage_1m" else "hours", seen, int(closed or 0), int(unread), int(lost), int(rows))
