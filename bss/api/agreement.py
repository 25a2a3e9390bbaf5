"""TMF651 Agreement: `/tmf-api/agreementManagement/v4/agreement`."""
from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from bss.api import shape
from bss.api.contact import Model, Period, Reference, Text, aware
from bss.api.customer import ROOT as CUSTOMERS
from bss.api.entrance import IfMatch, Who
from bss.api.shape import Short
from bss.desk import Desk
from bss.moment import iso
from bss.parties import agreement
from bss.refusal import Refusal
from bss.tables import Agreement

ROOT = "/tmf-api/agreementManagement/v4/agreement"
router = APIRouter(tags=["agreement"])


class Sent(Model):
    """An agreement as it is sent. engagedParty: the customer; associatedAgreement: the framework it is under; terms: what differs from the catalogue."""
    name: Text | None = None
    documentNumber: Annotated[str | None, Field(max_length=64)] = None
    agreementType: Annotated[str | None, Field(max_length=16)] = None
    status: Annotated[str | None, Field(max_length=16)] = None
    agreementPeriod: Period | None = None
    completionDate: datetime | None = None
    engagedParty: Annotated[list[Reference], Field(max_length=1)] = []
    associatedAgreement: Annotated[list[Reference] | None, Field(max_length=1)] = None
    terms: dict[str, Any] | None = None

    def fields(self) -> dict[str, Any]:
        """What of the domain's fields was sent."""
        found: dict[str, Any] = {name: value for name, value in (("name", self.name), ("state", self.status), ("terms", self.terms)) if value is not None}
        if "completionDate" in self.model_fields_set:
            found["signed"] = aware(self.completionDate, "completionDate")
        if self.agreementPeriod is not None:
            begin, end = self.agreementPeriod.aware()
            if begin is not None:
                found["valid_from"] = begin
            if "endDateTime" in self.agreementPeriod.model_fields_set:
                found["valid_to"] = end
        if self.associatedAgreement is not None:
            found["parent_id"] = self.associatedAgreement[0].id if self.associatedAgreement else None
        return found


def told(one: Agreement) -> dict[str, Any]:
    """An agreement in the shape of TMF651."""
    above = [{"id": one.parent_id, "href": f"{ROOT}/{one.parent_id}", "@type": "AgreementRef"}] if one.parent_id else []
    return {"id": one.id, "href": f"{ROOT}/{one.id}", "name": one.name, "documentNumber": one.number, "agreementType": one.kind, "status": one.state,
            "completionDate": iso(one.signed), "agreementPeriod": shape.span(one.valid_from, one.valid_to), "terms": one.terms, "associatedAgreement": above,
            "engagedParty": [{"id": one.customer_id, "href": f"{CUSTOMERS}/{one.customer_id}", "role": "customer", "@type": "RelatedParty",
                              "@referredType": "Customer"}], "@type": "Agreement"}


@router.get(ROOT)
def listed(who: Who, customer: Short = "", status: Short = "", q: Short = "", offset: shape.Offset = 0, limit: shape.Limit = 100,
           fields: shape.Fields = "") -> JSONResponse:
    """Agreements, the newest first."""
    return who.read(lambda desk: shape.page(desk.session, agreement.listed(desk, customer=customer, state=status, q=q), offset, limit, told, fields))


@router.get(ROOT + "/{id}")
def one(who: Who, id: str, fields: shape.Fields = "") -> JSONResponse:
    """One agreement."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("customer.read")
        found = desk.find(Agreement, id)
        return shape.one(shape.only(told(found), fields), found.version)
    return who.read(look)


@router.post(ROOT, status_code=201)
def made(who: Who, sent: Sent) -> Response:
    """A new agreement."""
    def act(desk: Desk) -> Response:
        given = sent.fields()
        for there, where in (("name" in given, "name"), ("valid_from" in given, "agreementPeriod.startDateTime"), (bool(sent.engagedParty), "engagedParty")):
            if not there:
                raise Refusal("invalid", "it is missing", where, "send it")
        found = agreement.make(desk, customer_id=sent.engagedParty[0].id, number=sent.documentNumber, kind=sent.agreementType or "contract", **given)
        return shape.one(told(found), found.version, 201)
    return who.write(act)


@router.patch(ROOT + "/{id}")
def changed(who: Who, id: str, sent: Sent, if_match: IfMatch = None) -> Response:
    """Change an agreement: what is sent. Its number, kind and customer stay."""
    def act(desk: Desk) -> Response:
        for name in ("documentNumber", "agreementType", "engagedParty"):
            if name in sent.model_fields_set:
                raise Refusal("invalid", "it can't be changed", name, "make a new agreement")
        found = agreement.change(desk, id, shape.version_of(if_match), **sent.fields())
        return shape.one(told(found), found.version)
    return who.write(act)
