"""Rated usage is kept: a row for each service and day. What was not rated before is added; what is another one than before makes a new revision, and the old
one stays; what nobody may be charged for waits for a person."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from bss import identifier
from bss.desk import Desk
from bss.rating import month
from bss.rating.asking import Told
from bss.rating.lines import Kept, digest, pack, unpack
from bss.rating.plan import Plan
from bss.rating.rate import Tools
from bss.tables import RatedPeriod, RatedUsage, Recycled

LATE = 2            # months after which usage is no longer put on a bill by itself
INACTIVE, OLD = "inactive", "late"


class Taken(NamedTuple):
    """What was taken: period -> service -> lines that are new; changed: (period, customer) where something else was rated before; recycled: bytes."""
    fresh: dict[str, dict[str, list[Kept]]]
    changed: set[tuple[str, str]]
    recycled: int


class _Day(NamedTuple):
    service: str
    day: str
    customer: str
    lines: dict[int, list[Kept]]


def closed(desk: Desk) -> set[str]:
    """The months that were closed."""
    return set(desk.session.execute(select(RatedPeriod.period)).scalars())


def current(desk: Desk, services: Sequence[str], since: str, until: str) -> dict[tuple[str, str], tuple[int, bytes, str]]:
    """The revision that holds of each service's days from `since` to `until`, both included: (service, day) -> revision, lines, state."""
    newest = (select(RatedUsage.service_id, RatedUsage.day, func.max(RatedUsage.revision).label("revision"))
              .where(RatedUsage.service_id.in_(services), RatedUsage.day >= since, RatedUsage.day <= until)
              .group_by(RatedUsage.service_id, RatedUsage.day).subquery())
    query = select(RatedUsage.service_id, RatedUsage.day, RatedUsage.revision, RatedUsage.lines, RatedUsage.state).join(
        newest, (RatedUsage.service_id == newest.c.service_id) & (RatedUsage.day == newest.c.day) & (RatedUsage.revision == newest.c.revision))
    return {(service, day): (revision, bytes(lines), state) for service, day, revision, lines, state in desk.session.execute(query)}


def of_period(desk: Desk, services: Sequence[str], period: str) -> dict[str, list[Kept]]:
    """All lines of a period that hold, by service."""
    found: dict[str, list[Kept]] = defaultdict(list)
    for (service, _), (_, lines, _) in sorted(current(desk, services, f"{period}-01", f"{period}-31").items()):
        found[service] += unpack(lines)
    return dict(found)


def take(desk: Desk, plans: Mapping[str, Plan], told: Told, hours: Iterable[int], again: set[int], tools: Tools) -> Taken:
    """Keep what services used in these hours. again: hours that were rated before, in which what is not told of any more is gone."""
    asked = set(hours)
    whose = {service: plan for plan in plans.values() for service in plan.spells if tools.catalogue.paid(desk, plan, service)}
    days = sorted({tools.calendar.day(at) for at in asked})
    held = current(desk, list(whose), days[0], days[-1])
    done, now = closed(desk), month.of(desk.now, desk.office.settings.zone)
    found = Taken(defaultdict(lambda: defaultdict(list)), set(), 0)
    recycled = 0
    rows: list[dict[str, Any]] = []
    changes: list[dict[str, Any]] = []
    waiting: list[dict[str, Any]] = []
    for one in _days(whose, told, asked, again, held, tools):
        revision, before, _ = held.get((one.service, one.day), (0, b"", ""))
        period = one.day[:7]
        kept = unpack(before)
        old: dict[int, list[Kept]] = defaultdict(list)
        for line in kept:
            old[line.at].append(line)
        different = {at: lines for at, lines in one.lines.items() if sorted(lines) != sorted(old.get(at, []))}
        if not different:
            continue
        late = {at: lines for at, lines in different.items() if month.apart(period, now) > LATE}
        idle = {at: lines for at, lines in different.items() if at not in late and lines and not whose[one.service].in_use(
            one.service, datetime.fromtimestamp(at, UTC))}
        for reason, some in ((OLD, late), (INACTIVE, idle)):
            if some:
                waiting.append(_waiting(desk, one, period, reason, [line for lines in some.values() for line in lines]))
                recycled += waiting[-1]["octets"]
        different = {at: lines for at, lines in different.items() if at not in late and at not in idle}
        if not different:
            continue
        other = any(old.get(at) or at in again for at in different)
        merged = pack([line for line in kept if line.at not in different] + [line for lines in different.values() for line in lines])
        if not merged and not before:
            continue
        values = _values(desk, one, period, merged)
        if revision and not other and period not in done:
            changes.append({"b_service": one.service, "b_day": one.day, "b_revision": revision, **{name: values[name] for name in (
                "up_bytes", "down_bytes", "lines", "digest", "rated")}})
        else:
            rows.append({**values, "revision": revision + 1, "state": "rerated" if revision else "rated"})
        if other or period in done:
            found.changed.add((period, one.customer))
        else:
            found.fresh[period][one.service] += [line for lines in different.values() for line in lines]
    _write(desk, rows, changes, waiting)
    return found._replace(recycled=recycled)


def _days(whose: Mapping[str, Plan], told: Told, asked: set[int], again: set[int], held: Mapping[tuple[str, str], Any], tools: Tools) -> Iterable[_Day]:
    """What was told, by service and day, with hours of `again` that have nothing now."""
    made: dict[tuple[str, str], dict[int, list[Kept]]] = defaultdict(dict)
    numbers, day = tools.names.numbers, tools.calendar.day
    for service, hours in told.items():
        if service in whose:
            for at, some in hours.items():
                if at in asked:
                    made[service, day(at)][at] = [Kept(at, numbers[name], up, down) for name, up, down in some]
    for key in held if again else ():
        for at in again:
            if day(at) == key[1]:
                made[key].setdefault(at, [])
    for (service, named), lines in sorted(made.items()):
        yield _Day(service, named, whose[service].customer, lines)


def _values(desk: Desk, one: _Day, period: str, lines: bytes) -> dict[str, Any]:
    kept = unpack(lines)
    return {"service_id": one.service, "day": one.day, "period": period, "up_bytes": sum(line.up for line in kept),
            "down_bytes": sum(line.down for line in kept), "lines": lines, "digest": digest(lines), "rated": desk.now}


def _waiting(desk: Desk, one: _Day, period: str, reason: str, lines: Sequence[Kept]) -> dict[str, Any]:
    packed = pack(lines)
    return {"id": identifier.fresh(Recycled.LETTER), "service_id": one.service, "customer_id": one.customer, "day": one.day, "period": period,
            "reason": reason, "octets": sum(line.up + line.down for line in lines), "lines": packed, "digest": digest(packed), "state": "recycled",
            "made": desk.now, "decided": None, "decided_by": None, "why": "", "version": 1}


def _write(desk: Desk, rows: list[dict[str, Any]], changes: list[dict[str, Any]], waiting: list[dict[str, Any]]) -> None:
    connection = desk.session.connection()
    table: Any = RatedUsage.__table__
    if rows:
        connection.execute(insert(table), rows)
    if changes:
        where = (table.c.service_id == bindparam("b_service")) & (table.c.day == bindparam("b_day")) & (table.c.revision == bindparam("b_revision"))
        connection.execute(update(table).where(where), changes)
    if waiting:
        made: Any = (sqlite.insert if desk.office.database.lite else postgresql.insert)(Recycled.__table__)      # type: ignore[arg-type]
        connection.execute(made.on_conflict_do_nothing(), waiting)
