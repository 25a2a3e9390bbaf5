"""Customers that may be one: they share a telephone number, mail address, address, identity number or name, and their names are alike.

The score is of the names (rapidfuzz, 0 to 100, the better of letters in order and words in any order; legal forms such as 有限公司 do not count). A pair is
told of from LIKE on, or whatever the score where the identity number is the same; two persons of one name alone are not told of, for there are many.
"""
from __future__ import annotations

import re
from collections import defaultdict
from typing import NamedTuple

from rapidfuzz import fuzz
from sqlalchemy import func, select
from sqlalchemy.orm import aliased, selectinload

from bss.database import lots
from bss.desk import Desk
from bss.parties.finding import WHOLE
from bss.parties.spelling import pinyin
from bss.sealing import plain
from bss.tables import Blind, Customer, Party

LIKE = 75.0             # score from which on a pair is told of
CROWD = 20              # parties that share a value, above which it tells nothing (a switchboard, an office tower)
MOST = 5000             # pairs that are looked at
_FORMS = re.compile(r"(股份有限公司|有限责任公司|有限公司|责任公司|股份公司|集团公司|公司|集团|co\.?,? ?ltd\.?|limited|inc\.?|ltd\.?)", re.IGNORECASE)


class Pair(NamedTuple):
    """Two customers, the older first. reasons: what they share; score: how alike their names are."""
    first: Customer
    second: Customer
    score: float
    reasons: tuple[str, ...]


def alike(one: str, other: str) -> float:
    """How alike two names are, 0 to 100; another script of the same sound counts for nine tenths."""
    short = [plain(_FORMS.sub("", name)) or plain(name) for name in (one, other)]
    best = max(float(fuzz.ratio(*short)), float(fuzz.token_sort_ratio(one.casefold(), other.casefold())))
    sound = max((float(fuzz.ratio(a, b)) for a in pinyin(one) for b in pinyin(other)), default=0.0)
    return round(max(best, 0.9 * sound), 1)


def candidates(desk: Desk, customer_id: str = "", limit: int = 100) -> list[Pair]:
    """Pairs within what the actor may see, the most alike first. customer_id: of one alone."""
    desk.demand("customer.read")
    own = "" if not customer_id else desk.find(Customer, customer_id).party_id
    here, there = aliased(Blind), aliased(Blind)
    crowded = select(Blind.field, Blind.token).where(Blind.field.in_(WHOLE)).group_by(Blind.field, Blind.token).having(
        func.count() > 1, func.count() <= CROWD).subquery()
    query = select(here.entity_id, there.entity_id, here.field).join(there, (here.field == there.field) & (here.token == there.token)).where(
        here.field.in_(WHOLE))
    if own:
        query = query.where(here.entity_id == own, there.entity_id != own)
        few = select(func.count()).select_from(Blind).where(Blind.field == here.field, Blind.token == here.token).correlate(here).scalar_subquery()
        query = query.where(few <= CROWD)
    else:
        query = query.join(crowded, (crowded.c.field == here.field) & (crowded.c.token == here.token)).where(here.entity_id < there.entity_id)
    shared: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one, other, field in desk.session.execute(query.order_by(here.entity_id, there.entity_id).limit(MOST * len(WHOLE))):
        shared[min(one, other), max(one, other)].add(field)
    parties = {key for pair in shared for key in pair}
    seen: dict[str, list[Customer]] = defaultdict(list)
    for lot in lots(sorted(parties)):
        rows = desk.select(Customer).where(Customer.party_id.in_(lot), Customer.merged_into.is_(None))
        found: list[Customer] = list(desk.session.scalars(rows.options(selectinload(Customer.party, Party.contacts))).unique())     # type: ignore[arg-type]
        for customer in found:
            seen[customer.party_id].append(customer)
    pairs = [pair for (one, other), fields in shared.items() for a in seen[one] for b in seen[other] if (pair := _pair(a, b, fields)) is not None]
    return sorted(pairs, key=lambda pair: (-len(pair.reasons), -pair.score, pair.first.id, pair.second.id))[:limit]


def _pair(one: Customer, other: Customer, shared: set[str]) -> Pair | None:
    """The pair, if it is to be told of."""
    score = alike(one.party.name, other.party.name)
    people = "individual" in (one.party.kind, other.party.kind)
    if "legal_id" not in shared and (score < LIKE or (people and shared <= {"name"})):
        return None
    first, second = sorted((one, other), key=lambda customer: (customer.created, customer.id))
    return Pair(first, second, score, tuple(field for field in ("legal_id", "phone", "email", "address", "wechat", "name") if field in shared))
