"""Parties: persons and organisations, whether they buy or not, with their contacts. Whatever is changed of one is found by its new value at once."""
from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, select, update

from bss.desk import Desk
from bss.parties import finding
from bss.parties.contact import Given, checked, written
from bss.refusal import Refusal
from bss.tables import Contact, Customer, Party
from bss.tables.party import PARTY_KINDS

NAME = 200              # letters
FIELDS = ("kind", "name", "legal_id", "tax")
_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)         # of GB 32100-2015
_CODE = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def legal(text: str, kind: str) -> str:
    """An identity number in one spelling. Refusal: a Chinese identity card (18) or a unified social credit code (18) whose check letter is wrong."""
    found = re.sub(r"[\s-]+", "", unicodedata.normalize("NFKC", text)).upper()
    if not re.fullmatch(r"[0-9A-Z]{4,40}", found):
        raise Refusal("invalid", "it is no identity number", "legal_id", "write letters and digits, 4 to 40 of them")
    if len(found) == 18 and kind == "individual" and re.fullmatch(r"\d{17}[\dX]", found):
        if "10X98765432"[sum(int(digit) * (1 << 17 - k) for k, digit in enumerate(found[:17])) % 11] != found[17]:
            raise Refusal("invalid", "the last letter of the identity card does not fit the others", "legal_id", "read it again from the card")
    if len(found) == 18 and kind == "organization" and all(letter in _CODE for letter in found):
        if _CODE[-sum(_CODE.index(letter) * weight for letter, weight in zip(found, _WEIGHTS, strict=False)) % 31] != found[17]:
            raise Refusal("invalid", "the last letter of the social credit code does not fit the others", "legal_id", "read it again from the licence")
    return found


def taxed(tax: Mapping[str, Any] | None) -> str | None:
    """What is on invoices, as it is kept. Refusal: other fields than name, number, address, phone, bank, account."""
    if not tax:
        return None
    wrong = set(tax) - {"name", "number", "address", "phone", "bank", "account"}
    if wrong:
        raise Refusal("invalid", f"{min(wrong)!r} is not on an invoice", "tax", "fields are name, number, address, phone, bank, account")
    return json.dumps({name: written(str(value), f"tax.{name}", 200, empty=True) for name, value in sorted(tax.items())}, ensure_ascii=False)


def kind_of(kind: str) -> str:
    """The kind. Refusal: it is none."""
    if kind not in PARTY_KINDS:
        raise Refusal("invalid", f"{kind!r} is no kind of party", "kind", f"kinds are {', '.join(PARTY_KINDS)}")
    return kind


def make(desk: Desk, *, kind: str, name: str, legal_id: str | None = None, tax: Mapping[str, Any] | None = None, contacts: Sequence[Given] = ()) -> Party:
    """A new party with its contacts."""
    desk.demand("customer.write")
    party = desk.add(Party(kind=kind_of(kind), name=written(name, "name", NAME), legal_id=legal(legal_id, kind) if legal_id else None, tax=taxed(tax),
                           created=desk.now))
    reach(desk, party, contacts)
    finding.index(desk, party.id)
    desk.record("party.create", party, after={"kind": kind, "name": party.name, "legal_id": party.legal_id})
    return party


def reach(desk: Desk, party: Party, contacts: Sequence[Given]) -> bool:
    """Make a party's contacts these; those that stay keep their ids. Whether anything differs."""
    wanted = {(one.medium, one.value): one for one in checked(contacts, desk.office.settings.country)}
    differs = False
    for row in desk.session.execute(select(Contact).where(Contact.party_id == party.id)).scalars().all():
        given = wanted.pop((row.medium, row.value), None)
        if given is None:
            desk.session.execute(delete(Contact).where(Contact.id == row.id))
            desk.session.expunge(row)
            differs = True
        elif (row.role, row.preferred) != (given.role, given.preferred):
            row.role, row.preferred, differs = given.role, given.preferred, True
    for one in wanted.values():
        desk.add(Contact(party_id=party.id, medium=one.medium, value=one.value, role=one.role, preferred=one.preferred))
        differs = True
    desk.session.flush()
    desk.session.expire(party, ["contacts"])
    return differs


def alter(desk: Desk, party: Party, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Set fields of a party (kind, name, legal_id, tax, contacts): what was before and is after of those that differ."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    kind = kind_of(str(given.get("kind", party.kind)))
    made: dict[str, Any] = {"kind": kind}
    if "name" in given:
        made["name"] = written(str(given["name"]), "name", NAME)
    if "legal_id" in given:
        made["legal_id"] = legal(str(given["legal_id"]), kind) if given["legal_id"] else None
    if "tax" in given:
        made["tax"] = taxed(given["tax"])
    for name, value in made.items():
        if getattr(party, name) != value:
            before[name], after[name] = getattr(party, name), value
            setattr(party, name, value)
    if "contacts" in given:
        had = sorted(f"{one.medium}:{one.value}" for one in party.contacts)
        if reach(desk, party, given["contacts"]):
            before["contacts"], after["contacts"] = had, sorted(f"{one.medium}:{one.value}" for one in party.contacts)
    if after:
        party.version += 1
        finding.index(desk, party.id)
    return before, after


def change(desk: Desk, party_id: str, version: int | None = None, **given: Any) -> Party:
    """Change a party. given: kind, name, legal_id, tax, contacts (all of them). Its customers get their next version with it."""
    desk.demand("customer.write")
    party = desk.find(Party, party_id, lock=True)
    desk.fresh(party, version)
    party.version -= 1
    before, after = alter(desk, party, given)
    if after:
        desk.session.execute(update(Customer).where(Customer.party_id == party.id).values(version=Customer.version + 1).execution_options(
            synchronize_session="fetch"))
        desk.record("party.change", party, before, after)
    return party
