"""One search for everything: what the text may be is told from its form, and all that it may be is looked for, within what the actor may see.

An address finds the bindings that hold then and whose they are; a number below 4095 may be a VLAN; else it may be the number of a circuit, contract,
customer or order, the name of a resource (an ONU), a MAC address, an access user, a telephone number, a name, or the pinyin of one (`wangxiaoming`, `wxm`).
"""
from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Integer, Select, String, and_, literal_column, or_, select, union, union_all

from bss.asking import Question, Sight, at_most, given, several, whole
from bss.desk import Desk
from bss.parties import customer, finding
from bss.parties.contact import phone
from bss.people.scope import Actor, visible
from bss.refusal import Refusal
from bss.sealing import plain
from bss.services.spelling import around, bounds, spelt
from bss.tables import Agreement, Binding, Customer, ProductOrder, Resource, Service

MOST = 20               # hits of a kind
LONGEST = 200           # letters of what is searched for
_MAC = re.compile(r"(?:[0-9a-f]{2}[:-]?){5}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}", re.IGNORECASE)


class Hit(NamedTuple):
    """One row. kind: customer, agreement, service, order, resource or binding; by: what of it the text was."""
    kind: str
    by: str
    row: Any
    customer_id: str | None


def search(desk: Desk, text: str, at: datetime | None = None) -> list[Hit]:
    """Everything that a text may be, the surest first, to be looked at (asking.py). at: when bindings are to hold; now where it is not given."""
    desk.demand("customer.read")
    wanted = text.strip()
    if not wanted or len(wanted) > LONGEST:
        raise Refusal("invalid", f"a search has 1 to {LONGEST} characters", "q", "write a name, a number or an address")
    places, values = _asked_for(desk, wanted, at or desk.now)
    shape, digests = finding.valued(finding.ways(wanted, desk.office.settings.country))
    keys: dict[int, list[tuple[str, str]]] = {}
    for number, key, called in _everywhere(places, len(wanted) > 2, shape, desk.scope).ask(desk.session, **values, **digests):
        keys.setdefault(int(number), []).append((key, called))
    meant = [key for key, _ in keys.pop(len(places), [])]
    found = [hit for number in sorted(keys) for hit in _placed(desk, places[number], wanted, keys[number])] + _customers(desk, wanted, meant)
    seen: set[tuple[str, str]] = set()
    return [hit for hit in found if (key := (hit.kind, hit.row.id)) not in seen and not seen.add(key)]      # type: ignore[func-returns-value]


def _bounds(text: str) -> tuple[str, str] | None:
    """First and last address of an address or a whole prefix; None: the text is neither."""
    if text.isdigit():
        return None
    try:
        return bounds(spelt(prefix=text).prefix)
    except Refusal:
        return None


#: What the text may be the number or name of, or the beginning of one.
NUMBERS = {"circuit": ("service", Service, Service.circuit, "service.read"), "contract": ("agreement", Agreement, Agreement.number, "customer.read"),
           "order": ("order", ProductOrder, ProductOrder.number, "order.read"), "number": ("customer", Customer, Customer.number, "customer.read"),
           "resource": ("resource", Resource, Resource.name, "resource.read")}
_NOTHING: Any = literal_column("''", String)
#: What a binding of the text has. That it is not empty is said for the index, which has no others, and as a constant, for else a kept plan does without it.
BOUND: dict[str, ColumnElement[bool]] = {
    "bound:ip": Binding.low.in_(several("lows")) & (Binding.high >= given("high")),
    "bound:vlan": or_(Binding.vlan == given("vlan"), Binding.inner_vlan == given("vlan")),
    "bound:mac": and_(Binding.mac == given("mac"), Binding.mac != _NOTHING),
    "bound:user": and_(Binding.user == given("text"), Binding.user != _NOTHING),
    "bound:circuit": and_(Binding.circuit == given("text"), Binding.circuit != _NOTHING),
}


def _asked_for(desk: Desk, text: str, at: datetime) -> tuple[tuple[str, ...], dict[str, Any]]:
    """What the text may be of BOUND and NUMBERS, in order, as far as the actor may see it; and the values of the question."""
    ways: list[str] = []
    values: dict[str, Any] = {"text": text, "end": text + chr(0x10FFFF), "at": at}
    if desk.may("service.read"):
        if (inside := _bounds(text)) is not None:
            ways.append("bound:ip")
            values |= {"lows": around(int(inside[0], 16)), "high": inside[1]}
        if re.fullmatch(r"[0-9]{1,4}", text) and 1 <= int(text) <= 4094:
            ways.append("bound:vlan")
            values["vlan"] = int(text)
        if _MAC.fullmatch(text):
            digits = re.sub(r"[^0-9a-f]", "", text.lower())
            ways.append("bound:mac")
            values["mac"] = ":".join(digits[k:k + 2] for k in range(0, 12, 2))
        ways += ["bound:user", "bound:circuit"]
    else:
        del values["at"]
    if len(text) <= 2:
        del values["end"]
    return (*ways, *(by for by, (_, _, _, permission) in NUMBERS.items() if desk.may(permission))), values


@lru_cache(maxsize=512)
def _everywhere(places: tuple[str, ...], long: bool, ways: finding.Shape, scope: Actor | None) -> Question:
    """Places, ids, and what those are called that are found there, in one question; after the last place, ids of customers by what is sealed (finding.ways)."""
    parts = [_place(by, long, scope).subquery() for by in places]
    if ways:
        meant = union(*finding.worded(ways))        # each by its index
        sealed: Any = select(Customer.id, literal_column("''").label("called")).where(Customer.party_id.in_(meant))
        parts.append(visible(sealed, Customer, scope).limit(at_most(10 * MOST)).subquery())
    return Question(union_all(*(select(literal_column(str(k), Integer).label("place"), part.c.id, part.c.called) for k, part in enumerate(parts))))


def _place(by: str, long: bool, scope: Actor | None) -> Select[Any]:
    """Ids, and what those are called: by the order of that, and so first those that are called just so."""
    if by in BOUND:
        at = given("at", Binding.valid_from)
        query: Any = select(Binding.id, literal_column("''").label("called")).where(
            BOUND[by], Binding.valid_from <= at, or_(Binding.valid_to.is_(None), Binding.valid_to > at), Binding.withdrawn.is_(None))
        return visible(query, Binding, scope).limit(at_most(MOST))
    table: Any
    _, table, column, _ = NUMBERS[by]
    # as a span, for LIKE with a parameter finds no index; numbers are compared byte by byte (database.number)
    text = given("text", column)
    called = column.between(text, given("end", column)) if long else column == text
    begun: Any = select(table.id, column.label("called")).where(called)
    return visible(begun, table, scope).order_by(column).limit(at_most(MOST))


def _placed(desk: Desk, by: str, text: str, keys: list[tuple[str, str]]) -> list[Hit]:
    """What was found in one place: those that are called just so, where there are any."""
    wanted = [key for key, called in keys if called == text] or [key for key, _ in keys]
    if by in BOUND:
        rows, what = _rows(desk, Binding, wanted), by.partition(":")[2]
        services = {one.id: one for one in _rows(desk, Service, list({row.service_id for row in rows}))}
        held = [(row, services.get(row.service_id)) for row in rows]
        return [*(Hit("binding", what, row, service.customer_id if service else None) for row, service in held),
                *(Hit("service", what, service, service.customer_id) for service in services.values())]
    kind, table, _, _ = NUMBERS[by]
    return [Hit(kind, by, row, row.id if kind == "customer" else getattr(row, "customer_id", None)) for row in _rows(desk, table, wanted)]


def _rows(desk: Desk, table: Any, keys: list[str]) -> list[Any]:
    """Rows by their ids, in that order, as far as the actor may see them."""
    if table is Customer:
        known = {row.id: row for row in customer.several_of(desk, keys)}
    else:
        known = {row.id: row for row in _by_ids(table, desk.scope).each(desk.session, keys=keys)}
    return [known[key] for key in keys if key in known]


@lru_cache(maxsize=512)
def _by_ids(table: Any, scope: Actor | None) -> Sight:
    return Sight(visible(whole(table), table, scope).where(table.id.in_(several("keys"))), table)


def _customers(desk: Desk, text: str, keys: list[str]) -> list[Hit]:
    """Customers of whom something sealed is the text, or has it in itself. One that was merged is found as whom he is now."""
    ranked = []
    for row in _rows(desk, Customer, keys):
        if (by := _by(row, text, desk.office.settings.country)) is not None:
            ranked.append((*by, row))
    hits = []
    for _rank, by_what, row in sorted(ranked, key=lambda one: (one[0], one[2].created, one[2].id))[:MOST]:
        now = row
        for _ in range(16):
            above = _rows(desk, Customer, [now.merged_into]) if now.merged_into is not None else []
            if not above:
                break
            now = above[0]
        hits.append(Hit("customer", by_what, now, now.id))
    return hits


def _by(row: Customer, text: str, country: str) -> tuple[int, str] | None:
    """How sure it is, and what of a customer the text is; None: its parts are all there, but not side by side."""
    fields = [("name", row.party.name), *((one.medium, one.value) for one in row.party.contacts)]
    fields += [("legal_id", row.party.legal_id)] if row.party.legal_id else []
    asked = set(_asked(text, country))
    best: tuple[int, str] | None = None
    for field, value in fields:
        for part, word in finding.words(field, value):
            if part in ("bigram", "syllables", "initial2"):
                continue
            for way in asked:
                rank = 0 if word == way else 1 if part in ("name", "pinyin", "initials") and len(way) > 1 and word.startswith(way) else \
                    2 if part in ("name", "pinyin", "initials") and len(way) > 1 and way in word else 9
                if rank < 9 and (best is None or rank < best[0]):
                    best = (rank, {"last4": "phone", "initials": "pinyin"}.get(part, part))
    return best


def _asked(text: str, country: str) -> list[str]:
    """The spellings of what is searched for."""
    ways = [plain(text), text.strip().lower(), re.sub(r"[\s()+.-]", "", text)]
    try:
        ways.append(re.sub(r"\D", "", phone(text, country).partition(";")[0]))
    except Refusal:
        return ways
    return ways
