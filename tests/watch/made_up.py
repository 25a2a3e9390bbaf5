"""A probe without packets, as a process of its own: what stands around a probe, over figures that the test writes to a file.

python -m tests.watch.made_up FIGURES PORT: FIGURES is JSON (see `health`), read again at each question; prints the port it serves on. SIGHUP reloads,
SIGTERM ends.
"""
from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from dpi import logs
from dpi.health import Health, StoreHealth, WorkerHealth
from dpi.notify import Notifier, Watchdog
from dpi.watch import Watch

TABLE = 1000


def health(figures: dict[str, Any], now: float) -> Health:
    """`rate`: packets a second since `from` (s since the epoch), above `packets`; the rest by the names of Health, for one worker on span0."""
    worker = dict(figures.get("worker", {}))
    worker["packets"] = worker.get("packets", 0) + int(figures.get("rate", 0) * (now - figures.get("from", now)))
    worker["lost"] = {where: int(rate * (now - figures["from"])) for where, rate in figures.get("lost_rates", {}).items()}
    return Health(probe="p1", version="0.1.0", rules_version="r7", began=figures.get("began", 1000.0), now=now, workers=(WorkerHealth("span0", 0, **worker),),
                  store=StoreHealth(**figures.get("store", {})), reload_failed=figures.get("reload_failed", ""))


def main(path: Path, port: int) -> None:
    logs.configure(os.environ.get("FORM", "logfmt"))

    def ask() -> Health:
        figures = json.loads(path.read_text())
        while figures.get("hangs"):
            time.sleep(0.02)
            figures = json.loads(path.read_text())
        return health(figures, time.time())

    notifier = Notifier()
    watchdog = Watchdog(notifier, ask)
    signals = {signal.SIGHUP, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with Watch(ask, table_flows=TABLE, port=port) as watch:
        watchdog.start()
        notifier.ready("reading span0")
        print(watch.port, flush=True)
        while signal.sigwait(signals) == signal.SIGHUP:
            notifier.reloading()
            notifier.ready("reloaded")
        notifier.stopping()
        watchdog.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
