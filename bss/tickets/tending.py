"""What happens to tickets by time alone: what is resolved is closed after 72 hours, who has to act is reminded on working days 1, 3 and 5 and then it is
resolved without his reply, what flaps comes to rest, what outlasts the window that explained it becomes a ticket, and storms and customers who were not seen
to yet are."""
from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from bss.desk import Desk
from bss.refusal import Refusal
from bss.tables import Alarm, Service, Ticket, User, Window
from bss.tickets import alarm, restoration, states, storm, telling
from bss.tickets.ticket import noted, said
from bss.tickets.timetable import calendar_of
from bss.tickets.transition import step
from bss.working import mail

REMINDED = (1, 3, 5)            # working days of waiting
MOST = 2000                     # of one round
WORDS = {"en": ("Ticket {id} waits for its customer", "It waits since {since}. Reminder {n} of 3; after that it is resolved without a reply."),
         "zh": ("故障单 {id} 等待客户处理", "自 {since} 起等待客户。第 {n}/3 次提醒,之后将按无回复解决。")}
ASKED = {"en": ("Ticket {id} waits for your answer", "Your ticket {id} has waited for you since {since}. Please answer. This is reminder {n} of 3; "
                "without a reply we take the fault to be over."),
         "zh": ("故障单 {id} 等待您的回复", "您的故障单 {id} 自 {since} 起等待您处理,请予回复。这是第 {n}/3 次提醒;如无回复,将按故障已排除处理。")}


def tend(desk: Desk, argument: Mapping[str, Any] | None = None) -> dict[str, int]:
    """Duty of each minute: what outlasted its window, storms, customers to be told, flapping, closing."""
    desk.demand("system.run")
    return {"outlasted": outlasted(desk), "storms": len(storm.gather(desk)), "told": telling.tell(desk), "calmed": calm(desk), "closed": close(desk)}


def outlasted(desk: Desk) -> int:
    """Alarms that stand though what kept them from being a ticket is over, a planned window or that the service was not active, become one; how many."""
    over = Window.state.not_in(("approved",)) | (Window.until <= desk.now)
    query = select(Alarm, Window.until).outerjoin(Window, Window.id == Alarm.suppressed).outerjoin(Service, Service.id == Alarm.service_id).where(
        Alarm.state != "cleared", (Window.id.is_not(None) & over) | ((Alarm.suppressed == "inactive") & (Service.state == "active")))
    events = []
    for row, until in desk.session.execute(query.order_by(Alarm.id).limit(alarm.LOT)).tuples():
        since = min(max(row.raised, until or desk.now), desk.now)
        events.append(alarm.Event(row.source, f"{row.id}/outlasted/{int(since.timestamp())}", row.key, "updated", row.kind, row.severity, desk.now, row.summary,
                                  service=row.service_id or "", resource=row.resource_id or "", customer=row.customer_id or "",
                                  alert_id=str(row.evidence.get("alert_id", "")), evidence={**row.evidence, "outlasted": row.suppressed}, began=since))
    return alarm.take(desk, events).opened if events else 0


def close(desk: Desk) -> int:
    """Close what was resolved 72 hours ago; how many."""
    query = select(Ticket).where(Ticket.state == "resolved", Ticket.resolved <= desk.now - states.CONFIRM).order_by(Ticket.id).limit(MOST)
    rows = desk.session.execute(query.with_for_update(skip_locked=True)).scalars().all()
    for row in rows:
        row.version += 1
        step(desk, row, "closed", said(desk, "confirmed"))
    return len(rows)


def calm(desk: Desk) -> int:
    """What flapped and was not raised for an hour does no more; where it is clear and nobody has worked on it, it is resolved. How many."""
    query = select(Ticket).where(Ticket.flapping.is_(True), Ticket.state.not_in(states.TERMINAL), Ticket.updated <= desk.now - states.FLAPPING)
    count = 0
    for row in desk.session.execute(query.order_by(Ticket.id).limit(MOST).with_for_update(skip_locked=True)).scalars().all():
        if row.raises and datetime.fromisoformat(row.raises[-1]) > desk.now - states.FLAPPING:
            continue
        row.flapping, count = False, count + 1
        row.version += 1
        noted(desk, row, "clear", said(desk, "calm"))
        standing = desk.session.execute(select(func.count()).select_from(Alarm).where(Alarm.ticket_id == row.id, Alarm.state != "cleared")).scalar_one()
        to = states.cleared(row.state, row.responded is not None, False)
        if row.cleared is not None and not standing and to != row.state:
            row.restored, row.restoration = row.cleared, {"how": "cleared", "flapped": True}
            step(desk, row, to, said(desk, "cleared_alone"))
    return count


def waiting_days(desk: Desk, since: datetime) -> int:
    """Working days after the one on which it began to wait."""
    zone, calendar = desk.office.settings.zone, calendar_of(desk, "workdays")
    first, today = since.astimezone(zone).date(), desk.now.astimezone(zone).date()
    return sum(calendar.works(first + timedelta(days=n)) for n in range(1, (today - first).days + 1))


def remind(desk: Desk, argument: Mapping[str, Any] | None = None) -> dict[str, int]:
    """Duty of each hour: remind of what waits for a customer, and resolve what has waited longer. What the traffic says is still down goes on waiting."""
    desk.demand("system.run")
    made = {"reminded": 0, "resolved": 0}
    query = select(Ticket).where(Ticket.state == "pending", Ticket.pending_since.is_not(None)).order_by(Ticket.pending_since, Ticket.id).limit(MOST)
    for row in desk.session.execute(query.with_for_update(skip_locked=True)).scalars().all():
        days = waiting_days(desk, row.pending_since or desk.now)
        wanted = sum(days >= one for one in REMINDED)
        if days > REMINDED[-1] and row.reminded == len(REMINDED):
            made["resolved"] += _without_reply(desk, row)
        elif wanted > row.reminded:
            row.reminded += 1           # one at a time, however late the worker is
            row.version += 1
            noted(desk, row, "told", said(desk, "reminder", number=row.reminded, all=len(REMINDED)), internal=False)
            desk.emit("troubleTicket.reminder", row.id, {"id": row.id, "customer": row.customer_id, "number": row.reminded})
            _mail(desk, row)
            made["reminded"] += 1
    return made


def _without_reply(desk: Desk, row: Ticket) -> int:
    try:
        found = restoration.check(desk, row)
    except Refusal as refusal:
        desk.emit("troubleTicket.stuck", row.id, {"id": row.id, "why": refusal.kind})
        return 0
    row.restored, row.restoration = found.at, {"how": found.how, **found.evidence}
    row.version += 1
    step(desk, row, "resolved", said(desk, "no_reply"))
    return 1


def _mail(desk: Desk, row: Ticket) -> None:
    """Write to the customer, who has to act, and to the owner, who may call him."""
    if not desk.office.settings.mail.server:
        return
    since = (row.pending_since or desk.now).astimezone(desk.office.settings.zone).strftime("%Y-%m-%d %H:%M")
    values, key = {"id": row.id, "since": since, "n": row.reminded}, f"{row.id}/pending/{len(row.pauses)}/{row.reminded}"
    owner = desk.session.get(User, row.owner_id) if row.owner_id else None
    for whom, words, to in (("", WORDS, owner.email if owner is not None and not owner.disabled else None),
                            ("/customer", ASKED, telling.address_of(desk, row.customer_id) if row.customer_id else None)):
        if to:
            subject, text = words[desk.office.settings.lang]
            mail.write(desk, to, subject.format(**values), text.format(**values), key + whom)
