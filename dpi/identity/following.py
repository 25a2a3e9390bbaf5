"""Bindings in a probe that runs: read at its start, at SIGHUP, and by themselves when their file changes.

The file is looked at twice a second and read once it has stayed the same between two looks. A process of its own reads it, so that no packet waits for a
hundred thousand lines to be parsed; what comes back is put in the place of the former whole, between two blocks of packets. With an error in the file what is
in force stays, and `health` says why.
"""
from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from dpi.errors import UserError
from dpi.health import IdentityHealth
from dpi.identity.bindings import Bindings
from dpi.identity.index import differing
from dpi.identity.stamper import Identity, Options, geography, load

LOOK = 0.5              # s between two looks at the file
_PATIENCE = 120         # s that reading may take
_CHILD = "import os, sys; sys.path[:] = sys.argv[1].split(os.pathsep); from dpi.identity.following import answer; answer(sys.argv[2:])"
#: Takes what is in force from now on, None for nothing; and CHANGE[] to cut at now.
Adopt = Callable[[Identity | None, Any], None]
_State = tuple[int, int, int] | None
log = logging.getLogger("dpi.probe")


class Following:
    """What is in force, and the thread that keeps it so between `start` and `close`."""

    def __init__(self, options: Options) -> None:
        """UserError: a file that is wrong."""
        self.options, self._lock, self._stop = options, threading.Lock(), threading.Event()
        self._seen = _state(options.bindings)
        self.identity = _ready(load(options), None) if options.given else None
        self._adopt: Adopt = lambda _identity, _changes: None
        self.reloads = self.refused = 0
        self.trouble = ""
        self._thread = threading.Thread(target=self._follow, name="bindings", daemon=True)

    def start(self, adopt: Adopt) -> None:
        """Look at the file from now on, and hand on what is read."""
        self._adopt = adopt
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def read(self, options: Options) -> Callable[[], None]:
        """Read anew what the options name (SIGHUP). Calling what is returned puts it in force. UserError, and nothing is changed, where it is wrong."""
        state = _state(options.bindings)
        fresh = _ready(_apart(options), self.identity) if options.given else None

        def take() -> None:
            if fresh is None and self.identity is None:
                return
            self.options, self._seen = options, state
            self._take(fresh)

        return take

    def health(self) -> IdentityHealth:
        """See dpi.health."""
        known = self.identity
        if known is None:
            return IdentityHealth(trouble=self.trouble)
        return IdentityHealth(len(known.bindings), known.bindings.in_force(time.time_ns() // 1000), self.reloads, self.refused, known.loaded, self.trouble)

    def _take(self, fresh: Identity | None) -> None:
        with self._lock:
            old = self.identity.bindings if self.identity is not None else Bindings()
            self.identity, self.trouble = fresh, ""
            self.reloads += 1
            self._adopt(fresh, differing(old, fresh.bindings if fresh is not None else Bindings(), time.time_ns() // 1000))
        for warning in fresh.bindings.warnings if fresh is not None else ():
            log.warning("bindings", extra={"warning": warning})

    def _follow(self) -> None:
        before = self._seen
        while not self._stop.wait(LOOK):
            options, state = self.options, _state(self.options.bindings)
            if state in (None, self._seen) or state != before:        # gone for a moment, as it was, or still being written
                before = state
                continue
            began = time.monotonic()
            try:
                fresh = _ready(_apart(options), self.identity)
            except UserError as error:
                self._seen, self.trouble = state, str(error)
                self.refused += 1
                log.error("bindings not taken", extra={"reason": self.trouble})
                continue
            if _state(options.bindings) != state or self.options is not options:
                continue                # it changed while it was read
            self._seen = state
            self._take(fresh)
            log.info("bindings", extra={"lines": len(fresh.bindings), "seconds": f"{time.monotonic() - began:.2f}"})


def _ready(fresh: Identity, old: Identity | None) -> Identity:
    """With its geography: the former's, where the files are the same."""
    names = (fresh.options.country_database, fresh.options.asn_database)
    states = tuple(map(_state, names))
    if old is not None and old.geography is not None and old.geography.state == (names, states):
        fresh.geography = old.geography
    else:
        fresh.geography = geography(fresh.options)
        if fresh.geography is not None:
            fresh.geography.state = (names, states)
    return fresh


def _state(path: str) -> _State:
    """What tells that a file has changed; None where there is none."""
    try:
        found = os.stat(path) if path else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None


def _apart(options: Options) -> Identity:
    """`load` in a process of its own. UserError as there."""
    command = [sys.executable, "-c", _CHILD, os.pathsep.join(sys.path), options.bindings, options.local_networks, options.probe, options.country_database,
               options.asn_database]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"the bindings can't be read: {error}", options.bindings, "see whether this machine has room for one more process") from None
    if done.returncode:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise UserError(f"the bindings can't be read: {last[0] if last else f'its process ended with {done.returncode}'}", options.bindings,
                        "see whether this machine has memory left")
    found = pickle.loads(done.stdout)
    if isinstance(found, Identity):
        return found
    raise UserError(*found)


def answer(words: list[str]) -> None:
    """The process of its own: an Identity, or what is wrong, to standard output."""
    try:
        found: Any = load(Options(*words))
    except UserError as error:
        found = (error.what, error.where, error.mend)
    sys.stdout.buffer.write(pickle.dumps(found, 5))
