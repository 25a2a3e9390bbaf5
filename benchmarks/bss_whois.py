"""Whose an address was, on PostgreSQL with a hundred thousand services: how long one question takes, audit row and commit among it.

    python -m benchmarks.bss_whois postgresql+psycopg://user@host/EMPTY_DATABASE [--services 100000] [--questions 2000]

The database must be empty; it is filled, and left as it is. Printed: p50, p95, p99 and the longest, in ms, of `whois` in a transaction of its own, and of the
look-up alone; and how long the export of all bindings takes.
"""
from __future__ import annotations

import argparse
import random
import tempfile
import time
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from sqlalchemy import insert, text

from bss.office import Office
from bss.people.scope import SYSTEM
from bss.services import export
from bss.services.spelling import bounds
from bss.services.whois import of_address, whois
from bss.settings import load
from bss.tables import Binding, Customer, Offering, Party, Service

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = int(IPv4Address("100.64.0.0"))


def fill(office: Office, count: int) -> None:
    """Customers with a service each; a service has a prefix of four addresses now, and had another service's before. One /10 lies around them all."""
    with office.writing() as desk:
        party = desk.add(Party(kind="individual", name="x", created=BEGIN))
        desk.add(Offering(code="F", version=1, kind="broadband", class_="home", valid_from=BEGIN, document={}, created=BEGIN))
        desk.session.execute(insert(Customer), [{
            "id": f"C{n:015d}", "number": f"K{n}", "party_id": party.id, "class_": "home", "region": "r", "state": "active", "marketing_consent": False,
            "created": BEGIN, "version": 1} for n in range(count)])
        desk.session.execute(insert(Service), [{
            "id": f"S{n:015d}", "circuit": f"L{n}", "customer_id": f"C{n:015d}", "offering": "F", "offering_version": 1, "kind": "broadband", "class_": "home",
            "region": "r", "state": "active", "reason": "", "down_bps": 0, "up_bps": 0, "demarcation": "", "covered": True, "created": BEGIN, "version": 1}
            for n in range(count)])
        desk.session.execute(insert(Binding), [_row(2 * n + past, n, f"{IPv4Address(FIRST + 4 * (n if not past else (n + 1) % count))}/30", bool(past))
                                               for n in range(count) for past in (0, 1)])
        desk.session.execute(insert(Binding), [_row(2 * count, 0, "100.64.0.0/10", False)])
        desk.session.execute(text("UPDATE export_mark SET version = version + 1"))
    with office.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def _row(number: int, service: int, prefix: str, past: bool) -> dict[str, object]:
    low, high = bounds(prefix)
    since, until = (BEGIN, BEGIN + timedelta(days=100)) if past else (BEGIN + timedelta(days=100 if prefix.endswith("/30") else 0), None)
    return {"id": f"B{number:015d}", "service_id": f"S{service:015d}", "key": f"prefix {prefix}", "prefix": prefix, "mac": "", "user": "", "circuit": "",
            "probe": "", "interface": "", "low": low, "high": high, "valid_from": since, "valid_to": until, "revision": 1, "created": BEGIN}


def told(name: str, spans: list[float]) -> None:
    """Percentiles, ms."""
    spans = sorted(1000 * one for one in spans)
    at = [spans[min(len(spans) - 1, len(spans) * share // 100)] for share in (50, 95, 99)]
    print(f"{name:<24} p50 {at[0]:7.2f}  p95 {at[1]:7.2f}  p99 {at[2]:7.2f}  longest {spans[-1]:7.2f} ms  ({len(spans)} questions)")


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("database")
    parser.add_argument("--services", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=2000)
    given = parser.parse_args()
    rng = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        settings = load(database=given.database, keys=f"{folder}/bss.keys", bindings=f"{folder}/bindings.csv", store="none")
        Office.found(settings)
        office = Office(settings)
        fill(office, given.services)
        whole: list[float] = []
        alone: list[float] = []
        for _ in range(given.questions):
            number, past = rng.randrange(given.services), rng.random() < 0.5
            at = BEGIN + timedelta(days=50 if past else 150)
            owner = (number - 1) % given.services if past else number
            address = FIRST + 4 * number + rng.randrange(4)
            began = time.perf_counter()
            found = office.act(SYSTEM, lambda desk, a=address, t=at: whois(desk, str(IPv4Address(a)), t, reason="benchmark"))     # type: ignore[misc]
            whole.append(time.perf_counter() - began)
            if found.service_id != f"S{owner:015d}":
                raise SystemExit(f"{IPv4Address(address)} at {at} is said to be {found.service_id}")
            with office.reading() as desk:
                began = time.perf_counter()
                of_address(desk, address | 0xFFFF << 32, at)
                alone.append(time.perf_counter() - began)
        told("whois, with its audit", whole)
        told("the look-up alone", alone)
        began = time.perf_counter()
        written = export.write(office, always=True)
        print(f"export of {written.lines} lines: {time.perf_counter() - began:.2f} s, {Path(written.path).stat().st_size:,} bytes")
        office.close()


if __name__ == "__main__":
    main()
