"""python -m benchmarks.business_month [--folder DIR]: `make demo-business` with its time, and every figure that it prints followed to flows.

Exit 1 where it takes ten minutes or more, a step says that something is not as it should be, or a number is not what its flows add up to.
"""
from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from pcaps.make import business
from pcaps.make.sample import Operator

LIMIT = 600             # s


def main() -> int:
    """Make it, follow it, say how long both took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the office stays; else it goes")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fullspan-month-") as place:
        operator = Operator(asked.folder or Path(place) / "office", business.CUTOVER)
        try:
            begun, spent = time.monotonic(), time.process_time()
            figures = business.play(operator, business.prepare(operator))
            took, spent = time.monotonic() - begun, time.process_time() - spent
            for one in figures:
                print(f"  {one.what:32} {one.value}")
            print(f"\nthe month: {took:.0f} s, {spent:.0f} s of CPU in this process, on {len(os.sched_getaffinity(0))} cores", flush=True)
            begun = time.monotonic()
            found = business.followed(operator, figures)
            print(f"{len(figures)} figures followed in {time.monotonic() - begun:.0f} s: {found.steps:,} steps, {found.compared:,} numbers are what "
                  f"{found.rows:,} rows of flows add up to")
        finally:
            operator.office.close()
    return int(took >= LIMIT)


if __name__ == "__main__":
    sys.exit(main())
