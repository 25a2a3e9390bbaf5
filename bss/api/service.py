"""TMF638 service inventory: designed, changed, moved through states. The site is a personal field: masked, unless it is asked for with a reason."""
from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from bss.api import ROOT, shape
from bss.api.entrance import IfMatch, Who
from bss.api.look import Look
from bss.desk import Desk
from bss.moment import iso
from bss.refusal import Refusal
from bss.services import binding, inventory
from bss.tables import Service

PATH = f"{ROOT}/serviceInventory/v4/service"
router = APIRouter(route_class=Look, prefix=PATH, tags=["serviceInventory"])
Id = Annotated[str, Field(max_length=16)]
Word = Annotated[str, Query(max_length=64)]
Rate = Annotated[int, Field(ge=0, le=10 ** 15)]


class Made(BaseModel):
    """A new service, designed."""
    model_config = ConfigDict(extra="forbid")
    customerId: Id
    offering: Annotated[str, Field(max_length=64)]
    offeringVersion: Annotated[int, Field(ge=1, le=1 << 31)]
    serviceType: Annotated[str, Field(max_length=16)]
    serviceClass: Annotated[str, Field(max_length=8)]
    region: Annotated[str, Field(max_length=64)]
    downBps: Rate
    upBps: Rate
    site: Annotated[str | None, Field(max_length=400)] = None
    circuit: Annotated[str | None, Field(max_length=64)] = None
    demarcation: Annotated[str, Field(max_length=200)] = ""
    ownerId: Id | None = None
    covered: bool = True


class Changed(BaseModel):
    """Fields to be changed; what is left out stays. A state takes a reason where states.py says so."""
    model_config = ConfigDict(extra="forbid")
    state: Literal["designed", "reserved", "inactive", "active", "terminated"] | None = None
    reason: Annotated[str, Field(max_length=400)] = ""
    offering: Annotated[str, Field(max_length=64)] = ""
    offeringVersion: Annotated[int, Field(ge=1, le=1 << 31)] = 1
    serviceClass: Annotated[str, Field(max_length=8)] = ""
    downBps: Rate = 0
    upBps: Rate = 0
    site: Annotated[str | None, Field(max_length=400)] = None
    circuit: Annotated[str, Field(max_length=64)] = ""
    demarcation: Annotated[str, Field(max_length=200)] = ""
    ownerId: Id | None = None
    covered: bool = True


NAMES = {"offeringVersion": "offering_version", "serviceClass": "class_", "downBps": "down_bps", "upBps": "up_bps", "ownerId": "owner_id"}


def told(desk: Desk, one: Service, unmasked: bool = False) -> dict[str, Any]:
    """A service as TMF638 has it."""
    characteristics = {"circuit": one.circuit, "class": one.class_, "downBps": one.down_bps, "upBps": one.up_bps, "demarcation": one.demarcation,
                       "offering": one.offering, "offeringVersion": one.offering_version}
    parties = [{"id": one.customer_id, "role": "customer", "@referredType": "Customer"}]
    if one.owner_id:
        parties.append({"id": one.owner_id, "role": "owner", "@referredType": "User"})
    return {"id": one.id, "href": f"{PATH}/{one.id}", "name": one.circuit, "serviceType": one.kind, "state": one.state,
            "suspended": inventory.suspended(one), "statusReason": one.reason, "region": one.region, "covered": one.covered, "relatedParty": parties,
            "serviceCharacteristic": [{"name": name, "value": value} for name, value in characteristics.items()],
            "place": None if one.site is None else {"role": "site", "name": desk.shown(one.site, unmasked)}, "serviceDate": iso(one.created),
            "startDate": iso(one.activated), "endDate": iso(one.terminated), "@type": "Service"}


@router.get("")
def services(who: Who, state: Word = "", customerId: Word = "", region: Word = "", serviceType: Word = "", circuit: Word = "", offset: shape.Offset = 0,
             limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Services in order of their ids."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("service.read")
        query = desk.select(Service).order_by(Service.id)
        for column, wanted in ((Service.state, state), (Service.customer_id, customerId), (Service.region, region), (Service.kind, serviceType),
                               (Service.circuit, circuit)):
            query = query.where(column == wanted) if wanted else query
        return shape.page(desk.session, query, offset, limit, lambda one: told(desk, one), fields)

    return who.read(look)


@router.get("/{id}")
def service(who: Who, id: Id, fields: shape.Fields = "", unmask: bool = False, reason: Annotated[str, Query(max_length=400)] = "") -> JSONResponse:
    """One service."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("service.read")
        found = desk.see(Service, id)
        return shape.one(shape.only(told(desk, found, unmask and desk.unmask(found, reason)), fields), found.version)

    return who.audited(look) if unmask else who.read(look)


@router.get("/{id}/binding")
def bindings(who: Who, id: Id) -> JSONResponse:
    """What binds traffic to it, and did."""
    from bss.api.binding import told as told_binding

    def look(desk: Desk) -> JSONResponse:
        return JSONResponse([told_binding(one) for one in binding.of_service(desk, desk.find(Service, id).id)])

    return who.read(look)


@router.post("", status_code=201)
def design(who: Who, asked: Made) -> Response:
    """A new service."""
    def act(desk: Desk) -> Response:
        found = inventory.design(desk, customer_id=asked.customerId, offering=asked.offering, offering_version=asked.offeringVersion, kind=asked.serviceType,
                                 class_=asked.serviceClass, region=asked.region, down_bps=asked.downBps, up_bps=asked.upBps, site=asked.site,
                                 circuit=asked.circuit, demarcation=asked.demarcation, owner_id=asked.ownerId, covered=asked.covered)
        return shape.one(told(desk, found), found.version, 201)

    return who.write(act)


@router.patch("/{id}")
def change(who: Who, id: Id, asked: Changed, if_match: IfMatch = None) -> Response:
    """Change a service, or bring it to another state."""
    given = {NAMES.get(name, name): value for name, value in asked.model_dump(exclude_unset=True).items() if name not in ("state", "reason")}
    if any(value is None for name, value in given.items() if name not in ("site", "owner_id")):
        raise Refusal("invalid", "null is given to a field that has a value", next(name for name, value in given.items() if value is None))

    def act(desk: Desk) -> Response:
        version = shape.version_of(if_match)
        found = inventory.change(desk, id, version, **given) if given else None
        if asked.state is not None:
            found = inventory.move(desk, id, asked.state, asked.reason, version if found is None else None)
        if found is None:
            found = desk.find(Service, id)
        return shape.one(told(desk, found), found.version)

    return who.write(act)
