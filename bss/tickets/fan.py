"""A resource that is down takes the services behind it along: they get tickets of their own, children of the resource's; each has a customer and a clock."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select

from bss.desk import Desk
from bss.tables import Alarm, Ticket
from bss.tickets import cause, plant, states, window
from bss.tickets.ticket import Ask, again, live, noted, open_all, said
from bss.tickets.transition import step

if TYPE_CHECKING:
    from bss.tickets.alarm import Event

MOST = 5000             # services of one resource


class Fan:
    """parents: tickets of resources that are down, of one lot of events."""

    def __init__(self, desk: Desk, parents: Sequence[Ticket]) -> None:
        self._desk = desk
        self._parents = {one.id for one in parents}

    def open(self, parent: Ticket, one: Event) -> int:
        """Tickets of the services behind a parent's resource; how many are new. One that is open already becomes its child."""
        if parent.id not in self._parents or parent.resource_id is None or parent.kind != "outage":
            return 0
        desk = self._desk
        services = plant.behind(desk, parent.resource_id)[:MOST]
        planned = window.planned(desk, [service.id for service in services], [], one.at, one.at + timedelta(microseconds=1))
        asks = [Ask("outage", parent.severity, one.summary, service, service.customer_id, None, service.class_, service.region,
                    cause.key_of("outage", service.id, None), one.kind, one.alert_id,
                    {"event": one.event_id, "source": one.source, "resource": parent.resource_id}, one.began or one.at, parent.id, False, "alarm")
                for service in services if not planned.get(service.id)]
        held = live(desk, [str(ask.dedup_key) for ask in asks])
        made, lost = open_all(desk, [ask for ask in asks if ask.dedup_key not in held])
        for row in (*held.values(), *lost):
            if row.parent_id is None:
                row.parent_id = parent.id
                noted(desk, row, "link", said(desk, "cause", id=parent.id), {"parent": parent.id})
            if row.state == "resolved":
                again(desk, row, one.at, said(desk, "raised_cause", what=one.summary), {"event": one.event_id}, parent.severity)
        if made:
            noted(desk, parent, "link", said(desk, "behind", count=len(made)), {"children": len(made)})
        return len(made)

    def clear(self, parent: Ticket, at: datetime, event_id: str) -> None:
        """The resource is back: so are those behind it that nobody has worked on, and of which nobody else says otherwise."""
        if parent.id not in self._parents or parent.kind != "outage" or parent.cleared is None:
            return
        desk = self._desk
        own = select(Alarm.ticket_id).where(Alarm.state != "cleared", Alarm.ticket_id.is_not(None))
        query = select(Ticket).where(Ticket.parent_id == parent.id, Ticket.state.in_(states.OPEN), Ticket.id.not_in(own)).order_by(Ticket.dedup_key)
        for row in desk.session.execute(query.with_for_update()).scalars().all():
            row.cleared = at
            to = states.cleared(row.state, row.responded is not None, row.flapping)
            if to == row.state:
                noted(desk, row, "clear", said(desk, "back"), {"event": event_id})
                continue
            row.restored, row.restoration = at, {"how": "cleared", "event": event_id, "parent": parent.id}
            row.version += 1
            step(desk, row, to, said(desk, "back_by", id=parent.id))
