"""Leases that outlive a restart of the probe: a file beside the spool, replaced whole, which only its owner may read.

One line of JSON (form, key of the digests, number of leases, SHA-256), then LEASE[] as they are in memory, open ones only. It holds no name: users, lines
and MAC addresses are keyed digests, and the key is in the same file, so it is as secret as the bindings. A file that is cut, changed or of another form is left
alone and said in the log; a fresh key is made then, and sessions are learned anew.
"""
from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from dpi.identity.lease import LEASE, LEASES, NEVER, know_length, leases_of, link, state_of
from dpi.identity.sessions import Learning, Sessions
from dpi.jit import entry, records

FORM = "fullspan sessions 1"
EVERY = 60.0                    # s between two times that it is written
log = logging.getLogger("dpi.probe")


@entry(LEASES, LEASE)
def put_back(worlds: Any, saved: Any) -> Any:
    """Put leases, the oldest first, into an empty table. How many found a place."""
    w = worlds[0]
    state = state_of(w)[0]
    leases = leases_of(w)
    for k in range(saved.size):
        if state.hand + 1 >= leases.size or not know_length(state, saved[k].length):
            return np.int64(state.hand)
        state.hand += 1
        number = np.int64(state.hand)
        leases[number] = saved[k]
        link(w, number)
        state.open += 1
    return np.int64(state.hand)


class Remembered:
    """The sessions of a probe and their file. Without a path they are forgotten at the end."""

    def __init__(self, path: Path | None, learning: Learning) -> None:
        """Reads the file, where there is one."""
        self._path, self._written = path, time.monotonic()
        key, saved = (None, np.zeros(0, LEASE)) if path is None else self._read(path)
        self.sessions = Sessions(learning, key)
        if len(saved):
            saved = saved[saved["expires"] > time.time_ns() // 1000]
            ordered = records(len(saved), LEASE)
            ordered[:] = saved[np.argsort(saved["begin"], kind="stable")]
            kept = put_back(self.sessions.world, ordered)
            log.info("sessions read", extra={"path": str(path), "open": kept})

    @staticmethod
    def _read(path: Path) -> tuple[tuple[int, int] | None, Any]:
        nothing = np.zeros(0, LEASE)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None, nothing
        except OSError as error:
            log.warning("sessions can't be read", extra={"path": str(path), "reason": error.strerror})
            return None, nothing
        with contextlib.suppress(ValueError, KeyError, TypeError):
            line, _, body = content.partition(b"\n")
            head = json.loads(line)
            if head["form"] == FORM and len(body) == head["leases"] * LEASE.itemsize and head["sha256"] == hashlib.sha256(body).hexdigest():
                first, second = (int(word, 16) for word in head["key"])
                return (first, second), np.frombuffer(body, np.dtype(LEASE.descr))
        log.warning("sessions are learned anew: their file is not whole", extra={"path": str(path)})
        return None, nothing

    def write(self, always: bool = False) -> None:
        """Write the file where it is time to."""
        if self._path is None or not self.sessions.learning.kinds or (not always and time.monotonic() - self._written < EVERY):
            return
        self._written = time.monotonic()
        with self.sessions.lock:
            plain = self.sessions.leases.view(np.ndarray)
            saved = plain[(plain["length"] != 0) & (plain["end"] == NEVER)].tobytes()
        head = {"form": FORM, "key": [f"{word:016x}" for word in self.sessions.key], "leases": len(saved) // LEASE.itemsize,
                "sha256": hashlib.sha256(saved).hexdigest()}
        beside = self._path.with_suffix(".part")
        try:
            with contextlib.suppress(FileNotFoundError):
                beside.unlink()
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(json.dumps(head).encode() + b"\n" + saved)
                file.flush()
                os.fsync(file.fileno())
            beside.rename(self._path)
        except OSError as error:
            log.warning("sessions can't be written", extra={"path": str(self._path), "reason": error.strerror})
