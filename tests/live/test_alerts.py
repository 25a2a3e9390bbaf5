"""A probe's own health, end to end: a real interface goes down and a file of rules is broken; Prometheus and Alertmanager raise it, post it, and resolve
it once it is mended. All of them run where the probe does. With the rules and routes of deploy/, their minutes made seconds."""
from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.live.wire import NEAR, Wire, send, wire
from tests.watch.processes import free_port, running, until
from tests.watch.test_alerts import configured

HOOK = """
import http.server, json, sys
class Posted(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        posted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open(sys.argv[2], "a") as out:
            for one in posted["alerts"]:
                out.write(json.dumps([self.path.rsplit("/", 1)[1], one["labels"]["alertname"], one["status"], one["annotations"]["summary"]]) + "\\n")
        self.send_response(200)
        self.end_headers()
    def log_message(self, *given):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Posted).serve_forever()
"""
READ = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())"
RULE = '[[application]]\nname = "Ours"\ncategory = "web"\nnames = ["ours.example"]\n'


def read(one: Wire, port: int, path: str) -> str:
    """A page of a program at the near end; '' where it does not answer."""
    said = one.run(one.near, [sys.executable, "-c", READ, f"http://127.0.0.1:{port}{path}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return said.communicate(timeout=20)[0].decode().strip()


def asked(one: Wire, port: int, expression: str) -> list[dict[str, Any]]:
    """The answer of Prometheus."""
    found: list[dict[str, Any]] = json.loads(read(one, port, f"/api/v1/query?query={quote(expression)}") or '{"data": {"result": []}}')["data"]["result"]
    return found


@contextlib.contextmanager
def watched(one: Wire, folder: Path) -> Iterator[tuple[Any, int, Path]]:
    """A probe on the near end, with Prometheus, Alertmanager and a web hook around it: the probe, Prometheus's port, and what was posted."""
    port, web, alerts, hook = (free_port() for _ in range(4))
    posted = folder / "posted"
    configured(folder, port, alerts, hook)
    (folder / "rules").mkdir()
    (folder / "rules" / "ours.toml").write_text(RULE)
    (folder / "fullspan.toml").write_text(f'[rules]\ndirectory = "{folder}/rules"\n')
    inside = ("nsenter", f"--net=/run/netns/{one.near}")
    with contextlib.ExitStack() as stack:
        def start(*command: str) -> Any:
            return stack.enter_context(running(*inside, *command, log=folder / "log", environment={"FULLSPAN_CONFIG": str(folder / "fullspan.toml")}))
        start(sys.executable, "-c", HOOK, str(hook), str(posted))
        start("prometheus-alertmanager", f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/alerts",
              f"--web.listen-address=127.0.0.1:{alerts}", "--cluster.listen-address=")
        start("prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/series", f"--web.listen-address=127.0.0.1:{web}")
        probe = start(sys.executable, "-m", "dpi.cli.main", "probe", "-i", NEAR, "--store", f"chdb://{folder}/store", "--listen", f"127.0.0.1:{port}")
        until(lambda: read(one, web, "/-/ready") and read(one, alerts, "/-/ready") and asked(one, web, "fullspan_ready == 1"), 60, "all of them ready")
        yield probe, web, posted


def test_trouble_of_a_real_probe_is_raised_and_resolved(tmp_path: Path) -> None:
    with wire() as one, watched(one, tmp_path) as (probe, web, posted):
        def told(*wanted: str) -> str:
            """The summary of an alert that was posted so."""
            lines = [json.loads(line) for line in posted.read_text().splitlines()] if posted.exists() else []
            return next((line[3] for line in lines if tuple(line[:3]) == wanted), "")
        send(one, 2_000, 50, each=200)
        until(lambda: asked(one, web, "sum(fullspan_packets_total) >= 2000"), 15, "packets seen")
        assert asked(one, web, 'ALERTS{alertname!="FullspanNoProbes"}') == []

        subprocess.run(["ip", "-n", one.near, "link", "set", NEAR, "down"], check=True)
        assert "reads no interface" in until(lambda: told("on-call", "FullspanNotReading", "firing"), 30, "interface down, raised")
        subprocess.run(["ip", "-n", one.near, "link", "set", NEAR, "up"], check=True)
        until(lambda: told("on-call", "FullspanNotReading", "resolved"), 30, "interface up, resolved")
        send(one, 1_000, 50, each=200)
        until(lambda: asked(one, web, "sum(fullspan_packets_total) >= 3000"), 15, "packets after it was up again")

        (tmp_path / "rules" / "ours.toml").write_text(RULE + "nonsense = 1\n")
        probe.send_signal(signal.SIGHUP)
        until(lambda: told("operators", "FullspanReloadFailed", "firing"), 30, "broken rules, raised")
        (tmp_path / "rules" / "ours.toml").write_text(RULE)
        probe.send_signal(signal.SIGHUP)
        until(lambda: told("operators", "FullspanReloadFailed", "resolved"), 30, "mended rules, resolved")
