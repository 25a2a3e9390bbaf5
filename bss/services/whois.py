"""Whose an address was: which service and customer, by which binding, as the probe would stamp it (docs/identity.md). Asked with a reason, and on record."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import and_, or_, select

from bss.asking import Sight, given, several, whole
from bss.desk import Desk
from bss.moment import iso
from bss.refusal import Refusal
from bss.services.binding import holds
from bss.services.spelling import address_of, around, digits
from bss.tables import Binding, Service


class Whose(NamedTuple):
    """An answer. service_id '': nobody's. by: what binds it, such as `prefix 192.0.2.0/24`, or `session`; learned: how a session was known."""
    address: str
    at: datetime
    service_id: str = ""
    customer_id: str = ""
    circuit: str = ""
    by: str = ""
    binding_id: str = ""
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    learned: str = ""


def whois(desk: Desk, address: str, at: datetime, vlan: int | None = None, inner_vlan: int | None = None, reason: str = "", sessions: bool = True) -> Whose:
    """Whose an address was at a moment. A session that was learned on the wire comes first, where a store is named and somebody's user, circuit or MAC
    address is bound; then prefixes in the VLANs, in the VLAN, in none, each the longest first; then the VLANs alone."""
    desk.demand("whois.ask")
    if not reason.strip():
        raise Refusal("invalid", "a reason is needed to ask whose an address was", "reason", "give a ticket's number or a sentence")
    if at.tzinfo is None:
        raise Refusal("invalid", "a time without a zone", "at", "write it as 2026-12-01T08:00:00+08:00")
    number = address_of(address)
    row = of_address(desk, number, at, vlan, inner_vlan)
    found = Whose(address.strip(), at)
    if sessions and desk.office.settings.store != "none" and (learned := _of_session(desk, address.strip(), at, vlan, inner_vlan, row is not None)) is not None:
        found = learned
    else:
        row = row or _of_vlan(desk, at, vlan, inner_vlan)
        if row is not None:
            service = _service(desk, row.service_id)
            found = found._replace(service_id=service.id, customer_id=service.customer_id, circuit=service.circuit, by=row.key, binding_id=row.id,
                                   valid_from=row.valid_from, valid_to=row.valid_to)
    asked = {"address": address.strip(), "at": iso(at), "vlan": vlan, "inner_vlan": inner_vlan}
    desk.record("whois.ask", ("service", found.service_id or "none"), after={**asked, "by": found.by, "binding": found.binding_id}, reason=reason)
    return found


def of_address(desk: Desk, number: int, at: datetime, vlan: int | None = None, inner_vlan: int | None = None) -> Binding | None:
    """The prefix that the probe would take. Every prefix that can hold the address begins at one of 33 (or 129) addresses, so that the index finds them."""
    asked = {"lows": around(number), "high": digits(number), "at": at, "vlan": vlan, "inner_vlan": inner_vlan}
    count = 1 + (vlan is not None) + (vlan is not None and inner_vlan is not None)
    found = _HOLDERS[count - 1].all(desk.session, **{name: asked[name] for name in (*_ALWAYS, "vlan", "inner_vlan")[:2 + count]})
    # their services come along, to be asked once
    desk.session.info["services"] = {service.id: service for _, service in found}
    rows: Sequence[Binding] = [row for row, _ in found]
    return max(rows, key=lambda one: (one.inner_vlan is not None, one.vlan is not None, one.low, -int(one.high, 16)), default=None)


def _holders(vlans: int) -> Sight:
    """Prefixes that hold an address then: in no VLAN, in one too, and in one within one."""
    outer = Binding.vlan == given("vlan")
    where = [Binding.vlan.is_(None), and_(outer, Binding.inner_vlan.is_(None)), and_(outer, Binding.inner_vlan == given("inner_vlan"))][:1 + vlans]
    return Sight(whole(Binding, Service).join(Service, Service.id == Binding.service_id).where(
        Binding.low.in_(several("lows")), Binding.high >= given("high"), *holds(given("at", Binding.valid_from)), or_(*where)), Binding, Service)


_ALWAYS = ("lows", "high", "at")
_HOLDERS = [_holders(vlans) for vlans in range(3)]


def _service(desk: Desk, service_id: str) -> Service:
    """A service that was found. Refusal `missing` where he may not see it: nobody else is named in its place."""
    if desk.actor.limited:
        return desk.see(Service, service_id)
    known: Service | None = desk.session.info.get("services", {}).get(service_id)
    return known or desk.see(Service, service_id)


def _of_vlan(desk: Desk, at: datetime, vlan: int | None, inner_vlan: int | None) -> Binding | None:
    if vlan is None:
        return None
    keys = [f"vlan {vlan}", *([f"vlan {vlan}.{inner_vlan}"] if inner_vlan is not None else [])]
    query: Any = select(Binding).where(Binding.key.in_(keys), *holds(at))
    rows: Sequence[Binding] = list(desk.session.execute(query).scalars())
    return max(rows, key=lambda one: one.inner_vlan is not None, default=None)


def _of_session(desk: Desk, address: str, at: datetime, vlan: int | None, inner_vlan: int | None, bound: bool) -> Whose | None:
    """A session's service, if a user, circuit or MAC address of that service is bound then; a MAC address counts where no prefix is."""
    kinds = [Binding.user != "", Binding.circuit != "", *([] if bound else [Binding.mac != ""])]
    if desk.session.execute(select(Binding.id).where(or_(*kinds)).limit(1)).first() is None:
        return None
    holder = desk.office.evidence.holder(address, at, vlan or 0, inner_vlan or 0)
    if holder is None:
        return None
    query: Any = select(Binding).where(Binding.service_id == holder.service_id, *holds(at), or_(*kinds)).limit(1)
    row: Binding | None = desk.session.execute(query).scalars().first()
    if row is None:
        return None
    service = _service(desk, row.service_id)
    return Whose(address, at, service.id, service.customer_id, service.circuit, "session", row.id, holder.since, None, holder.learned_from)
