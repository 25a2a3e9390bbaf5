"""What resources of parties have in common: contact media, characteristics, references (TMF629, TMF632), and the model they are read with."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from bss.desk import Desk
from bss.parties.contact import Given
from bss.refusal import Refusal
from bss.tables import Contact, Party

Id = Annotated[str, Field(max_length=64)]
Text = Annotated[str, Field(max_length=400)]
Unmask = Annotated[bool, Query(description="show personal fields: needs permission and reason, and is put on record")]
Reason = Annotated[str, Query(max_length=400, description="why personal fields are to be seen")]
#: Medium -> the name of its characteristic in TMF629.
VALUES = {"phone": "phoneNumber", "fax": "faxNumber", "email": "emailAddress", "address": "street1", "wechat": "socialNetworkId"}
KINDS = {"Individual": "individual", "Organization": "organization", "Household": "household", "Community": "community"}
TYPES = {kind: name for name, kind in KINDS.items()}


class Model(BaseModel):
    """What is sent: no field that is not known, but for those that TMF630 puts on everything."""
    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    at_type: Annotated[str | None, Field(alias="@type", max_length=100)] = None
    at_base: Annotated[str | None, Field(alias="@baseType", max_length=100)] = None
    at_schema: Annotated[str | None, Field(alias="@schemaLocation", max_length=400)] = None


class Reference(Model):
    """Something that is named by its id."""
    id: Id
    href: Annotated[str | None, Field(max_length=400)] = None
    name: Text | None = None
    role: Annotated[str | None, Field(max_length=64)] = None
    at_referred: Annotated[str | None, Field(alias="@referredType", max_length=100)] = None


class Medium(Model):
    """A way to reach somebody. mediumType: phone, fax, email, address or wechat; the value is in `characteristic`, under its name or `value`."""
    mediumType: Annotated[str, Field(max_length=32)]
    preferred: bool = False
    characteristic: dict[str, Text] = {}


class Characteristic(Model):
    """A name and a value."""
    name: Annotated[str, Field(max_length=64)]
    value: Text | bool | None = None


class Period(Model):
    """A TimePeriod: half-open, with offsets."""
    startDateTime: datetime | None = None
    endDateTime: datetime | None = None

    def aware(self) -> tuple[datetime | None, datetime | None]:
        """Both ends. Refusal: one has no offset."""
        return aware(self.startDateTime, "validFor.startDateTime"), aware(self.endDateTime, "validFor.endDateTime")


def aware(moment: datetime | None, where: str) -> datetime | None:
    """The moment. Refusal: it has no offset."""
    if moment is not None and moment.tzinfo is None:
        raise Refusal("invalid", "a time without an offset", where, "write it as 2026-12-01T08:00:00+08:00")
    return moment


def media(desk: Desk, contacts: Sequence[Contact], clear: bool) -> list[dict[str, Any]]:
    """contactMedium as it is shown."""
    return [{"id": one.id, "mediumType": one.medium, "preferred": one.preferred, "@type": "ContactMedium", "characteristic": {
        "contactType": one.role, VALUES[one.medium]: desk.shown(one.value, clear)}} for one in contacts]


def contacts(given: Sequence[Medium]) -> list[Given]:
    """contactMedium as it was sent. Refusal: a medium without a value."""
    found = []
    for one in given:
        value = one.characteristic.get(VALUES.get(one.mediumType, "value"), one.characteristic.get("value"))
        if value is None:
            raise Refusal("invalid", f"the {one.mediumType} has no value", "contactMedium", f"put it into characteristic.{VALUES.get(one.mediumType, 'value')}")
        found.append(Given(one.mediumType, value, one.characteristic.get("contactType", ""), one.preferred))
    return found


def characteristics(given: Sequence[Characteristic], known: Mapping[str, str]) -> dict[str, Any]:
    """Values of characteristics by the names of fields. Refusal: one that is not known, or is there twice."""
    found: dict[str, Any] = {}
    for one in given:
        if one.name not in known:
            raise Refusal("invalid", f"there is no characteristic {one.name!r}", "characteristic", f"they are {', '.join(known)}")
        if known[one.name] in found:
            raise Refusal("invalid", f"the characteristic {one.name!r} is there twice", "characteristic", "send it once")
        found[known[one.name]] = one.value
    return found


def party_of(desk: Desk, party: Party, clear: bool) -> dict[str, Any]:
    """A reference to a party."""
    plural = "individual" if party.kind == "individual" else "organization"
    return {"id": party.id, "href": f"/tmf-api/partyManagement/v4/{plural}/{party.id}", "name": desk.shown(party.name, clear), "@type": "PartyRef",
            "@referredType": TYPES[party.kind]}


def reason_of(unmask: bool, reason: str) -> str:
    """The reason where personal fields are asked for. Refusal: they are, without one."""
    if unmask and not reason.strip():
        raise Refusal("invalid", "a reason is needed to see personal fields", "reason", "give a ticket's number or a sentence")
    return reason if unmask else ""
