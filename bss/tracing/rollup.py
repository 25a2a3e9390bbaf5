"""What is closed: rows of usage by hour and by minute, with the slots that they are of, and whether these are as they were when they were closed.

The digest of a slot is made as docs/usage.md says: whoever changes, adds or removes a row of it afterwards is found out, for `usage_slots` has the digest of
what the flows gave then. Flows are kept for less time than usage: a slot whose flows have gone says so, and shows what was closed.
"""
from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from bss.desk import Desk
from bss.question import HOUR, IDS, MINUTE, between, closed, minutes_of, moment_of
from bss.refusal import Refusal
from bss.tables import Service

STEPS = {"usage_1m": MINUTE, "usage_1h": HOUR}
_VOLUMES = ("up_packets", "down_packets", "up_bytes", "down_bytes", "up_wire_bytes", "down_wire_bytes", "flows")
_DUPLICATES = ("duplicate_packets", "duplicate_bytes")
#: The columns of a row that its slot's digest is about, in the table's order: what tells it from others, what was counted.
DIGESTED = {
    "usage_1m": ("service_id", "customer_id", *_VOLUMES, "rtt_count", "rtt_sum_us", "rtt_histogram", "syn_up", "syn_ack_down", "servers", "up_tcp_packets",
                 "down_tcp_packets", "up_retransmissions", "down_retransmissions", "directions", *_DUPLICATES),
    "usage_1h": ("service_id", "customer_id", "category", "application", "rules_version", *_VOLUMES, *_DUPLICATES)}
_KEYS = ("service_id", "customer_id", "category", "application", "rules_version")
MOST = 20_000           # rows that are given of a question
DETAIL = ("usage.read", "traffic.read")         # one of these lets somebody see what a service was used for
SEEN = (*DETAIL, "sla.read")                    # and one of these how much of it there was
LONGEST = {"usage_1m": timedelta(days=32), "usage_1h": timedelta(days=400)}


class Hour(NamedTuple):
    """Rows of usage_1h of a service and what it was used for, together. revision: of their slots' computation, the highest; sources: probes, or numbers of
    captures; rules_version: of the rules that named it, the newest where there were several."""
    service_id: str
    begin: datetime
    category: str
    application: str
    down_bytes: int
    up_bytes: int
    flows: int
    sources: str
    revision: int
    rules_version: str


class Minute(NamedTuple):
    """A minute of usage_1m of a service, its sources together. directions: 1 only what it sent was seen, 2 only what was sent to it, 3 both."""
    begin: datetime
    down_bytes: int
    up_bytes: int
    syn_up: int
    syn_ack_down: int
    servers: int
    directions: int
    rtt_us: float | None
    retransmissions: int
    revision: int


class Slot(NamedTuple):
    """A closed slot of a source. digest: of when it was closed; now: of its rows as they are; flow_rows: of which it was made; there: that are still stored."""
    begin: datetime
    source: str
    revision: int
    digest: str
    now: str
    flow_rows: int
    there: int

    @property
    def state(self) -> str:
        """changed: its rows are not those that were closed; gone: some of its flows are stored no more; late: flows came since; whole."""
        if self.digest != self.now:
            return "changed"
        return "gone" if self.there < self.flow_rows else "late" if self.there > self.flow_rows else "whole"


def seen(desk: Desk, service_ids: Sequence[str], permissions: Sequence[str] = SEEN) -> list[str]:
    """These services, of which the actor may see sums by one of the permissions. Refusal: he has none, or one of the services is not there for him."""
    if not any(desk.may(one) for one in permissions):
        desk.demand(permissions[0])
    return [desk.find(Service, one).id for one in dict.fromkeys(service_ids)]


def span_of(table: str, since: datetime, until: datetime) -> tuple[int, int]:
    """The slots that begin in a time, s. Refusal: it is none, or too long for that table."""
    if until - since > LONGEST[table]:
        raise Refusal("invalid", f"the time is longer than {LONGEST[table].days} days", "until", "ask for less at once")
    first, last = minutes_of(since, until)
    step = STEPS[table]
    return first + -first % step, last + -last % step


def hours(desk: Desk, service_ids: Sequence[str], since: datetime, until: datetime, most: int = MOST) -> list[Hour]:
    """Rows of the closed hours that begin in a time, in order. Refusal `away`."""
    ids = seen(desk, service_ids, DETAIL)
    span = between(*span_of("usage_1h", since, until))
    rows = desk.office.evidence.rows(
        "SELECT service_id, toInt64(toUnixTimestamp64Second(time)) AS at, category, application, sum(down_bytes), sum(up_bytes), sum(flows), "
        "arrayStringConcat(arraySort(groupUniqArray(if(capture_id = 0, probe, toString(capture_id)))), ' '), max(revision), max(rules_version) "
        f"FROM usage_1h FINAL WHERE service_id IN {IDS} AND {span} AND {closed('usage_1h', span)} AND up_packets + down_packets > 0 "
        f"GROUP BY service_id, at, category, application ORDER BY at, service_id, category, application LIMIT {int(most)}",
        {"ids": ",".join(ids)}, "evidence of usage", ids) if ids else []
    return [Hour(str(service), moment_of(int(at)), str(category), str(application), int(down), int(up), int(flows), str(source), int(revision), str(rules))
            for service, at, category, application, down, up, flows, source, revision, rules in rows]


def minutes(desk: Desk, service_id: str, since: datetime, until: datetime, most: int = MOST) -> list[Minute]:
    """The closed minutes of a time in which a service carried anything. Refusal `away`."""
    ids = seen(desk, [service_id])
    span = between(*span_of("usage_1m", since, until))
    rows = desk.office.evidence.rows(
        "SELECT toInt64(toUnixTimestamp64Second(time)) AS at, sum(down_bytes), sum(up_bytes), sum(syn_up), sum(syn_ack_down), max(servers), "
        "groupBitOr(directions), sum(rtt_count), sum(rtt_sum_us), sum(up_retransmissions + down_retransmissions), max(revision) FROM usage_1m FINAL "
        f"WHERE service_id = {{id:String}} AND {span} AND {closed('usage_1m', span)} GROUP BY at HAVING sum(up_packets + down_packets) > 0 "
        f"ORDER BY at LIMIT {int(most)}", {"id": service_id}, "evidence of minutes", ids)
    return [Minute(moment_of(int(at)), int(down), int(up), int(syn), int(answered), int(servers), int(ways), int(rtt) / int(count) if int(count) else None,
                   int(again), int(revision)) for at, down, up, syn, answered, servers, ways, count, rtt, again, revision in rows]


def slots(desk: Desk, table: str, service_ids: Sequence[str], since: datetime, until: datetime) -> list[Slot]:
    """The closed slots in which these services carried anything, each held against its rows and flows as they are now. Refusal `away`."""
    ids = seen(desk, service_ids)
    first, last = span_of(table, since, until)
    if not ids or first >= last:
        return []
    ask, params, span = desk.office.evidence.rows, {"ids": ",".join(ids)}, between(first, last)
    mine = (f"(time, probe, capture_id) IN (SELECT time, probe, capture_id FROM {table} FINAL WHERE service_id IN {IDS} AND {span} "
            f"AND {closed(table, span)} AND up_packets + down_packets > 0)")
    told = ask("SELECT toInt64(toUnixTimestamp64Second(time)) AS at, probe, toString(capture_id), revision, digest, flow_rows FROM usage_slots FINAL "
               f"WHERE table_name = '{table}' AND {span} AND {mine} ORDER BY at, probe, capture_id", params, "evidence of slots", ids)
    now = {(int(at), str(probe), str(capture)): str(digest) for at, probe, capture, digest in ask(proof(table, f"{span} AND {mine}"), params,
                                                                                                  "evidence of slots", ids)}
    at = f"intDiv(toUnixTimestamp64Micro(interval_start), {STEPS[table]}000000) * {STEPS[table]}"
    there = {(int(at), str(probe), str(capture)): int(count) for at, probe, capture, count in ask(
        f"SELECT {at} AS at, probe, toString(capture_id) AS capture, count() FROM flows WHERE {within(first, last)} GROUP BY at, probe, capture", {},
        "evidence of slots", ids)}
    found = []
    for second, probe, capture, revision, digest, flow_rows in told:
        key = (int(second), str(probe), str(capture))
        found.append(Slot(moment_of(key[0]), key[1] if key[2] == "0" else key[2], int(revision), str(digest), now.get(key, ""), int(flow_rows),
                          there.get(key, 0)))
    return found


def proof(table: str, where: str) -> str:
    """SQL: of each slot the digest of its rows as they are now. where: about the columns of the usage table."""
    names = DIGESTED[table]
    some = " OR ".join(f"{name} != 0" for name in names if name not in (*_KEYS, "rtt_histogram"))
    rows = (f"SELECT toInt64(toUnixTimestamp64Second(time)) AS at, probe, toString(capture_id) AS capture, {', '.join(names)} FROM {table} FINAL "
            f"WHERE {where} AND ({some})")
    return ("SELECT at, probe, capture, lower(hex(SHA256(arrayStringConcat(arraySort(groupArray("
            f"toString(tuple({', '.join(names)})))), '\\n')))) AS digest FROM ({rows}) GROUP BY at, probe, capture")


def within(first: int, last: int) -> str:
    """SQL: what holds of flows that begin in [first, last), s."""
    begin, end = (f"fromUnixTimestamp64Micro({at}000000, 'UTC')" for at in (first, last))
    return f"interval_start >= {begin} AND interval_start < {end}"
