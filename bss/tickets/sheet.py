"""Alarms and link states in a file (CSV, XLSX): of an NMS that can do no more, or of times that became known later.

A row with `until` is a whole time in which a link was down or up; others are events. The same file taken again does nothing: a row without an id of its event
has the digest of its cells. The file is looked at whole before anything of it is taken.
"""
from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import or_

from bss.database import lots
from bss.desk import Desk
from bss.moment import iso
from bss.moment import read as read_time
from bss.office import Office
from bss.people.scope import SYSTEM, Actor
from bss.refusal import Refusal
from bss.running.kind import Column, Line
from bss.running.reading import Sheet, read
from bss.tables import Resource, Service
from bss.tickets import cause, linkstate
from bss.tickets.alarm import Event, checked
from bss.tickets.linkstate import AHEAD, Say
from bss.tickets.sweeping import intake

COLUMNS = (
    Column("time", "时间", True, "when it was so"),
    Column("state", "状态", True, "raised or down, cleared or up"),
    Column("kind", "告警类型", False, "such as link_down, onu_offline, loss; link_down where it is left out"),
    Column("service", "电路编号", False, "circuit number of the service, or its id"),
    Column("resource", "资源", False, "id of the resource, or kind/name"),
    Column("until", "结束时间", False, "to when, where it is over"),
    Column("severity", "级别", False, "critical, major, minor or warning; major where it is left out"),
    Column("event_id", "事件编号", False, "id of the event at its source"),
    Column("key", "告警编号", False, "what the alarm is called at its source"),
    Column("summary", "摘要", False, "what happened, in words"),
)
STATES = {"raised": "raised", "down": "raised", "cleared": "cleared", "up": "cleared"}


class Read(NamedTuple):
    """What a file says: events, and whole times of links."""
    events: list[Event]
    says: list[Say]


def understood(desk: Desk, sheet: Sheet) -> Read:
    """A file's rows. Refusal: the first row that is wrong, with its line."""
    desk.demand("alarm.write")
    services, resources = _known(desk, sheet.lines)
    found = Read([], [])
    for line in sheet.lines:
        where = f"{sheet.name}: line {line.number}"
        try:
            _understood(desk, line, services, resources, found)
        except Refusal as refusal:
            raise Refusal(refusal.kind, refusal.what, f"{where}: {refusal.where}" if refusal.where else where, refusal.mend) from None
    return found


def bring(office: Office, sheet: Sheet, actor: Actor = SYSTEM) -> dict[str, int]:
    """Take a file: how many events were new, known, and what they did; link_states: times that are new."""
    told = office.look(actor, lambda desk: understood(desk, sheet))
    times = 0
    for lot in lots(told.says):
        times += office.act(actor, lambda desk, lot=lot: _times(desk, sheet, lot))         # type: ignore[misc]
    return {**intake(office, told.events, actor)._asdict(), "link_states": times}


def later(office: Office, argument: Mapping[str, Any]) -> dict[str, int]:
    """Job: take the file that `file` of the argument names."""
    return bring(office, read(str(argument["file"]), COLUMNS))


def _times(desk: Desk, sheet: Sheet, says: Sequence[Say]) -> int:
    made = linkstate.tell_all(desk, says)
    if made:
        desk.record("linkState.bring", ("link_state", sheet.digest[:16]), after={"file": sheet.name, "new": made, "rows": len(says)})
    return made


def _understood(desk: Desk, line: Line, services: Mapping[str, Service], resources: Mapping[str, Resource], into: Read) -> None:
    cells, zone = line.cells, desk.office.settings.zone
    at = read_time(cells.get("time", ""), zone, "time")
    state = STATES.get(cells.get("state", "").lower(), "")
    kind = cause.kind_of(cells.get("kind") or "link_down")
    service, resource = services.get(cells.get("service", "")), resources.get(cells.get("resource", ""))
    if not state or not kind:
        raise Refusal("invalid", f"{cells.get('state')!r} is no state" if not state else f"{cells.get('kind')!r} is no kind", "state" if not state else "kind",
                      f"write {', '.join(STATES)}")
    if service is None and resource is None:
        raise Refusal("missing", "the service or resource is not known", "service", "write its circuit number, or kind/name of the resource")
    if cells.get("until"):
        until = read_time(cells["until"], zone, "until")
        if until <= at or until > desk.now + AHEAD:
            raise Refusal("invalid", "it ends before it begins, or has not been yet", "until")
        about: Service | Resource = service if service is not None else resource       # type: ignore[assignment]
        into.says.append(Say("csv", about, "down" if state == "raised" else "up", at,
                             {"kind": kind, **({"note": cells["summary"][:200]} if cells.get("summary") else {})}, until))
        return
    named = service.id if service is not None else resource.id if resource is not None else ""
    digest = hashlib.sha256("\0".join(f"{name}={cells[name]}" for name in sorted(cells)).encode()).hexdigest()
    one = Event("csv", cells.get("event_id") or digest, cells.get("key") or f"{named}/{kind}", state, kind, (cells.get("severity") or "major").lower(), at,
                cells.get("summary") or f"{kind} {state} at {iso(at, zone)}", service=service.id if service else "", resource=resource.id if resource else "",
                evidence={"row": digest[:16]})
    checked(desk, one)
    into.events.append(one)


def _known(desk: Desk, lines: Sequence[Line]) -> tuple[dict[str, Service], dict[str, Resource]]:
    """The services and resources that a file names, of those that the actor may see."""
    services: dict[str, Service] = {}
    for lot in lots(sorted({line.cells.get("service", "") for line in lines} - {""})):
        query: Any = desk.select(Service).where(or_(Service.circuit.in_(lot), Service.id.in_(lot)))
        for service in desk.session.execute(query).scalars():
            services |= {service.circuit: service, service.id: service}
    resources: dict[str, Resource] = {}
    for lot in lots(sorted({line.cells.get("resource", "") for line in lines} - {""})):
        names = [one.partition("/")[2] for one in lot if "/" in one]
        query = desk.select(Resource).where(or_(Resource.id.in_(lot), Resource.name.in_(names)))
        for resource in desk.session.execute(query).scalars():
            resources |= {resource.id: resource, f"{resource.kind}/{resource.name}": resource}
    return services, resources
