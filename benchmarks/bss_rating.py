"""How fast usage is rated: hours of `usage_1h` in a real store, read, guided, drawn, priced and kept, hour by hour as they close; then the month closed.

python -m benchmarks.bss_rating [--services N] [--hours N] [--database sqlite|postgresql]

A row of usage is one of `usage_1h` (service, hour, category). Times are of the whole duty, the questions to the store and all writing included; PostgreSQL is
started for it in a folder of its own, with its settings as they are shipped (fsync on).
"""
from __future__ import annotations

import argparse
import contextlib
import json
import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import postgresql
from bss import identifier
from bss.catalogue.publishing import publish
from bss.catalogue.reading import read
from bss.database import lots
from bss.desk import Desk
from bss.office import Office
from bss.people.scope import SYSTEM
from bss.rating import closing, hours
from bss.settings import load
from bss.tables import Customer, Party, RatedCharge, RatedUsage, Service
from dpi.batch import Batch, Coded, Texts
from dpi.schema import TABLES
from dpi.store import open_store
from dpi.store.parcel import Packing

BEGIN = datetime(2026, 8, 31, 16, tzinfo=UTC)           # September begins in Shanghai
CATEGORIES = ("video", "web", "social", "messaging", "games", "music", "cloud", "unknown")
SAMPLE = Path(__file__).resolve().parents[1] / "bss" / "samples" / "catalogue.toml"


def base(office: Office, services: int) -> list[str]:
    """A customer for each two mobile services."""
    office.act(SYSTEM, lambda desk: publish(desk, read(SAMPLE)))
    ids = []
    for lot in lots(range(services // 2), 1000):
        def make(desk: Desk, lot: list[int] = lot) -> list[str]:
            party = [Party(id=identifier.fresh("P"), kind="individual", name=f"N {k}", created=desk.now) for k in lot]
            desk.session.add_all(party)
            desk.session.flush()
            whose = [Customer(id=identifier.fresh("C"), number=f"K{k}", party_id=one.id, class_="home", region="x", created=desk.now)
                     for k, one in zip(lot, party, strict=True)]
            desk.session.add_all(whose)
            desk.session.flush()
            made = [Service(id=identifier.fresh("S"), circuit=f"M{one.number}-{n}", customer_id=one.id, offering="mobile-59", offering_version=1, kind="mobile",
                            class_="mobile", region="x", state="active", created=BEGIN, activated=BEGIN) for one in whose for n in range(2)]
            desk.session.add_all(made)
            return [one.id for one in made]
        ids += office.act(SYSTEM, make)
    return ids


def column(kind: str, count: int, value: Any) -> Any:
    """A column of one value, or of values."""
    if kind in ("code", "text"):
        return Coded.same(value or "", count) if kind == "code" else Texts.of([value or ""] * count)
    dtype = {"minute": np.int64, "u8": np.uint8, "u32": np.uint32}.get(kind, np.uint64)
    return value if isinstance(value, np.ndarray) else np.full(count, value or 0, dtype)


def batch(table: str, count: int, **given: Any) -> Batch:
    """Rows of a table; what is not given is nothing."""
    made = {}
    for one in TABLES[table].columns:
        if one.name == "stored_time":
            continue
        value = given.get(one.name)
        made[one.name] = value if isinstance(value, Coded) else column(one.kind, count, value)
    return Batch(table, count, made)


def fill(url: str, ids: list[str], many: int) -> int:
    """So many closed hours, in which each service used each category; how many rows."""
    store, packing, rng, count = open_store(url), Packing("made-up"), np.random.default_rng(1), 0
    names = [one for one in ids for _ in CATEGORIES]
    for n in range(many):
        at = int(BEGIN.timestamp() + 3600 * n)
        sizes = rng.integers(1, 60_000_000, len(names)).astype(np.uint64)
        told = batch("usage_1h", len(names), time=np.full(len(names), at, np.int64), probe="p", service_id=Coded.of(names), customer_id="c",
                     category=Coded.of(list(CATEGORIES) * len(ids)), rules_version="r1", up_bytes=sizes // 10, down_bytes=sizes,
                     up_packets=1, down_packets=1, revision=1)
        slot = batch("usage_slots", 1, table_name="usage_1h", time=np.full(1, at, np.int64), probe="p", rows=len(names), digest=f"{n:064x}", revision=1)
        for one in (told, slot):
            packing.add(one)
            for gathering in packing.take(True):
                store.insert(packing.pack(gathering))
        count += len(names)
    store.close()
    return count


def measure(database: str, home: Path, services: int, many: int) -> dict[str, Any]:
    """Rows a minute, as hours close and at the month's end."""
    url = f"chdb://{home / 'store'}"
    settings = load(database=database, keys=str(home / "keys"), bindings=str(home / "bindings.csv"), store=url)
    Office.found(settings)
    now = [BEGIN]
    office = Office(settings, lambda: now[0])
    ids = base(office, services)
    rows = fill(url, ids, many)
    now[0] = BEGIN + timedelta(hours=many)
    begin, cpu = time.perf_counter(), time.process_time()
    run = hours.hourly(office, {})
    took, cpu = time.perf_counter() - begin, time.process_time() - cpu
    now[0] = BEGIN + timedelta(days=33)
    begin, more = time.perf_counter(), time.process_time()
    charges = closing.close(office, "2026-09")
    ended, more = time.perf_counter() - begin, time.process_time() - more
    with office.reading() as desk:
        kept = desk.session.query(RatedUsage).count()
        assert run.lines == rows and charges == desk.session.query(RatedCharge).count()
        stored = sum(row.up_bytes + row.down_bytes for row in desk.session.query(RatedUsage))
    assert rows == stored_rows(office), "a row of usage was lost"
    office.close()
    return {"rows": rows, "hours": run.hours, "rated_s": round(took, 1), "rated_cpu_s": round(cpu, 1), "rated_rows_a_minute": round(rows / took * 60),
            "closed_s": round(ended, 1), "closed_cpu_s": round(more, 1), "closed_rows_a_minute": round(rows / ended * 60), "service_days": kept,
            "charges": charges, "bytes": stored}


def stored_rows(office: Office) -> int:
    """Lines that are kept."""
    with office.reading() as desk:
        return sum(len(row.lines) // 24 for row in desk.session.query(RatedUsage))


def main() -> None:
    """Measure, and say it as a line of JSON."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--services", type=int, default=5_000)
    given.add_argument("--hours", type=int, default=24)
    given.add_argument("--database", choices=("sqlite", "postgresql"), default="postgresql")
    asked = given.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with postgresql.server() if asked.database == "postgresql" else contextlib.nullcontext("") as server:
            url = postgresql.database(server, "base") if server else f"sqlite:///{home / 'bss.db'}"
            took = measure(url, home, asked.services, asked.hours)
    print(json.dumps({"services": asked.services, "database": asked.database, **took, "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10}))


if __name__ == "__main__":
    main()
