"""The business layer with 100 000 customers on PostgreSQL: bringing them in, then a steady mix of requests to `fullspan bss serve`, each kind told by itself.

python -m benchmarks.business [--rate 500] [--seconds 60] [--customers 100000] [--processes 2] [--keep FOLDER] [--result NAME]

Everything is done as a user does it: `fullspan bss init`, `import` (timed, reading the file included), `token make`, `serve`. Orders alone are put in by the
thousand (five customers have one). Asked are: a request of each kind by itself, one after the other, for the CPU seconds that server and database spend on it;
then the mix, at a rate that does not wait for the answers (benchmarks/load.py): a time is from when a request was due. The mix is MIX below. An answer that is
no success ends it with exit 1, and so does what was promised: p95 of the mix below 50 ms, of whois by itself below 10 ms, an import below 120 s.
--keep: a folder where the data stay, and are found again.
"""
from __future__ import annotations

import argparse
import contextlib
import datetime
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, func, insert, select, text
from sqlalchemy.engine import Connection

from benchmarks.bss_import import files, written
from benchmarks.load import Answer, Request, percentile, steady
from benchmarks.measure import commit, machine, ordinary
from benchmarks.postgresql import server
from bss.tables import Customer, Milestone, OrderItem, ProductOrder, Service

ROOT = Path(__file__).resolve().parents[1]
FULLSPAN = [sys.executable, "-m", "dpi.cli.main", "bss"]
TMF = "/tmf-api"
CUSTOMER, SERVICE = f"{TMF}/customerManagement/v4/customer", f"{TMF}/serviceInventory/v4/service"
ORDER, INTERACTION = f"{TMF}/productOrderingManagement/v5/productOrder", f"{TMF}/partyInteractionManagement/v4/partyInteraction"
#: Kind of request -> how many of a hundred.
MIX = {"customer": 30, "customer list": 15, "search": 10, "service": 15, "order list": 10, "view": 5, "whois": 5, "interaction": 10}
PAGE = 20               # rows of a list, as the pages show them
CUTOVER = "2026-11-01"
BEGIN = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
STATES = ("acknowledged", "inProgress", "pending", "completed", "completed", "completed")
TICK = os.sysconf("SC_CLK_TCK")


def fullspan(home: Path, *arguments: str) -> str:
    """A command, with the settings of a folder; what it says."""
    done = subprocess.run([*FULLSPAN, *arguments], cwd=home, env=ordinary({"PYTHONPATH": str(ROOT)}), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"fullspan bss {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def fill(home: Path, count: int) -> dict[str, float]:
    """A base of so many customers with a contract, a service and a binding each, and an order for every fifth. Seconds of each file's import."""
    fullspan(home, "init", "--password", "Correct-horse-battery-9", "--json")
    fullspan(home, "catalogue", "load", str(ROOT / "bss" / "samples" / "catalogue.toml"))
    made = files(count)
    agreements = [{"number": f"A{k:07d}", "customer": f"K{k:07d}", "name": "宽带服务合同", "valid_from": CUTOVER} for k in range(count)]
    took = {}
    for kind in ("customers", "agreements", "services", "bindings"):
        file = home / f"{kind}.csv"
        file.write_bytes(written(agreements if kind == "agreements" else made[kind], xlsx=False))
        began = time.perf_counter()
        fullspan(home, "import", kind, str(file), "--cutover", CUTOVER, "--json")
        took[kind] = round(time.perf_counter() - began, 1)
        print(f"imported {kind}: {took[kind]} s", file=sys.stderr, flush=True)
    return took


def order(connection: Connection, count: int) -> None:
    """An order with an item and three milestones for some customers."""
    chance = random.Random(2)
    found = connection.execute(select(Customer.__table__.c.id, Customer.__table__.c.region, Service.__table__.c.id).join(
        Service.__table__, Service.__table__.c.customer_id == Customer.__table__.c.id).order_by(Customer.__table__.c.number).limit(count)).all()
    orders, items, reached = [], [], []
    for k, (customer, region, service) in enumerate(found):
        created = BEGIN + datetime.timedelta(minutes=k)
        state = chance.choice(STATES)
        orders.append({"id": f"O{k:015d}", "number": f"N{k:07d}", "customer_id": customer, "region": region, "channel": "hall", "class_": "home",
                       "state": state, "created": created, "acknowledged": created, "due": created + datetime.timedelta(days=5),
                       "completed": created + datetime.timedelta(days=2) if state == "completed" else None})
        items.append({"id": f"N{k:015d}", "order_id": f"O{k:015d}", "place": 1, "action": "add", "offering": "home-100", "offering_version": 1,
                      "state": state, "service_id": service, "wanted": {}, "price": {}})
        reached += [{"item_id": f"N{k:015d}", "name": name, "reached": created} for name in ("surveyed", "resourceReserved", "dataConfigured")]
    for table, rows in ((ProductOrder, orders), (OrderItem, items), (Milestone, reached)):
        for k in range(0, len(rows), 5000):
            _insert(connection, table, rows[k:k + 5000])


def _insert(connection: Connection, table: Any, rows: list[dict[str, Any]]) -> None:
    columns = {attribute.key: attribute.columns[0].name for attribute in table.__mapper__.column_attrs}
    connection.execute(insert(table.__table__), [{columns[key]: value for key, value in row.items()} for row in rows])


class Asked:
    """Requests of each kind, for rows that are there."""

    def __init__(self, connection: Connection, seed: int = 3) -> None:
        self.chance = random.Random(seed)
        self.customers = list(connection.execute(select(Customer.__table__.c.id).order_by(func.random()).limit(20_000)).scalars())
        self.services = list(connection.execute(select(Service.__table__.c.id).order_by(func.random()).limit(20_000)).scalars())
        self.count = connection.execute(select(func.count()).select_from(Customer.__table__)).scalar_one()
        # of the file, for the base has them sealed
        sample = self.chance.sample(files(self.count)["customers"], min(5000, self.count))
        self.phones, self.numbers = [one["phone"] for one in sample], [one["number"] for one in sample]
        self.names = [one["name"] for one in sample]

    def mixed(self, total: int) -> list[Request]:
        """So many requests of the mix, in an order of chance."""
        kinds = self.chance.choices(list(MIX), list(MIX.values()), k=total)
        return [self.one(kind) for kind in kinds]

    def one(self, kind: str) -> Request:
        """A request of a kind."""
        pick = self.chance.choice
        if kind == "customer":
            return Request(kind, "GET", f"{CUSTOMER}/{pick(self.customers)}")
        if kind == "customer list":
            region = _quoted(pick(("贵阳", "遵义", "安顺", "毕节")))
            return Request(kind, "GET", f"{CUSTOMER}?region={region}&status=active&offset={PAGE * self.chance.randrange(20)}&limit={PAGE}")
        if kind == "search":
            wanted = pick((self.phones, self.numbers, self.phones, self.numbers, self.names))
            return Request(kind, "GET", f"/fullspan/v1/search?q={_quoted(pick(wanted))}")
        if kind == "service":
            return Request(kind, "GET", f"{SERVICE}/{pick(self.services)}")
        if kind == "order list":
            return Request(kind, "GET", f"{ORDER}?state={pick(STATES)}&offset={PAGE * self.chance.randrange(20)}&limit={PAGE}")
        if kind == "view":
            return Request(kind, "GET", f"/fullspan/v1/customer/{pick(self.customers)}/view")
        if kind == "whois":
            k = self.chance.randrange(self.count)
            return Request(kind, "GET", f"/fullspan/v1/whois?address=10.{k >> 16}.{k >> 8 & 255}.{k & 255}&reason=benchmark")
        body = {"reason": "咨询资费", "relatedParty": [{"id": pick(self.customers), "role": "customer"}], "relatedChannel": [{"id": "phone"}],
                "direction": "inbound", "note": [{"text": "客户询问升级到 200M 的资费"}]}
        return Request(kind, "POST", INTERACTION, json.dumps(body, ensure_ascii=False))


def _quoted(word: str) -> str:
    from urllib.parse import quote
    return quote(word)


@contextlib.contextmanager
def serving(home: Path, processes: int) -> Iterator[tuple[int, int]]:
    """The server as a user starts it: its port and process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with open(home / "serve.log", "w") as log:
        child = subprocess.Popen([*FULLSPAN, "serve", "--port", str(port), "--processes", str(processes)], cwd=home, stdout=log, stderr=log,
                                 env=ordinary({"PYTHONPATH": str(ROOT)}))
        try:
            for _ in range(300):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                if child.poll() is not None:
                    raise SystemExit((home / "serve.log").read_text())
                time.sleep(0.2)
            yield port, child.pid
        finally:
            child.terminate()
            child.wait(30)


def cpu(roots: list[int]) -> float:
    """CPU seconds that processes and all below them have used, those that ended and were waited for among them."""
    parents, spent = {}, {}
    for one in Path("/proc").iterdir():
        if one.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (one / "stat").read_text().rpartition(")")[2].split()
                parents[int(one.name)] = int(fields[1])
                spent[int(one.name)] = sum(map(int, fields[11:15])) / TICK
    wanted, grown = set(roots), True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in wanted} - wanted
        wanted, grown = wanted | more, bool(more)
    return sum(spent.get(pid, 0.0) for pid in wanted)


def alone(port: int, token: str, asked: Asked, times: int, spent: Callable[[], tuple[float, float]]) -> Iterator[tuple[str, list[float], str]]:
    """Each kind by itself, one request after the other: the kind, its times in ms, and a line of them and of the CPU time of server and database."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for kind in MIX:
        requests = [asked.one(kind) for _ in range(times + 50)]
        took = []
        for k, one in enumerate(requests):
            if k == 50:
                before = spent()
            began = time.perf_counter()
            connection.request(one.method, one.path, one.body.encode() or None, _heads(token, one))
            answer = connection.getresponse()
            body = answer.read()
            took.append(1000 * (time.perf_counter() - began))
            if answer.status not in (200, 201, 206):
                raise SystemExit(f"{one.method} {one.path}: {answer.status} {body!r}")
        after = spent()
        took = took[50:]
        yield kind, took, (f"{kind:14s} p50 {percentile(took, .5):7.2f}  p95 {percentile(took, .95):7.2f}  p99 {percentile(took, .99):7.2f} ms   "
               f"cpu: server {1000 * (after[0] - before[0]) / times:6.2f}  database {1000 * (after[1] - before[1]) / times:6.2f} ms")


def _heads(token: str, request: Request) -> dict[str, str]:
    heads = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    if request.body:
        heads |= {"Content-Type": "application/json", "Idempotency-Key": os.urandom(12).hex()}
    return heads


def line(name: str, answers: list[Answer]) -> str:
    """Percentiles of some answers, ms."""
    took = [1000 * one.took for one in answers]
    wrong = sum(one.status not in (200, 201, 206) for one in answers)
    return (f"{name:14s} {len(answers):7d}  p50 {percentile(took, .5):8.2f}  p95 {percentile(took, .95):8.2f}  p99 {percentile(took, .99):8.2f}  "
            f"longest {max(took):8.2f} ms  errors {wrong}")


def measured(home: Path, given: argparse.Namespace, url: str, say: Callable[[str], None]) -> list[str]:
    """Start the server and ask; what was not kept."""
    engine = create_engine(url)
    with engine.begin() as connection:
        asked = Asked(connection)
        postmaster = int((home / "postgresql" / "data" / "postmaster.pid").read_text().split()[0])
    fullspan(home, "upgrade")           # data that were kept may be of an earlier version
    token = json.loads(fullspan(home, "token", "make", "bench", "--name", f"bench{time.time_ns()}", "--json"))[0]["token"]
    with serving(home, given.processes) as (port, pid):
        say(f"\n== each kind by itself, one request after the other ({given.alone} of each): time, and CPU time of server and database")
        by_itself = {}
        for kind, took, said in alone(port, token, asked, given.alone, lambda: (cpu([pid]), cpu([postmaster]))):
            by_itself[kind] = took
            say(said)
        if not given.seconds:
            return []
        requests = asked.mixed(int(given.rate * given.seconds))
        steady(port, given.rate / 2, 3, given.connections, token, lambda k: requests[k])        # not counted: every process has to have been asked once
        load, before, own = os.getloadavg()[0], (cpu([pid]), cpu([postmaster])), time.process_time()
        answers = steady(port, given.rate, given.seconds, given.connections, token, lambda k: requests[k])
        after = (cpu([pid]), cpu([postmaster]))
        seconds = max(one.due + one.took for one in answers)
        say(f"\n== the mix, {given.rate:g} requests a second for {given.seconds:g} s over {given.connections} connections, {given.processes} processes: "
            + ", ".join(f"{share} % {kind}" for kind, share in MIX.items()))
        say(line("all", answers))
        for kind in MIX:
            say(line(kind, [one for one in answers if one.kind == kind]))
        say(f"answered {len(answers) / seconds:.0f} a second; CPU a request: server {1000 * (after[0] - before[0]) / len(answers):.2f} ms, database "
            f"{1000 * (after[1] - before[1]) / len(answers):.2f} ms, what asks {1000 * (time.process_time() - own) / len(answers):.2f} ms; "
            f"load average {load:.1f} before, {os.getloadavg()[0]:.1f} after, {os.cpu_count()} cores")
    engine.dispose()
    return broken(answers, by_itself["whois"])


def broken(answers: list[Answer], whois: list[float]) -> list[str]:
    """What of the promises does not hold. whois: ms, by itself."""
    found = []
    if wrong := [one for one in answers if one.status not in (200, 201, 206)]:
        found.append(f"{len(wrong)} requests were answered {sorted({one.status for one in wrong})}")
    for name, limit, some in (("the mix", 50, [1000 * one.took for one in answers]), ("whois by itself", 10, whois)):
        if (took := percentile(some, .95)) >= limit:
            found.append(f"p95 of {name} is {took:.1f} ms, not below {limit}")
    return found


def run(home: Path, given: argparse.Namespace, say: Callable[[str], None]) -> list[str]:
    """All of it in a folder. What does not hold."""
    wrong: list[str] = []
    fresh = not (home / "postgresql").exists()
    with server(kept=home / "postgresql") as base:
        url = base + "base"
        (home / "bss.toml").write_text(f'database = "{url}"\nstore = "none"\n')
        if fresh:
            engine = create_engine(base + "postgres", isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.execute(text("CREATE DATABASE base"))
            engine.dispose()
            took = fill(home, given.customers)
            say(f"== import of {given.customers} rows each, seconds: " + ", ".join(f"{kind} {value}" for kind, value in took.items()))
            wrong += [f"import of {kind} took {value} s" for kind, value in took.items() if value >= 120]
            fullspan(home, "user", "add", "bench", "--name", "Bench", "--no-password", "--role", "manager", "--json")
            engine = create_engine(url)
            with engine.begin() as connection:
                order(connection, given.customers // 5)
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM ANALYZE"))          # as the server's own autovacuum does within minutes
            engine.dispose()
        return wrong + measured(home, given, url, say)


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--alone", type=int, default=300, help="requests of each kind by itself")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--result", metavar="NAME", help="write benchmarks/results/NAME.txt")
    given = parser.parse_args()
    lines: list[str] = []

    def say(told: str) -> None:
        print(told, flush=True)
        lines.append(told)

    say(f"date {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, commit {commit()}\n{machine()}\ncommand: python -m benchmarks.business "
        f"--rate {given.rate:g} --seconds {given.seconds:g} --customers {given.customers} --processes {given.processes} --connections {given.connections}")
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
    with contextlib.nullcontext(str(given.keep.resolve())) if given.keep else tempfile.TemporaryDirectory() as folder:
        if not given.keep:
            Path(folder).chmod(0o711)           # the database's own user has to come through
        wrong = run(Path(folder), given, say)
    for one in wrong:
        say(f"does not hold: {one}")
    if given.result:
        (ROOT / "benchmarks" / "results" / f"{given.result}.txt").write_text("\n".join(lines) + "\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
