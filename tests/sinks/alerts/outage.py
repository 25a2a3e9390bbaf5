"""A receiver that fails three calls of ten, then is away, then is back; and a process that is killed while it is away. Every alert ends there once by its id.

python -m tests.sinks.alerts.outage [--minutes 10]    the long form, with the pauses of a probe (`make proof`); the suite runs the short one
"""
from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dpi.security.alert import Alert
from dpi.sinks.announcer import Announcer
from dpi.sinks.courier import Pace
from tests.sinks.alerts.servers import Posted, alert, private, receiver, taking

ROOT = Path(__file__).resolve().parents[3]


class Flaky:
    """Of ten calls one is answered 503, one 429 with a second to wait, and one is taken and not answered at all: that one comes again."""

    def __init__(self, seed: int = 5) -> None:
        self.calls: Counter[str] = Counter()
        self.taken: dict[str, dict[str, Any]] = {}
        self.order: dict[str, list[int]] = {}
        self.doubles = 0
        self.well = False
        self._random, self._lock = random.Random(seed), threading.Lock()

    def __call__(self, posted: Posted) -> tuple[int, dict[str, str], bytes] | None:
        with self._lock:
            draw = 1.0 if self.well else self._random.random()
            self.calls["503" if draw < 0.1 else "429" if draw < 0.2 else "no answer" if draw < 0.3 else "200"] += 1
            if draw < 0.2:
                return (503, {}, b"") if draw < 0.1 else (429, {"Retry-After": "1"}, b"")
            event = json.loads(posted.body)
            if event["id"] in self.taken:
                self.doubles += 1
            else:
                self.taken[event["id"]] = event
                self.order.setdefault(event["data"]["alert_id"], []).append(event["data"]["revision"])
            return None if draw < 0.3 else (200, {}, b"")


def announced(number: int) -> Alert:
    """The states of ever new alerts: each is raised, updated and cleared, with two others between."""
    which, step = divmod(number // 3, 3)
    return alert(alert_id=f"{which * 3 + number % 3:016x}", state=("raised", "updated", "cleared")[step], revision=step + 1)


def child(folder: Path, port: int, first: float, most: float) -> None:
    """Announce what comes on standard input, a line each, and say a line for each that is on disk."""
    secret = private(folder / "secret", "s3cret")
    one = Announcer([receiver(type="webhook", url=f"http://127.0.0.1:{port}/alerts", secret_file=secret, timeout=5)], folder / "spool", Pace(first, most))
    one.start()
    for line in sys.stdin:
        one(Alert(**json.loads(line)))
        assert one.kept(30)
        health = one.health()[0]
        print(json.dumps([health.waiting, health.failed, health.spool_bytes]), flush=True)
    print(json.dumps(["settled", one.settled(600)]), flush=True)
    one.close()


class Announcing:
    """The process that announces."""

    def __init__(self, folder: Path, port: int, pace: Pace) -> None:
        command = [sys.executable, "-m", "tests.sinks.alerts.outage", "--child", str(folder), str(port), str(pace.first), str(pace.most)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def say(self, one: Alert) -> list[int]:
        """Announce; [waiting, failed, bytes] when it is on disk."""
        assert self._process.stdin and self._process.stdout
        print(json.dumps(asdict(one)), file=self._process.stdin, flush=True)
        return list(json.loads(self._process.stdout.readline()))

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._end()

    def settle(self) -> bool:
        """No more comes: wait until all is sent."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        told = json.loads(self._process.stdout.readline())
        self._end()
        return told == ["settled", True]

    def _end(self) -> None:
        self._process.wait(60)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def run(folder: Path, flaky: float, away: float, pace: Pace, each: float) -> dict[str, Any]:
    """flaky, away: seconds; each: seconds between two alerts. What came of it."""
    said, number, reply, began = [], 0, Flaky(), time.monotonic()
    with taking(reply) as server:
        port = server.port
        process = Announcing(folder, port, pace)

        def announce(seconds: float) -> list[int]:
            nonlocal number
            end, told = time.monotonic() + seconds, [0, 0, 0]
            while time.monotonic() < end:
                one = announced(number)
                told = process.say(one)
                said.append(f"{one.alert_id}.{one.revision}")
                number += 1
                time.sleep(each)
            return told

        announce(flaky)
    before = len(reply.taken)               # the server is gone, its port closed
    announce(away / 2)
    process.kill()
    process = Announcing(folder, port, pace)
    waiting, failed, size = announce(away / 2)
    with taking(reply, port):
        back = time.monotonic()
        announce(flaky / 2)
        reply.well = True
        settled = process.settle()
    return {"announced": len(said), "taken by id": len(reply.taken), "missing": len(set(said) - set(reply.taken)), "foreign": len(set(reply.taken) - set(said)),
            "doubles dropped by id": reply.doubles, "calls": dict(reply.calls), "taken before the outage": before, "waiting at its end": waiting,
            "failed attempts of the second process by then": failed, "spool bytes by then": size, "settled": settled,
            "in order": all(order == sorted(order) for order in reply.order.values()),
            "seconds from its end until all was there": round(time.monotonic() - back, 1), "seconds": round(time.monotonic() - began, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="that the receiver is away")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(Path(asked.child[0]), int(asked.child[1]), float(asked.child[2]), float(asked.child[3]))
        return
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), 60.0, asked.minutes * 60, Pace(), 0.5)
    print(f"a web hook that fails 30 % of calls for 60 s, is away for {asked.minutes:g} min, and is back; 2 alerts a second; who announces is killed half way")
    for name, value in found.items():
        print(f"{name:48} {value}")
    well = found["announced"] == found["taken by id"] and found["settled"] and found["in order"] and not found["missing"] and not found["foreign"]
    print("every alert is there exactly once by its id" if well else "FAILED")
    sys.exit(not well)


if __name__ == "__main__":
    main()
