"""Moving tickets from state to state: the table of states.py, and the guards. What is refused is explained, and is on record though the act is undone.

Outages and poor quality are resolved by what is measured (restoration.py): nobody ends what the traffic says is still down, but a second person who gives a
reason, which is shown where contractors are judged.
"""
from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select

from bss import identifier
from bss.desk import Desk
from bss.language import state
from bss.moment import iso
from bss.refusal import Refusal
from bss.tables import Ticket, TicketNote, Transition
from bss.tickets import dispatch, restoration, states
from bss.tickets.promise import renew
from bss.tickets.ticket import noted, said, touched

CHILDREN = 5000         # of a ticket, that are proposed to be resolved


def move(desk: Desk, ticket_id: str, to: str, reason: str = "", version: int | None = None) -> Ticket:
    """Move a ticket to a state. Refusal `conflict` with one sentence why not, `away` where what was measured can't be asked for; the attempt is in the audit
    log."""
    try:
        desk.demand("ticket.write" if to in ("closed", "cancelled") or (to == "inProgress" and not desk.may("ticket.work")) else "ticket.work")
        row = desk.find(Ticket, ticket_id, lock=True)
        desk.fresh(row, version)
        if why := states.refusal(row.state, to):
            raise Refusal("conflict", why, f"ticket {row.id}", _ways(row.state))
        if desk.actor.outside and (row.state, to) not in (("resolved", "closed"), ("resolved", "inProgress"), ("acknowledged", "cancelled")):
            raise Refusal("forbidden", "a customer confirms, reopens or withdraws a ticket, and nothing else", f"ticket {row.id}", "add a note to it")
        if (to in states.REASONED or row.state == "resolved" and to == "inProgress") and not reason.strip():
            raise Refusal("invalid", f"a reason is needed for {'reopening' if row.state == 'resolved' else to}", "statusChangeReason", "give one sentence")
        if to == "resolved":
            _restored(row, restoration.check(desk, row))
        elif to in ("rejected", "cancelled"):
            _withdrawn(desk, row, to)
        touched(desk, row)
        step(desk, row, to, reason)
        return row
    except Refusal as refusal:
        raise desk.deny("ticket.move", ("ticket", ticket_id), refusal, to=to, reason=reason) from None


def _withdrawn(desk: Desk, row: Ticket, to: str) -> None:
    """Refusal: it would be got rid of what is still down. A manager may all the same; and the child of an open ticket, for which its cause speaks, may be
    withdrawn by who works on it."""
    if row.kind not in states.MEASURED or desk.may("ticket.override"):
        return
    if desk.actor.outside:
        if row.channel == "alarm":
            raise Refusal("forbidden", "it was opened by what was measured, and is not a customer's to withdraw", f"ticket {row.id}", "add a note to it")
        return
    if row.parent_id is not None and desk.session.get_one(Ticket, row.parent_id).state in states.OPEN:
        return
    try:
        restoration.check(desk, row)
    except Refusal as found:
        raise Refusal(found.kind, f"it is not {to} while it may go on: {found.what}", f"ticket {row.id}",
                      "resolve it when it is over, link it to its cause, or have a manager do it") from None


def act(desk: Desk, ticket_id: str, event: str, reason: str = "", version: int | None = None) -> Ticket:
    """The same by what is done: take, wait, hold, resume, resolve, reject, cancel, close, reopen."""
    row = desk.find(Ticket, ticket_id)
    if why := states.refused(row.state, event):
        refusal = Refusal("conflict", why, f"ticket {row.id}", _ways(row.state))
        raise desk.deny("ticket.move", row, refusal, to=event, reason=reason)
    return move(desk, ticket_id, states.EVENTS[event], reason, version)


def claim(desk: Desk, ticket_id: str, at: datetime | None = None, how: str = "") -> Ticket:
    """Somebody says that it was restored, now or at a time. It stays open until that is measured; the first time that was said is kept beside what was."""
    desk.demand("ticket.work")
    row = desk.find(Ticket, ticket_id, lock=True)
    when = at or desk.now
    if row.state not in states.OPEN:
        raise desk.deny("ticket.claim", row, Refusal("conflict", f"a ticket that is {row.state} is not open", f"ticket {row.id}", "look at its history"))
    if when > desk.now or when < row.began:
        raise desk.deny("ticket.claim", row, Refusal("invalid", "it was restored between its beginning and now", "claimed", f"it began {iso(row.began)}"))
    desk.fresh(row, None)
    touched(desk, row)
    if row.state == "acknowledged":
        step(desk, row, "inProgress", "")
    if row.claimed is None:
        row.claimed, row.claimed_by = when, desk.actor.id or None
    noted(desk, row, "claim", said(desk, "claimed", time=iso(when, desk.office.settings.zone)) + (f": {how}" if how.strip() else ""), {"at": iso(when)})
    desk.record("ticket.claim", row, after={"claimed": iso(when)})
    desk.emit("troubleTicket.claim", row.id, {"id": row.id, "claimed": iso(when), "user": desk.actor.id or None})
    return row


def override(desk: Desk, ticket_id: str, reason: str, version: int | None = None) -> Ticket:
    """Resolve a ticket whatever the traffic says: a second person's act, with a reason. He is neither who says that it was restored nor who works on it."""
    try:
        desk.demand("ticket.override")
        row = desk.find(Ticket, ticket_id, lock=True)
        desk.fresh(row, version)
        if not reason.strip():
            raise Refusal("invalid", "a reason is needed to go beyond what was measured", "reason", "give one sentence")
        if row.claimed is None:
            raise Refusal("conflict", "nobody says that it was restored", f"ticket {row.id}", "who works on it says so first")
        if why := states.refusal(row.state, "resolved"):
            raise Refusal("conflict", why, f"ticket {row.id}", _ways(row.state))
        said_so = desk.session.execute(select(TicketNote.user_id).where(TicketNote.ticket_id == row.id, TicketNote.kind == "claim")).scalars()
        for one in (row.claimed_by, row.owner_id, *said_so):
            desk.another(one, "to go beyond what was measured")
        _restored(row, restoration.Restored(row.claimed, "override", {"by": desk.actor.login, "reason": reason[:400]}))
        touched(desk, row)
        noted(desk, row, "check", said(desk, "overridden", reason=reason))
        step(desk, row, "resolved", reason)
        desk.record("ticket.override", row, after={"claimed": iso(row.claimed)}, reason=reason)
        return row
    except Refusal as refusal:
        raise desk.deny("ticket.override", ("ticket", ticket_id), refusal, reason=reason) from None


def decide(desk: Desk, ticket_id: str, approve: bool, reason: str = "") -> Ticket:
    """Approve or reject what is proposed against an attack. Others (a controller, a person at a router) are told by an event; nothing is done before."""
    try:
        desk.demand("ticket.override")
        row = desk.find(Ticket, ticket_id, lock=True)
        if row.proposal.get("state") != "proposed":
            raise Refusal("conflict", "nothing is proposed" if not row.proposal else f"what was proposed is {row.proposal['state']}", f"ticket {row.id}")
        if not approve and not reason.strip():
            raise Refusal("invalid", "a reason is needed to reject it", "reason", "give one sentence")
        desk.another(row.proposal.get("made_by"), "what is proposed")
        desk.fresh(row, None)
        before = dict(row.proposal)
        row.proposal = {**before, "state": "approved" if approve else "rejected", "decided_by": desk.actor.id or None, "decided": iso(desk.now),
                        "reason": reason[:400]}
        touched(desk, row)
        lang = desk.office.settings.lang
        noted(desk, row, "proposal", " ".join(state(lang, f"proposal.{one}") for one in (before["action"], row.proposal["state"]))
              + (f": {reason}" if reason.strip() else ""))
        desk.record("ticket.proposal", row, {"state": "proposed"}, {"state": row.proposal["state"], "action": before["action"]}, reason)
        desk.emit("troubleTicket.proposal", row.id, {"id": row.id, "action": before["action"], "state": row.proposal["state"], "service": row.service_id})
        return row
    except Refusal as refusal:
        raise desk.deny("ticket.proposal", ("ticket", ticket_id), refusal, approve=approve, reason=reason) from None


def resolve_children(desk: Desk, ticket_id: str) -> tuple[list[Ticket], dict[str, str]]:
    """Resolve those children of a ticket of which it is measured that they are restored: these, and why not of the others."""
    desk.demand("ticket.work")
    row = desk.find(Ticket, ticket_id)
    if row.state not in ("resolved", "closed"):
        raise Refusal("conflict", f"their cause is {row.state}", f"ticket {row.id}", "resolve it first")
    done: list[Ticket] = []
    left: dict[str, str] = {}
    query: Any = desk.select(Ticket).where(Ticket.parent_id == row.id, Ticket.state.in_(states.OPEN)).order_by(Ticket.id).limit(CHILDREN)
    for child in desk.session.execute(query.with_for_update(of=Ticket)).scalars().all():
        try:
            found = restoration.check(desk, child)
        except Refusal as refusal:
            left[child.id] = refusal.what
            continue
        _restored(child, found)
        desk.fresh(child, None)
        touched(desk, child)
        step(desk, child, "resolved", said(desk, "cause_over", id=row.id))
        done.append(child)
    return done, left


def step(desk: Desk, row: Ticket, to: str, reason: str) -> None:
    """Write a step. Guards are looked at before."""
    before, row.state, row.updated = row.state, to, desk.now
    if before == "pending" and row.pending_since is not None:
        row.pauses = [*row.pauses, [row.pending_since.isoformat(), desk.now.isoformat()]] if desk.now > row.pending_since else row.pauses
        row.pending_since, row.reminded = None, 0
        renew(desk, row)
    if to == "pending":
        row.pending_since, row.reminded = desk.now, 0
    if to == "resolved":
        row.resolved = desk.now
    elif before == "resolved" and to == "inProgress":
        row.resolved = row.restored = row.claimed = row.claimed_by = row.cleared = None
        row.restoration = {}
    elif to in states.TERMINAL:
        row.closed = desk.now
        if to != "closed":
            dispatch.call_off(desk, row.id, said(desk, "withdrawn", id=row.id, state=state(desk.office.settings.lang, f"ticket.{to}")))
    if reason.strip():
        row.reason = reason.strip()[:400]
    desk.session.add(Transition(id=identifier.fresh(Transition.LETTER), entity="ticket", entity_id=row.id, from_state=before, to_state=to, time=desk.now,
                                user_id=desk.actor.id or None, reason=reason.strip()[:400]))
    if to in ("resolved", "closed") and row.root_cause:
        _propose(desk, row, to)
    desk.session.flush()
    desk.record("ticket.move", row, {"state": before}, {"state": to}, reason)
    desk.emit("troubleTicket.stateChange", row.id, {"id": row.id, "from": before, "to": to, "service": row.service_id, "customer": row.customer_id})


def _restored(row: Ticket, found: restoration.Restored) -> None:
    """Keep when it was restored by what was measured, and how far what was said is from it: seconds, less than nothing where it was said before it was so."""
    row.restored = found.at
    row.restoration = {"how": found.how, **found.evidence}
    if row.claimed is not None and found.at is not None and found.how not in ("override", "none"):
        row.restoration = {**row.restoration, "claimed": iso(row.claimed), "gap_seconds": int((row.claimed - found.at).total_seconds())}


def _propose(desk: Desk, row: Ticket, to: str) -> None:
    """The cause is over: what hangs on it may be too. It is proposed, and somebody decides of each."""
    query = select(Ticket).where(Ticket.parent_id == row.id, Ticket.state.in_(states.OPEN)).order_by(Ticket.id).limit(CHILDREN)
    for child in desk.session.execute(query).scalars():
        noted(desk, child, "proposal", said(desk, "cause_proposes", id=row.id, state=state(desk.office.settings.lang, f"ticket.{to}")), {"parent": row.id})


def _ways(state: str) -> str:
    return f"it can become {', '.join(states.TICKET[state])}" if states.TICKET[state] else "open another one"


def evidence_of(row: Ticket) -> Mapping[str, Any]:
    """What a ticket rests on: its alarm, the alert of the probe, and what was measured when it was restored."""
    return {**row.evidence, **({"alert_id": row.alert_id} if row.alert_id else {}), **({"restoration": row.restoration} if row.restoration else {})}
