"""Event assurance (通信保障): services that are guarded while an event lasts, with tighter thresholds, a roster of their own and a freeze of changes; approved
by somebody who did not plan it. What is measured meanwhile is in watching.py, what is reported of it each hour in bulletin.py.

While a freeze lasts no step of an order and no planned window touches these services. Faults are mended all the same: tickets and dispatches go on.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Select, select

from bss.catalogue.document import Written
from bss.catalogue.reading import checked
from bss.desk import Desk
from bss.moment import iso
from bss.refusal import Refusal
from bss.tables import Assurance, AssuredService, Service, Transition, User
from bss.tickets.roster import worker

LONGEST = timedelta(days=60)
MOST = 200              # services of an event


class Thresholds(Written):
    """What is too much, in one closed minute that is covered. None: not looked at. loss_percent: TCP segments sent again of all, from the service or to it;
    rtt_ms: mean of the round trips of its side; down_mbps: less than that, to the service; silent_minutes: so many one after the other without a byte."""
    loss_percent: Annotated[Decimal, Field(ge=0, le=100)] | None = Decimal("0.5")
    rtt_ms: Annotated[Decimal, Field(gt=0, le=10_000)] | None = Decimal(20)
    down_mbps: Annotated[Decimal, Field(gt=0, le=10 ** 6)] | None = None
    silent_minutes: Annotated[int, Field(ge=1, le=60)] | None = 2


def plan(desk: Desk, *, name: str, services: Sequence[str], since: datetime, until: datetime, thresholds: Mapping[str, Any] | None = None,
         roster: Sequence[str] = (), freeze: bool = True, region: str = "") -> Assurance:
    """Plan one, as a draft. services: ids; roster: ids of who is on duty for it, the first of them responsible; region: of the first service where it is left
    out. Refusal: a service that is not there, a time that is over."""
    desk.demand("window.write")
    if not name.strip() or len(name) > 200 or not name.isprintable():
        raise Refusal("invalid", "not a name", "name", "write it in at most 200 printable letters")
    if not services or len(set(services)) > MOST:
        raise Refusal("invalid", f"an event has 1 to {MOST} services", "service")
    if not desk.now < until or not since < until <= since + LONGEST:
        raise Refusal("invalid", f"it ends after it begins, after now, and within {LONGEST.days} days", "until")
    found = [desk.find(Service, one) for one in dict.fromkeys(services)]
    for one in found:
        if one.state == "terminated":
            raise Refusal("conflict", f"service {one.circuit} is terminated", "service")
    where = region or found[0].region
    if desk.actor.regions and where not in desk.actor.regions:
        raise Refusal("forbidden", "the region is not one of yours", "region", f"yours are {', '.join(desk.actor.regions)}")
    people = [worker(desk, one, where, "roster").id for one in dict.fromkeys(roster)]
    limits = checked(Thresholds, dict(thresholds or {}), "thresholds").model_dump(mode="json")
    row = desk.add(Assurance(name=name.strip(), region=where, owner_id=people[0] if people else desk.actor.id or None, since=since, until=until,
                             thresholds=limits, roster=people, freeze=freeze, made=desk.now, made_by=desk.actor.id or None))
    for one in found:
        desk.add(AssuredService(assurance_id=row.id, service_id=one.id))
    _noted(desk, row, "", "draft")
    desk.record("assurance.plan", row, after={"name": name, "services": [one.id for one in found], "since": iso(since), "until": iso(until),
                                              "thresholds": limits, "roster": people, "freeze": freeze})
    return row


def decide(desk: Desk, assurance_id: str, approve: bool, reason: str = "") -> Assurance:
    """Approve a draft or reject it: somebody who did not plan it."""
    try:
        desk.demand("window.approve")
        row = desk.find(Assurance, assurance_id, lock=True)
        if row.state != "draft":
            raise Refusal("conflict", f"it is {row.state}", f"event {row.name}", "plan it anew")
        desk.another(row.made_by, "approving an event")
        if row.until <= desk.now:
            raise Refusal("conflict", "it is over", f"event {row.name}")
        if not approve and not reason.strip():
            raise Refusal("invalid", "a reason is needed to reject it", "reason", "give one sentence")
        return _step(desk, row, "approved" if approve else "rejected", reason)
    except Refusal as refused:
        raise desk.deny("assurance.decide", ("assurance", assurance_id), refused, approve=approve) from None


def cancel(desk: Desk, assurance_id: str, reason: str) -> Assurance:
    """Call one off; its services are guarded no longer."""
    desk.demand("window.write")
    row = desk.find(Assurance, assurance_id, lock=True)
    if row.state not in ("draft", "approved") or row.until <= desk.now:
        raise Refusal("conflict", f"it is {'over' if row.state == 'approved' else row.state}", f"event {row.name}")
    if not reason.strip():
        raise Refusal("invalid", "a reason is needed to cancel it", "reason", "give one sentence")
    return _step(desk, row, "cancelled", reason)


def _step(desk: Desk, row: Assurance, to: str, reason: str) -> Assurance:
    before, row.state = row.state, to
    row.decided, row.decided_by, row.reason = desk.now, desk.actor.id or None, reason.strip()[:400]
    row.version += 1
    _noted(desk, row, before, to, reason)
    desk.record("assurance.decide" if to != "cancelled" else "assurance.cancel", row, {"state": before}, {"state": to}, reason)
    desk.emit("eventAssurance.stateChange", row.id, {"id": row.id, "from": before, "to": to, "since": row.since, "until": row.until})
    return row


def _noted(desk: Desk, row: Assurance, before: str, to: str, reason: str = "") -> None:
    desk.add(Transition(entity="assurance", entity_id=row.id, from_state=before, to_state=to, time=desk.now, user_id=desk.actor.id or None,
                        reason=reason.strip()[:400]))


# ---- the freeze

def frozen(desk: Desk, service_ids: Collection[str], since: datetime | None = None, until: datetime | None = None) -> dict[str, Assurance]:
    """Which of these services nothing may be changed on in a time (now, where none is named), and for which event."""
    begin, end = since or desk.now, until or desk.now + timedelta(seconds=1)
    if not service_ids:
        return {}
    query = select(AssuredService.service_id, Assurance).join(Assurance, Assurance.id == AssuredService.assurance_id).where(
        Assurance.state == "approved", Assurance.freeze.is_(True), Assurance.since < end, Assurance.until > begin,
        AssuredService.service_id.in_(set(service_ids))).order_by(Assurance.until.desc(), Assurance.id)
    found: dict[str, Assurance] = {}
    for service_id, row in desk.session.execute(query).tuples():
        found.setdefault(service_id, row)
    return found


def untouched(desk: Desk, service_ids: Iterable[str | None], since: datetime | None = None, until: datetime | None = None) -> None:
    """Refusal `locked` where one of these services is guarded in a time, and nothing may be changed on it."""
    for service_id, row in sorted(frozen(desk, {one for one in service_ids if one}, since, until).items()):
        end = iso(row.until, desk.office.settings.zone)
        raise Refusal("locked", f"service {service_id} is guarded for an event until {end}: nothing is changed on it", f"event {row.id}",
                      "wait until it is over, or have the event called off")


# ---- what is there

def services_of(desk: Desk, assurance_id: str) -> list[str]:
    """Ids of the services of an event, in order."""
    return list(desk.session.execute(select(AssuredService.service_id).where(AssuredService.assurance_id == assurance_id).order_by(
        AssuredService.service_id)).scalars())


def running(desk: Desk, since: datetime, until: datetime) -> Sequence[Assurance]:
    """The approved events of a time."""
    return desk.session.execute(select(Assurance).where(Assurance.state == "approved", Assurance.since < until, Assurance.until > since).order_by(
        Assurance.id)).scalars().all()


def people_of(desk: Desk, row: Assurance) -> list[User]:
    """Who is on duty for an event and can be told."""
    return [one for one in desk.session.execute(select(User).where(User.id.in_(row.roster)).order_by(User.login)).scalars() if not one.disabled]


def listed(desk: Desk, state: str = "", region: str = "", at: datetime | None = None) -> Select[tuple[Assurance]]:
    """A query of events, the newest first. at: those that last then."""
    desk.demand("ticket.read")
    query = desk.select(Assurance)
    for column, wanted in ((Assurance.state, state), (Assurance.region, region)):
        if wanted:
            query = query.where(column == wanted)
    if at is not None:
        query = query.where(Assurance.since <= at, Assurance.until > at)
    return query.order_by(Assurance.since.desc(), Assurance.id.desc())


def find(desk: Desk, assurance_id: str) -> Assurance:
    """One of them. Refusal `missing`."""
    desk.demand("ticket.read")
    return desk.find(Assurance, assurance_id)
