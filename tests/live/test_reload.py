"""SIGHUP and the settings of a probe that runs: taken as a whole or not at all, and no frame is missed."""
from __future__ import annotations

import json
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.live.probe import Run
from tests.live.wire import Wire, send


class Settings:
    """The file of settings of a probe, and its answer when it is told to read it."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._path = path
        monkeypatch.setenv("FULLSPAN_CONFIG", str(path))

    def write(self, **sections: dict[str, str | int]) -> None:
        """{section: {name: value}}"""
        lines = [line for name, values in sections.items() for line in (f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items()))]
        self._path.write_text("\n".join(lines) + "\n")

    def read_by(self, probe: Run) -> str:
        """Its line, after SIGHUP."""
        probe.process.send_signal(signal.SIGHUP)
        assert probe.process.stderr is not None
        return probe.process.stderr.readline().decode()


def test_the_filter_times_and_form_of_logs_change_while_it_runs(cable: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(tmp_path / "own.toml", monkeypatch)
    settings.write(probe={"filter": "udp src port 20003"})
    probe = Run(cable, tmp_path)
    send(cable, 1000, 10, each=100)
    time.sleep(0.5)
    settings.write(probe={"filter": "", "log": "json", "flush_seconds": 1, "spool_mb": 20}, flow={"idle_udp": 1})
    line = json.loads(settings.read_by(probe))
    assert line["msg"] == "reloaded" and line["changed"] == "flow.idle_udp, probe.filter, probe.log, probe.flush_seconds, probe.spool_mb"
    time.sleep(0.5)
    send(cable, 1000, 10, each=100)
    time.sleep(8)                       # flows end after a second now: they leave without the end of the probe
    stored = probe.ask_beside(cable, "SELECT sum(client_packets), uniqExact(client_port), countIf(end_reason = 'idle') FROM flows")
    assert stored[:2] == ["1100", "10"] and int(stored[2]) >= 10
    assert probe.end()["packets"] == 100 + 1000


def test_no_frame_is_missed(cable: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times while frames come, the filter among what is set anew."""
    settings = Settings(tmp_path / "own.toml", monkeypatch)
    settings.write()
    probe = Run(cable, tmp_path, store=False)
    sent: list[int] = []
    sender = threading.Thread(target=lambda: sent.append(send(cable, 60_000, 100, each=20)))
    sender.start()
    for turn in range(10):
        settings.write(probe={"filter": "udp" if turn % 2 else ""}, flow={"idle_udp": 30 + turn})
        assert "msg=reloaded" in settings.read_by(probe)
    sender.join()
    assert probe.end()["packets"] == sent[0] == 60_000


@pytest.mark.parametrize("wrong, said", [
    ({"probe": {"filter": "udp and", "log": "json"}}, "syntax error"),
    ({"flow": {"idle_udp": 0}, "probe": {"filter": "", "log": "json"}}, "it may be 1 to 86400"),
    ({"flow": {"idle_tpc": 7}, "probe": {"filter": "", "log": "json"}}, "no setting"),
    ({"probe": {"workers": 2, "filter": "", "log": "json"}}, "probe.workers can't be changed while it runs, and nothing else was"),
    ({"probe": {"filter": "", "log": "json"}, "rules": {"directory": "/nowhere/at/all"}}, "/nowhere/at/all"),
    ({"probe": {"case_file": "cases.toml", "filter": "", "log": "json"}}, "content is to be opened, but no packet is kept"),
    ({"flow": {"max_flows": 4096, "idle_udp": 1}, "probe": {"ring_mb": 4, "log": "json"}}, "flow.max_flows, probe.ring_mb can't be changed"),
])
def test_what_is_wrong_is_refused_whole(cable: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, dict[str, str | int]],
                                        said: str) -> None:
    settings = Settings(tmp_path / "own.toml", monkeypatch)
    right: dict[str, str | int] = {"filter": "udp src port 20003"}
    settings.write(probe=right)
    probe = Run(cable, tmp_path, store=False)
    settings.write(**wrong)
    line = settings.read_by(probe)
    assert 'level=error' in line and 'msg="not reloaded"' in line and said in line
    time.sleep(0.5)
    send(cable, 1000, 10, each=100)
    settings.write(probe=right)
    line = settings.read_by(probe)          # still in the form of logs that it had
    assert "msg=reloaded" in line and 'changed=""' in line
    assert probe.end()["packets"] == 100
