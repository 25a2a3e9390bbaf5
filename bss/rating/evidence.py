"""What a charge was computed from: its services' days, their hours in the order in which they were drawn, and the closed slots of the store, as they were
rated and as they are now. The hours lead on to flows (bss/tracing)."""
from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import select

from bss.charges.allowance import draw
from bss.desk import Desk
from bss.rating import asking, buckets, month, rate, usage
from bss.rating.lines import digest, unpack
from bss.rating.plan import plans
from bss.rating.rate import Tools
from bss.refusal import Refusal
from bss.tables import RatedCharge, Service, UsageHour


class Hour(NamedTuple):
    """A line of usage under the charge's price. bytes = drawn + over; buckets: key -> bytes drawn of it."""
    service_id: str
    begin: datetime
    category: str
    application: str
    rules_version: str
    bytes: int
    drawn: int
    over: int
    buckets: dict[str, int]


class Day(NamedTuple):
    """A service's day as it is kept. whole: its lines still have the digest that they were kept with."""
    service_id: str
    day: str
    revision: int
    state: str
    bytes: int
    digest: str


class Slot(NamedTuple):
    """A closed hour of a source: as it was rated, and as the store has it now, None where it does not answer or has it no more."""
    begin: datetime
    probe: str
    capture: str
    revision: int
    digest: str
    now: str | None

    @property
    def unchanged(self) -> bool | None:
        """Whether its rows are those that were rated; None: nobody can tell."""
        return None if self.now is None else self.now == self.digest


class Chain(NamedTuple):
    """services: of each the time that counts. slot: the five minutes that a 95th percentile is the rate of; away: why the store could not be asked."""
    charge: RatedCharge
    services: list[str]
    since: datetime
    until: datetime
    days: list[Day]
    hours: list[Hour]
    slots: list[Slot]
    slot: tuple[datetime, datetime] | None
    away: str


def of(desk: Desk, charge_id: str) -> Chain:
    """The chain of a charge. Refusal `missing`: there is none for who asks."""
    desk.demand("usage.read")
    charge = desk.find(RatedCharge, charge_id)
    desk.record("usage.trace", charge)
    zone = desk.office.settings.zone
    since, until = month.span(charge.original_period, zone)
    services = [desk.find(Service, one).id for one in sorted(charge.evidence["services"])]
    if "slot" in charge.evidence or charge.unit == "Mbps":
        told = charge.evidence.get("slot")
        slot = None if told is None else (datetime.fromisoformat(told["from"]), datetime.fromisoformat(told["to"]))
        return Chain(charge, services, since, until, [], [], [], slot, "")
    days = [Day(service, day, revision, state, sum(one.up + one.down for one in unpack(lines)), digest(lines).hex())
            for (service, day), (revision, lines, state) in sorted(usage.current(desk, services, f"{charge.original_period}-01",
                                                                                 f"{charge.original_period}-31").items())]
    hours = _hours(desk, charge)
    slots, away = _slots(desk, sorted({month.second(one.begin) for one in hours}))
    return Chain(charge, services, since, until, days, hours, slots, None, away)


def _hours(desk: Desk, charge: RatedCharge) -> list[Hour]:
    """The lines of its price, as they are drawn in order."""
    tools = Tools(desk)
    plan = plans(desk, [charge.customer_id]).get(charge.customer_id)
    if plan is None:
        return []
    period = charge.original_period
    rows = {(row.owner, row.key, row.origin): row for row in buckets.kept(desk, [charge.customer_id], period)[charge.customer_id]}
    pures = []
    for one in buckets.given(desk, plan, tools.catalogue, period):
        for origin in (month.after(period, -1), period):
            if (row := rows.get((one.owner, one.key, origin))) is not None:
                pures.append(buckets.pure(one, period, row.quantity, f"{origin}/{one.key}/{one.owner}", desk))
    lines, _ = rate.lines(desk, plan, usage.of_period(desk, list(plan.spells), period), tools)
    price = f"{charge.evidence['owner']}|{charge.price_key}"
    found = draw(pures, lines, tools.calendar.clock)
    return [Hour(line.service, datetime.fromtimestamp(line.at, UTC), line.category, line.application, line.rules, line.bytes, line.bytes - over, over,
                 dict(parts)) for line, parts, over in found.lines if line.price == price]


def _slots(desk: Desk, hours: list[int]) -> tuple[list[Slot], str]:
    if not hours:
        return [], ""
    begin, end = hours[0], hours[-1] + month.HOUR
    wanted = set(hours)
    query = select(UsageHour).where(UsageHour.hour >= datetime.fromtimestamp(begin, UTC), UsageHour.hour < datetime.fromtimestamp(end, UTC))
    rated = [one for one in desk.session.execute(query.order_by(UsageHour.hour, UsageHour.probe)).scalars() if month.second(one.hour) in wanted]
    away, now = "", {}
    try:
        now = {(one.at, one.probe, one.capture): one.digest for one in asking.hours(desk.office.evidence, begin, end)}
    except Refusal as refusal:
        if refusal.kind != "away":
            raise
        away = refusal.what
    return [Slot(one.hour, one.probe, one.capture, one.revision, one.digest, now.get((month.second(one.hour), one.probe, one.capture))) for one in rated], away
