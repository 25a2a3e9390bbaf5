"""python -m benchmarks.stamping MIX [--pairs 11]: what stamping rows by a hundred thousand bindings costs a replay, on one core.

Replays with and without bindings take turns. The rate is that of the replay itself, from the first packet read to the last row handed over; reading the
bindings comes before. Without detectors it is stamping alone that is paid for; with them also that they then watch each service that is heard of and keep
whose the rows of what fires are. Prefixes cover 10.0.0.0/12, where the clients of benchmarks/workload.py are. Raw output goes to benchmarks/results/.
"""
from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import commit, machine, ordinary

ROOT = Path(__file__).resolve().parents[1]
HEADER = "service_id,customer_id,prefix,vlan,mac,valid_from,valid_to,probe"
LINES = 100_000
MOST = 5.0              # % of the rate that stamping may cost


def lines(count: int = LINES, turn: int = 0) -> list[str]:
    """So many lines: networks of four addresses, larger ones around them, IPv6, MAC addresses, VLANs. turn: others each time, in a hundredth of them."""
    made = []
    for k in range(count):
        service = f"SVC{k:07d}{f'-{turn}' if turn and k % 100 == 0 else ''},C{k // 3:06d}"
        if k % 100 == 97:
            made.append(f"{service},10.{128 + k // 25_600}.{k // 100 % 256}.0/24,,,2026-01-01T00:00:00Z,,")
        elif k % 100 == 98:
            made.append(f"{service},2001:db8:{k >> 8:x}:{(k & 255) << 8:x}::/56,,,,,probe-{k % 7}")
        elif k % 100 == 99:
            made.append(f"{service},,,02:00:00:{k >> 16:02x}:{k >> 8 & 255:02x}:{k & 255:02x},,,")
        else:
            made.append(f"{service},10.{k >> 14}.{k >> 6 & 255}.{(k & 63) << 2}/30,,,,,probe-{k % 7}")
    return made


def write(file: Path, turn: int = 0) -> None:
    """A file of LINES, as a whole in the place of the former."""
    fresh = file.with_suffix(".new")
    fresh.write_text("\n".join((HEADER, *lines(turn=turn))) + "\n")
    fresh.chmod(0o600)
    fresh.replace(file)


def replayed(capture: str, folder: str, options: list[str], detect: int = 1) -> float:
    """Seconds of a replay on one core, without what comes before it."""
    command = [sys.executable, "-m", "dpi.cli.main", "replay", capture, "--json", *options]
    environment = ordinary({"PYTHONPATH": str(ROOT), "FULLSPAN_DETECT_ENABLED": str(detect)})
    done = subprocess.run(command, capture_output=True, cwd=folder, env=environment, check=True,
                          preexec_fn=lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}))
    return float(json.loads(done.stdout)["seconds_taken"])


def main() -> None:
    """Exit 1 where it costs more than MOST."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture")
    parser.add_argument("--pairs", type=int, default=11)
    asked = parser.parse_args()
    capture, dear = str(Path(asked.capture).resolve()), False
    told = [f"date {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, commit {commit()}", machine(),
            f"command: python -m benchmarks.stamping {Path(capture).name} --pairs {asked.pairs}; {LINES:,} bindings"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bindings.csv"
        write(file)
        with_them = ["--bindings", str(file), "--local-networks", "10.0.0.0/8"]
        for name, detect, store in (("--store none, stamping alone", 0, lambda: "none"), ("--store none, with detectors", 1, lambda: "none"),
                                    ("an embedded store, with detectors", 1, lambda: f"chdb://{folder}/{time.time_ns()}")):
            pairs = [(replayed(capture, folder, ["--store", store()], detect), replayed(capture, folder, ["--store", store(), *with_them], detect))
                     for _ in range(asked.pairs + 1)][1:]
            costs = [100 * (stamped / plain - 1) for plain, stamped in pairs]
            told += ["", f"== {name}: seconds without and with bindings, cost", *(f"{plain:.3f}  {stamped:.3f}  {cost:+.1f} %"
                                                                                 for (plain, stamped), cost in zip(pairs, costs, strict=True)),
                     f"median {statistics.median(one for one, _ in pairs):.3f} s and {statistics.median(one for _, one in pairs):.3f} s; "
                     f"of the costs in time {statistics.median(costs):+.1f} % ({min(costs):+.1f} .. {max(costs):+.1f}), "
                     f"which is {(lost := 100 - 10_000 / (100 + statistics.median(costs))):.1f} % of the rate"]
            dear = dear or (not detect and lost > MOST)
    print("\n".join(told))
    (ROOT / "benchmarks" / "results" / f"{datetime.date.today()}-stamping.txt").write_text("\n".join(told) + "\n")
    sys.exit(1 if dear else 0)


if __name__ == "__main__":
    main()
