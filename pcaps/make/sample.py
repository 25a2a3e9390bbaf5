"""The sample operator of `make demo-business`: who works there, whom it serves, and with what. All is entered as people enter it, at times that are set."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import select

from bss.catalogue import publishing, reading
from bss.desk import Desk
from bss.office import Office
from bss.people import user
from bss.people.entry import actor_of
from bss.people.scope import SYSTEM, Actor
from bss.running import batch
from bss.running.reading import parse
from bss.services import export, resource
from bss.settings import load
from bss.tables import Service, ServiceResource, User
from pcaps.make.month import Line
from pcaps.make.network import ROOT, Trouble

R = TypeVar("R")
PASSWORD = "demonstration"
PEOPLE = {"sales": ["presales"], "sales2": ["presales", "manager"], "provision": ["provisioning"], "provision2": ["provisioning"], "field": ["contractor"],
          "manager": ["manager"], "manager2": ["manager"], "assure": ["assurance"], "assure2": ["assurance"], "bill": ["billing"], "bill2": ["billing"],
          "auditor": ["auditor"]}
EAST, WEST = "贵阳", "遵义"
PROBES = {EAST: "gy-probe", WEST: "zy-probe"}
CATALOGUE = ROOT / "bss" / "samples" / "catalogue.toml"


class Sold(NamedTuple):
    """A service of the sample. name: what the script calls it; customer: whose; kind, offering and class as in the catalogue; typical: bit/s."""
    name: str
    customer: str
    offering: str
    kind: str
    class_: str
    region: str
    address: str
    mbps: int
    typical: int
    behind: str = ""
    rtt_us: int = 4000
    contract: str = ""


#: Number -> name, kind and class of a customer.
CUSTOMERS: dict[str, tuple[str, str, str, str]] = {
    "K0001": ("黔云医院", "单位", "A", EAST), "K0002": ("黔中银行", "单位", "A", EAST), "K0003": ("云上物流有限公司", "单位", "B", EAST),
    "K0004": ("遵义制造有限公司", "单位", "B", WEST), "K0005": ("赤水旅游有限公司", "单位", "B", WEST), "K0006": ("筑城网吧连锁", "单位", "C", EAST),
    "K0007": ("红花岗书店", "单位", "C", WEST), "K0008": ("云栖酒店", "单位", "C", EAST), "K0009": ("青岩咖啡", "单位", "wlan", EAST),
    "K0010": ("会展中心", "单位", "wlan", WEST), "K0011": ("王小明", "个人", "home", EAST), "K0012": ("李秀英", "个人", "home", EAST),
    "K0013": ("张建国", "个人", "home", EAST), "K0014": ("刘丽", "个人", "home", EAST), "K0015": ("陈强", "个人", "home", EAST),
    "K0016": ("杨敏", "个人", "home", EAST), "K0017": ("赵军", "个人", "home", WEST), "K0018": ("黄洁", "个人", "home", WEST),
    "K0019": ("周芳", "个人", "mobile", EAST), "K0020": ("吴伟", "个人", "mobile", WEST)}
HOME = [f"K{number:04d}" for number in range(11, 19)]
SOLD: tuple[Sold, ...] = (
    Sold("A1", "K0001", "line-a", "leased_line", "A", EAST, "198.18.0.1", 100, 38_000_000, rtt_us=2500),
    Sold("A2", "K0002", "line-a", "leased_line", "A", EAST, "198.18.0.2", 200, 70_000_000, rtt_us=2500),
    Sold("B1", "K0003", "line-b", "leased_line", "B", EAST, "198.18.0.3", 100, 42_000_000),
    Sold("B2", "K0004", "line-b", "leased_line", "B", WEST, "198.18.1.1", 50, 16_000_000),
    Sold("B3", "K0005", "line-b", "leased_line", "B", WEST, "198.18.1.2", 50, 12_000_000),
    Sold("P1", "K0006", "line-burst", "leased_line", "B", EAST, "198.18.0.5", 1000, 55_000_000, contract="HT-0006"),
    Sold("P2", "K0006", "line-burst", "leased_line", "B", WEST, "198.18.1.5", 1000, 35_000_000, contract="HT-0006"),
    Sold("C1", "K0007", "line-c", "leased_line", "C", WEST, "198.18.1.3", 20, 5_000_000, rtt_us=6000),
    Sold("W1", "K0009", "wlan-venue", "wlan", "wlan", EAST, "198.18.2.1", 0, 2_100_000, "AP-青岩", 9000),
    Sold("W2", "K0010", "wlan-volume", "wlan", "wlan", WEST, "198.18.2.2", 0, 900_000, "AP-会展", 9000),
    *(Sold(f"H{place + 1}", number, "home-100" if place % 2 else "home-500", "broadband", "home", CUSTOMERS[number][3], f"198.18.3.{place + 1}",
           100 if place % 2 else 500, 2_000_000 + 400_000 * place, "OLT-贵阳-1" if CUSTOMERS[number][3] == EAST else "OLT-遵义-1", 8000)
      for place, number in enumerate(HOME)),
    Sold("M1", "K0019", "mobile-59", "mobile", "mobile", EAST, "198.18.4.1", 0, 90_000, rtt_us=22_000),
    Sold("M2", "K0020", "mobile-graduated", "mobile", "mobile", WEST, "198.18.4.2", 0, 60_000, rtt_us=22_000),
    Sold("M3", "K0019", "mobile-packs", "mobile", "mobile", EAST, "198.18.4.3", 0, 70_000, rtt_us=22_000))
#: A line that is ordered, installed and accepted while the month runs.
ORDERED = Sold("N1", "K0008", "line-c", "leased_line", "C", EAST, "198.18.0.9", 50, 14_000_000, rtt_us=6000)


class Clock:
    """A clock that the script sets."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class Operator:
    """The office in a folder of its own, and who works in it. only: names of services that there are, for a smaller month."""

    def __init__(self, folder: Path, begin: datetime, only: Iterable[str] = ()) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder, self.clock = folder, Clock(begin)
        (folder / "bss.toml").write_text(f'store = "chdb://{folder.resolve() / "month.chdb"}"\noperator = "示范电信 Fullspan Telecom"\n'
                                         f'regions = ["{EAST}", "{WEST}"]\n', encoding="utf-8")
        self.settings = load(str(folder / "bss.toml"))
        Office.found(self.settings)
        self.office = Office(self.settings, self.clock)
        wanted = set(only)
        self.sold = [one for one in SOLD if not wanted or one.name in wanted]
        self.ids: dict[str, str] = {}           # of services by their names here
        self.customers: dict[str, str] = {}     # of services by their ids
        self.more: list[Line] = []
        self.office.act(SYSTEM, lambda desk: user.make(desk, "admin", "Administrator", PASSWORD, ["administrator"]))
        for login, roles in PEOPLE.items():
            self.office.act(SYSTEM, lambda desk, login=login, roles=roles: user.make(desk, login, login, PASSWORD, roles))
        self._people: dict[str, Actor] = {}

    def at(self, moment: datetime) -> None:
        """It is then."""
        if moment < self.clock.now:
            raise Trouble(f"the script goes back in time, from {self.clock.now} to {moment}")
        self.clock.now = moment

    def act(self, login: str, what: Callable[[Desk], R]) -> R:
        """Do something as one of the people, '' the system."""
        return self.office.act(self.actor(login) if login else SYSTEM, what)

    def actor(self, login: str) -> Actor:
        """One of the people."""
        if login not in self._people:
            with self.office.reading() as desk:
                self._people[login] = actor_of(desk.session.execute(select(User).where(User.login == login)).scalar_one())
        return self._people[login]

    def bring(self) -> None:
        """The catalogue, and the running base out of files, as at a cut-over."""
        self.act("manager", lambda desk: publishing.publish(desk, reading.read(CATALOGUE)))
        theirs = {one.customer for one in self.sold} | {ORDERED.customer}
        contracts = {one.contract: one.customer for one in self.sold if one.contract}
        sheets: dict[str, list[list[str]]] = {
            "customers": [["客户编号", "客户名称", "客户类型", "客户等级", "区域", "联系电话"],
                          *([number, name, kind, class_, region, f"1380000{number[1:]}"] for number, (name, kind, class_, region) in CUSTOMERS.items()
                            if number in theirs)],
            "agreements": [["合同编号", "客户编号", "合同名称", "生效日期"],
                           *([number, whose, "互联网专线", "2026-01-01"] for number, whose in contracts.items())],
            "services": [["电路编号", "客户编号", "产品编码", "业务等级", "区域", "下行速率", "装机地址", "合同编号"],
                         *([circuit(one), one.customer, one.offering, one.class_, one.region, f"{one.mbps}M" if one.mbps else "", f"{one.region}市示范路",
                            one.contract] for one in self.sold)],
            "bindings": [["电路编号", "地址段"], *([circuit(one), f"{one.address}/32"] for one in self.sold)]}
        for kind, rows in sheets.items():
            if len(rows) < 2:
                continue
            file = self.folder / f"{kind}.csv"
            with file.open("w", encoding="utf-8", newline="") as out:
                csv.writer(out).writerows(rows)
            sheet = parse(file.read_bytes(), file.name, batch.kind_of(kind).columns)
            _, report = self.act("manager", lambda desk, kind=kind, sheet=sheet: batch.bring(desk, kind, sheet, self.clock.now))
            if report.troubles:
                raise Trouble(f"{file}: {report.troubles[0]}")
        export.write(self.office)
        with self.office.reading() as desk:
            known = {row.circuit: row for row in desk.session.execute(select(Service)).scalars()}
        for one in self.sold:
            row = known[circuit(one)]
            self.ids[one.name], self.customers[row.id] = row.id, row.customer_id

    def plant(self) -> dict[str, str]:
        """What services hang on: OLTs and access points, by name. Ids."""
        def make(desk: Desk) -> dict[str, str]:
            found: dict[str, str] = {}
            for one in self.sold:
                if not one.behind:
                    continue
                if one.behind not in found:
                    site = resource.add(desk, kind="site", name=f"{one.behind} 机房", region=one.region)
                    found[one.behind] = resource.add(desk, kind="olt" if one.behind.startswith("OLT") else "ap", name=one.behind, region=one.region,
                                                     parent_id=site.id, probe=PROBES[one.region], interface="generated").id
                top = found[one.behind]
                if one.kind == "broadband":
                    pon = found.get(f"{one.behind} PON")
                    if pon is None:
                        pon = found[f"{one.behind} PON"] = resource.add(desk, kind="pon_port", name=f"{one.behind} 0/1", region=one.region, parent_id=top).id
                    top = resource.add(desk, kind="onu", name=f"ONU-{circuit(one)}", region=one.region, parent_id=pon).id
                desk.add(ServiceResource(service_id=self.ids[one.name], resource_id=top, holder=top if one.kind == "broadband" else None))
            return found

        return self.act("manager", make)

    def lines(self) -> list[Line]:
        """Services as the generator sees them, with those that were ordered since."""
        found = [Line(self.ids[one.name], self.customers[self.ids[one.name]], one.kind, one.address, PROBES[one.region], one.typical, one.rtt_us,
                      one.mbps * 1_000_000)
                 for one in self.sold]
        return [*found, *self.more]

    def service(self, name: str) -> Any:
        """A service's row, by its name here."""
        with self.office.reading() as desk:
            return desk.find(Service, self.ids[name])


def circuit(one: Sold) -> str:
    """The number that people know a service by."""
    return f"{'GY' if one.region == EAST else 'ZY'}-{one.name}"
