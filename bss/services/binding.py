"""Bindings: what tells the probe that traffic is a service's, from one moment on and before another. Two of the same thing never overlap in time, whoever makes
them at once. A service has them only from `reserved` to `active`. Each change reaches the probe's file (export.py)."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select

from bss.desk import Desk
from bss.moment import iso
from bss.refusal import Refusal
from bss.services import export
from bss.services.spelling import INTERFACE, What, bounds, key_of, name, spelt
from bss.tables import Binding, Service

PAST = timedelta(minutes=5)         # before now that a binding may begin or end without being a correction
BOUND = ("reserved", "inactive", "active")


def bind(desk: Desk, service_id: str, *, prefix: str = "", vlan: int | None = None, inner_vlan: int | None = None, mac: str = "", user: str = "",
         circuit: str = "", probe: str = "", interface: str = "", valid_from: datetime | None = None, valid_to: datetime | None = None) -> Binding:
    """Bind something to a service, from now on where no time is given. Refusal: it is bound already then, naming both.

    What begins in the past takes the permission `binding.correct`, and moves no usage: correction.py does."""
    desk.demand("binding.write")
    what = spelt(prefix, vlan, inner_vlan, mac, user, circuit)
    since = timely(desk, valid_from, "validFrom")
    service = desk.find(Service, service_id, lock=True)
    made = place(desk, service, what, since, valid_to, name(probe, "probe"), name(interface, "interface", INTERFACE))
    export.changed(desk)
    return made


def place(desk: Desk, service: Service, what: What, since: datetime, until: datetime | None, probe: str, interface: str, revision: int = 1,
          states: Sequence[str] = BOUND) -> Binding:
    """A new row, where nothing overlaps it. For the domain: it asks for no permission. states: that the service may be in."""
    if service.state not in states:
        raise Refusal("conflict", f"service {service.id} is {service.state}, and has no bindings", "service", f"it must be {', '.join(states)}")
    if until is not None and (until.tzinfo is None or until <= since):
        raise Refusal("invalid", "it ends before it begins", "validTo", "validTo is the first moment at which it no longer holds")
    key = key_of(what)
    hold(desk, key)
    other: Binding | None = desk.session.execute(overlapping(key, since, until).limit(1)).scalars().first()
    if other is not None:
        raise Refusal("conflict", f"{key} is bound to service {other.service_id} ({span(other.valid_from, other.valid_to)}), which overlaps service "
                                  f"{service.id} ({span(since, until)})", "validFrom", "end the one where the other begins, or move it")
    low, high = bounds(what.prefix)
    made = desk.add(Binding(service_id=service.id, key=key, prefix=what.prefix, vlan=what.vlan, inner_vlan=what.inner_vlan, mac=what.mac, user=what.user,
                            circuit=what.circuit, probe=probe, interface=interface, low=low, high=high, valid_from=since, valid_to=until, revision=revision,
                            created=desk.now))
    desk.record("binding.create", made, after={"service": service.id, "key": key, "valid_from": iso(since), "valid_to": iso(until)})
    desk.emit("binding.create", made.id, {"id": made.id, "service": service.id, "validFrom": since, "validTo": until})
    return made


def end(desk: Desk, service_id: str, at: datetime | None = None) -> list[Binding]:
    """End all that a service has, at a moment: what would begin later never does."""
    desk.demand("binding.write")
    moment = timely(desk, at, "at")
    service = desk.find(Service, service_id, lock=True)
    found = [stop(desk, one, moment) for one in _later(desk, service.id, moment)]
    if found:
        export.changed(desk)
    return found


def end_one(desk: Desk, binding_id: str, at: datetime | None = None) -> Binding:
    """End one binding, at a moment."""
    desk.demand("binding.write")
    moment = timely(desk, at, "at")
    row = desk.find(Binding, binding_id, lock=True)
    if row.withdrawn is not None or (row.valid_to is not None and row.valid_to <= moment):
        raise Refusal("conflict", f"binding {row.id} has ended before", "at", "correct it, if it ended at another time")
    stop(desk, row, moment)
    export.changed(desk)
    return row


def move(desk: Desk, service_id: str, other_id: str, at: datetime | None = None) -> list[Binding]:
    """Give all that a service has to another one, at a moment: it is the one's before, the other's from then on, without a gap."""
    desk.demand("binding.write")
    moment = timely(desk, at, "at")
    if service_id == other_id:
        raise Refusal("invalid", "it is the same service", "service", "name another one")
    first, second = sorted((service_id, other_id))
    both = {one: desk.find(Service, one, lock=True) for one in (first, second)}
    rows = _later(desk, service_id, moment)
    if not rows:
        raise Refusal("conflict", f"service {service_id} has no bindings then", "at", "look at its bindings")
    made = []
    for row in rows:
        hold(desk, row.key)
        since, until = max(row.valid_from, moment), row.valid_to
        stop(desk, row, moment)
        made.append(place(desk, both[other_id], what_of(row), since, until, row.probe, row.interface))
    export.changed(desk)
    return made


def of_service(desk: Desk, service_id: str, at: datetime | None = None) -> list[Binding]:
    """What a service has and had, or has at a moment; nothing of what was withdrawn."""
    desk.demand("service.read")
    query: Any = desk.select(Binding).where(Binding.service_id == service_id, Binding.withdrawn.is_(None)).order_by(Binding.valid_from, Binding.id)
    return list(desk.session.execute(query if at is None else query.where(*holds(at))).scalars())


def holds(at: Any) -> tuple[ColumnElement[bool], ...]:
    """What is true of bindings that hold at a moment, or at one to come (asking.given)."""
    return Binding.withdrawn.is_(None), Binding.valid_from <= at, or_(Binding.valid_to.is_(None), Binding.valid_to > at)


def stop(desk: Desk, row: Binding, at: datetime) -> Binding:
    """End a row, or withdraw it where it would not have begun. For the domain."""
    before = {"valid_to": iso(row.valid_to)}
    if row.valid_from >= at:
        row.withdrawn = desk.now
    else:
        row.valid_to = at
    desk.session.flush()
    after = {"withdrawn": iso(row.withdrawn)} if row.withdrawn else {"valid_to": iso(row.valid_to)}
    desk.record("binding.end", row, before=before, after={"service": row.service_id, "key": row.key, **after})
    desk.emit("binding.end", row.id, {"id": row.id, "service": row.service_id, "at": at})
    return row


def hold(desk: Desk, key: str) -> None:
    """Nobody else changes what is bound by this key until the act ends. SQLite has one writer at a time anyway."""
    if not desk.office.database.lite:
        desk.session.execute(select(func.pg_advisory_xact_lock_shared(func.hashtextextended("binding", 1))))
        desk.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))


def hold_all(desk: Desk) -> None:
    """Nobody else changes what is bound by any key until the act ends: for whoever brings in more of them than can be held one by one."""
    if not desk.office.database.lite:
        desk.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("binding", 1))))


def overlapping(key: str, since: datetime, until: datetime | None) -> Select[Any]:
    """The bindings of a key that hold at some moment of [since, until), in order."""
    query = select(Binding).where(Binding.key == key, Binding.withdrawn.is_(None), or_(Binding.valid_to.is_(None), Binding.valid_to > since))
    return (query if until is None else query.where(Binding.valid_from < until)).order_by(Binding.valid_from).execution_options(populate_existing=True)


def what_of(row: Binding) -> What:
    """What a row binds."""
    return What(row.prefix, row.vlan, row.inner_vlan, row.mac, row.user, row.circuit)


def span(since: datetime, until: datetime | None) -> str:
    """As people read it."""
    return f"from {iso(since)} until {iso(until)}" if until else f"from {iso(since)} on"


def timely(desk: Desk, at: datetime | None, where: str) -> datetime:
    """A moment, now where none is given. What is long past is a correction, and takes its permission."""
    if at is None:
        return desk.now
    if at.tzinfo is None:
        raise Refusal("invalid", "a time without a zone", where, "write it as 2026-12-01T08:00:00+08:00")
    if at < desk.now - PAST:
        desk.demand("binding.correct")
    return at


def _later(desk: Desk, service_id: str, at: datetime) -> Sequence[Binding]:
    """The bindings of a service that hold at a moment or later, held until the act is done: what another act is ending is seen as ended."""
    query = select(Binding).where(Binding.service_id == service_id, Binding.withdrawn.is_(None), or_(Binding.valid_to.is_(None), Binding.valid_to > at))
    query = query.order_by(Binding.key, Binding.valid_from).with_for_update(of=Binding).execution_options(populate_existing=True)
    return desk.session.execute(query).scalars().all()
