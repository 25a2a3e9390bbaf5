"""Qualification (TMF645): whether an enquiry or an order can be delivered, by the resources of its region and what is free on them as the probe measures it.

A leased line needs a port, a VLAN and a prefix, broadband an ONU and a VLAN, WLAN an access point. What is free is the least of a candidate and of all that it
hangs on (an ONU on its splitter, PON port and OLT), by what is kept for orders and what the probe measured in 28 days, not by nameplate. Where nothing is
measured, what is promised to services is taken in its place, and the answer says so. `alternative`: not at this rate, but at a lower one.
"""
from __future__ import annotations

from typing import Any

from sqlalchemy import Select, select

from bss.catalogue.publishing import version_of
from bss.desk import Desk
from bss.orders.milestone import reach
from bss.orders.transition import needs_check
from bss.orders.wanted import wanted_of
from bss.refusal import Refusal
from bss.services import resource
from bss.tables import Enquiry, ProductOrder, Qualification, Resource, Service, ServiceResource

MOST = 10               # candidates that are kept of each
MBPS = 10 ** 6
#: Kind of service -> the kind of resource that carries it, and those that it needs beside.
NEEDS: dict[str, tuple[str, tuple[str, ...]]] = {"leased_line": ("port", ("vlan", "prefix")), "broadband": ("onu", ("vlan",)), "wlan": ("ap", ())}


def of_order(desk: Desk, order_id: str) -> Qualification:
    """Check an order: each item that takes access. The items are surveyed by it."""
    desk.demand("enquiry.write" if desk.may("enquiry.write") else "order.advance")
    order = desk.find(ProductOrder, order_id)
    if order.state not in ("acknowledged", "pending", "held", "inProgress"):
        raise Refusal("conflict", f"an order that is {order.state} is not checked", f"order {order.number}", "acknowledge it first")
    items = [item for item in order.items if needs_check(desk, item)]
    asked = []
    for item in items:
        wanted, now = wanted_of(item), 0
        own: list[str] = []
        if item.action == "modify" and item.service_id is not None:
            now = max((service := desk.find(Service, item.service_id)).down_bps, service.up_bps)         # it has that much already
            own = sorted(desk.session.execute(select(ServiceResource.resource_id).join(Resource, Resource.id == ServiceResource.resource_id).where(
                ServiceResource.service_id == service.id, Resource.kind == NEEDS.get(service.kind, ("",))[0])).scalars())
        asked.append({"item": item.id, "kind": version_of(desk, item.offering, item.offering_version).kind,
                      "bps": max(max(wanted.down_bps, wanted.up_bps) - now, 0), "count": wanted.count,
                      "resources": own})
    made = _check(desk, asked, order.customer_id, order.region, order_id=order.id, enquiry_id=order.enquiry_id)
    if made.result == "qualified":
        for item in items:
            reach(desk, item, "surveyed", {"qualification": made.id})
    return made


def of_enquiry(desk: Desk, enquiry_id: str) -> Qualification:
    """Check what an enquiry wants."""
    desk.demand("enquiry.write")
    enquiry = desk.find(Enquiry, enquiry_id)
    need = enquiry.need
    asked = [{"item": "", "kind": need["kind"], "bps": max(need["down_bps"], need["up_bps"]), "count": need["count"]}]
    return _check(desk, asked, enquiry.customer_id, enquiry.region, enquiry_id=enquiry.id)


def _check(desk: Desk, asked: list[dict[str, Any]], customer_id: str, region: str, order_id: str | None = None, enquiry_id: str | None = None) -> Qualification:
    found = [_looked(desk, one, region) for one in asked]
    results = {one["result"] for one in found}
    result = "unqualified" if "unqualified" in results else "alternative" if "alternative" in results else "qualified"
    made = desk.add(Qualification(order_id=order_id, enquiry_id=enquiry_id, customer_id=customer_id, region=region, state="done", result=result,
                                  asked={"items": asked}, found={"items": found}, created=desk.now, done=desk.now))
    desk.record("qualification.check", made, after={"result": result, "asked": asked})
    desk.emit("checkServiceQualification.stateChange", made.id, {"id": made.id, "result": result, "order": order_id, "enquiry": enquiry_id})
    return made


def _looked(desk: Desk, asked: dict[str, Any], region: str) -> dict[str, Any]:
    """The candidates of one thing that is wanted, the most room first, and what is missing."""
    need = NEEDS.get(asked["kind"])
    if need is None:
        return {**asked, "result": "qualified", "candidates": [], "why": "no wire is needed for it"}
    main, beside = need
    measured: dict[tuple[str, str], Any] = {}
    own = asked.get("resources") or []
    ids = own or [one.resource_id for one in resource.candidates(desk, region, main, 0)]
    found = sorted((_candidate(desk, one, measured) for one in ids), key=lambda one: (-one["free_bps"], one["name"]))
    missing = [] if own else [f"no free {kind} is in the region" for kind in beside if len(resource.candidates(desk, region, kind, 0)) < asked["count"]]
    room = [one for one in found if one["known"] and one["free_bps"] >= asked["bps"]]
    shown = {**asked, "candidates": found[:MOST], "measured": any(part["measured_p95_bps"] is not None for one in room for part in one["chain"])}
    if missing:
        return {**shown, "result": "unqualified", "why": "; ".join(missing)}
    if room and (own or _fit(room, asked["bps"], asked["count"])):
        return {**shown, "result": "qualified", "why": ""}
    best = max((one["free_bps"] for one in found if one["known"]), default=0) // MBPS
    if not own and not found:
        return {**shown, "result": "unqualified", "why": f"no free {main} is in the region"}
    if 0 < best < asked["bps"] / MBPS:
        why = f"at most {best} Mbit/s are free, {asked['bps'] / MBPS:g} are asked for"
        return {**shown, "result": "alternative", "alternative_bps": best * MBPS, "why": why}
    why = "no capacity is noted of what could carry it" if not any(one["known"] for one in found) else f"room for fewer than {asked['count']}" if room \
        else "nothing is free on what could carry it"
    return {**shown, "result": "unqualified", "why": why}


def _fit(room: list[dict[str, Any]], bps: int, count: int) -> bool:
    """Whether so many fit at once: those that hang on the same share what it has free."""
    left = {part["resource"]: part["free_bps"] for one in room for part in one["chain"]}
    taken = 0
    for one in room:
        if all(left[part["resource"]] >= bps for part in one["chain"]):
            taken += 1
            for part in one["chain"]:
                left[part["resource"]] -= bps
    return taken >= count


def _candidate(desk: Desk, resource_id: str, measured: dict[tuple[str, str], Any]) -> dict[str, Any]:
    """A resource and what it hangs on, as far as a capacity is noted of it; the least that is free."""
    row: Resource | None = desk.find(Resource, resource_id)
    assert row is not None
    told: dict[str, Any] = {"resource": row.id, "name": row.name, "kind": row.kind, "chain": []}
    for _ in range(resource.DEEPEST):
        if row is None:
            break
        if row.capacity_bps:
            room = resource.headroom(desk, row.id, measured)
            told["chain"].append({"resource": row.id, "name": row.name, "kind": row.kind, "capacity_bps": room.capacity_bps, "reserved_bps": room.reserved_bps,
                                  "used_bps": room.used_bps, "measured_p95_bps": room.measured_p95_bps, "free_bps": room.free_bps})
        row = desk.session.get(Resource, row.parent_id) if row.parent_id else None
    return {**told, "known": bool(told["chain"]), "free_bps": min((one["free_bps"] for one in told["chain"]), default=0)}


def listed(desk: Desk, order_id: str = "", enquiry_id: str = "") -> Select[tuple[Qualification]]:
    """A query of checks, the newest first."""
    desk.demand("enquiry.read")
    query = desk.select(Qualification)
    for column, wanted in ((Qualification.order_id, order_id), (Qualification.enquiry_id, enquiry_id)):
        if wanted:
            query = query.where(column == wanted)
    return query.order_by(Qualification.created.desc(), Qualification.id.desc())
