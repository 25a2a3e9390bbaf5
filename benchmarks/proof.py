"""python -m benchmarks.proof [NAME...] [--captures DIR]: what takes longer than the suite may; raw output to benchmarks/results/proof-*.txt.

Hostile bytes at full count (a million mutated frames in each pass, every parser, whole captures mutated in order), and every packet and byte
of pcaps/ and of DIR accounted for next to tshark (make proof CAPTURES=DIR). The whole probe through outages of its store, its disk and itself, its
unit under a systemd of its own; real attacks beside a probe, two hours of quiet, and the alerts of a replay of both (attack-captures/); floods
replayed and on a wire; a soak of half an hour (--minutes) with rules read anew under load: these need root, for namespaces. Usage of an hour, computed
by processes that are killed twenty times. A month of 100 million flows (--rows), and what each panel of the dashboards takes to answer over it. A web
hook that fails three calls of ten and is then away for ten minutes. What the business layer writes, on both its databases, killed a hundred times. A
hundred thousand customers on PostgreSQL, 500 requests a second for them, and their month end, killed ten times. A month of a sample operator, each figure
of which is followed to flows.
"""
from __future__ import annotations

import argparse
import datetime
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measure import commit, machine

ROOT = Path(__file__).resolve().parents[1]
PROOFS = (
    ("frames", ["-m", "tests.hostile.frames", "--count", "1000000"]),
    ("parsers", ["-m", "tests.hostile.parsers", "--count", "20000"]),
    ("captures", ["-m", "tests.hostile.replays", "--count", "200000"]),
    ("exactness", ["-m", "benchmarks.exactness", "pcaps"]),
    ("outages", ["-m", "benchmarks.outages"]),
    ("service", ["-m", "benchmarks.service"]),
    ("flood", ["-m", "benchmarks.flood"]),
    ("bindings", ["-m", "benchmarks.bindings"]),
    ("business-kills", ["-m", "benchmarks.bss_kills", "--kills", "100"]),
    ("business-month", ["-m", "benchmarks.business_month"]),
    ("usage", ["-m", "tests.usage.killed", "--kills", "20", "--flows", "200000"]),
    ("webhooks", ["-m", "tests.sinks.alerts.outage", "--minutes", "10"]),
    ("soak", ["-m", "benchmarks.soak"]),
    ("business", ["-m", "benchmarks.business"]),
    ("rating", ["-m", "benchmarks.bss_rating"]),
    ("billing", ["-m", "benchmarks.bss_billing"]),
    ("scale", ["-m", "benchmarks.scale"]),
    ("attacks", ["-m", "benchmarks.attacks", "--live"]),
    ("quiet", ["-m", "benchmarks.quiet", "--minutes", "120"]),
    ("alerts", ["-m", "benchmarks.attacks.judge", "attack-captures", "--write"]),
)


def main() -> None:
    """Run the proofs named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *(name for name, _ in PROOFS)], metavar="NAME")
    parser.add_argument("--captures", metavar="DIR", help="more captures for the proof of exactness")
    parser.add_argument("--minutes", metavar="N", type=int, help="of the soak, where not 30")
    parser.add_argument("--rows", metavar="N", type=int, help="flows of the month, where not 100 million")
    parser.add_argument("--store", metavar="DIR", help="where the month of `scale` is kept; one that is there is asked as it is")
    asked = parser.parse_args()
    failed = False
    for name, command in PROOFS:
        if asked.names and name not in asked.names:
            continue
        said = " ".join(command)
        if name == "exactness" and asked.captures:
            command = [*command, str(Path(asked.captures).resolve())]
            said += f" {Path(asked.captures).name}"         # where it lies is this machine's business
        if name == "soak" and asked.minutes:
            command = [*command, "--minutes", str(asked.minutes)]
            said = " ".join(command)
        if name == "scale" and asked.rows:
            command = [*command, "--rows", str(asked.rows)]
            said = " ".join(command)
        if name == "scale" and asked.store:
            command = [*command, "--store", str(Path(asked.store).resolve())]
            said += f" --store {Path(asked.store).name}"
        began = time.perf_counter()
        done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
        head = (f"date {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, commit {commit()}\n{machine()}\ncommand: python {said}\n"
                f"exit {done.returncode} after {time.perf_counter() - began:.0f} s\n\n")
        target = ROOT / "benchmarks" / "results" / f"proof-{name}.txt"
        target.write_text(head + done.stdout + done.stderr)
        print(head + done.stdout[-2000:] + done.stderr[-2000:])
        failed = failed or done.returncode != 0
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
