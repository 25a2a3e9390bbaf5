"""`/fullspan/v1/whois`: whose an address was. A reason is needed, and each question is on record."""
from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime

from bss.api import shape
from bss.api.entrance import Who
from bss.api.look import Look
from bss.desk import Desk
from bss.moment import iso
from bss.services.whois import whois as asked_of

router = APIRouter(route_class=Look, prefix="/fullspan/v1/whois", tags=["whois"])
Vlan = Annotated[int | None, Query(ge=1, le=4094)]


@router.get("")
def whois(who: Who, address: Annotated[str, Query(max_length=64)], reason: Annotated[str, Query(max_length=400)], at: AwareDatetime | None = None,
          vlan: Vlan = None, innerVlan: Vlan = None) -> JSONResponse:
    """The service and customer that an address was bound to; null where it was nobody's."""
    def look(desk: Desk) -> JSONResponse:
        found = asked_of(desk, address, at or desk.now, vlan, innerVlan, reason)
        return shape.Told({"address": found.address, "at": iso(found.at), "serviceId": found.service_id or None, "customerId": found.customer_id or None,
                             "circuit": found.circuit or None, "by": found.by or None, "bindingId": found.binding_id or None, "learned": found.learned or None,
                             "validFor": shape.span(found.valid_from, found.valid_to), "@type": "Whois"})

    return who.audited(look)
