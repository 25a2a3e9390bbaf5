"""Tickets: what they were opened for. The probe's alert leads to its detections and flows; what was measured of the service leads to its minutes and theirs."""
from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from bss.desk import Desk
from bss.tables import Service, Ticket
from bss.tracing.step import Figure, Rows, Said, Step, Way, plain

BEFORE = timedelta(minutes=15)          # of a fault's begin that is shown with it
LONGEST = timedelta(days=1)             # of minutes that are shown at once
MOST = 1000                             # children that are shown


def ticket(desk: Desk, asked: str) -> Step | None:
    """A ticket by its id."""
    row: Any = desk.session.execute(desk.select(Ticket).where(Ticket.id == asked)).scalar_one_or_none()
    if row is None:
        return None
    desk.demand("ticket.read")
    inside = not desk.actor.outside         # what people here wrote of it is not for its customer
    figures = [Figure("kind", row.kind), Figure("severity", row.severity), Figure("state", row.state), Figure("begin", row.began),
               *([Figure("claimed", row.claimed)] if inside else []), Figure("restored", row.restored)]
    lines: list[tuple[Figure, ...]] = []
    said: list[Said] = []
    if row.alert_id and inside:
        figures.append(Figure("alert", row.alert_id, Way("alert", row.alert_id)))
    if row.parent_id and desk.session.execute(desk.select(Ticket).where(Ticket.id == row.parent_id)).scalar_one_or_none() is not None:
        figures.append(Figure("parent", row.parent_id, Way("thing", row.parent_id)))
    way = None
    if row.service_id:
        end = min((row.restored or desk.now) + BEFORE, desk.now, row.began + LONGEST)
        way = Way("minutes", row.service_id, row.began - BEFORE, max(end, row.began))
        figures.append(Figure("service", desk.session.get_one(Service, row.service_id).circuit, way))
    if inside:
        lines += _told("evidence", row.evidence, way) + _told("restoration", row.restoration, _of(row.restoration, row.service_id) or way)
    children = _children(desk, row)
    gap = row.restoration.get("gap_seconds")
    if gap is not None and inside:
        said.append(Said("claimed_early" if gap < 0 else "claimed_late", {"seconds": abs(int(gap))}, None if gap >= 0 else False))
    return Step("ticket", row.id, row.id, figures, [Rows("evidence", ("told", "field", "value"), lines), *([children] if children.lines else [])], said)


def _children(desk: Desk, row: Ticket) -> Rows:
    """The tickets that it is the cause of, each with the minutes of its service."""
    lines: list[tuple[Figure, ...]] = []
    query: Any = desk.select(Ticket).where(Ticket.parent_id == row.id).order_by(Ticket.began, Ticket.id).limit(MOST)
    for one in desk.session.execute(query).scalars():
        way = None
        if one.service_id:
            way = Way("minutes", one.service_id, one.began - BEFORE, min((one.restored or desk.now) + BEFORE, desk.now, one.began + LONGEST))
        lines.append((Figure("ticket", one.id, Way("thing", one.id)), Figure("state", one.state), Figure("begin", one.began, way),
                      Figure("restored", one.restored)))
    return Rows("children", ("ticket", "state", "begin", "restored"), lines)


def _told(name: str, values: Mapping[str, Any], way: Way | None) -> list[tuple[Figure, ...]]:
    return [(Figure("told", name), Figure("field", key), Figure("value", plain(value), way))
            for key, value in values.items()]


def _of(evidence: Mapping[str, Any], service_id: str | None) -> Way | None:
    """The minutes that something was measured in: of a ticket's service, or of that of its children which was back last."""
    try:
        service_id = str(evidence.get("service") or service_id or "")
        if not service_id:
            return None
        return Way("minutes", service_id, datetime.fromisoformat(evidence["from"]), datetime.fromisoformat(evidence["to"]))
    except (KeyError, TypeError, ValueError):
        return None
