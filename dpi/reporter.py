"""The probe's scheduled reports: made by a process of its own, with less priority, so that nothing of it is in the way of packets."""
from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

from dpi.health import ReportsHealth

log = logging.getLogger("dpi.probe")
_EVERY = 60         # s between two looks
_LONGEST = 3600     # s that one may take


class Reporter:
    """`look` is called about once a second; `state` is the file in which `fullspan report run-due` notes what it made."""

    def __init__(self, store_url: str, state: Path) -> None:
        self._command = [sys.executable, "-m", "dpi.cli.main", "report", "run-due", "--store", store_url, "--state", str(state)]
        self._state, self._began = state, -float(_EVERY)
        self._child: subprocess.Popen[bytes] | None = None

    def look(self, wanted: bool) -> None:
        """Begin a run where one is due. wanted: there are schedules."""
        now = time.monotonic()
        if self._child is not None:
            if self._child.poll() is None:
                if now - self._began > _LONGEST:
                    log.error("reports took too long, given up", extra={"seconds": _LONGEST})
                    self._child.kill()
                return
            if self._child.returncode not in (0, 1):        # 1: a report failed, which it has told itself
                log.error("reports were not made", extra={"status": self._child.returncode})
            self._child = None
        if not wanted or now - self._began < _EVERY:
            return
        self._began = now
        try:
            self._child = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            os.setpriority(os.PRIO_PROCESS, self._child.pid, 10)
        except OSError as error:
            log.error("reports can't be made", extra={"reason": error.strerror or str(error)})

    def health(self) -> ReportsHealth:
        """Out of the state's file, as it is."""
        try:
            told = json.loads(self._state.read_text())
            waiting = sum(1 for _ in self._state.with_name(f"{self._state.name}.outbox").glob("*.json"))
            return ReportsHealth(sum(one.get("made", 0) for one in told.values()), sum(one.get("failed", 0) for one in told.values()), waiting)
        except (OSError, ValueError, AttributeError):
            return ReportsHealth()

    def close(self) -> None:
        """End a run that is under way: what it had not noted is made at the next start."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(10)
            self._child.kill()
            self._child.wait()
