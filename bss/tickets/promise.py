"""What a ticket's customer was promised: until when somebody answers, and until when it works again.

Response counts in the calendar of the promise (all hours, or business hours), restoration all hours; neither runs while the ticket is pending. The promises are
the catalogue's of the service's offering, as they hold when the ticket is opened; where it has none, those of the class.
"""
from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from bss.catalogue.document import Sla
from bss.catalogue.pricing import sla_of
from bss.desk import Desk
from bss.tables import Service, Ticket
from bss.tickets.clock import due
from bss.tickets.timetable import calendar_of

Span = tuple[datetime, datetime]
CALENDAR = "business"           # of first responses that count business hours alone


class Promise(NamedTuple):
    """Minutes; business: whether first response counts business hours alone."""
    response: int
    restore: int
    business: bool = False


#: By class, where the catalogue says nothing. What hangs on a resource alone is as a B line.
CLASSES = {"A": Promise(15, 240), "B": Promise(30, 480), "C": Promise(60, 1440), "home": Promise(240, 2880, True), "wlan": Promise(480, 4320, True),
           "mobile": Promise(240, 2880, True)}


def of_class(class_: str, terms: Sla | None = None) -> Promise:
    """The promise of a class, or of terms where they say something."""
    usual = CLASSES.get(class_, CLASSES["B"])
    if terms is None:
        return usual
    return Promise(terms.response_minutes or usual.response, terms.restore_minutes or usual.restore,
                   terms.response_clock == "business" if terms.response_minutes else usual.business)


class Promises:
    """Promises of services, each offering asked for once."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._known: dict[tuple[str, int], Sla | None] = {}

    def of(self, service: Service | None, class_: str) -> Promise:
        """Of a service, or of a class alone."""
        if service is None:
            return of_class(class_)
        key = service.offering, service.offering_version
        if key not in self._known:
            self._known[key] = sla_of(self._desk, *key)
        return of_class(service.class_, self._known[key])

    def dues(self, promise: Promise, since: datetime, pauses: Iterable[Span] = ()) -> tuple[datetime, datetime]:
        """When first response and restoration are due."""
        held = list(pauses)
        response = business_due(self._desk, since, promise.response, held) if promise.business else wall_due(since, promise.response, held)
        return response, wall_due(since, promise.restore, held)


def wall_due(since: datetime, minutes: int, pauses: Iterable[Span] = ()) -> datetime:
    """When so many minutes of all hours have run, those of pauses not counted."""
    at = since + timedelta(minutes=minutes)
    for begin, end in sorted(pauses):
        if begin < at and end > max(begin, since):
            at += end - max(begin, since)
    return at


def business_due(desk: Desk, since: datetime, minutes: int, pauses: Iterable[Span] = ()) -> datetime:
    """When so many minutes of business hours have run."""
    return due(calendar_of(desk, CALENDAR), since, minutes * 60, pauses)


def spans_of(ticket: Ticket, now: datetime) -> list[Span]:
    """The times a ticket was pending, until now where it is."""
    found = [(datetime.fromisoformat(begin), datetime.fromisoformat(end)) for begin, end in ticket.pauses]
    if ticket.pending_since is not None and ticket.pending_since < now:
        found.append((ticket.pending_since, now))
    return found


def renew(desk: Desk, ticket: Ticket) -> None:
    """Compute a ticket's dues anew from its whole history: after a pause, another class, a calendar that learned of a holiday."""
    service = desk.session.get(Service, ticket.service_id) if ticket.service_id else None
    promises = Promises(desk)
    ticket.response_due, ticket.restore_due = promises.dues(promises.of(service, ticket.class_), ticket.created, spans_of(ticket, desk.now))


def left(ticket: Ticket, now: datetime) -> dict[str, Any]:
    """Seconds that are left of each clock, less than nothing where it is over; None of one that has ended. stands: the clocks do."""
    def of(due: datetime | None, ended: datetime | None) -> int | None:
        return None if due is None or ended is not None else int((due - now).total_seconds())
    return {"response": of(ticket.response_due, ticket.responded), "restore": of(ticket.restore_due, ticket.restored or ticket.resolved),
            "stands": ticket.pending_since is not None}
