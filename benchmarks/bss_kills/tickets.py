"""What is true of tickets, alarms and link states whatever was killed: each alarm taken once with all that it does, each ticket where its steps say."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, MutableMapping, Set
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from benchmarks.bss_kills.record import count_of, steps_of, walk
from bss import audit
from bss.tables import Alarm, AlarmEvent, AuditRow, LinkState, Ticket
from bss.tickets.states import TERMINAL


def faults(session: Session, said: MutableMapping[str, str], events: Set[str]) -> Iterator[str]:
    """All that is not as it has to be. said: tickets and the states that they were said to have; events: of alarms, that were said to be taken."""
    steps, opened, moved = steps_of(session, "ticket"), count_of(session, "ticket.open"), count_of(session, "ticket.move")
    live: Counter[str] = Counter()
    states: dict[str, str] = {}
    for one in session.scalars(select(Ticket)):
        states[one.id] = one.state
        live[str(one.dedup_key)] += one.dedup_key is not None and one.state not in TERMINAL
        if why := walk(steps[one.id], "", one.state):
            yield f"ticket {one.id}: {why}"
        if opened[one.id] != 1 or moved[one.id] != len(steps[one.id]) - 1:
            yield f"ticket {one.id} has {len(steps[one.id])} steps; {opened[one.id]} openings and {moved[one.id]} moves are on record"
        if (one.state == "resolved") > (one.resolved is not None) or (one.state == "pending") != (one.pending_since is not None):
            yield f"ticket {one.id} is {one.state}, resolved {one.resolved}, pending since {one.pending_since}"
    if twice := [key for key, count in live.items() if count > 1]:
        yield f"keys {twice} have several tickets"
    for key, state in said.items():
        if states.get(key) != state:
            yield f"ticket {key} was said to be {state} and is {states.get(key)}"
    said.clear()
    if lost := set(session.scalars(select(Alarm.ticket_id).where(Alarm.ticket_id.is_not(None)).distinct())) - set(states):
        yield f"alarms are of tickets {lost}, which are not there"
    there = set(session.scalars(select(AlarmEvent.event_id)))
    if gone := events - there:
        yield f"{len(gone)} events of alarms were said and are not there"
    acts = session.scalars(select(AuditRow).where(AuditRow.action == "alarm.take"))
    taken, counted = sum(_new(row) for row in acts), session.scalar(select(func.sum(Alarm.count))) or 0
    if not taken == counted == len(there):
        yield f"{len(there)} events of alarms are in the inbox, {taken} were taken by the record, {counted} by the alarms"
    current = Counter((one.source, one.subject) for one in session.scalars(select(LinkState).where(LinkState.until.is_(None))))
    if several := [key for key, count in current.items() if count > 1]:
        yield f"{several} are said to be two things at once"


def _new(row: AuditRow) -> int:
    told: dict[str, Any] = audit.detail(row) or {}
    return int(told["after"]["new"])
