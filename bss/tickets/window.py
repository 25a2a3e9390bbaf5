"""Windows: planned maintenance, and other times that do not count: caused by the customer, force majeure, suspension for non-payment.

One counts once a second person has approved it. Maintenance counts for the availability that was promised only where its customers were told of it 24 hours
ahead; while it lasts it keeps alarms from becoming tickets whenever they were told. A window of a resource is one of the services behind it.
"""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, or_, select

from bss.course import Course
from bss.database import lots
from bss.desk import Desk
from bss.moment import iso
from bss.refusal import Refusal
from bss.tables import Resource, Service, Window, WindowSubject
from bss.tickets import plant
from bss.tickets.assurance import untouched
from bss.tickets.linkstate import Spell

KINDS = ("maintenance", "customer", "force_majeure", "nonpayment")
AHEAD = timedelta(hours=24)         # that maintenance is announced
LONGEST = timedelta(days=31)        # of one that is not for non-payment
MOST = 2000                         # services and resources of one
#: What may follow each state.
STATES: dict[str, tuple[str, ...]] = {"planned": ("approved", "rejected", "cancelled"), "approved": ("cancelled",), "rejected": (), "cancelled": ()}
COURSE = Course("a window", STATES)


def plan(desk: Desk, *, kind: str, since: datetime, until: datetime | None, reason: str, services: Sequence[str] = (), resources: Sequence[str] = (),
         announced: datetime | None = None, region: str = "", evidence: Mapping[str, Any] | None = None) -> Window:
    """A window, to be approved by another one. announced: when its customers were told. until: None only where nobody knows yet: for non-payment, or of what
    the customer causes."""
    desk.demand("window.write")
    if kind not in KINDS:
        raise Refusal("invalid", f"{kind!r} is no kind of window", "kind", f"kinds are {', '.join(KINDS)}")
    if until is None and kind not in ("nonpayment", "customer"):
        raise Refusal("invalid", "it has no end", "until", "say until when")
    if until is not None and (until <= since or (kind != "nonpayment" and until - since > LONGEST)):
        raise Refusal("invalid", "it ends before it begins, or is longer than a month", "until")
    if not reason.strip():
        raise Refusal("invalid", "a reason is needed", "reason", "give one sentence")
    if announced is not None and announced > desk.now:
        raise Refusal("invalid", "it was not announced yet", "announced", "say when it was")
    if not 0 < len(services) + len(resources) <= MOST:
        raise Refusal("invalid", f"a window is of 1 to {MOST} services and resources", "service", "name them")
    held = [desk.find(Service, one) for one in dict.fromkeys(services)]
    stood = [desk.find(Resource, one) for one in dict.fromkeys(resources)]
    regions = sorted({one.region for one in held} | {one.region for one in stood})
    if region and region not in regions or len(regions) > 1:
        raise Refusal("invalid", "a window is of one region", "region", f"make one of each: {', '.join(regions)}")
    if kind == "maintenance":
        untouched(desk, [one.id for one in held] + [one.id for row in stood for one in plant.behind(desk, row.id)], since, until)
    row = desk.add(Window(kind=kind, region=regions[0], since=since, until=until, announced=announced, reason=reason.strip()[:400],
                          made_by=desk.actor.id or None, made=desk.now, evidence=dict(evidence or {})))
    desk.session.add_all([*(WindowSubject(window_id=row.id, subject=one.id, service_id=one.id) for one in held),
                          *(WindowSubject(window_id=row.id, subject=one.id, resource_id=one.id) for one in stood)])
    desk.record("window.plan", row, after={"kind": kind, "since": iso(since), "until": iso(until), "services": [one.id for one in held],
                                           "resources": [one.id for one in stood], "announced": iso(announced)}, reason=reason)
    desk.emit("window.create", row.id, {"id": row.id, "kind": kind, "since": iso(since), "until": iso(until)})
    return row


def decided(desk: Desk, *, kind: str, service_ids: Sequence[str], since: datetime, until: datetime | None, reason: str, made_by: str | None,
            approved_by: str | None, evidence: Mapping[str, Any] | None = None) -> list[Window]:
    """Windows of what two people have decided elsewhere, such as a suspension for non-payment, one of each region. Their permissions were looked at there.
    Refusal: they are one person."""
    if made_by is not None and made_by == approved_by:
        raise Refusal("forbidden", "what does not count takes a second person", "approved_by", "ask a colleague")
    rows: dict[str, Window] = {}
    for service in (desk.find(Service, one) for one in dict.fromkeys(service_ids)):
        if service.region not in rows:
            rows[service.region] = desk.add(Window(
                kind=kind, region=service.region, since=since, until=until, announced=None, reason=reason.strip()[:400], state="approved", made_by=made_by,
                made=desk.now, approved_by=approved_by, approved=desk.now, evidence=dict(evidence or {})))
        row = rows[service.region]
        desk.session.add(WindowSubject(window_id=row.id, subject=service.id, service_id=service.id))
    for row in rows.values():
        desk.record("window.decide", row, after={"kind": kind, "since": iso(since), "until": iso(until)}, reason=reason)
        desk.emit("window.create", row.id, {"id": row.id, "kind": kind, "since": iso(since), "until": iso(until)})
    return list(rows.values())


def move(desk: Desk, window_id: str, to: str, reason: str = "", version: int | None = None) -> Window:
    """Approve, reject or cancel one. Who made it does not approve it. Refusal `conflict` with one sentence; the attempt is in the audit log."""
    try:
        desk.demand("window.write" if to == "cancelled" else "window.approve")
        row = desk.find(Window, window_id, lock=True)
        if why := refusal(row.state, to):
            raise Refusal("conflict", why, f"window {row.id}", f"it can become {', '.join(STATES[row.state])}" if STATES[row.state] else "plan another one")
        if to != "approved" and not reason.strip():
            raise Refusal("invalid", f"a reason is needed for {to}", "reason", "give one sentence")
        if to == "approved":
            desk.another(row.made_by, "a window")
        if to == "approved" and row.kind == "maintenance":          # an event may have been approved since it was planned
            named = desk.session.execute(select(WindowSubject).where(WindowSubject.window_id == row.id)).scalars().all()
            behind = [one.id for subject in named if subject.resource_id for one in plant.behind(desk, subject.resource_id)]
            untouched(desk, [*(subject.service_id for subject in named), *behind], row.since, row.until)
        if to == "cancelled" and row.state == "approved" and row.since <= desk.now:
            raise Refusal("conflict", "it has begun, and what was excluded stays so", f"window {row.id}", "end it")
        desk.fresh(row, version)
        before, row.state = row.state, to
        if to == "approved":
            row.approved, row.approved_by = desk.now, desk.actor.id or None
        desk.record("window.move", row, {"state": before}, {"state": to}, reason)
        desk.emit("window.stateChange", row.id, {"id": row.id, "from": before, "to": to})
        return row
    except Refusal as error:
        raise desk.deny("window.move", ("planned_window", window_id), error, to=to, reason=reason) from None


def refusal(before: str, to: str) -> str:
    """Why a window may not go from one state to another: one sentence; '' where it may."""
    return COURSE.refusal(before, to)


def end(desk: Desk, window_id: str, at: datetime | None = None, reason: str = "") -> Window:
    """End one that goes on or ends later: it only becomes shorter."""
    desk.demand("window.write")
    row = desk.find(Window, window_id, lock=True)
    when = at or desk.now
    if row.state not in ("planned", "approved") or when <= row.since or (row.until is not None and when >= row.until):
        raise desk.deny("window.end", row, Refusal("conflict", "it is over, has not begun, or ends before that", f"window {row.id}", "cancel it instead"),
                        at=iso(when))
    desk.fresh(row, None)
    before, row.until = row.until, when
    desk.record("window.end", row, {"until": iso(before)}, {"until": iso(when)}, reason)
    desk.emit("window.attributeValueChange", row.id, {"id": row.id, "until": iso(when)})
    return row


def resumed(desk: Desk, service_id: str) -> None:
    """A service is active again by whatever way: from now on no open window of non-payment holds for it. Where one holds for others as well, it gets one of its
    own that ends now, and the others keep theirs."""
    query = select(Window).join(WindowSubject, WindowSubject.window_id == Window.id).where(
        WindowSubject.service_id == service_id, Window.kind == "nonpayment", Window.state == "approved", Window.until.is_(None), Window.since < desk.now)
    for row in desk.session.execute(query.order_by(Window.id).with_for_update(of=Window)).scalars().all():
        subjects = desk.session.execute(select(WindowSubject).where(WindowSubject.window_id == row.id)).scalars().all()
        ended = row
        if len(subjects) > 1:
            ended = desk.add(Window(kind=row.kind, region=row.region, since=row.since, until=desk.now, announced=row.announced, reason=row.reason,
                                    state=row.state, made_by=row.made_by, made=row.made, approved_by=row.approved_by, approved=row.approved,
                                    evidence={**row.evidence, "of": row.id}))
            for one in subjects:
                if one.service_id == service_id:
                    desk.session.delete(one)
            desk.session.add(WindowSubject(window_id=ended.id, subject=service_id, service_id=service_id))
        else:
            desk.fresh(row, None)
            row.until = desk.now
        desk.session.flush()
        desk.record("window.end", ended, {"until": None, "window": row.id}, {"until": iso(desk.now), "service": service_id}, "the service is active again")
        desk.emit("window.attributeValueChange", ended.id, {"id": ended.id, "until": iso(desk.now)})


def counts(row: Window) -> bool:
    """Whether a window's time does not count: it is approved, and maintenance was announced in time."""
    return row.state == "approved" and (row.kind != "maintenance" or (row.announced is not None and row.announced <= row.since - AHEAD))


def excluded(desk: Desk, service_ids: Collection[str], since: datetime, until: datetime) -> dict[str, list[Spell]]:
    """The times in [since, until) that do not count for services, by when they begin: of each service, also of one without any. source: the kind of window;
    evidence: which, why, by whom, and who approved it."""
    return _spells(desk, service_ids, since, until, strict=True)


def planned(desk: Desk, service_ids: Collection[str], resource_ids: Collection[str], since: datetime,
            until: datetime) -> dict[str, list[tuple[datetime, datetime, str]]]:
    """Approved windows of services and of resources themselves in a time, whenever they were announced: subject -> begin, end and id of each."""
    found: dict[str, list[tuple[datetime, datetime, str]]] = defaultdict(list)
    for service, held in _spells(desk, service_ids, since, until, strict=False).items():
        found[service] += [(one.since, one.until, str(one.evidence["window"])) for one in held]
    chains = plant.above(desk, resource_ids)
    wanted = {subject for chain in chains.values() for subject in chain}
    rows = _rows(desk, wanted, since, until)
    for resource, chain in chains.items():
        found[resource] += [(row.since, row.until or until, row.id) for subject, row in rows if subject in chain]
    return dict(found)


def subjects_of(desk: Desk, row: Window) -> tuple[list[str], list[str]]:
    """Ids of a window's services, and of its resources."""
    held = list(desk.session.execute(select(WindowSubject).where(WindowSubject.window_id == row.id).order_by(WindowSubject.subject)).scalars())
    return [one.subject for one in held if one.service_id], [one.subject for one in held if one.resource_id]


def listed(desk: Desk, *, kind: str = "", state: str = "", region: str = "") -> Select[tuple[Window]]:
    """A query of windows, the latest first."""
    desk.demand("ticket.read")
    query = desk.select(Window)
    for column, wanted in ((Window.kind, kind), (Window.state, state), (Window.region, region)):
        if wanted:
            query = query.where(column == wanted)
    return query.order_by(Window.since.desc(), Window.id.desc())


def _spells(desk: Desk, service_ids: Collection[str], since: datetime, until: datetime, strict: bool) -> dict[str, list[Spell]]:
    chains = plant.standing_on(desk, service_ids)
    whose: dict[str, list[str]] = defaultdict(list)
    for service in service_ids:
        for subject in (service, *chains[service]):
            whose[subject].append(service)
    found: dict[str, list[Spell]] = {one: [] for one in service_ids}
    for subject, row in _rows(desk, whose, since, until):
        if strict and not counts(row):
            continue
        one = Spell(max(row.since, since), min(row.until or until, until), row.kind,
                    {"window": row.id, "reason": row.reason, "made_by": row.made_by, "approved_by": row.approved_by, "announced": iso(row.announced)})
        for service in whose[subject]:
            if one not in found[service]:
                found[service].append(one)
    return {service: sorted(held, key=lambda one: (one.since, one.until)) for service, held in found.items()}


def _rows(desk: Desk, subjects: Collection[str], since: datetime, until: datetime) -> list[tuple[str, Window]]:
    found: list[tuple[str, Window]] = []
    for lot in lots(sorted(subjects)):
        query = select(WindowSubject.subject, Window).join(Window, Window.id == WindowSubject.window_id).where(
            WindowSubject.subject.in_(lot), Window.state == "approved", Window.since < until, or_(Window.until.is_(None), Window.until > since))
        found += [(subject, row) for subject, row in desk.session.execute(query.order_by(Window.since, Window.id))]
    return found
