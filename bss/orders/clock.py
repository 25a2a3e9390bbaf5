"""The clock of an order: working time from its acknowledgement on, standing while the customer has to act.

It runs in the calendar `workdays` (bss/tickets/calendar.py), in which a working day counts from its midnight to the next, in the operator's time zone; days off
count nothing. What is due in ten working days is due when the clock has run ten times 24 hours. The due time is computed anew from the whole history each time,
so a calendar that learns of a holiday later moves it.
"""
from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from bss.catalogue.pricing import sla_of
from bss.desk import Desk
from bss.settings import Settings
from bss.tables import ProductOrder, Transition
from bss.tickets import clock
from bss.tickets.calendar import Calendar, standard
from bss.tickets.timetable import calendar_of

DAY = timedelta(days=1)
CALENDAR = "workdays"
#: Working days from acknowledgement to acceptance by class, where the catalogue says nothing.
ACTIVATION = {"A": 10, "B": 10, "C": 15, "home": 5, "wlan": 5, "mobile": 5}


def usual(settings: Settings) -> Calendar:
    """The calendar of orders where nobody has written another one."""
    return standard(CALENDAR, settings.zone, settings.country)


def days(desk: Desk) -> Calendar:
    """The calendar of orders."""
    return calendar_of(desk, CALENDAR)


def elapsed(since: datetime, until: datetime, calendar: Calendar) -> timedelta:
    """Working time in [since, until)."""
    return timedelta(seconds=clock.elapsed(calendar, since, until))


def after(since: datetime, span: timedelta, calendar: Calendar) -> datetime:
    """When so much working time has passed."""
    return clock.due(calendar, since, span.total_seconds())


def spells(desk: Desk, order: ProductOrder) -> list[tuple[datetime, datetime]]:
    """When the clock stood: the times an order was pending since it was acknowledged, until now where it is."""
    query = select(Transition).where(Transition.entity == "order", Transition.entity_id == order.id).order_by(Transition.time, Transition.id)
    found: list[tuple[datetime, datetime]] = []
    begin: datetime | None = None
    for step in desk.session.execute(query).scalars():
        if step.to_state == "pending":
            begin = begin or step.time
        elif begin is not None:
            found.append((begin, step.time))
            begin = None
    if begin is not None and order.state == "pending":
        found.append((begin, desk.now))
    return found


def stood(desk: Desk, order: ProductOrder) -> timedelta:
    """Working time that the clock stood."""
    return sum((elapsed(begin, end, days(desk)) for begin, end in spells(desk, order)), timedelta())


def activation_days(desk: Desk, order: ProductOrder) -> int:
    """Working days that the order has: the most of its items', by the promises of their offerings, else by its class."""
    found = [terms.activation_days for item in order.items if (terms := sla_of(desk, item.offering, item.offering_version)) and terms.activation_days]
    return max(found, default=ACTIVATION.get(order.class_, max(ACTIVATION.values())))


def due_of(desk: Desk, order: ProductOrder) -> datetime | None:
    """When an order is to be accepted; None: it is not acknowledged. While it is pending: if the customer acted now."""
    if order.acknowledged is None:
        return None
    return clock.due(days(desk), order.acknowledged, (DAY * activation_days(desk, order)).total_seconds(), spells(desk, order))


def left(desk: Desk, order: ProductOrder) -> timedelta:
    """Working time until it is due; less than nothing where it is overdue."""
    if order.due is None:
        return timedelta()
    late = elapsed(order.due, desk.now, days(desk))
    return -late if late else elapsed(desk.now, order.due, days(desk))


def used(desk: Desk, order: ProductOrder) -> timedelta:
    """Working time since it was acknowledged, without what it stood."""
    if order.acknowledged is None:
        return timedelta()
    return elapsed(order.acknowledged, order.completed or desk.now, days(desk)) - stood(desk, order)
