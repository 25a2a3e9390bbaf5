"""Services: the list, and one service with what binds traffic to it, its resources and the traffic of its last day."""
from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy import select

from bss.desk import Desk
from bss.evidence import Minute
from bss.pages.cell import link, number, tag, text
from bss.pages.listing import listed, named
from bss.pages.visitor import Visit, bits
from bss.refusal import Refusal
from bss.tables import Binding, Customer, Resource, Service, ServiceResource, Transition

router = APIRouter()
WIDTH, HEIGHT, DAY = 960, 120, timedelta(days=1)


@router.get("/services")
def services(visit: Visit) -> Response:
    """The list."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("service.read")
        found = listed(desk, desk.select(Service), visit, {"state": Service.state, "kind": Service.kind, "class": Service.class_, "region": Service.region},
                       Service.id.desc())
        whose = named(desk, Customer, [one.customer_id for one in found["rows"]], lambda one: str(desk.shown(one.party.name)))
        found["cells"] = [[link(one.circuit, f"/services/{one.id}"),
                           visit.way("customer.read", whose.get(one.customer_id, ""), f"/customers/{one.customer_id}"), text(one.offering),
                           tag(one.kind), tag(one.class_), text(one.region), tag(one.state), number(f"{bits(one.down_bps)} / {bits(one.up_bps)}")]
                          for one in found["rows"]]
        return found

    heads = visit.heads("service.circuit", "service.customer", "service.offering", "list.kind", "list.class", "list.region", "list.state", "service.rate",
                        numbers=("service.rate",))
    return visit.page("list", what="service", heads=heads, exported="service", **visit.read(look))


@router.get("/services/{service_id}")
def service(visit: Visit, service_id: str) -> Response:
    """One of them. Its traffic is one customer's: that it was looked at is put on record."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("service.read")
        found = desk.find(Service, service_id)
        customer = desk.find(Customer, found.customer_id)

        def some(query: Any) -> list[Any]:
            return list(desk.session.execute(query.limit(200)).scalars())

        bindings = some(select(Binding).where(Binding.service_id == service_id, Binding.withdrawn.is_(None)).order_by(Binding.valid_from))
        of = select(Resource).join(ServiceResource, ServiceResource.resource_id == Resource.id).where(ServiceResource.service_id == service_id)
        used = some(of.order_by(Resource.kind)) if desk.may("resource.read") else []
        history = some(select(Transition).where(Transition.entity == "service", Transition.entity_id == service_id).order_by(Transition.time))
        course, why = None, ""
        if desk.may("traffic.read"):
            desk.record("traffic.read", found)
            begin = desk.now.replace(second=0, microsecond=0) - DAY
            try:
                course = drawn(desk.office.evidence.minutes(service_id, begin, begin + DAY), begin)
            except Refusal as error:
                why = error.what
        return {"one": found, "customer": customer, "name": desk.shown(customer.party.name), "bindings": bindings, "resources": used, "history": history,
                "course": course, "why": why}

    return visit.page("service", **visit.act(look))


def drawn(minutes: list[Minute], begin: datetime) -> dict[str, Any]:
    """Paths of an SVG of WIDTH x HEIGHT: to the customer above the middle, from the customer below; stretches in which nothing was measured; the top, bit/s."""
    top = max([8 * max(one.down_bytes, one.up_bytes) / 60 for one in minutes], default=0.0) or 1.0
    down: list[str] = []
    up: list[str] = []
    gaps: list[tuple[float, float]] = []
    for one in minutes:
        x = WIDTH * (one.begin - begin) / DAY
        if not one.covered and not one.down_bytes and not one.up_bytes:
            if gaps and abs(gaps[-1][1] - x) < 0.1:
                gaps[-1] = (gaps[-1][0], x + WIDTH / 1440)
            else:
                gaps.append((x, x + WIDTH / 1440))
            continue
        for path, sign, count in ((down, -1, one.down_bytes), (up, 1, one.up_bytes)):
            height = (HEIGHT / 2 - 2) * 8 * count / 60 / top
            if height >= 0.05:
                path.append(f"M{x:.1f} {HEIGHT / 2}v{sign * height:.1f}")
    return {"down": "".join(down), "up": "".join(up), "gaps": [(f"{a:.1f}", f"{b - a:.1f}") for a, b in gaps], "top": top, "width": WIDTH, "height": HEIGHT}
