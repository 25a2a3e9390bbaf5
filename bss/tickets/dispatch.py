"""Sending somebody: field staff or a contractor (代维), for a ticket or an item of an order, with a checklist that he answers and photos that he attaches.

assigned -> accepted -> arrived -> done; declined with a reason until he has arrived, cancelled by who sent him. Who is done without an answer that is needed
says why, and his scorecard knows. What is refused is on record.
"""
from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, select

from bss import identifier
from bss.course import Course
from bss.desk import Desk
from bss.moment import iso
from bss.refusal import Refusal
from bss.tables import Attachment, Dispatch, OrderItem, ProductOrder, Ticket, Transition, User
from bss.tables.field import DISPATCHES
from bss.tickets import template
from bss.tickets.checklist import Checklist, Judged, judge
from bss.tickets.roster import worker
from bss.tickets.ticket import assign, unfinished

STATES = ("assigned", "accepted", "arrived", "done", "declined", "cancelled")
OPEN = ("assigned", "accepted", "arrived")
TABLE: dict[str, tuple[str, ...]] = {"assigned": ("accepted", "declined", "cancelled"), "accepted": ("arrived", "declined", "cancelled"),
                                     "arrived": ("done", "cancelled"), "done": (), "declined": (), "cancelled": ()}
MEANING = {"assigned": "he has not answered yet", "accepted": "he is on his way", "arrived": "he is there", "done": "the work is done",
           "declined": "he has declined it", "cancelled": "it was called off"}
COURSE = Course("a dispatch", TABLE, MEANING, ": send somebody anew")
ANSWER = timedelta(minutes=30)              # in which who is sent accepts, where nothing else is said
LONGEST = timedelta(days=60)


def refusal(before: str, to: str) -> str:
    """Why a dispatch may not go from one state to another: one sentence; '' where it may."""
    return COURSE.refusal(before, to, lambda: {
        "assigned": "it was assigned before: send somebody else with a dispatch of his own", "accepted": f"a dispatch that is {before} was accepted before",
        "declined": "who has arrived does not decline any more: he is done, or it is cancelled"}.get(to, ""))


def send(desk: Desk, *, kind: str, owner_id: str, task: str, ticket_id: str | None = None, item_id: str | None = None, site: str | None = None,
         checklist: str = "", due: datetime | None = None) -> Dispatch:
    """Send somebody. kind: repair, install, survey; due: when he has accepted it, in 30 minutes where it is left out; checklist: of that kind where it is left
    out. The ticket is his from then on. Refusal: nothing that he is sent for, or he is under way for it already."""
    desk.demand("dispatch.write")
    if kind not in DISPATCHES:
        raise Refusal("invalid", f"{kind!r} is no kind of dispatch", "kind", f"kinds are {', '.join(DISPATCHES)}")
    if (ticket_id is None) == (item_id is None):
        raise Refusal("invalid", "somebody is sent for a ticket or for an item of an order", "ticket, item", "name one of them")
    if not task.strip() or len(task) > 400 or not task.isprintable():
        raise Refusal("invalid", "what is to be done is said in at most 400 printable letters", "task")
    when = due or desk.now + ANSWER
    if not desk.now < when <= desk.now + LONGEST:
        raise Refusal("invalid", f"it is accepted after now and within {LONGEST.days} days", "due")
    ticket = desk.find(Ticket, ticket_id, lock=True) if ticket_id else None
    if ticket is not None:
        unfinished(desk, ticket, "dispatch.send", owner=owner_id)
    subject: Ticket | ProductOrder = ticket if ticket else desk.find(ProductOrder, desk.find(OrderItem, item_id, lock=True).order_id)
    user = worker(desk, owner_id, subject.region, "owner")
    under_way = select(Dispatch.number).where(Dispatch.owner_id == user.id, Dispatch.state.in_(OPEN),
                                              Dispatch.ticket_id == ticket_id if ticket_id else Dispatch.item_id == item_id).limit(1)
    if (known := desk.session.execute(under_way).scalar()) is not None:
        raise Refusal("conflict", f"{user.login} is under way for it already", f"dispatch {known}", "cancel that first")
    document = template.current(desk, "checklist", checklist or kind)
    if document.document.visit != kind:
        raise Refusal("invalid", f"checklist {document.key} is for {document.document.visit}", "checklist", f"name one for {kind}")
    key = identifier.fresh(Dispatch.LETTER)
    row = desk.add(Dispatch(id=key, number=f"PD{desk.now.astimezone(desk.office.settings.zone):%Y%m%d}-{key[-6:]}", kind=kind, ticket_id=ticket_id,
                            item_id=item_id, customer_id=subject.customer_id, region=subject.region, owner_id=user.id, task=task.strip(), site=site,
                            checklist=document.key, checklist_version=document.version, assigned=desk.now, due=when, made_by=desk.actor.id or None))
    _noted(desk, row, "", "assigned")
    desk.record("dispatch.send", row, after={"kind": kind, "owner": user.id, "ticket": ticket_id, "item": item_id, "due": iso(when)})
    desk.emit("workOrder.create", row.id, {"id": row.id, "number": row.number, "kind": kind, "owner": user.id, "ticket": ticket_id, "item": item_id,
                                           "due": when})
    if ticket is not None and ticket.owner_id != user.id:
        assign(desk, ticket.id, user.id)
    _mail(desk, row, user)
    return row


def move(desk: Desk, dispatch_id: str, to: str, reason: str = "", answers: Mapping[str, Any] | None = None, version: int | None = None) -> Dispatch:
    """Accept, arrive, be done, decline or cancel. Refusal `conflict` with one sentence why not; the attempt is in the audit log."""
    try:
        row = _mine(desk, dispatch_id, "dispatch.write" if to == "cancelled" else "")
        if why := refusal(row.state, to):
            raise Refusal("conflict", why, f"dispatch {row.number}", f"it can become {', '.join(TABLE[row.state]) or 'nothing else'}")
        if to in ("declined", "cancelled") and not reason.strip():
            raise Refusal("invalid", f"a reason is needed for {to}", "reason", "give one sentence")
        if answers is not None:
            row.answers = judge(questions(desk, row), {**row.answers, **answers}, photos(desk, row.id)).answers
        if to == "done" and (missing := judged(desk, row).missing) and not reason.strip():
            raise Refusal("conflict", f"the checklist still lacks {', '.join(missing)}", f"dispatch {row.number}",
                          "answer it, attach the photo, or say why not")
        desk.fresh(row, version)
        before, row.state = row.state, to
        if to in ("accepted", "arrived", "done"):
            setattr(row, to, desk.now)
        if reason.strip():
            row.reason = reason.strip()[:400]
        _noted(desk, row, before, to, reason)
        desk.record("dispatch.move", row, {"state": before}, {"state": to, "lacks": list(judged(desk, row).missing) if to == "done" else []}, reason)
        desk.emit("workOrder.stateChange", row.id, {"id": row.id, "number": row.number, "from": before, "to": to, "ticket": row.ticket_id})
        return row
    except Refusal as refused:
        raise desk.deny("dispatch.move", ("dispatch", dispatch_id), refused, to=to, reason=reason) from None


def call_off(desk: Desk, ticket_id: str, why: str) -> int:
    """Nobody is under way for a ticket that was withdrawn; how many were."""
    rows = desk.session.execute(select(Dispatch).where(Dispatch.ticket_id == ticket_id, Dispatch.state.in_(OPEN)).order_by(Dispatch.id).with_for_update())
    count = 0
    for row in rows.scalars().all():
        before, row.state, row.reason = row.state, "cancelled", why[:400]
        row.version += 1
        count += 1
        _noted(desk, row, before, "cancelled", why)
        desk.record("dispatch.move", row, {"state": before}, {"state": "cancelled"}, why)
        desk.emit("workOrder.stateChange", row.id, {"id": row.id, "number": row.number, "from": before, "to": "cancelled", "ticket": ticket_id})
    return count


def answer(desk: Desk, dispatch_id: str, answers: Mapping[str, Any], version: int | None = None) -> Dispatch:
    """Answer some of the checklist's questions; what was answered before stays."""
    row = _mine(desk, dispatch_id)
    if row.state not in ("accepted", "arrived"):
        raise desk.deny("dispatch.answer", row, Refusal("conflict", f"a dispatch that is {row.state} has nothing to be answered", f"dispatch {row.number}",
                                                        "accept it first" if row.state == "assigned" else "send somebody anew"))
    found = judge(questions(desk, row), {**row.answers, **answers}, photos(desk, row.id))
    desk.fresh(row, version)
    row.answers = found.answers
    desk.record("dispatch.answer", row, after={"answers": found.answers})
    return row


def _mine(desk: Desk, dispatch_id: str, permission: str = "") -> Dispatch:
    """A dispatch of the actor's, or of anybody to who may send."""
    desk.demand(permission or ("order.install" if desk.may("order.install") else "ticket.work"))
    row = desk.find(Dispatch, dispatch_id, lock=True)
    if row.owner_id != desk.actor.id and not desk.may("dispatch.write"):
        raise Refusal("forbidden", "somebody else was sent", f"dispatch {row.number}", "leave it to him, or have it sent to you")
    return row


def questions(desk: Desk, row: Dispatch) -> Checklist:
    """Its checklist, as it was when he was sent."""
    found: Checklist = template.version_of(desk, "checklist", row.checklist, row.checklist_version)
    return found


def photos(desk: Desk, dispatch_id: str) -> int:
    """How many photos are attached to it."""
    return desk.session.execute(select(func.count()).select_from(Attachment).where(
        Attachment.entity == "dispatch", Attachment.entity_id == dispatch_id, Attachment.media_type.like("image/%"))).scalar_one()


def judged(desk: Desk, row: Dispatch) -> Judged:
    """What its answers come to now."""
    return judge(questions(desk, row), row.answers, photos(desk, row.id))


def listed(desk: Desk, state: str = "", owner: str = "", ticket: str = "", item: str = "", region: str = "", overdue: bool = False) -> Select[tuple[Dispatch]]:
    """A query of dispatches, the newest first. overdue: that should have been accepted by now."""
    desk.demand("ticket.read")
    query = desk.select(Dispatch)
    for column, wanted in ((Dispatch.state, state), (Dispatch.owner_id, owner), (Dispatch.ticket_id, ticket), (Dispatch.item_id, item),
                           (Dispatch.region, region)):
        if wanted:
            query = query.where(column == wanted)
    if overdue:
        query = query.where(Dispatch.state == "assigned", Dispatch.due < desk.now)
    return query.order_by(Dispatch.assigned.desc(), Dispatch.id.desc())


def find(desk: Desk, dispatch_id: str) -> Dispatch:
    """One of them. Refusal `missing`."""
    desk.demand("ticket.read")
    return desk.find(Dispatch, dispatch_id)


def history(desk: Desk, row: Dispatch) -> list[Transition]:
    """Its steps, the first first."""
    return list(desk.session.execute(select(Transition).where(Transition.entity == "dispatch", Transition.entity_id == row.id).order_by(
        Transition.time, Transition.id)).scalars())


def _noted(desk: Desk, row: Dispatch, before: str, to: str, reason: str = "") -> None:
    desk.add(Transition(entity="dispatch", entity_id=row.id, from_state=before, to_state=to, time=desk.now, user_id=desk.actor.id or None,
                        reason=reason.strip()[:400]))


def _mail(desk: Desk, row: Dispatch, user: User) -> None:
    from bss.language import words
    from bss.working import mail

    if user.email:
        say, zone = words(desk.office.settings.lang), desk.office.settings.zone
        values = {"number": row.number, "due": iso(row.due, zone) or ""}
        mail.write(desk, user.email, say("dispatch.mail_subject", **values), say("dispatch.mail_text", **values), f"{row.id}/assigned")
