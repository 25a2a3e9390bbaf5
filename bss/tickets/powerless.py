"""A customer's device that says with its last breath that it has no power: that is no fault of ours, so there is no ticket. A window is proposed of the time
until it is back; it counts once a person has approved it."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import select

from bss.desk import Desk
from bss.moment import iso
from bss.tables import Service, Window, WindowSubject

if TYPE_CHECKING:
    from bss.tickets.alarm import Event


def follow(desk: Desk, told: Sequence[tuple[Event, Service | None]]) -> None:
    """Propose and end such windows, by events in the order of their times."""
    for one, service in told:
        if service is None:
            continue
        query = select(Window).join(WindowSubject, WindowSubject.window_id == Window.id).where(
            WindowSubject.subject == service.id, Window.kind == "customer", Window.until.is_(None), Window.state.in_(("planned", "approved")))
        held = desk.session.execute(query.with_for_update(of=Window)).scalars().all()
        if one.state != "cleared" and not held:
            row = desk.add(Window(kind="customer", region=service.region, since=one.at, until=None, made=desk.now, made_by=desk.actor.id or None,
                                  reason="its device said that it lost its power", evidence={"event": one.event_id, "source": one.source, "kind": one.kind}))
            desk.session.add(WindowSubject(window_id=row.id, subject=service.id, service_id=service.id))
            desk.record("window.propose", row, after={"kind": "customer", "since": iso(one.at), "service": service.id})
            desk.emit("window.create", row.id, {"id": row.id, "kind": "customer", "since": iso(one.at)})
        elif one.state == "cleared":
            for row in held:
                if one.at > row.since:
                    row.until = one.at
                    row.version += 1
                    desk.record("window.end", row, {"until": None}, {"until": iso(one.at)})
