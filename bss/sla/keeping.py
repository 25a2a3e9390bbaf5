"""Spells of minutes in the database: put in window by window, joined where they go on, with what people said of them on top. What was found is kept beside it.

A silence that an earlier window could not explain is down from its first minute on where this one explains it, and one that goes on stays what it was. Months
that are closed are left as they are.
"""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import delete, insert, select

from bss.database import lots
from bss.desk import Desk
from bss.question import moment_of
from bss.sla.measure import Spell, Window
from bss.tables import Reclassification, SlaMinute, SlaMonth

#: Silences that are explained, and what explains one that it touches.
EXPLAINED = ("silent_link", "silent_unanswered", "silent_neighbours")
EXPLAINING = {"link": "silent_link", "unanswered": "silent_unanswered"}


class Kept(NamedTuple):
    """A spell as it is kept."""
    since: datetime
    until: datetime
    state: str
    measured: str
    reason: str
    reclassification_id: str | None = None
    evidence: Mapping[str, Any] = {}


class Said(NamedTuple):
    """What a person said of unknown minutes, and another one approved."""
    id: str
    since: datetime
    until: datetime
    state: str


def keep(desk: Desk, window: Window, closed: Iterable[str] = ()) -> list[str]:
    """Put a window in, in place of what was kept of its time; the services of which it is another than before. closed: months (2026-12) of which some
    services may be closed: those are left alone."""
    first, last = moment_of(window.first), moment_of(window.last)
    changed: list[str] = []
    for lot in lots(sorted(window.spells)):
        locked = set(desk.session.execute(select(SlaMonth.service_id).where(SlaMonth.service_id.in_(lot), SlaMonth.month.in_(list(closed)),
                                                                            SlaMonth.state == "closed")).scalars())
        before = held(desk, lot, first, last, touching=True)
        said = _said(desk, lot, first, last)
        gone: list[str] = []
        made: list[dict[str, Any]] = []
        for service in lot:
            if service in locked:
                continue
            old = before.get(service, [])
            new = joined([*(one._replace(until=min(one.until, first)) for one in old if one.since < first),
                          *overlaid([_kept(one) for one in window.spells[service]], said.get(service, ())),
                          *(one._replace(since=max(one.since, last)) for one in old if one.until > last)])
            if new != old:
                gone.append(service)
                made += rows_of(service, new)
        write(desk, gone, made, first, last)
        changed += gone
    return changed


def held(desk: Desk, services: Sequence[str], first: datetime, last: datetime, touching: bool = False) -> dict[str, list[Kept]]:
    """The spells of services that lie in [first, last) at least in part, whole. touching: also those that end when it begins."""
    found: dict[str, list[Kept]] = defaultdict(list)
    begins = SlaMinute.until >= first if touching else SlaMinute.until > first
    for lot in lots(services):
        query = select(SlaMinute).where(SlaMinute.service_id.in_(lot), begins, SlaMinute.since < last)
        for one in desk.session.execute(query.order_by(SlaMinute.service_id, SlaMinute.since)).scalars():
            found[one.service_id].append(Kept(one.since, one.until, one.state, one.measured, one.reason, one.reclassification_id, one.evidence))
    return found


def write(desk: Desk, services: Sequence[str], rows: Sequence[Mapping[str, Any]], first: datetime, last: datetime) -> None:
    """These rows, in place of those of the services that touch [first, last)."""
    for lot in lots(services):
        desk.session.execute(delete(SlaMinute).where(SlaMinute.service_id.in_(lot), SlaMinute.until >= first, SlaMinute.since < last)
                             .execution_options(synchronize_session=False))
    for some in lots(rows):
        desk.session.execute(insert(SlaMinute), some)
    desk.session.expire_all()


def rows_of(service: str, spells: Iterable[Kept]) -> list[dict[str, Any]]:
    """As they are written."""
    return [{"service_id": service, **one._asdict(), "evidence": dict(one.evidence)} for one in spells]


def overlaid(spells: Iterable[Kept], said: Sequence[Said]) -> list[Kept]:
    """Spells with what was said of them: of unknown minutes, and of those alone."""
    found = list(spells)
    for word in said:
        cut: list[Kept] = []
        for one in found:
            if one.measured != "unknown" or one.until <= word.since or one.since >= word.until:
                cut.append(one)
                continue
            begin, end = max(one.since, word.since), min(one.until, word.until)
            if one.since < begin:
                cut.append(one._replace(until=begin))
            cut.append(one._replace(since=begin, until=end, state=word.state, reclassification_id=word.id))
            if end < one.until:
                cut.append(one._replace(since=end))
        found = cut
    return found


def joined(spells: Sequence[Kept]) -> list[Kept]:
    """Spells in order of time, those that go on as one; silences explained by what they touch."""
    found = list(spells)
    for n in range(len(found) - 1):                     # forwards: what goes on stays what it was
        found[n + 1] = _explained(found[n + 1], found[n], found[n].until == found[n + 1].since)
    for n in range(len(found) - 1, 0, -1):              # backwards: what is known now holds from its beginning
        found[n - 1] = _explained(found[n - 1], found[n], found[n - 1].until == found[n].since)
    made: list[Kept] = []
    for one in found:
        last = made[-1] if made else None
        if last is not None and last.until == one.since and last[2:6] == one[2:6]:
            made[-1] = last._replace(until=one.until)
        else:
            made.append(one)
    return made


def _explained(one: Kept, other: Kept, touching: bool) -> Kept:
    if not touching or one.reason != "silent" or one.reclassification_id is not None or other.measured != "down":
        return one
    reason = other.reason if other.reason in EXPLAINED else EXPLAINING.get(other.reason, "")
    return one._replace(state="down", measured="down", reason=reason, evidence={**one.evidence, **other.evidence}) if reason else one


def _kept(one: Spell) -> Kept:
    return Kept(moment_of(one.since), moment_of(one.until), one.state, one.state, one.reason, None, one.evidence)


def _said(desk: Desk, services: Sequence[str], first: datetime, last: datetime) -> dict[str, list[Said]]:
    found: dict[str, list[Said]] = defaultdict(list)
    query = select(Reclassification).where(Reclassification.service_id.in_(services), Reclassification.state == "approved", Reclassification.since < last,
                                           Reclassification.until > first).order_by(Reclassification.decided, Reclassification.id)
    for one in desk.session.execute(query).scalars():
        found[one.service_id].append(Said(one.id, one.since, one.until, one.to_state))
    return found
