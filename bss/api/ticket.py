"""TMF621 Trouble Ticket: `/tmf-api/troubleTicket/v5/troubleTicket`, and what is done with one beyond it: `/fullspan/v1/troubleTicket/{id}/...`."""
from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime, Field

from bss.api import ROOT, shape
from bss.api.contact import Model
from bss.api.entrance import IfMatch, Who
from bss.api.shape import Short
from bss.desk import Desk
from bss.moment import iso
from bss.refusal import Refusal
from bss.tables import Ticket
from bss.tables.party import CHANNELS
from bss.tickets import promise, states, ticket, transition

PATH = f"{ROOT}/troubleTicket/v5/troubleTicket"
OURS = "/fullspan/v1/troubleTicket"
router = APIRouter(tags=["troubleTicket"])
Reason = Annotated[str, Field(max_length=400)]


class Reference(Model):
    """Something named by its id."""
    id: Annotated[str, Field(min_length=1, max_length=64)]
    role: Annotated[str, Field(max_length=32)] = ""
    referred: Annotated[str, Field(alias="@referredType", max_length=32)] = ""


class Made(Model):
    """A new ticket. name: what is the matter; relatedEntity: what it is about, with @referredType Service or Resource; relatedParty: the customer."""
    ticketType: Annotated[str, Field(max_length=24)] = "complaint"
    severity: Literal["critical", "major", "minor"] = "minor"
    name: Annotated[str, Field(min_length=1, max_length=4000)]
    relatedEntity: Annotated[list[Reference], Field(max_length=2)] = []
    relatedParty: Annotated[list[Reference], Field(max_length=1)] = []
    channel: Annotated[str, Field(max_length=16)] = "phone"
    began: AwareDatetime | None = None


class Note(Model):
    """What is said of it. internal: its customer does not see it."""
    text: Annotated[str, Field(min_length=1, max_length=4000)]
    internal: bool = False


class Changed(Model):
    """What of a ticket is changed, one thing at once: its status (with a reason), severity, owner, cause (parent; empty: none), or a note is added."""
    status: Annotated[str | None, Field(max_length=16)] = None
    statusChangeReason: Reason = ""
    severity: Annotated[str | None, Field(max_length=16)] = None
    owner: Reference | None = None
    parent: Annotated[str | None, Field(max_length=16)] = None
    note: Note | None = None


class Claimed(Model):
    """Somebody says that it was restored: when, and how."""
    at: AwareDatetime | None = None
    note: Annotated[str, Field(max_length=4000)] = ""


class Overridden(Model):
    """Why it is resolved whatever the traffic says."""
    reason: Reason


class Decided(Model):
    """Whether what is proposed is approved; why not."""
    approve: bool
    reason: Reason = ""


def told(desk: Desk, row: Ticket) -> dict[str, Any]:
    """A ticket in the shape of TMF621. Its evidence is not for customers."""
    entities = [{"id": key, "href": f"{ROOT}/{path}/{key}", "@referredType": kind} for key, kind, path in (
        (row.service_id, "Service", "serviceInventory/v4/service"), (row.resource_id, "Resource", "resourceInventoryManagement/v4/resource"))
        if key and (kind == "Service" or not desk.actor.outside)]
    parties = [{"role": role, "id": key} for role, key in (("customer", row.customer_id), ("owner", row.owner_id)) if key and (
        role == "customer" or not desk.actor.outside)]
    relations = [{"relationshipType": kind, "id": key, "href": f"{PATH}/{key}"}
                 for kind, key in (("parent", row.parent_id), ("repeatOf", row.repeat_of_id)) if key]
    found: dict[str, Any] = {"id": row.id, "href": f"{PATH}/{row.id}", "ticketType": row.kind, "name": ticket.summary_of(desk, row), "severity": row.severity,
             "priority": str(row.priority), "status": row.state, "statusChangeReason": row.reason, "statusChangeDate": iso(row.updated),
             "creationDate": iso(row.created), "lastUpdate": iso(row.updated), "expectedResolutionDate": iso(row.restore_due),
             "resolutionDate": iso(row.resolved),
             "responseDue": iso(row.response_due), "responded": iso(row.responded), "began": iso(row.began), "region": row.region, "category": row.class_,
             "pendingSince": iso(row.pending_since), "channel": {"name": row.channel}, "relatedEntity": entities, "relatedParty": parties,
             "troubleTicketRelationship": relations, "isRootCause": row.root_cause, "secondsLeft": promise.left(row, desk.now), "@type": "TroubleTicket"}
    if not desk.actor.outside:
        found |= {"evidence": transition.evidence_of(row), "claimed": iso(row.claimed), "claimedBy": row.claimed_by, "restored": iso(row.restored),
                  "gapSeconds": row.restoration.get("gap_seconds"), "raised": row.count, "flapping": row.flapping, "proposal": row.proposal or None}
    return found


@router.get(PATH)
def listed(who: Who, status: Annotated[list[str] | None, Query(max_length=8)] = None, ticketType: Short = "", severity: Short = "", region: Short = "",
           owner: Short = "", customer: Short = "", service: Short = "", resource: Short = "", parent: Short = "", overdue: bool = False,
           offset: shape.Offset = 0, limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Tickets, the newest first. overdue: that should have been answered or restored by now."""
    def look(desk: Desk) -> JSONResponse:
        for one in status or ():
            if one not in states.STATES:
                raise Refusal("invalid", f"{one!r} is no state", "status", f"states are {', '.join(states.STATES)}")
        query = ticket.listed(desk, state=status or (), kind=ticketType, severity=severity, region=region, owner=owner, customer=customer, service=service,
                              resource=resource, parent=parent, overdue=overdue)
        return shape.page(desk.session, query, offset, limit, lambda row: told(desk, row), fields)
    return who.read(look)


@router.get(PATH + "/{ticket_id}")
def one(who: Who, ticket_id: str, fields: shape.Fields = "") -> JSONResponse:
    """One ticket, with its history, notes and children."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("ticket.read")
        row = desk.find(Ticket, ticket_id)
        children = desk.session.execute(desk.select(Ticket).where(Ticket.parent_id == row.id).order_by(Ticket.id).limit(1000)).scalars().all()
        found = told(desk, row)
        found["troubleTicketRelationship"] += [{"relationshipType": "child", "id": child.id, "href": f"{PATH}/{child.id}", "status": child.state}
                                               for child in map(_ticket, children)]
        found["statusChangeHistory"] = [{"status": step.to_state, "changeDate": iso(step.time), "changeReason": step.reason, "user": step.user_id}
                                        for step in ticket.history_of(desk, row)]
        found["note"] = [{"id": said.id, "date": iso(said.time), "author": said.user_id, "kind": said.kind, "text": said.text, "internal": said.internal}
                         for said in ticket.notes_of(desk, row)]
        return shape.one(shape.only(found, fields), row.version)
    return who.read(look)


@router.post(PATH, status_code=201)
def made(who: Who, sent: Made) -> Response:
    """Open a ticket: what a customer complains of, or somebody has found."""
    def act(desk: Desk) -> Response:
        about = {one.referred.lower() or "service": one.id for one in sent.relatedEntity}
        if sent.channel not in CHANNELS:            # those of programs are theirs
            raise Refusal("invalid", f"{sent.channel!r} is no channel", "channel", f"channels are {', '.join(CHANNELS)}")
        if set(about) - {"service", "resource"}:
            raise Refusal("invalid", "a ticket is about a Service or a Resource", "relatedEntity", "name it with its @referredType")
        row = ticket.open_(desk, kind=sent.ticketType, severity=sent.severity, summary=sent.name, service_id=about.get("service"),
                           resource_id=about.get("resource"), customer_id=sent.relatedParty[0].id if sent.relatedParty else None, channel=sent.channel,
                           began=sent.began)
        return shape.one(told(desk, row), row.version, 201)
    return who.write(act)


@router.patch(PATH + "/{ticket_id}")
def changed(who: Who, ticket_id: str, sent: Changed, if_match: IfMatch = None) -> Response:
    """Change one thing of a ticket."""
    version = shape.version_of(if_match)

    def act(desk: Desk) -> Response:
        given = [name for name in ("status", "severity", "owner", "parent", "note") if getattr(sent, name) is not None]
        if len(given) != 1:
            raise Refusal("invalid", "one of status, severity, owner, parent and note is changed at once", mend="send one of them")
        if sent.note is not None:
            ticket.note(desk, ticket_id, sent.note.text, sent.note.internal)
            row = desk.find(Ticket, ticket_id)
        elif sent.status is not None:
            row = transition.move(desk, ticket_id, sent.status, sent.statusChangeReason, version)
        elif sent.severity is not None:
            row = ticket.rated(desk, ticket_id, sent.severity, version)
        elif sent.owner is not None:
            row = ticket.assign(desk, ticket_id, sent.owner.id, version)
        else:
            row = ticket.relate(desk, ticket_id, sent.parent or None)
        return shape.one(told(desk, row), row.version)
    return who.write(act)


@router.post(OURS + "/{ticket_id}/claim", status_code=201)
def claimed(who: Who, ticket_id: str, sent: Claimed) -> Response:
    """Say that it was restored. It stays open until that is measured."""
    def act(desk: Desk) -> Response:
        row = transition.claim(desk, ticket_id, sent.at, sent.note)
        return shape.one(told(desk, row), row.version, 201)
    return who.write(act)


@router.post(OURS + "/{ticket_id}/override", status_code=201)
def overridden(who: Who, ticket_id: str, sent: Overridden, if_match: IfMatch = None) -> Response:
    """Resolve it whatever the traffic says, as the second person."""
    def act(desk: Desk) -> Response:
        row = transition.override(desk, ticket_id, sent.reason, shape.version_of(if_match))
        return shape.one(told(desk, row), row.version, 201)
    return who.write(act)


@router.post(OURS + "/{ticket_id}/proposal", status_code=201)
def decided(who: Who, ticket_id: str, sent: Decided) -> Response:
    """Approve or reject what is proposed against an attack."""
    def act(desk: Desk) -> Response:
        row = transition.decide(desk, ticket_id, sent.approve, sent.reason)
        return shape.one(told(desk, row), row.version, 201)
    return who.write(act)


@router.post(OURS + "/{ticket_id}/children", status_code=201)
def followed(who: Who, ticket_id: str) -> Response:
    """Resolve those children of a resolved ticket of which it is measured that they are restored."""
    def act(desk: Desk) -> Response:
        done, left = transition.resolve_children(desk, ticket_id)
        return JSONResponse({"resolved": [child.id for child in done], "left": [{"id": key, "reason": why} for key, why in left.items()]}, 201)
    return who.write(act)


def _ticket(row: Any) -> Ticket:
    found: Ticket = row
    return found
