"""Until when the minutes of each interface are told in `coverage`, kept on disk: a probe that was killed left a gap, and the next one tells it.

A JSON object {interface: us since the epoch}, replaced whole. A moment is noted once the rows that come before it are on disk, never earlier.
"""
from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from pathlib import Path

log = logging.getLogger("dpi.probe")


class Covered:
    """Any thread may note and ask. path: ends in .json; its directory is there."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._until: dict[str, int] = {}
        self._parts: dict[str, dict[int, int]] = {}     # of this process: worker -> until
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self._until = {str(name): int(until) for name, until in json.loads(path.read_bytes()).items() if type(until) is int and until > 0}

    def beside(self, name: str) -> Path:
        """Another file of the same directory."""
        return self._path.with_name(name)

    def until(self, interface: str) -> int:
        """us since the epoch; 0 where nothing is known."""
        return self._until.get(interface, 0)

    def note(self, interface: str, workers: int, number: int, until: int) -> None:
        """All before `until` is told by worker `number` of `workers`; the interface is told as far as all of them have come."""
        with self._lock:
            parts = self._parts.setdefault(interface, {})
            parts[number] = until
            if len(parts) < workers:
                return
            self._until[interface] = min(parts.values())
            beside = self._path.with_suffix(".part")
            try:
                with beside.open("w") as file:
                    json.dump(self._until, file)
                    file.flush()
                    os.fsync(file.fileno())
                beside.rename(self._path)
            except OSError as error:        # a gap that comes now is told too long, not too short
                log.warning("what was covered can't be noted", extra={"path": str(self._path), "reason": error.strerror})
