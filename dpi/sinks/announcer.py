"""All receivers of alerts: takes each state of each alert from the detectors, without ever making them wait, and gives it to those whom it concerns.

A thread writes what it is given to the spools; until it is on disk it is in memory, and a process that is killed in that moment (milliseconds, unless the disk
is slow) has not announced it.
"""
from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from dpi.errors import UserError
from dpi.health import ReceiverHealth
from dpi.security.alert import Alert
from dpi.settings import Settings
from dpi.sinks.alerts import receivers, sender
from dpi.sinks.courier import Courier, Pace
from dpi.sinks.discretion import masked
from dpi.sinks.receiver import Later, Receiver, Refused
from dpi.store.disk_spool import PARCEL

log = logging.getLogger("dpi.alerts")
_IN_MEMORY = 10_000         # alerts on their way to the spools
_UNDER_WAY = 20.0           # s that a request may take to whom the settings name no more, or otherwise
SAMPLE = Alert(alert_id="0000000000000000", dedup_key="test", kind="test", signature_id=0, severity="low", state="raised", first_time=0, last_time=0, count=1,
               source="192.0.2.1", target="2001:db8::1", customer_id="", service_id="", shared_by=0, technique="", summary="A test: nothing has happened.",
               summary_zh="这是一条测试消息，没有发生任何事件。", evidence="sent by hand", probe="", capture_id=0, revision=1)


class Announcer:
    """A callable: give it states of alerts from any thread. Between start() and close()."""

    def __init__(self, chosen: Sequence[Receiver], directory: Path, pace: Pace | None = None, silent: Callable[[Alert], bool] = lambda alert: False) -> None:
        """directory: has one for each receiver. silent: whether nobody is to be told of an alert now. UserError where one can't be had; then none is."""
        self._directory, self._pace, self._silent = directory, pace, silent
        self._couriers: list[Courier] = []
        self._change = threading.Lock()         # held while couriers are given something, or are exchanged
        self._lost = 0              # for want of room in memory, of each receiver
        self._queue: deque[Alert] = deque()
        self._bell = threading.Condition()
        self._busy = self._over = False
        try:
            for receiver in chosen:
                self._couriers.append(self._courier(receiver))
        except UserError:
            for courier in self._couriers:
                courier.close()
            raise
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)

    def __bool__(self) -> bool:
        """Whether anybody is told."""
        return bool(self._couriers)

    def _courier(self, receiver: Receiver) -> Courier:
        return Courier(receiver, self._directory / receiver.name, self._pace, self._silent)

    def know(self, alerts: Sequence[Alert]) -> None:
        """Before start(): these stood when the probe ended."""
        for courier in self._couriers:
            courier.know(alerts)

    def adopt(self, chosen: Sequence[Receiver]) -> None:
        """Other receivers from now on: those that are as they were go on, others end and begin, which waits for requests under way. Nothing is lost. One
        whose directory or certificate authorities can't be had is left out, and the log says so: what concerned it before waits on disk."""
        with self._change:
            if self._over:
                return
            before = {courier.receiver.name: courier for courier in self._couriers}
            wanted = {receiver.name: receiver for receiver in chosen}
            ended = {name: courier for name, courier in before.items() if wanted.get(name) != courier.receiver}
            self._end(list(ended.values()), _UNDER_WAY)
            now: list[Courier] = []
            for name, receiver in wanted.items():
                if name in before and name not in ended:
                    now.append(before[name])
                    continue
                try:
                    made = self._courier(receiver)
                except UserError as error:
                    log.error("receiver left out", extra={"receiver": name, "reason": str(error)})
                    continue
                if name in ended:
                    made.inherit(ended[name])
                made.start()
                now.append(made)
            self._couriers = now
        self._left()

    def start(self) -> None:
        """Begin to send, also what an earlier process left."""
        self._thread.start()
        for courier in self._couriers:
            courier.start()
        self._left()

    def _left(self) -> None:
        """Tell of what waits for nobody."""
        named = {courier.receiver.name for courier in self._couriers}
        for left in sorted(self._directory.glob("*/")) if self._directory.is_dir() else ():
            if left.name not in named and (waiting := sum(1 for _ in left.glob(f"*{PARCEL}"))):
                log.warning("alerts wait for a receiver that the settings do not name any more", extra={"receiver": left.name, "waiting": waiting})

    def __call__(self, alert: Alert) -> None:
        """Announce a state of an alert. Waits for nothing; where the disk is slower than alerts come for long, the newest are dropped and counted."""
        with self._bell:
            if len(self._queue) >= _IN_MEMORY or self._over:
                self._lost += 1
                return
            self._queue.append(alert)
            self._bell.notify_all()

    def kept(self, seconds: float) -> bool:
        """Wait until all that was announced is on disk; whether it is."""
        end = time.monotonic() + seconds
        with self._bell:
            while (self._queue or self._busy) and (left := end - time.monotonic()) > 0:
                self._bell.wait(left)
            return not self._queue and not self._busy

    def settled(self, seconds: float) -> bool:
        """Wait until all that was announced is with its receivers; whether it is."""
        end = time.monotonic() + seconds
        return self.kept(seconds) and all([courier.settled(end) for courier in self._couriers])

    def health(self) -> tuple[ReceiverHealth, ...]:
        """Of each receiver, at any time, from any thread."""
        return tuple(replace(one, dropped=one.dropped + self._lost) for one in (courier.health() for courier in self._couriers))

    def close(self, seconds: float = 2.0) -> None:
        """Write what is left to the spools and end; what was not sent is sent after the next start. seconds: for requests under way."""
        with self._bell:
            self._over = True
            self._bell.notify_all()
        if self._thread.is_alive():
            self._thread.join(seconds + 30)
        with self._change:
            self._end(self._couriers, seconds)

    @staticmethod
    def _end(couriers: Sequence[Courier], seconds: float) -> None:
        closing = [threading.Thread(target=courier.close, args=(seconds,)) for courier in couriers]
        for one in closing:
            one.start()
        for one in closing:
            one.join()

    def _run(self) -> None:
        while True:
            with self._bell:
                self._busy = False
                self._bell.notify_all()
                while not self._queue and not self._over:
                    self._bell.wait()
                if not self._queue:
                    return
                alert, self._busy = self._queue.popleft(), True
            with self._change:
                for courier in self._couriers:
                    try:
                        courier.put(alert)
                    except Exception:
                        log.exception("alert can't be kept", extra={"receiver": courier.receiver.name})


def announcer(settings: Settings, directory: Path, silent: Callable[[Alert], bool] = lambda alert: False) -> Announcer:
    """Of the receivers that the settings name. UserError for one with a fault."""
    return Announcer(receivers(settings), directory, silent=silent)


def checked(settings: Settings) -> list[Receiver]:
    """The receivers, looked through as far as it goes without a message: settings, secrets, certificate authorities. UserError for one with a fault."""
    every = receivers(settings)
    for receiver in every:
        sender(receiver).close()
    return every


def test(settings: Settings, name: str) -> None:
    """Send a made-up alert to a receiver at once, raised and then cleared. UserError says why it was not taken."""
    if name not in settings.alert:
        raise UserError(f"no receiver is called {name!r}", settings.origin or "fullspan.toml", f"there are {', '.join(settings.alert) or 'none'}")
    receiver = next(one for one in receivers(replace(settings, alert={name: settings.alert[name]})))
    one, now = sender(receiver), time.time_ns() // 1000
    with contextlib.closing(one):
        for revision, state in enumerate(("raised", "cleared"), 1):
            alert = replace(SAMPLE, alert_id=f"test{now:x}", state=state, first_time=now, last_time=now, revision=revision, probe=settings.probe.name)
            try:
                one.send(alert if receiver.trusted else masked(alert))
            except (Later, Refused) as refused:
                raise UserError(f"it was not taken: {refused}", f"[alert.{name}]") from None
