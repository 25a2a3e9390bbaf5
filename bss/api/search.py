"""`/fullspan/v1/search`: one search for names, pinyin, telephone numbers, contracts, circuits, addresses, VLANs and ONUs."""
from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from bss.api import shape
from bss.api.contact import aware
from bss.api.entrance import Who
from bss.api.look import Look
from bss.desk import Desk
from bss.moment import iso
from bss.parties.search import Hit, search

router = APIRouter(route_class=Look, tags=["search"])


def told(desk: Desk, hit: Hit) -> dict[str, Any]:
    """A hit: what it is, what of it was found, and what it is called (masked, where that is a person's name)."""
    row = hit.row
    if hit.kind == "customer":
        named = {"number": row.number, "name": desk.shown(row.party.name), "region": row.region, "state": row.state}
    elif hit.kind == "binding":
        named = {"number": row.key, "service": row.service_id, "validFrom": iso(row.valid_from), "validTo": iso(row.valid_to)}
    elif hit.kind == "resource":
        named = {"number": row.name, "kind": row.kind, "region": row.region, "state": row.state}
    else:
        named = {"number": row.circuit if hit.kind == "service" else row.number, "state": row.state}
    return {"kind": hit.kind, "by": hit.by, "id": row.id, "customer": hit.customer_id, **named, "@type": "SearchHit"}


@router.get("/fullspan/v1/search")
def searched(who: Who, q: Annotated[str, Query(min_length=1, max_length=200)], at: datetime | None = None) -> JSONResponse:
    """Everything that a text may be. at: when bindings of an address are to hold; now where it is not given."""
    when = aware(at, "at")
    return who.read(lambda desk: shape.Told([told(desk, hit) for hit in search(desk, q, when)]))
