"""The words of what the store is asked (evidence.py): spans, slots that are closed, minutes that are covered, which flows a binding is about."""
from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from bss.refusal import Refusal

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE, HOUR, SLOT = 60, 3600, 300
ESCAPED = str.maketrans({"\\": "\\\\", "\n": "\\n", "\t": "\\t"})       # as the store reads texts that are given with a question
LONGEST = timedelta(days=400)       # of a question
NAMED = 500                         # services that a question names; of more it asks for all


class Ends(NamedTuple):
    """Which ends of flows a binding is about, in [since, until). condition: SQL, `<side>` and `<other>` in it are client and server; params: of it;
    stamped: the service that they are stamped with now, '' none."""
    condition: str
    params: Mapping[str, Any]
    stamped: str
    since: datetime
    until: datetime


#: Minutes of coverage in which at most 1 % was lost: frames, rows, time in which nobody read.
GOOD = ("SELECT probe, capture_id, intDiv(toUnixTimestamp64Micro(time), 60000000) * 60 AS at FROM coverage WHERE {span} {more} GROUP BY probe, capture_id, at "
         "HAVING (sum(dropped_nic + dropped_kernel + dropped_ring) AS lost) >= 0 AND (lost = 0 OR lost * 100 <= sum(frames) + lost) "
         "AND sum(unread_us) < 600000 AND sum(dropped_store) = 0")
#: The services of the parameter `ids`.
IDS = "(SELECT arrayJoin(splitByChar(',', {ids:String})))"


#: The newest session that had an address then: of each of its sessions the last row, of the longest prefix, in these VLANs before anywhere.
SESSIONS = """SELECT s.whose, s.customer, s.learned, s.told_since FROM (
    SELECT argMax(action, time) AS last, argMax(service_id, time) AS whose, argMax(customer_id, time) AS customer, prefix_length AS length,
        any_vlan AS anywhere, any(learned_from) AS learned, argMax(toUnixTimestamp64Micro(since), time) AS told_since, argMax(nas, time) AS its_nas,
        toUnixTimestamp64Micro(max(time)) AS told
    FROM sessions WHERE toUnixTimestamp64Micro(time) <= {at:Int64} AND action != 'restart' AND prefix_length > 0
        AND toIPv6({address:String}) BETWEEN tupleElement(IPv6CIDRToRange(address, mapped), 1) AND tupleElement(IPv6CIDRToRange(address, mapped), 2)
        AND (any_vlan OR (vlan = {vlan:UInt16} AND inner_vlan = {inner:UInt16}))
    GROUP BY session, address, prefix_length, any_vlan, vlan, inner_vlan) AS s
    LEFT JOIN (SELECT nas AS back, toUnixTimestamp64Micro(max(time)) AS restarted FROM sessions
        WHERE action = 'restart' AND toUnixTimestamp64Micro(time) <= {at:Int64} GROUP BY nas) AS r ON s.its_nas = r.back
    WHERE s.last != 'stop' AND r.restarted < s.told ORDER BY s.length DESC, s.anywhere, s.whose = '', s.told DESC LIMIT 1""".replace(
    "mapped", "toUInt8(if(address BETWEEN toIPv6('::ffff:0.0.0.0') AND toIPv6('::ffff:255.255.255.255'), 96 + prefix_length, prefix_length))")


def second(moment: datetime, up: bool = False) -> int:
    """The minute in which a moment lies, s; up: the one that begins then or after it."""
    us = (moment - EPOCH) // timedelta(microseconds=1)
    return -(-us // 60_000_000) * MINUTE if up else us // 60_000_000 * MINUTE


def moment_of(at: int) -> datetime:
    """A time of so many s."""
    return datetime.fromtimestamp(at, UTC)


def minutes_of(since: datetime, until: datetime) -> tuple[int, int]:
    """Minutes that begin in [since, until), s. Refusal: it is none, or too long."""
    if until < since or until - since > LONGEST:
        raise Refusal("invalid", "the time ends before it begins" if until < since else f"the time is longer than {LONGEST.days} days", "until")
    return second(since, up=True), second(until, up=True)


def at_second(second: int) -> str:
    """A time of usage, in SQL."""
    return f"fromUnixTimestamp64Second({second}, 'UTC')"


def between(first: int, last: int, unit: str = "s") -> str:
    """What holds of rows of [first, last), s, in SQL. unit: us for tables whose time has microseconds."""
    if unit == "s":
        return f"time >= {at_second(first)} AND time < {at_second(last)}"
    return f"time >= fromUnixTimestamp64Micro({first * 1_000_000}, 'UTC') AND time < fromUnixTimestamp64Micro({last * 1_000_000}, 'UTC')"


def closed(table: str, span: str) -> str:
    """What holds of rows of slots that are closed; a capture's only where no live probe has told of the slot."""
    slots = f"FROM usage_slots WHERE table_name = '{table}' AND {span}"
    return (f"(time, probe, capture_id) IN (SELECT time, probe, capture_id {slots}) "
            f"AND (capture_id = 0 OR time NOT IN (SELECT time {slots} AND capture_id = 0))")


def some_of(ids: Collection[str] | None) -> tuple[str, dict[str, Any]]:
    """A condition on services, and its parameters; none where they are too many to be named in a question."""
    if ids is None or len(ids) > NAMED or any("," in one for one in ids):
        return "", {}
    return f"service_id IN {IDS} AND ", {"ids": ",".join(ids)}


def of_side(ends: Ends, side: str) -> str:
    """What holds of flows of which that side is meant."""
    other = "server" if side == "client" else "client"
    micro = [int(one.timestamp()) * 1_000_000 + one.microsecond for one in (ends.since, ends.until)]
    return (f"interval_start >= fromUnixTimestamp64Micro({micro[0]}, 'UTC') AND interval_start < fromUnixTimestamp64Micro({micro[1]}, 'UTC') "
            f"AND {side}_service_id = {{stamped:String}} AND ({ends.condition.replace('<side>', side).replace('<other>', other)})")


def parameters(ends: Ends) -> dict[str, Any]:
    """What `of_side` has parameters for."""
    return {**ends.params, "stamped": ends.stamped}
