"""Gives alerts to one receiver from a spool on disk, at least once, with a thread of its own: a slow receiver holds nobody else.

States of one alert go in their order. What is answered with "not now" goes to the back, so that one alert a receiver chokes on does not hold the others; where
nobody answers, the oldest is tried again. Pauses grow from one second to a minute and are never quite the same, or are as long as the receiver asks.
"""
from __future__ import annotations

import heapq
import json
import logging
import random
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields
from pathlib import Path

from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.health import ReceiverHealth
from dpi.security.alert import Alert
from dpi.sinks.alerts import sender
from dpi.sinks.discretion import masked
from dpi.sinks.receiver import SEVERITIES, Later, Receiver, Refused
from dpi.store.disk_spool import DiskSpool, Full, Order
from dpi.store.parcel import Parcel

log = logging.getLogger("dpi.alerts")
_REMEMBERED = 10_000        # alerts of which it is known that they stand, and what was told of them
_STANDS = 86_400.0          # s after which an alert nobody has spoken of is not sent again
_FIELDS = {one.name for one in fields(Alert)}
_OUTAGE = 3                 # failures in a row that the log tells of
_ASIDE = 4                  # of the spool's room, the part (1/4) that what was refused may take


@dataclass(frozen=True)
class Pace:
    """Seconds between attempts: the first pause, and the longest."""
    first: float = 1.0
    most: float = 60.0

    def pause(self, failures: int) -> float:
        """After so many failures in a row, 1 at least."""
        return min(self.most, self.first * 2.0 ** min(failures - 1, 30)) * random.uniform(0.5, 1.0)


class Courier:
    """One receiver's. `put` may be called from any one thread; it returns when the alert is on disk."""

    def __init__(self, receiver: Receiver, directory: Path, pace: Pace | None = None, silent: Callable[[Alert], bool] = lambda alert: False) -> None:
        """silent: whether nobody is to be told of an alert now. UserError where the directory or the certificate authorities can't be had."""
        self.receiver, self._pace, self._silent = receiver, pace or Pace(), silent
        self._sender = sender(receiver)
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"alerts can't be kept here: {error.strerror}", str(directory), "name a directory that may be written") from None
        self._spool = DiskSpool(directory, receiver.spool_bytes)
        self._boot, self._sequence = max(time.time_ns() // 1000, self._spool.last_boot + 1), 0
        self._bell = threading.Condition()
        self._lines: dict[str, deque[Order]] = {}           # alert -> its states that wait, in their order
        self._due: list[tuple[int, Order, str]] = []        # heap: (times it was answered "not now", first state of an alert, alert)
        self._standing: OrderedDict[str, tuple[Alert, float]] = OrderedDict()
        self._told: OrderedDict[str, int] = OrderedDict()
        self._sent = self._failed = self._refused = self._dropped = self._failures = self._silenced = 0
        self._trouble, self._over, self._full, self._aside_bytes = "", False, False, receiver.spool_bytes
        for order in self._spool.orders():
            if (alert := self._read(order)) is not None:
                self._line_up(alert.alert_id, order)
        self._thread = threading.Thread(target=self._run, name=f"alerts {receiver.name}", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def know(self, alerts: Iterable[Alert]) -> None:
        """Before start(): these stood when the probe ended, and this receiver was told."""
        for alert in alerts:
            if not self.receiver.concerns(alert) or alert.state == "cleared":
                continue
            silent = self._silent(alert)
            self._note(alert, -1 if silent else SEVERITIES.index(alert.severity))
            if self._sender.every and not silent:
                self._stand(alert)

    def inherit(self, other: Courier) -> None:
        """Before start(): go on where the closed one ended, whose receiver has the same name and other settings."""
        self._told, self._standing = other._told, other._standing if self._sender.every else OrderedDict()
        for name in ("_sent", "_failed", "_refused", "_dropped", "_silenced"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self._dropped += other._spool.damaged

    def put(self, alert: Alert) -> None:
        """Keep it until it is sent, where this receiver wants it; counted as dropped where there is no room."""
        if not self._wanted(alert):
            return
        parcel = Parcel("alerts", 1, alert.probe, self._boot, self._sequence, time.time_ns() // 1000, (("alert", json.dumps(asdict(alert)).encode()),))
        self._sequence += 1
        try:
            self._spool.put(parcel)
        except Full as full:
            with self._bell:
                self._dropped += 1
            if not self._full:
                log.error("alerts dropped", extra={"receiver": self.receiver.name, "reason": str(full)})
            self._full = True
            return
        self._full = False
        with self._bell:
            self._line_up(alert.alert_id, parcel.order)
            self._bell.notify_all()

    def health(self) -> ReceiverHealth:
        """At any time, from any thread."""
        with self._bell:
            return ReceiverHealth(self.receiver.name, self.receiver.kind, self._sent, self._failed, len(self._spool), self._refused,
                                  self._dropped + self._spool.damaged, self._spool.bytes, self._trouble, self._silenced)

    def settled(self, end: float) -> bool:
        """Wait until nothing waits, until that time.monotonic() at most; whether nothing does."""
        with self._bell:
            while len(self._spool) and (left := end - time.monotonic()) > 0:
                self._bell.wait(min(left, 1.0))
            return not len(self._spool)

    def close(self, seconds: float = 2.0) -> None:
        """End. What is under way is given so long; what was not sent is on disk."""
        with self._bell:
            self._over = True
            self._bell.notify_all()
        if self._thread.is_alive():
            self._thread.join(seconds)
        self._sender.close()
        self._spool.close()

    def _wanted(self, alert: Alert) -> bool:
        """Whether it is sent: states the receiver asks for, and an update that makes it graver than what was told or left untold."""
        if self._silent(alert):
            self._hush(alert)
            return False
        receiver, rank = self.receiver, SEVERITIES.index(alert.severity) if alert.severity in SEVERITIES else len(SEVERITIES)
        graver = alert.state == "updated" and "raised" in receiver.states and rank > self._told.get(alert.alert_id, len(SEVERITIES))
        wanted = receiver.concerns(alert) and (graver or alert.state in receiver.states)
        if wanted or alert.state != "updated":
            self._note(alert, rank if wanted and alert.state != "cleared" else -1)        # cleared: an update would open it anew
        return wanted

    def _hush(self, alert: Alert) -> None:
        """Nothing is said of it. Once something may be, its next state opens it anew."""
        self._note(alert, -1)
        with self._bell:
            self._silenced += self.receiver.concerns(alert)

    def _note(self, alert: Alert, rank: int) -> None:
        with self._bell:
            self._told[alert.alert_id] = rank
            while len(self._told) > _REMEMBERED:
                self._told.popitem(last=False)

    def _line_up(self, alert: str, order: Order) -> None:
        if alert in self._lines:
            self._lines[alert].append(order)
        else:
            self._lines[alert] = deque((order,))
            heapq.heappush(self._due, (0, order, alert))

    def _read(self, order: Order) -> Alert | None:
        """What waits there; None where it is damaged, or of another version: then it is set aside."""
        parcel = self._spool.get(order)
        if parcel is None:
            return None
        try:
            found = json.loads(parcel.columns[0][1])
            return Alert(**{name: found[name] for name in _FIELDS})
        except (ValueError, KeyError, IndexError, TypeError):
            self._aside(parcel)
            return None

    def _aside(self, parcel: Parcel) -> None:
        self._refused += 1
        self._spool.refuse(parcel)
        self._aside_bytes += parcel.size
        if self._aside_bytes > self.receiver.spool_bytes // _ASIDE:
            self._spool.trim(self.receiver.spool_bytes // _ASIDE // 2)
            self._aside_bytes = self.receiver.spool_bytes // _ASIDE // 2

    def _run(self) -> None:
        every = self._sender.every
        # what stood before a restart is said at once
        ready, again = 0.0, time.monotonic() + (0.0 if self._standing else every)        # when an attempt may be made, when those that stand are due
        while True:
            with self._bell:
                while not self._over:
                    now = time.monotonic()
                    moments = [ready] if self._due else []
                    moments += [max(ready, again)] if every else []
                    if moments and min(moments) <= now:
                        break
                    self._bell.wait(min(moments) - now if moments else None)
                if self._over:
                    return
                repeating = bool(every) and now >= again
                order = None if repeating else heapq.heappop(self._due)
            if order is None:
                again = now + every
                pause = self._repeat()
            else:
                pause = self._deliver(*order)
            ready = time.monotonic() + pause

    def _deliver(self, tries: int, order: Order, name: str) -> float:
        """Send the first state of an alert that waits; seconds to wait before the next attempt."""
        alert, pause = self._read(order), 0.0
        if alert is None:
            return self._done(name)
        if self._silent(alert):         # since it was put here
            self._hush(alert)
            self._spool.remove(order)
            return self._done(name)
        try:
            self._sender.send(alert if self.receiver.trusted else masked(alert))
        except Later as later:
            pause = self._later(later)
            with self._bell:
                heapq.heappush(self._due, (tries + later.answered, order, name))
            return pause
        except Refused as refused:
            self._set_aside(order, str(refused))
            return self._done(name)
        except Exception as error:      # a fault of ours: the alert is kept aside, the thread goes on. Only its kind is told, its words may hold an address
            self._set_aside(order, f"it can't be written: {type(error).__name__}")
            return self._done(name)
        self._well()
        with self._bell:
            self._sent += 1         # before nothing waits any more: who waits for that reads it then
        self._spool.remove(order)
        if self._sender.every:
            self._stand(alert)
        return self._done(name)

    def _done(self, name: str) -> float:
        with self._bell:
            line = self._lines[name]
            line.popleft()
            if line:
                heapq.heappush(self._due, (0, line[0], name))
            else:
                del self._lines[name]
            self._bell.notify_all()
        return 0.0

    def _set_aside(self, order: Order, why: str) -> None:
        parcel = self._spool.get(order)
        log.error("alert refused", extra={"receiver": self.receiver.name, "reason": why})
        with self._bell:
            self._trouble = why
            if parcel is not None:
                self._aside(parcel)

    def _stand(self, alert: Alert) -> None:
        self._standing.pop(alert.alert_id, None)
        if alert.state != "cleared":
            self._standing[alert.alert_id] = (alert, time.monotonic())
            while len(self._standing) > _REMEMBERED:
                self._standing.popitem(last=False)

    def _repeat(self) -> float:
        """Say of all that stand that they do; seconds to wait before the next attempt."""
        now = time.monotonic()
        for name in [name for name, (alert, heard) in self._standing.items() if now - heard > _STANDS or self._silent(alert)]:
            del self._standing[name]
        alerts = [alert if self.receiver.trusted else masked(alert) for alert, _heard in self._standing.values()]
        try:
            for at in range(0, len(alerts), 500):
                self._sender.repeat(alerts[at:at + 500])
                self._well()
        except Later as later:
            return self._later(later)
        except Exception as error:
            why = str(error) if isinstance(error, Refused) else type(error).__name__
            log.error("alerts can't be sent again", extra={"receiver": self.receiver.name, "reason": why})
        return 0.0

    def _later(self, later: Later) -> float:
        with self._bell:
            self._failures += 1
            self._failed += 1
            before, self._trouble = self._trouble, str(later)
            # one line for an outage, not one for each attempt, and none where the next attempt is well
            if self._failures == _OUTAGE or self._failures > _OUTAGE and before != self._trouble:
                log.warning("alert not sent, tried again", extra={"receiver": self.receiver.name, "reason": str(later), "waiting": len(self._spool)})
            return max(later.after, self._pace.pause(self._failures))

    def _well(self) -> None:
        with self._bell:
            if self._failures >= _OUTAGE:
                log.info("receiver takes alerts again", extra={"receiver": self.receiver.name, "waiting": len(self._spool)})
            self._failures, self._trouble = 0, ""
