"""What carries alerts of a probe, or of a replay that is asked to, to people: the receivers of the settings, where they wait, and what is silent."""
from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from dpi.health import ReceiverHealth
from dpi.security.standing import Standing
from dpi.security.watchman import Watchman
from dpi.settings import Settings
from dpi.sinks.alerts import receivers
from dpi.sinks.announcer import announcer
from dpi.sinks.receiver import Receiver
from dpi.sinks.silence import Silence


class Announcing:
    """Between start() and close()."""

    def __init__(self, settings: Settings, directory: Path, ask: Callable[[], dict[str, int]] | None = None, standing: Standing | None = None) -> None:
        """directory: has one for each receiver. ask: says what is muted. standing: the alerts that outlive the probe. UserError: a receiver with a fault."""
        self.standing = standing
        self.silence = Silence(ask, None if standing is None else standing.muted)
        self.announcer = announcer(settings, directory, self.silence)
        self._chosen: list[Receiver] = []

    def start(self, watchman: Watchman | None) -> None:
        """Tell what the watchman finds; what waits from before goes in any case."""
        if watchman is not None:
            self.silence.exemption = watchman.exemption
            self.announcer.know([one.alert() for one in watchman.folding.held])
            watchman.listen(self.announcer)
        if self.announcer:
            self.silence.start()
        self.announcer.start()

    def adopt(self, settings: Settings, watchman: Watchman | None) -> None:
        """Settings that have changed. Receivers are exchanged beside the caller, who has packets to read."""
        if watchman is not None:
            self.silence.exemption = watchman.exemption
        self._chosen = receivers(settings)
        if self._chosen:
            self.silence.start()
        threading.Thread(target=lambda: self.announcer.adopt(self._chosen), name="alerts adopt", daemon=True).start()      # the newest, where two overlap

    def health(self) -> tuple[ReceiverHealth, ...]:
        """See dpi.health."""
        return self.announcer.health()

    def settled(self, seconds: float) -> int:
        """Wait until everything is with its receivers, so long at most; how many states of alerts still wait."""
        end = time.monotonic() + seconds
        return 0 if self.announcer.settled(end - time.monotonic()) else sum(one.waiting for one in self.health())

    def close(self) -> None:
        """What was not sent is sent after the next start."""
        self.silence.close()
        self.announcer.close()


def place(url: str) -> Path:
    """Where alerts of a store wait: beside it, where it is a directory, else in $STATE_DIRECTORY or here."""
    from dpi.store import address

    where = address(url)
    if where.scheme == "chdb":
        return where.path.with_name(f"{where.path.name}.spool") / "alerts"
    return Path(os.environ.get("STATE_DIRECTORY", ".").partition(":")[0]) / "fullspan.alerts"
