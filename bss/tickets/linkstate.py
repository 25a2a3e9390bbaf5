"""Link state: the times in which a source (an alarm, a trap, a file, the probe's ping, a person) says that a service or resource is down, or up.

A source has one say of a subject at a time, and the database sees to it: who says the other ends the one before. What a resource is said to be counts for the
services behind it. A say that comes late, of before the one that holds, changes nothing; a whole time, with its end, can be told whenever it is known.
"""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Select, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from bss import identifier
from bss.database import lots
from bss.desk import Desk
from bss.moment import iso
from bss.refusal import Refusal
from bss.tables import LinkState, Resource, Service
from bss.tickets import plant

SOURCES = ("tmf642", "csv", "snmp", "ping", "person", "order")
STATES = ("down", "up")
FRESH = timedelta(minutes=15)           # after which a ping that was not heard of again says nothing
AHEAD = timedelta(minutes=5)            # that a source's clock may be wrong


class Spell(NamedTuple):
    """A half-open time of which a source says something. evidence: what was told, and the row that keeps it."""
    since: datetime
    until: datetime
    source: str
    evidence: Mapping[str, Any]


class Say(NamedTuple):
    """What a source says of a service or resource from a time on; until: and to when, where that is known."""
    source: str
    subject: Service | Resource
    state: str
    at: datetime
    evidence: Mapping[str, Any]
    until: datetime | None = None


def tell(desk: Desk, *, state: str, service_id: str | None = None, resource_id: str | None = None, since: datetime | None = None,
         until: datetime | None = None, source: str = "person", evidence: Mapping[str, Any] | None = None) -> LinkState:
    """Say that one is down or up, since now or a time. A person says by what he knows it."""
    desk.demand("alarm.write")
    if state not in STATES or source not in SOURCES:
        raise Refusal("invalid", f"{state!r} is no state of a link" if state not in STATES else f"{source!r} is no source", "state", "it is down or up")
    if (service_id is None) == (resource_id is None):
        raise Refusal("invalid", "a link state is of a service or of a resource", "service", "name one of them")
    at = since or desk.now
    if at > desk.now + AHEAD or (until is not None and (until <= at or until > desk.now + AHEAD)):
        raise Refusal("invalid", "it ends before it begins, or has not been yet", "since", "tell what has happened")
    told = dict(evidence or {})
    if source == "person" and not str(told.get("note", "")).strip():
        raise Refusal("invalid", "nothing is said of how it is known", "note", "say it in a sentence")
    subject: Service | Resource = desk.find(Service, service_id) if service_id is not None else desk.find(Resource, resource_id)
    tell_all(desk, [Say(source, subject, state, at, told, until)])
    where = (LinkState.since == at) if until is not None else LinkState.until.is_(None)
    row = desk.session.execute(select(LinkState).where(LinkState.source == source, LinkState.subject == subject.id, where)).scalar_one_or_none()
    if row is None or row.state != state:
        raise Refusal("conflict", f"{source} has said something later of it already", "since", "tell the whole time, with its end")
    desk.record("linkState.tell", row, after={"subject": subject.id, "state": state, "since": iso(at), "until": iso(until), **told})
    desk.emit("linkState.change", subject.id, {"subject": subject.id, "state": state, "source": source, "since": iso(at), "until": iso(until)})
    return row


def tell_all(desk: Desk, says: Sequence[Say]) -> int:
    """Take many, in the order of their times; how many times of being down or up are new. May is not looked at here."""
    if not says:
        return 0
    _alone(desk, {one.subject.id: one.subject for one in says})
    held = _current(desk, {one.subject.id for one in says})
    made: list[dict[str, Any]] = []
    for one in sorted(says, key=lambda say: say.at):
        key = one.source, one.subject.id
        row = {"id": identifier.fresh(LinkState.LETTER), "source": one.source, "subject": one.subject.id, "state": one.state, "since": one.at,
               "until": one.until, "seen": one.at, "service_id": one.subject.id if isinstance(one.subject, Service) else None,
               "resource_id": one.subject.id if isinstance(one.subject, Resource) else None, "region": one.subject.region,
               "customer_id": one.subject.customer_id if isinstance(one.subject, Service) else None, "told_by": desk.actor.id or None,
               "evidence": dict(one.evidence)}
        if one.until is not None:
            made.append(row)
            continue
        now = held.get(key)
        if now is None:
            held[key] = row
            made.append(row)
        elif isinstance(now, dict):
            if one.state == now["state"]:
                now["seen"] = max(now["seen"], one.at)
            elif one.at > now["since"]:
                now["until"] = one.at
                held[key] = row
                made.append(row)
        elif one.state == now.state:
            now.seen = max(now.seen, one.at)
        elif one.at > now.since:
            now.until = one.at
            held[key] = row
            made.append(row)
    desk.session.flush()                # those that end, before those that begin
    insert: Any = (sqlite.insert if desk.office.database.lite else postgresql.insert)(LinkState)
    count = 0
    for lot in lots(made, 200):
        count += len(desk.session.execute(insert.on_conflict_do_nothing().returning(LinkState.id), lot).all())
    desk.unmerged({str(one["customer_id"]) for one in made if one["customer_id"]})
    return count


def spells(desk: Desk, service_ids: Collection[str], since: datetime, until: datetime, state: str = "down") -> dict[str, list[Spell]]:
    """The times in [since, until) in which a source says that services are down (or up), by when they begin: of each service, also of one without any. What
    a resource is said to be is among them."""
    chains = plant.standing_on(desk, service_ids)
    whose: dict[str, list[str]] = defaultdict(list)
    for service in service_ids:
        for subject in (service, *chains[service]):
            whose[subject].append(service)
    found: dict[str, list[Spell]] = {one: [] for one in service_ids}
    for lot in lots(sorted(whose)):
        query = select(LinkState).where(LinkState.subject.in_(lot), LinkState.state == state, LinkState.since < until,
                                        or_(LinkState.until.is_(None), LinkState.until > since))
        for row in desk.session.execute(query).scalars():
            one = Spell(max(row.since, since), min(row.until or until, until), row.source,
                        {**row.evidence, "table": "link_state", "id": row.id, "subject": row.subject})
            for service in whose[row.subject]:
                found[service].append(one)
    return {service: sorted(held, key=lambda one: (one.since, one.until, one.source)) for service, held in found.items()}


def down_now(desk: Desk, service_id: str) -> Spell | None:
    """What says that a service, or something that it stands on, is down now; None: nothing does."""
    subjects = [service_id, *plant.standing_on(desk, [service_id])[service_id]]
    query = select(LinkState).where(LinkState.subject.in_(subjects), LinkState.state == "down", LinkState.until.is_(None)).order_by(LinkState.since)
    for row in desk.session.execute(query).scalars():
        if row.source != "ping" or row.seen > desk.now - FRESH:
            return Spell(row.since, desk.now, row.source, {"id": row.id, **row.evidence})
    return None


def up_since(desk: Desk, subjects: Collection[str], began: datetime, but: Collection[str | None] = ()) -> Spell | None:
    """What says that one of these is up, and has said so since a time; None: nothing does. A ping counts that was answered a moment ago. but: users whose own
    word it is not to be."""
    query = select(LinkState).where(LinkState.subject.in_(subjects), LinkState.state == "up", LinkState.until.is_(None), LinkState.seen >= began)
    rows = [one for one in desk.session.execute(query.order_by(LinkState.since)).scalars() if (one.source != "ping" or one.seen > desk.now - FRESH)
            and (not one.told_by or one.told_by not in but)]
    return Spell(rows[0].since, desk.now, rows[0].source, {"id": rows[0].id, **rows[0].evidence}) if rows else None


def listed(desk: Desk, *, service: str = "", resource: str = "", source: str = "", state: str = "", current: bool = False) -> Select[tuple[LinkState]]:
    """A query of link states, the newest first."""
    desk.demand("ticket.read")
    query = desk.select(LinkState)
    for column, wanted in ((LinkState.service_id, service), (LinkState.resource_id, resource), (LinkState.source, source), (LinkState.state, state)):
        if wanted:
            query = query.where(column == wanted)
    if current:
        query = query.where(LinkState.until.is_(None))
    return query.order_by(LinkState.since.desc(), LinkState.id.desc())


def _alone(desk: Desk, subjects: Mapping[str, Service | Resource]) -> None:
    """Nobody else says something of these until this act ends. Rows that merely point to them may be written meanwhile."""
    for table in (Service, Resource):
        for lot in lots(sorted(key for key, one in subjects.items() if isinstance(one, table))):
            desk.session.execute(select(table.id).where(table.id.in_(lot)).order_by(table.id).with_for_update(key_share=True)).all()


def _current(desk: Desk, subjects: Collection[str]) -> dict[tuple[str, str], Any]:
    found: dict[tuple[str, str], Any] = {}
    for lot in lots(sorted(subjects)):
        query = select(LinkState).where(LinkState.subject.in_(lot), LinkState.until.is_(None)).execution_options(populate_existing=True)
        found |= {(one.source, one.subject): one for one in desk.session.execute(query).scalars()}
    return found
