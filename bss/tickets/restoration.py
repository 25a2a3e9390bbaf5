"""Whether a fault is over, by what was measured: nobody resolves an outage or poor quality that the traffic says goes on.

It is over where the last five measured minutes of the service are healthy (traffic.py); it was restored with the first minute of that healthy run. A line that
carries nothing says nothing by its traffic: there a link state that says up, since it broke, or a minute of a speed test that carried the share of the ordered
rate, is taken: one of the last hour, before which the fault was seen and after which nothing is wrong. Where the store can't be asked nothing is guessed, and
it is refused.
"""
from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import select

from bss.desk import Desk
from bss.moment import iso
from bss.orders.verifying import needed_bytes
from bss.refusal import Refusal
from bss.tables import Service, Ticket
from bss.tickets import linkstate, plant, states, traffic

HEALTHY = 5                             # measured minutes, one after the other
RECENT = timedelta(minutes=15)          # how old the last of them may be
TESTED = timedelta(hours=1)             # how old a speed test may be
LONGEST = timedelta(days=35)            # that is looked back
MOST = 200                              # services that are looked at for one ticket
BEYOND = "wait for it, or have a second person resolve it with a reason (override)"


class Restored(NamedTuple):
    """When a fault was over, and how that is known: traffic, link, speed_test, override, cleared; none: nothing had to be measured."""
    at: datetime | None
    how: str
    evidence: dict[str, Any]


class Silence(Exception):
    """A line that carries nothing, and of which nobody else says anything."""


def check(desk: Desk, row: Ticket) -> Restored:
    """When a ticket's fault was over. Refusal `conflict`: it is not, and by what that is seen; `away`: the store does not answer."""
    if row.kind not in states.MEASURED:
        return Restored(desk.now, "none", {})
    if row.service_id is not None:
        service = desk.session.get_one(Service, row.service_id)
        try:
            return of_service(desk, row, service)
        except Silence:
            raise Refusal("conflict", f"service {service.circuit} carries nothing, and no link state, ping or speed test says it is up", f"ticket {row.id}",
                          "have a speed test made, or have a second person resolve it with a reason (override)") from None
    return _of_many(desk, row)


def _of_many(desk: Desk, row: Ticket) -> Restored:
    """Of a resource or customer: none of its services is still down, and one at least is back; those that carry nothing say nothing."""
    found: list[tuple[Service, Restored]] = []
    idle = 0
    services = _services(desk, row)
    for service in services:
        try:
            found.append((service, of_service(desk, row, service)))
        except Silence:
            idle += 1
        except Refusal as refusal:
            if refusal.kind == "away":
                raise
            raise Refusal("conflict", f"one of {len(services)} services is not back: {refusal.what}", f"ticket {row.id}", refusal.mend) from None
    if found:
        last, one = max(((one.at or desk.now), one) for _, one in found)
        return Restored(last, one.how, {**one.evidence, "services": len(services), "back": len(found), "silent": idle})
    if row.resource_id is not None and (up := linkstate.up_since(desk, [row.resource_id], row.began, _workers(desk, row))) is not None:
        return Restored(max(up.since, row.began), "link", {"table": "link_state", "source": up.source, **up.evidence})
    raise Refusal("conflict", f"none of {len(services)} services carries anything, and no link state says that they are up", f"ticket {row.id}", BEYOND)


def of_service(desk: Desk, row: Ticket, service: Service) -> Restored:
    """The same of one service. Silence: it carries nothing, and nobody says anything."""
    if not service.covered:
        return _by_link(desk, row, service, {"covered": False})
    since = max(row.began, desk.now - LONGEST)
    quality = row.kind == "quality"
    usual = traffic.usual_rtt(desk, service.id, row.began) if quality else None
    minutes = traffic.minutes(desk, service.id, since, desk.now)
    told = {"table": "usage_1m", "service": service.id, "from": iso(since), "to": iso(desk.now)}
    run = traffic.trailing(minutes, lambda one: not traffic.ailment(one, quality, usual))
    last = next((one for one in reversed(minutes) if one.covered), None)
    if last is None or desk.now - last.begin > RECENT:
        seen = "was not measured since it broke" if last is None else f"was last measured at {iso(last.begin)}"
        raise Refusal("conflict", f"service {service.circuit} {seen}", f"ticket {row.id}", BEYOND)
    if run is not None and run.length >= HEALTHY:
        return Restored(max(run.begin, row.began), "traffic", {**told, "first_healthy": iso(run.begin), "healthy_minutes": run.length})
    if run is not None:
        raise Refusal("conflict", f"service {service.circuit} is healthy since {iso(run.begin)}: {run.length} of {HEALTHY} minutes", f"ticket {row.id}",
                      "try again in some minutes")
    quiet = traffic.trailing(minutes, traffic.silent)
    if quiet is None:
        raise Refusal("conflict", f"the minute {iso(last.begin)} of service {service.circuit} {traffic.ailment(last, quality, usual)}", f"ticket {row.id}",
                      BEYOND)
    down, up = (needed_bytes(rate, service.class_) for rate in (service.down_bps, service.up_bps))
    seen_down = next((one.begin for one in minutes if one.covered and one.begin >= row.began and traffic.ailment(one, quality, usual)), desk.now)
    tested = [one for one in minutes if one.covered and one.down_bytes and one.down_bytes >= down and one.up_bytes >= up and one.begin > seen_down
              and one.begin >= desk.now - TESTED]
    if tested and any(one.covered and one.begin > tested[-1].begin and not traffic.silent(one) and traffic.ailment(one, quality, usual) for one in minutes):
        tested = []             # something went over it since, and was not healthy
    if tested and not linkstate.down_now(desk, service.id):
        return Restored(tested[-1].begin, "speed_test", {**told, "minute": iso(tested[-1].begin), "down_bytes": tested[-1].down_bytes,
                                                         "up_bytes": tested[-1].up_bytes, "needed_down_bytes": down, "needed_up_bytes": up})
    return _by_link(desk, row, service, told)


def _by_link(desk: Desk, row: Ticket, service: Service, told: dict[str, Any]) -> Restored:
    if (down := linkstate.down_now(desk, service.id)) is not None:
        raise Refusal("conflict", f"service {service.circuit} is down since {iso(down.since)}, says {down.source}", f"ticket {row.id}", BEYOND)
    up = linkstate.up_since(desk, [service.id, *plant.own(desk, service.id)], row.began, _workers(desk, row))
    if up is None:
        raise Silence
    return Restored(max(up.since, row.began), "link", {**told, "link_state": up.source, "up_since": iso(up.since), **up.evidence})


def _workers(desk: Desk, row: Ticket) -> list[str | None]:
    """Whose word is no evidence: that of who resolves it, works on it or said that it was restored. A colleague's or a system's is."""
    return [desk.actor.id or None, row.owner_id, row.claimed_by]


def _services(desk: Desk, row: Ticket) -> list[Service]:
    """The services whose traffic tells of a ticket without one: of its children, else behind its resource, else its customer's."""
    children = select(Ticket.service_id).where(Ticket.parent_id == row.id, Ticket.service_id.is_not(None), Ticket.state.in_(states.OPEN))
    query = select(Service).where(Service.id.in_(children), Service.state == "active").order_by(Service.id).limit(MOST)
    found = list(desk.session.execute(query).scalars())
    if not found and row.resource_id is not None:
        found = plant.behind(desk, row.resource_id)[:MOST]
    if not found and row.resource_id is None and row.customer_id is not None:
        query = select(Service).where(Service.customer_id == row.customer_id, Service.state == "active").order_by(Service.id).limit(MOST)
        found = list(desk.session.execute(query).scalars())
    return found
