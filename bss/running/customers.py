"""Customers of the running base: one a line, with identity number and up to one telephone number, mail address and address each.

Columns are COLUMNS; what they hold is checked as if it were entered by hand. The totals are by class, region and state.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from bss.desk import Desk
from bss.parties import party
from bss.parties.contact import normalised, written
from bss.parties.customer import number_of, region_of
from bss.parties.finding import tokens_of
from bss.running.kind import Cells, Checked, Column, Ids, Kind, Line, Trouble, known, twice
from bss.tables import Blind, Contact, Customer, Party, User
from bss.tables.party import CLASSES, CUSTOMER_STATES

COLUMNS = (
    Column("number", "客户编号", True, "the customer's number, unique"),
    Column("name", "客户名称", True, "name of the person or organisation"),
    Column("kind", "客户类型", True, "individual, organization, household or community (个人, 单位, 家庭, 社区)"),
    Column("class", "客户等级", True, "A, B, C, home, wlan or mobile"),
    Column("region", "区域", True, "one of the regions in the settings, if these name any"),
    Column("state", "状态", False, "initialized, active, suspended or closed (待激活, 正常, 停机, 销户); active"),
    Column("legal_id", "证件号码", False, "identity card or unified social credit code"),
    Column("phone", "联系电话", False, "telephone number"),
    Column("email", "邮箱", False, "mail address"),
    Column("address", "地址", False, "address"),
    Column("manager", "客户经理", False, "log-in of the account manager"),
    Column("marketing_consent", "营销同意", False, "yes or no (是, 否); no"),
    Column("created", "入网日期", False, "since when he is a customer; the cut-over"),
)
KINDS = {"individual": "individual", "organization": "organization", "household": "household", "community": "community",
         "个人": "individual", "单位": "organization", "企业": "organization", "家庭": "household", "社区": "community"}
STATES = {**{one: one for one in CUSTOMER_STATES}, "待激活": "initialized", "正常": "active", "停机": "suspended", "销户": "closed"}
GRADES = {one.casefold(): one for one in CLASSES}


def check(desk: Desk, lines: list[Line], cutover: datetime) -> Checked:
    """Look at all lines, against each other and the database."""
    troubles: list[Trouble] = []
    rows: dict[type[Any], list[dict[str, Any]]] = {Party: [], Customer: [], Contact: []}
    made: list[tuple[int, str, str]] = []
    totals: Counter[str] = Counter(rows=0)
    numbers = known(desk, Customer.number, (line.cells.get("number", "") for line in lines))
    managers = known(desk, User.login, (line.cells.get("manager", "") for line in lines), User.id)
    zone, country = desk.office.settings.zone, desk.office.settings.country
    first: dict[str, int] = {}
    ids = Ids()
    for line in lines:
        cells = Cells(line, troubles, zone)
        number = cells.take("number", number_of, desk, cells.text("number")) if cells.needed("number") else None
        twice(cells, "number", number or "", first)
        if number in numbers:
            cells.wrong("number", f"there is a customer {number!r} already", "leave the line out")
        name = cells.take("name", written, cells.text("name"), "name", party.NAME)
        kind, class_ = cells.choice("kind", KINDS), cells.choice("class", GRADES)
        region = cells.take("region", region_of, desk, cells.text("region"))
        state, consent = cells.choice("state", STATES, "active"), cells.yes("marketing_consent", False)
        legal_id = cells.take("legal_id", party.legal, cells.text("legal_id"), kind) if cells.text("legal_id") else None
        contacts = [(medium, cells.take(medium, normalised, medium, cells.text(medium), country))
                    for medium in ("phone", "email", "address") if cells.text(medium)]
        manager = managers.get(cells.text("manager"))
        if cells.text("manager") and manager is None:
            cells.wrong("manager", f"there is no user {cells.text('manager')!r}", "fullspan bss user list")
        created = cells.time("created") or cutover
        if created > cutover:
            cells.wrong("created", "it is after the cut-over", "give the day from which on he is a customer")
        if not cells.good:
            continue
        party_id, customer_id = ids("P"), ids("C")
        rows[Party].append({"id": party_id, "kind": kind, "name": name, "legal_id": legal_id, "tax": None, "created": created, "version": 1})
        rows[Customer].append({
            "id": customer_id, "number": number, "party_id": party_id, "class_": class_, "region": region, "state": state, "created": created, "version": 1,
            "manager_id": manager[0] if manager else None, "marketing_consent": consent, "merged_into": None})
        rows[Contact] += [{"id": ids("K"), "party_id": party_id, "medium": medium, "value": value, "role": "", "preferred": False}
                          for medium, value in contacts]
        made += [(line.number, "party", party_id), (line.number, "customer", customer_id)]
        totals.update(("rows", f"class.{class_}", f"region.{region}", f"state.{state}"))
    return Checked(troubles, [*rows.items(), (Blind, _digests(rows))], made, dict(totals))


def _digests(rows: dict[type[Any], list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """What the parties are found by: made when they are written, for there are twenty of each."""
    reached: dict[str, list[tuple[str, str]]] = {}
    for one in rows[Contact]:
        reached.setdefault(one["party_id"], []).append((one["medium"], one["value"]))
    for one in rows[Party]:
        for field, token in tokens_of(one["name"], one["legal_id"], reached.get(one["id"], ())):
            yield {"entity_id": one["id"], "field": field, "token": token}


KIND = Kind("customers", COLUMNS, "number", (), check, {"customer": Customer, "party": Party},
            ((Blind, "entity_id", "party"), (Contact, "party_id", "party"), (Customer, "id", "customer"), (Party, "id", "party")))
