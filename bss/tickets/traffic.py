"""What the traffic of a service says of its health, minute by minute: what the store is asked, and when a minute is healthy.

A minute is healthy where it was measured, something went both ways, and what was opened was answered: with 20 or more connections opened to 5 or more
servers, more than 5 % of them. A ticket about quality asks more: at most 2 % of the segments sent again, and a round trip of at most twice what is usual, the
median of four weeks before. A minute that was not measured says nothing, neither way.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from bss.desk import Desk
from bss.question import between, closed, minutes_of, moment_of

SYNS, SERVERS, ANSWERED = 20, 5, 0.05
AGAIN, SLOWER = 0.02, 2.0
USUAL = timedelta(days=28)
MINUTE = timedelta(minutes=1)


class Minute(NamedTuple):
    """A minute of a service. syns, answered: TCP connections that it opened, and those in which an answer came; sent, again: TCP packets, and those sent again;
    rtt_us: mean round trip, None where none was measured."""
    begin: datetime
    down_bytes: int
    up_bytes: int
    covered: bool
    syns: int = 0
    answered: int = 0
    servers: int = 0
    sent: int = 0
    again: int = 0
    rtt_us: float | None = None


class Run(NamedTuple):
    """The last minutes that were measured, one after the other, and of the same kind."""
    begin: datetime
    last: datetime
    length: int


def minutes(desk: Desk, service_id: str, since: datetime, until: datetime) -> list[Minute]:
    """The minutes of a service that begin in a time. Refusal `away`: the store does not answer."""
    carried = desk.office.evidence.minutes(service_id, since, until)
    first, last = minutes_of(since, until)
    span = between(first, last)
    rows = desk.office.evidence.rows(
        "SELECT toInt64(toUnixTimestamp64Second(time)) AS at, sum(syn_up), sum(syn_ack_down), max(servers), sum(up_tcp_packets + down_tcp_packets), "
        "sum(up_retransmissions + down_retransmissions), sum(rtt_count), sum(rtt_sum_us) FROM usage_1m FINAL "
        f"WHERE service_id = {{id:String}} AND {span} AND {closed('usage_1m', span)} GROUP BY at", {"id": service_id}, "restoration", [service_id])
    told = {moment_of(int(at)): (int(syns), int(acks), int(servers), int(sent), int(again), int(total) / int(count) if int(count) else None)
            for at, syns, acks, servers, sent, again, count, total in rows}
    return [Minute(one.begin, one.down_bytes, one.up_bytes, one.covered, *told.get(one.begin, (0, 0, 0, 0, 0, None))) for one in carried]


def usual_rtt(desk: Desk, service_id: str, before: datetime) -> float | None:
    """The median of a service's mean round trips of the four weeks before a time, us; None: none was measured."""
    first, last = minutes_of(before - USUAL, before)
    span = between(first, last)
    means = ("SELECT time, sum(rtt_sum_us) / sum(rtt_count) AS mean FROM usage_1m FINAL "
             f"WHERE service_id = {{id:String}} AND {span} AND {closed('usage_1m', span)} GROUP BY time HAVING sum(rtt_count) > 0")
    rows = desk.office.evidence.rows(f"SELECT count(), quantileExact(0.5)(mean) FROM ({means})", {"id": service_id}, "restoration", [service_id])
    return float(rows[0][1]) if rows and int(rows[0][0]) else None


def ailment(one: Minute, quality: bool = False, usual_us: float | None = None) -> str:
    """What is wrong with a minute that carried something, in words; '' nothing is."""
    if not one.down_bytes or not one.up_bytes:
        return f"carried nothing {'towards' if not one.down_bytes else 'away from'} the customer"
    if one.syns >= SYNS and one.servers >= SERVERS and one.answered <= ANSWERED * one.syns:
        return f"had {one.answered} of {one.syns} connections answered"
    if quality and one.sent and one.again > AGAIN * one.sent:
        return f"had {100 * one.again / one.sent:.1f} % of its segments sent again"
    if quality and usual_us and one.rtt_us is not None and one.rtt_us > SLOWER * usual_us:
        return f"had round trips of {one.rtt_us / 1000:.1f} ms, and {usual_us / 1000:.1f} ms are usual"
    return ""


def silent(one: Minute) -> bool:
    """Whether a minute carried nothing at all."""
    return not one.down_bytes and not one.up_bytes


def trailing(found: Sequence[Minute], same: Callable[[Minute], bool]) -> Run | None:
    """The run of measured minutes at the end of which all are so; None: the last one is not, or none was measured."""
    run: list[Minute] = []
    for one in reversed(found):
        if not one.covered:
            continue
        if not same(one):
            break
        run.append(one)
    return Run(run[-1].begin, run[0].begin, len(run)) if run else None
