"""Services of the running base, as they are at the cut-over, without orders. The totals are by class, kind, region and state, and the sums of ordered rates."""
from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from sqlalchemy import select

from bss.desk import Desk
from bss.parties.contact import written
from bss.parties.customer import number_of, region_of
from bss.running.agreements import owner
from bss.running.kind import Cells, Checked, Column, Ids, Kind, Line, Trouble, known, rate, twice
from bss.tables import Agreement, Customer, Offering, Service, User
from bss.tables.catalogue import KINDS as KIND_NAMES
from bss.tables.party import CLASSES

COLUMNS = (
    Column("circuit", "电路编号", True, "the number that people know the service by, unique"),
    Column("customer", "客户编号", True, "number of the customer"),
    Column("offering", "产品编码", True, "code of the offering"),
    Column("offering_version", "产品版本", False, "its version; the newest that is not a draft"),
    Column("kind", "业务类型", False, "leased_line, broadband, wlan, mobile or value_added (专线, 宽带, 无线, 移动, 增值); the offering's"),
    Column("class", "业务等级", False, "A, B, C, home, wlan or mobile; the customer's"),
    Column("region", "区域", False, "the customer's where it is empty"),
    Column("state", "状态", False, "active, inactive (suspended) or terminated (在用, 停机, 拆机); active"),
    Column("down_rate", "下行速率", False, "ordered rate towards the customer: bit/s, or 100M, 1G"),
    Column("up_rate", "上行速率", False, "ordered rate from the customer; as down where it is empty"),
    Column("agreement", "合同编号", False, "number of his contract"),
    Column("demarcation", "责任分界点", False, "where the operator's side ends"),
    Column("site", "装机地址", False, "where it is installed"),
    Column("owner", "责任人", False, "log-in of who looks after it"),
    Column("covered", "探针覆盖", False, "whether a sensor sees it (是, 否); yes"),
    Column("activated", "开通日期", False, "since when it is in use; the cut-over"),
)
KINDS = {**{one: one for one in KIND_NAMES if one != "bundle"}, "专线": "leased_line", "宽带": "broadband", "无线": "wlan", "移动": "mobile",
         "增值": "value_added"}
STATES = {"active": "active", "inactive": "inactive", "terminated": "terminated", "在用": "active", "停机": "inactive", "拆机": "terminated"}
GRADES = {one.casefold(): one for one in CLASSES}


def check(desk: Desk, lines: list[Line], cutover: datetime) -> Checked:
    """Look at all lines, against each other and the database."""
    troubles: list[Trouble] = []
    rows: list[dict[str, Any]] = []
    made: list[tuple[int, str, str]] = []
    totals: Counter[str] = Counter(rows=0, down_rate=0, up_rate=0)

    def cells_of(name: str) -> list[str]:
        return [line.cells.get(name, "") for line in lines]

    circuits = known(desk, Service.circuit, cells_of("circuit"))
    customers = known(desk, Customer.number, cells_of("customer"), Customer.id, Customer.merged_into, Customer.region, Customer.class_, seen=True)
    contracts = known(desk, Agreement.number, cells_of("agreement"), Agreement.id, Agreement.customer_id, seen=True)
    owners = known(desk, User.login, cells_of("owner"), User.id)
    offerings: dict[str, dict[int, str]] = {}
    wanted = select(Offering.code, Offering.version, Offering.kind).where(Offering.lifecycle != "draft").order_by(Offering.code, Offering.version)
    for code, version, kind in desk.session.execute(wanted):
        offerings.setdefault(code, {})[version] = kind
    first: dict[str, int] = {}
    ids = Ids()
    for line in lines:
        cells = Cells(line, troubles, desk.office.settings.zone)
        circuit = cells.take("circuit", number_of, desk, cells.text("circuit")) if cells.needed("circuit") else None
        twice(cells, "circuit", circuit or "", first)
        if circuit in circuits:
            cells.wrong("circuit", f"there is a service {circuit!r} already", "leave the line out")
        customer = owner(cells, customers)
        his = customers.get(cells.text("customer"), (None, None, "", ""))
        version, kind = _offered(cells, offerings)
        class_, state = cells.choice("class", GRADES, his[3] or "C"), cells.choice("state", STATES, "active")
        region = cells.take("region", region_of, desk, cells.text("region")) if cells.text("region") else his[2]
        down = cells.take("down_rate", rate, cells.text("down_rate")) if cells.text("down_rate") else 0
        up = cells.take("up_rate", rate, cells.text("up_rate")) if cells.text("up_rate") else down
        contract = contracts.get(cells.text("agreement"))
        if cells.text("agreement") and (contract is None or contract[1] != customer):
            cells.wrong("agreement", f"{cells.text('agreement')!r} is no contract of this customer", "bring the contracts in first")
        keeper = owners.get(cells.text("owner"))
        if cells.text("owner") and keeper is None:
            cells.wrong("owner", f"there is no user {cells.text('owner')!r}", "fullspan bss user list")
        demarcation = cells.take("demarcation", written, cells.text("demarcation"), "demarcation", 200, True)
        site = cells.take("site", written, cells.text("site"), "site", 400, True)
        covered, activated = cells.yes("covered", True), cells.time("activated") or cutover
        if activated > cutover:
            cells.wrong("activated", "it is after the cut-over", "give the day since which it is in use")
        if not cells.good:
            continue
        row = {"id": ids("S"), "circuit": circuit, "customer_id": customer, "agreement_id": contract[0] if contract else None,
               "offering": cells.text("offering"),
               "offering_version": version, "kind": kind, "class_": class_, "region": region, "state": state, "reason": "", "down_bps": down, "up_bps": up,
               "demarcation": demarcation, "site": site or None, "owner_id": keeper[0] if keeper else None, "covered": covered, "created": activated,
               "activated": activated, "terminated": cutover if state == "terminated" else None, "version": 1}
        rows.append(row)
        made.append((line.number, "service", str(row["id"])))
        totals.update(("rows", f"class.{class_}", f"kind.{kind}", f"region.{region}", f"state.{state}"))
        totals["down_rate"] += int(down or 0)
        totals["up_rate"] += int(up or 0)
    return Checked(troubles, [(Service, rows)], made, dict(totals))


def _offered(cells: Cells, offerings: dict[str, dict[int, str]]) -> tuple[int, str]:
    """Version and kind of what is had."""
    code = cells.needed("offering")
    known_versions = offerings.get(code, {})
    if code and not known_versions:
        cells.wrong("offering", f"nothing {code!r} is or was sold", "enter it in the catalogue first, and retire it there if it isn't sold any more")
    version = cells.whole("offering_version", 1, 1 << 31) or max(known_versions, default=0)
    if known_versions and version not in known_versions:
        cells.wrong("offering_version", f"{code!r} has no version {version}", f"versions are {', '.join(map(str, known_versions))}")
    return version, cells.choice("kind", KINDS, known_versions.get(version) or "broadband")


KIND = Kind("services", COLUMNS, "circuit", ("down_rate", "up_rate"), check, {"service": Service}, ((Service, "id", "service"),))
