"""What is under deploy/, by the tools of those who read it."""
from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.watch.processes import ROOT

DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "fullspan-probe.service"


def passes(*command: str | Path) -> str:
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_prometheus_takes_its_configuration_and_rules() -> None:
    told = passes("promtool", "check", "config", DEPLOY / "prometheus" / "prometheus.yml")
    assert "1 rule files found" in told and "38 rules found" in told
    passes("promtool", "check", "rules", "--lint=all", "--lint-fatal", DEPLOY / "prometheus" / "fullspan.rules.yml")


def test_rules_do_what_their_tests_say() -> None:
    tests = DEPLOY / "prometheus" / "fullspan.test.yml"
    assert "SUCCESS" in passes("promtool", "test", "rules", tests)
    rules, tested = (DEPLOY / "prometheus" / "fullspan.rules.yml").read_text(), tests.read_text()
    alerts = re.findall(r"- alert: (\w+)", rules)
    raised = re.findall(r"alertname: (\w+)\n\s+exp_alerts:\n", tested)
    assert len(alerts) == len(set(alerts)) == 30 and set(raised) == set(alerts)        # each is seen raised
    for block in re.split(r"- alert: ", rules)[1:]:
        assert re.search(r"severity: (critical|warning|info)\b", block), block
        for part in ("summary", "description", "mend"):
            assert re.search(rf'{part}: ".{{20,}}"', block), block


def test_alertmanager_takes_its_routes_and_sends_by_severity() -> None:
    config = DEPLOY / "alertmanager" / "alertmanager.yml"
    assert "SUCCESS" in passes("amtool", "check-config", config)
    for severity, receiver in (("critical", "on-call"), ("warning", "operators"), ("info", "record")):
        told = passes("amtool", "config", "routes", "test", f"--config.file={config}", f"severity={severity}", "alertname=X")
        assert told.splitlines()[0] == receiver


def test_systemd_takes_the_unit() -> None:
    assert UNIT.name not in passes("systemd-analyze", "verify", UNIT)       # it may speak of other units of the machine
    unit = UNIT.read_text()
    for line in ("Type=notify", "WatchdogSec=30", "ExecReload=/bin/kill -HUP $MAINPID", "Restart=on-failure", "AmbientCapabilities=CAP_NET_RAW",
                 "CapabilityBoundingSet=CAP_NET_RAW", "StateDirectory=fullspan", "DynamicUser=yes"):
        assert f"\n{line}\n" in unit, line
    assert "AF_PACKET" in next(line for line in unit.splitlines() if line.startswith("RestrictAddressFamilies="))


def test_systemd_takes_the_timer_of_reports() -> None:
    units = [DEPLOY / f"fullspan-reports.{kind}" for kind in ("service", "timer")]
    assert "fullspan" not in passes("systemd-analyze", "verify", *units)       # it speaks of other units of the machine as well
    told = passes("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=35", units[0])
    assert "Overall exposure level" in told
    assert "Persistent=true" in units[1].read_text() and "fullspan report run-due" in units[0].read_text()


def test_the_unit_is_hardened_and_its_page_is_current() -> None:
    told = passes("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", UNIT)      # at most 2.0 of 10
    page = (ROOT / "docs" / "probe-security.txt").read_text()
    open_ones = re.compile(r"^✗ (\S+)", re.MULTILINE)
    assert open_ones.findall(told) == open_ones.findall(page) and len(open_ones.findall(page)) > 5
    assert [line for line in told.splitlines() if line.startswith("→")] == [line for line in page.splitlines() if line.startswith("→")]
