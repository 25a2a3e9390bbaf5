"""One customer in one call: who he is, what he has, ordered and said, and the traffic of the last day, week and month.

Reading it is put on record. Traffic takes the permission traffic.read, and comes from the probe's store (evidence.py) by the ids of services: where nothing was
measured it is null, with the share of minutes that were, and where the store is away it is null with the reason. It is never guessed.
"""
from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import func, select

from bss.asking import Question, Sight, given, whole
from bss.desk import Desk
from bss.moment import iso
from bss.parties import customer as customers
from bss.parties import relation
from bss.people.scope import Actor, visible
from bss.refusal import Refusal
from bss.tables import Agreement, Customer, Interaction, Merge, Party, ProductOrder, Service, User

MOST = 100              # rows of a kind that are shown
SPANS = (("day", timedelta(days=1)), ("week", timedelta(days=7)), ("month", timedelta(days=30)))


def single(desk: Desk, key: str, *, unmask: str = "", traffic: bool = True) -> dict[str, Any]:
    """The view of a customer, by id or number; one that was merged is shown as whom he is now. unmask: the reason to see personal fields."""
    row = customers.living(desk, key)
    clear = desk.unmask(row, unmask) if unmask else False
    desk.record("customer.view", row)
    told: dict[str, Any] = {"customer": who(desk, row, clear), "agreements": _agreements(desk, row), "services": [], "orders": [], "counts": {}}
    kinds: tuple[tuple[str, Any, str], ...] = (
        ("services", Service, "service.read"), ("orders", ProductOrder, "order.read"), ("interactions", Interaction, "customer.read"))
    shapes: dict[str, Callable[[Any], dict[str, Any]]] = {"services": _service, "orders": _order, "interactions": lambda one: _interaction(desk, one, clear)}
    ids: list[str] | None = None
    for name, table, permission in kinds:
        if not desk.may(permission):
            told[name] = None
            continue
        rows = _of_customer(table, desk.scope).each(desk.session, customer=row.id)
        told[name] = [shapes[name](one) for one in rows]
        told["counts"][name] = len(rows) if len(rows) < MOST else int(_count_of(table, desk.scope).ask(desk.session, customer=row.id)[0][0])
        if table is Service and len(rows) < MOST:
            ids = sorted(one.id for one in rows)
    told["traffic"] = used(desk, row, ids) if traffic else None
    return told


@lru_cache(maxsize=1024)
def _of_customer(table: Any, scope: Actor | None) -> Sight:
    """The newest rows of a customer."""
    return Sight(visible(whole(table), table, scope).where(table.customer_id == given("customer")).order_by(NEWEST[table].desc()).limit(MOST), table)


@lru_cache(maxsize=1024)
def _count_of(table: Any, scope: Actor | None) -> Question:
    return Question(select(func.count()).select_from(visible(select(table.id), table, scope).where(table.customer_id == given("customer")).subquery()))


NEWEST: dict[Any, Any] = {Agreement: Agreement.valid_from, Service: Service.created, ProductOrder: ProductOrder.created, Interaction: Interaction.time}
_MERGES = Sight(whole(Merge).where(Merge.kept_id == given("customer"), Merge.undone.is_(None)).order_by(Merge.time), Merge)


def who(desk: Desk, row: Customer, clear: bool = False) -> dict[str, Any]:
    """A customer and his party, masked unless `clear`."""
    party, manager = row.party, desk.session.get(User, row.manager_id) if row.manager_id else None
    return {
        "id": row.id, "number": row.number, "class": row.class_, "region": row.region, "state": row.state, "created": iso(row.created), "version": row.version,
        "manager": manager.login if manager else None, "marketing_consent": row.marketing_consent, "merged_into": row.merged_into, "party": party.id,
        "kind": party.kind, "name": desk.shown(party.name, clear), "legal_id": desk.shown(party.legal_id, clear),
        "tax": None if not party.tax else {name: desk.shown(value, clear) for name, value in json.loads(party.tax).items()},
        "contacts": [{"id": one.id, "medium": one.medium, "value": desk.shown(one.value, clear), "role": one.role, "preferred": one.preferred}
                     for one in party.contacts],
        "relations": _relations(desk, party, clear),
        "merges": [{"id": one.id, "gone": one.gone_id, "time": iso(one.time)} for one in _MERGES.each(desk.session, customer=row.id)],
    }


def used(desk: Desk, row: Customer, ids: list[str] | None = None) -> dict[str, Any]:
    """What a customer's services carried in the last day, week and month, up to the last full minute. ids: of the services, where they are known."""
    if not desk.may("traffic.read"):
        return {"why": "this needs the permission 'traffic.read'", **{name: None for name, _span in SPANS}}
    if ids is None:
        ids = list(desk.session.execute(desk.select(Service).with_only_columns(Service.id).where(Service.customer_id == row.id).order_by(Service.id)).scalars())
    until = desk.now.replace(second=0, microsecond=0)
    desk.record("traffic.read", row, after={"services": len(ids), "until": until, "since": until - SPANS[-1][1]})
    told: dict[str, Any] = {"why": "" if ids else "there are no services", "until": iso(until)}
    for name, span in SPANS:
        try:
            told[name] = _used(desk, ids, until - span, until)
        except Refusal as error:
            if error.kind != "away":
                raise
            told[name], told["why"] = None, error.what
    return told


def _used(desk: Desk, ids: list[str], since: datetime, until: datetime) -> dict[str, Any] | None:
    """Of one span: bytes and flows are None where no minute was measured; measured: the share of minutes that were."""
    evidence = getattr(desk.office, "evidence", None)
    if evidence is None:
        raise Refusal("away", "no store is asked", mend="name the probe's store in the settings")
    if not ids:
        return None
    found = evidence.used(ids, since, until)
    some = found.measured > 0
    return {"since": iso(since), "down_bytes": found.down_bytes if some else None, "up_bytes": found.up_bytes if some else None,
            "flows": found.flows if some else None, "measured": round(found.measured / found.minutes, 4) if found.minutes else 0.0}


def _relations(desk: Desk, party: Party, clear: bool) -> list[dict[str, Any]]:
    """Who is above and below a party, of those that the actor may see."""
    found = []
    for one in relation.seen(desk, party.id):
        up = one.from_id == party.id
        found += [{"id": one.id, "kind": one.kind, "way": "up" if up else "down", "party": other.id, "name": desk.shown(other.name, clear),
                   "valid_from": iso(one.valid_from), "valid_to": iso(one.valid_to)} for other in _seen(desk, one.to_id if up else one.from_id)]
    return found


def _seen(desk: Desk, party_id: str) -> list[Party]:
    """A party, if the actor may see it."""
    found: list[Party] = list(desk.session.scalars(desk.select(Party).where(Party.id == party_id)))      # type: ignore[arg-type]
    return found


def _agreements(desk: Desk, row: Customer) -> list[dict[str, Any]]:
    found: list[Agreement] = _of_customer(Agreement, desk.scope).each(desk.session, customer=row.id)
    return [{"id": one.id, "number": one.number, "name": one.name, "kind": one.kind, "state": one.state, "valid_from": iso(one.valid_from),
             "valid_to": iso(one.valid_to)} for one in found]


def _service(one: Service) -> dict[str, Any]:
    return {"id": one.id, "circuit": one.circuit, "kind": one.kind, "class": one.class_, "region": one.region, "offering": one.offering, "state": one.state,
            "down_bps": one.down_bps, "up_bps": one.up_bps, "covered": one.covered, "activated": iso(one.activated), "terminated": iso(one.terminated)}


def _order(one: ProductOrder) -> dict[str, Any]:
    return {"id": one.id, "number": one.number, "state": one.state, "class": one.class_, "channel": one.channel, "created": iso(one.created),
            "due": iso(one.due), "completed": iso(one.completed)}


def _interaction(desk: Desk, one: Interaction, clear: bool) -> dict[str, Any]:
    return {"id": one.id, "time": iso(one.time), "channel": one.channel, "direction": one.direction, "subject": desk.shown(one.subject, clear),
            "note": desk.shown(one.note, clear)}
