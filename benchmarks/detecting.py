"""python -m benchmarks.detecting MIX [--pairs 11]: what all detectors cost a replay, whole processes on one core.

Replays with detectors and without ([detect] enabled = 0) take turns, of a pair now one first and now the other. Raw output goes to benchmarks/results/.
"""
from __future__ import annotations

import argparse
import datetime
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import commit, machine, ordinary

ROOT = Path(__file__).resolve().parents[1]
MOST = 15.0             # % that detection may cost


def replayed(capture: str, folder: str, detect: int) -> float:
    """Seconds of a whole replay on one core."""
    environment = ordinary({"PYTHONPATH": str(ROOT), "FULLSPAN_DETECT_ENABLED": str(detect)})
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "dpi.cli.main", "replay", capture, "--store", "none"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   cwd=folder, env=environment, check=True, preexec_fn=lambda: os.sched_setaffinity(0, {max(os.sched_getaffinity(0))}))
    return time.perf_counter() - began


def main() -> None:
    """Exit 1 where it costs more than MOST."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture")
    parser.add_argument("--pairs", type=int, default=11)
    asked = parser.parse_args()
    capture = str(Path(asked.capture).resolve())
    told = [f"date {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, commit {commit()}", machine(),
            f"command: python -m benchmarks.detecting {Path(capture).name} --pairs {asked.pairs}", "", "seconds without and with detectors, cost"]
    pairs: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(asked.pairs + 1):         # the first warms up
            order = (0, 1) if turn % 2 else (1, 0)
            took = {detect: replayed(capture, folder, detect) for detect in order}
            pairs.append((took[0], took[1]))
    costs = [100 * (on / off - 1) for off, on in pairs[1:]]
    told += [f"{off:.3f}  {on:.3f}  {cost:+.1f} %" for (off, on), cost in zip(pairs[1:], costs, strict=True)]
    told.append(f"median {statistics.median(off for off, _ in pairs[1:]):.3f} s and {statistics.median(on for _, on in pairs[1:]):.3f} s; "
                f"of the costs in time {statistics.median(costs):+.1f} % ({min(costs):+.1f} .. {max(costs):+.1f}), "
                f"which is {100 - 10_000 / (100 + statistics.median(costs)):.1f} % of the rate")
    print("\n".join(told))
    (ROOT / "benchmarks" / "results" / f"{datetime.date.today()}-detecting.txt").write_text("\n".join(told) + "\n")
    sys.exit(1 if statistics.median(costs) > MOST else 0)


if __name__ == "__main__":
    main()
