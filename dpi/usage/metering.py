"""Usage computed day and night: in the probe beside its other threads, or by `fullspan usage run` for a store on a server.

A pass follows when a minute has closed. It looks at the hours since the newest minute that was closed before; once an hour at all there is, for flows that were
stored late: their slots are found by their number of flow rows and get another revision.
"""
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from dpi.errors import UserError
from dpi.health import UsageHealth
from dpi.usage.computing import Job, Outcome, TooOld
from dpi.usage.definition import HOUR
from dpi.usage.slots import Asked, told_until

EVERY = 5.0             # s between two looks whether a minute has closed
WHOLE = 3600.0          # s between two passes over all there is
_LATE = 600             # s before the newest closed minute from which on each pass looks for flows that were stored late
log = logging.getLogger("dpi.usage")


class Metering:
    """Computes usage of live traffic until `close`: what probes have told of at once, what one that went away left untold within the hour.

    open: gives the store; asked again after it was away."""

    def __init__(self, open: Callable[[], Asked], probe: str = "", every: float = EVERY) -> None:
        """probe: whose lag `health` tells; '' the one that lags most."""
        self._open, self._probe, self._every = open, probe, every
        self._store: Asked | None = None
        self._job: Job | None = None
        self._until: dict[str, int] = {}            # of the last pass; {}: another is due
        self._known: dict[str, int] = {}
        self._whole = -WHOLE
        self._slots = self._failures = self._revised = 0
        self._trouble = ""
        self._turn = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="usage", daemon=True)

    def __enter__(self) -> Metering:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End after the slot that is being computed; what is missing is computed by the next run."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(60)

    def health(self) -> UsageHealth:
        """See dpi.health."""
        known = [at for probe, at in self._known.items() if self._probe in ("", probe)]
        return UsageHealth(self._slots, self._revised, self._failures, float(min(known)) if known else 0.0, self._trouble)

    def _run(self) -> None:
        while not self._over.wait(self._every):
            self.look()

    def look(self, now: float | None = None) -> Outcome | None:
        """A pass, where a minute has closed since the last one or an hour has gone by; what it did. Never raises: `health` tells the trouble."""
        try:
            with self._turn:
                return self._look(now)
        except TooOld as error:
            self._failed(str(error))
            self._over.set()
        except UserError as error:
            self._failed(str(error))
        except Exception as error:                  # a mistake of this program ends no probe
            self._failed(f"{type(error).__name__}: {error}")
        return None

    def _look(self, now: float | None) -> Outcome | None:
        if self._store is None or self._job is None:
            self._store = self._open()
            self._job = Job(self._store)
        until = told_until(self._store, now)
        whole = time.monotonic() - self._whole >= WHOLE or until.keys() != self._until.keys()
        grown = [before for probe, before in self._until.items() if until.get(probe) != before]
        if not grown and not whole:
            return None
        begin = None if whole else min(grown) - _LATE
        outcome = self._job.run(None if begin is None else begin - begin % HOUR, now=now)
        self._until = self._known = until
        if whole:
            self._whole = time.monotonic()
        self._slots += outcome.total("written")
        self._revised += outcome.total("revised")
        if outcome.total("unsettled"):
            self._until = {}                        # flows came meanwhile: again at once
        if self._trouble:
            log.info("usage is computed again", extra={"slots": outcome.total("written")})
        self._trouble = ""
        return outcome

    def _failed(self, why: str) -> None:
        self._failures += 1
        if not self._trouble:
            log.warning("usage can't be computed", extra={"reason": why})
        self._trouble = why
        self._until = {}                            # the next look computes again
