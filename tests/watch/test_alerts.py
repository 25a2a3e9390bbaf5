"""End to end: a probe's figures -> Prometheus -> its rules -> Alertmanager -> a web hook, and back to well. With the rules and routes of deploy/;
only their times are shortened, and addresses set to ports of the test.
"""
from __future__ import annotations

import contextlib
import json
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.watch.processes import ROOT, free_port, probe, running, until, write

DEPLOY = ROOT / "deploy"
WELL: dict[str, Any] = {"rate": 1000, "worker": {"packets": 1, "live": 10}, "store": {"rows": 5}}


class Hook(ThreadingHTTPServer):
    """Listens for what Alertmanager posts: (receiver, alert's name, firing or resolved) -> the alert."""

    def __init__(self) -> None:
        self.got: dict[tuple[str, str, str], dict[str, Any]] = {}
        super().__init__(("127.0.0.1", 0), Posted)


class Posted(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        posted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for alert in posted["alerts"]:
            self.server.got[self.path.rsplit("/", 1)[1], alert["labels"]["alertname"], alert["status"]] = alert
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """pytest shows enough."""


@contextlib.contextmanager
def hook() -> Iterator[Hook]:
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def shortened(text: str) -> str:
    """Minutes as seconds: the same rules, to be seen within a test."""
    text = re.sub(r"\[(?:5|10|30)m\]", "[4s]", text)
    text = re.sub(r"\bfor: \w+", "for: 1s", text)
    return re.sub(r"\b(group_wait|group_interval): \w+", r"\1: 1s", text)


def configured(folder: Path, target: int, alertmanager: int, posts: int) -> None:
    prometheus = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    for name, at in (("127.0.0.1:9470", target), ("127.0.0.1:9093", alertmanager)):
        assert prometheus.count(name) == 1
        prometheus = prometheus.replace(name, f"127.0.0.1:{at}")
    prometheus = re.sub(r"_interval: 15s", "_interval: 1s", prometheus).replace("scrape_timeout: 5s", "scrape_timeout: 1s")
    (folder / "prometheus.yml").write_text(prometheus)
    (folder / "fullspan.rules.yml").write_text(shortened((DEPLOY / "prometheus" / "fullspan.rules.yml").read_text()))
    routes = shortened((DEPLOY / "alertmanager" / "alertmanager.yml").read_text())
    assert routes.count("127.0.0.1:9480") == 3
    (folder / "alertmanager.yml").write_text(routes.replace("127.0.0.1:9480", f"127.0.0.1:{posts}"))


def asked(port: int, expression: str) -> list[dict[str, Any]]:
    """The answer of Prometheus."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?query={quote(expression)}", timeout=5) as answer:
        found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found


def is_up(port: int) -> bool:
    try:
        return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=2).status == 200)
    except OSError:
        return False


def test_trouble_is_raised_posted_and_resolved(tmp_path: Path) -> None:
    figures, began = tmp_path / "figures", time.time()
    port, web, alerts = free_port(), free_port(), free_port()
    write(figures, {**WELL, "from": began})
    with contextlib.ExitStack() as stack:
        posts = stack.enter_context(hook())
        configured(tmp_path, port, alerts, posts.server_address[1])
        stack.enter_context(running("prometheus-alertmanager", f"--config.file={tmp_path}/alertmanager.yml", f"--storage.path={tmp_path}/alerts",
                                    f"--web.listen-address=127.0.0.1:{alerts}", "--cluster.listen-address=", log=tmp_path / "alertmanager.log"))
        stack.enter_context(running("prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/series",
                                    f"--web.listen-address=127.0.0.1:{web}", log=tmp_path / "prometheus.log"))
        made_up = stack.enter_context(contextlib.ExitStack())
        made_up.enter_context(probe(figures, tmp_path / "probe.log", port))
        until(lambda: is_up(web) and is_up(alerts), 15, "Prometheus and Alertmanager ready")
        until(lambda: asked(web, "instance_interface:fullspan_packets:rate5m > 500"), 10, "a rate of packets")
        assert asked(web, "ALERTS") == []           # well: nothing is raised; before the first scrape there was no probe
        assert {name for _, name, _ in posts.got} <= {"FullspanNoProbes"}

        # the store goes, the kernel drops a tenth of the packets, a reload is refused
        write(figures, {**WELL, "from": began, "lost_rates": {"kernel": 100}, "reload_failed": "rules/x.toml: no", "store": {"away": "refused", "rows": 5}})
        for receiver, name in (("on-call", "FullspanStoreAway"), ("on-call", "FullspanLosingMuch"), ("operators", "FullspanReloadFailed")):
            alert = until(lambda wanted=(receiver, name, "firing"): posts.got.get(wanted), 15, name)    # type: ignore[misc]
            assert alert["labels"]["instance"] == f"127.0.0.1:{port}" and f"127.0.0.1:{port}" in alert["annotations"]["summary"]
            assert alert["annotations"]["mend"]
        assert asked(web, 'ALERTS{alertname="FullspanLostInKernel"}')         # raised too, but the greater one tells it
        assert ("operators", "FullspanLostInKernel", "firing") not in posts.got
        lost = int(100 * (time.time() - began))

        # all is well again but for the probe's packets, which end
        write(figures, {"worker": {"packets": int(1000 * (time.time() - began)), "lost": {}}, "store": {"rows": 6}})
        for receiver, name in (("on-call", "FullspanStoreAway"), ("on-call", "FullspanLosingMuch"), ("operators", "FullspanReloadFailed")):
            assert until(lambda wanted=(receiver, name, "resolved"): posts.got.get(wanted), 20, f"{name} resolved")      # type: ignore[misc]
        until(lambda: posts.got.get(("on-call", "FullspanNoPackets", "firing")), 15, "no packets")
        counted = asked(web, 'fullspan_lost_total{where="kernel"}')
        assert 0 < float(counted[0]["value"][1]) <= lost            # the made-up figure fell to 0: the counter did not go back

        made_up.close()         # the process ends
        down = until(lambda: posts.got.get(("on-call", "FullspanProbeDown", "firing")), 15, "probe down")
        assert down["annotations"]["summary"] == f"Probe 127.0.0.1:{port} does not answer"
        write(figures, {**WELL, "from": began})
        stack.enter_context(probe(figures, tmp_path / "probe.log", port))
        assert until(lambda: posts.got.get(("on-call", "FullspanProbeDown", "resolved")), 15, "probe down resolved")
