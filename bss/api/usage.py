"""TMF635 Usage: `/tmf-api/usageManagement/v4/usage`, a service's days; balances, charges and their evidence, simulation, recycled usage under
`/fullspan/v1`."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from bss.api import shape
from bss.api.contact import Model
from bss.api.entrance import IfMatch, Who
from bss.api.shape import Short
from bss.charges.price import text
from bss.desk import Desk
from bss.moment import iso
from bss.rating import balance, evidence, month, recycling, simulation
from bss.rating.lines import Names, unpack
from bss.tables import RatedCharge, RatedUsage, Recycled, Service

ROOT = "/tmf-api/usageManagement/v4/usage"
router = APIRouter(tags=["usage"])
Month = Annotated[str, Query(max_length=7, description="as 2026-12")]
MOST = 2000         # lines of evidence


class Decision(Model):
    """rated: it goes on the next bill; rejected: nobody is charged for it."""
    status: Literal["rated", "rejected"]
    reason: Annotated[str, Field(max_length=400)]


class Tried(Model):
    """A month, and an offering that is sold now; service: which change to it, all that can where none is named."""
    period: Annotated[str, Field(max_length=7)]
    productOffering: Annotated[str, Field(min_length=1, max_length=64)]
    service: Annotated[list[Annotated[str, Field(max_length=16)]], Field(max_length=100)] = []


def told(desk: Desk, row: RatedUsage, names: Names | None = None) -> dict[str, Any]:
    """A day of usage in the shape of TMF635. names: with its hours."""
    begin, end = (month.begin_of_day(row.day, desk.office.settings.zone, later) for later in (0, 1))
    service = desk.find(Service, row.service_id)
    found: dict[str, Any] = {
        "id": f"{row.service_id}.{row.day}.{row.revision}", "href": f"{ROOT}/{row.service_id}.{row.day}.{row.revision}", "usageDate": iso(begin),
        "usageType": service.kind, "status": row.state, "revision": row.revision, "description": f"{row.day} {service.circuit}",
        "usageSpecification": {"name": f"{service.kind} traffic"}, "validFor": shape.span(begin, end), "billingPeriod": row.period,
        "relatedParty": [{"role": "customer", "id": service.customer_id}], "service": {"id": row.service_id, "name": service.circuit},
        "usageCharacteristic": [{"name": "upBytes", "value": str(row.up_bytes)}, {"name": "downBytes", "value": str(row.down_bytes)},
                                {"name": "digest", "value": bytes(row.digest).hex()}], "ratedDate": iso(row.rated), "@type": "Usage"}
    if names is not None:
        found["hour"] = [{"begin": iso(datetime.fromtimestamp(one.at, UTC)), "category": names.names[one.name].category,
                          "application": names.names[one.name].application or None, "rulesVersion": names.names[one.name].rules, "upBytes": str(one.up),
                          "downBytes": str(one.down)} for one in unpack(row.lines)]
    return found


def charge_told(row: RatedCharge) -> dict[str, Any]:
    """A charge."""
    return {"id": row.id, "href": f"/fullspan/v1/ratedCharge/{row.id}", "status": row.state, "customer": {"id": row.customer_id},
            "service": {"id": row.service_id}, "billingPeriod": row.period, "originalPeriod": row.original_period, "price": row.price_key, "name": row.name,
            "revision": row.revision, "quantity": {"amount": text(row.quantity), "units": row.unit}, "bytes": str(row.bytes),
            "ratingAmount": {"unit": row.currency, "value": text(row.amount)}, "tax": {"mode": row.tax, "rate": text(row.tax_rate)},
            "isBilled": row.state == "billed", "bill": {"id": row.bill_id} if row.bill_id else None, "evidence": row.evidence, "date": iso(row.made)}


def recycled_told(row: Recycled) -> dict[str, Any]:
    """Usage that waits, or waited, for a person."""
    return {"id": row.id, "href": f"/fullspan/v1/recycledUsage/{row.id}", "status": row.state, "reason": row.reason, "service": {"id": row.service_id},
            "customer": {"id": row.customer_id}, "day": row.day, "billingPeriod": row.period, "bytes": str(row.octets), "creationDate": iso(row.made),
            "decisionDate": iso(row.decided), "decidedBy": row.decided_by, "decisionReason": row.why or None}


@router.get(ROOT)
def listed(who: Who, customer: Short = "", service: Short = "", status: Short = "", period: Month = "", offset: shape.Offset = 0, limit: shape.Limit = 100,
           fields: shape.Fields = "") -> JSONResponse:
    """Days of usage, the newest first, of the revisions that hold."""
    return who.read(lambda desk: shape.page(desk.session, balance.days(desk, customer, service, period, status), offset, limit, lambda row: told(desk, row),
                                            fields))


@router.get(ROOT + "/{id}")
def one(who: Who, id: str, fields: shape.Fields = "") -> JSONResponse:
    """A day (service.day or service.day.revision) with its hours and categories; that it was looked at is put on record."""
    def look(desk: Desk) -> JSONResponse:
        service, _, rest = id.partition(".")
        day, _, revision = rest.partition(".")
        row = balance.day(desk, service, day, int(revision) if revision.isdigit() and len(revision) < 10 else None)
        desk.record("usage.read", ("service", row.service_id), after={"day": row.day, "revision": row.revision})
        return JSONResponse(shape.only(told(desk, row, Names().load(desk)), fields))
    return who.audited(look)


@router.get("/fullspan/v1/customer/{id}/balance")
def balances(who: Who, id: str, period: Month = "") -> JSONResponse:
    """What is included of a month and what of it was used."""
    def look(desk: Desk) -> JSONResponse:
        found = balance.balances(desk, id, period)
        return JSONResponse({"customer": id, "period": balance.period_of(desk, period), "counted": iso(balance.counted(desk)), "bucket": [
            {"id": one.bucket.id, "key": one.bucket.key, "name": one.bucket.name, "owner": one.bucket.owner, "status": one.bucket.state,
             "carriedOverFrom": one.bucket.origin if one.bucket.origin != one.bucket.period else None, "bytes": str(one.bucket.quantity),
             "usedBytes": str(one.bucket.used), "leftBytes": str(one.left), "usedPercent": one.percent, "expires": iso(one.bucket.expires),
             "covers": one.bucket.detail} for one in found]})
    return who.read(look)


@router.get("/fullspan/v1/ratedCharge")
def charges(who: Who, customer: Short = "", period: Month = "", status: Short = "", offset: shape.Offset = 0, limit: shape.Limit = 100,
            fields: shape.Fields = "") -> JSONResponse:
    """Charges by use: provisional (so far), closed, billed."""
    return who.read(lambda desk: shape.page(desk.session, balance.charges(desk, customer, period, status), offset, limit, charge_told, fields))


@router.get("/fullspan/v1/ratedCharge/{id}/evidence")
def opened(who: Who, id: str) -> JSONResponse:
    """What a charge was computed from: days, hours in the order of drawing, closed slots as they were rated and as they are now."""
    def look(desk: Desk) -> JSONResponse:
        found = evidence.of(desk, id)
        return JSONResponse({
            "charge": charge_told(found.charge), "service": found.services, "validFor": shape.span(found.since, found.until), "away": found.away or None,
            "slot": None if found.slot is None else shape.span(*found.slot), "truncated": len(found.hours) > MOST,
            "day": [one._asdict() for one in found.days],
            "hour": [{**one._asdict(), "begin": iso(one.begin)} for one in found.hours[:MOST]],
            "closedSlot": [{**one._asdict(), "begin": iso(one.begin), "unchanged": one.unchanged} for one in found.slots[:MOST]]})
    return who.audited(look)


@router.post("/fullspan/v1/customer/{id}/simulation")
def tried(who: Who, id: str, sent: Tried) -> Response:
    """What a customer would have paid on another plan. Nothing is written."""
    def look(desk: Desk) -> JSONResponse:
        found = simulation.simulate(desk, id, sent.period, sent.productOffering, sent.service)
        return JSONResponse({"customer": id, "period": found.period, "productOffering": {"id": found.offering, "version": str(found.version)},
                             "service": found.services, "now": lines(found.now), "then": lines(found.then), "nowTotal": text(found.before),
                             "thenTotal": text(found.after), "saving": text(found.saving), "left": {key: str(left) for key, left in found.left.items()},
                             "hold": found.hold})
    return who.audited(look)


def lines(told_: Sequence[simulation.Line]) -> list[dict[str, Any]]:
    """Lines of a simulation."""
    return [{**one._asdict(), "amount": text(one.amount), "name": dict(one.name)} for one in told_]


@router.get("/fullspan/v1/recycledUsage")
def queue(who: Who, status: Short = "recycled", customer: Short = "", offset: shape.Offset = 0, limit: shape.Limit = 100, fields: shape.Fields = ""
          ) -> JSONResponse:
    """Usage that waits for a person, the oldest first."""
    return who.read(lambda desk: shape.page(desk.session, recycling.queue(desk, status, customer), offset, limit, recycled_told, fields))


@router.patch("/fullspan/v1/recycledUsage/{id}")
def decided(who: Who, id: str, sent: Decision, if_match: IfMatch = None) -> Response:
    """Take recycled usage up, or reject it."""
    version = shape.version_of(if_match)

    def act(desk: Desk) -> Response:
        row = recycling.decide(desk, id, sent.status, sent.reason, version)
        return shape.one(recycled_told(row), row.version)
    return who.write(act)
