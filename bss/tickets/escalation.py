"""Escalation: when 50, 80 and 100 percent of a ticket's clocks (first response, restoration) have run, its owner, the lead on duty and the manager on duty are
told, by mail and by an event, once each: the key of what was told is unique in the database.

The percentage is of working time in the clock's own calendar, so what is told before a deadline is told in working time. Who waits for his customer is not
told: the clock stands. Where nobody owns a ticket, who is on duty is told in the owner's place.

What hangs on one cause is told of once: who was told of the cause, or of one of its children, is not told of the next whose clock has run as far at the same
time (within 5 minutes). A child whose clock differs, or whose owner does, is told of by itself.
"""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite

from bss.database import lots
from bss.desk import Desk
from bss.language import words
from bss.moment import iso
from bss.refusal import Refusal
from bss.tables import Escalation, Service, Ticket, User
from bss.tickets import roster
from bss.tickets.clock import due, elapsed
from bss.tickets.promise import Promise, Promises, spans_of
from bss.tickets.timetable import calendar_of
from bss.working import mail

#: Percent of a clock -> who is told.
STEPS = ((50, "owner"), (80, "lead"), (100, "manager"))
CLOCKS = ("response", "restore")
RUNNING = ("acknowledged", "inProgress", "held")
MOST = 50_000           # tickets that are looked at in a round
TOLD = 2000             # that are told of: a storm takes several, and holds up nobody for long
SAME = timedelta(minutes=5)         # that clocks of one cause may lie apart and be the same


class Step(NamedTuple):
    """What is to be told of a ticket. at: when so many percent had run."""
    clock: str
    percent: int
    level: str
    at: datetime


def watch(desk: Desk, argument: Mapping[str, Any] | None = None) -> int:
    """Duty, each minute: tell what is to be told of every running ticket, what is due first first; how many were told."""
    desk.demand("system.run")
    rows = desk.session.execute(select(Ticket).where(Ticket.state.in_(RUNNING), Ticket.pending_since.is_(None), Ticket.restored.is_(None)).order_by(
        Ticket.root_cause.desc(), Ticket.restore_due, Ticket.id).limit(MOST)).scalars().all()
    told, promises, spoken = 0, Promises(desk), _Spoken(desk)
    for lot in lots(rows):
        if told >= TOLD:
            break
        known = {(key, clock, percent) for key, clock, percent in desk.session.execute(
            select(Escalation.ticket_id, Escalation.clock, Escalation.percent).where(Escalation.ticket_id.in_([one.id for one in lot]))).tuples()}
        services = {one.id: one for one in desk.session.execute(select(Service).where(
            Service.id.in_({one.service_id for one in lot if one.service_id}))).scalars()}
        spoken.look([one.parent_id for one in lot if one.parent_id])
        for ticket in lot:
            promise = promises.of(services.get(ticket.service_id or ""), ticket.class_)
            for step in steps(desk, ticket, promise):
                if (ticket.id, step.clock, step.percent) not in known:
                    told += _tell(desk, ticket, step, spoken)
    return told


class _Spoken:
    """What was told of causes and their children: of which cause, clock and percent, to whom, and when it had run so far."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._looked: set[str] = set()
        self._told: dict[tuple[str, str, int, str | None], list[datetime]] = defaultdict(list)
        self._on_duty: dict[tuple[str, str], User | None] = {}

    def whom(self, ticket: Ticket, level: str) -> User | None:
        """Who is to be told. Asked once a round: a storm has thousands of children, and each of them is looked at every minute."""
        if level == "owner":
            owner = self._desk.session.get(User, ticket.owner_id) if ticket.owner_id else None
            if owner is not None and not owner.disabled:
                return owner
            level = "duty"
        key = level, ticket.region
        if key not in self._on_duty:
            self._on_duty[key] = roster.on_duty(self._desk, level, ticket.region)
        return self._on_duty[key]

    def look(self, causes: Sequence[str]) -> None:
        """Learn what was told of these causes and of their children."""
        for lot in lots(sorted(set(causes) - self._looked)):
            self._looked |= set(lot)
            query = select(func.coalesce(Ticket.parent_id, Ticket.id), Escalation.clock, Escalation.percent, Escalation.user_id, Escalation.at).join(
                Ticket, Ticket.id == Escalation.ticket_id).where(Ticket.id.in_(lot) | Ticket.parent_id.in_(lot))
            for cause, clock, percent, user, at in self._desk.session.execute(query):
                self._told[cause, clock, percent, user].append(at)

    def know(self, ticket: Ticket, step: Step, user: User | None) -> bool:
        """Whether somebody knows it already by the cause or another child of it; if not, he does from now on."""
        held = self._told[ticket.parent_id or ticket.id, step.clock, step.percent, user.id if user else None]
        if ticket.parent_id is not None and any(abs(at - step.at) <= SAME for at in held):
            return True
        held.append(step.at)
        return False


def steps(desk: Desk, ticket: Ticket, promise: Promise) -> list[Step]:
    """What of a ticket's clocks has run by now, whether it was told or not."""
    found: list[Step] = []
    pauses = spans_of(ticket, desk.now)
    for clock in CLOCKS:
        if (ticket.responded if clock == "response" else ticket.restored) is not None:
            continue
        calendar = calendar_of(desk, "business" if clock == "response" and promise.business else "24x7")
        whole = 60 * (promise.response if clock == "response" else promise.restore)
        run = elapsed(calendar, ticket.created, desk.now, pauses)
        found += [Step(clock, percent, level, due(calendar, ticket.created, whole * percent / 100, pauses)) for percent, level in STEPS
                  if 100 * run >= percent * whole]
    return found


def _tell(desk: Desk, ticket: Ticket, step: Step, spoken: _Spoken) -> int:
    """Tell one, if nobody else does meanwhile, and his knowing it by the cause is not enough."""
    user = spoken.whom(ticket, step.level)
    if spoken.know(ticket, step, user):
        return 0
    insert: Any = (sqlite.insert if desk.office.database.lite else postgresql.insert)(Escalation)
    made = desk.session.execute(insert.on_conflict_do_nothing().returning(Escalation.ticket_id), {
        "ticket_id": ticket.id, "clock": step.clock, "percent": step.percent, "level": step.level, "user_id": user.id if user else None, "at": step.at,
        "told": desk.now})
    if made.first() is None:
        return 0
    limit = ticket.response_due if step.clock == "response" else ticket.restore_due
    said = {"clock": step.clock, "percent": step.percent, "level": step.level, "user": user.id if user else None, "due": iso(limit)}
    desk.record("ticket.escalate", ticket, after=said)
    desk.emit("troubleTicket.escalation", ticket.id, {"id": ticket.id, "priority": ticket.priority, "region": ticket.region, **said})
    if user is not None and user.email:
        settings = desk.office.settings
        say = words(settings.lang)
        values = {"id": ticket.id, "clock": say(f"escalation.{step.clock}"), "percent": step.percent, "due": iso(limit, settings.zone) or "",
                  "priority": ticket.priority}
        mail.write(desk, user.email, say("escalation.subject", **values), say("escalation.text", **values), f"{ticket.id}/{step.clock}/{step.percent}")
    return 1


def told_of(desk: Desk, ticket_id: str) -> Sequence[Escalation]:
    """Who was told of a ticket's clocks, and of those of its cause, in that order. Refusal: the ticket is not there for who asks."""
    desk.demand("ticket.read")
    row = desk.find(Ticket, ticket_id)
    if desk.actor.outside:
        raise Refusal("forbidden", "who is told of it here is not for customers", f"ticket {row.id}", "add a note to it, and you are answered")
    query = select(Escalation).where(Escalation.ticket_id.in_([row.id, row.parent_id or row.id]))
    return desk.session.execute(query.order_by(Escalation.told, Escalation.clock, Escalation.percent)).scalars().all()
