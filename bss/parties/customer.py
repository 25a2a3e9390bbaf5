"""Customers: who buys. One is of a class and a region, has a number people call him by, and is a party (party.py), whose name and contacts are sealed."""
from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import joinedload, selectinload

from bss import identifier
from bss.asking import Listing, Sight, give, given, several, whole
from bss.database import lots
from bss.desk import Desk
from bss.parties import finding, party
from bss.parties.contact import Given
from bss.people.scope import Actor, visible
from bss.refusal import Refusal
from bss.tables import Contact, Customer, Party, Service, User
from bss.tables.party import CLASSES, CUSTOMER_STATES

#: Which state follows which.
STEPS: dict[str, tuple[str, ...]] = {"initialized": ("active", "closed"), "active": ("suspended", "closed"), "suspended": ("active", "closed"),
                                     "closed": ("active",)}
FIELDS = ("class_", "region", "state", "manager_id", "marketing_consent")
_NUMBER = re.compile(r"[\w./-]{1,64}")


def region_of(desk: Desk, region: str) -> str:
    """A region that rows may be of, and that the actor may enter them in."""
    known = desk.office.settings.regions
    text = region.strip()
    if not text or len(text) > 64:
        raise Refusal("invalid", "a region has 1 to 64 characters", "region", "name one")
    if known and text not in known:
        raise Refusal("invalid", f"there is no region {text!r}", "region", f"regions are {', '.join(known)}")
    if desk.actor.regions and text not in desk.actor.regions:
        raise Refusal("forbidden", f"you do not work in the region {text!r}", "region", f"yours are {', '.join(desk.actor.regions)}")
    return text


def class_of(text: str) -> str:
    """A class of customers. Refusal: there is none such."""
    if text not in CLASSES:
        raise Refusal("invalid", f"{text!r} is no class", "class", f"classes are {', '.join(CLASSES)}")
    return text


def number_of(desk: Desk, number: str | None) -> str:
    """A number that is given, or a new one, such as K20261201-7F3K9Q."""
    if number is None or not number.strip():
        return f"K{desk.now.astimezone(desk.office.settings.zone):%Y%m%d}-{identifier.fresh('')[-identifier.CHANCES:]}"
    if not _NUMBER.fullmatch(number.strip()):
        raise Refusal("invalid", f"{number!r} is no number", "number", "write letters, digits, - . / and _, at most 64")
    return number.strip()


def make(desk: Desk, *, kind: str, name: str, class_: str, region: str, number: str | None = None, legal_id: str | None = None,
         tax: Mapping[str, Any] | None = None, contacts: Sequence[Given] = (), manager_id: str | None = None, marketing_consent: bool = False,
         state: str = "active", party_id: str | None = None) -> Customer:
    """A new customer, and the party he is. party_id: one that is there already; number: made where none is given."""
    desk.demand("customer.write")
    if state not in CUSTOMER_STATES[:2]:
        raise Refusal("invalid", f"a customer does not begin as {state!r}", "status", "begin as initialized or active")
    class_, region, number = class_of(class_), region_of(desk, region), number_of(desk, number)
    if desk.session.execute(select(Customer.id).where(Customer.number == number)).first():
        raise Refusal("conflict", f"there is a customer {number!r} already", "number", "look him up, or give another number")
    made_party = party.make(desk, kind=kind, name=name, legal_id=legal_id, tax=tax, contacts=contacts) if party_id is None else desk.find(Party, party_id)
    customer = desk.add(Customer(number=number, party_id=made_party.id, class_=class_, region=region, state=state, manager_id=_manager(desk, manager_id),
                                 marketing_consent=bool(marketing_consent), created=desk.now))
    customer.party = made_party
    desk.record("customer.create", customer, after={"number": number, "class": class_, "region": region, "state": state})
    desk.emit("customer.create", customer.id, {"id": customer.id, "class": class_, "region": region, "state": state})
    return customer


def change(desk: Desk, customer_id: str, version: int | None = None, **given: Any) -> Customer:
    """Change a customer and his party. given: class_, region, state, manager_id, marketing_consent, kind, name, legal_id, tax, contacts (all of them)."""
    desk.demand("customer.write")
    unknown = set(given) - {*FIELDS, *party.FIELDS, "contacts"}
    if unknown:
        raise Refusal("invalid", f"{min(unknown)!r} can't be changed", min(unknown), f"fields are {', '.join((*FIELDS, *party.FIELDS, 'contacts'))}")
    customer = desk.find(Customer, customer_id, lock=True)
    if customer.merged_into is not None:
        raise Refusal("conflict", f"customer {customer.number} was merged into another one", customer.merged_into, "change that one, or part them again")
    desk.fresh(customer, version)
    made: dict[str, Any] = {}
    if "class_" in given:
        made["class_"] = class_of(given["class_"])
    if "region" in given:
        made["region"] = region_of(desk, given["region"])
    if "manager_id" in given:
        made["manager_id"] = _manager(desk, given["manager_id"])
    if "marketing_consent" in given:
        made["marketing_consent"] = bool(given["marketing_consent"])
    if "state" in given:
        made["state"] = _step(desk, customer, given["state"])
    before = {name: getattr(customer, name) for name, value in made.items() if getattr(customer, name) != value}
    after = {name: made[name] for name in before}
    for name, value in after.items():
        setattr(customer, name, value)
    if of_party := {name: given[name] for name in (*party.FIELDS, "contacts") if name in given}:
        was, now = party.alter(desk, desk.find(Party, customer.party_id, lock=True), of_party)
        before, after = {**before, **was}, {**after, **now}
    if not after:
        customer.version -= 1
        return customer
    desk.record("customer.change", customer, before, after)
    kind = "customer.stateChange" if "state" in after else "customer.attributeValueChange"
    desk.emit(kind, customer.id, {"id": customer.id, "state": customer.state, "changed": sorted(after)})
    desk.session.flush()
    return customer


def find(desk: Desk, key: str) -> Customer:
    """A customer by id or number. One that was merged into another is still found: `merged_into` says in which."""
    desk.demand("customer.read")
    query = desk.select(Customer).where((Customer.id == key) | (Customer.number == key)).options(joinedload(Customer.party).joinedload(Party.contacts))
    found: Customer | None = desk.session.scalars(query).unique().first()       # type: ignore[assignment]
    if found is None:
        raise _missing(key)
    return found


def see(desk: Desk, key: str) -> Customer:
    """The same to be looked at, with his party and its contacts (asking.py)."""
    desk.demand("customer.read")
    found = assembled(_one(desk.scope).all(desk.session, key=key))
    if not found:
        raise _missing(key)
    return found[0]


def living(desk: Desk, key: str) -> Customer:
    """The same, or the one that he was merged into."""
    found = see(desk, key)
    for _ in range(16):
        if found.merged_into is None:
            return found
        found = see(desk, found.merged_into)
    return found


def several_of(desk: Desk, keys: Sequence[str]) -> list[Customer]:
    """Customers by their ids, as far as the actor may see them, in no order; to be looked at, each with his party and its contacts."""
    if len(keys) == 1:
        return assembled(_one(desk.scope, by_number=False).all(desk.session, key=keys[0]))
    return assembled(_several(desk.scope).all(desk.session, keys=list(keys)))


def assembled(rows: Iterable[Sequence[Any]]) -> list[Customer]:
    """Customers of a sight of customers, parties and contacts, each with what belongs to him."""
    found: dict[str, Customer] = {}
    for customer, its, contact in rows:
        if customer.id not in found:
            give(its, "contacts", [])
            give(customer, "party", its)
            found[customer.id] = customer
        if contact is not None:
            found[customer.id].party.contacts.append(contact)
    return list(found.values())


def _whole(where: ColumnElement[bool], scope: Actor | None) -> Sight:
    query = visible(whole(Customer, Party, Contact).select_from(Customer), Customer, scope).where(where)
    query = query.join(Party, Party.id == Customer.party_id).outerjoin(Contact, Contact.party_id == Party.id)
    return Sight(query.order_by(Contact.id), Customer, Party, Contact)


@lru_cache(maxsize=512)
def _one(scope: Actor | None, by_number: bool = True) -> Sight:
    by_id = Customer.id == given("key", Customer.id)
    return _whole(or_(by_id, Customer.number == given("key", Customer.number)) if by_number else by_id, scope)


@lru_cache(maxsize=512)
def _several(scope: Actor | None) -> Sight:
    return _whole(Customer.id.in_(several("keys")), scope)


def _missing(key: str) -> Refusal:
    return Refusal("missing", f"there is no customer {key}", mend="look at the list of those you may see")


def listed(desk: Desk, *, state: str = "", class_: str = "", region: str = "", manager: str = "", kind: str = "", q: str = "",
           merged: bool = False) -> Select[tuple[Customer]]:
    """A query of customers, newest first. q: a name, pinyin, number, telephone number, mail address or identity number; merged: also those that were merged."""
    desk.demand("customer.read")
    wanted = {name: value for name, value in (("state", state), ("class_", class_), ("region", region), ("manager_id", manager), ("kind", kind)) if value}
    query = _listed(tuple(wanted), merged, desk.scope).params(**wanted)
    if q.strip():
        called = select(Customer.party_id).where(Customer.number.startswith(q.strip()[:64], autoescape=True))
        query = query.where(Customer.party_id.in_(finding.parties(q[:200], desk.office.settings.country, called)))
    return query.options(selectinload(Customer.party, Party.contacts))


def listing(desk: Desk, *, state: str = "", class_: str = "", region: str = "", manager: str = "", kind: str = "",
            merged: bool = False) -> tuple[Listing, dict[str, str]]:
    """The same to be looked at, without a search: a listing and its values."""
    desk.demand("customer.read")
    wanted = {name: value for name, value in (("state", state), ("class_", class_), ("region", region), ("manager_id", manager), ("kind", kind)) if value}
    return _listing(tuple(wanted), merged, desk.scope), wanted


def completed(desk: Desk, rows: Sequence[Sequence[Any]]) -> list[Customer]:
    """Customers of a page of a listing, each with his party and its contacts."""
    parties: dict[str, Party] = {}
    for lot in lots(customer.party_id for customer, in rows):
        for its, contact in _PARTIES.all(desk.session, keys=lot):
            if its.id not in parties:
                parties[its.id] = its
                give(its, "contacts", [])
            if contact is not None:
                parties[its.id].contacts.append(contact)
    for customer, in rows:
        give(customer, "party", parties[customer.party_id])
    return [customer for customer, in rows]


_PARTIES = Sight(whole(Party, Contact).select_from(Party).outerjoin(Contact, Contact.party_id == Party.id).where(Party.id.in_(several("keys")))
                 .order_by(Contact.id), Party, Contact)


@lru_cache(maxsize=512)
def _listed(wanted: tuple[str, ...], merged: bool, scope: Actor | None) -> Select[tuple[Customer]]:
    query = visible(select(Customer), Customer, scope)
    for name in wanted:
        if name == "kind":
            query = query.where(Customer.party_id.in_(select(Party.id).where(Party.kind == given("kind", Party.kind))))
        else:
            column = getattr(Customer, name)
            query = query.where(column == given(name, column))
    if not merged:
        query = query.where(Customer.merged_into.is_(None))
    return query.order_by(Customer.created.desc(), Customer.id.desc())


@lru_cache(maxsize=512)
def _listing(wanted: tuple[str, ...], merged: bool, scope: Actor | None) -> Listing:
    return Listing(_listed(wanted, merged, scope), Customer)


def _manager(desk: Desk, manager_id: str | None) -> str | None:
    if manager_id is None:
        return desk.actor.id if desk.actor.own_work else None
    if desk.session.get(User, manager_id) is None:
        raise Refusal("invalid", f"there is no user {manager_id}", "manager", "look at the list of users")
    if desk.actor.own_work and manager_id != desk.actor.id:
        raise Refusal("forbidden", "you enter and keep customers of your own alone", "manager", "ask one with the role manager")
    return manager_id


def _step(desk: Desk, customer: Customer, state: str) -> str:
    """The state, if it may follow."""
    if state == customer.state:
        return state
    if state not in STEPS[customer.state]:
        raise Refusal("conflict", f"a customer does not go from {customer.state} to {state}", "status", f"next may be {', '.join(STEPS[customer.state])}")
    if state == "closed":
        query = select(func.count()).select_from(Service).where(Service.customer_id == customer.id, Service.state != "terminated")
        count = desk.session.execute(query).scalar_one()
        if count:
            raise Refusal("conflict", f"the customer has {count} services that are not terminated", "status", "terminate them first")
    return state
