"""Customers are told that something is wrong, once: of a storm not of each of their services. An event says so, and a mail where he has an address; neither has
a word of a person but the address that it goes to."""
from __future__ import annotations

from collections import defaultdict
from datetime import timedelta

from sqlalchemy import select

from bss.desk import Desk
from bss.moment import iso
from bss.tables import Contact, Customer, Ticket
from bss.tickets import states
from bss.working import mail

BACK = timedelta(hours=24)
MOST = 5000
KINDS = ("outage", "quality", "attack")
WORDS = {
    "en": ("A fault of your service: {id}",
           "We know since {since} of a fault that affects {count} of your services, and are working on it. Its number is {id}."),
    "zh": ("您的业务出现故障:{id}", "自 {since} 起,您的 {count} 项业务受到故障影响,我们正在处理。故障单号 {id}。"),
}


def tell(desk: Desk) -> int:
    """Tell those who were not told yet; how many customers were. Who was told of one ticket of a cause is not told of the next one of it."""
    desk.demand("alarm.write")
    query = select(Ticket).where(Ticket.told.is_(None), Ticket.customer_id.is_not(None), Ticket.kind.in_(KINDS), Ticket.channel == "alarm",
                                 Ticket.state.in_(states.OPEN), Ticket.created >= desk.now - BACK).order_by(Ticket.id).limit(MOST)
    fresh: dict[tuple[str, str], list[Ticket]] = defaultdict(list)
    for row in desk.session.execute(query.with_for_update(skip_locked=True)).scalars():
        fresh[str(row.customer_id), row.parent_id or row.id].append(row)
    parents = {parent for _, parent in fresh}
    known: set[tuple[str, str]] = set()
    if parents:
        told = select(Ticket.customer_id, Ticket.parent_id).where(Ticket.told.is_not(None), Ticket.parent_id.is_not(None), Ticket.created >= desk.now - BACK)
        known = {(str(customer), str(parent)) for customer, parent in desk.session.execute(told.distinct()) if parent in parents}
    count = 0
    for (customer, parent), rows in fresh.items():
        for row in rows:
            row.told = desk.now
        if (customer, parent) in known:
            continue
        count += 1
        desk.emit("troubleTicket.notice", customer, {"customer": customer, "ticket": parent, "services": [one.service_id for one in rows][:100]})
        if desk.office.settings.mail.server:
            _mail(desk, customer, parent, rows)
    return count


def address_of(desk: Desk, customer_id: str) -> str | None:
    """Where a customer is written to about faults: his technical contact, else the one that he prefers; None: he has no address."""
    contacts = select(Contact).join(Customer, Customer.party_id == Contact.party_id).where(Customer.id == customer_id, Contact.medium == "email")
    held = sorted(desk.session.execute(contacts).scalars(), key=lambda one: (one.role != "technical", not one.preferred, one.id))
    return held[0].value if held else None


def _mail(desk: Desk, customer_id: str, parent: str, rows: list[Ticket]) -> None:
    if address := address_of(desk, customer_id):
        subject, text = WORDS[desk.office.settings.lang]
        values = {"id": parent, "since": iso(min(one.began for one in rows), desk.office.settings.zone), "count": len(rows)}
        mail.write(desk, address, subject.format(**values), text.format(**values), f"notice {customer_id} {parent}")
