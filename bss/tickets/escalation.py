"""Escalation: when 50, 80 and 100 percent of a ticket's clocks (first response, restoration) have run, its owner, the lead on duty and the manager on duty are
told, by mail and by an event, once each: the key of what was told is unique in the database.

The percentage is of working time in the clock's own calendar, so what is told before a deadline is told in working time. Who waits for his customer is not
told: the clock stands. Where nobody owns a ticket, who is on duty is told in the owner's place.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from bss.database import lots
from bss.desk import Desk
from bss.language import words
from bss.moment import iso
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
        Ticket.restore_due, Ticket.id).limit(MOST)).scalars().all()
    told, promises = 0, Promises(desk)
    for lot in lots(rows):
        if told >= TOLD:
            break
        known = {(key, clock, percent) for key, clock, percent in desk.session.execute(
            select(Escalation.ticket_id, Escalation.clock, Escalation.percent).where(Escalation.ticket_id.in_([one.id for one in lot]))).tuples()}
        services = {one.id: one for one in desk.session.execute(select(Service).where(
            Service.id.in_({one.service_id for one in lot if one.service_id}))).scalars()}
        for ticket in lot:
            promise = promises.of(services.get(ticket.service_id or ""), ticket.class_)
            for step in steps(desk, ticket, promise):
                if (ticket.id, step.clock, step.percent) not in known:
                    told += _tell(desk, ticket, step)
    return told


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


def _tell(desk: Desk, ticket: Ticket, step: Step) -> int:
    """Tell one, if nobody else does meanwhile."""
    user = _whom(desk, ticket, step.level)
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


def _whom(desk: Desk, ticket: Ticket, level: str) -> User | None:
    if level != "owner":
        return roster.on_duty(desk, level, ticket.region)
    owner = desk.session.get(User, ticket.owner_id) if ticket.owner_id else None
    return owner if owner is not None and not owner.disabled else roster.on_duty(desk, "duty", ticket.region)


def told_of(desk: Desk, ticket_id: str) -> Sequence[Escalation]:
    """Who was told of a ticket's clocks, in that order. Refusal: the ticket is not there for who asks."""
    desk.demand("ticket.read")
    row = desk.find(Ticket, ticket_id)
    return desk.session.execute(select(Escalation).where(Escalation.ticket_id == row.id).order_by(Escalation.told, Escalation.clock, Escalation.percent)
                                ).scalars().all()
