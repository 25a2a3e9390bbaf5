"""A real Alertmanager: shows an alert while it is raised, for as long as it is said again, and tells its own receivers when it is resolved."""
from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dpi.sinks.alerts import alertmanager
from dpi.sinks.alerts.alertmanager import told
from dpi.sinks.announcer import Announcer
from dpi.sinks.courier import Pace
from tests.sinks.alerts.servers import alert, receiver
from tests.watch.processes import free_port, running, until
from tests.watch.test_alerts import Hook, hook, is_up

SETTINGS = """
global: {{resolve_timeout: 3s}}
route: {{receiver: desk, group_by: [alert_id], group_wait: 100ms, group_interval: 1s, repeat_interval: 1h}}
receivers: [{{name: desk, webhook_configs: [{{url: 'http://127.0.0.1:{port}/desk', send_resolved: true}}]}}]
"""


@contextmanager
def manager(folder: Path) -> Iterator[tuple[int, Hook]]:
    """A running one, and what it posts when an alert begins and ends."""
    port = free_port()
    with hook() as posts:
        (folder / "alertmanager.yml").write_text(SETTINGS.format(port=posts.server_address[1]))
        with running("prometheus-alertmanager", f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/data",
                     f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", log=folder / "alertmanager.log"):
            until(lambda: is_up(port), 15, "Alertmanager ready")
            yield port, posts


def shown(port: int) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/alerts", timeout=5) as answer:
        found: list[dict[str, Any]] = json.load(answer)
        return found


def test_raised_said_again_and_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alertmanager, "EVERY", 1.0)
    now = time.time_ns() // 1000
    with manager(tmp_path) as (port, posts):
        one = Announcer([receiver(type="alertmanager", url=f"http://127.0.0.1:{port}", timeout=5)], tmp_path / "spool", Pace(0.1, 0.5))
        one.start()
        began = now - 60_000_000
        one(alert(first_time=began, last_time=now))
        first = until(lambda: shown(port), 10, "raised")[0]
        assert first["labels"] == {"alertname": "syn_flood", "alert_id": "a1b2c3d4e5f60718", "severity": "high", "probe": "probe-1", "customer_id": "C-88",
                                   "service_id": "S-17", "technique": "T1498.001"}
        assert first["annotations"]["target"] == "203.0.113.0/24" and first["annotations"]["summary_zh"].startswith("203.0.113.0/24 遭受")
        assert first["startsAt"].startswith(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(began // 1_000_000)))
        until(lambda: posts.got.get(("desk", "syn_flood", "firing")), 10, "its receiver told")

        time.sleep(5)           # longer than its resolve_timeout: only what is said again is still there
        assert shown(port) and ("desk", "syn_flood", "resolved") not in posts.got
        one(alert(first_time=began, last_time=now, state="cleared", revision=2))
        until(lambda: not shown(port), 10, "no longer shown")
        assert until(lambda: posts.got.get(("desk", "syn_flood", "resolved")), 10, "resolved")["labels"]["alert_id"] == "a1b2c3d4e5f60718"
        assert one.settled(5)
        one.close()

        other = Announcer([receiver(type="alertmanager", url=f"http://127.0.0.1:{port}/", timeout=5)], tmp_path / "spool", Pace(0.1, 0.5))
        other.start()
        other(alert(alert_id="b2", kind="port_scan", first_time=now, last_time=now, technique="", customer_id=""))
        until(lambda: shown(port), 10, "another")
        other.close()           # a probe that is gone says nothing again: resolved by Alertmanager's own timeout
        until(lambda: posts.got.get(("desk", "port_scan", "resolved")), 15, "resolved by itself")


def test_an_old_capture_s_alert_and_one_of_a_clock_that_is_ahead_are_taken(tmp_path: Path) -> None:
    now = time.time_ns() // 1000
    with manager(tmp_path) as (port, _posts):
        one = Announcer([receiver(type="alertmanager", url=f"http://127.0.0.1:{port}", timeout=5)], tmp_path / "spool", Pace(0.1, 0.5))
        one.start()
        for number, (first, last) in enumerate(((1, 2), (now + 10**9, now + 2 * 10**9), (-5, 2**62), (0, 0))):
            one(alert(alert_id=str(number), first_time=first, last_time=last))
            one(alert(alert_id=str(number), first_time=first, last_time=last, state="cleared", revision=2))
        assert one.settled(10)
        assert (one.health()[0].sent, one.health()[0].refused) == (8, 0)
        one.close()


def test_an_end_is_never_before_its_beginning_nor_in_the_future() -> None:
    for first, last in ((5, 3), (50, 60), (0, 0), (200, 300)):
        found = told(alert(first_time=first, last_time=last, state="cleared"), 100)
        assert "1970-01-01T00:00:00.000001Z" <= found["startsAt"] <= found["endsAt"] <= "1970-01-01T00:00:00.000100Z"
    assert "endsAt" not in told(alert(), 100)
