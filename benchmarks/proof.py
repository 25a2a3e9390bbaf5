"""python -m benchmarks.proof: what takes longer than the suite may; raw output to benchmarks/results/proof-*.txt.

Hostile bytes at full count (a million mutated frames in each pass, every parser, whole captures mutated in order).
"""
from __future__ import annotations

import datetime
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measure import commit, machine

ROOT = Path(__file__).resolve().parents[1]
PROOFS = (
    ("frames", ["-m", "tests.hostile.frames", "--count", "1000000"]),
    ("parsers", ["-m", "tests.hostile.parsers", "--count", "100000"]),
    ("captures", ["-m", "tests.hostile.replays", "--count", "200000"]),
)


def main() -> None:
    """Run the proofs named on the command line, or all."""
    failed = False
    for name, command in PROOFS:
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        began = time.perf_counter()
        done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
        head = (f"date {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, commit {commit()}\n{machine()}\ncommand: python {' '.join(command)}\n"
                f"exit {done.returncode} after {time.perf_counter() - began:.0f} s\n\n")
        target = ROOT / "benchmarks" / "results" / f"proof-{name}.txt"
        target.write_text(head + done.stdout + done.stderr)
        print(head + done.stdout[-2000:] + done.stderr[-2000:])
        failed = failed or done.returncode != 0
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
