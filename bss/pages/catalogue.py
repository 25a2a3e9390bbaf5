"""What is sold, in the versions that hold now."""
from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from bss.desk import Desk
from bss.pages.cell import number, tag, text
from bss.pages.listing import listed
from bss.pages.visitor import Visit
from bss.tables import Offering

router = APIRouter()


@router.get("/catalogue")
def catalogue(visit: Visit) -> Response:
    """The list."""
    def price(one: dict[str, Any]) -> str:
        tax = visit.say("catalogue.inclusive" if one.get("tax_included") else "catalogue.exclusive")
        return f"{one.get('amount', '')} {one.get('currency', 'CNY')} {visit.state(str(one.get('kind', '')))} ({tax})"

    def name(document: dict[str, Any]) -> str:
        return str(document.get(f"name_{visit.lang}") or document.get("name", {}).get(visit.lang, ""))

    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("catalogue.read")
        found = listed(desk, desk.select(Offering), visit, {"kind": Offering.kind, "class": Offering.class_, "state": Offering.lifecycle}, Offering.code)
        found["cells"] = [[text(one.code), text(name(one.document)), tag(one.kind), tag(one.class_), number(one.version), tag(one.lifecycle),
                           text(visit.time(one.valid_from)), text("; ".join(map(price, one.document.get("prices", []))))] for one in found["rows"]]
        return found

    heads = visit.heads("catalogue.code", "catalogue.name", "list.kind", "list.class", "catalogue.version", "list.state", "catalogue.valid", "catalogue.prices",
                        numbers=("catalogue.version",))
    return visit.page("list", what="catalogue", heads=heads, exported="", **visit.read(look))
