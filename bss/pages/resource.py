"""Resources: the list, and one resource with what is below it, who uses it and how much of it is free."""
from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy import select

from bss.desk import Desk
from bss.pages.cell import link, number, tag, text
from bss.pages.listing import listed, named
from bss.pages.visitor import Visit, bits
from bss.refusal import Refusal
from bss.services.resource import headroom
from bss.tables import Resource, Service, ServiceResource

router = APIRouter()
MOST = 200


@router.get("/resources")
def resources(visit: Visit) -> Response:
    """The list."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("resource.read")
        found = listed(desk, desk.select(Resource), visit, {"kind": Resource.kind, "region": Resource.region, "state": Resource.state}, Resource.id)
        parents = named(desk, Resource, [one.parent_id for one in found["rows"]], lambda one: str(one.name))
        found["cells"] = [[link(one.name, f"/resources/{one.id}"), tag(one.kind), text(parents.get(one.parent_id or "", "")), text(one.region), tag(one.state),
                           tag(one.usage), number(bits(one.capacity_bps) if one.capacity_bps else ""), text(f"{one.probe} {one.interface}".strip())]
                          for one in found["rows"]]
        return found

    heads = visit.heads("resource.name", "list.kind", "resource.parent", "list.region", "list.state", "resource.usage", "resource.capacity", "resource.point",
                        numbers=("resource.capacity",))
    return visit.page("list", what="resource", heads=heads, exported="resource", **visit.read(look))


@router.get("/resources/{resource_id}")
def resource(visit: Visit, resource_id: str) -> Response:
    """One of them."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("resource.read")
        found = desk.find(Resource, resource_id)
        below = list(desk.session.execute(desk.select(Resource).where(Resource.parent_id == resource_id).order_by(Resource.name).limit(MOST)).scalars())
        used = list(desk.session.execute(desk.select(Service).join(ServiceResource, ServiceResource.service_id == Service.id)
                                         .where(ServiceResource.resource_id == resource_id).limit(MOST)).scalars()) if desk.may("service.read") else []
        parent = desk.session.execute(select(Resource).where(Resource.id == found.parent_id)).scalar_one_or_none()
        try:
            free = headroom(desk, resource_id) if found.capacity_bps else None
            why = ""
        except Refusal as error:
            free, why = None, error.what
        return {"one": found, "below": below, "used": used, "parent": parent, "free": free, "why": why}

    return visit.page("resource", **visit.read(look))
