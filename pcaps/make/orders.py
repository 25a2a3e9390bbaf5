"""python -m pcaps.make.orders: twenty leased lines from enquiry to acceptance, proved by traffic.

An operator of our own in `orders-demo/`: 200 customers and what they have are brought in from files, twenty more lines are enquired for, checked, quoted,
ordered, configured and installed by people with different permissions. Real programs (iperf3) then carry each line's rate in a namespace, the probe beside it
measures, and what it has measured completes the orders, but one: its line carries six tenths of what was ordered, and it is held.
"""

from __future__ import annotations

import contextlib
import csv
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import select

from bss.catalogue import publishing, reading
from bss.desk import Desk
from bss.office import Office
from bss.orders import acceptance, configuration, enquiry, fulfilment, order, paper, qualification, transition, verifying
from bss.orders.wanted import Line, Wanted
from bss.people import user
from bss.people.entry import actor_of
from bss.people.scope import SYSTEM
from bss.refusal import Refusal
from bss.running import batch
from bss.running.reading import parse
from bss.services import export, resource
from bss.settings import load
from bss.tables import Customer, ProductOrder, User
from pcaps.make.catalogue import Capture, install
from pcaps.make.live import FULLSPAN, mirror
from pcaps.make.network import ROOT, SERVER, Network, Trouble

R = TypeVar("R")
FOLDER = ROOT / "orders-demo"
PASSWORD = "demonstration"
CUSTOMERS, ORDERED = 200, 20
RATE = 10_000_000               # bit/s of each line, both ways
SLOW = 6_000_000                # that the last one carries
SECONDS = 140                   # two whole minutes wherever it begins
PATIENCE = 300                  # s until a minute is closed and its usage is there
PEOPLE = {"sales": ["presales"], "sales2": ["presales", "manager"], "provision": ["provisioning"], "provision2": ["provisioning"], "field": ["contractor"],
          "manager": ["manager"], "assure": ["assurance"], "auditor": ["auditor"]}
PLACES = ("贵阳", "遵义")
CODES = {"贵阳": "GY", "遵义": "ZY"}
SURNAMES, GIVEN = "王李张刘陈杨赵黄周吴", ("伟", "芳", "小明", "秀英", "建国", "丽", "强", "敏", "军", "洁")


def address(k: int) -> str:
    """Of the line that is ordered as number k."""
    return f"192.0.2.{100 + k}"


class Demonstration:
    """The office and who works in it."""

    def __init__(self) -> None:
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir()
        (FOLDER / "bss.toml").write_text(f'store = "chdb://{FOLDER / "demo.chdb"}"\noperator = "示范电信 Fullspan Telecom"\nregions = ["贵阳", "遵义"]\n')
        self.settings = load(str(FOLDER / "bss.toml"))
        Office.found(self.settings)
        self.office = Office(self.settings)
        self.office.act(SYSTEM, lambda desk: user.make(desk, "admin", "Administrator", PASSWORD, ["administrator"]))
        for login, roles in PEOPLE.items():
            self.office.act(SYSTEM, lambda desk, login=login, roles=roles: user.make(desk, login, login, PASSWORD, roles))
        export.write(self.office, always=True)

    def act(self, login: str, what: Callable[[Desk], R]) -> R:
        """Do something as one of the people."""
        with self.office.reading() as desk:
            who = actor_of(desk.session.execute(select(User).where(User.login == login)).scalar_one())
        return self.office.act(who, what)

    def bring(self) -> None:
        """The catalogue, and 200 customers with what they have, out of files."""
        self.act("manager", lambda desk: publishing.publish(desk, reading.read(ROOT / "bss" / "samples" / "catalogue.toml")))
        numbers = [f"K{k:05d}" for k in range(CUSTOMERS)]
        names = [f"{SURNAMES[k % 10]}{GIVEN[k // 10 % 10]}" if k % 4 else f"示范企业 {k:03d} 有限公司" for k in range(CUSTOMERS)]
        classes = ["ABC"[k // 4 % 3] if k % 4 == 0 else "home" for k in range(CUSTOMERS)]
        sheets = {
            "customers": [["客户编号", "客户名称", "客户类型", "客户等级", "区域", "联系电话"],
                          *([numbers[k], names[k], "个人" if k % 4 else "单位", classes[k], PLACES[k % 2], f"138{k:08d}"] for k in range(CUSTOMERS))],
            "services": [["电路编号", "客户编号", "产品编码", "下行速率", "装机地址"],
                         *([f"GZ-{k:05d}", numbers[k], "home-100" if k % 4 else f"line-{classes[k].lower()}", "100M", f"{PLACES[k % 2]}市示范路 {k} 号"]
                           for k in range(ORDERED * 4, CUSTOMERS))],
            "bindings": [["电路编号", "地址段"], *([f"GZ-{k:05d}", f"198.51.100.{k}/32"] for k in range(ORDERED * 4, CUSTOMERS))]}
        cutover = datetime.now(UTC) - timedelta(days=1)
        for kind, rows in sheets.items():
            file = FOLDER / f"{kind}.csv"
            with file.open("w", encoding="utf-8", newline="") as out:
                csv.writer(out).writerows(rows)
            sheet = parse(file.read_bytes(), file.name, batch.kind_of(kind).columns)
            _, report = self.act("manager", lambda desk, kind=kind, sheet=sheet: batch.bring(desk, kind, sheet, cutover))
            if report.troubles:
                raise Trouble(f"{file}: {report.troubles[0]}")
        export.write(self.office)

    def build(self) -> dict[str, list[str]]:
        """Resources by region: a port of a gigabit that the probe measures; a VLAN and an address for each line."""
        found: dict[str, list[str]] = {}
        for place in PLACES:
            def make(desk: Desk, place: str = place) -> list[str]:
                site = resource.add(desk, kind="site", name=f"{place}核心机房", region=place)
                device = resource.add(desk, kind="device", name=f"{CODES[place]}-SR-1", region=place, parent_id=site.id)
                port = resource.add(desk, kind="port", name=f"{CODES[place]}-SR-1 xe-0/0/1", region=place, parent_id=device.id, capacity_bps=10**9,
                                    probe="demo", interface="span0", detail={"shared": True})
                own = [(("vlan", str(100 + k)), ("prefix", f"{address(k)}/32")) for k in range(ORDERED)]
                return [port.id, *(resource.add(desk, kind=kind, name=name, region=place, parent_id=device.id).id for pair in own for kind, name in pair)]
            found[place] = self.act("manager", make)
        return found

    def sell(self, resources: dict[str, list[str]]) -> list[str]:
        """Twenty enquiries, checked, quoted and approved; twenty orders, reserved, configured, signed and bound."""
        with self.office.reading() as desk:
            query = select(Customer).where(Customer.class_ != "home").order_by(Customer.number).limit(ORDERED)
            customers = list(desk.session.execute(query).unique().scalars())
        return [self._sell(k, one, resources[one.region]) for k, one in enumerate(customers)]

    def _sell(self, k: int, customer: Customer, resources: list[str]) -> str:
        code = f"line-{customer.class_.lower()}"
        need = {"kind": "leased_line", "offering": code, "down_bps": RATE, "up_bps": RATE}
        asked = self.act("sales", lambda desk: enquiry.enter_need(desk, customer.id, need, channel="manager", site=f"{customer.region}市示范路 {k} 号").id)
        self.act("sales", lambda desk: enquiry.survey(desk, asked, {"distance_m": 120 + 10 * k, "power": "AC 220 V", "rack": "1U"}))
        self.act("sales2", lambda desk: qualification.of_enquiry(desk, asked))
        for kind, content in (("solution", {"access": "fibre to the rack", "port": "xe-0/0/1"}), ("quote", {"offering": code, "rate_bps": RATE})):
            written = self.act("sales", lambda desk, kind=kind, content=content: paper.write(desk, kind, "enquiry", asked, content).id)
            self.act("manager", lambda desk, written=written: paper.decide(desk, written, True, "as agreed"))
        wanted = Wanted(down_bps=RATE, up_bps=RATE, prefixes=(f"{address(k)}/32",), vlan=100 + k)
        line = Line(offering=code, site=f"{customer.region}市示范路 {k} 号", wanted=wanted)
        made = self.act("sales", lambda desk: enquiry.win(desk, asked, [line]).id)
        self.act("sales", lambda desk: order.acknowledge(desk, made))
        self.act("manager", lambda desk: order.assign(desk, made, self._id("provision")))
        self.act("sales2", lambda desk: qualification.of_order(desk, made))
        self.act("provision", lambda desk: transition.move(desk, made, "inProgress"))
        item = self._item(made)
        self.act("provision", lambda desk: fulfilment.reserve(desk, item, [resources[0], *resources[1 + 2 * k:3 + 2 * k]]))
        data = self.act("provision", lambda desk: configuration.render(desk, item).id)
        self.act("provision2", lambda desk: configuration.sign(desk, data))
        self.act("provision", lambda desk: configuration.apply(desk, data))
        self.act("provision", lambda desk: fulfilment.connect(desk, item, [{"prefix": f"{address(k)}/32"}]))
        return made

    def settle(self, orders: list[str], begin: datetime, end: datetime) -> dict[str, str]:
        """Installed and tested; what the probe has seen completes them, or holds them. The reason of each that is held."""
        for made in orders:
            item = self._item(made)
            self.act("field", lambda desk, item=item: verifying.install(desk, item, [(begin, end)], "iperf3, both ways"))
        waiting, held, until = list(orders), {}, time.monotonic() + PATIENCE
        last: dict[str, str] = {}
        while waiting and time.monotonic() < until:
            for made in list(waiting):
                try:
                    found = self.act("provision", lambda desk, made=made: verifying.verify(desk, self._item(made)))
                except Refusal as error:
                    last[made] = error.what
                    continue
                if found.done:
                    self.act("provision", lambda desk, made=made: transition.move(desk, made, "completed"))
                    sheet = self.act("provision", lambda desk, made=made: acceptance.make(desk, made).id)
                    self.act("manager", lambda desk, sheet=sheet: paper.decide(desk, sheet, True, "measured"))
                    waiting.remove(made)
                last[made] = found.why
            if len(waiting) > 1 or time.monotonic() < until - PATIENCE / 2:
                time.sleep(5)
            else:
                break
        for made in waiting:
            held[made] = last[made]
            self.act("provision", lambda desk, made=made: transition.move(desk, made, "held", last[made][:300]))
        return held

    def _item(self, order_id: str) -> str:
        with self.office.reading() as desk:
            return str(desk.find(ProductOrder, order_id).items[0].id)

    def _id(self, login: str) -> str:
        with self.office.reading() as desk:
            return str(desk.session.execute(select(User.id).where(User.login == login)).scalar_one())


def carry(net: Network, lines: int) -> tuple[datetime, datetime]:
    """Every line's rate both ways at once, the last one's less; from when to when."""
    client = net.name("client")
    for k in range(lines):
        subprocess.run(["ip", "-n", client, "address", "add", f"{address(k)}/24", "dev", "eth0"], check=True)
        net.start("server", ["iperf3", "-s", "-B", SERVER, "-p", str(5300 + k), "-1"], tcp=5300 + k)
    begin = datetime.now(UTC)
    running = []
    for k in range(lines):
        rate = SLOW if k == lines - 1 else RATE
        command = ["iperf3", "-c", SERVER, "-p", str(5300 + k), "-B", address(k), "-u", "-b", str(rate), "--bidir", "-l", "1400", "-t", str(SECONDS)]
        running.append(subprocess.Popen(net._line("client", command), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
    for one in running:
        _, complaint = one.communicate(timeout=SECONDS + 60)
        if one.returncode:
            raise Trouble(f"iperf3: {complaint[-300:]}")
    return begin, datetime.now(UTC)


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Be in a namespace: the probe answers who asks its store on the localhost of its own."""
    enter = ctypes.CDLL(None, use_errno=True).setns
    with open("/proc/self/ns/net") as home, open(f"/run/netns/{namespace}") as there:
        if enter(there.fileno(), 0x40000000):           # CLONE_NEWNET
            raise OSError(ctypes.get_errno(), f"can't enter {namespace}")
        try:
            yield
        finally:
            enter(home.fileno(), 0x40000000)


def watch(net: Network, settings: Any) -> subprocess.Popen[str]:
    """The probe, on a mirror of the network, with the bindings that the office writes."""
    whose = {"FULLSPAN_IDENTITY_BINDINGS": settings.bindings, "FULLSPAN_IDENTITY_LOCAL_NETWORKS": "192.0.2.0/24", "FULLSPAN_PROBE_NAME": "demo"}
    probe = subprocess.Popen([*FULLSPAN, "probe", "-i", "span0", "--store", settings.store],
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, **whose})
    assert probe.stderr is not None
    while "reading" not in (line := probe.stderr.readline()):
        if not line:
            raise Trouble("the probe did not start")
    return probe


def tell(done: Demonstration, held: dict[str, str]) -> int:
    """What came of it, and where to look. 0 where nineteen are completed and the one that was too slow is held."""
    with done.office.reading() as desk:
        orders = list(desk.session.execute(select(ProductOrder).order_by(ProductOrder.id)).unique().scalars())
        states = [one.state for one in orders]
        for one in orders:
            print(f"  {one.number}  {one.state}{'  ' + held[one.id] if one.id in held else ''}")
    print(f"{states.count('completed')} orders completed by what the probe measured, {states.count('held')} held.\n\n"
          f"Look at it:    cd {FOLDER.relative_to(ROOT)} && ../{Path(sys.executable).relative_to(ROOT)} -m dpi.cli.main bss serve\n"
          f"               http://127.0.0.1:8470/ as sales, provision, manager, auditor or admin, password {PASSWORD}\n"
          f"Bindings that the probe followed: {FOLDER.relative_to(ROOT)}/bindings.csv\n"
          f"On the command line: fullspan bss --config {FOLDER.relative_to(ROOT)}/bss.toml order list")
    return 0 if states.count("completed") == ORDERED - 1 and states.count("held") == 1 and orders[-1].state == "held" else 1


def play(net: Network, done: Demonstration) -> int:
    """All of it, beside the probe."""
    probe = watch(net, done.settings)
    try:
        done.bring()
        print(f"{CUSTOMERS} customers brought in.", flush=True)
        orders = done.sell(done.build())
        print(f"{len(orders)} lines enquired for, checked, quoted, ordered, configured and bound. Testing them for {SECONDS} s ...", flush=True)
        time.sleep(5)               # the probe reads the bindings anew
        begin, end = carry(net, len(orders))
        print("Installed and tested. Waiting for the probe's minutes ...", flush=True)
        held = done.settle(orders, begin, end)
        probe.send_signal(signal.SIGTERM)
        probe.wait(60)
        return tell(done, held)
    finally:
        if probe.poll() is None:
            probe.kill()


def main() -> int:
    """0 where it came out as it is told above."""
    if os.geteuid():
        return subprocess.run(["sudo", sys.executable, "-m", "pcaps.make.orders"], check=False).returncode
    install([Capture("orders", ("iperf3",), "", 1, "make/orders.py", lambda _: None)])
    done = Demonstration()
    with Network(1) as net:
        try:
            mirror(net, net.name("probe"))
            subprocess.run(["ip", "-n", net.name("probe"), "link", "set", "lo", "up"], check=True)       # the probe answers there
            with inside(net.name("probe")):
                return play(net, done)
        finally:
            subprocess.run(["ip", "netns", "delete", net.name("probe")], check=False, stderr=subprocess.DEVNULL)
            done.office.close()


if __name__ == "__main__":
    sys.exit(main())
