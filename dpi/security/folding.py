"""Detections become alerts: raised at the first, updated as they go on, cleared when nothing came for a while, reopened where it comes back soon.

All by the time of the packets, in the order of slots: the same detections give the same states. `take` and `advance` are called by one thread at a time.
"""
from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from operator import attrgetter

import numpy as np

from dpi.batch import AnyColumn, Batch, Coded, Made, Texts
from dpi.security.alert import Alert
from dpi.security.firing import Firing
from dpi.security.standing import Best, Held

SECOND = 1_000_000
EVERY = 60 * SECOND         # between two updates of an alert, at least
OPEN = 4096                 # alerts that are held, open or cooling down
SHARED = 1000               # customers that are told apart for an alert
SLOTS = 64                  # slots of an alert that are remembered as counted

Listener = Callable[[Alert], None]


class Told:
    """Which kinds fired for an address, and when: for detectors that yield to others (Detector.unless). Bounded: the oldest go."""

    def __init__(self, keys: int = 1 << 14) -> None:
        self._keys = keys
        self._last: dict[tuple[str, str], tuple[int, int]] = {}         # kind and address -> begin of the first slot, end of the newest

    def covers(self, firing: Firing) -> bool:
        """Whether another kind said it; a firing that is not covered is remembered."""
        for kind in firing.detector.unless:
            first, last = self._last.get((kind, firing.whom), (1 << 62, -(1 << 62)))
            if first < firing.end and last > firing.begin:
                return True
        which = (firing.detector.kind, firing.whom)
        first, _ = self._last.pop(which, (firing.begin, 0))
        self._last[which] = (first, firing.end)
        if len(self._last) > self._keys:
            del self._last[next(iter(self._last))]
        return False


class Folding:
    """quiet, cooldown: s. secret: gives what ids are keyed with, asked once; with another one they are others. listeners are told every state of every
    alert, in order."""

    def __init__(self, quiet: int = 300, cooldown: int = 900, secret: Callable[[], bytes] = bytes) -> None:
        self.take_times(quiet, cooldown)
        self._ask, self._secret = secret, b""
        self.listeners: list[Listener] = []
        self.until = 1 << 62        # time does not come further than that by a firing, us
        self.given_up = 0           # alerts cleared for want of room
        self.raised: dict[str, dict[str, int]] = {}         # alerts by kind and severity
        self._held: dict[str, Held] = {}        # the one that was heard of the longest ago first
        self._now, self._due = -(1 << 62), 1 << 62      # due: nothing is to be told of what is held before

    def take(self, firing: Firing) -> str:
        """Fold a firing in; the id of its alert."""
        self.advance(min(firing.end if firing.final else firing.last, self.until))
        key = f"{firing.detector.kind}:{firing.about}:{firing.probe}"
        held = self._held.pop(key, None)
        fresh = held is None
        if held is None:
            held = self._make(key, firing)
        self._held[key] = held
        which = (firing.number, firing.slot, f"{firing.source}>{firing.target}")
        if which not in held.slots:
            held.slots[which] = None
            held.count += 1
            while len(held.slots) > SLOTS:
                del held.slots[next(iter(held.slots))]
        held.several_sources |= firing.source != held.best.source
        held.several_targets |= firing.target != held.best.target
        if not fresh and (firing.strength, firing.final) >= (held.best.strength, held.best.final):
            held.best = Best.of(firing)
        held.first, held.last, held.until = min(held.first, firing.first), max(held.last, firing.last), max(held.until, firing.end)
        for customer in firing.customers[:SHARED - len(held.customers)]:
            held.customers[customer] = None
        held.changed = True
        if held.state in ("", "cleared"):
            self._tell(held, "raised")
        elif self._now - held.told >= EVERY:
            self._tell(held, "updated")
        self._due = min(self._due, self._next(held))
        return held.alert_id

    def advance(self, now: int) -> None:
        """Time has come to `now`, us: clear what is quiet, tell what has changed, forget what has cooled down."""
        if now <= self._now:
            return
        self._now = now
        if now < self._due:
            return
        for held in list(self._held.values()):
            over = max(held.last, held.until) + self.quiet
            if held.state != "cleared" and now > over:
                self._tell(held, "cleared")
            if held.state == "cleared":
                if now > over + self.cooldown:
                    del self._held[held.dedup_key]
            elif held.changed and now - held.told >= EVERY:
                self._tell(held, "updated")
        self._due = min((self._next(held) for held in self._held.values()), default=1 << 62)

    def _next(self, held: Held) -> int:
        """The first time at which something may be to be done about it."""
        over = max(held.last, held.until) + self.quiet
        if held.state == "cleared":
            return over + self.cooldown + 1
        return min(over + 1, held.told + EVERY) if held.changed else over + 1

    def pause(self, now: int) -> None:
        """The probe ends: tell what has changed since. What is open stays so, and is in `held` for the next start."""
        self.advance(now)
        for held in self._held.values():
            if held.changed and held.state != "cleared":
                self._tell(held, "updated")

    def abandon(self) -> None:
        """The clock has gone back: nothing of before can be followed any more, and is cleared."""
        for held in self._held.values():
            if held.state != "cleared":
                self._tell(held, "cleared")
        self._held.clear()
        self._now, self._due = -(1 << 62), 1 << 62

    def finish(self, now: int) -> None:
        """A capture ends: tell what has changed since, and begin anew."""
        self.pause(now)
        self._held.clear()
        self._now, self._due = -(1 << 62), 1 << 62

    def forget(self) -> None:
        """Let go of whoever listens or gave the secret: a hundred megabytes of tables would wait for them in a ring of references."""
        self.listeners, self._ask = [], bytes

    def take_times(self, quiet: int, cooldown: int) -> None:
        """Of now on. quiet, cooldown: s."""
        self.quiet, self.cooldown, self._due = quiet * SECOND, cooldown * SECOND, -(1 << 62)

    def resume(self, held: Iterable[Held]) -> None:
        """What was open or cooled down when the probe ended, or was killed."""
        self._held.update((one.dedup_key, one) for one in held)
        self._due = -(1 << 62)

    @property
    def held(self) -> list[Held]:
        """Alerts that are open or cool down."""
        return list(self._held.values())

    @property
    def open(self) -> int:
        """Alerts that are not cleared."""
        return sum(held.state != "cleared" for held in self._held.values())

    def _make(self, key: str, firing: Firing) -> Held:
        if len(self._held) >= OPEN:
            oldest = next(iter(self._held.values()))
            if oldest.state != "cleared":
                self._tell(oldest, "cleared")
                self.given_up += 1
            del self._held[oldest.dedup_key]
        # keyed: an id goes to receivers that see no address, and the addresses of a network could be tried against it
        self._secret = self._secret or self._ask()
        number = hashlib.blake2b(f"{key}@{firing.begin}".encode(), digest_size=8, key=self._secret).hexdigest()
        held = Held(number, key, Best.of(firing), firing.first, firing.last, firing.end, self._now)
        counts = self.raised.setdefault(firing.detector.kind, {})
        counts[firing.detector.severity] = counts.get(firing.detector.severity, 0) + 1
        return held

    def _tell(self, held: Held, state: str) -> None:
        held.state, held.told, held.changed = state, self._now, False
        held.revision += 1
        alert = held.alert()
        for listener in self.listeners:
            listener(alert)


def rows(alerts: list[Alert], stored_time: int) -> Batch:
    """Rows of `alerts`."""
    def text(name: str) -> Callable[[], AnyColumn]:
        return lambda: Texts.of(map(attrgetter(name), alerts))

    def made(name: str) -> Callable[[], AnyColumn]:
        return lambda: Texts.of([one.text(name) for one in alerts])

    def words(name: str) -> Callable[[], AnyColumn]:
        return lambda: Coded.of(map(attrgetter(name), alerts))

    def number(kind: type, name: str) -> Callable[[], AnyColumn]:
        return lambda: np.fromiter(map(attrgetter(name), alerts), kind, len(alerts))

    return Batch("alerts", len(alerts), Made({
        **{name: text(name) for name in ("alert_id", "dedup_key", "source", "target")}, **{name: made(name) for name in sorted(Alert.TEXTS)},
        **{name: words(name) for name in ("kind", "severity", "state", "customer_id", "service_id", "technique", "probe")},
        **{name: number(np.int64, name) for name in ("first_time", "last_time")},
        **{name: number(np.uint32, name) for name in ("signature_id", "shared_by", "revision")},
        "count": number(np.uint64, "count"), "capture_id": number(np.uint64, "capture_id"),
        "stored_time": lambda: np.full(len(alerts), stored_time, np.int64)}))
