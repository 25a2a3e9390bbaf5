"""One field that finds customers, contracts, services and resources."""
from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from bss.desk import Desk
from bss.pages.visitor import Visit
from bss.parties.search import Hit, search
from bss.tables import Agreement, Customer, ProductOrder, Resource, Service

router = APIRouter()


@router.get("/search")
def found(visit: Visit, q: str = "") -> Response:
    """What is found, within what the actor may see."""
    text = q.strip()[:200]
    hits = visit.act(lambda desk: [_shown(desk, hit) for hit in search(desk, text)]) if text else []
    return visit.page("search", text=text, hits=hits)


def _shown(desk: Desk, hit: Hit) -> dict[str, Any]:
    """What it is, what it is called, where its page is."""
    row = hit.row
    label, href = str(row.id), ""
    if isinstance(row, Customer):
        label, href = f"{row.number} {desk.shown(row.party.name)}", f"/customers/{row.id}"
    elif isinstance(row, Service):
        label, href = row.circuit, f"/services/{row.id}"
    elif isinstance(row, ProductOrder):
        label, href = row.number, f"/orders/{row.id}"
    elif isinstance(row, Resource):
        label, href = row.name, f"/resources/{row.id}"
    elif isinstance(row, Agreement):
        label, href = row.number, f"/customers/{row.customer_id}"
    elif hit.kind == "binding":
        label, href = row.prefix or row.mac or row.user or row.circuit or f"VLAN {row.vlan}", f"/services/{row.service_id}"
    return {"kind": hit.kind, "by": hit.by, "label": label, "href": href}
