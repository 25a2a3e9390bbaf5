"""A month end from rated totals: bills made, audited, approved and issued, in how long; and the same killed at random and gone on with: the same bills, none
twice, none missing, numbers without a gap.

python -m benchmarks.bss_billing [--customers N] [--kills N] [--database sqlite|postgresql]

PostgreSQL is started for it in a folder of its own, with its settings as they are shipped (fsync on). Every customer has a service that was active for a part
of the month or all of it, two rated totals, and every tenth a payment made ahead. The first run is not killed; the second one, on the same data, has each of
its first processes killed with SIGKILL at a moment of chance.
"""
from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import create_engine, func, select, text

from benchmarks import postgresql
from bss.billing import audit, issuing, run
from bss.catalogue.publishing import publish
from bss.catalogue.reading import read
from bss.desk import Desk
from bss.office import Office
from bss.people.scope import SYSTEM
from bss.running import bulk
from bss.running.kind import Ids
from bss.settings import Settings, load
from bss.tables import Bill, BillingAccount, BillLine, BillRun, Customer, JournalEntry, Party, Payment, RatedCharge, Service

CATALOGUE = Path(__file__).resolve().parents[1] / "bss" / "samples" / "catalogue.toml"
NOW = datetime(2026, 12, 3, 4, tzinfo=UTC)
PERIOD, BEGIN = "2026-11", datetime(2026, 10, 31, 16, tzinfo=UTC)          # it begins at midnight in Shanghai
OFFERINGS = (("home-100", "broadband", "home", 10 ** 8), ("home-500", "broadband", "home", 5 * 10 ** 8), ("line-b", "leased_line", "B", 10 ** 8))
PART = 10_000               # customers of a transaction


class Found(NamedTuple):
    """What a run has come to. digest: of all bills and lines, without ids and times."""
    bills: int
    gross: Decimal
    digest: str
    numbers: int
    gaps: int
    twice: int
    balanced: bool


def lay(office: Office, customers: int) -> None:
    """The base: always the same."""
    office.act(SYSTEM, lambda desk: publish(desk, read(CATALOGUE)))
    for first in range(0, customers, PART):
        office.act(SYSTEM, lambda desk, first=first: _lay(desk, range(first, min(first + PART, customers))))         # type: ignore[misc]
    office.act(SYSTEM, lambda desk: bulk.known(desk, Party, Customer, BillingAccount, Service, RatedCharge, Payment))


def _lay(desk: Desk, numbers: range) -> None:
    chance, ids = random.Random(numbers[0]), Ids()
    rows: dict[Any, list[dict[str, Any]]] = {one: [] for one in (Party, Customer, BillingAccount, Service, RatedCharge, Payment)}
    for n in numbers:
        party, customer, account, service = ids("P"), ids("C"), ids("Y"), ids("S")
        code, kind, class_, rate = chance.choice(OFFERINGS)
        since = BEGIN + timedelta(days=chance.randrange(-60, 29), hours=3)
        rows[Party].append({"id": party, "kind": "organization" if kind == "leased_line" else "individual", "name": f"客户{n}", "created": since})
        rows[Customer].append({"id": customer, "number": f"K{n:07d}", "party_id": party, "class_": class_, "region": "贵阳", "created": since})
        rows[BillingAccount].append({"id": account, "number": f"ZH{n:07d}", "customer_id": customer, "created": since})
        rows[Service].append({"id": service, "circuit": f"ZX{n:07d}", "customer_id": customer, "offering": code, "offering_version": 1, "kind": kind,
                              "class_": class_, "region": "贵阳", "state": "active", "down_bps": rate, "up_bps": rate, "created": since, "activated": since})
        for key in ("traffic", "minutes"):
            amount = Decimal(chance.randrange(0, 500_000)).scaleb(-4)
            rows[RatedCharge].append({
                "id": ids("Z"), "customer_id": customer, "service_id": service, "period": PERIOD, "original_period": PERIOD, "price_key": key, "revision": 1,
                "name": {"en": key, "zh": key}, "unit": "GB", "bytes": 0, "quantity": Decimal(chance.randrange(1, 99)), "amount": amount, "currency": "CNY",
                "tax": "inclusive", "tax_rate": Decimal("0.09"), "evidence": {"services": [service]}, "state": "closed", "made": desk.now})
        if n % 10 == 0:
            rows[Payment].append({"id": ids("P"), "source": f"laid/{n}", "account_id": account, "customer_id": customer, "method": "bank", "state": "posted",
                                  "amount": Decimal("50.00"), "matched": Decimal(0), "refunded": Decimal(0), "received": since, "created": since})
    for table, some in rows.items():
        bulk.write(desk, table, some)


def phases(office: Office, key: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What is done to a run from where it stands, in order."""
    def cleared(desk: Desk) -> None:
        for kind in audit.open_(desk, key):
            audit.clear(desk, key, "as it should be", kind=kind)
    yield "made", lambda: run.build(office, SYSTEM, key)
    yield "audited", lambda: office.act(SYSTEM, lambda desk: run.look_over(desk, key))
    yield "cleared", lambda: office.act(SYSTEM, cleared)
    yield "approved", lambda: office.act(SYSTEM, lambda desk: run.approve(desk, key))
    yield "issued", lambda: issuing.issue_all(office, SYSTEM, key)


def straight(office: Office) -> dict[str, float]:
    """A run that nobody kills; seconds of each phase."""
    key, took = office.act(SYSTEM, lambda desk: run.start(desk, PERIOD).id), {}
    for name, do in phases(office, key):
        begin = time.monotonic()
        do()
        took[name] = time.monotonic() - begin
    return took


def killed(settings: Settings, kills: int, spread: tuple[float, float], seed: int = 7) -> int:
    """A run each of whose first processes is killed at a moment of chance; how many were. spread: seconds of their lives."""
    office = Office(settings, lambda: NOW)
    key = office.act(SYSTEM, lambda desk: run.start(desk, PERIOD).id)
    office.close()
    chance, count = random.Random(seed), 0
    while True:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _go_on(settings, key)
                code = 0
            finally:
                os._exit(code)
        if count < kills:
            time.sleep(chance.uniform(*spread))
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if os.WIFSIGNALED(status):
            count += 1
        elif os.WEXITSTATUS(status):
            raise SystemExit(f"a run that was gone on with failed: {status}")
        else:
            return count


def _go_on(settings: Settings, key: str) -> None:
    """All that is left of a run, in a process of its own."""
    office = Office(settings, lambda: NOW)
    after = {"trial": 0, "built": 1, "audited": 2, "approved": 4, "issued": 5}
    for n, (_name, do) in enumerate(phases(office, key)):
        with office.reading() as desk:
            state = desk.session.get_one(BillRun, key).state
        if n >= after[state]:
            do()
    office.close()


def found(office: Office) -> Found:
    """What is there, by plain queries."""
    digest, gross, numbers = hashlib.sha256(), Decimal(0), []
    with office.reading() as desk:
        session = desk.session
        bills = session.execute(select(Bill.id, Bill.number, Bill.state, Bill.paid, Bill.net, Bill.tax, Bill.gross, Customer.number).join(
            Customer, Customer.id == Bill.customer_id).where(Bill.state != "void").order_by(Customer.number)).all()
        lines: dict[str, list[Any]] = {}
        for line in session.execute(select(BillLine.bill_id, BillLine.kind, BillLine.price_key, BillLine.quantity, BillLine.net, BillLine.tax, BillLine.gross,
                                           BillLine.begin, BillLine.end).order_by(BillLine.bill_id, BillLine.number)):
            lines.setdefault(line.bill_id, []).append(line[1:])
        for bill in bills:
            digest.update(repr((bill[7], bill.state, bill.paid, bill.net, bill.tax, bill.gross, lines[bill.id])).encode())
            gross += bill.gross
            numbers.append(int(str(bill.number).removeprefix("ZD")) if bill.number else 0)
        twice = session.scalar(select(func.count()).select_from(select(BillLine.source).where(BillLine.live.is_(True)).group_by(BillLine.source)
                                                                .having(func.count() > 1).subquery())) or 0
        twice += len(bills) - len({bill[7] for bill in bills})
        debit, credit = session.execute(select(func.sum(JournalEntry.debit), func.sum(JournalEntry.credit))).one()
    gaps = sum(one != n for n, one in enumerate(sorted(numbers), 1))
    return Found(len(bills), gross, digest.hexdigest()[:16], len(set(numbers)), gaps, twice, debit == credit)


def prove(folder: Path, server: str, customers: int, kills: int, longest: float) -> bool:
    """Both runs on one database, and whether they came to the same. longest: see --seconds."""
    name = "postgresql" if server else "sqlite"
    (folder / "one").mkdir()
    (folder / "two").mkdir()

    def at(place: str) -> Settings:
        url = f"{server}{place}" if server else f"sqlite:///{folder / place / 'bss.db'}"
        own = folder / place
        return load(database=url, keys=str(own / "bss.keys"), bindings=str(own / "b.csv"), attachments=str(own / "a"), store="none")
    if server:
        postgresql.database(server, "one")
    Office.found(at("one"))
    office = Office(at("one"), lambda: NOW)
    begin = time.monotonic()
    lay(office, customers)
    print(f"{name}: {customers} customers laid in {time.monotonic() - begin:.0f} s", flush=True)
    office.close()
    _copy(folder, server)
    office = Office(at("one"), lambda: NOW)
    took = straight(office)
    first = found(office)
    office.close()
    print(f"{name}: {first.bills} bills, {first.gross} CNY: " + ", ".join(f"{phase} in {seconds:.1f} s" for phase, seconds in took.items())
          + f"; month end {sum(took.values()) / 60:.2f} min; peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB", flush=True)
    if not kills:
        return first.bills == customers and not first.gaps and not first.twice and first.balanced
    count = killed(at("two"), kills, (min(0.5, longest / 8) if longest else 0.5, longest or max(1.0, sum(took.values()) / 8)))
    office = Office(at("two"), lambda: NOW)
    second = found(office)
    office.close()
    same = first == second and not first.gaps and not first.twice and first.balanced and first.numbers == first.bills
    print(f"{name}: killed {count} times and gone on with: {second.bills} bills, {second.gross} CNY, digest {second.digest} (not killed {first.digest}); "
          f"numbers with a gap or double {second.gaps}, charged twice {second.twice}, journal balanced: {second.balanced}; the same: {same}", flush=True)
    return same and count == kills and first.bills == customers


def _copy(folder: Path, server: str) -> None:
    """The data once more, for the run that is killed."""
    if server:
        engine = create_engine(server + "postgres", isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("CREATE DATABASE two TEMPLATE one"))
        engine.dispose()
        shutil.copy(folder / "one" / "bss.keys", folder / "two" / "bss.keys")
        return
    for one in (folder / "one").iterdir():
        if one.is_file():
            shutil.copy(one, folder / "two" / one.name)


def main() -> None:
    """See above."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--customers", type=int, default=100_000)
    given.add_argument("--kills", type=int, default=10, help="0: the run that is not killed alone")
    given.add_argument("--database", choices=("sqlite", "postgresql"), default="postgresql")
    given.add_argument("--seconds", type=float, default=0, help="a killed process lives at most; 0: an eighth of what the first run took")
    asked = given.parse_args()
    with tempfile.TemporaryDirectory() as folder, postgresql.server() if asked.database == "postgresql" else contextlib.nullcontext("") as server:
        sys.exit(0 if prove(Path(folder), server, asked.customers, asked.kills, asked.seconds) else 1)


if __name__ == "__main__":
    main()
