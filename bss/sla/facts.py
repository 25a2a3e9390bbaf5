"""What is known of services before the store is asked: when they were active, where they are metered, what they were promised, what stands behind what."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import or_, select

from bss.catalogue.document import Sla
from bss.catalogue.pricing import sla_of
from bss.database import lots
from bss.desk import Desk
from bss.moment import begin_of
from bss.refusal import Refusal
from bss.tables import Agreement, Binding, Resource, Service, ServiceResource, SpeedTest, Transition

PLACES = ("site", "device", "port", "olt", "pon_port", "splitter", "onu", "ap")        # resources that services hang on, and fail with
DEEPEST = 16

Span = tuple[datetime, datetime]


class Facts(NamedTuple):
    """A service in a time. active: when it was; points: (probe, interface) where it is metered, none where no binding says; floor_percent: of the ordered rate,
    0 none; tests: recorded speed tests (id, time, down, up)."""
    row: Service
    active: list[Span]
    points: frozenset[tuple[str, str]]
    floor_percent: int
    tests: list[tuple[str, datetime, int, int]]


def month_of(text: str) -> date:
    """The first day of a month that somebody wrote. Refusal: it is none."""
    try:
        found = date.fromisoformat(f"{text}-01")
    except ValueError:
        found = None                                                    # type: ignore[assignment]
    if found is None or len(text) != 7:
        raise Refusal("invalid", f"{text!r} is no month", "month", "write it as 2026-12")
    return found


def span_of(desk: Desk, month: str) -> Span:
    """A month of the operator's time zone."""
    begin = month_of(month)
    return begin_of(begin, desk.office.settings.zone), begin_of(following(begin), desk.office.settings.zone)


def following(month: date) -> date:
    """The first day of the next month."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def load(desk: Desk, since: datetime, until: datetime) -> list[Facts]:
    """All services that were active in [since, until), by their ids."""
    query = select(Service).where(Service.created < until, or_(Service.terminated.is_(None), Service.terminated > since), Service.state != "designed")
    rows = list(desk.session.execute(query.order_by(Service.id)).scalars())
    active = activity(desk, rows, since, until)
    rows = [one for one in rows if active[one.id]]
    ids = [one.id for one in rows]
    points: dict[str, set[tuple[str, str]]] = defaultdict(set)
    tests: dict[str, list[tuple[str, datetime, int, int]]] = defaultdict(list)
    for lot in lots(ids):
        bound = select(Binding.service_id, Binding.probe, Binding.interface).where(
            Binding.service_id.in_(lot), Binding.probe != "", Binding.withdrawn.is_(None), Binding.valid_from < until,
            or_(Binding.valid_to.is_(None), Binding.valid_to > since))
        for service, probe, interface in desk.session.execute(bound):
            points[service].add((probe, interface))
        taken = select(SpeedTest).where(SpeedTest.service_id.in_(lot), SpeedTest.time >= since, SpeedTest.time < until)
        for one in desk.session.execute(taken).scalars():
            tests[one.service_id].append((one.id, one.time, one.down_bps, one.up_bps))
    promises = Promises(desk)
    return [Facts(one, active[one.id], frozenset(points[one.id]), promises.of(one, since).floor_percent or 0, tests[one.id]) for one in rows]


def activity(desk: Desk, rows: Sequence[Service], since: datetime, until: datetime) -> dict[str, list[Span]]:
    """When each service was active in [since, until)."""
    steps: dict[str, list[tuple[datetime, str, str]]] = defaultdict(list)
    for lot in lots([one.id for one in rows]):
        query = select(Transition.entity_id, Transition.time, Transition.from_state, Transition.to_state).where(
            Transition.entity == "service", Transition.entity_id.in_(lot)).order_by(Transition.time, Transition.id)
        for service, at, before, to in desk.session.execute(query):
            steps[service].append((at, before, to))
    return {one.id: active_spans(steps[one.id], one.state, one.activated or one.created, one.terminated, since, until) for one in rows}


def active_spans(steps: Sequence[tuple[datetime, str, str]], state: str, activated: datetime, terminated: datetime | None, since: datetime,
                 until: datetime) -> list[Span]:
    """When a service was active in [since, until), by its steps (time, from, to); one that has none is as it is since it was activated."""
    begin: datetime | None = activated if (steps[0][1] if steps else state) == "active" else None
    found: list[Span] = []
    for at, _, to in steps:
        if to == "active" and begin is None:
            begin = at
        elif to != "active" and begin is not None:
            found.append((begin, at))
            begin = None
    if begin is not None:
        found.append((begin, terminated or until))
    return [(max(one, since), min(end, until)) for one, end in found if max(one, since) < min(end, until)]


class Promises:
    """What was promised: the terms of an offering's version, and what a contract says otherwise (`sla` of its terms). Each is looked up once."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._known: dict[tuple[Any, ...], Sla | None] = {}
        self._contracts: dict[str, Mapping[str, Any]] = {}

    def of(self, row: Service, at: datetime) -> Sla:
        """The promises of a service at a time; those of nobody where there are none. Refusal: a contract's are written wrongly."""
        key = row.offering, row.offering_version, at
        if key not in self._known:
            self._known[key] = sla_of(self._desk, *key)
        found = self._known[key] or Sla.model_validate({"key": "none", "name": {"en": "nothing promised", "zh": "无承诺"}, "valid_from": at})
        own = self._contract(row.agreement_id)
        if not own:
            return found
        from bss.catalogue.reading import checked
        return checked(Sla, {**found.model_dump(mode="json", by_alias=True), **own}, f"contract {row.agreement_id}: terms.sla")

    def _contract(self, key: str | None) -> Mapping[str, Any]:
        if key is None:
            return {}
        if key not in self._contracts:
            row = self._desk.session.get(Agreement, key)
            own = (row.terms if row is not None else {}).get("sla") or {}
            self._contracts[key] = own if isinstance(own, Mapping) else {}
        return self._contracts[key]


def behind(desk: Desk, services: Sequence[str]) -> dict[str, list[str]]:
    """The services that hang on each resource which can fail: those that use it, and those that use a part of it."""
    used: list[tuple[str, str]] = []
    for lot in lots(services):
        used += desk.session.execute(select(ServiceResource.service_id, ServiceResource.resource_id).where(ServiceResource.service_id.in_(lot))).tuples().all()
    parents: dict[str, tuple[str | None, str]] = {}
    wanted = {resource for _, resource in used}
    for _ in range(DEEPEST):
        for lot in lots(sorted(wanted)):
            query = select(Resource.id, Resource.parent_id, Resource.kind).where(Resource.id.in_(lot))
            parents |= {key: (parent, kind) for key, parent, kind in desk.session.execute(query)}
        wanted = {parent for parent, _ in parents.values() if parent is not None} - parents.keys()
        if not wanted:
            break
    found: dict[str, set[str]] = defaultdict(set)
    for service, resource in used:
        at: str | None = resource
        passed: set[str] = set()
        while at is not None and at in parents and at not in passed:
            passed.add(at)
            parent, kind = parents[at]
            if kind in PLACES:
                found[at].add(service)
            at = parent
    return {resource: sorted(held) for resource, held in found.items()}
