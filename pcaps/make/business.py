"""python -m pcaps.make.business [--folder DIR] [--small]: a month of a sample operator, from an empty folder to paid bills.

Thirty-five days of flows and coverage are generated through the real store, and a day of packets is replayed by the real engine; usage is computed of both by
the probe's own job. In it: an outage and a contractor who says too early that it is over, a silent OLT, a mirror that shows one way, an attack, planned work, a
line that is ordered, installed and accepted, a breach and its credit, and a month end with bills of every kind of charge. Each figure that is printed can be
followed to flows: the words for it stand beside it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from dpi.store import open_store
from dpi.usage.computing import Job
from pcaps.make import assuring, month, packets, selling, settling
from pcaps.make.following import Followed, follow
from pcaps.make.live import FULLSPAN
from pcaps.make.month import Blind, Event, Month
from pcaps.make.network import ROOT, Trouble
from pcaps.make.sample import ORDERED, PASSWORD, PROBES, WEST, Operator
from pcaps.make.settling import Figure

FOLDER = ROOT / "business-demo"
ZONE = ZoneInfo("Asia/Shanghai")
CUTOVER = datetime(2026, 8, 26, tzinfo=ZONE)
PERIOD, FOLLOWING = "2026-09", "2026-10"
PACKETS = datetime(2026, 9, 30, tzinfo=ZONE)            # the day that is replayed; before it, 35 days are generated
ATTACK = PACKETS + timedelta(hours=15)
SMALL = ("A2", "B1", "C1", "P1", "P2", "W2", "H1", "H2", "H3", "M1", "M2")
FEW = 2                                                 # services behind one thing, of which nobody says that it is down
HOMES = tuple(f"H{place}" for place in range(1, 7))       # behind the OLT that falls silent


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A time of September."""
    return datetime(2026, 9, day, hour, minute, tzinfo=ZONE)


#: What happens to the line B1: planned work, a mirror of one way, two short outages that the network management tells of, a long one that traffic tells of.
WORK = (at(8, 2), at(8, 4))
ONE_WAY = (at(12, 10), at(12, 11))
SHORT = ((at(16, 3, 10), at(16, 3, 15)), (at(18, 14, 20), at(18, 14, 25)))
LONG = (at(23, 9, 30), at(23, 10, 55))
SILENT = (at(21, 20), at(21, 20, 20))
BLIND = (at(14, 4), at(14, 4, 30))
TEST = (at(10, 10), at(10, 10, 6))          # the installer's, of the line that is ordered


def events(operator: Operator) -> list[Event]:
    """All that happens, by the services that there are."""
    def of(*names: str) -> frozenset[str]:
        return frozenset(operator.ids[name] for name in names if name in operator.ids)

    told = [Event("silent", of("B1"), *WORK), Event("one_sided", of("B1"), *ONE_WAY), *(Event("dead", of("B1"), *span) for span in SHORT),
            Event("dead", of("B1"), *LONG), Event("silent", of(*HOMES), *SILENT),
            Event("full", of(ORDERED.name), *TEST, rate=ORDERED.mbps * 1_000_000)]
    return [one for one in told if one.services]


def store(operator: Operator, days: int = 35, told: Any = print, minutes: int = packets.MINUTES) -> None:
    """Fill the store: generated days, usage of them, the replayed day with its own. Trouble where something does not come out."""
    begun = time.monotonic()
    made = Month(PACKETS - timedelta(days=days), PACKETS, operator.lines(), events(operator),
                 [Blind(PROBES[WEST], *BLIND, permille=50)])
    opened = open_store(operator.settings.store)
    try:
        rows = month.fill(opened, made)
        told(f"{rows:,} rows of flows of {len(made.lines)} services and {days} days generated and stored in {time.monotonic() - begun:.0f} s.")
        begun = time.monotonic()
        done = Job(opened).run()
        told(f"Usage of {done.tables['usage_1m'].written:,} minutes closed ({done.tables['usage_1m'].rows:,} rows) in {time.monotonic() - begun:.0f} s.")
        if done.total("unsettled") or done.total("refused"):
            raise Trouble(f"usage is not whole: {done.total('unsettled')} slots unsettled, {done.total('refused')} refused")
    finally:
        opened.close()
    replay(operator, told, minutes)


def replay(operator: Operator, told: Any = print, minutes: int = packets.MINUTES) -> None:
    """The day of packets, through the program that people use."""
    begun = time.monotonic()
    file = operator.folder / "day.pcap"
    hit = [packets.Attack(one.address, ATTACK, 30) for one in operator.sold if one.name == "A2"] if minutes == packets.MINUTES else []
    count = packets.write(file, PACKETS, operator.lines(), hit, minutes=minutes)
    command = [*FULLSPAN, "replay", str(file), "--store", operator.settings.store, "--bindings", operator.settings.bindings,
               "--local-networks", "198.18.0.0/15"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Trouble(f"the replay of {file.name} failed: {done.stderr[-500:]}")
    told(f"{count:,} packets of {PACKETS:%Y-%m-%d} replayed in {time.monotonic() - begun:.0f} s.")


def prepare(operator: Operator, days: int = 35, ordering: bool = True, told: Any = print, minutes: int = packets.MINUTES) -> selling.Made | None:
    """What is there before anything is measured: the running base, an order, planned work; then the store is filled."""
    operator.bring()
    operator.plant()
    open_store(operator.settings.store).close()         # an empty one: free room is not measured yet, and is what was promised
    made = None
    if ordering:
        operator.at(at(2, 10))
        made = selling.sell(operator, ORDERED)
        operator.more.append(selling.seen(operator, ORDERED, made, TEST[0]))
    store(operator, days, told, minutes)
    return made


def play(operator: Operator, made: selling.Made | None, told: Any = print) -> list[Figure]:
    """The month, in order of time; what is printed of it, each with the id that it is traced by."""
    figures: list[Figure] = []
    assuring.plan(operator, "B1", WORK, at(5, 10))
    if made is not None:
        operator.at(TEST[1] + timedelta(minutes=20))
        selling.accept(operator, made, *TEST)
        figures.append(Figure("N1 accepted", "ordered rate measured, order completed", made.order_id))
    for span in SHORT:
        assuring.link_down(operator, "B1", span)
    if "C1" in operator.ids:
        settling.end(operator, "C1", at(20, 9))
    if len([name for name in HOMES if name in operator.ids]) > FEW:
        parent, children = assuring.silent(operator, HOMES, SILENT)
        figures.append(Figure("silent OLT", f"one ticket with {children} children", parent))
    refused = assuring.outage(operator, "B1", LONG)
    figures.append(Figure("contractor", f"\"restored\" {-refused.gap} s too early, refused: {refused.why}", refused.ticket))
    if "A2" in operator.ids:
        figures.append(Figure("attack", "SYN flood on A2, rate limit approved", assuring.attack(operator, "A2", ATTACK)))
    figures += settling.judge(operator, PERIOD, datetime(2026, 10, 2, 1, tzinfo=ZONE))
    figures += settling.rate(operator, PERIOD, datetime(2026, 10, 6, 2, tzinfo=ZONE))
    figures += settling.bill(operator, PERIOD, datetime(2026, 10, 6, 9, tzinfo=ZONE))
    figures += settling.pay(operator, datetime(2026, 10, 15, 10, tzinfo=ZONE))
    breached = operator.customers[operator.ids["B1"]]
    settling.rate(operator, FOLLOWING, datetime(2026, 11, 3, 2, tzinfo=ZONE))         # a month is billed once its usage is closed
    figures += settling.bill(operator, FOLLOWING, datetime(2026, 11, 3, 9, tzinfo=ZONE), (breached,))
    return figures


def followed(operator: Operator, figures: list[Figure]) -> Followed:
    """Every figure that has a way on, down to flows. Trouble: one does not get there, or comes out otherwise."""
    found = Followed()
    for one in figures:
        if one.id:
            found = found.plus(operator.act("manager", lambda desk, one=one: follow(desk, one.id)))     # type: ignore[misc]
    return found


def tell(operator: Operator, figures: list[Figure], told: Any = print) -> None:
    """The figures, and where to look."""
    width = max(len(one.what) for one in figures)
    for one in figures:
        told(f"  {one.what:{width}}  {one.value}   [trace {one.id}]")
    place = operator.folder.resolve()
    program = f"{Path(sys.executable)} -m dpi.cli.main bss --config {place / 'bss.toml'}"
    told(f"\nFollow a figure: {program} trace ID\nLook at it:      {program} serve\n"
         f"                 http://127.0.0.1:8470/trace/ID as manager, bill, assure, auditor or admin, password {PASSWORD}")


def main() -> int:
    """0 where it came out as it is told above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--small", action="store_true", help="fewer services")
    asked = parser.parse_args()
    operator = Operator(asked.folder, CUTOVER, SMALL if asked.small else ())
    try:
        begun = time.monotonic()
        figures = play(operator, prepare(operator))
        tell(operator, figures)
        print(f"The month took {time.monotonic() - begun:.0f} s.", flush=True)
        found = followed(operator, figures)
        print(f"{len(figures)} figures followed in {found.steps:,} steps: {found.compared:,} numbers are what {found.rows:,} rows of flows add up to.")
    finally:
        operator.office.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
