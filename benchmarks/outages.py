"""python -m benchmarks.outages [--short] [CASE...]: the whole probe through outages of its store, its disk, its connection and itself.

A sender in one network namespace makes steady traffic of short flows (benchmarks/traffic.py); at the other end of a veth pair `fullspan probe` writes to a
real clickhouse-server 18.16 with ZooKeeper (ReplicatedMergeTree) or to its embedded store, while something is done to them. Afterwards every flow in the
store is compared with what was sent: packets and bytes, of each flow, each row there once. What a killed probe held in memory may be missing: it
must be of its last interval, in minutes of which `coverage` says that they were not read whole. Exit status 1 where anything differs.
"""
from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.account import Account
from benchmarks.measure import ordinary
from benchmarks.traffic import Sent
from tests.delivery.servers import Server, Wire, ZooKeeper, until
from tests.live.wire import NEAR, wire

ROOT = Path(__file__).resolve().parents[1]
FLOWS = 4                   # begun in each tick of 10 ms
METRICS = 9471


class Lengths:
    """How long things take, s."""

    def __init__(self, short: bool) -> None:
        self.short = short
        self.stop = 6.0 if short else 120.0
        self.full = 5.0 if short else 20.0
        self.turns = 2 if short else 6
        self.quiet = 2.0 if short else 5.0


class Box:
    """The probe, started again after each end. kills: when it was killed and when the next one was reading, us."""

    def __init__(self, folder: Path, url: str, **settings: str) -> None:
        self.folder, self.url, self.kills = folder, url, list[tuple[int, int]]()
        self._environment = ordinary({f"FULLSPAN_{name.upper()}": value for name, value in settings.items()})
        self.begin()

    def begin(self) -> None:
        """Start it and wait until it reads."""
        said = self.folder / "said"
        before = said.stat().st_size if said.exists() else 0
        with said.open("ab") as out:
            options = ["-i", NEAR, "--store", self.url, "--name", "box", "--json", "--listen", f"127.0.0.1:{METRICS}"]
            self.process = subprocess.Popen([sys.executable, "-m", "dpi.cli.main", "probe", *options], cwd=self.folder, stdout=subprocess.PIPE, stderr=out,
                                            env=self._environment)
        until(lambda: b"msg=reading" in said.read_bytes()[before:] or self.process.poll() is not None, 60)
        assert self.process.poll() is None, said.read_text()[-2000:]

    @property
    def engine(self) -> int:
        """The process of the embedded engine, once there is one: after it was killed it is started again, by another thread."""
        found: list[str] = []

        def look() -> bool:
            found[:] = [child for task in Path(f"/proc/{self.process.pid}/task").iterdir() for child in (task / "children").read_text().split()
                        if Path(f"/proc/{child}/cmdline").read_bytes()]         # a zombie has none
            return bool(found)
        until(look)
        return int(found[0])

    def waiting(self) -> int:
        """Rows that the store has not taken yet."""
        return self._metric("fullspan_store_rows_waiting")

    def stored(self) -> int:
        """Rows that it has taken."""
        return self._metric("fullspan_store_rows_total")

    def _metric(self, name: str) -> int:
        import urllib.request

        page = urllib.request.urlopen(f"http://127.0.0.1:{METRICS}/metrics", timeout=10).read().decode()
        return int(sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith(f"{name} ")))

    def kill(self) -> None:
        """kill -9, and start again."""
        self.process.kill()
        at = time.time_ns() // 1000
        self.process.communicate()
        self.begin()
        self.kills.append((at, time.time_ns() // 1000))

    def end(self) -> dict[str, Any]:
        """SIGTERM; what it says of itself."""
        self.process.send_signal(signal.SIGTERM)
        said, _ = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, (self.folder / "said").read_text()[-2000:]
        found: dict[str, Any] = json.loads(said)
        return found


class Scene:
    """A sender, a probe and its store; what is done to them comes in between."""

    def __init__(self, folder: Path, far: str, url: str, legacy: bool, **settings: str) -> None:
        self.url, self.legacy, self._log = url, legacy, folder / "sent"
        self.box = Box(folder, url, **settings)
        sender = [sys.executable, "-m", "benchmarks.traffic", str(FLOWS), str(self._log)]
        self._sender = subprocess.Popen(["nsenter", f"--net=/run/netns/{far}", *sender], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env=ordinary(None))

    def finish(self, where: str = "") -> bool:
        """Stop sending, let all be stored, end the probe; print and judge. where: URL to ask, if another than the probe's."""
        said, _ = self._sender.communicate(b"\n", timeout=30)
        totals, sent = json.loads(said), Sent(self._log)
        assert totals == {"flows": len(sent.packets), "packets": int(sent.packets.sum()), "bytes": int(sent.bytes.sum())}, totals
        time.sleep(1)
        until(lambda: self.box.waiting() < 100_000, 60)
        health = self.box.end()
        for _ in range(3):                  # what it could not store before its end, the next one does
            if not health["store"]["waiting"]:
                break
            self.box.begin()
            until(lambda: not self.box.waiting(), 60)
            health = self.box.end()
        lines, good = Account(sent, where or self.url, self.legacy).lines(self.box.kills)
        print("\n".join(lines))
        print(f"  rows lost by delivery: {health['store']['lost']}, waiting: {health['store']['waiting']}")
        good = good and not health["store"]["lost"] and not health["store"]["waiting"]
        print(f"  {'as it must be' if good else 'WRONG'}", flush=True)
        return good

    def close(self) -> None:
        for process in (self._sender, self.box.process):
            if process.poll() is None:
                process.kill()
                process.wait()


QUICK = {"flow_idle_udp": "1", "flow_idle_other": "1", "probe_flush_seconds": "1"}         # rows come all the time, so that something is always on its way
Case = Callable[[Path, str, Lengths], bool]


@contextlib.contextmanager
def _scene(*given: Any, **settings: str) -> Iterator[Scene]:
    one = Scene(*given, **settings)
    try:
        yield one
    finally:
        one.close()


@contextlib.contextmanager
def _small(folder: Path, megabytes: int) -> Iterator[Path]:
    """A disk of its own."""
    small = folder / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(small)], check=True)
    try:
        yield small
    finally:
        subprocess.run(["umount", str(small)], check=False)


def _fill(small: Path, seconds: float) -> None:
    """Leave no byte free for so long."""
    ballast = small / "ballast"
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), ballast.open("ab") as file:
            while True:
                file.write(bytes(4096))
                file.flush()
        time.sleep(0.05)
    ballast.unlink()


@contextlib.contextmanager
def _server(folder: Path, data: Path | None = None) -> Iterator[tuple[Server, str]]:
    """A server with its ZooKeeper, and the URL of a database whose tables are replicated."""
    keeper = ZooKeeper(folder / "zookeeper")
    server = Server(folder / "server", keeper.port, data)
    try:
        keeper.begin()
        server.begin()
        yield server, "timeout=10&replicated=/clickhouse/proof"
    finally:
        server.end()
        keeper.end()


def server_killed(folder: Path, far: str, lengths: Lengths) -> bool:
    """kill -9 of the server in mid-insert, several times."""
    chance = random.Random(3)
    with _server(folder) as (server, options):
        link = Wire(server.port)
        with _scene(folder, far, server.url("db", options, link.port), True, **QUICK) as scene:
            time.sleep(lengths.quiet)
            for _ in range(lengths.turns):
                link.cut_up = chance.randrange(100, 40_000)     # so many bytes of an insert have gone out
                until(lambda: link.cut_up is None)
                server.end()
                time.sleep(1 + chance.random())
                server.begin()
                time.sleep(lengths.quiet)
            return scene.finish(server.url("db", options))


def server_stopped(folder: Path, far: str, lengths: Lengths) -> bool:
    """The server is frozen (SIGSTOP) for two minutes, then ended (SIGTERM) and started again."""
    with _server(folder) as (server, options), _scene(folder, far, server.url("db", options), True, **QUICK) as scene:
        time.sleep(lengths.quiet)
        server.send(signal.SIGSTOP)
        time.sleep(lengths.stop)
        server.send(signal.SIGCONT)
        time.sleep(lengths.quiet)
        server.end(signal.SIGTERM)
        time.sleep(lengths.full)
        server.begin()
        time.sleep(lengths.quiet)
        return scene.finish()


def server_disk_full(folder: Path, far: str, lengths: Lengths) -> bool:
    """The disk of the server is full for a while."""
    with (_small(folder, 256) as small, _server(folder, small / "data") as (server, options),
          _scene(folder, far, server.url("db", options), True, **QUICK) as scene):
        # not before its tables are made: a CREATE that fails on a full disk leaves a file in 18.16's metadata that only a person takes away
        until(lambda: scene.box.stored() > 0, 60)
        _fill(small, lengths.full)
        time.sleep(lengths.quiet)
        return scene.finish()


def connection_cut(folder: Path, far: str, lengths: Lengths) -> bool:
    """The connection is cut in mid-insert, before the answer, and when the answer that all is stored was on its way; then nothing goes through for a while."""
    chance = random.Random(5)
    with _server(folder) as (server, options):
        link = Wire(server.port)
        with _scene(folder, far, server.url("db", options, link.port), True, **QUICK) as scene:
            time.sleep(lengths.quiet)
            for turn in range(2 * lengths.turns):
                before = link.cuts
                if turn % 3 == 2:
                    link.lose_end = True
                else:
                    setattr(link, ("cut_up", "cut_down")[turn % 3], chance.randrange(1, (20_000, 300)[turn % 3]))
                until(lambda before=before: link.cuts > before, 60)         # the sender waits longer after each failure
                time.sleep(0.5)
            link.stalled = True
            time.sleep(lengths.full)
            link.stalled = False
            time.sleep(lengths.quiet)
            return scene.finish(server.url("db", options))


def _probe_killed(scene: Scene, lengths: Lengths) -> bool:
    """Soon after a half minute has begun, and later; or at once, where time is short."""
    if lengths.short:
        time.sleep(lengths.quiet)
        scene.box.kill()
        time.sleep(lengths.quiet)
        return scene.finish()
    for second in (0.5, 32.0, 8.0, 58.0):
        time.sleep((second - time.time()) % 60)
        scene.box.kill()
        time.sleep(5)
    return scene.finish()


def server_probe_killed(folder: Path, far: str, lengths: Lengths) -> bool:
    """kill -9 of the probe, with the settings it comes with: half a minute's rows are in its memory."""
    with _server(folder) as (server, options), _scene(folder, far, server.url("db", options), True) as scene:
        return _probe_killed(scene, lengths)


def embedded_probe_killed(folder: Path, far: str, lengths: Lengths) -> bool:
    """The same with the embedded store."""
    with _scene(folder, far, f"chdb://{folder}/store", False) as scene:
        return _probe_killed(scene, lengths)


def embedded_killed(folder: Path, far: str, lengths: Lengths) -> bool:
    """kill -9 of the embedded engine's process while it stores, several times; then of the probe while it stores."""
    chance = random.Random(7)
    with _scene(folder, far, f"chdb://{folder}/store", False, **QUICK) as scene:
        time.sleep(lengths.quiet)
        for _ in range(2 * lengths.turns):
            until(lambda: scene.box.waiting() > 0)
            time.sleep(0.1 * chance.random())
            os.kill(scene.box.engine, signal.SIGKILL)
            time.sleep(2)
        for _ in range(1 if lengths.short else 3):
            until(lambda: scene.box.waiting() > 0)
            time.sleep(0.1 * chance.random())
            scene.box.kill()
            time.sleep(3)
        return scene.finish()


def embedded_stopped(folder: Path, far: str, lengths: Lengths) -> bool:
    """The embedded engine's process is frozen (SIGSTOP) for two minutes."""
    with _scene(folder, far, f"chdb://{folder}/store", False, **QUICK) as scene:
        time.sleep(lengths.quiet)
        engine = scene.box.engine
        os.kill(engine, signal.SIGSTOP)
        time.sleep(lengths.stop)
        os.kill(engine, signal.SIGCONT)
        time.sleep(lengths.quiet)
        return scene.finish()


def embedded_disk_full(folder: Path, far: str, lengths: Lengths) -> bool:
    """The disk of the embedded store, and of the spool beside it, is full for a while."""
    with _small(folder, 64) as small, _scene(folder, far, f"chdb://{small}/store", False, **QUICK) as scene:
        time.sleep(lengths.quiet)
        _fill(small, lengths.full)
        time.sleep(lengths.quiet)
        return scene.finish()


CASES: dict[str, Case] = {one.__name__: one for one in (
    server_killed, server_stopped, server_disk_full, connection_cut, server_probe_killed,
    embedded_killed, embedded_stopped, embedded_disk_full, embedded_probe_killed)}


def main() -> None:
    """The cases in turn, each with a cable, a server and a store of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", choices=[[], *CASES], metavar="CASE")
    parser.add_argument("--short", action="store_true", help="seconds in place of minutes")
    parser.add_argument("--far", help=argparse.SUPPRESS)            # inside the namespace that reads: where the sender is
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))           # what was started is ended on the way out
    good = True
    for name in asked.cases or CASES:
        if asked.far:
            print(f"{name}: {CASES[name].__doc__}", flush=True)
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as work:
                good = CASES[name](Path(work), asked.far, Lengths(asked.short)) and good
            continue
        with wire() as one:
            inside = one.run(one.near, [sys.executable, "-m", "benchmarks.outages", name, "--far", one.far, *(["--short"] if asked.short else [])], cwd=ROOT)
            try:
                good = inside.wait() == 0 and good
            finally:
                inside.terminate()
                inside.wait(60)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
