"""TMF632 Party: `/tmf-api/partyManagement/v4/individual` and `/organization` (households and communities are organizations), and their relations."""
from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import Field
from sqlalchemy import or_
from sqlalchemy.orm import selectinload

from bss.api import shape
from bss.api.contact import Medium, Model, Period, Reason, Text, Unmask, contacts, media
from bss.api.entrance import IfMatch, Who
from bss.desk import Desk
from bss.moment import iso
from bss.parties import finding, party, relation
from bss.refusal import Refusal
from bss.tables import Customer, Party, Relation

ROOT = "/tmf-api/partyManagement/v4"
RELATIONS = "/fullspan/v1/relation"
router = APIRouter(tags=["party"])
Search = Annotated[str, Query(max_length=200, description="a name, pinyin, telephone number, mail address or identity number")]


class Sent(Model):
    """A party as it is sent. organizationType: organization, household or community; legalId: identity card or unified social credit code."""
    fullName: Text | None = None
    name: Text | None = None
    legalId: Text | None = None
    organizationType: Annotated[str | None, Field(max_length=16)] = None
    contactMedium: Annotated[list[Medium] | None, Field(max_length=50)] = None
    tax: dict[str, Text] | None = None

    def fields(self) -> dict[str, Any]:
        """What of the domain's fields was sent."""
        found: dict[str, Any] = {}
        if (name := self.name if self.fullName is None else self.fullName) is not None:
            found["name"] = name
        if "legalId" in self.model_fields_set:
            found["legal_id"] = self.legalId
        if "tax" in self.model_fields_set:
            found["tax"] = self.tax
        if self.contactMedium is not None:
            found["contacts"] = contacts(self.contactMedium)
        return found


class Related(Model):
    """A relation: `from` is a child or member of `to`. kind: parent, member, household or community."""
    from_: Annotated[str, Field(alias="from", max_length=16)]
    to: Annotated[str, Field(max_length=16)]
    kind: Annotated[str, Field(max_length=16)]
    validFor: Period = Period()


def told(desk: Desk, one: Party, clear: bool = False) -> dict[str, Any]:
    """A party in the shape of TMF632."""
    person = one.kind == "individual"
    name = desk.shown(one.name, clear)
    shown: dict[str, Any] = {"id": one.id, "href": f"{ROOT}/{'individual' if person else 'organization'}/{one.id}", "contactMedium": media(
        desk, one.contacts, clear), "validFor": shape.span(one.created, None)}
    identified = [] if one.legal_id is None else [{"identificationId": desk.shown(one.legal_id, clear), "identificationType": "legalId"}]
    if person:
        return {**shown, "fullName": name, "individualIdentification": identified, "@type": "Individual", "@baseType": "Party"}
    tax = None if one.tax is None else {key: desk.shown(value, clear) for key, value in json.loads(one.tax).items()}
    return {**shown, "name": name, "organizationType": one.kind, "organizationIdentification": identified, "tax": tax, "@type": "Organization",
            "@baseType": "Party"}


def told_relation(one: Relation) -> dict[str, Any]:
    """A relation."""
    return {"id": one.id, "href": f"{RELATIONS}/{one.id}", "from": one.from_id, "to": one.to_id, "kind": one.kind,
            "validFor": shape.span(one.valid_from, one.valid_to), "@type": "PartyRelation"}


def _listed(desk: Desk, persons: bool, q: str) -> Any:
    desk.demand("customer.read")
    query = desk.select(Party).where(Party.kind == "individual" if persons else Party.kind != "individual")
    if q.strip():
        query = query.where(or_(Party.id.in_(finding.parties(q, desk.office.settings.country)), Party.id == q.strip()))
    return query.options(selectinload(Party.contacts)).order_by(Party.created.desc(), Party.id.desc())


def _one(who: Who, id: str, persons: bool, fields: str, unmask: bool, reason: str) -> JSONResponse:
    def look(desk: Desk) -> JSONResponse:
        desk.demand("customer.read")
        found = _found(desk, id, persons)
        clear = desk.unmask(found, reason) if unmask else False
        desk.record("party.view", found)
        shown = told(desk, found, clear)
        above = [row for row in desk.session.scalars(relation.of(desk, found.id)) if desk.session.scalars(
            desk.select(Party).where(Party.id == (row.to_id if row.from_id == found.id else row.from_id))).first()]
        shown["relation"] = [told_relation(row) for row in above]
        shown["customer"] = [{"id": key, "@type": "CustomerRef"} for key in desk.session.scalars(
            desk.select(Customer).with_only_columns(Customer.id).where(Customer.party_id == found.id))]
        if not persons:
            shown["organizationParentRelationship"] = next(({"organization": {"id": row.to_id}, "validFor": shape.span(row.valid_from, row.valid_to)}
                                                            for row in above if row.kind == "parent" and row.from_id == found.id), None)
            shown["organizationChildRelationship"] = [{"organization": {"id": row.from_id}} for row in above if row.kind == "parent" and row.to_id == found.id]
        return shape.one(shape.only(shown, fields), found.version)
    return who.audited(look)


def _found(desk: Desk, id: str, persons: bool, lock: bool = False) -> Party:
    found = desk.find(Party, id, lock=lock)
    if (found.kind == "individual") != persons:
        raise Refusal("missing", f"there is no {'individual' if persons else 'organization'} {id}", mend="look at the list of those you may see")
    return found


def _made(who: Who, sent: Sent, kind: str) -> Response:
    def act(desk: Desk) -> Response:
        given = sent.fields()
        if not given.get("name"):
            raise Refusal("invalid", "it is missing", "name", "send it")
        found = party.make(desk, kind=kind, **given)
        return shape.one(told(desk, found), found.version, 201)
    return who.write(act)


def _changed(who: Who, id: str, persons: bool, sent: Sent, if_match: str | None) -> Response:
    def act(desk: Desk) -> Response:
        desk.demand("customer.write")
        _found(desk, id, persons)
        found = party.change(desk, id, shape.version_of(if_match), **sent.fields())
        return shape.one(told(desk, found), found.version)
    return who.write(act)


@router.get(ROOT + "/individual")
def individuals(who: Who, q: Search = "", offset: shape.Offset = 0, limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Persons."""
    return who.read(lambda desk: shape.page(desk.session, _listed(desk, True, q), offset, limit, lambda one: told(desk, one), fields))


@router.get(ROOT + "/organization")
def organizations(who: Who, q: Search = "", offset: shape.Offset = 0, limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Organisations, households and communities."""
    return who.read(lambda desk: shape.page(desk.session, _listed(desk, False, q), offset, limit, lambda one: told(desk, one), fields))


@router.get(ROOT + "/individual/{id}")
def individual(who: Who, id: str, fields: shape.Fields = "", unmask: Unmask = False, reason: Reason = "") -> JSONResponse:
    """One person."""
    return _one(who, id, True, fields, unmask, reason)


@router.get(ROOT + "/organization/{id}")
def organization(who: Who, id: str, fields: shape.Fields = "", unmask: Unmask = False, reason: Reason = "") -> JSONResponse:
    """One organisation, with what is above and below it."""
    return _one(who, id, False, fields, unmask, reason)


@router.post(ROOT + "/individual", status_code=201)
def made_individual(who: Who, sent: Sent) -> Response:
    """A new person, who need not be a customer."""
    return _made(who, sent, "individual")


@router.post(ROOT + "/organization", status_code=201)
def made_organization(who: Who, sent: Sent) -> Response:
    """A new organisation, household or community."""
    if sent.organizationType == "individual":
        raise Refusal("invalid", "an organization is no individual", "organizationType", "write organization, household or community")
    return _made(who, sent, sent.organizationType or "organization")


@router.patch(ROOT + "/individual/{id}")
def changed_individual(who: Who, id: str, sent: Sent, if_match: IfMatch = None) -> Response:
    """Change a person."""
    return _changed(who, id, True, sent, if_match)


@router.patch(ROOT + "/organization/{id}")
def changed_organization(who: Who, id: str, sent: Sent, if_match: IfMatch = None) -> Response:
    """Change an organisation."""
    return _changed(who, id, False, sent, if_match)


@router.post(RELATIONS, status_code=201)
def related(who: Who, sent: Related) -> Response:
    """Make one party a child or member of another."""
    begin, end = sent.validFor.aware()
    return who.write(lambda desk: JSONResponse(told_relation(relation.relate(desk, from_id=sent.from_, to_id=sent.to, kind=sent.kind, valid_from=begin,
                                                                             valid_to=end)), 201))


@router.post(RELATIONS + "/{id}/end")
def ended(who: Who, id: str, validFor: Period | None = None) -> Response:
    """Let a relation end: now, or at validFor.endDateTime."""
    until = validFor.aware()[1] if validFor else None
    return who.write(lambda desk: JSONResponse({**told_relation(relation.end(desk, id, until)), "time": iso(desk.now)}))
