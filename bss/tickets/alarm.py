"""Alarms come in, from whoever tells them, and become tickets of those whom they affect.

An event is taken once by the id that its source gave it: it goes into the inbox with all that it does, in one transaction, and whoever tells it again, at
the same moment too, finds it there. Many are taken at once, in lots. A raise opens the ticket of its key, or notes itself on it; a clear resolves it where
nobody has worked on it, no other alarm of it stands and it does not flap, else it notes itself. What lies in a planned window, is of a service that is not
active, or is a mere warning stays an alarm.
"""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Select, or_, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from bss import identifier
from bss.database import lots
from bss.desk import Desk
from bss.moment import iso
from bss.refusal import Refusal
from bss.tables import Alarm, AlarmEvent, Customer, Resource, Service, Ticket
from bss.tickets import cause, linkstate, powerless, states, window
from bss.tickets.fan import Fan
from bss.tickets.linkstate import Say
from bss.tickets.ticket import Ask, again, graver, live, noted, open_all, said
from bss.tickets.transition import step

SOURCES = ("probe", "tmf642", "csv", "snmp", "ping")
TOLD = ("tmf642", "csv")                # of these, whose alarms others may clear
STATES = ("raised", "updated", "cleared")
LOT = 500               # events of one transaction
AHEAD = timedelta(minutes=5)


class Event(NamedTuple):
    """What a source says. event_id: the same however often it is told; key: what its alarm is called there; severity: of cause.SEVERITIES; service, resource:
    ids, a service's circuit too; customer: who is affected where no service is named; planned: the source itself says that it is planned work; began: when the
    fault did, where that is not `at`."""
    source: str
    event_id: str
    key: str
    state: str
    kind: str
    severity: str
    at: datetime
    summary: str
    service: str = ""
    resource: str = ""
    customer: str = ""
    alert_id: str = ""
    target: str = ""
    evidence: Mapping[str, Any] = {}
    planned: bool = False
    began: datetime | None = None


class Taken(NamedTuple):
    """How many events were new, were known already; tickets opened, raised again, cleared; alarms that stayed alarms."""
    new: int = 0
    known: int = 0
    opened: int = 0
    raised: int = 0
    cleared: int = 0
    suppressed: int = 0

    def plus(self, other: Taken) -> Taken:
        """Both."""
        return Taken(*(one + another for one, another in zip(self, other, strict=True)))


class _Subject(NamedTuple):
    service: Service | None
    resource: Resource | None
    customer: Customer | None


def take(desk: Desk, events: Sequence[Event]) -> Taken:
    """Take a lot of events. Refusal: one is of no source, state or severity, or has not been yet."""
    desk.demand("alarm.write")
    for one in events:
        checked(desk, one)
    fresh = _new(desk, events)
    if not fresh:
        return Taken(known=len(events))
    subjects = _subjects(desk, fresh)
    linkstate.tell_all(desk, _says(fresh, subjects))
    rows = _alarms(desk, fresh, subjects)
    stood = {row.id: row.ticket_id for row in rows.values() if row.count and row.state != "cleared"}
    powerless.follow(desk, [(one, subjects[one.event_id].service) for one in fresh if one.kind in cause.POWER])
    current, suppressed = _current(desk, fresh, subjects, rows)
    opened, raised, cleared = _tickets(desk, current, subjects, rows, stood)
    desk.session.flush()
    counts = {"new": len(fresh), "opened": opened, "raised": raised, "cleared": cleared, "suppressed": suppressed}
    desk.record("alarm.take", ("alarm", fresh[0].source), after={**counts, "first": fresh[0].event_id, "last": fresh[-1].event_id})
    return Taken(len(fresh), len(events) - len(fresh), opened, raised, cleared, suppressed)


def say(desk: Desk, row: Alarm, state: str, severity: str | None, at: datetime) -> Taken:
    """Say something later of an alarm that was told by a system without a session of its own (TMF642, CSV): that it is over, or how grave it is. Said again
    it does nothing. Refusal: its source tells of it by itself, or something later is known."""
    if row.source not in TOLD:
        raise Refusal("conflict", f"what {row.source} raised is cleared by {row.source}", f"alarm {row.id}", "resolve or cancel its ticket instead")
    if row.state == state == "cleared":
        return Taken(known=1)
    if at < row.changed:
        raise Refusal("conflict", f"what is known of it is of {iso(row.changed)}, which is later", f"alarm {row.id}", "leave the time out")
    return take(desk, [Event(row.source, f"{row.id}/{state}/{severity or ''}/{iso(at)}", row.key, state, row.kind, severity or row.severity, at,
                             row.summary, service=row.service_id or "", resource=row.resource_id or "", customer=row.customer_id or "",
                             evidence={**row.evidence, "said_by": desk.actor.login})])


def checked(desk: Desk, one: Event) -> None:
    """Refusal: an event that is none."""
    for where, value, words in (("source", one.source, SOURCES), ("state", one.state, STATES), ("perceivedSeverity", one.severity, tuple(cause.SEVERITIES))):
        if value not in words:
            raise Refusal("invalid", f"{value!r} is no {where} of an alarm", where, f"write {', '.join(words)}")
    if not one.kind or not one.event_id or not one.key or len(one.event_id) > 160 or len(one.key) > 128:
        raise Refusal("invalid", "an alarm has a kind, an id of its event (160 letters) and one of its own (128)", "id")
    if one.at > desk.now + AHEAD:
        raise Refusal("invalid", f"{iso(one.at)} has not been yet", "eventTime", "look at the clock of who tells it")


def _new(desk: Desk, events: Sequence[Event]) -> list[Event]:
    """Those that were not taken before, by time. Who tells the same waits here for who came first."""
    unique = {(one.source, one.event_id): one for one in reversed(events)}
    insert: Any = (sqlite.insert if desk.office.database.lite else postgresql.insert)(AlarmEvent)
    mine: set[tuple[str, str]] = set()
    for lot in lots(sorted(unique)):
        made = desk.session.execute(insert.on_conflict_do_nothing().returning(AlarmEvent.source, AlarmEvent.event_id),
                                    [{"source": source, "event_id": key, "taken": desk.now} for source, key in lot])
        mine |= {(str(source), str(key)) for source, key in made}
    return sorted((unique[key] for key in mine), key=lambda one: (one.at, STATES.index(one.state), one.event_id))


def _subjects(desk: Desk, events: Sequence[Event]) -> dict[str, _Subject]:
    """What each event is about, of what the actor may see: an event of nothing that is known here stays an alarm."""
    def known(table: Any, wanted: set[str], *columns: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for lot in lots(sorted(wanted - {""})):
            for row in desk.session.execute(desk.select(table).where(or_(*(column.in_(lot) for column in columns)))).unique().scalars():
                found |= {getattr(row, column.key): row for column in columns}
        return found
    services = known(Service, {one.service for one in events}, Service.id, Service.circuit)
    resources = known(Resource, {one.resource for one in events}, Resource.id)
    customers = known(Customer, {one.customer for one in events if one.service not in services}, Customer.id)
    links = _links(desk, events)
    return {one.event_id: _Subject(services.get(one.service), resources.get(one.resource) or links.get(_link(one)), customers.get(one.customer))
            for one in events}


def _link(one: Event) -> tuple[str, str]:
    """Where the probe measures what an alert of a whole link is about."""
    link = str(one.evidence.get("interface") or "") if not one.service and not one.resource else ""
    return (str(one.evidence.get("probe") or ""), link) if link else ("", "")


def _links(desk: Desk, events: Sequence[Event]) -> dict[tuple[str, str], Resource]:
    wanted = {link for one in events if (link := _link(one))[1]}
    found: dict[tuple[str, str], Resource] = {}
    for lot in lots(sorted(wanted)):
        rows: Any = desk.session.execute(desk.select(Resource).where(tuple_(Resource.probe, Resource.interface).in_(lot)).order_by(Resource.id.desc()))
        found |= {(row.probe, row.interface): row for row in rows.scalars()}
    return found


def _says(events: Sequence[Event], subjects: Mapping[str, _Subject]) -> list[Say]:
    """What events say of links."""
    found = []
    for one in events:
        about: Service | Resource | None = subjects[one.event_id].service or subjects[one.event_id].resource
        if about is not None and one.source in linkstate.SOURCES and one.kind in cause.LINK | cause.POWER:
            found.append(Say(one.source, about, "up" if one.state == "cleared" else "down", one.at, {"event": one.event_id, "kind": one.kind}))
    return found


def _alarms(desk: Desk, events: Sequence[Event], subjects: Mapping[str, _Subject]) -> dict[tuple[str, str], Alarm]:
    """The rows of their alarms, locked; those that are new are made."""
    first: dict[tuple[str, str], Event] = {}
    for one in events:
        first.setdefault((one.source, one.key), one)
    rows: list[dict[str, Any]] = []
    for key in sorted(first):
        one = first[key]
        service, resource, customer = subjects[one.event_id]
        rows.append({"id": identifier.fresh(Alarm.LETTER), "source": one.source, "key": one.key, "kind": one.kind, "severity": cause.SEVERITIES[one.severity],
                     "state": one.state, "service_id": service.id if service else None, "resource_id": resource.id if resource else None,
                     "customer_id": service.customer_id if service else customer.id if customer else None,
                     "region": service.region if service else resource.region if resource else customer.region if customer else "",
                     "subject": (one.service or one.resource or one.customer or one.target)[:255], "summary": one.summary[:4000], "raised": one.began or one.at,
                     "changed": datetime.fromtimestamp(0, one.at.tzinfo), "count": 0, "suppressed": "", "evidence": {}})
    insert: Any = (sqlite.insert if desk.office.database.lite else postgresql.insert)(Alarm)
    for lot in lots(rows, 200):
        desk.session.execute(insert.on_conflict_do_nothing(), lot)
    desk.unmerged({str(one["customer_id"]) for one in rows if one["customer_id"]})
    found: dict[tuple[str, str], Alarm] = {}
    for part in lots(sorted(first)):
        query = select(Alarm).where(tuple_(Alarm.source, Alarm.key).in_(part)).order_by(Alarm.source, Alarm.key).with_for_update()
        found |= {(row.source, row.key): row for row in desk.session.execute(query.execution_options(populate_existing=True)).scalars()}
    return found


def _current(desk: Desk, events: Sequence[Event], subjects: Mapping[str, _Subject], rows: Mapping[tuple[str, str], Alarm]) -> tuple[list[Event], int]:
    """Bring alarms up to date; the events that tickets follow from: those that say something later than what is known, and are not suppressed."""
    held = [subjects[one.event_id] for one in events]
    windows = window.planned(desk, {one.service.id for one in held if one.service}, {one.resource.id for one in held if one.resource},
                             events[0].at, events[-1].at + timedelta(microseconds=1))
    found: list[Event] = []
    suppressed = 0
    for one in events:
        row, (service, resource, customer) = rows[one.source, one.key], subjects[one.event_id]
        row.count += 1
        if one.at < row.changed:
            continue
        began = row.state == "cleared" and one.state != "cleared" or row.count == 1
        row.state, row.changed, row.severity, row.kind = one.state, one.at, cause.SEVERITIES[one.severity], one.kind
        row.evidence = {**one.evidence, "event": one.event_id, **({"alert_id": one.alert_id} if one.alert_id else {})}
        row.cleared = one.at if one.state == "cleared" else None
        row.raised = (one.began or one.at) if began else row.raised
        within = next((key for about in (service, resource) if about is not None for begin, end, key in windows.get(about.id, ()) if begin <= one.at < end), "")
        why = within or ("planned" if one.planned else "") or ("warning" if row.severity == "warning" else "") or (
            "power" if one.kind in cause.POWER else "") or ("inactive" if service is not None and service.state != "active" else "") or (
            "unknown" if service is None and resource is None and customer is None else "")
        if why and one.state != "cleared":
            suppressed += not row.suppressed or began
            row.suppressed = why
        else:
            row.suppressed = "" if one.state != "cleared" else row.suppressed
            found.append(one)
        desk.emit("alarm.change", row.id, {"id": row.id, "state": one.state, "kind": one.kind, "severity": row.severity, "service": row.service_id,
                                           "resource": row.resource_id, "suppressed": row.suppressed})
    return found, suppressed


def _tickets(desk: Desk, events: Sequence[Event], subjects: Mapping[str, _Subject], rows: Mapping[tuple[str, str], Alarm],
             stood: Mapping[str, str | None]) -> tuple[int, int, int]:
    """What these do to tickets: how many were opened, raised again, cleared. stood: alarms of these events that stood before, and of which ticket."""
    keys: dict[str, str] = {}
    for one in events:
        service, resource, customer = subjects[one.event_id]
        if service is not None or resource is not None or customer is not None:
            keys[one.event_id] = cause.key_of(one.kind, service.id if service else customer.id if customer and resource is None else None,
                                              resource.id if resource else None)
    held = live(desk, list(keys.values()))
    asks: dict[str, Ask] = {}
    first: dict[str, str] = {}
    for one in events:
        key = keys.get(one.event_id, "")
        if key and key not in held and one.state != "cleared" and key not in asks:
            asks[key] = _ask(one, subjects[one.event_id], key)
            first[key] = one.event_id
    made, lost = open_all(desk, list(asks.values()))
    for other in lost:          # somebody else has opened it at this moment
        first.pop(str(other.dedup_key), None)
    held |= {str(new.dedup_key): new for new in (*made, *lost)}
    standing = _standing(desk, [one.id for one in held.values()], {row.id for row in rows.values()})
    for alarm_id, ticket_id in stood.items():
        standing[str(ticket_id)].add(alarm_id)
    fan = Fan(desk, [one for one in held.values() if one.root_cause])
    raised = cleared = 0
    for one in events:
        row, alarm = held.get(keys.get(one.event_id, "")), rows[one.source, one.key]
        if row is None:
            continue
        if one.state == "cleared":
            standing[row.id].discard(alarm.id)
            cleared += _clear(desk, row, one, not standing[row.id])
            fan.clear(row, one.at, one.event_id)
            continue
        began = alarm.id not in standing[row.id]
        standing[row.id].add(alarm.id)
        alarm.ticket_id = row.id
        if first.get(str(row.dedup_key)) == one.event_id:
            row.proposal = cause.proposal_of(one.kind, one.target)
            fan.open(row, one)
        elif began or row.state == "resolved":
            again(desk, row, one.at, said(desk, "raised", what=one.summary), {"event": one.event_id, **one.evidence}, cause.SEVERITIES[one.severity])
            raised += 1
            fan.open(row, one)
        else:
            graver(row, cause.SEVERITIES[one.severity])
            row.updated = desk.now
    return len(made), raised, cleared


def _ask(one: Event, about: _Subject, key: str) -> Ask:
    service, resource, customer = about
    root = service is None and resource is not None and one.kind in cause.OUTAGE
    return Ask(cause.ticket_kind(one.kind), cause.SEVERITIES[one.severity], one.summary, service,
               service.customer_id if service else customer.id if customer else None, resource,
               service.class_ if service else customer.class_ if customer else "",
               service.region if service else resource.region if resource else customer.region if customer else "", key, one.kind, one.alert_id,
               {"alarm": one.key, "event": one.event_id, "source": one.source, **one.evidence}, one.began or one.at, None, root, "alarm")


def _standing(desk: Desk, ticket_ids: Sequence[str], these: Collection[str]) -> dict[str, set[str]]:
    """The alarms of tickets that stand, but for these."""
    found: dict[str, set[str]] = defaultdict(set)
    for lot in lots(ticket_ids):
        for ticket, key in desk.session.execute(select(Alarm.ticket_id, Alarm.id).where(Alarm.ticket_id.in_(lot), Alarm.state != "cleared")):
            if key not in these:
                found[str(ticket)].add(key)
    return found


def _clear(desk: Desk, row: Ticket, one: Event, last: bool) -> bool:
    """A clear of a ticket's alarm; whether it resolves the ticket. last: no other alarm of it stands."""
    row.updated = desk.now
    if not last:
        noted(desk, row, "clear", said(desk, "cleared_one", what=one.summary), {"event": one.event_id})
        return False
    row.cleared = one.at
    to = states.cleared(row.state, row.responded is not None, row.flapping)
    if to == row.state:
        noted(desk, row, "clear", said(desk, "cleared", what=one.summary), {"event": one.event_id, **one.evidence})
        return False
    row.restored, row.restoration = one.at, {"how": "cleared", "event": one.event_id, "source": one.source}
    row.version += 1
    step(desk, row, to, said(desk, "cleared_alone"))
    return True


def listed(desk: Desk, *, state: str = "", severity: str = "", kind: str = "", service: str = "", resource: str = "", source: str = "",
           ticket: str = "") -> Select[tuple[Alarm]]:
    """A query of alarms, those that changed last first."""
    desk.demand("ticket.read")
    query = desk.select(Alarm)
    for column, wanted in ((Alarm.state, state), (Alarm.severity, severity), (Alarm.kind, kind), (Alarm.service_id, service), (Alarm.resource_id, resource),
                           (Alarm.source, source), (Alarm.ticket_id, ticket)):
        if wanted:
            query = query.where(column == wanted)
    return query.order_by(Alarm.changed.desc(), Alarm.id.desc())
