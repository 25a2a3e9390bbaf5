"""The sink behind all shards that looks for attacks and faults: rows of `flows`, `dns` and `coverage` and what the segment says in, rows of `detections` and
`alerts` out, and every alert to who listens."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dpi.batch import Batch, Sink
from dpi.flow.row import records_of
from dpi.grouping import groups
from dpi.security.acquaintance import Acquaintance
from dpi.security.alert import Alert
from dpi.security.baseline import Baselines
from dpi.security.counted import Counted, Key
from dpi.security.counting import SECOND, Counting
from dpi.security.detector import Rule
from dpi.security.exemption import Exemption
from dpi.security.firing import Firing, address_of, detections
from dpi.security.folding import Folding, Listener, Told, rows
from dpi.security.gauge import NO_PORT, SERVER
from dpi.security.ledger import MEASURES
from dpi.security.lines import Lines, Places
from dpi.security.names import Names, read_names
from dpi.security.owners import Owners, ends, hit_at_server
from dpi.security.registry import Asked
from dpi.security.seen import Seen
from dpi.security.segment import ROGUE_ROUTER, ROGUE_SERVER, Segment
from dpi.security.standing import Standing

FOREVER = 1 << 62
KEYS = 1 << 17              # keys and slots counted at once, 128 bytes each and 8 beside
_STEP = 5 * SECOND          # of the packet clock, between two looks for slots that are over
_EPOCH = 7200 * SECOND      # rows that are so much older than the newest one are of another clock
COVERED = 45 * SECOND       # after half a minute's end, in which the minute of coverage that it is part of has come
FAULTS = 4096               # firings of faults that wait in a replay, until slots are closed


class Watchman:
    """asked: detectors that are on. grace: s of the packet clock that rows of a slot may come late. prompt: a firing becomes an alert when its limit is
    crossed, not when its slot closes (a probe); without it slots close at `end`, or once the table is half full. sinks: what rows are written to.
    places: what is known of links (dpi.security.lines)."""

    kernels = (*Counting.kernels, read_names, *Lines.kernels, *Segment.kernels)

    def __init__(self, asked: Sequence[Asked], sinks: Sequence[Sink], *, folding: Folding | None = None, exemption: Exemption | None = None, grace: int = 600,
                 prompt: bool = False, keys: int = KEYS, standing: Standing | None = None, places: Places | None = None) -> None:
        """standing: where alerts outlive a restart; those of before go on."""
        self._sinks, self._grace, self._prompt, self._standing, self._places = list(sinks), grace * SECOND, prompt, standing, places
        self.folding = folding or Folding()
        self.folding.listeners.insert(0, self._note)
        if standing is not None:
            self.folding.resume(standing.held)
        self.exemption = exemption or Exemption()
        self.seen = Seen()
        self._lock = threading.RLock()
        # of a probe that was killed the store may not have what was told last: it gets it again, and one row of a revision counts
        self._alerts: list[Alert] = [] if standing is None else [one.alert() for one in standing.held]
        self._last: dict[str, int] = {}         # counters when it was closed
        self._counted = dict.fromkeys(("rows", "evicted", "late", "blocks_full"), 0)       # by tables of before
        self._arm(asked, keys)

    def _arm(self, asked: Sequence[Asked], keys: int) -> None:
        """Make the tables for these detectors, with nothing in them."""
        self.asked, self._keys = list(asked), keys
        self.seen.detectors = len(self.asked)
        self.seen.titles |= {one.detector.kind: (one.detector.title.en, one.detector.title.zh) for one in asked}
        self._rules: list[tuple[Asked, Rule]] = [(one, rule) for one in asked for rule in one.rules]
        rules = [rule for _, rule in self._rules]
        self._counting = Counting(rules, keys, self._grace)
        self._head = self._counting.head
        self._calls = {number for number, rule in enumerate(rules) if rule.rhythm is not None}
        self._windows = [rule.window * SECOND for rule in rules]
        self._at_server = [hit_at_server(rule) for rule in rules]
        self._yields = [bool(one.detector.unless) for one, _ in self._rules]        # they ask what the others have told
        self._limits = [{name: float(most) for name in MEASURES if (most := getattr(rule.limits, name))} for rule in rules]
        self._tables = {rule.table for rule in rules}
        self._names = Names()
        self._segment = Segment(*(max((rule.learn for rule in rules if rule.table == "segment" and rule.all & bit), default=0)
                                  for bit in (ROGUE_ROUTER, ROGUE_SERVER)))
        self._baselines, self._acquaintance = Baselines(), Acquaintance()
        self._owners = Owners()
        self._known: dict[Key, tuple[float, float] | None] = {}      # what was told when it fired, and its rhythm
        self._probe, self._capture_id, self._closed = "", 0, -(1 << 62)
        self._told = Told()
        self._lines = Lines(asked, self._places)
        self._faults: list[Firing] = []         # of slots that are judged, until the others' of that time are closed

    # ---- sink

    def write(self, batch: Batch) -> None:
        """Count rows of flows and of dns; of http what was denied is kept for flows, and rows of coverage are taken in. What is found is written to the sinks
        before this returns."""
        if batch.table == "http" and self._counting.denials is not None:
            with self._lock:
                self._counting.denials.take(batch)
        if batch.table == "coverage" and self._lines.asked:
            with self._lock:
                self._lines.cover(batch)
        if not batch.count or not (batch.table == "flows" and self.asked or batch.table == "dns" in self._tables and batch.records is not None):
            return
        with self._lock:
            self._begin(batch)
            self._take_seen()
            found, time_of = (records_of(batch), "interval_end") if batch.table == "flows" else (batch.records, "time")
            if self._of_another_clock(found.view(np.ndarray)[time_of]):
                self.end()
                self._begin(batch)
            if batch.table == "flows":
                self._counting.beside(batch, found)
                if self._lines.asked:
                    self._faults += self._lines.take(batch, found)
                self._count(found, batch)
            else:
                for names, first in self._names.read(batch):
                    self._count(names, batch, first)
            clock = int(self._head["clock"])
            if clock - self._closed >= _STEP and (self._prompt or self._counting.full or len(self._faults) > FAULTS):
                self._closed = clock
                self._close(clock - self._grace)
                if self._prompt:
                    self.folding.advance(clock - self._grace)
            self._write_alerts()

    def _of_another_clock(self, times: Any) -> bool:
        """Whether all rows are much older than the newest one so far; one that is not says that others need not be looked at."""
        least = int(self._head["clock"]) - _EPOCH - self._grace
        return int(times[-1]) < least and int(times.max()) < least

    def begin(self, probe: str, capture_id: int) -> None:
        """What comes next is of this probe and capture."""
        with self._lock:
            self._probe, self._capture_id = self._probe or probe, self._capture_id or capture_id

    def hear(self, seen: Any) -> None:
        """Take what was seen of the segment, SIGHTING[n] (dpi/capture/sighting.py), by any intake. A probe's does not wait for who is at work here; a replay's
        waits for nothing less than LOTS lots (dpi/security/segment.py)."""
        full = self._segment.put(seen, self._prompt)
        if (full or self._prompt) and self._lock.acquire(blocking=not self._prompt):
            try:
                self._take_seen()
                self._write_alerts()
            finally:
                self._lock.release()

    @property
    def hears(self) -> Callable[[Any], None] | None:
        """`hear`, where a detector asks for it."""
        return self.hear if "segment" in self._tables else None

    def _take_seen(self) -> None:
        """Count what was seen of the segment and waits."""
        for said in self._segment.taken():
            self._count(said, None)

    def _count(self, rows: Any, batch: Batch | None, first: int = 0) -> None:
        """Count ROW[n]. batch: which they are of, from its row `first` on."""
        fresh: list[Firing] = []
        for places, at in self._counting.count(rows):
            fresh += self._take_found(places, at, batch, rows, first)
        self._fold(fresh)

    def tick(self, now: int) -> None:
        """No row may come for a while: it is `now`, us, all the same (a probe)."""
        with self._lock:
            self._take_seen()
            if now - self._closed >= _STEP:
                self._closed = now
                self._close(now - self._grace)
                self.folding.advance(now - self._grace)
                self._write_alerts()
            if self._standing is not None and self.folding.held:
                self._standing.write(self.folding.held, told=False)

    def end(self) -> None:
        """A capture has ended, or the clock of a probe has gone back: close all slots, and begin anew."""
        with self._lock:
            self._take_seen()
            clock = int(self._head["clock"])
            self._close(FOREVER)
            if self._prompt:
                self.folding.abandon()
            else:
                self.folding.finish(clock)
            self._write_alerts()
            self._counting.begin()
            self._baselines, self._owners, self._known, self._closed, self._told = Baselines(), Owners(), {}, -(1 << 62), Told()
            self._acquaintance = Acquaintance()
            self._segment.forget()
            self._names.domains.clear()
            self._probe, self._capture_id = "", 0

    def stop(self) -> None:
        """A probe ends: close all slots. What is open stays so, and the next start goes on with it."""
        with self._lock:
            self._close_early()
            self.folding.pause(int(self._head["clock"]))
            self._write_alerts()
            if self._standing is not None:
                self._standing.write(self.folding.held, last=True)

    def rearm(self, asked: Sequence[Asked], exemption: Exemption, quiet: int, cooldown: int, keys: int) -> None:
        """Go on with other settings, and with the alerts that are open. Where detectors or their options differ, what is counted now is judged by the
        old ones, and counted and learned anew by the new ones."""
        with self._lock:
            self.exemption = exemption
            self.folding.take_times(quiet, cooldown)
            if list(asked) != self.asked or keys != self._keys:
                self._close_early()
                self._write_alerts()
                for name in self._counted:
                    self._counted[name] += int(self._head[name])
                self._arm(asked, keys)

    def close(self) -> None:
        """Give the tables back, and let go of everybody: what was seen and counted can still be asked for."""
        with self._lock:
            self._last = self.counters()
            self.folding.forget()
            self._rules, self._counting, self._lines = [], None, None           # type: ignore[assignment]

    def listen(self, listener: Listener) -> None:
        """Have every new state of every alert told, in order; `listener` must not wait, for rows are held up."""
        self.folding.listeners.append(listener)

    def counters(self) -> dict[str, int]:
        """Counters: rows, keys in use, keys that made room for others, what came after its slot was closed, values that were not told apart."""
        if self._counting is None:
            return self._last
        named = {"rows": "rows", "keys": "used", "evicted": "evicted", "late": "late", "values_lost": "blocks_full"}
        return {name: int(self._head[where]) + self._counted.get(where, 0) for name, where in named.items()} | {
            "alerts_open": self.folding.open, "alerts_given_up": self.folding.given_up, "baselines": len(self._baselines), "ignored": self.seen.ignored,
            "segment_evicted": int(self._segment.evicted[0]), "segment_unheard": self._segment.unheard, **self._lines.counters()}

    def _begin(self, batch: Batch) -> None:
        """Where rows come from, and the bits of their sorts."""
        if not self._probe:
            probe, capture = batch.columns.get("probe"), batch.columns.get("capture_id")
            self._probe = str(probe[0]) if probe is not None else ""
            self._capture_id = int(capture[0]) if isinstance(capture, np.ndarray) else 0
        if batch.table == "flows":
            self._counting.sorts.learn(batch)

    # ---- what was found

    def _take_found(self, places: Any, at: Any, batch: Batch | None, rows: Any, first: int) -> list[Firing]:
        """Learn whose the rows of what fires, or nearly does, are; with `prompt`, the firings that are new."""
        fired: list[tuple[Counted, tuple[float, float] | None]] = []
        if batch is not None and batch.table == "dns" and len(at):
            self._names.learn(batch, rows, at, first)
        columns, where = ({}, at) if batch is None else ends(batch, at + first)
        stamped = "client_customer_id" in columns or "server_customer_id" in columns
        if not stamped and not self._prompt:
            return []
        first_of, which = groups(places)
        told = places[first_of]
        for entry in self._counting.fired(told[np.argsort(first_of)]) if self._prompt else ():      # as they came
            key = entry.key
            if key not in self._known:
                rhythm = self._rhythm(entry)
                if self._holds(entry, key, rhythm, self._baselines.limits(entry.rule, self._rules[entry.rule][1], key[1:-1], entry.slot)):
                    self._known[key] = rhythm
                    fired.append((entry, rhythm))
        if stamped:
            keys = self._counting.keys(told)
            self._owners.learn(keys, np.array([self._at_server[key[0]] for key in keys], np.bool_)[which], which, columns, where)
        return [self._firing(entry, None, False, rhythm) for entry, rhythm in fired]

    def _rhythm(self, entry: Counted) -> tuple[float, float] | None:
        """What an entry's calls keep, where its rule asks for that."""
        rhythm = self._rules[entry.rule][1].rhythm
        return rhythm.heard(self._counting.marks(entry)) if rhythm is not None else None

    def _holds(self, entry: Counted, key: Key, rhythm: tuple[float, float] | None, most: dict[str, float] | None) -> bool:
        """Whether an entry that has reached its fixed limits is to be told. most: what is usual, as far as it is known."""
        rule = self._rules[key[0]][1]
        if rule.rhythm is not None and rhythm is None:
            return False
        if rule.usual and most is not None and not _beyond(entry, most):
            return False
        if rule.acquaint < 0:
            return True
        return self._acquaintance.meets(key[:-1], key[-1]) and entry.first >= int(self._head["first"]) + rule.acquaint * SECOND

    def _close(self, moment: int) -> None:
        """Close the slots that ended before `moment`, in their order."""
        if self._lines.asked:
            self._faults += self._lines.end() if moment == FOREVER else self._lines.close(moment - max(0, COVERED - self._grace))
        closed: list[Counted] = []
        rhythms: dict[Key, tuple[float, float] | None] = {}
        first = int(self._head["first"])
        for number, window in enumerate(self._windows) if first < 1 << 62 else ():
            self._baselines.begin(number, first // window)
        for some in self._counting.close(moment):
            closed += some
            for entry in some:
                if entry.rule in self._calls:
                    rhythms[entry.key] = self._rhythm(entry)        # before its block is given back
        closed.sort(key=self._order)
        out: list[Firing] = []
        for entry in closed:
            number, whole, slot = entry.rule, entry.key, entry.slot
            rule, key = self._rules[number][1], whole[1:-1]
            most, rhythm = self._baselines.limits(number, rule, key, slot), rhythms.get(whole) or self._known.get(whole)
            fired = bool(entry.fired) and (whole in self._known or self._holds(entry, whole, rhythm, most))
            unusual = most is not None and _beyond(entry, most)
            if fired or unusual:
                out.append(self._firing(entry, None if fired else most, True, rhythm))
            if rule.floor:
                self._baselines.learn(number, rule, key, slot, entry, most if unusual else None)
            self._owners.forget(whole)
            self._known.pop(whole, None)
        self._known = {key: rhythm for key, rhythm in self._known.items() if self._goes_on(key, moment)}    # not those of entries that made room
        self._owners.keep(lambda key: self._goes_on(key, moment))                                             # not those of what nearly fired
        out += [one for one in self._faults if one.end <= moment]
        self._faults = [one for one in self._faults if one.end > moment]
        self._fold(sorted(out, key=lambda one: one.end))

    def _order(self, entry: Counted) -> tuple[int, ...]:
        """What slots that are over are looked at by: their ends first."""
        return ((entry.slot + 1) * self._windows[entry.rule], self._yields[entry.rule], entry.rule, entry.high, entry.low, entry.port, entry.beside)

    def _goes_on(self, key: Key, moment: int) -> bool:
        """Whether a key's slot is not over then."""
        return (key[-1] + 1) * self._windows[key[0]] > moment

    def _close_early(self) -> None:
        """Close all slots, also those that are not over: time has not come to their ends, and nothing is cleared by them."""
        self.folding.until = int(self._head["clock"])
        self._close(FOREVER)
        self.folding.until = FOREVER

    def _firing(self, entry: Counted, learned: dict[str, float] | None, final: bool, rhythm: tuple[float, float] | None) -> Firing:
        number, slot = entry.rule, entry.slot
        one, rule = self._rules[number]
        window = self._windows[number]
        own, peer = self._ends(entry, rule)
        other = "" if entry.several or rule.table == "segment" and not rule.victim else peer
        source, target = (other, own) if rule.victim else (own, other)
        customers, service = self._owners.of(entry.key)
        strength = max((getattr(entry, name) / limit for name, limit in (learned or self._limits[number]).items() if limit), default=1.0)
        return Firing(one.detector, rule, number, slot, slot * window, (slot + 1) * window, entry.first, entry.last, source, target,
                      entry.port if rule.port != NO_PORT else 0, entry.packets, entry.bytes, entry.flows, entry.distinct, entry.flow_id, customers, service,
                      strength, learned, final, self._probe, self._capture_id, rhythm, peer if rule.table == "segment" else "")

    def _ends(self, entry: Counted, rule: Rule) -> tuple[str, str]:
        """The key and the peer of its example: addresses, or of messages of DNS a domain in the place of the server."""
        own, peer = (entry.high, entry.low), (int(entry.peer[0]), int(entry.peer[1]))
        if rule.table != "dns":
            return address_of(*own, rule.key), address_of(*peer, 0)
        if rule.key == SERVER:
            return self._names.domains.get(own, ""), address_of(*peer, 0)
        return address_of(*own, rule.key), self._names.domains.get(peer, "")

    # ---- what comes of it

    def _fold(self, firings: Sequence[Firing]) -> None:
        """Alerts of firings; rows of `detections` of those whose slot is closed."""
        told: list[Firing] = []
        ids: list[str] = []
        for firing in firings if not self._prompt else sorted(firings, key=lambda one: bool(one.detector.unless)):
            if firing.spared or self.exemption.covers(firing):
                self.seen.ignored += firing.final
                continue
            if self._told.covers(firing):
                continue
            alert_id = self.folding.take(firing)
            if firing.final:
                told.append(firing)
                ids.append(alert_id)
                self.seen.detections[firing.detector.kind] = self.seen.detections.get(firing.detector.kind, 0) + 1
        if told:
            made = detections(told, ids, time.time_ns() // 1000)
            for sink in self._sinks:
                sink.write(made)

    def _note(self, alert: Alert) -> None:
        self._alerts.append(alert)
        self.seen.note(alert)

    def _write_alerts(self) -> None:
        if self._alerts:
            made, self._alerts = rows(self._alerts, time.time_ns() // 1000), []
            for sink in self._sinks:
                sink.write(made)
            if self._standing is not None:
                self._standing.write(self.folding.held)


def _beyond(entry: Counted, most: dict[str, float]) -> bool:
    """Whether an entry has more of something."""
    return any(getattr(entry, name) > most[name] for name in most)
