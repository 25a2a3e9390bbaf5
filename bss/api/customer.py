"""TMF629 Customer: `/tmf-api/customerManagement/v4/customer`, and the single view `/fullspan/v1/customer/{id}/view`."""
from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from bss.api import shape
from bss.api.contact import (
    KINDS,
    Characteristic,
    Medium,
    Model,
    Reason,
    Reference,
    Text,
    Unmask,
    characteristics,
    contacts,
    media,
    party_of,
    reason_of,
)
from bss.api.entrance import IfMatch, Who
from bss.api.look import Look
from bss.api.shape import Short
from bss.desk import Desk
from bss.moment import iso
from bss.parties import customer, view
from bss.refusal import Refusal
from bss.tables import Customer, Party

ROOT = "/tmf-api/customerManagement/v4/customer"
router = APIRouter(route_class=Look, tags=["customer"])
#: Characteristic -> field.
NAMES = {"number": "number", "class": "class_", "region": "region", "marketingConsent": "marketing_consent", "legalId": "legal_id"}


class Sent(Model):
    """A customer as he is sent. status: initialized, active, suspended or closed; characteristic: number, class, region, marketingConsent, legalId;
    relatedParty: the account manager; engagedParty: the kind of party (@referredType), or one that is there (id)."""
    name: Text | None = None
    status: Annotated[str | None, Field(max_length=16)] = None
    engagedParty: dict[str, Text | None] | None = None
    contactMedium: Annotated[list[Medium] | None, Field(max_length=50)] = None
    characteristic: Annotated[list[Characteristic], Field(max_length=20)] = []
    relatedParty: Annotated[list[Reference] | None, Field(max_length=5)] = None

    def fields(self) -> dict[str, Any]:
        """What of the domain's fields was sent."""
        found = characteristics(self.characteristic, NAMES)
        if self.name is not None:
            found["name"] = self.name
        if self.status is not None:
            found["state"] = self.status
        if self.contactMedium is not None:
            found["contacts"] = contacts(self.contactMedium)
        if self.relatedParty is not None:
            wrong = [one.role for one in self.relatedParty if one.role != "accountManager"]
            if wrong:
                raise Refusal("invalid", f"nobody is related as {wrong[0]!r}", "relatedParty", "the role is accountManager")
            found["manager_id"] = self.relatedParty[0].id if self.relatedParty else None
        kind = (self.engagedParty or {}).get("@referredType")
        if kind is not None:
            if kind not in KINDS:
                raise Refusal("invalid", f"{kind!r} is no kind of party", "engagedParty", f"kinds are {', '.join(KINDS)}")
            found["kind"] = KINDS[kind]
        return found


def told(desk: Desk, one: Customer, clear: bool = False) -> dict[str, Any]:
    """A customer in the shape of TMF629."""
    related = [{"id": one.manager_id, "role": "accountManager", "@type": "RelatedParty", "@referredType": "User"}] if one.manager_id else []
    if one.merged_into:
        related.append({"id": one.merged_into, "href": f"{ROOT}/{one.merged_into}", "role": "mergedInto", "@type": "RelatedParty", "@referredType": "Customer"})
    values = {"number": one.number, "class": one.class_, "region": one.region, "marketingConsent": one.marketing_consent,
              "legalId": desk.shown(one.party.legal_id, clear)}
    return {"id": one.id, "href": f"{ROOT}/{one.id}", "name": desk.shown(one.party.name, clear), "status": one.state, "validFor": shape.span(one.created, None),
            "engagedParty": party_of(desk, one.party, clear), "contactMedium": media(desk, one.party.contacts, clear),
            "characteristic": [{"name": name, "value": value, "@type": "Characteristic"} for name, value in values.items()],
            "relatedParty": related, "@type": "Customer", "@baseType": "PartyRole"}


@router.get(ROOT)
def listed(who: Who, q: Annotated[str, Query(max_length=200, description="name, pinyin, number, telephone number, mail address or identity number")] = "",
           status: Short = "", klass: Annotated[str, Query(alias="class", max_length=8)] = "", region: Short = "", manager: Short = "", kind: Short = "",
           merged: bool = False, offset: shape.Offset = 0, limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Customers, newest first."""
    def look(desk: Desk) -> JSONResponse:
        wanted: dict[str, Any] = {"state": status, "class_": klass, "region": region, "manager": manager, "kind": kind, "merged": merged}
        if q.strip():
            return shape.page(desk.session, customer.listed(desk, q=q, **wanted), offset, limit, lambda one: told(desk, one), fields)
        listing, values = customer.listing(desk, **wanted)
        return shape.sighted(desk.session, listing, values, offset, limit, lambda one: told(desk, one), fields, lambda rows: customer.completed(desk, rows))
    return who.read(look)


@router.get(ROOT + "/{id}")
def one(who: Who, id: str, fields: shape.Fields = "", unmask: Unmask = False, reason: Reason = "") -> JSONResponse:
    """One customer, by id or number."""
    def look(desk: Desk) -> JSONResponse:
        found = customer.see(desk, id)
        clear = desk.unmask(found, reason) if unmask else False
        desk.record("customer.view", found)
        return shape.one(shape.only(told(desk, found, clear), fields), found.version)
    return who.audited(look)


@router.post(ROOT, status_code=201)
def made(who: Who, sent: Sent) -> Response:
    """A new customer."""
    def act(desk: Desk) -> Response:
        given, party_id = sent.fields(), (sent.engagedParty or {}).get("id")
        if party_id is not None:
            if twice := {"name", "legal_id", "contacts"}.intersection(given):
                raise Refusal("invalid", "it is that of the party", min(twice), "leave it out, or change the party")
            there = desk.find(Party, party_id)
            given |= {"name": there.name, "kind": there.kind}
        for name, where in (("name", "name"), ("class_", "characteristic.class"), ("region", "characteristic.region")):
            if not given.get(name):
                raise Refusal("invalid", "it is missing", where, "send it")
        found = customer.make(desk, **{"kind": "individual", **given}, party_id=party_id)
        return shape.one(told(desk, found), found.version, 201)
    return who.write(act)


@router.patch(ROOT + "/{id}")
def changed(who: Who, id: str, sent: Sent, if_match: IfMatch = None) -> Response:
    """Change a customer: what is sent; contact media as a whole."""
    def act(desk: Desk) -> Response:
        found = customer.change(desk, id, shape.version_of(if_match), **sent.fields())
        return shape.one(told(desk, found), found.version)
    return who.write(act)


@router.get("/fullspan/v1/customer/{id}/view")
def viewed(who: Who, id: str, traffic: bool = True, unmask: Unmask = False, reason: Reason = "") -> JSONResponse:
    """All of a customer in one call: services, orders, interactions, contracts, and the traffic of the last day, week and month."""
    return who.audited(lambda desk: shape.Told({**view.single(desk, id, unmask=reason_of(unmask, reason), traffic=traffic), "time": iso(desk.now),
                                                  "@type": "CustomerView"}))
