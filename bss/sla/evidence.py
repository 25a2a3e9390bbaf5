"""What stands behind minutes: the rows of usage_1m and coverage as the store has them now, beside what was made of them; from there a trace goes on to flows.

The digest of a month is compared with one that is computed now: where a row was changed since, that is said.
"""
from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from bss.desk import Desk
from bss.moment import iso
from bss.question import moment_of, second
from bss.refusal import Refusal
from bss.sla import facts, keeping, reading
from bss.sla import month as months
from bss.sla.keeping import Kept
from bss.tables import Service

LONGEST = timedelta(hours=6)        # that is shown at once
SHOWN = ("down_bytes", "up_bytes", "down_packets", "up_packets", "syn_up", "syn_ack_down", "servers", "directions", "tcp", "down_again", "up_again", "rtt_us")


class Minute(NamedTuple):
    """A minute as it counts (state, '' not active or not judged), as it was found, why, and what the store says. good: by probe, whether it told of the minute
    and lost at most 1 %; carried: of SHOWN, empty where there is no row."""
    begin: datetime
    state: str
    measured: str
    reason: str
    good: dict[str, bool]
    carried: dict[str, int | None]


class Behind(NamedTuple):
    """minutes; spells that they lie in; slots: the closed minutes of the store (probe, revision, rows, digest); digest: SHA-256 of all that was read."""
    minutes: list[Minute]
    spells: list[Kept]
    slots: list[tuple[str, int, int, str]]
    digest: str


class Checked(NamedTuple):
    """Whether what a month was counted from is as it was then."""
    same: bool
    kept: str
    now: str
    rows_kept: int
    rows_now: int


def of(desk: Desk, service_id: str, since: datetime, until: datetime) -> Behind:
    """What stands behind the minutes of [since, until) of a service; that it was looked at is put on record. Refusal: more than LONGEST, or the store does not
    answer."""
    desk.demand("sla.read")             # sums of minutes, as everywhere: rows of flows are for who may see traffic
    row = desk.find(Service, service_id)
    if not timedelta(0) < until - since <= LONGEST:
        raise Refusal("invalid", "it is no time, or too long to be shown at once", "until", f"ask for {LONGEST // timedelta(hours=1)} hours at most")
    desk.record("traffic.read", row, reason="service level")
    first, last = second(since), second(until, up=True)
    carried = reading.carried(desk, [service_id], first, last).get(service_id, {})
    told = reading.told(desk, first, last)
    spells = keeping.held(desk, [service_id], since, until).get(service_id, [])
    active = facts.activity(desk, [row], since, until)[service_id]
    places = {int(at): n for n, at in enumerate(carried.get("at", ()))}
    minutes = []
    for column in range((last - first) // 60):
        begin = moment_of(first + 60 * column)
        spell = next((one for one in spells if one.since <= begin < one.until), None)
        there = any(one <= begin + timedelta(seconds=30) < end for one, end in active)
        values: dict[str, int | None] = {}
        if column in places:
            values = {name: int(carried[name][places[column]]) for name in SHOWN}
            if values["rtt_us"] == reading.NO_RTT:
                values["rtt_us"] = None
        state, measured, reason = (spell.state, spell.measured, spell.reason) if spell else ("up", "up", "") if there else ("", "", "")
        minutes.append(Minute(begin, state, measured, reason, {name: bool(one.good[column]) for name, one in sorted(told.items()) if name}, values))
    slots = reading.slots_of(desk, first, last)
    text = json.dumps([[iso(one.begin), one.good, one.carried] for one in minutes] + [list(one) for one in slots], sort_keys=True)
    return Behind(minutes, spells, slots, hashlib.sha256(text.encode()).hexdigest())


def check(desk: Desk, service_id: str, month: str) -> Checked:
    """Compare the rows that a month was counted from with those that are there now. Refusal: the store was not asked then, or does not answer now."""
    row = months.find(desk, service_id, month)
    if "digest" not in row.evidence:
        raise Refusal("conflict", f"the month {month} was not measured as a whole yet", "month", "count it first")
    since, until = facts.span_of(desk, month)
    found = dict(reading.quality(desk, [service_id], second(since), second(min(until, row.measured_until)))).get(service_id)
    now, rows = (found.digest, found.rows) if found is not None else ("", 0)
    return Checked(now == row.evidence["digest"] and rows == row.evidence["rows"], str(row.evidence["digest"]), now, int(row.evidence["rows"]), rows)


def told(behind: Behind) -> dict[str, Any]:
    """As interfaces tell it."""
    return {"minute": [{"begin": iso(one.begin), "state": one.state or None, "measured": one.measured or None, "reason": one.reason or None, "sensor": one.good,
                        "usage": one.carried or None} for one in behind.minutes],
            "slot": [{"probe": probe, "revision": revision, "rows": rows, "digest": digest} for probe, revision, rows, digest in behind.slots],
            "digest": behind.digest}
