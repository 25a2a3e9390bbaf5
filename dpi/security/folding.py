"""Detections become alerts: raised at the first, updated as they go on, cleared when nothing came for a while, reopened where it comes back soon.

All by the time of the packets, in the order of slots: the same detections give the same states. `take` and `advance` are called by one thread at a time.
"""
from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from dpi.batch import Batch, Coded, Texts
from dpi.security.alert import Alert
from dpi.security.firing import Firing

SECOND = 1_000_000
EVERY = 60 * SECOND         # between two updates of an alert, at least
OPEN = 4096                 # alerts that are held, open or cooling down
SHARED = 1000               # customers that are told apart for an alert
SLOTS = 64                  # slots of an alert that are remembered as counted

Listener = Callable[[Alert], None]


@dataclass
class _Held:
    """An alert that is open, or was cleared a short time ago."""
    alert_id: str
    dedup_key: str
    strongest: Firing
    first: int
    last: int
    until: int              # end of the newest slot
    told: int               # time of the newest state
    count: int = 0
    revision: int = 0
    state: str = ""
    changed: bool = False
    several_sources: bool = False
    several_targets: bool = False
    customers: dict[str, None] = field(default_factory=dict)
    slots: dict[tuple[int, int, str], None] = field(default_factory=dict)


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
    """quiet, cooldown: s. listeners are told every state of every alert, in order."""

    def __init__(self, quiet: int = 300, cooldown: int = 900) -> None:
        self.quiet, self.cooldown = quiet * SECOND, cooldown * SECOND
        self.listeners: list[Listener] = []
        self.given_up = 0           # alerts cleared for want of room
        self.raised: dict[str, dict[str, int]] = {}         # alerts by kind and severity
        self._held: dict[str, _Held] = {}       # the one that was heard of the longest ago first
        self._now, self._due = -(1 << 62), 1 << 62      # due: nothing is to be told of what is held before

    def take(self, firing: Firing) -> str:
        """Fold a firing in; the id of its alert."""
        self.advance(firing.end if firing.final else firing.last)
        key = f"{firing.detector.kind}:{firing.about}:{firing.probe}"
        held = self._held.pop(key, None)
        if held is None:
            held = self._make(key, firing)
        self._held[key] = held
        which = (firing.number, firing.slot, f"{firing.source}>{firing.target}")
        if which not in held.slots:
            held.slots[which] = None
            held.count += 1
            while len(held.slots) > SLOTS:
                del held.slots[next(iter(held.slots))]
        held.several_sources |= firing.source != held.strongest.source
        held.several_targets |= firing.target != held.strongest.target
        if (firing.strength, firing.final) >= (held.strongest.strength, held.strongest.final):
            held.strongest = firing
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

    def _next(self, held: _Held) -> int:
        """The first time at which something may be to be done about it."""
        over = max(held.last, held.until) + self.quiet
        if held.state == "cleared":
            return over + self.cooldown + 1
        return min(over + 1, held.told + EVERY) if held.changed else over + 1

    def finish(self, now: int) -> None:
        """A capture ends: tell what has changed since, and begin anew."""
        self.advance(now)
        for held in self._held.values():
            if held.changed and held.state != "cleared":
                self._tell(held, "updated")
        self._held.clear()
        self._now, self._due = -(1 << 62), 1 << 62

    @property
    def open(self) -> int:
        """Alerts that are not cleared."""
        return sum(held.state != "cleared" for held in self._held.values())

    def _make(self, key: str, firing: Firing) -> _Held:
        if len(self._held) >= OPEN:
            oldest = next(iter(self._held.values()))
            if oldest.state != "cleared":
                self._tell(oldest, "cleared")
                self.given_up += 1
            del self._held[oldest.dedup_key]
        number = hashlib.sha256(f"{key}@{firing.begin}".encode()).hexdigest()[:16]
        held = _Held(number, key, firing, firing.first, firing.last, firing.end, self._now)
        counts = self.raised.setdefault(firing.detector.kind, {})
        counts[firing.detector.severity] = counts.get(firing.detector.severity, 0) + 1
        return held

    def _tell(self, held: _Held, state: str) -> None:
        held.state, held.told, held.changed = state, self._now, False
        held.revision += 1
        best, customers = held.strongest, list(held.customers)
        alert = Alert(held.alert_id, held.dedup_key, best.detector.kind, 0, best.detector.severity, state, held.first, held.last, held.count,
                      "" if held.several_sources else best.source, "" if held.several_targets else best.target,
                      customers[0] if len(customers) == 1 else "", best.service_id if len(customers) == 1 else "", len(customers),
                      best.detector.technique, best.summary(), best.summary(True), best.evidence, best.probe, best.capture_id, held.revision)
        for listener in self.listeners:
            listener(alert)


def rows(alerts: list[Alert], stored_time: int) -> Batch:
    """Rows of `alerts`."""
    def texts(name: str) -> Iterator[str]:
        return (getattr(one, name) for one in alerts)

    def number(kind: type, name: str) -> np.ndarray:        # type: ignore[type-arg]
        return np.array([getattr(one, name) for one in alerts], kind)

    return Batch("alerts", len(alerts), {
        **{name: Texts.of(texts(name)) for name in ("alert_id", "dedup_key", "source", "target", "summary", "summary_zh", "evidence")},
        **{name: Coded.of(texts(name)) for name in ("kind", "severity", "state", "customer_id", "service_id", "technique", "probe")},
        **{name: number(np.int64, name) for name in ("first_time", "last_time")},
        **{name: number(np.uint32, name) for name in ("signature_id", "shared_by", "revision")},
        "count": number(np.uint64, "count"), "capture_id": number(np.uint64, "capture_id"),
        "stored_time": np.full(len(alerts), stored_time, np.int64)})
