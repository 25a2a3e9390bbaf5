"""TMF622 Product Ordering: `/tmf-api/productOrderingManagement/v5/productOrder`, its cancellation task, and orders about a service."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import Field
from sqlalchemy import select

from bss.api import shape
from bss.api.contact import Model
from bss.api.entrance import IfMatch, Who
from bss.api.look import Look
from bss.api.shape import Short
from bss.catalogue.publishing import version_of
from bss.desk import Desk
from bss.moment import iso
from bss.orders import listing
from bss.orders import order as orders
from bss.orders.milestone import reached_of, seen_of
from bss.orders.states import STATES
from bss.orders.transition import move, move_item
from bss.orders.wanted import Line, Wanted
from bss.refusal import Refusal
from bss.tables import Milestone, OrderItem, OrderVersion, ProductOrder, Transition

BASE = "/tmf-api/productOrderingManagement/v5"
ROOT = f"{BASE}/productOrder"
router = APIRouter(route_class=Look, tags=["order"])
Reason = Annotated[str, Field(max_length=400)]


class Reference(Model):
    """Something named by its id."""
    id: Annotated[str, Field(min_length=1, max_length=64)]
    href: Annotated[str, Field(max_length=300)] = ""


class Item(Model):
    """productOrderItem. service: for modify and delete; place: where it is to be; wanted: rates and network values; covered: whether a sensor sees it."""
    id: Annotated[str, Field(max_length=16)] = ""
    action: Literal["add", "modify", "delete", "noChange"] = "add"
    productOffering: Reference | None = None
    service: Reference | None = None
    place: Annotated[str | None, Field(max_length=400)] = None
    covered: bool | None = None
    wanted: Wanted = Wanted()

    def line(self) -> Line:
        """As the domain takes it."""
        from bss.catalogue.reading import checked
        return checked(Line, {"id": self.id, "action": self.action, "offering": self.productOffering.id if self.productOffering else "", "site": self.place,
                              "service_id": self.service.id if self.service else None, "covered": self.covered, "wanted": self.wanted}, "productOrderItem")


class Order(Model):
    """A new order: a draft, or acknowledged at once where `state` says so."""
    externalId: Annotated[str, Field(max_length=64)] = ""
    customer: Reference
    channel: Annotated[str, Field(max_length=16)] = "manager"
    region: Annotated[str, Field(max_length=64)] = ""
    owner: Reference | None = None
    agreement: Reference | None = None
    enquiry: Reference | None = None
    changes: Reference | None = None
    state: Literal["draft", "acknowledged"] = "draft"
    productOrderItem: Annotated[list[Item], Field(min_length=1, max_length=50)]


class Change(Model):
    """What of an order is changed: its state (with a reason), its items (an amendment), or its owner. One of them at once."""
    state: Annotated[str | None, Field(max_length=24)] = None
    stateReason: Reason = ""
    productOrderItem: Annotated[list[Item] | None, Field(max_length=50)] = None
    owner: Reference | None = None


class ItemChange(Model):
    """The state of one item."""
    state: Annotated[str, Field(max_length=24)]
    stateReason: Reason = ""


class Cancel(Model):
    """CancelProductOrder."""
    productOrder: Reference
    cancellationReason: Reason


class AboutService(Model):
    """An order about one service."""
    action: Literal["suspend", "resume", "terminate"]
    suspendedFor: Literal["", "customer", "non_payment", "fault"] = ""
    channel: Annotated[str, Field(max_length=16)] = "manager"
    owner: Reference | None = None


def told(desk: Desk, row: ProductOrder, unmasked: bool = False, known: Mapping[str, Mapping[str, Milestone]] | None = None) -> dict[str, Any]:
    """An order in the shape of TMF622. known: what its items reached, where that was asked for already."""
    known = known or reached_of(desk, row.items)
    alert = [{"jeopardyType": "timeliness", "alertDate": iso(row.jeopardy)}] if row.jeopardy else []
    milestones = []
    for item in row.items:
        milestones += [{"id": f"{item.id}/{name}", "name": name, "status": "reached", "milestoneDate": iso(one.reached), "productOrderItem": item.id,
                        "evidence": one.evidence} for name, one in known[item.id].items()]
    related = [{"role": "customer", "id": row.customer_id, "href": f"/tmf-api/customerManagement/v4/customer/{row.customer_id}"}]
    if row.owner_id:
        related.append({"role": "owner", "id": row.owner_id})
    return {"id": row.id, "href": f"{ROOT}/{row.id}", "externalId": row.number, "state": row.state, "stateReason": row.reason, "revision": row.revision,
            "category": row.class_, "region": row.region, "channel": [{"name": row.channel}], "creationDate": iso(row.created),
            "orderDate": iso(row.acknowledged), "expectedCompletionDate": iso(row.due), "completionDate": iso(row.completed),
            "pendingSince": iso(row.pending_since), "relatedParty": related, "agreement": [{"id": row.agreement_id}] if row.agreement_id else [],
            "enquiry": {"id": row.enquiry_id} if row.enquiry_id else None, "productOrderItem": [item_told(desk, one, unmasked) for one in row.items],
            "orderRelationship": [{"relationshipType": "changes", "id": row.changes_id}] if row.changes_id else [],
            "productOrderMilestone": milestones, "productOrderJeopardyAlert": alert, "@type": "ProductOrder"}


def item_told(desk: Desk, item: OrderItem, unmasked: bool = False) -> dict[str, Any]:
    """An item. Where it is to be is masked unless it was asked for unmasked."""
    prices = [{"name": one["name"]["en"], "priceType": one["type"], "recurringChargePeriod": one["period"] or None, "unitOfMeasure": one["unit"] or None,
               "quantity": one["quantity"], "price": {"taxRate": one["tax_rate"], "dutyFreeAmount": {"unit": item.price["currency"], "value": one["net"]},
                                                      "taxIncludedAmount": {"unit": item.price["currency"], "value": one["gross"]}}}
              for one in item.price.get("lines", [])]
    return {"id": item.id, "action": item.action, "state": item.state,
            "productOffering": {"id": item.offering, "version": str(item.offering_version),
                                "name": _name(desk, item.offering, item.offering_version)},
            "service": {"id": item.service_id} if item.service_id else None, "place": desk.shown(item.site, unmasked), "wanted": item.wanted,
            "itemPrice": prices, "covered": item.covered, "verified": item.verified or None, "removedIn": item.removed, "@type": "ProductOrderItem"}


def _name(desk: Desk, code: str, version: int) -> str:
    """What a version of an offering is called: it is asked for once in a process, for what was published never changes."""
    key = desk.office.settings.database, code, version
    if key not in _names:
        if len(_names) >= 10_000:
            _names.clear()
        _names[key] = str(version_of(desk, code, version).document["name"]["en"])
    return _names[key]


_names: dict[tuple[str, str, int], str] = {}


@router.get(ROOT)
def listed(who: Who, state: Annotated[list[str] | None, Query(max_length=12)] = None, region: Short = "", owner: Short = "", customer: Short = "",
           overdue: bool = False, offset: shape.Offset = 0, limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Orders, the newest first."""
    def look(desk: Desk) -> JSONResponse:
        for one in state or ():
            if one not in STATES:
                raise Refusal("invalid", f"{one!r} is no state", "state", f"states are {', '.join(STATES)}")
        found, wanted = listing.listing(desk, state or (), region, owner, customer, overdue)
        known: dict[str, dict[str, Milestone]] = {}

        def ready(rows: Sequence[Sequence[Any]]) -> list[ProductOrder]:
            shown = listing.completed(desk, rows)
            known.update(seen_of(desk, [item for row in shown for item in row.items]))
            return shown

        return shape.sighted(desk.session, found, wanted, offset, limit, lambda row: told(desk, row, known=known), fields, ready)
    return who.read(look)


@router.get(ROOT + "/{id}")
def one(who: Who, id: str, unmask: bool = False, reason: Annotated[str, Query(max_length=400)] = "", fields: shape.Fields = "") -> JSONResponse:
    """One order. unmask: with where its items are to be, which takes a reason and is put on record."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("order.read")
        row = desk.find(ProductOrder, id)
        return shape.one(shape.only(told(desk, row, unmask and desk.unmask(row, reason)), fields), row.version)
    return who.audited(look) if unmask else who.read(look)


@router.post(ROOT, status_code=201)
def made(who: Who, sent: Order) -> Response:
    """Enter an order."""
    def act(desk: Desk) -> Response:
        def of(reference: Reference | None) -> str | None:
            return reference.id if reference else None
        row = orders.enter(desk, sent.customer.id, [one.line() for one in sent.productOrderItem], channel=sent.channel, number=sent.externalId,
                           region=sent.region, enquiry_id=of(sent.enquiry), agreement_id=of(sent.agreement), owner_id=of(sent.owner),
                           changes_id=of(sent.changes))
        if sent.state == "acknowledged":
            orders.acknowledge(desk, row.id)
        return shape.one(told(desk, row), row.version, 201)
    return who.write(act)


@router.patch(ROOT + "/{id}")
def changed(who: Who, id: str, sent: Change, if_match: IfMatch = None) -> Response:
    """Move an order to a state, amend it, or give it to somebody."""
    version = shape.version_of(if_match)

    def act(desk: Desk) -> Response:
        asked = [sent.state is not None, sent.productOrderItem is not None, sent.owner is not None]
        if sum(asked) != 1:
            raise Refusal("invalid", "one of state, productOrderItem and owner is changed at once", mend="send one of them")
        difference: dict[str, Any] = {}
        if sent.state is not None:
            row = move(desk, id, sent.state, sent.stateReason, version)
        elif sent.owner is not None:
            row = orders.assign(desk, id, sent.owner.id, version)
        else:
            row, compared = orders.amend(desk, id, [one.line() for one in sent.productOrderItem or ()], sent.stateReason, version)
            difference = {"difference": compared}
        return shape.one({**told(desk, row), **difference}, row.version)
    return who.write(act)


@router.patch(ROOT + "/{id}/productOrderItem/{item_id}")
def item_changed(who: Who, id: str, item_id: str, sent: ItemChange, if_match: IfMatch = None) -> Response:
    """Move one item; its order goes where its items take it."""
    def act(desk: Desk) -> Response:
        if desk.find(OrderItem, item_id).order_id != id:
            raise Refusal("missing", f"the order has no item {item_id}", "productOrderItem")
        move_item(desk, item_id, sent.state, sent.stateReason, shape.version_of(if_match))
        row = desk.find(ProductOrder, id)
        return shape.one(told(desk, row), row.version)
    return who.write(act)


@router.post(f"{BASE}/cancelProductOrder", status_code=201)
def cancelled(who: Who, sent: Cancel) -> Response:
    """Cancel an order; it stays to be assessed where who asks may not carry it out."""
    def act(desk: Desk) -> Response:
        row = orders.cancel(desk, sent.productOrder.id, sent.cancellationReason)
        done = row.state == "cancelled"
        return JSONResponse({"state": "done" if done else "acknowledged", "cancellationReason": sent.cancellationReason,
                             "effectiveCancellationDate": iso(desk.now) if done else None,
                             "productOrder": {"id": row.id, "href": f"{ROOT}/{row.id}", "state": row.state}, "@type": "CancelProductOrder"}, 201)
    return who.write(act)


@router.get(ROOT + "/{id}/version")
def versions(who: Who, id: str) -> JSONResponse:
    """What an order was before each of its amendments."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("order.read")
        row = desk.find(ProductOrder, id)
        found = desk.session.execute(select(OrderVersion).where(OrderVersion.order_id == row.id).order_by(OrderVersion.revision)).scalars()
        return JSONResponse([{"revision": one.revision, "replaced": iso(one.time), "content": one.content} for one in found])
    return who.read(look)


@router.get(ROOT + "/{id}/history")
def history(who: Who, id: str) -> JSONResponse:
    """The steps of an order and its items, the first first."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("order.read")
        row = desk.find(ProductOrder, id)
        query = select(Transition).where(Transition.entity_id.in_([row.id, *(item.id for item in row.items)])).order_by(Transition.time, Transition.id)
        return JSONResponse([{"id": one.entity_id, "from": one.from_state, "to": one.to_state, "time": iso(one.time), "user": one.user_id, "reason": one.reason}
                             for one in desk.session.execute(query.limit(10_000)).scalars()])
    return who.read(look)


@router.post("/fullspan/v1/service/{id}/order", status_code=201)
def about(who: Who, id: str, sent: AboutService) -> Response:
    """An order that suspends, resumes or terminates a service, acknowledged at once. id: also of a value-added item without one, to be ended."""
    def act(desk: Desk) -> Response:
        given: dict[str, Any] = {"channel": sent.channel, "owner_id": sent.owner.id if sent.owner else None}
        row = (orders.suspend(desk, id, sent.suspendedFor, **given) if sent.action == "suspend" else orders.resume(desk, id, **given) if sent.action == "resume"
               else orders.terminate(desk, id, **given))
        return shape.one(told(desk, row), row.version, 201)
    return who.write(act)
