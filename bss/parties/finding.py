"""What sealed fields are found by: keyed digests of whole values and of parts, kept in the table Blind whenever a party changes.

Fields of digests: `name` (whole), `bigram` (two letters of a name), `pinyin` (whole), `syllables` (three letters of the pinyin), `initials` (whole), `initial2`
(two of them), `phone` (whole), `last4` (its last digits), `email`, `address`, `wechat`, `legal_id` (whole). Who has the database without the ring can't try
names against them, but sees how often the same part occurs: that is the price of finding a name by its middle.
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from sqlalchemy import CompoundSelect, Select, String, delete, func, insert, literal_column, select, union

from bss.asking import given, several
from bss.desk import Desk
from bss.parties.contact import phone
from bss.parties.spelling import initials, parts, pinyin
from bss.refusal import Refusal
from bss.sealing import Ring, plain, ring
from bss.tables import Blind, Contact, Party

Token = tuple[str, bytes]
#: Fields that two parties share where they may be one.
WHOLE = ("phone", "email", "address", "legal_id", "name", "wechat")
MOST = 64               # parts of what is searched for


@lru_cache(maxsize=1 << 17)
def _part(keys: Ring, field: str, word: str) -> bytes:
    """The digest of a part: the same ones occur again and again."""
    return keys.digest(field, word)


def words(field: str, value: str) -> Iterator[tuple[str, str]]:
    """What a value is found by, in clear. field: name, phone, fax, email, address, wechat or legal_id."""
    if field == "name":
        whole = plain(value)
        yield "name", whole
        yield from (("bigram", one) for one in parts(whole, 2))
        for spelled in pinyin(value):
            yield "pinyin", spelled
            yield from (("syllables", one) for one in parts(spelled, 3))
        for spelled in initials(value):
            yield "initials", spelled
            yield from (("initial2", one) for one in parts(spelled, 2))
    elif field in ("phone", "fax"):
        digits = re.sub(r"\D", "", value.partition(";")[0])
        if digits:
            yield "phone", digits
            yield "last4", digits[-4:]
    elif field == "email":
        yield "email", value.strip().lower()
    elif plain(value):
        yield field, plain(value)


def tokens(field: str, value: str) -> set[Token]:
    """The digests of a value."""
    keys = ring()
    return {(part, keys.digest(part, word) if part in ("phone", "email", "address", "legal_id", "wechat") else _part(keys, part, word))
            for part, word in words(field, value)}


def tokens_of(name: str, legal_id: str | None, contacts: Iterable[tuple[str, str]]) -> set[Token]:
    """All digests of a party. contacts: medium and value of each."""
    found = tokens("name", name)
    if legal_id:
        found |= tokens("legal_id", legal_id)
    for medium, value in contacts:
        found |= tokens(medium, value)
    return found


def index(desk: Desk, party_id: str) -> None:
    """Make the digests of a party those of its fields as they are now. Called by whatever changes them."""
    session = desk.session
    session.flush()
    party = session.execute(select(Party).where(Party.id == party_id)).scalar_one()
    contacts = session.execute(select(Contact.medium, Contact.value).where(Contact.party_id == party_id)).all()
    wanted = tokens_of(party.name, party.legal_id, [(medium, value) for medium, value in contacts])
    known = {(field, bytes(token)): number for number, field, token in
             session.execute(select(Blind.id, Blind.field, Blind.token).where(Blind.entity_id == party_id))}
    gone = [number for token, number in known.items() if token not in wanted]
    if gone:
        session.execute(delete(Blind).where(Blind.id.in_(gone)))
    fresh = [{"entity_id": party_id, "field": field, "token": token} for field, token in wanted - set(known)]
    if fresh:
        session.execute(insert(Blind), fresh)


Way = tuple[str, tuple[bytes, ...]]         # a field, and digests that a party has all of


def way(field: str, found: Iterable[str]) -> Way:
    """Every one of these words of a field."""
    keys = ring()
    return field, tuple({_part(keys, field, word) for word in list(found)[:MOST]})


def having(field: str, tokens: Sequence[Any]) -> Select[Any]:
    """Ids of parties that have all of these digests of a field."""
    query = select(Blind.entity_id).where(Blind.field == field, Blind.token.in_(tokens))
    return query if len(tokens) == 1 else query.group_by(Blind.entity_id).having(func.count(Blind.token.distinct()) == len(tokens))


Shape = tuple[tuple[str, bool], ...]        # fields of ways, and whether each has one digest


def worded(shape: Shape) -> list[Select[Any]]:
    """Ids of parties in any of these ways, for the values of `valued`. What is one digest is asked for at once: a digest is of its field alone."""
    single = [(k, field) for k, (field, one) in enumerate(shape) if one]
    found = [select(Blind.entity_id).where(Blind.field == literal_column(f"'{field}'", String), Blind.token.in_(several(f"way{k}"))).group_by(Blind.entity_id)
             .having(func.count(Blind.token.distinct()) == given(f"count{k}")) for k, (field, one) in enumerate(shape) if not one]
    if single:
        fields = [literal_column(f"'{field}'", String) for field in sorted({field for _, field in single})]
        found.append(select(Blind.entity_id).where(Blind.field.in_(fields), Blind.token.in_([given(f"way{k}", Blind.token) for k, _ in single])))
    return found


def valued(found: Sequence[Way]) -> tuple[Shape, dict[str, Any]]:
    """The shape of some ways, and their values."""
    values: dict[str, Any] = {}
    for k, (_, digests) in enumerate(found):
        values |= {f"way{k}": digests[0]} if len(digests) == 1 else {f"way{k}": list(digests), f"count{k}": len(digests)}
    return tuple((field, len(digests) == 1) for field, digests in found), values


def ways(text: str, country: str) -> list[Way]:
    """What a party has of whom the text may be name, pinyin, telephone number, mail address or identity number, or a part of them: any of these."""
    whole, found = plain(text), []      # type: str, list[Way]
    if not whole:
        return []
    if "@" in text:
        found.append(way("email", [text.strip().lower()]))
    found += [way("legal_id", [whole]), way("wechat", [whole]), way("name", [whole])]
    if len(whole) > 1:
        found.append(way("bigram", sorted(parts(whole, 2))))
    if whole.isascii() and whole.isalpha():
        found.append(way("pinyin", [whole]))
        if len(whole) > 2:
            found.append(way("syllables", sorted(parts(whole, 3))))
        if len(whole) > 1:
            found.append(way("initial2", sorted(parts(whole, 2))))
    digits = re.sub(r"[\s()+.-]", "", text)
    if digits.isdigit() and len(digits) == 4:
        found.append(way("last4", [digits]))
    elif digits.isdigit() and 5 <= len(digits) <= 15:
        found.append(way("phone", [digits]))
        with suppress(Refusal):         # it is something else
            found.append(way("phone", [re.sub(r"\D", "", phone(text, country).partition(";")[0])]))
    return found


def parties(text: str, country: str, *also: Select[str]) -> CompoundSelect[str]:
    """Ids of parties that the text may mean; and `also`."""
    found = ways(text, country)
    if not found:
        return union(select(Blind.entity_id).where(Blind.id < 0), *also)
    # each by its index, which alternatives in one condition are not
    return union(*also, *(having(field, digests) for field, digests in found))
