"""Two customers that are one: merged field by field, and parted again as they were.

Of each field it is chosen whose value is kept; where nothing is chosen the kept customer's stays, unless it is empty. Orders, services, agreements,
interactions, papers, contacts, relations and users of the portal go over. The other customer stays as a row that says in whom he is, so that his number is
still found. Parting gives back exactly what was; it is refused, with the reason, where something made since hangs on both.
"""
from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update

from bss.desk import Desk
from bss.parties import belongings, customer, finding, party
from bss.parties.relation import refuse
from bss.refusal import Refusal
from bss.services import export
from bss.tables import Contact, Customer, Merge, Party, Relation

CHOICES = ("kept", "gone")
FIELDS = (*customer.FIELDS, *party.FIELDS)
#: What they are called outside -> field.
CALLED = {name.strip("_"): name for name in FIELDS}


def merge(desk: Desk, kept_id: str, gone_id: str, choose: Mapping[str, str] | None = None, reason: str = "") -> Merge:
    """Merge one customer into another. choose: of CALLED, whose value is kept: `kept` or `gone`."""
    desk.demand("customer.merge")
    for name, whose in (choose or {}).items():
        if name not in CALLED or whose not in CHOICES:
            raise Refusal("invalid", f"{name}={whose} can't be chosen", "choose", f"fields are {', '.join(CALLED)}; values are kept or gone")
    chosen = {CALLED[name]: whose for name, whose in (choose or {}).items()}
    if kept_id == gone_id:
        raise Refusal("invalid", "a customer can't be merged with himself", "gone", "name another one")
    both = {key: desk.find(Customer, key, lock=True) for key in sorted((kept_id, gone_id))}        # in one order, so that two merges don't wait for each other
    kept, gone = both[kept_id], both[gone_id]
    for one in (kept, gone):
        if one.merged_into is not None:
            raise Refusal("conflict", f"customer {one.number} was merged into another one already", one.merged_into, "take that one")
    before = {"kept": _fields(kept), "gone": _fields(gone)}
    taken = {name: value for name, value in before["gone"].items()
             if before["kept"][name] != value and chosen.get(name, "gone" if before["kept"][name] in (None, "") else "kept") == "gone"}
    moved = belongings.rows_of(desk, gone.id)
    users = {user.id: list(user.customers) for user in belongings.users_of(desk, gone.id)}
    belongings.give(desk, moved, kept.id)
    _set(kept, taken)
    gone.merged_into = kept.id
    contacts, relations = _contacts(desk, kept, gone), _relations(desk, kept, gone)
    for user in belongings.users_of(desk, gone.id):
        user.customers = list(dict.fromkeys(kept.id if one == gone.id else one for one in user.customers))
        user.version += 1
    _next(desk, kept, gone)
    export.changed(desk)            # the probe is told whose services they are
    told = {"before": before, "taken": taken, "moved": moved, "contacts": contacts, "relations": relations, "users": users,
            "crossings": belongings.crossings(desk, kept.id, moved, gone.id)}
    row = desk.add(Merge(kept_id=kept.id, gone_id=gone.id, time=desk.now, user_id=desk.actor.id or None, before=json.dumps(told, ensure_ascii=False)))
    counts = {name: len(ids) for name, ids in moved.items()}
    desk.record("customer.merge", kept, {name: before["kept"][name] for name in taken}, {**taken, "merged": gone.id, "moved": counts}, reason)
    desk.record("customer.merge", gone, {"merged_into": None}, {"merged_into": kept.id}, reason)
    desk.emit("customer.merge", kept.id, {"kept": kept.id, "gone": gone.id, "merge": row.id, "moved": counts})
    return row


def unmerge(desk: Desk, merge_id: str, reason: str = "") -> Merge:
    """Part two customers again. Refusal: they are parted, a later merge stands on this one, or something made since hangs on both."""
    desk.demand("customer.merge")
    row = desk.find(Merge, merge_id, lock=True)
    if row.undone is not None:
        raise Refusal("conflict", "the two are parted already", merge_id)
    both = {key: desk.find(Customer, key, lock=True) for key in sorted((row.kept_id, row.gone_id))}
    kept, gone = both[row.kept_id], both[row.gone_id]
    told = json.loads(row.before)
    _partable(desk, row, kept, gone, told)
    belongings.give(desk, told["moved"], gone.id)
    _set(kept, {name: told["before"]["kept"][name] for name in told["taken"]})
    gone.merged_into = None
    if kept.party_id != gone.party_id:
        desk.session.execute(update(Contact).where(Contact.id.in_(told["contacts"]), Contact.party_id == kept.party_id).values(party_id=gone.party_id))
    for way, ids in told["relations"].items():
        desk.session.execute(update(Relation).where(Relation.id.in_(ids)).values({way: gone.party_id}))
    desk.session.flush()
    desk.session.expire_all()
    for user in belongings.users_of(desk, kept.id):
        if (was := told["users"].get(user.id)) is not None:
            since = [one for one in user.customers if one not in was and one != kept.id]
            user.customers = was + since
            user.version += 1
    row.undone = desk.now
    _next(desk, kept, gone)
    export.changed(desk)            # the probe is told whose services they are
    desk.record("customer.unmerge", kept, told["taken"], {**{name: told["before"]["kept"][name] for name in told["taken"]}, "parted": gone.id}, reason)
    desk.record("customer.unmerge", gone, {"merged_into": kept.id}, {"merged_into": None}, reason)
    desk.emit("customer.unmerge", kept.id, {"kept": kept.id, "gone": gone.id, "merge": row.id})
    desk.session.flush()
    desk.session.refresh(row)
    return row


def _partable(desk: Desk, row: Merge, kept: Customer, gone: Customer, told: Mapping[str, Any]) -> None:
    """Refusal where the two can't be parted, with what holds them together."""
    if kept.merged_into is not None:
        raise Refusal("conflict", f"customer {kept.number} was merged into another one since", kept.merged_into, "part those first")
    later = desk.session.execute(select(Merge.id).where(Merge.kept_id == kept.id, Merge.undone.is_(None), Merge.id != row.id,
                                                        (Merge.time > row.time) | ((Merge.time == row.time) & (Merge.id > row.id)))).scalars().first()
    if later is not None:
        raise Refusal("conflict", f"another customer was merged into {kept.number} since", later, "part that one first")
    now = _fields(kept)
    for name, value in told["taken"].items():
        if now[name] != value:
            raise Refusal("conflict", f"{name.strip('_')} was taken from the other customer and has been changed since: it can't be told whose it is",
                          name.strip("_"), "set it back to what it was, part them, and change it where it belongs")
    whose = belongings.holders(desk, told["moved"])
    for name, ids in told["moved"].items():
        for key in ids:
            if whose.get(key) != kept.id:
                raise Refusal("conflict", f"{_called(name)} {key} is " + ("another customer's by now" if key in whose else "not there any more"), key,
                              "give it back first" if key in whose else "they stay one customer")
    known = {tuple(one) for one in told["crossings"]}
    for name, key, other in belongings.crossings(desk, kept.id, told["moved"], gone.id):
        if (name, key, other) not in known:
            raise Refusal("conflict", f"{_called(name)} {key}, made or changed since, hangs on {other}: one would be of each customer", key,
                          "end or change it first, or leave them merged")


def _called(name: str) -> str:
    return name.replace("_", " ")


def _fields(one: Customer) -> dict[str, Any]:
    return {**{name: getattr(one, name) for name in customer.FIELDS}, **{name: getattr(one.party, name) for name in party.FIELDS}}


def _set(one: Customer, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(one if name in customer.FIELDS else one.party, name, value)


def _next(desk: Desk, *customers: Customer) -> None:
    """Each has its next version, and is found by what it has now."""
    for one in customers:
        one.version += 1
    for changed in {one.party_id: one.party for one in customers}.values():
        changed.version += 1
        finding.index(desk, changed.id)
    desk.session.expire_all()


def _contacts(desk: Desk, kept: Customer, gone: Customer) -> list[str]:
    """Let the contacts go over that the kept party has not: their ids."""
    if kept.party_id == gone.party_id:
        return []
    rows = desk.session.execute(select(Contact).where(Contact.party_id.in_((kept.party_id, gone.party_id))).order_by(Contact.id)).scalars().all()
    had = {(one.medium, one.value) for one in rows if one.party_id == kept.party_id}
    over = [one.id for one in rows if one.party_id == gone.party_id and (one.medium, one.value) not in had]
    desk.session.execute(update(Contact).where(Contact.id.in_(over)).values(party_id=kept.party_id))
    return over


def _relations(desk: Desk, kept: Customer, gone: Customer) -> dict[str, list[str]]:
    """Let the relations go over that can hold of the kept party: their ids by side. What can't stays with the other."""
    over: dict[str, list[str]] = {"from_id": [], "to_id": []}
    if kept.party_id == gone.party_id:
        return over
    for way, column in (("from_id", Relation.from_id), ("to_id", Relation.to_id)):
        for row in desk.session.execute(select(Relation).where(column == gone.party_id).order_by(Relation.id)).scalars().all():
            ends = {"from_id": row.from_id, "to_id": row.to_id, way: kept.party_id}
            try:
                refuse(desk, desk.session.get_one(Party, ends["from_id"]), desk.session.get_one(Party, ends["to_id"]), row.kind, row.valid_from, row.valid_to)
            except Refusal:
                continue
            setattr(row, way, kept.party_id)
            desk.session.flush()
            over[way].append(row.id)
    return over
