"""Contracts of the running base: one a line. A framework may come before or after the contracts that are under it."""
from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from bss.desk import Desk
from bss.parties.contact import written
from bss.parties.customer import number_of
from bss.running.kind import Cells, Checked, Column, Ids, Kind, Line, Trouble, known, twice
from bss.tables import Agreement, Customer

COLUMNS = (
    Column("number", "合同编号", True, "the contract's number, unique"),
    Column("customer", "客户编号", True, "number of the customer"),
    Column("name", "合同名称", True, "what it is called"),
    Column("kind", "合同类型", False, "contract or framework (合同, 框架协议); contract"),
    Column("state", "状态", False, "draft, active or ended (草稿, 生效, 终止); active"),
    Column("signed", "签订日期", False, "when it was signed"),
    Column("valid_from", "生效日期", True, "from when on it is in force"),
    Column("valid_to", "到期日期", False, "before when it is in force"),
    Column("parent", "框架协议编号", False, "number of the framework that it is under, of the same customer"),
)
KINDS = {"contract": "contract", "framework": "framework", "合同": "contract", "框架协议": "framework"}
STATES = {"draft": "draft", "active": "active", "ended": "ended", "草稿": "draft", "生效": "active", "终止": "ended"}


def check(desk: Desk, lines: list[Line], cutover: datetime) -> Checked:
    """Look at all lines, against each other and the database."""
    troubles: list[Trouble] = []
    rows: list[dict[str, Any]] = []
    made: list[tuple[int, str, str]] = []
    totals: Counter[str] = Counter(rows=0)
    numbers = known(desk, Agreement.number, (line.cells.get("number", "") for line in lines))
    customers = known(desk, Customer.number, (line.cells.get("customer", "") for line in lines), Customer.id, Customer.merged_into, seen=True)
    frames: dict[str, tuple[Any, ...]] = known(desk, Agreement.number, (line.cells.get("parent", "") for line in lines), Agreement.id, Agreement.kind,
                                               Agreement.customer_id, seen=True)
    first: dict[str, int] = {}
    ids = Ids()
    under: list[tuple[Cells, dict[str, Any], str]] = []
    for line in lines:
        cells = Cells(line, troubles, desk.office.settings.zone)
        number = cells.take("number", number_of, desk, cells.text("number")) if cells.needed("number") else None
        twice(cells, "number", number or "", first)
        if number in numbers:
            cells.wrong("number", f"there is an agreement {number!r} already", "leave the line out")
        customer = owner(cells, customers)
        name = cells.take("name", written, cells.text("name"), "name", 200)
        kind, state = cells.choice("kind", KINDS, "contract"), cells.choice("state", STATES, "active")
        signed, begin, end = cells.time("signed"), cells.time("valid_from"), cells.time("valid_to")
        if not cells.text("valid_from"):
            cells.wrong("valid_from", "it is empty", "write a day")
        if begin and end and end <= begin:
            cells.wrong("valid_to", "it ends before it begins", "give an end after its beginning, or none")
        row: dict[str, Any] = {"id": ids("G"), "number": number, "customer_id": customer, "name": name, "kind": kind, "state": state, "signed": signed,
                               "valid_from": begin, "valid_to": end, "terms": {}, "parent_id": None, "version": 1}
        if cells.text("parent"):
            under.append((cells, row, cells.text("parent")))
        elif cells.good and kind == "framework":
            frames[str(number)] = (row["id"], kind, customer)
        if cells.good:
            rows.append(row)
    for cells, row, parent in under:
        frame = frames.get(parent)
        if frame is None or frame[1] != "framework" or frame[2] != row["customer_id"] or row["kind"] == "framework":
            cells.wrong("parent", f"{parent!r} is no framework of this customer" if row["kind"] != "framework" else "a framework is under none",
                        "name a framework of the same customer")
        else:
            row["parent_id"] = frame[0]
    wrong = {one.line for one in troubles}
    for row in rows:
        line_number = first[str(row["number"])]
        if line_number not in wrong:
            made.append((line_number, "agreement", row["id"]))
            totals.update(("rows", f"state.{row['state']}", f"kind.{row['kind']}"))
    # frameworks first, for the others name them
    return Checked(troubles, [(Agreement, sorted(rows, key=lambda row: row["kind"] != "framework"))], made, dict(totals))


def owner(cells: Cells, customers: dict[str, tuple[Any, ...]]) -> str | None:
    """Id of the customer that a line names."""
    number = cells.needed("customer")
    found = customers.get(number)
    if number and found is None:
        cells.wrong("customer", f"there is no customer {number!r}", "bring the customers in first")
    elif found is not None and found[1] is not None:
        cells.wrong("customer", f"customer {number!r} was merged into another one", "name that one")
    return None if found is None else str(found[0])


KIND = Kind("agreements", COLUMNS, "number", (), check, {"agreement": Agreement}, ((Agreement, "id", "agreement"),))
