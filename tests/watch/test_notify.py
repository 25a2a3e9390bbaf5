"""systemd's protocol against real sockets: what a process sends at its start, reload, end and while it hangs."""
from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dpi.health import Health, StoreHealth, WorkerHealth
from dpi.notify import Notifier, Watchdog, summary
from tests.watch.processes import probe, until, write


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """The name as systemd gives it, and the socket behind it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@fullspan-test-{os.getpid()}-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(name.replace("@", "\0", 1) if request.param == "abstract" else name)
        one.settimeout(5)
        yield name, one


def received(one: socket.socket) -> list[str]:
    return one.recv(4096).decode().split("\n")


def test_each_message(systemd: tuple[str, socket.socket]) -> None:
    name, one = systemd
    notifier = Notifier({"NOTIFY_SOCKET": name})
    assert notifier and notifier.watchdog == 0
    for sends, want in ((notifier.ready, "READY=1"), (notifier.stopping, "STOPPING=1"), (notifier.alive, "WATCHDOG=1")):
        assert sends() and received(one) == [want]
    assert notifier.ready("reading span0") and received(one) == ["READY=1", "STATUS=reading span0"]
    assert notifier.status("it broke\nREADY=1\r\n 接口") and received(one) == ["STATUS=it broke READY=1 接口"]
    assert notifier.status("x" * 100_000) and len(received(one)[0]) == 507
    assert notifier.status("\ud800") and received(one) == ["STATUS=?"]
    before = time.monotonic_ns() // 1000
    assert notifier.reloading("rules")
    reloading, moment, status = received(one)
    assert (reloading, status) == ("RELOADING=1", "STATUS=rules") and before <= int(moment.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_where_nobody_listens_nothing_is_sent_and_nothing_fails(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "relative"}, {"NOTIFY_SOCKET": "", "WATCHDOG_USEC": "1000000"}):
        notifier = Notifier(environment)
        assert not notifier and not notifier.ready() and notifier.watchdog == 0
        watchdog = Watchdog(notifier, lambda: 1 / 0)        # type: ignore[arg-type, return-value]
        watchdog.start()
        watchdog.close()
    gone = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert not gone.ready() and not gone.alive()
    assert [record.getMessage() for record in caplog.records] == ["systemd can't be told"]
    path = str(tmp_path / "full")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(path)
        full, began = Notifier({"NOTIFY_SOCKET": path}), time.monotonic()
        while full.status("x"):         # until the queue is full
            assert time.monotonic() - began < 5
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(("given", "seconds"), [({"WATCHDOG_USEC": "3000000"}, 3.0), ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, 0.0),
                                                ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 3.0), ({"WATCHDOG_USEC": "soon"}, 0.0),
                                                ({"WATCHDOG_USEC": "-1"}, 0.0), ({}, 0.0)])
def test_the_watchdog_is_for_the_process_it_names(given: dict[str, str], seconds: float) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": "/nowhere", **given})
    assert notifier.watchdog == seconds
    assert Watchdog(notifier, lambda: Health("", "", "", 0, 0)).every == (seconds / 2 or 10)


def test_a_process_from_start_to_end(systemd: tuple[str, socket.socket], tmp_path: Path) -> None:
    """Fed at half its time while the figures come, not while they don't, and again after."""
    name, one = systemd
    figures, log = tmp_path / "figures", tmp_path / "log"
    write(figures, {"worker": {"packets": 7}})
    with probe(figures, log, environment={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "600000"}) as (process, _):
        first = [received(one), received(one)]
        assert ["READY=1", "STATUS=reading span0"] in first
        assert ["WATCHDOG=1", "STATUS=7 packets from span0; 0 lost; 0 rows stored, 0 waiting"] in first
        began = time.monotonic()
        for _ in range(5):
            assert received(one)[0] == "WATCHDOG=1"
        assert 1.0 < time.monotonic() - began < 2.5         # every 0.3 s

        write(figures, {"hangs": True})
        until(lambda: received(one)[0].startswith("STATUS=the probe did not answer"), 5, "a status of the silence")
        end = time.monotonic() + 1
        while time.monotonic() < end:
            assert received(one) == ["STATUS=the probe did not answer within 0.15 s"]
        write(figures, {"store": {"away": "refused"}})
        fed = until(lambda: next((lines for lines in [received(one)] if lines[0] == "WATCHDOG=1"), None), 5, "fed again")
        assert fed and fed[1].endswith("; refused")

        process.send_signal(signal.SIGHUP)
        seen = [lines for lines in iter(lambda: received(one), ["READY=1", "STATUS=reloaded"]) if lines[0] != "WATCHDOG=1"]
        assert len(seen) == 1 and seen[0][0] == "RELOADING=1"
        process.send_signal(signal.SIGTERM)
        until(lambda: received(one) == ["STOPPING=1"], 5, "the end")
        assert process.wait(5) == 0
    told = log.read_text()
    assert 'level=error logger=dpi.notify msg="no sign of life for systemd" reason="the probe did not answer within 0.15 s"' in told


def test_summary() -> None:
    whole = Health("p", "1", "r", 0, 0, (WorkerHealth("b", 0, packets=2, lost={"nic": 3}), WorkerHealth("a", 0, packets=4), WorkerHealth("a", 1)),
                   StoreHealth(rows=5, lost=6, waiting=7))
    assert summary(whole) == "6 packets from a, b; 9 lost; 5 rows stored, 7 waiting"
    assert summary(Health("p", "1", "r", 0, 0)) == "no packets; 0 lost; 0 rows stored, 0 waiting; no interface is being read"
