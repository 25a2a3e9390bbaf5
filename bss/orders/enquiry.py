"""Enquiries: somebody wants something. Looked at on the spot, checked, quoted; won when an order comes of it, or lost."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Select

from bss import identifier
from bss.catalogue.document import Kind
from bss.catalogue.reading import checked
from bss.desk import Desk
from bss.orders.order import enter, ours
from bss.orders.wanted import Line
from bss.refusal import Refusal
from bss.tables import Customer, Enquiry, ProductOrder, Transition
from bss.tables.party import CHANNELS

STATES: dict[str, tuple[str, ...]] = {
    "open": ("surveyed", "quoted", "won", "lost"), "surveyed": ("quoted", "won", "lost"), "quoted": ("surveyed", "won", "lost"), "won": (), "lost": ("open",),
}


class Need(BaseModel):
    """What is wanted: which kind, how fast, by which offering if that is known; note: nothing of a person."""
    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Kind
    offering: Annotated[str, Field(max_length=64)] = ""
    down_bps: Annotated[int, Field(ge=0, le=10 ** 13)] = 0
    up_bps: Annotated[int, Field(ge=0, le=10 ** 13)] = 0
    count: Annotated[int, Field(ge=1, le=1000)] = 1
    note: Annotated[str, Field(max_length=2000)] = ""


def enter_need(desk: Desk, customer_id: str, need: Mapping[str, Any], *, channel: str = "manager", region: str = "", site: str | None = None,
               owner_id: str | None = None, due: datetime | None = None, number: str = "") -> Enquiry:
    """A new enquiry. region: the customer's where it is left out."""
    desk.demand("enquiry.write")
    ours(desk, owner=owner_id, region=region)
    customer = desk.find(Customer, customer_id)
    if channel not in CHANNELS:
        raise Refusal("invalid", f"{channel!r} is no channel", "channel", f"channels are {', '.join(CHANNELS)}")
    settings, region = desk.office.settings, region or customer.region
    if settings.regions and region not in settings.regions:
        raise Refusal("invalid", f"{region!r} is no region", "region", f"regions are {', '.join(settings.regions)}")
    if desk.actor.regions and region not in desk.actor.regions:
        raise Refusal("forbidden", "the region is not one of yours", "region", f"yours are {', '.join(desk.actor.regions)}")
    kept = checked(Need, dict(need), "need").model_dump(mode="json")
    key = identifier.fresh(Enquiry.LETTER)
    row = desk.add(Enquiry(id=key, number=number or f"XQ{desk.now.astimezone(settings.zone):%Y%m%d}-{key[-6:]}", customer_id=customer_id, region=region,
                           channel=channel, need=kept, site=site, owner_id=owner_id or desk.actor.id or None, due=due, created=desk.now))
    desk.record("enquiry.enter", row, after={"need": kept, "channel": channel})
    desk.emit("enquiry.create", row.id, {"id": row.id, "state": row.state})
    return row


def step(desk: Desk, enquiry: Enquiry, to: str, reason: str) -> None:
    """Write a step of an enquiry. Refusal: it does not go there."""
    before = enquiry.state
    if to not in STATES[before]:
        raise Refusal("conflict", f"an enquiry that is {before} does not become {to}", f"enquiry {enquiry.number}",
                      f"it can become {', '.join(STATES[before])}" if STATES[before] else "enter a new one")
    enquiry.state = to
    desk.add(Transition(entity="enquiry", entity_id=enquiry.id, from_state=before, to_state=to, time=desk.now, user_id=desk.actor.id or None,
                        reason=reason[:400]))
    desk.record("enquiry.move", enquiry, {"state": before}, {"state": to}, reason)
    desk.emit("enquiry.stateChange", enquiry.id, {"id": enquiry.id, "from": before, "to": to})


def move(desk: Desk, enquiry_id: str, to: str, reason: str = "", version: int | None = None) -> Enquiry:
    """Move an enquiry. A quoted one has an approved quote; a lost one says why; a won one comes of an order (`win`)."""
    from bss.orders.paper import count

    try:
        desk.demand("enquiry.write")
        enquiry = desk.find(Enquiry, enquiry_id, lock=True)
        desk.fresh(enquiry, version)
        ours(desk, state=to in ("surveyed", "quoted"))
        where = f"enquiry {enquiry.number}"
        if to == "quoted" and not count(desk, enquiry.id, "quote", "approved"):
            raise Refusal("conflict", "it has no quote that is approved", where, "write one and have it approved")
        if to in ("lost", "open") and not reason.strip():
            raise Refusal("invalid", f"a reason is needed for {to}", "reason", "give one sentence")
        if to == "won":
            raise Refusal("conflict", "an enquiry is won by an order of it", where, "enter the order for this enquiry")
        step(desk, enquiry, to, reason)
        return enquiry
    except Refusal as refusal:
        raise desk.deny("enquiry.move", ("enquiry", enquiry_id), refusal, to=to, reason=reason) from None


def survey(desk: Desk, enquiry_id: str, found: Mapping[str, Any], version: int | None = None) -> Enquiry:
    """Note what was found on the spot: distance, power, rack, ducts. It is kept as a paper, and the enquiry is surveyed."""
    from bss.orders.paper import issue

    desk.demand("enquiry.write")
    ours(desk, survey=True)
    enquiry = desk.find(Enquiry, enquiry_id, lock=True)
    desk.fresh(enquiry, version)
    issue(desk, "data", "enquiry", enquiry_id, {"survey": dict(found)})
    if enquiry.state != "surveyed":
        step(desk, enquiry, "surveyed", "surveyed")
    return enquiry


def win(desk: Desk, enquiry_id: str, lines: Sequence[Line], **given: Any) -> ProductOrder:
    """The order that comes of an enquiry, as a draft."""
    desk.demand("order.write")
    enquiry = desk.find(Enquiry, enquiry_id, lock=True)
    order = enter(desk, enquiry.customer_id, lines, enquiry_id=enquiry.id, **{"region": enquiry.region, "channel": enquiry.channel,
                                                                             "owner_id": enquiry.owner_id, **given})
    enquiry.version += 1
    step(desk, enquiry, "won", f"order {order.number}")
    return order


def listed(desk: Desk, state: str = "", region: str = "", customer_id: str = "") -> Select[tuple[Enquiry]]:
    """A query of enquiries, the newest first."""
    desk.demand("enquiry.read")
    query = desk.select(Enquiry)
    for column, wanted in ((Enquiry.state, state), (Enquiry.region, region), (Enquiry.customer_id, customer_id)):
        if wanted:
            query = query.where(column == wanted)
    return query.order_by(Enquiry.created.desc(), Enquiry.id.desc())
