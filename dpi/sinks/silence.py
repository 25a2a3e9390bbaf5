"""Whether nobody is to be told of an alert now: a person has muted it, or its network is in maintenance.

Mutes are rows of the store, which another process may write: a thread asks for them every few seconds. Where the store is away, what was known holds.
"""
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from dpi.errors import UserError
from dpi.security.alert import Alert

if TYPE_CHECKING:
    from dpi.security.exemption import Exemption

EVERY = 10.0                # s between two looks
log = logging.getLogger("dpi.alerts")


class Silence:
    """A callable: is this alert silent now? From any thread. Between start() and close() it knows what is muted.

    ask: says what is muted (dpi.store.alerts.mutes); None: nothing is stored, and nothing can be muted."""

    def __init__(self, ask: Callable[[], dict[str, int]] | None = None, muted: dict[str, int] | None = None, every: float = EVERY) -> None:
        """muted: what was known before: key of alerts -> until, us; 0: for ever. It is kept up to date."""
        self.muted: dict[str, int] = {} if muted is None else muted
        self.exemption: Exemption | None = None
        self._ask, self._every, self._trouble = ask, every, ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mutes", daemon=True)

    def __call__(self, alert: Alert) -> bool:
        now = time.time_ns() // 1000
        until = self.muted.get(alert.dedup_key, -1)
        if until == 0 or until > now:
            return True
        return self.exemption is not None and self.exemption.maintained(now, [end for end in (alert.source, alert.target) if end])

    def look(self) -> None:
        """Ask the store now. Never raises."""
        if self._ask is None:
            return
        try:
            found = self._ask()
        except UserError as error:
            if not self._trouble:
                log.warning("what is muted can't be read; what was known holds", extra={"reason": str(error)})
            self._trouble = str(error)
            return
        self._trouble = ""
        for key in [key for key in self.muted if key not in found]:
            self.muted.pop(key, None)
        self.muted.update(found)

    def start(self) -> None:
        """Look now and then. It may be called again."""
        if self._ask is not None and self._thread.ident is None:
            self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _run(self) -> None:
        while True:
            try:
                self.look()
            except Exception:           # a store of an earlier version may have no such table
                log.exception("what is muted can't be read")
            if self._over.wait(self._every):
                return
