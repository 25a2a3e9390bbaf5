"""`/fullspan/v1/binding`: what tells the probe whose traffic it is; bound, ended, moved, and corrected in the past after a dry run."""
from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from bss.api import shape
from bss.api.entrance import Who
from bss.desk import Desk
from bss.moment import iso
from bss.services import binding, correction
from bss.services.spelling import What
from bss.tables import Binding

PATH = "/fullspan/v1/binding"
router = APIRouter(prefix=PATH, tags=["binding"])
Id = Annotated[str, Field(max_length=16)]
Word = Annotated[str, Query(max_length=300)]
Name = Annotated[str, Field(max_length=300)]
Vlan = Annotated[int | None, Field(ge=1, le=4094)]


class Bound(BaseModel):
    """What is bound: a prefix, a MAC address, a user, a circuit, or VLANs alone."""
    model_config = ConfigDict(extra="forbid")
    prefix: Name = ""
    vlan: Vlan = None
    innerVlan: Vlan = None
    mac: Name = ""
    user: Name = ""
    circuit: Name = ""
    probe: Name = ""
    interface: Name = ""
    validTo: AwareDatetime | None = None


class Made(Bound):
    """A new binding, from now on where no time is given."""
    serviceId: Id
    validFrom: AwareDatetime | None = None


class Corrected(Bound):
    """Whose it was from a moment in the past on; serviceId null: nobody's. dryRun: show what would move."""
    serviceId: Id | None
    validFrom: AwareDatetime
    reason: Annotated[str, Field(max_length=400)] = ""
    dryRun: bool = True


class Ended(BaseModel):
    """When; now, where it is left out."""
    model_config = ConfigDict(extra="forbid")
    at: AwareDatetime | None = None


class Moved(Ended):
    """All bindings of a service, to another one."""
    fromServiceId: Id
    toServiceId: Id


def told(one: Binding) -> dict[str, Any]:
    """A binding."""
    return {"id": one.id, "href": f"{PATH}/{one.id}", "serviceId": one.service_id, "key": one.key, "prefix": one.prefix, "vlan": one.vlan,
            "innerVlan": one.inner_vlan, "mac": one.mac, "user": one.user, "circuit": one.circuit, "probe": one.probe, "interface": one.interface,
            "validFor": shape.span(one.valid_from, one.valid_to), "revision": one.revision, "withdrawn": iso(one.withdrawn), "@type": "Binding"}


def told_correction(one: correction.Correction, dry: bool) -> dict[str, Any]:
    """What a correction does, or did."""
    return {"dryRun": dry, "key": one.key, "bindingId": one.binding_id or None, "bytes": None if one.unknown else one.bytes, "unknown": one.unknown or None,
            "customers": one.customers, "pieces": [
                {"validFor": shape.span(piece.since, piece.until), "fromServiceId": piece.from_service or None, "toServiceId": piece.to_service or None}
                for piece in one.pieces],
            "moved": [{"hour": iso(moved.begin), "fromServiceId": moved.service_id or None, "customerId": moved.customer_id or None,
                       "toServiceId": piece.to_service or None, "flows": moved.flows, "bytes": moved.bytes} for piece, moved in one.moved],
            "commands": one.commands}


def what_of(asked: Bound) -> What:
    """What a body says is bound."""
    return What(asked.prefix, asked.vlan, asked.innerVlan, asked.mac, asked.user, asked.circuit)


@router.get("")
def bindings(who: Who, serviceId: Word = "", key: Word = "", at: AwareDatetime | None = None, withdrawn: bool = False, offset: shape.Offset = 0,
             limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Bindings in order of their ids. at: those that hold then; withdrawn: those that were found wrong as well."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("service.read")
        query = desk.select(Binding).order_by(Binding.id)
        for column, wanted in ((Binding.service_id, serviceId), (Binding.key, key)):
            query = query.where(column == wanted) if wanted else query
        query = query if withdrawn else query.where(Binding.withdrawn.is_(None))
        return shape.page(desk.session, query if at is None else query.where(*binding.holds(at)), offset, limit, told, fields)

    return who.read(look)


@router.get("/{id}")
def one_binding(who: Who, id: Id) -> JSONResponse:
    """One binding."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("service.read")
        found = desk.find(Binding, id)
        return shape.one(told(found), found.revision)

    return who.read(look)


@router.post("", status_code=201)
def bind(who: Who, asked: Made) -> Response:
    """Bind something to a service."""
    def act(desk: Desk) -> Response:
        made = binding.bind(desk, asked.serviceId, **what_of(asked)._asdict(), probe=asked.probe, interface=asked.interface, valid_from=asked.validFrom,
                            valid_to=asked.validTo)
        return shape.one(told(made), made.revision, 201)

    return who.write(act)


@router.post("/move")
def move(who: Who, asked: Moved) -> Response:
    """Give all that a service has to another one, without a gap."""
    return who.write(lambda desk: JSONResponse([told(one) for one in binding.move(desk, asked.fromServiceId, asked.toServiceId, asked.at)]))


@router.post("/correction")
def correct(who: Who, asked: Corrected) -> Response:
    """Put a binding of the past right; a dry run unless `dryRun` is false."""
    def act(desk: Desk) -> Response:
        found = correction.correct(desk, asked.serviceId, what_of(asked), asked.validFrom, asked.validTo, probe=asked.probe, interface=asked.interface,
                                   reason=asked.reason, dry=asked.dryRun)
        return JSONResponse(told_correction(found, asked.dryRun))

    return who.write(act)


@router.post("/{id}/end")
def end(who: Who, id: Id, asked: Ended) -> Response:
    """End a binding."""
    return who.write(lambda desk: JSONResponse(told(binding.end_one(desk, id, asked.at))))
