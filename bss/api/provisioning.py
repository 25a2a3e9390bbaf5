"""What is done to an item of an order on its way: resources, bindings, the installation and its test, verification. `/fullspan/v1/productOrderItem/{id}/...`"""
from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from bss.api.catalog import aware
from bss.api.contact import Model
from bss.api.entrance import Who
from bss.api.order import Reason, item_told
from bss.desk import Desk
from bss.moment import iso
from bss.orders import dwell, fulfilment, verifying
from bss.orders.milestone import reached
from bss.tables import OrderItem

ROOT = "/fullspan/v1/productOrderItem"
router = APIRouter(tags=["order"])
Text = Annotated[str, Field(max_length=255)]


class Reserve(Model):
    """Ids of resources; until: 30 days from now where it is left out."""
    resource: Annotated[list[Annotated[str, Field(max_length=16)]], Field(max_length=fulfilment.MOST_RESOURCES)] = []
    until: datetime | None = None


class Bound(Model):
    """What binds traffic to the service, as services/binding.py knows it."""
    prefix: Text = ""
    vlan: Annotated[int | None, Field(ge=1, le=4094)] = None
    inner_vlan: Annotated[int | None, Field(ge=1, le=4094)] = None
    mac: Text = ""
    user: Text = ""
    circuit: Text = ""
    probe: Text = ""
    interface: Text = ""
    valid_from: datetime | None = None


class Connect(Model):
    """Bindings of the service."""
    binding: Annotated[list[Bound], Field(max_length=64)] = []


class Disconnect(Model):
    """When its bindings end; now where it is left out."""
    at: datetime | None = None


class Test(Model):
    """From when to when it was tested."""
    begin: datetime
    end: datetime


class Install(Model):
    """An installation that is done, and its tests."""
    test: Annotated[list[Test], Field(max_length=verifying.MOST_TESTS)] = []
    note: Annotated[str, Field(max_length=400)] = ""


class Accept(Model):
    """What was looked at."""
    reason: Reason


def told(desk: Desk, item_id: str, **more: Any) -> JSONResponse:
    """An item and what it has reached."""
    item = desk.find(OrderItem, item_id)
    milestones = {name: {"reached": iso(one.reached), "evidence": one.evidence} for name, one in reached(desk, item).items()}
    return JSONResponse({**item_told(desk, item), "href": f"{ROOT}/{item.id}", "productOrder": {"id": item.order_id}, "milestone": milestones, **more})


@router.get(ROOT + "/{id}")
def one(who: Who, id: str) -> JSONResponse:
    """An item and what it has reached."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("order.read")
        return told(desk, id)
    return who.read(look)


@router.post(ROOT + "/{id}/reserve")
def reserved(who: Who, id: str, sent: Reserve) -> Response:
    """Keep resources for it; an added item gets its service."""
    def act(desk: Desk) -> Response:
        made = fulfilment.reserve(desk, id, sent.resource, aware(sent.until))
        return told(desk, id, reservation=[{"id": one.id, "resource": one.resource_id, "bps": one.bps, "until": iso(one.until)} for one in made])
    return who.write(act)


@router.post(ROOT + "/{id}/connect")
def connected(who: Who, id: str, sent: Connect) -> Response:
    """Put its resources to use, and bind traffic to its service."""
    def act(desk: Desk) -> Response:
        given = [{name: value for name, value in one.model_dump(exclude={"type_"}).items() if value is not None} for one in sent.binding]
        for one in sent.binding:
            aware(one.valid_from)
        made = fulfilment.connect(desk, id, given)
        return told(desk, id, binding=[{"id": one.id, "validFrom": iso(one.valid_from)} for one in made])
    return who.write(act)


@router.post(ROOT + "/{id}/disconnect")
def disconnected(who: Who, id: str, sent: Disconnect) -> Response:
    """End the bindings of a service that is deleted or suspended."""
    return who.write(lambda desk: told(desk, id, ended=fulfilment.disconnect(desk, id, aware(sent.at))))


@router.post(ROOT + "/{id}/install")
def installed(who: Who, id: str, sent: Install) -> Response:
    """Note that it is installed, and when it was tested."""
    def act(desk: Desk) -> Response:
        verifying.install(desk, id, [(one.begin, one.end) for one in sent.test], sent.note)
        return told(desk, id)
    return who.write(act)


@router.post(ROOT + "/{id}/verify")
def verified(who: Who, id: str) -> Response:
    """Ask the probe for what it still lacks."""
    def act(desk: Desk) -> Response:
        found = verifying.verify(desk, id)
        return told(desk, id, verdict={"done": found.done, "how": found.how, "why": found.why})
    return who.write(act)


@router.post(ROOT + "/{id}/accept")
def accepted(who: Who, id: str, sent: Accept) -> Response:
    """Accept what no sensor sees, as the second person."""
    def act(desk: Desk) -> Response:
        verifying.accept_by_hand(desk, id, sent.reason)
        return told(desk, id)
    return who.write(act)


@router.get("/fullspan/v1/report/dwell")
def dwelt(who: Who, since: datetime | None = None, until: datetime | None = None, region: Annotated[str, Query(max_length=64)] = "",
          class_: Annotated[str, Query(alias="class", max_length=8)] = "") -> JSONResponse:
    """How long orders stay in each state."""
    return who.read(lambda desk: JSONResponse(dwell.report(desk, aware(since), aware(until), region, class_)))
