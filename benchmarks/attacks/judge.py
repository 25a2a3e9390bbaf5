"""python -m benchmarks.attacks.judge DIR [--only NAME]... [--json] [--write]: replay what attacks and quiet days left there; are the alerts those to be told?

A table: was each attack found, how long after its beginning is the first packet that the alert counts, is it named rightly, once, with its customer, and
what else was said; then for each kind how often it was right. In what time people are told only a probe can say: `python -m benchmarks.attacks --live`.
With --write that goes to benchmarks/results/attack-day.json, out of which docs/detection.md has its tables.
Exit 1 where something was missed, told twice or wrongly, or a quiet day has a high alert.
"""
from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.attacks.place import NETWORKS
from benchmarks.measure import commit, machine
from pcaps.make.network import ROOT

RESULT = ROOT / "benchmarks" / "results" / "attack-day.json"
FULLSPAN = [sys.executable, "-m", "dpi.cli.main"]


@dataclass
class Verdict:
    """What the alerts of one attack come to."""

    name: str
    right: list[dict[str, Any]] = field(default_factory=list)
    other: list[dict[str, Any]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: float | None = None
    live: float | None = None

    def line(self) -> str:
        """A row of the table."""
        kinds = ", ".join(f"{kind} x{count}" if count > 1 else kind for kind, count in Counter(one["kind"] for one in self.other).items())
        time = "" if self.seconds is None else f"{self.seconds:.0f}"
        found = self.right[0]["kind"] if self.right else "MISSED"
        live = "" if self.live is None else f"{self.live:.0f}"
        return f"{self.name:22} {found:22} {time:>5} {live:>5} {len(self.right):>5}  {'; '.join(self.wrong):44}  {kinds}".rstrip()


def moment(value: Any) -> float:
    """A time of an alert in seconds since the epoch: a number of microseconds, or text in UTC."""
    if isinstance(value, int | float):
        return value / 1e6 if value > 1e12 else float(value)
    return datetime.fromisoformat(str(value).replace("Z", "+00:00")).replace(tzinfo=UTC).timestamp()


def alerts_of(captures: list[Path], bindings: Path, workers: int = 0, settings: str = "") -> list[dict[str, Any]]:
    """The alerts of a replay, each in its last state; several captures are one that was rotated. settings: a fullspan.toml."""
    with tempfile.TemporaryDirectory() as work:
        told = Path(work) / "fullspan.toml"
        told.write_text(settings)
        out = Path(work) / "alerts.jsonl"
        line = [*FULLSPAN, "replay", *map(str, captures), "--store", "none", "--alerts-out", str(out)]
        line += ["--bindings", str(bindings), "--local-networks", NETWORKS]
        line += ["--joined"] * (len(captures) > 1) + (["--workers", str(workers)] if workers else [])
        done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=False,
                              env={**os.environ, "FULLSPAN_CONFIG": str(told)})
        if done.returncode:
            sys.exit(f"{captures[0].name}: {done.stderr}")
        last: dict[str, dict[str, Any]] = {}
        for row in map(json.loads, out.read_text().splitlines() if out.exists() else []):
            if row["revision"] >= last.get(row["alert_id"], row)["revision"]:
                last[row["alert_id"]] = row
    return list(last.values())


def judged(said: dict[str, Any], alerts: list[dict[str, Any]]) -> Verdict:
    """Hold alerts against what the attack's JSON says."""
    verdict = Verdict(said["name"], live=said.get("seconds"))
    for one in sorted(alerts, key=lambda alert: moment(alert["first_time"])):
        (verdict.right if one["kind"] in said["kinds"] else verdict.other).append(one)
    if not verdict.right:
        return verdict
    first = verdict.right[0]
    verdict.seconds = max(0.0, moment(first["first_time"]) - said["start"])
    verdict.wrong += [f"{count} alerts {kind}" for kind, count in Counter(one["kind"] for one in verdict.right).items() if count > 1]
    if verdict.seconds > said["limit"]:
        verdict.wrong.append(f"later than {said['limit']} s")
    for side in ("source", "target"):
        if said[side] and said[side] not in str(first[side]):
            verdict.wrong.append(f"{side} {first[side] or 'none'}")
    if said["customer"] and first["customer_id"] != said["customer"]:
        verdict.wrong.append(f"customer {first['customer_id'] or 'none'}")
    return verdict


def main() -> int:
    """Judge every capture of the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", action="append", metavar="NAME")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="the verdicts as JSON")
    parser.add_argument("--write", action="store_true", help="keep the result for the docs")
    asked = parser.parse_args()
    minutes = 0.0
    verdicts, bindings = [], asked.folder / "bindings.csv"
    right: Counter[str] = Counter()
    told: Counter[str] = Counter()
    if not asked.json:
        print(f"{'attack':22} {'alert':22} {'s':>5} {'live':>5} {'count':>5}  {'what is wrong with it':44}  what else was said")
    for file in sorted(asked.folder.glob("*.json")):
        if asked.only and file.stem not in asked.only:
            continue
        said = json.loads(file.read_text())
        verdict = judged(said, alerts_of([file.with_suffix(".pcap")], bindings, asked.workers, said["settings"]))
        verdicts.append(verdict)
        right.update(one["kind"] for one in verdict.right)
        told.update(one["kind"] for one in verdict.right + verdict.other)
        if not asked.json:
            print(verdict.line(), flush=True)
    loud: list[dict[str, Any]] = []
    for day in sorted(file.parent for file in asked.folder.glob("*/quiet.json") if not asked.only or file.parent.name in asked.only):
        said = json.loads((day / "quiet.json").read_text())
        alerts = alerts_of(sorted(day.glob("*.pcap")), day / "bindings.csv", asked.workers)
        loud += alerts
        minutes += (said["end"] - said["start"]) / 60
        told.update(one["kind"] for one in alerts)
        if not asked.json:
            print(f"\n{day.name}: {(said['end'] - said['start']) / 60:.0f} minutes, {len(alerts)} alerts")
            for one in alerts:
                print(f"  {one['severity']:8} {one['kind']:22} {one['source']} -> {one['target']}  {one['summary']}")
    if asked.write:
        RESULT.write_text(json.dumps({
            "date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit(), "machine": machine(),
            "attacks": {one.name: {"told": one.right[0]["kind"] if one.right else "", "live_seconds": one.live, "alerts": len(one.right), "wrong": one.wrong,
                                   "others": sorted({other["kind"] for other in one.other})} for one in verdicts},
            "kinds": {kind: {"right": sum(alert["kind"] == kind for one in verdicts for alert in one.right),
                             "of": sum(alert["kind"] == kind for one in verdicts for alert in (*one.right, *one.other)),
                             "quiet": sum(alert["kind"] == kind for alert in loud)} for kind in sorted(told)},
            "quiet_minutes": round(minutes)}, indent=1, ensure_ascii=False) + "\n")
    if asked.json:
        print(json.dumps({"attacks": [vars(one) for one in verdicts], "quiet": loud}, indent=1))
    else:
        print("\nright of all alerts, by kind: " + ", ".join(f"{kind} {right[kind]}/{count}" for kind, count in sorted(told.items())))
        found = [one for one in verdicts if one.right]
        print(f"found {len(found)} of {len(verdicts)}; without fault {sum(not one.wrong for one in found)}")
    return int(any(not one.right or one.wrong for one in verdicts) or any(one["severity"] in ("high", "critical") for one in loud))


if __name__ == "__main__":
    sys.exit(main())
