"""The probe beside an attack: it reads a mirror of the link, and its store says when which alert was there to be read."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.attacks.place import NETWORKS, Place
from pcaps.make.network import ROOT, Trouble

FULLSPAN = [sys.executable, "-m", "dpi.cli.main"]
#: What was told, and when it was first in the store (us).
TOLD = """SELECT kind, argMin(source, revision) AS source, argMin(target, revision) AS target, argMin(customer_id, revision) AS customer_id,
       max(count) AS detections, min(toUnixTimestamp64Micro(stored_time)) AS stored FROM alerts GROUP BY kind, alert_id ORDER BY stored"""


class Probe:
    """`fullspan probe` on a mirror of a link of the place, from `with` to its end; the store is kept."""

    def __init__(self, place: Place, link: str, store: Path, bindings: Path, settings: str = "") -> None:
        self.place, self.link, self.store = place, link, store.resolve()
        self.namespace = place.name("probe")
        self.settings = {"FULLSPAN_IDENTITY_BINDINGS": str(bindings.resolve()), "FULLSPAN_IDENTITY_LOCAL_NETWORKS": NETWORKS}
        if settings:
            file = self.store.with_suffix(".toml")
            file.write_text(settings)
            self.settings["FULLSPAN_CONFIG"] = str(file)
        self.process: subprocess.Popen[str] | None = None
        self.said: list[str] = []

    def _line(self, *words: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.namespace}", *FULLSPAN, *words]

    def __enter__(self) -> Probe:
        subprocess.run(["ip", "netns", "add", self.namespace], check=True)
        try:
            subprocess.run(["ip", "-n", self.namespace, "link", "set", "lo", "up"], check=True)
            self.place.mirror(self.link, self.namespace)
            self.process = subprocess.Popen(self._line("probe", "-i", "span0", "--store", f"chdb://{self.store}"), stdout=subprocess.DEVNULL,
                                            stderr=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, **self.settings})
            reading = threading.Event()
            threading.Thread(target=self._listen, args=(reading,), daemon=True).start()
            if not reading.wait(120) or self.process.poll() is not None:
                raise Trouble("the probe did not start: " + "".join(self.said))
        except BaseException:
            self._end()
            raise
        return self

    def _listen(self, reading: threading.Event) -> None:
        assert self.process is not None and self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if "reading" in line:
                reading.set()
        reading.set()

    def told(self) -> list[dict[str, Any]]:
        """What the store has, first things first: kind, source, target, customer_id, detections, stored (us)."""
        done = subprocess.run(self._line("query", TOLD, "--store", f"chdb://{self.store}", "--json", "--reason", "attack day"), capture_output=True, text=True,
                              cwd=ROOT, check=False)
        if done.returncode:
            raise Trouble(done.stderr)
        return list(json.loads(done.stdout))

    def wait(self, kinds: tuple[str, ...], until: float) -> list[dict[str, Any]]:
        """What the store has once one of these kinds is there, or at a moment (seconds since the epoch)."""
        while True:
            told = self.told()
            if any(one["kind"] in kinds for one in told) or time.time() > until:
                return told
            time.sleep(2)

    def _end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
        subprocess.run(["ip", "netns", "delete", self.namespace], stderr=subprocess.DEVNULL, check=False)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()
