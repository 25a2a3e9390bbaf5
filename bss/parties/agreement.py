"""Agreements (TMF651): contracts and frameworks of a customer, each in force from a moment on and before another."""
from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select

from bss.catalogue.pricing import agreed
from bss.desk import Desk
from bss.parties.contact import written
from bss.parties.customer import number_of
from bss.refusal import Refusal
from bss.tables import Agreement, Customer

KINDS = ("contract", "framework")
STEPS: dict[str, tuple[str, ...]] = {"draft": ("active", "ended"), "active": ("ended",), "ended": ()}
FIELDS = ("name", "state", "signed", "valid_from", "valid_to", "terms", "parent_id")
TERMS = 20_000          # letters of terms as JSON


def make(desk: Desk, *, customer_id: str, name: str, valid_from: datetime, valid_to: datetime | None = None, number: str | None = None,
         kind: str = "contract", state: str = "active", signed: datetime | None = None, terms: Mapping[str, Any] | None = None,
         parent_id: str | None = None) -> Agreement:
    """A new agreement. parent_id: the framework that it is under; number: made where none is given."""
    desk.demand("customer.write")
    customer = desk.find(Customer, customer_id)
    if customer.merged_into is not None:
        raise Refusal("conflict", f"customer {customer.number} was merged into another one", "customer", f"take {customer.merged_into}")
    if kind not in KINDS:
        raise Refusal("invalid", f"{kind!r} is no kind of agreement", "kind", f"kinds are {', '.join(KINDS)}")
    if state not in STEPS:
        raise Refusal("invalid", f"{state!r} is no state of an agreement", "status", f"states are {', '.join(STEPS)}")
    wanted = number_of(desk, number) if number else "G" + number_of(desk, None)[1:]
    if desk.session.execute(select(Agreement.id).where(Agreement.number == wanted)).first():
        raise Refusal("conflict", f"there is an agreement {wanted!r} already", "number", "look it up, or give another number")
    _ordered(valid_from, valid_to)
    row = desk.add(Agreement(number=wanted, customer_id=customer.id, name=written(name, "name", 200), kind=kind, state=state, signed=signed,
                             valid_from=valid_from, valid_to=valid_to, terms=_terms(terms), parent_id=_parent(desk, parent_id, customer.id)))
    desk.record("agreement.create", row, after={"number": wanted, "customer": customer.id, "state": state, "valid_from": valid_from, "valid_to": valid_to})
    desk.emit("agreement.create", row.id, {"id": row.id, "customer": customer.id, "state": state})
    return row


def change(desk: Desk, agreement_id: str, version: int | None = None, **given: Any) -> Agreement:
    """Change an agreement. given: of FIELDS."""
    desk.demand("customer.write")
    unknown = set(given) - set(FIELDS)
    if unknown:
        raise Refusal("invalid", f"{min(unknown)!r} can't be changed", min(unknown), f"fields are {', '.join(FIELDS)}")
    row = desk.find(Agreement, agreement_id, lock=True)
    desk.fresh(row, version)
    made = dict(given)
    if "name" in made:
        made["name"] = written(made["name"], "name", 200)
    if "terms" in made:
        made["terms"] = _terms(made["terms"])
    if "parent_id" in made:
        made["parent_id"] = _parent(desk, made["parent_id"], row.customer_id, row.id)
    if made.get("state", row.state) != row.state and made["state"] not in STEPS[row.state]:
        raise Refusal("conflict", f"an agreement does not go from {row.state} to {made['state']}", "status",
                      f"next may be {', '.join(STEPS[row.state]) or 'nothing'}")
    _ordered(made.get("valid_from", row.valid_from), made.get("valid_to", row.valid_to))
    before = {name: getattr(row, name) for name, value in made.items() if getattr(row, name) != value}
    for name in before:
        setattr(row, name, made[name])
    if not before:
        row.version -= 1
        return row
    desk.record("agreement.change", row, before, {name: made[name] for name in before})
    desk.emit("agreement.change", row.id, {"id": row.id, "customer": row.customer_id, "state": row.state})
    desk.session.flush()
    return row


def listed(desk: Desk, *, customer: str = "", state: str = "", q: str = "") -> Select[tuple[Agreement]]:
    """A query of agreements, newest first. q: how a number or name begins."""
    desk.demand("customer.read")
    query = desk.select(Agreement)
    if customer:
        query = query.where(Agreement.customer_id == customer)
    if state:
        query = query.where(Agreement.state == state)
    if q.strip():
        query = query.where(Agreement.number.startswith(q.strip()[:64], autoescape=True) | Agreement.name.contains(q.strip()[:64], autoescape=True))
    return query.order_by(Agreement.valid_from.desc(), Agreement.id.desc())


def _ordered(valid_from: datetime, valid_to: datetime | None) -> None:
    if valid_to is not None and valid_to <= valid_from:
        raise Refusal("invalid", "it ends before it begins", "validFor", "give an end after its beginning, or none")


def _terms(terms: Mapping[str, Any] | None) -> dict[str, Any]:
    kept = dict(terms or {})
    if len(json.dumps(kept, default=str)) > TERMS:
        raise Refusal("large", "the terms are too long", "terms", f"{TERMS} characters of JSON are the most: attach the paper itself")
    prices = kept.get("prices") or {}
    for code in prices if isinstance(prices, Mapping) else ("",):
        agreed(kept, str(code))
    return kept


def _parent(desk: Desk, parent_id: str | None, customer_id: str, own: str = "") -> str | None:
    """The framework. Refusal: it is another customer's, no framework, or is under this one."""
    if parent_id is None:
        return None
    parent = desk.find(Agreement, parent_id)
    if parent.customer_id != customer_id:
        raise Refusal("invalid", f"agreement {parent.number} is of another customer", "parent", "name one of the same customer")
    if parent.kind != "framework" or parent.parent_id is not None or parent.id == own:
        raise Refusal("invalid", f"agreement {parent.number} is no framework", "parent", "name a framework, which is under none itself")
    return parent.id
