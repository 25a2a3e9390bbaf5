"""Asking the probe for its figures without waiting for ever: what scrapes, health checks and the watchdog share.

However many ask a probe that hangs, one thread waits for it; the others wait for the same answer, each for its own time.
"""
from __future__ import annotations

import threading
from concurrent.futures import Future

from dpi.health import Ask, Health


class Silent(Exception):
    """The probe gave no figures: it did not answer in time, or failed while it did. The words say which."""


class Patience:
    """An `Ask` that answers within `seconds` or raises Silent. Safe from any thread."""

    def __init__(self, ask: Ask, seconds: float = 1.0) -> None:
        self.seconds = seconds
        self._ask = ask
        self._lock = threading.Lock()
        self._coming: Future[Health] | None = None

    def __call__(self) -> Health:
        """The probe's figures, at most as old as the question; Silent where there are none."""
        return self.within(self.seconds)

    def within(self, seconds: float) -> Health:
        """The same with a patience of its own, s."""
        try:
            return self._asked().result(seconds)
        except TimeoutError:
            # Python's own TimeoutError is also what a failing `ask` may raise: either way there was no answer
            raise Silent(f"the probe did not answer within {seconds:g} s") from None
        except Exception as error:
            raise Silent(f"the probe failed to answer: {type(error).__name__}: {error}") from error

    def _asked(self) -> Future[Health]:
        """The answer under way, or a new one."""
        with self._lock:
            if self._coming is None:
                coming: Future[Health] = Future()
                # started before it is kept: where no thread can be had, the next one tries again
                threading.Thread(target=self._answer, args=(coming,), name="figures", daemon=True).start()
                self._coming = coming
            return self._coming

    def _answer(self, coming: Future[Health]) -> None:
        health, failure = None, None
        try:
            health = self._ask()
        except BaseException as error:      # in a thread nobody else would see it
            failure = error
        with self._lock:
            self._coming = None
        if health is None:
            coming.set_exception(failure or ValueError("no figures"))
        else:
            coming.set_result(health)
