"""What systemd is told of the probe, by its sd_notify protocol: datagrams of NAME=value lines to the socket $NOTIFY_SOCKET names.

Where that is not set, nothing is sent and nothing fails. The protocol is described in sd_notify(3); it is a few lines, and the libraries there are
know neither reloads nor the watchdog.
"""
from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Mapping

from dpi.health import Ask, Health
from dpi.patience import Patience, Silent

_STATUS_EVERY = 10.0        # s between two lines of status where no watchdog sets the pace
_SEND = 1.0                 # s to wait for a full queue
_LONGEST = 500              # characters of a status: `systemctl status` shows one line

log = logging.getLogger(__name__)


class Notifier:
    """Tells systemd. Each method returns whether it was sent; a socket that is gone is logged once and otherwise ignored."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        name = environment.get("NOTIFY_SOCKET", "")
        # a name that begins with @ is abstract: to the kernel it begins with a zero byte
        self._address = "\0" + name[1:] if name.startswith("@") else name if name.startswith("/") else ""
        self._warned = False
        #: How long systemd waits between two signs of life, s; 0: it does not ask for any.
        self.watchdog = _watchdog(environment) if self._address else 0.0

    def __bool__(self) -> bool:
        """Whether anybody is told."""
        return bool(self._address)

    def ready(self, words: str = "") -> bool:
        """The start, or a reload, is over."""
        return self._send("READY=1", *_status(words))

    def status(self, words: str) -> bool:
        """A line for `systemctl status`."""
        return self._send(*_status(words))

    def reloading(self, words: str = "") -> bool:
        """A reload begins; ready() ends it."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}", *_status(words))

    def stopping(self, words: str = "") -> bool:
        """The end begins: what is still held is written."""
        return self._send("STOPPING=1", *_status(words))

    def alive(self, words: str = "") -> bool:
        """A sign of life for the watchdog."""
        return self._send("WATCHDOG=1", *_status(words))

    def _send(self, *lines: str) -> bool:
        if not self._address or not lines:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_SEND)
                sender.connect(self._address)
                sender.send("\n".join(lines).encode("utf-8", "replace"))
        except OSError as error:
            if not self._warned:
                self._warned = True
                log.warning("systemd can't be told", extra={"socket": self._address.replace("\0", "@"), "reason": error.strerror or str(error)})
            return False
        return True


class Watchdog:
    """Feeds systemd's watchdog at half its time, and says how the probe is, for as long as `ask` answers. Between start() and close().

    A probe that hangs is not fed, so systemd ends it and starts another; where no watchdog is set only the status is told.
    """

    def __init__(self, notifier: Notifier, ask: Ask) -> None:
        self._notifier = notifier
        self.every = notifier.watchdog / 2 or _STATUS_EVERY
        # an answer that takes its whole time must still arrive before the watchdog's end: half + a quarter
        self._ask = Patience(ask, min(1.0, self.every / 2))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin, with a first sign at once; nothing where nobody is told."""
        if self._notifier:
            self._thread.start()

    def close(self) -> None:
        """No further sign. To be called when the end begins only where the end is short: systemd's watchdog runs until the process is gone."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(self._ask.seconds + _SEND + 1)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._over.wait(max(0.0, due - time.monotonic())):
            due = time.monotonic() + self.every     # from here, not from the last one due: a machine that slept must not feed in a burst
            try:
                health = self._ask()
            except Silent as silent:
                log.error("no sign of life for systemd", extra={"reason": str(silent)})
                self._notifier.status(str(silent))
            else:
                words = summary(health)
                self._notifier.alive(words) if self._notifier.watchdog else self._notifier.status(words)


def summary(health: Health) -> str:
    """A line on how the probe is."""
    packets = sum(worker.packets for worker in health.workers)
    lost = sum(count for worker in health.workers for count in worker.lost.values()) + health.store.lost
    interfaces = ", ".join(sorted({worker.interface for worker in health.workers}))
    words = f"{packets} packets from {interfaces}" if interfaces else "no packets"
    rows = f"{health.store.rows} rows stored, {health.store.waiting} waiting"
    return f"{words}; {lost} lost; {rows}" + (f"; {health.trouble}" if health.trouble else "")


def _status(words: str) -> tuple[str, ...]:
    """A line break in the words would begin another assignment."""
    line = " ".join(words.split())[:_LONGEST]
    return (f"STATUS={line}",) if line else ()


def _watchdog(environment: Mapping[str, str]) -> float:
    """$WATCHDOG_USEC in s, where it is meant for this process; 0 else."""
    length, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not length.isascii() or not length.isdigit() or (process and process != str(os.getpid())):
        return 0.0
    return int(length) / 1e6
