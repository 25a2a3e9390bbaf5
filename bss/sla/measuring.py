"""When minutes are measured: each hour those that closed since, each month once more as a whole before it is closed. The store is asked outside of any
transaction, and what came out is written in one for each window: killed anywhere, the next run goes on where the mark is.
"""
from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from bss.database import lots
from bss.desk import Desk
from bss.moment import begin_of
from bss.office import Office
from bss.people.scope import SYSTEM, Actor
from bss.question import EPOCH, moment_of, second
from bss.refusal import Refusal
from bss.sla import facts, keeping, reading
from bss.sla import month as months
from bss.sla.measure import measure, windows
from bss.tables import Reclassification, Service, SlaMark, SlaMonth

LOOK = timedelta(hours=3)           # before the mark from which each hour measures again: what comes late may say otherwise of it
SETTLED = timedelta(days=1)         # after the end of a month: all its minutes are closed, whatever their probe
GRACE = timedelta(days=5)           # in which people may still say what unknown minutes were
LOT = 200                           # services of a transaction


def run(office: Office, since: datetime, until: datetime, actor: Actor = SYSTEM) -> set[str]:
    """Measure all minutes from one time to another, and keep them; the services of which something is another than before. Refusal `away`."""
    changed: set[str] = set()
    with office.reading(actor) as desk:
        desk.demand("sla.write")
        count = desk.session.execute(select(func.count()).select_from(Service).where(Service.state.in_(("active", "inactive")))).scalar_one()
    zone = office.settings.zone
    begin = date(since.astimezone(zone).year, since.astimezone(zone).month, 1)
    edges, names = [], []
    while begin_of(begin, zone) < until:
        edges.append(begin_of(begin, zone))
        names.append(f"{begin:%Y-%m}")
        begin = facts.following(begin)
    for first, last in windows(count, since, until, edges):
        with office.reading(actor) as desk:         # the store may take long: nobody waits for us meanwhile
            window = measure(desk, first, last)

        def write(desk: Desk, window: Any = window) -> list[str]:
            found = keeping.keep(desk, window, names)
            _marked(desk, moment_of(window.last))
            return found
        changed |= set(office.act(actor, write))
    return changed


def hourly(office: Office, argument: Mapping[str, Any]) -> int:
    """Duty: measure the hours that are over since the last time, and those before it again; how many services are another. Without a store there is nothing
    to measure."""
    if office.settings.store == "none":
        return 0
    at = datetime.fromisoformat(argument["slot"]) if "slot" in argument else office.clock()
    until = at.replace(minute=0, second=0, microsecond=0)
    with office.reading() as desk:
        known = months.mark(desk)
    begin = _month_begin(office, until - timedelta(minutes=1))
    changed = run(office, begin if known is None else min(known, until) - LOOK, until)
    for month in {_name(office, until - LOOK), _name(office, until - timedelta(minutes=1))}:
        _settle(office, month, sorted(changed))
    return len(changed)


def daily(office: Office, argument: Mapping[str, Any]) -> int:
    """Duty: count the month that runs; once one is over and all of it is there, measure it whole; close it when the time to object is over. How many months
    of services were counted."""
    if office.settings.store == "none":
        return 0
    at = datetime.fromisoformat(argument["slot"]) if "slot" in argument else office.clock()
    done = _settle(office, _name(office, at))
    begin = _month_begin(office, at)
    last = _name(office, begin - timedelta(minutes=1))
    with office.reading() as desk:          # the last month, and any before it that was left open while no worker ran
        left = desk.session.execute(select(SlaMonth.month).where(SlaMonth.state == "open", SlaMonth.month < last).distinct()).scalars()
        names = sorted({*left, last})
    return done + sum(_over(office, name, at) for name in names)


def _over(office: Office, month: str, at: datetime) -> int:
    """What is done of a month that is over."""
    with office.reading() as desk:
        until = facts.span_of(desk, month)[1]
        query = select(SlaMonth.state, func.count(), func.min(SlaMonth.measured_until)).where(SlaMonth.month == month).group_by(SlaMonth.state)
        known = {state: (count, measured) for state, count, measured in desk.session.execute(query)}
        open_ = known.get("open")
        whole = not known or open_ is not None and (open_[1] < until or not _asked(desk, month))
    if at >= until + GRACE and open_ is not None:
        return close(office, month)
    return recount(office, month) if at >= until + SETTLED and whole else 0


def recount(office: Office, month: str, actor: Actor = SYSTEM) -> int:
    """Measure a month whole, or as much of it as is over, and count it with what the store says of its quality; how many services have it."""
    with office.reading(actor) as desk:
        desk.demand("sla.write")
        _whole(desk)
        since, until = facts.span_of(desk, month)
    until = min(until, office.clock().replace(second=0, microsecond=0))
    if until <= since:
        raise Refusal("invalid", f"the month {month} has not begun", "month")
    run(office, since, until, actor)
    first, last = second(since), second(until)
    with office.reading(actor) as desk:
        ids = [one.row.id for one in facts.load(desk, since, until)]
        quality = dict(reading.quality(desk, ids, first, last))
    done = 0
    for lot in lots(ids, LOT):
        done += office.act(actor, lambda desk, lot=lot: len(months.settle(desk, _services(desk, lot), month, quality)))         # type: ignore[misc]
    return done


def close(office: Office, month: str, actor: Actor = SYSTEM) -> int:
    """Measure a month once more and close it; how many services have it closed now. Refusal: it is not over, not all of it is there, or somebody's objection
    was not decided on."""
    with office.reading(actor) as desk:
        demand_close(desk, month)
    recount(office, month, actor)
    with office.reading(actor) as desk:
        query: Any = desk.select(SlaMonth).where(SlaMonth.month == month, SlaMonth.state == "open")
        ids = sorted(desk.session.execute(query.with_only_columns(SlaMonth.id)).scalars())

    def some(desk: Desk, lot: list[str]) -> int:
        return months.close(desk, list(desk.session.execute(select(SlaMonth).where(SlaMonth.id.in_(lot)).with_for_update()).scalars()))
    return sum(office.act(actor, lambda desk, lot=lot: some(desk, lot)) for lot in lots(ids, LOT))          # type: ignore[misc]


def demand_close(desk: Desk, month: str) -> None:
    """Refusal where a month can't be closed, or not by who acts. The program itself closes it when the time to object is over, whatever is left undecided."""
    desk.demand("sla.approve")
    _whole(desk)
    since, until = facts.span_of(desk, month)
    if desk.now < until:
        raise Refusal("conflict", f"the month {month} is not over", "month", "close it afterwards")
    left = desk.session.execute(select(func.count()).select_from(Reclassification).where(
        Reclassification.state == "proposed", Reclassification.since < until, Reclassification.until > since)).scalar_one()
    if left and desk.actor is not SYSTEM:
        raise Refusal("conflict", f"{left} reclassifications of it are not decided on", "month", "approve or reject them first")


def _whole(desk: Desk) -> None:
    """Refusal for who does not see all: minutes are judged by their neighbours, of all regions at once."""
    if desk.actor.limited:
        raise Refusal("forbidden", "minutes are measured, and months closed, of all regions at once", mend="ask a colleague who sees all")


def close_job(office: Office, argument: Mapping[str, Any]) -> int:
    """A job: close a month that somebody who may has asked to close."""
    from bss.people.entry import actor_of
    from bss.tables import User

    with office.reading() as desk:
        user = desk.session.get(User, str(argument.get("user") or ""))
    return close(office, str(argument["month"]), SYSTEM if user is None else actor_of(user))


def _settle(office: Office, month: str, ids: list[str] | None = None) -> int:
    with office.reading() as desk:
        if ids is None:
            since, until = facts.span_of(desk, month)
            ids = [one.row.id for one in facts.load(desk, since, min(until, months.mark(desk) or since))]
    done = 0
    for lot in lots(ids, LOT):
        done += office.act(SYSTEM, lambda desk, lot=lot: len(months.settle(desk, _services(desk, lot), month)))            # type: ignore[misc]
    return done


def _services(desk: Desk, ids: list[str]) -> list[Service]:
    return list(desk.session.execute(select(Service).where(Service.id.in_(ids)).order_by(Service.id)).scalars())


def _asked(desk: Desk, month: str) -> bool:
    """Whether the store was asked for a month's quality when it was whole."""
    rows = desk.session.execute(select(SlaMonth.evidence).where(SlaMonth.month == month, SlaMonth.state == "open").limit(50)).scalars()
    return all("digest" in one for one in rows)


def _marked(desk: Desk, until: datetime) -> None:
    row = desk.session.get(SlaMark, 1, with_for_update=True)
    if row is None:
        desk.session.add(SlaMark(id=1, measured_until=until))
    elif row.measured_until < until:
        row.measured_until = until
    desk.session.flush()


def _month_begin(office: Office, at: datetime) -> datetime:
    local = at.astimezone(office.settings.zone)
    return max(EPOCH, begin_of(date(local.year, local.month, 1), office.settings.zone))


def _name(office: Office, at: datetime) -> str:
    return f"{at.astimezone(office.settings.zone):%Y-%m}"
