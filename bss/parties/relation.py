"""Hierarchy: groups, organisations, households and communities. Of each relation it is kept from when on and before when it held; nobody is above himself."""
from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Select, or_, select

from bss.asking import Sight, given, whole
from bss.desk import Desk
from bss.refusal import Refusal
from bss.tables import Party, Relation
from bss.tables.party import RELATION_KINDS

DEEPEST = 10            # levels of a hierarchy
WIDEST = 2000           # relations that are looked at for one answer
#: What the upper side must be.
UPPER = {"parent": ("organization",), "member": ("organization", "community"), "household": ("household",), "community": ("community",)}


def relate(desk: Desk, *, from_id: str, to_id: str, kind: str, valid_from: datetime | None = None, valid_to: datetime | None = None) -> Relation:
    """Make `from_id` a child or member of `to_id`. Refusal: it would be above itself, has another parent then, or the hierarchy gets too deep."""
    desk.demand("customer.write")
    lower, upper = desk.find(Party, from_id), desk.find(Party, to_id)
    refuse(desk, lower, upper, kind, valid_from or desk.now, valid_to)
    row = desk.add(Relation(from_id=lower.id, to_id=upper.id, kind=kind, valid_from=valid_from or desk.now, valid_to=valid_to))
    desk.record("relation.create", row, after={"from": lower.id, "to": upper.id, "kind": kind, "valid_from": row.valid_from, "valid_to": valid_to})
    return row


def refuse(desk: Desk, lower: Party, upper: Party, kind: str, since: datetime, until: datetime | None) -> None:
    """Refusal where such a relation can't be."""
    if kind not in RELATION_KINDS:
        raise Refusal("invalid", f"{kind!r} is no relation", "kind", f"relations are {', '.join(RELATION_KINDS)}")
    if until is not None and until <= since:
        raise Refusal("invalid", "it ends before it begins", "validFor", "give an end after its beginning, or none")
    if upper.kind not in UPPER[kind]:
        raise Refusal("invalid", f"nobody is in a {kind} relation to a {upper.kind}", "kind", f"it takes a {' or '.join(UPPER[kind])}")
    if lower.id == upper.id:
        raise Refusal("invalid", "a party can't be above itself", "to", "name another one")
    held = select(Relation).where(Relation.from_id == lower.id, Relation.kind == kind).where(*_during(since, until))
    for row in desk.session.execute(held).scalars():
        if kind in ("parent", "household") or row.to_id == upper.id:
            raise Refusal("conflict", f"it has such a relation to {row.to_id} in that time already", "validFor", "end that first")
    above = _levels(desk, upper.id, since, until, up=True, stop=lower.id)
    if above + 1 + _levels(desk, lower.id, since, until, up=False, stop=None) >= DEEPEST:
        raise Refusal("invalid", f"the hierarchy would have more than {DEEPEST} levels", "to", "relate it to one further up")


def end(desk: Desk, relation_id: str, valid_to: datetime | None = None) -> Relation:
    """Let a relation end, now or at another time."""
    desk.demand("customer.write")
    row = desk.find(Relation, relation_id, lock=True)
    when = valid_to or desk.now
    if when <= row.valid_from:
        raise Refusal("invalid", "it ends before it begins", "validFor", "give an end after its beginning")
    before, row.valid_to = row.valid_to, when
    desk.record("relation.end", row, {"valid_to": before}, {"valid_to": when})
    return row


def of(desk: Desk, party_id: str, at: datetime | None = None) -> Select[Relation]:
    """A query of the relations of a party, both ways, that hold at a time (now)."""
    when = at or desk.now
    return select(Relation).where(or_(Relation.from_id == party_id, Relation.to_id == party_id), Relation.valid_from <= when,
                                  or_(Relation.valid_to.is_(None), Relation.valid_to > when)).order_by(Relation.id).limit(WIDEST)


def seen(desk: Desk, party_id: str) -> list[Relation]:
    """The same that hold now, to be looked at (asking.py)."""
    return _BESIDE.each(desk.session, party=party_id, now=desk.now)


def _beside() -> Sight:
    party, now = given("party", Relation.from_id), given("now", Relation.valid_from)
    return Sight(whole(Relation).where(or_(Relation.from_id == party, Relation.to_id == party), Relation.valid_from <= now,
                                       or_(Relation.valid_to.is_(None), Relation.valid_to > now)).order_by(Relation.id).limit(WIDEST), Relation)


_BESIDE = _beside()


def below(desk: Desk, party_id: str, at: datetime | None = None) -> list[str]:
    """Ids of all parties under one, the nearest first, at a time (now)."""
    when, found, layer = at or desk.now, [], [party_id]
    seen = {party_id}
    for _ in range(DEEPEST):
        rows = desk.session.execute(select(Relation.from_id).where(Relation.to_id.in_(layer), Relation.valid_from <= when, or_(
            Relation.valid_to.is_(None), Relation.valid_to > when)).order_by(Relation.id).limit(WIDEST)).scalars()
        layer = [one for one in dict.fromkeys(rows) if one not in seen]
        seen.update(layer)
        found += layer
        if not layer or len(found) >= WIDEST:
            break
    return found


def _during(since: datetime, until: datetime | None) -> list[ColumnElement[bool]]:
    """What holds of relations that hold at some time in [since, until)."""
    parts: list[ColumnElement[bool]] = [or_(Relation.valid_to.is_(None), Relation.valid_to > since)]
    if until is not None:
        parts.append(Relation.valid_from < until)
    return parts


def _levels(desk: Desk, start: str, since: datetime, until: datetime | None, *, up: bool, stop: str | None) -> int:
    """How many levels are above (or below) a party in a time, by relations that hold together. Refusal: `stop` is among them."""
    here, there = (Relation.from_id, Relation.to_id) if up else (Relation.to_id, Relation.from_id)
    layer: list[tuple[str, datetime, datetime | None]] = [(start, since, until)]
    looked = 0
    for level in range(DEEPEST + 1):
        following: dict[tuple[str, datetime, datetime | None], None] = {}
        for party, begin, finish in layer:
            for other, row in desk.session.execute(select(there, Relation).where(here == party).where(*_during(begin, finish)).limit(WIDEST)):
                if other == stop:
                    raise Refusal("conflict", "it would be above itself", "to", "relate it the other way, or end the relation between them")
                ends = [one for one in (finish, row.valid_to) if one is not None]
                following[(other, max(begin, row.valid_from), min(ends) if ends else None)] = None
                looked += 1
            if looked > WIDEST:
                raise Refusal("invalid", f"more than {WIDEST} relations would be above or below one another", "to", "relate it to one further down")
        if not following:
            return level
        layer = list(following)
    return DEEPEST
