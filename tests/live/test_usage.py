"""A probe computes usage of its minutes by itself, the last ones when it ends; and `fullspan usage` reads and computes it anew."""
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.live.probe import Run
from tests.live.wire import Wire, send


def test_every_minute_that_was_told_is_computed(cable: Wire, tmp_path: Path) -> None:
    probe = Run(cable, tmp_path, "--workers", "2")
    send(cable, 5_000, 50, each=200)
    probe.end()
    assert probe.ask("SELECT max(workers), uniqExact(worker) FROM coverage") == [(2, 2)]
    minutes = probe.ask("SELECT time, flow_rows, revision FROM usage_slots FINAL WHERE table_name = 'usage_1m' ORDER BY time")
    assert minutes == probe.ask("SELECT toDateTime64(toStartOfMinute(at), 0, 'UTC'), sum(rows), 1 FROM (SELECT time AS at, 0 AS rows FROM coverage UNION ALL "
                                "SELECT interval_start, 1 FROM flows) GROUP BY 1 ORDER BY 1")
    assert sum(rows for _, rows, _ in minutes) >= 50
    say = [sys.executable, "-m", "dpi.cli.main", "usage", "recompute", str(minutes[0][0]) + "Z", "2100-01-01", "--json", "--store", f"chdb://{tmp_path}/store"]
    done = subprocess.run(say, capture_output=True, text=True, check=True, timeout=60)
    told = json.loads(done.stdout)
    assert told["tables"]["usage_1m"]["unchanged"] == len(minutes) and not told["changes"]["usage_1m"] and not told["refused"]
