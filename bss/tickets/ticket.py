"""Tickets: opened by people and by other parts, once of a key; noted on, given to somebody, listed.

Of a key (`states.dedup_key`) there is one ticket that is not over, and the database sees to it: who opens it a second time, at the same moment elsewhere too,
gets the first one, with a note. What happens again within 30 days after it was closed is a ticket of its own that says which one it repeats.
"""
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, select
from sqlalchemy import text as sql
from sqlalchemy.dialects import postgresql, sqlite

from bss import identifier
from bss.database import lots
from bss.desk import Desk
from bss.language import words
from bss.refusal import Refusal
from bss.tables import Customer, Resource, Service, Ticket, TicketNote, Transition, User
from bss.tables.party import CHANNELS
from bss.tables.ticket import LIVE
from bss.tickets import states
from bss.tickets.promise import Promises, renew

LONGEST = 4000          # letters of a summary or a note
NOTES = ("note", "raise", "clear", "claim", "link", "proposal", "check", "told")


class Ask(NamedTuple):
    """A ticket to be opened. service, resource: rows that were found; began: when the fault did, now where None."""
    kind: str
    severity: str
    summary: str
    service: Service | None = None
    customer_id: str | None = None
    resource: Resource | None = None
    class_: str = ""
    region: str = ""
    dedup_key: str | None = None
    alarm_kind: str = ""
    alert_id: str = ""
    evidence: Mapping[str, Any] = {}
    began: datetime | None = None
    parent_id: str | None = None
    root_cause: bool = False
    channel: str = "system"


def open_(desk: Desk, *, kind: str, service_id: str | None = None, customer_id: str | None = None, resource_id: str | None = None, severity: str, summary: str,
          dedup_key: str | None = None, evidence: Mapping[str, Any] | None = None, parent_id: str | None = None, channel: str = "system",
          began: datetime | None = None, alert_id: str = "") -> Ticket:
    """Open a ticket; where one of this key is not over, that one, with a note. kind: of states.KINDS or another word; severity: critical, major, minor; began:
    when the fault did."""
    desk.demand("ticket.write")
    if not re.fullmatch(r"[a-z][a-z_]{0,23}", kind):
        raise Refusal("invalid", f"{kind!r} is no kind of ticket", "ticketType", f"kinds are {', '.join(states.KINDS)}")
    if severity not in states.SEVERITIES:
        raise Refusal("invalid", f"{severity!r} is no severity", "severity", f"severities are {', '.join(states.SEVERITIES)}")
    if channel not in ("alarm", "system", *CHANNELS):
        raise Refusal("invalid", f"{channel!r} is no channel", "channel", f"channels are {', '.join(CHANNELS)}")
    written(summary, "name")
    if began is not None and began > desk.now:
        raise Refusal("invalid", "a fault has not begun yet", "began", "leave it out")
    service = desk.find(Service, service_id) if service_id else None
    resource = desk.find(Resource, resource_id) if resource_id else None
    if parent_id is not None:
        desk.find(Ticket, parent_id)
    if customer_id is not None:
        customer: Customer | None = desk.find(Customer, customer_id)
        if service is not None and service.customer_id != customer_id:
            raise Refusal("conflict", f"service {service.circuit} is another customer's", "service", "name the customer's own service, or him alone")
    else:
        customer = desk.session.get(Customer, service.customer_id) if service else None
    if service is None and customer is None and resource is None:
        raise Refusal("invalid", "a ticket is about a service, a customer or a resource", "relatedEntity", "name one of them")
    ask = Ask(kind, severity, summary, service, customer.id if customer else None, resource,
              service.class_ if service else customer.class_ if customer else "", service.region if service else resource.region if resource else
              customer.region if customer else "", dedup_key, "", alert_id, evidence or {}, began, parent_id, False, channel)
    made, known = open_all(desk, [ask])
    if made:
        return made[0]
    row = known[0]
    again(desk, row, desk.now, said(desk, "asked", what=summary), evidence or {})
    return row


def open_all(desk: Desk, asks: Sequence[Ask]) -> tuple[list[Ticket], list[Ticket]]:
    """Open tickets, all at once: those that are new, and those of the same keys that are not over and stay as they are. May is not looked at here."""
    unique: dict[str, Ask] = {}
    for k, ask in enumerate(asks):
        unique.setdefault(ask.dedup_key or f"\0{k:06}", ask)
    wanted = [unique[key] for key in sorted(unique)]            # in one order, so that two who open several don't wait for each other
    promises, before, rows = Promises(desk), _before(desk, wanted), []
    for one in wanted:
        response, restore = promises.dues(promises.of(one.service, one.class_), desk.now)
        rows.append({
            "id": identifier.fresh(Ticket.LETTER), "kind": one.kind, "severity": one.severity, "priority": states.priority(one.class_, one.severity),
            "state": "acknowledged", "reason": "", "customer_id": one.customer_id, "service_id": one.service.id if one.service else None,
            "resource_id": one.resource.id if one.resource else None, "class_": one.class_, "region": one.region, "summary": one.summary[:LONGEST],
            "channel": one.channel, "dedup_key": one.dedup_key, "alarm_kind": one.alarm_kind, "alert_id": one.alert_id, "evidence": dict(one.evidence),
            "root_cause": one.root_cause, "parent_id": one.parent_id, "repeat_of_id": before.get(_same(one)), "count": 1,
            "raises": [(one.began or desk.now).isoformat()], "flapping": False, "opened_by": desk.actor.id or None, "began": one.began or desk.now,
            "created": desk.now, "updated": desk.now, "response_due": response, "restore_due": restore, "pauses": [], "reminded": 0, "restoration": {},
            "proposal": {}, "version": 1})
    made_ids: set[str] = set()
    insert: Any = (sqlite.insert if desk.office.database.lite else postgresql.insert)(Ticket)
    for lot in lots(rows, 200):
        made_ids |= set(desk.session.execute(insert.on_conflict_do_nothing(index_elements=["dedup_key"], index_where=sql(LIVE)).returning(Ticket.id),
                                             lot).scalars())
    lost = [str(one["dedup_key"]) for one in rows if one["id"] not in made_ids]
    found: dict[str, Ticket] = {}
    for part in lots(made_ids):
        found |= {one.id: one for one in desk.session.execute(select(Ticket).where(Ticket.id.in_(part))).scalars()}
    made = [found[str(one["id"])] for one in rows if one["id"] in made_ids]
    for row in made:
        desk.session.add(Transition(id=identifier.fresh(Transition.LETTER), entity="ticket", entity_id=row.id, from_state="", to_state=row.state,
                                    time=desk.now, user_id=desk.actor.id or None, reason=""))
        told = {"kind": row.kind, "severity": row.severity, "priority": row.priority, "service": row.service_id, "customer": row.customer_id,
                "resource": row.resource_id, "parent": row.parent_id}
        desk.record("ticket.open", row, after=told)
        desk.emit("troubleTicket.create", row.id, {"id": row.id, **told})
    desk.session.flush()
    desk.unmerged({row.customer_id for row in made if row.customer_id})
    return made, list(live(desk, lost).values())


def live(desk: Desk, keys: Sequence[str]) -> dict[str, Ticket]:
    """The tickets of these keys that are not over, locked."""
    found: dict[str, Ticket] = {}
    for lot in lots(sorted(set(keys))):
        query = select(Ticket).where(Ticket.dedup_key.in_(lot), Ticket.state.not_in(states.TERMINAL)).order_by(Ticket.dedup_key).with_for_update()
        found |= {str(one.dedup_key): one for one in desk.session.execute(query.execution_options(populate_existing=True)).scalars()}
    return found


def again(desk: Desk, row: Ticket, at: datetime, what: str, evidence: Mapping[str, Any], severity: str = "") -> None:
    """A ticket is raised once more: a note; where it was resolved it is worked on again; raised too often in an hour it flaps."""
    from bss.tickets.transition import step

    recent = [one for one in (*row.raises, at.isoformat()) if datetime.fromisoformat(one) > at - states.FLAPPING][-2 * states.FLAPS:]
    row.raises, row.count, row.updated, row.cleared = recent, row.count + 1, max(row.updated, desk.now), None
    row.version += 1
    if len(recent) > states.FLAPS and not row.flapping:
        row.flapping = True
        noted(desk, row, "raise", said(desk, "flaps", count=len(recent)))
    graver(row, severity)
    noted(desk, row, "raise", what, evidence)
    if row.state == "resolved":
        step(desk, row, "inProgress", said(desk, "reopened"))


def graver(row: Ticket, severity: str) -> None:
    """A ticket becomes as grave as it is said to be now; never less."""
    if severity in states.SEVERITIES and states.SEVERITIES.index(severity) < states.SEVERITIES.index(row.severity):
        row.severity, row.priority = severity, states.priority(row.class_, severity)


def said(desk: Desk, key: str, **given: Any) -> str:
    """A sentence of the program on a ticket, in the operator's language."""
    return words(desk.office.settings.lang)(f"said.{key}", **given)


def noted(desk: Desk, row: Ticket, kind: str, text: str, evidence: Mapping[str, Any] | None = None, internal: bool = True) -> TicketNote:
    """A note, of a person or of the program."""
    made = TicketNote(id=identifier.fresh(TicketNote.LETTER), ticket_id=row.id, kind=kind, time=desk.now, user_id=desk.actor.id or None,
                      internal=internal and not desk.actor.outside, text=text[:LONGEST], evidence=dict(evidence or {}))
    desk.session.add(made)
    return made


def note(desk: Desk, ticket_id: str, text: str, internal: bool = False) -> TicketNote:
    """Note something. internal: its customer does not see it. The first note of who works on it is a response."""
    desk.demand("ticket.write" if not desk.may("ticket.work") else "ticket.work")
    row = desk.find(Ticket, ticket_id, lock=True)
    unfinished(desk, row, "ticket.note")
    made = noted(desk, row, "note", written(text, "note"), internal=internal)
    desk.fresh(row, None)
    touched(desk, row)
    desk.record("ticket.note", row, after={"note": made.id, "internal": made.internal})
    return made


def unfinished(desk: Desk, row: Ticket, action: str, **tried: Any) -> None:
    """Refusal, which is put on record: the ticket is over, and nothing of it is changed any more."""
    if row.state in states.TERMINAL:
        raise desk.deny(action, row, Refusal("conflict", f"a ticket that is {row.state} is over: {states.MEANING[row.state]}", f"ticket {row.id}",
                                             "open another one"), **tried)


def touched(desk: Desk, row: Ticket) -> None:
    """Something was done with a ticket; the first time that a person who works here did, its customer is answered."""
    row.updated = desk.now
    if row.responded is None and desk.actor.id and not desk.actor.outside:
        row.responded = desk.now


def assign(desk: Desk, ticket_id: str, owner_id: str, version: int | None = None) -> Ticket:
    """Give a ticket to somebody."""
    desk.demand("ticket.work")
    row = desk.find(Ticket, ticket_id, lock=True)
    unfinished(desk, row, "ticket.assign", owner=owner_id)
    user = desk.session.get(User, owner_id)
    if user is None or user.disabled or "customer" in user.roles:
        raise Refusal("missing", f"there is no user {owner_id} who could work on it", "owner")
    desk.fresh(row, version)
    before, row.owner_id = row.owner_id, user.id
    touched(desk, row)
    desk.record("ticket.assign", row, {"owner": before}, {"owner": user.id})
    desk.emit("troubleTicket.attributeValueChange", row.id, {"id": row.id, "owner": user.id})
    return row


def relate(desk: Desk, ticket_id: str, parent_id: str | None) -> Ticket:
    """Make a ticket the child of another one, whose cause it shares; None: of none any more. Refusal: it would be its own."""
    desk.demand("ticket.work")
    row = desk.find(Ticket, ticket_id, lock=True)
    unfinished(desk, row, "ticket.relate", parent=parent_id)
    if parent_id is not None:
        parent = desk.find(Ticket, parent_id, lock=True)
        if parent.state in ("rejected", "cancelled"):
            raise desk.deny("ticket.relate", row, Refusal("conflict", f"a ticket that is {parent.state} is the cause of nothing", f"ticket {parent.id}",
                                                          "name another one"), parent=parent_id)
        at: Ticket | None = parent
        while at is not None:
            if at.id == row.id:
                raise Refusal("conflict", "a ticket is not the cause of itself", f"ticket {row.id}", "name another one")
            at = desk.session.get(Ticket, at.parent_id) if at.parent_id else None
        parent.root_cause = True
    before, row.parent_id = row.parent_id, parent_id
    desk.fresh(row, None)
    touched(desk, row)
    desk.record("ticket.relate", row, {"parent": before}, {"parent": parent_id})
    return row


def rated(desk: Desk, ticket_id: str, severity: str, version: int | None = None) -> Ticket:
    """Say how grave it is; its priority follows from its class."""
    desk.demand("ticket.work")
    if severity not in states.SEVERITIES:
        raise Refusal("invalid", f"{severity!r} is no severity", "severity", f"severities are {', '.join(states.SEVERITIES)}")
    row = desk.find(Ticket, ticket_id, lock=True)
    unfinished(desk, row, "ticket.severity", severity=severity)
    desk.fresh(row, version)
    before = row.severity
    row.severity, row.priority = severity, states.priority(row.class_, severity)
    touched(desk, row)
    renew(desk, row)
    desk.record("ticket.severity", row, {"severity": before}, {"severity": severity})
    return row


def listed(desk: Desk, *, state: Sequence[str] = (), kind: str = "", severity: str = "", region: str = "", owner: str = "", customer: str = "",
           service: str = "", resource: str = "", parent: str = "", overdue: bool = False) -> Select[tuple[Ticket]]:
    """A query of tickets, the newest first. overdue: that should have been answered or restored by now."""
    desk.demand("ticket.read")
    query = desk.select(Ticket)
    if state:
        query = query.where(Ticket.state.in_(state))
    for column, wanted in ((Ticket.kind, kind), (Ticket.severity, severity), (Ticket.region, region), (Ticket.owner_id, owner), (Ticket.customer_id, customer),
                           (Ticket.service_id, service), (Ticket.resource_id, resource), (Ticket.parent_id, parent)):
        if wanted:
            query = query.where(column == wanted)
    if overdue:
        late = (Ticket.restore_due < desk.now) | ((Ticket.response_due < desk.now) & Ticket.responded.is_(None))
        query = query.where(Ticket.state.in_(states.OPEN), Ticket.pending_since.is_(None), late)
    return query.order_by(Ticket.created.desc(), Ticket.id.desc())


def notes_of(desk: Desk, row: Ticket) -> list[TicketNote]:
    """What was said of a ticket that the actor may see, the first first."""
    query = select(TicketNote).where(TicketNote.ticket_id == row.id)
    if desk.actor.outside:
        query = query.where(TicketNote.internal.is_(False))
    return list(desk.session.execute(query.order_by(TicketNote.time, TicketNote.id).limit(1000)).scalars())


def history_of(desk: Desk, row: Ticket) -> list[Transition]:
    """Its steps, the first first."""
    query = select(Transition).where(Transition.entity == "ticket", Transition.entity_id == row.id).order_by(Transition.time, Transition.id)
    return list(desk.session.execute(query.limit(1000)).scalars())


def summary_of(desk: Desk, row: Ticket) -> str:
    """What it is about, as the actor is shown it: what a person wrote in clear to who works on it and to its customer, else masked."""
    clear = row.channel in ("alarm", "system") or desk.actor.outside or desk.may("ticket.work")
    return str(desk.shown(row.summary, clear))


def written(text: str, where: str) -> str:
    """Refusal: nothing, or too much."""
    if not text.strip() or len(text) > LONGEST:
        raise Refusal("invalid", "nothing is said" if not text.strip() else f"it is longer than {LONGEST} letters", where, "say it in some sentences")
    return text.strip()


def _same(one: Ask) -> tuple[str, ...]:
    return (one.dedup_key,) if one.dedup_key else (one.service.id if one.service else "", one.kind)


def _before(desk: Desk, asks: Sequence[Ask]) -> dict[tuple[str, ...], str]:
    """The last ticket of the same key, or of the same service and kind, that was closed within 30 days."""
    since = desk.now - states.REPEAT
    found: dict[tuple[str, ...], str] = {}
    for lot in lots(sorted({one.dedup_key for one in asks if one.dedup_key})):
        found |= {(str(key),): one for key, one in desk.session.execute(select(Ticket.dedup_key, Ticket.id).where(
            Ticket.dedup_key.in_(lot), Ticket.state == "closed", Ticket.closed >= since).order_by(Ticket.closed))}
    for one in asks:
        if one.dedup_key is None and one.service is not None:
            last = desk.session.execute(select(Ticket.id).where(Ticket.service_id == one.service.id, Ticket.kind == one.kind, Ticket.state == "closed",
                                                               Ticket.closed >= since).order_by(Ticket.closed.desc()).limit(1)).scalar()
            if last is not None:
                found[_same(one)] = last
    return found
