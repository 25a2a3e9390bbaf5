"""Interactions (TMF683): every contact with a customer, with the channel it came by. What was said is sealed; an interaction is noted, never changed."""
from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Select

from bss.desk import Desk
from bss.moment import iso
from bss.parties.contact import written
from bss.refusal import Refusal
from bss.tables import Customer, Interaction
from bss.tables.party import CHANNELS

NOTE = 4000             # letters
DIRECTIONS = ("in", "out")


def note(desk: Desk, *, customer_id: str, channel: str, subject: str, note: str = "", direction: str = "in", time: datetime | None = None) -> Interaction:
    """Note a contact. time: when it was; now where it is not given."""
    desk.demand("interaction.write")
    customer = desk.see(Customer, customer_id)
    if customer.merged_into is not None:
        raise Refusal("conflict", f"customer {customer.number} was merged into another one", "customer", f"take {customer.merged_into}")
    if channel not in CHANNELS:
        raise Refusal("invalid", f"{channel!r} is no channel", "channel", f"channels are {', '.join(CHANNELS)}")
    if direction not in DIRECTIONS:
        raise Refusal("invalid", f"{direction!r} is no direction", "direction", "write in or out")
    when = time or desk.now
    if when > desk.now + timedelta(minutes=5):
        raise Refusal("invalid", f"{iso(when)} has not been yet", "interactionDate", "note what has happened")
    row = desk.add(Interaction(customer_id=customer.id, time=when, channel=channel, direction=direction, subject=written(subject, "subject", 200),
                               note=written(note, "note", NOTE, empty=True) or None, user_id=desk.actor.id or None))
    desk.record("interaction.create", row, after={"customer": customer.id, "channel": channel, "direction": direction})
    desk.emit("partyInteraction.create", row.id, {"id": row.id, "customer": customer.id, "channel": channel})
    return row


def listed(desk: Desk, *, customer: str = "", channel: str = "", since: datetime | None = None, until: datetime | None = None) -> Select[tuple[Interaction]]:
    """A query of interactions, newest first."""
    desk.demand("customer.read")
    query = desk.select(Interaction)
    if customer:
        query = query.where(Interaction.customer_id == customer)
    if channel:
        query = query.where(Interaction.channel == channel)
    if since:
        query = query.where(Interaction.time >= since)
    if until:
        query = query.where(Interaction.time < until)
    return query.order_by(Interaction.time.desc(), Interaction.id.desc())
