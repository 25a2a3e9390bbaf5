"""How long a running base takes to come in: customers with a telephone number and an address each, services and bindings, by CSV or XLSX, and to be undone.

python -m benchmarks.bss_import [--rows N] [--database sqlite|postgresql] [--xlsx]

PostgreSQL is started for it in a folder of its own, with its settings as they are shipped (fsync on). Times are of the whole act, reading the file included.
"""
from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import random
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks import postgresql
from bss.office import Office
from bss.parties.search import search
from bss.people.scope import SYSTEM
from bss.running import batch, reading, undoing
from bss.settings import load
from bss.tables import Offering

FAMILY = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂英华文辉力明永健世广志义兴良海山仁波宁贵福生龙元全国胜学祥才发武新利清飞彬富顺信子"
CUT = datetime(2026, 11, 30, tzinfo=UTC)


def files(rows: int) -> dict[str, list[dict[str, Any]]]:
    """A base of so many customers, each with a service and a binding."""
    chance = random.Random(1)
    regions = ("贵阳", "遵义", "安顺", "毕节")
    customers = [{"number": f"K{k:07d}", "name": chance.choice(FAMILY) + "".join(chance.choices(GIVEN, k=2)), "kind": "个人", "class": "home",
                  "region": chance.choice(regions), "phone": f"13{chance.randrange(10 ** 9):09d}", "address": f"{chance.choice(regions)}中华北路{k}号",
                  "legal_id": f"E{k:08d}"} for k in range(rows)]
    services = [{"circuit": f"S{k:07d}", "customer": f"K{k:07d}", "offering": "home-100", "down_rate": "100M", "up_rate": "20M",
                 "site": f"中华北路{k}号"} for k in range(rows)]
    bindings = [{"service": f"S{k:07d}", "prefix": f"10.{k >> 16}.{k >> 8 & 255}.{k & 255}"} for k in range(rows)]
    return {"customers": customers, "services": services, "bindings": bindings}


def written(rows: list[dict[str, Any]], xlsx: bool) -> bytes:
    """A file of rows."""
    if xlsx:
        import xlsxwriter
        out = io.BytesIO()
        with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
            sheet = book.add_worksheet()
            sheet.write_row(0, 0, list(rows[0]))
            for k, row in enumerate(rows, 1):
                sheet.write_row(k, 0, list(row.values()))
        return out.getvalue()
    told = io.StringIO()
    writer = csv.DictWriter(told, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return told.getvalue().encode()


def measure(database: str, home: Path, rows: int, xlsx: bool) -> dict[str, Any]:
    """Seconds of each step."""
    settings = load(database=database, keys=str(home / "keys"), bindings=str(home / "bindings.csv"), store="none")
    Office.found(settings)
    office = Office(settings, lambda: CUT + timedelta(days=1))
    with office.writing() as desk:
        desk.add(Offering(code="home-100", version=1, kind="broadband", class_="home", valid_from=CUT, document={}, created=CUT))
    took: dict[str, Any] = {}
    made = []
    for kind, lines in files(rows).items():
        content = written(lines, xlsx)
        begin = time.perf_counter()
        sheet = reading.parse(content, f"{kind}.file", batch.kind_of(kind).columns)
        took[f"{kind}_read_s"] = round(time.perf_counter() - begin, 1)
        made.append(office.act(SYSTEM, lambda desk, kind=kind, sheet=sheet: batch.bring(desk, kind, sheet, CUT)[0].id))        # type: ignore[misc]
        took[f"{kind}_s"] = round(time.perf_counter() - begin, 1)
        print(json.dumps(took), file=sys.stderr, flush=True)
    with office.reading() as desk:
        for word in ("K0000077", "王伟芳", "wangweifang", "wwf", "13800138000", "10.0.0.77"):
            begin = time.perf_counter()
            search(desk, word)
            took[f"search_{word}_ms"] = round(1000 * (time.perf_counter() - begin))
    for kind, one in zip(reversed(list(files(1))), reversed(made), strict=True):
        begin = time.perf_counter()
        office.act(SYSTEM, lambda desk, one=one: undoing.undo(desk, one).id)           # type: ignore[misc]
        took[f"{kind}_undo_s"] = round(time.perf_counter() - begin, 1)
    office.close()
    return took


def main() -> None:
    """Measure, and say it as a line of JSON."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--rows", type=int, default=100_000)
    given.add_argument("--database", choices=("sqlite", "postgresql"), default="postgresql")
    given.add_argument("--xlsx", action="store_true")
    asked = given.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with postgresql.server() if asked.database == "postgresql" else contextlib.nullcontext("") as server:
            url = postgresql.database(server, "base") if server else f"sqlite:///{home / 'bss.db'}"
            took = measure(url, home, asked.rows, asked.xlsx)
    told = {"rows": asked.rows, "database": asked.database, "file": "xlsx" if asked.xlsx else "csv", **took,
            "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
