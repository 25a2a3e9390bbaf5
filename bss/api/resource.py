"""TMF639 resource inventory: resources with their states and parents, room measured, candidates, reservations and pools."""
from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from bss.api import ROOT, shape
from bss.api.entrance import IfMatch, Who
from bss.desk import Desk
from bss.moment import iso
from bss.services import pool, resource
from bss.tables import Reservation, Resource

PATH = f"{ROOT}/resourceInventoryManagement/v4/resource"
router = APIRouter(prefix=PATH, tags=["resourceInventory"])
Id = Annotated[str, Field(max_length=16)]
Word = Annotated[str, Query(max_length=200)]
Rate = Annotated[int, Field(ge=0, le=10 ** 15)]


class Made(BaseModel):
    """A new resource."""
    model_config = ConfigDict(extra="forbid")
    kind: Annotated[str, Field(max_length=16)]
    name: Annotated[str, Field(max_length=200)]
    region: Annotated[str, Field(max_length=64)]
    parentId: Id | None = None
    capacityBps: Rate = 0
    probe: Annotated[str, Field(max_length=255)] = ""
    interface: Annotated[str, Field(max_length=64)] = ""
    ownerId: Id | None = None
    detail: Annotated[dict[str, Any], Field(max_length=50)] = {}


class Changed(BaseModel):
    """Fields to be changed; what is left out stays."""
    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(max_length=200)] = ""
    parentId: Id | None = None
    capacityBps: Rate = 0
    probe: Annotated[str, Field(max_length=255)] = ""
    interface: Annotated[str, Field(max_length=64)] = ""
    administrativeState: Annotated[str, Field(max_length=16)] = ""
    operationalState: Annotated[str, Field(max_length=16)] = ""
    ownerId: Id | None = None
    detail: Annotated[dict[str, Any], Field(max_length=50)] = {}


class Kept(BaseModel):
    """A reservation for an item of an order."""
    model_config = ConfigDict(extra="forbid")
    itemId: Id
    bps: Rate = 0
    until: AwareDatetime


class Pool(BaseModel):
    """A pool of VLANs (first, last) or prefixes (prefix, length of each)."""
    model_config = ConfigDict(extra="forbid")
    kind: Annotated[str, Field(max_length=16)]
    name: Annotated[str, Field(max_length=100)]
    region: Annotated[str, Field(max_length=64)]
    parentId: Id | None = None
    first: Annotated[int, Field(ge=0, le=4094)] = 0
    last: Annotated[int, Field(ge=0, le=4094)] = 0
    prefix: Annotated[str, Field(max_length=64)] = ""
    length: Annotated[int, Field(ge=0, le=128)] = 0


NAMES = {"parentId": "parent_id", "capacityBps": "capacity_bps", "ownerId": "owner_id", "administrativeState": "administrative",
         "operationalState": "operational"}


def told(one: Resource) -> dict[str, Any]:
    """A resource as TMF639 has it."""
    related = [{"id": one.parent_id, "href": f"{PATH}/{one.parent_id}", "@referredType": "Resource", "relationshipType": "isPartOf"}] if one.parent_id else []
    return {"id": one.id, "href": f"{PATH}/{one.id}", "name": one.name, "category": one.kind, "region": one.region,
            "administrativeState": one.administrative, "operationalState": one.operational, "usageState": one.usage, "resourceStatus": one.state,
            "capacityBps": one.capacity_bps, "probe": one.probe, "interface": one.interface, "ownerId": one.owner_id, "resourceRelationship": related,
            "resourceCharacteristic": [{"name": name, "value": value} for name, value in sorted(one.detail.items())], "@type": "Resource"}


def told_room(one: resource.Headroom) -> dict[str, Any]:
    """Headroom; measuredP95Bps null: nothing was measured."""
    return {"capacityBps": one.capacity_bps, "reservedBps": one.reserved_bps, "usedBps": one.used_bps, "measuredP95Bps": one.measured_p95_bps,
            "measuredSlots": one.slots, "freeBps": one.free_bps}


def told_kept(one: Reservation) -> dict[str, Any]:
    """A reservation."""
    return {"id": one.id, "resource": {"id": one.resource_id, "href": f"{PATH}/{one.resource_id}"}, "itemId": one.item_id, "bps": one.bps,
            "made": iso(one.made), "until": iso(one.until), "released": iso(one.released), "@type": "Reservation"}


@router.get("")
def resources(who: Who, category: Word = "", region: Word = "", parentId: Word = "", usageState: Word = "", resourceStatus: Word = "", name: Word = "",
              offset: shape.Offset = 0, limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Resources in order of their ids."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("resource.read")
        query = desk.select(Resource).order_by(Resource.id)
        for column, wanted in ((Resource.kind, category), (Resource.region, region), (Resource.parent_id, parentId), (Resource.usage, usageState),
                               (Resource.state, resourceStatus), (Resource.name, name)):
            query = query.where(column == wanted) if wanted else query
        return shape.page(desk.session, query, offset, limit, told, fields)

    return who.read(look)


@router.get("/candidate")
def candidates(who: Who, region: Word, category: Word, bps: Annotated[int, Query(ge=0, le=10 ** 15)] = 0) -> JSONResponse:
    """What could carry so much in a region, the most room first."""
    def look(desk: Desk) -> JSONResponse:
        return JSONResponse([{"id": one.resource_id, "href": f"{PATH}/{one.resource_id}", "name": one.name, "category": one.kind,
                              "headroom": told_room(one.headroom)} for one in resource.candidates(desk, region, category, bps)])

    return who.read(look)


@router.get("/{id}")
def one_resource(who: Who, id: Id, fields: shape.Fields = "") -> JSONResponse:
    """One resource."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("resource.read")
        found = desk.find(Resource, id)
        return shape.one(shape.only(told(found), fields), found.version)

    return who.read(look)


@router.get("/{id}/headroom")
def headroom(who: Who, id: Id) -> JSONResponse:
    """How much room it has, nameplate and measured."""
    return who.read(lambda desk: JSONResponse(told_room(resource.headroom(desk, id))))


@router.post("", status_code=201)
def add(who: Who, asked: Made) -> Response:
    """A new resource."""
    def act(desk: Desk) -> Response:
        found = resource.add(desk, kind=asked.kind, name=asked.name, region=asked.region, parent_id=asked.parentId, capacity_bps=asked.capacityBps,
                             probe=asked.probe, interface=asked.interface, owner_id=asked.ownerId, detail=asked.detail)
        return shape.one(told(found), found.version, 201)

    return who.write(act)


@router.post("/pool", status_code=201)
def add_pool(who: Who, asked: Pool) -> Response:
    """A new pool."""
    def act(desk: Desk) -> Response:
        found = pool.create(desk, kind=asked.kind, name=asked.name, region=asked.region, parent_id=asked.parentId, first=asked.first, last=asked.last,
                            prefix=asked.prefix, length=asked.length)
        return shape.one(told(found), found.version, 201)

    return who.write(act)


@router.patch("/{id}")
def change(who: Who, id: Id, asked: Changed, if_match: IfMatch = None) -> Response:
    """Change a resource."""
    given = {NAMES.get(name, name): value for name, value in asked.model_dump(exclude_unset=True).items()}

    def act(desk: Desk) -> Response:
        found = resource.change(desk, id, shape.version_of(if_match), **given)
        return shape.one(told(found), found.version)

    return who.write(act)


@router.post("/{id}/reservation", status_code=201)
def reserve(who: Who, id: Id, asked: Kept) -> Response:
    """Keep it for an item of an order; of a pool, the lowest that is free."""
    until: datetime = asked.until

    def act(desk: Desk) -> Response:
        desk.demand("resource.write")
        made = (pool.allocate(desk, id, asked.itemId, until)[1] if desk.find(Resource, id).detail.get("pool") else
                resource.reserve(desk, id, asked.itemId, asked.bps, until))
        return JSONResponse(told_kept(made), 201)

    return who.write(act)
