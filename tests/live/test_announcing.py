"""A probe on a real interface tells a web hook of a flood, once, whatever happens to it: SIGHUP, kill -9; and metrics of the receiver."""
from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.live.probe import Run
from tests.live.test_alerts import read
from tests.live.wire import Wire, send
from tests.watch.processes import free_port, until

HOOK = """
import http.server, json, sys
class Posted(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        posted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open(sys.argv[2], "a") as out:
            out.write(json.dumps([self.path, posted["id"], posted["data"]["state"], posted["data"]["kind"], posted["data"]["target"]]) + "\\n")
        self.send_response(200)
        self.end_headers()
    def log_message(self, *given):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Posted).serve_forever()
"""


@pytest.mark.compiled
def test_a_flood_is_told_once_across_reloads_and_a_kill(cable: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port, listen, posted = free_port(), free_port(), tmp_path / "posted"
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text("s3cret\n")
    monkeypatch.setenv("FULLSPAN_CONFIG", str(tmp_path / "own.toml"))

    def settle(path: str, more: str = "") -> None:
        (tmp_path / "own.toml").write_text(f'[flow]\nidle_udp = 1\n[detect.udp_flood]\npackets = 20\n{more}[alert.soc]\ntype = "webhook"\n'
                                           f'url = "http://127.0.0.1:{port}{path}"\nsecret_file = "{secret}"\n')

    def told() -> list[list[Any]]:
        return [json.loads(line) for line in posted.read_text().splitlines()] if posted.exists() else []

    def metric(name: str) -> float:
        found = [line for line in read(cable, listen, "/metrics").splitlines() if line.startswith(name)]
        return float(found[0].split()[-1]) if found else -1.0

    settle("/first")
    hook = cable.run(cable.near, [sys.executable, "-c", HOOK, str(port), str(posted)])
    try:
        probe = Run(cable, tmp_path, "--listen", f"127.0.0.1:{listen}")
        send(cable, 2000, 4, each=50)
        until(lambda: len(told()) == 1, 20, "the alert")
        (path, number, state, kind, target), = told()
        assert (path, state, kind, target) == ("/first", "raised", "udp_flood", "198.51.100.0/24") and number.endswith(".1")
        until(lambda: metric('fullspan_alerts_told_total{receiver="soc",result="sent"}') == 1, 5, "the metric")
        assert metric("fullspan_alerts_waiting") == 0 and read(cable, listen, "/readyz") == "ok"
        settle("/second", "severity = 'critical'\n")            # the receiver has another path, the detector another severity
        probe.process.send_signal(signal.SIGHUP)
        assert probe.process.stderr is not None
        line = probe.process.stderr.readline().decode()
        assert "msg=reloaded" in line and "detect.KIND, alert" in line, line
        assert metric("fullspan_alerts_open") == 1 and metric('fullspan_alerts_told_total{receiver="soc",result="sent"}') == 1
        held = json.loads((tmp_path / "store.spool" / "alerts.state").read_text())
        assert [one["alert_id"] for one in held["alerts"]] == [number.partition(".")[0]]
        children = Path(f"/proc/{probe.process.pid}/task/{probe.process.pid}/children").read_text().split()
        for one in (probe.process.pid, *map(int, children)):
            subprocess.run(["kill", "-9", str(one)], check=True)
        probe.process.wait()
        again = Run(cable, tmp_path, "--listen", f"127.0.0.1:{listen}")
        assert metric("fullspan_alerts_open") == 1
        again.end()
        # where a slot ended within the flood, its end is told as well, of the same alert
        assert [one[2] for one in told()] in (["raised"], ["raised", "updated"]) and len({one[1].partition(".")[0] for one in told()}) == 1, told()
        held = json.loads((tmp_path / "store.spool" / "alerts.state").read_text())
        assert [(one["alert_id"], one["state"]) for one in held["alerts"]] == [(number.partition(".")[0], told()[-1][2])]
        assert again.ask("SELECT DISTINCT alert_id FROM alerts") == [(number.partition(".")[0],)]
    finally:
        hook.kill()
        hook.wait()
