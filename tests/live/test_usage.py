"""A probe computes usage of its minutes by itself, the last ones when it ends; and `fullspan usage` reads and computes it anew."""
from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.live.probe import Run
from tests.live.wire import Wire, send


def said(cable: Wire, *words: str) -> tuple[int, str]:
    """What `fullspan usage` says at the probe's end of the cable."""
    done = cable.run(cable.near, [sys.executable, "-m", "dpi.cli.main", "usage", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    out, _ = done.communicate(timeout=60)
    return done.returncode, out


def test_every_minute_that_was_told_is_computed(cable: Wire, tmp_path: Path) -> None:
    probe = Run(cable, tmp_path, "--workers", "2")
    send(cable, 5_000, 50, each=200)
    span, url = ("2020-01-01", "2100-01-01"), ("--store", f"chdb://{tmp_path}/store")
    beside = [said(cable, *words, *span, *url) for words in (("show",), ("recompute", "--dry-run", "--json"), ("recompute",))]
    assert [code for code, _ in beside] == [0, 0, 2] and "a probe owns this store" in beside[2][1] and '"dry_run": true' in beside[1][1]
    probe.end()
    assert probe.ask("SELECT max(workers), uniqExact(worker) FROM coverage") == [(2, 2)]
    minutes = probe.ask("SELECT time, flow_rows, revision FROM usage_slots FINAL WHERE table_name = 'usage_1m' ORDER BY time")
    assert minutes == probe.ask("SELECT toDateTime64(toStartOfMinute(at), 0, 'UTC'), sum(rows), 1 FROM (SELECT time AS at, 0 AS rows FROM coverage UNION ALL "
                                "SELECT interval_start, 1 FROM flows) GROUP BY 1 ORDER BY 1")
    assert sum(rows for _, rows, _ in minutes) >= 50
    code, out = said(cable, "recompute", *span, "--json", *url)
    told = json.loads(out)
    assert code == 0
    assert told["tables"]["usage_1m"]["unchanged"] == len(minutes) and not told["changes"]["usage_1m"] and not told["refused"]
