"""python -m benchmarks.bss_sla [--services 1000] [--days 30]: how long the minutes of a month take to be judged, as JSON.

Made-up minutes of services that carry something in most of them, are silent in some and are tried in vain in a few; judged, with baselines of four weeks and
degraded minutes, window by window as bss/sla/measure.py does. The store is not asked here. CPU seconds of one process.
"""
from __future__ import annotations

import argparse
import json
import platform
import time
from typing import Any

import numpy as np

from bss.sla import slots
from bss.sla.degraded import Carried, degraded
from bss.sla.measure import LONGEST, ROWS

HOUR = 60


def made(rows: int, columns: int, chance: np.random.Generator) -> tuple[slots.Block, dict[str, Any]]:
    """Minutes of some services."""
    def whole(value: Any, kind: Any = np.int64) -> Any:
        return np.full((rows, columns), value, kind)
    octets = chance.integers(1, 10_000_000, (rows, columns))
    octets[chance.random((rows, columns)) < 0.02] = 0
    for row in range(rows):
        begin = int(chance.integers(columns))
        octets[row, begin:begin + 30] = 0
    carries = octets > 0
    tried, answered = (chance.integers(0, 40, (rows, columns)).astype(np.uint32) for _ in range(2))
    block = slots.Block(0, whole(True, bool), whole(0, np.uint8), chance.random((rows, columns)) < 0.0002, chance.random((rows, columns)) > 0.001,
                        whole(False, bool), octets, octets // 4, octets // 1000, octets // 2000, whole(0, np.uint32), whole(0, np.uint32),
                        whole(5, np.uint32), tried, answered, whole(6, np.uint32), np.where(carries, 3, 0).astype(np.uint8))
    return block, {"tcp": (octets // 700).astype(np.uint32), "rtt": chance.integers(1000, 9000, (rows, columns))}


def main() -> None:
    """See above."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--services", type=int, default=1000)
    given.add_argument("--days", type=int, default=30)
    asked = given.parse_args()
    chance = np.random.default_rng(7)
    spent = dict.fromkeys(("baselines", "rules", "degraded"), 0.0)
    down = 0
    for begin in range(0, asked.days * 24, LONGEST):
        hours = min(LONGEST, asked.days * 24 - begin) + 1
        size = max(1, ROWS // (hours * HOUR))
        for first in range(0, asked.services, size):
            rows = min(size, asked.services - first)
            block, more = made(rows, hours * HOUR, chance)
            past = chance.integers(0, 10_000_000, (rows, slots.WEEKS, hours * HOUR))
            measured = chance.random(past.shape) > 0.001
            start = time.process_time()
            usual, total = slots.baselines(past // 2, measured), slots.baselines(past, measured)
            spent["baselines"] += time.process_time() - start
            start = time.process_time()
            judged = slots.judge(block, usual, total)
            spent["rules"] += time.process_time() - start
            start = time.process_time()
            rates = np.full(rows, 2_000_000, np.int64)
            degraded(judged.state == slots.UP, Carried(block.down_bytes, block.up_bytes, more["tcp"], block.up_again, more["rtt"]), rates, rates,
                     np.full(rows, 90, np.int64), np.full(block.active.shape, 4000))
            spent["degraded"] += time.process_time() - start
            down += int((judged.state == slots.DOWN).sum())
    whole = sum(spent.values())
    print(json.dumps({"services": asked.services, "days": asked.days, "minutes": asked.services * asked.days * 1440, "cpu_seconds": round(whole, 2),
                      **{f"{name}_seconds": round(value, 2) for name, value in spent.items()},
                      "seconds_per_1000_services_and_30_days": round(whole * 1000 / asked.services * 30 / asked.days, 2),
                      "minutes_per_second": round(asked.services * asked.days * 1440 / whole), "down_minutes": down, "numpy": np.__version__,
                      "machine": platform.machine()}, indent=1))


if __name__ == "__main__":
    main()
