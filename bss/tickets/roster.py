"""Rosters: who is on duty in a region from when to when, at which level: on duty, lead, manager. A shift of all regions counts where a region has none of its
own; of several that hold, the one that began last. Shifts are cut short, never removed."""
from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Select, select

from bss.desk import Desk
from bss.moment import iso
from bss.refusal import Refusal
from bss.tables import Roster, User
from bss.tables.field import LEVELS

LONGEST = timedelta(days=400)


def add(desk: Desk, *, level: str, user_id: str, since: datetime, until: datetime, region: str = "") -> Roster:
    """A shift. region: empty for all. Refusal: no such level or user, a user who would not see the region, or a time that is none."""
    desk.demand("calendar.write")
    if level not in LEVELS:
        raise Refusal("invalid", f"{level!r} is no level", "level", f"levels are {', '.join(LEVELS)}")
    if not since < until <= since + LONGEST:
        raise Refusal("invalid", f"a shift ends after it begins, and within {LONGEST.days} days", "until")
    known = desk.office.settings.regions
    if region and known and region not in known:
        raise Refusal("invalid", f"{region!r} is no region", "region", f"regions are {', '.join(known)}")
    if desk.actor.regions and region not in desk.actor.regions:
        raise Refusal("forbidden", "the region is not one of yours", "region", f"yours are {', '.join(desk.actor.regions)}")
    user = worker(desk, user_id, region)
    row = desk.add(Roster(level=level, user_id=user.id, region=region, since=since, until=until))
    desk.record("roster.add", row, after={"level": level, "user": user.id, "region": region, "since": iso(since), "until": iso(until)})
    return row


def cut(desk: Desk, roster_id: str, at: datetime | None = None) -> Roster:
    """End a shift earlier, now where no time is given; one that has not begun is as if it were not. Refusal: it is over then."""
    desk.demand("calendar.write")
    row = desk.find(Roster, roster_id, lock=True)
    end = max(at or desk.now, desk.now)
    if end >= row.until:
        raise Refusal("conflict", f"the shift ends {iso(row.until)} anyway", "until", "name an earlier time")
    before = row.until
    row.until = max(end, row.since + timedelta(seconds=1))
    desk.record("roster.cut", row, {"until": iso(before)}, {"until": iso(row.until)})
    return row


def on_duty(desk: Desk, level: str, region: str, at: datetime | None = None) -> User | None:
    """Who is on duty there then; None: nobody who could be told."""
    when = at or desk.now
    query = select(User).join(Roster, Roster.user_id == User.id).where(
        Roster.level == level, Roster.region.in_((region, "")), Roster.since <= when, Roster.until > when, User.disabled.is_(False)).order_by(
        Roster.region.desc(), Roster.since.desc(), Roster.id.desc())
    return desk.session.execute(query.limit(1)).scalars().first()


def listed(desk: Desk, since: datetime | None = None, until: datetime | None = None, region: str = "", level: str = "") -> Select[tuple[Roster]]:
    """A query of shifts, the first first: those of a time, from now on where none is named."""
    desk.demand("ticket.read")
    query = desk.select(Roster).where(Roster.until > (since or desk.now))
    if until is not None:
        query = query.where(Roster.since < until)
    for column, wanted in ((Roster.region, region), (Roster.level, level)):
        if wanted:
            query = query.where(column == wanted)
    return query.order_by(Roster.since, Roster.level, Roster.id)


def worker(desk: Desk, user_id: str, region: str, where: str = "user") -> User:
    """Somebody who works here and may see what is of a region. Refusal: there is none of that id, he is a customer, or the region is not one of his."""
    user = desk.session.get(User, user_id)
    if user is None or user.disabled or "customer" in user.roles:
        raise Refusal("missing", f"there is no user {user_id} who works here", where, "fullspan bss user list")
    if user.regions and region and region not in user.regions:
        raise Refusal("conflict", f"{user.login} does not work in {region}", where, f"his regions are {', '.join(user.regions)}")
    return user
