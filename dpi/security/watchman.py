"""The sink behind all shards that looks for attacks and faults: rows of `flows` in, rows of `detections` and `alerts` out, and every alert to who listens."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dpi.batch import Batch, Coded, Sink
from dpi.capture.key import fresh_seed
from dpi.flow.figures import AlertLine, Detected
from dpi.flow.row import records_of
from dpi.jit import records, world
from dpi.security.alert import Alert
from dpi.security.baseline import Baselines
from dpi.security.conversation import PROTOCOL_AT, PROTOCOLS, port_classes
from dpi.security.detector import SEVERITIES, Rule
from dpi.security.distinct import WORDS, linear
from dpi.security.exemption import Exemption
from dpi.security.firing import Firing, address_of, detections
from dpi.security.folding import Folding, Listener, Told, rows
from dpi.security.gauge import ARRAYS, ENTRY, HEAD, MEASURES, NO_PORT, RULE, SERVER, SERVER_NET, SLOTS, TABLES, WAYS, WORLD, close_slots, forget, measure
from dpi.security.names import Names, read_names
from dpi.security.registry import Asked
from dpi.security.segment import ROGUE_ROUTER, ROGUE_SERVER, Segment

SECOND = 1_000_000
KEYS = 1 << 17              # keys and slots counted at once, 128 bytes each and 8 beside
_STEP = 5 * SECOND          # of the packet clock, between two looks for slots that are over
_EPOCH = 7200 * SECOND      # rows that are so much older than the newest one are of another clock
_CUSTOMERS = 1000           # told apart for a key
SHOWN, WORST = 256, 3       # alerts that are remembered for people; those of them that a summary shows


@dataclass
class Seen:
    """What was seen so far, for people."""
    detectors: int = 0
    titles: dict[str, tuple[str, str]] = field(default_factory=dict)
    detections: dict[str, int] = field(default_factory=dict)        # firings by kind
    kinds: dict[str, int] = field(default_factory=dict)             # alerts by kind
    alerts: dict[str, Alert] = field(default_factory=dict)          # newest state by id, of the last SHOWN
    ignored: int = 0        # firings that a person has excepted

    def note(self, alert: Alert) -> None:
        """A new state of an alert."""
        if alert.revision == 1:
            self.kinds[alert.kind] = self.kinds.get(alert.kind, 0) + 1
        self.alerts[alert.alert_id] = alert
        if len(self.alerts) > SHOWN:
            least = min(self.alerts.values(), key=_rank)
            del self.alerts[least.alert_id]

    def told(self) -> Detected:
        """As figures of a summary."""
        worst = sorted(self.alerts.values(), key=_rank, reverse=True)[:WORST]
        kinds = dict(sorted(self.kinds.items(), key=lambda one: (-one[1], one[0])))
        return Detected(self.detectors, sum(kinds.values()), kinds, {kind: self.titles[kind] for kind in kinds},
                        [AlertLine(one.kind, one.severity, one.state, one.first_time, one.last_time, one.count, one.summary, one.summary_zh) for one in worst])


class Watchman:
    """asked: detectors that are on. grace: s of the packet clock that rows of a slot may come late. prompt: a firing becomes an alert when its limit is
    crossed, not when its slot closes (a probe); without it slots close at `end`, or once the table is half full. sinks: what rows are written to."""

    kernels = (measure, close_slots, forget, read_names, *Segment.kernels)

    def __init__(self, asked: Sequence[Asked], sinks: Sequence[Sink], *, folding: Folding | None = None, exemption: Exemption | None = None, grace: int = 600,
                 prompt: bool = False, keys: int = KEYS) -> None:
        self.asked, self._sinks, self._grace, self._prompt = list(asked), list(sinks), grace * SECOND, prompt
        self.folding = folding or Folding()
        self.folding.listeners.insert(0, self._note)
        self.exemption = exemption or Exemption()
        self.seen = Seen(len(self.asked), {one.detector.kind: (one.detector.title.en, one.detector.title.zh) for one in asked})
        self._rules: list[tuple[Asked, Rule]] = [(one, rule) for one in asked for rule in one.rules]
        self._tables = {rule.table for _, rule in self._rules}
        self._names = Names()
        learn = [max((rule.learn for _, rule in self._rules if rule.table == "segment" and rule.all & bit), default=0) for bit in (ROGUE_ROUTER, ROGUE_SERVER)]
        self._segment = Segment(*learn)
        if len(self._rules) > 255:
            raise ValueError("a rule's number has 8 bits")
        keys = max(WAYS, 1 << (keys - 1).bit_length())
        self._classes: dict[tuple[str, ...], int] = {}
        self._words: Sequence[str] | None = None        # of the protocols that `protocols` was made for
        self._arrays: dict[str, Any] = {
            "head": records(1, HEAD), "rules": records(len(self._rules), RULE), "tags": np.zeros(keys, np.uint64), "entries": records(keys, ENTRY),
            "blocks": np.zeros((keys // 2 + 1) * WORDS, np.uint32), "found": np.zeros(max(1 << 13, 8 * SLOTS * len(self._rules)), np.int64),
            "seed": fresh_seed(), "ports": port_classes(), "protocols": np.zeros(1 << 12, np.uint64), "linear": linear()}
        for number, (_, rule) in enumerate(self._rules):
            self._put(number, rule)
        self._world = world(WORLD, {name: self._arrays[name] for name in ARRAYS})
        self._head = self._arrays["head"].view(np.ndarray)[0]
        self._head["first"], self._head["clock"], self._head["grace"] = 1 << 62, -(1 << 62), self._grace
        self._lock = threading.RLock()
        self._baselines = Baselines()
        self._whose: dict[tuple[int, ...], tuple[dict[str, None], dict[str, None]]] = {}      # customers and services of what has fired
        self._known: dict[tuple[int, ...], None] = {}           # what was told when it fired
        self._probe, self._capture_id, self._closed = "", 0, -(1 << 62)
        self._alerts: list[Alert] = []
        self._told = Told()

    # ---- sink

    def write(self, batch: Batch) -> None:
        """Count rows of flows and of dns; other tables are passed over. What is found is written to the sinks before this returns."""
        if batch.table not in self._tables or not batch.count or (batch.table == "dns" and batch.records is None):
            return
        with self._lock:
            self._begin(batch)
            self._take_seen()
            found = records_of(batch) if batch.table == "flows" else batch.records
            time = "interval_end" if batch.table == "flows" else "time"
            if int(found[time].max()) < int(self._head["clock"]) - _EPOCH - self._grace:
                self.end()
                self._begin(batch)
            if batch.table == "flows":
                self._count(found, batch)
            else:
                for rows, first in self._names.read(batch):
                    self._count(rows, batch, first)
            clock = int(self._head["clock"])
            if clock - self._closed >= _STEP and (self._prompt or 2 * int(self._head["used"]) > len(self._arrays["tags"])):
                self._closed = clock
                self._close(clock - self._grace)
                if self._prompt:
                    self.folding.advance(clock - self._grace)
            self._write_alerts()

    def begin(self, probe: str, capture_id: int) -> None:
        """What comes next is of this probe and capture."""
        with self._lock:
            self._probe, self._capture_id = self._probe or probe, self._capture_id or capture_id

    def hear(self, seen: Any) -> None:
        """Take what was seen of the segment, SIGHTING[n] (dpi/capture/sighting.py), by any intake. A probe's does not wait for who is at work here; a replay's
        waits for nothing less than WAITING lots."""
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
        place, fresh = 0, []
        while place < len(rows):
            place = measure(rows, place, len(rows), self._world)
            fresh += self._take_found(batch, rows, first)
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

    def end(self) -> None:
        """A capture has ended, or the probe: close all slots, and begin anew."""
        with self._lock:
            self._take_seen()
            clock = int(self._head["clock"])
            self._close(1 << 62)
            self.folding.finish(clock)
            self._write_alerts()
            self._arrays["rules"].view(np.ndarray)["closed"] = -(1 << 62)
            self._head["first"], self._head["clock"] = 1 << 62, -(1 << 62)
            self._baselines, self._whose, self._known, self._closed, self._told = Baselines(), {}, {}, -(1 << 62), Told()
            self._segment.forget()
            self._names.domains.clear()
            self._probe, self._capture_id = "", 0

    def close(self) -> None:
        """Nothing is held open."""

    def listen(self, listener: Listener) -> None:
        """Have every new state of every alert told, in order; `listener` must not wait, for rows are held up."""
        self.folding.listeners.append(listener)

    def counters(self) -> dict[str, int]:
        """Counters: rows, keys in use, keys that made room for others, what came after its slot was closed, values that were not told apart."""
        named = {"rows": "rows", "keys": "used", "evicted": "evicted", "late": "late", "values_lost": "blocks_full"}
        return {name: int(self._head[where]) for name, where in named.items()} | {
            "segment_evicted": int(self._segment.evicted[0]), "segment_unheard": self._segment.unheard,
            "alerts_open": self.folding.open, "alerts_given_up": self.folding.given_up, "baselines": len(self._baselines), "ignored": self.seen.ignored}

    # ---- rules

    def _put(self, number: int, rule: Rule) -> None:
        """A rule as the kernel knows it."""
        row = self._arrays["rules"].view(np.ndarray)[number:number + 1]
        bits = rule.all
        if rule.protocols:
            place = self._classes.setdefault(rule.protocols, len(self._classes))
            if place >= PROTOCOLS:
                raise ValueError(f"rules ask for more than {PROTOCOLS} sets of protocols")
            bits |= 1 << PROTOCOL_AT + place
        row["all"], row["any"], row["none"], row["window"], row["closed"] = bits, rule.any, rule.none, rule.window * SECOND, -(1 << 62)
        for name in MEASURES:
            row[f"limit_{name}"] = getattr(rule.limits, name)
            row[f"floor_{name}"] = -(-getattr(rule.floor, name) // 4)
        row["table"], row["outweigh"] = TABLES.index(rule.table), rule.outweigh
        row["key"], row["distinct_of"], row["port"], row["sent"], row["every"] = rule.key, rule.of, rule.port, rule.sent, rule.every

    def _begin(self, batch: Batch) -> None:
        """Where rows come from, and the bits of their protocols."""
        if not self._probe:
            probe, capture = batch.columns.get("probe"), batch.columns.get("capture_id")
            self._probe = str(probe[0]) if probe is not None else ""
            self._capture_id = int(capture[0]) if isinstance(capture, np.ndarray) else 0
        if not self._classes:
            return
        column: Any = batch.columns.get("protocol")
        if isinstance(column, Coded) and column.words is not self._words:
            self._words = column.words
            bits = self._arrays["protocols"]
            bits[:] = 0
            for code, word in enumerate(column.words[:len(bits)]):
                for names, place in self._classes.items():
                    if word in names:
                        bits[code] |= np.uint64(1 << PROTOCOL_AT + place)

    # ---- what was found

    def _pairs(self) -> tuple[Any, Any]:
        """Places of entries and rows that the kernel told of, int64[k] each."""
        count = int(self._head["found"])
        pairs = self._arrays["found"][:count].reshape(-1, 2).copy()
        return pairs[:, 0], pairs[:, 1]

    def _take_found(self, batch: Batch | None, rows: Any, first: int) -> list[Firing]:
        """Learn whose the rows of what fires, or nearly does, are; with `prompt`, the firings that are new."""
        places, at = self._pairs()
        self._head["found"] = 0
        fired: list[Any] = []
        of_names = batch is not None and batch.table == "dns"
        stamped = batch is not None and (batch.whose is not None or any(f"{side}_customer_id" in batch.columns for side in ("client", "server")))
        if of_names and batch is not None and len(at):
            self._names.learn(batch, rows, at, first)
        if not stamped and not self._prompt:
            return []
        for place, row in zip(places.tolist(), at.tolist()):
            entry = self._arrays["entries"].view(np.ndarray)[place]
            key = _key(entry)
            if self._prompt and entry["fired"] and key not in self._known:
                self._known[key] = None
                fired.append(entry.copy())
            if batch is None or not stamped:
                continue
            if len(self._whose) >= KEYS:
                self._whose.clear()         # of entries that made room for others before they were told
            customers, services = self._whose.setdefault(key, ({}, {}))
            rule = self._rules[int(entry["rule"])][1]
            hit = "server" if (rule.key in (SERVER, SERVER_NET)) == rule.victim else "client"
            for side in (hit, "client" if hit == "server" else "server"):
                customer, service = _whose(batch, side, first + row)
                if customer:
                    if len(customers) < _CUSTOMERS:
                        customers[customer] = services[service] = None
                    break
        return [self._firing(entry, None, False) for entry in fired]

    def _close(self, moment: int) -> None:
        """Close the slots that ended before `moment`, in their order."""
        closed: list[Any] = []
        place = 0
        first = int(self._head["first"])
        for number, (_, rule) in enumerate(self._rules):
            if first < 1 << 62:
                self._baselines.begin(number, first // (rule.window * SECOND))
        while place < len(self._arrays["tags"]):
            place = close_slots(place, moment, self._world)
            places, _ = self._pairs()
            closed.append(self._arrays["entries"].view(np.ndarray)[places])
            forget(len(places), self._world)
        every = np.concatenate(closed)
        windows = np.array([rule.window for _, rule in self._rules], np.int64)[every["rule"]]
        ends = (every["slot"] + 1) * windows
        yielding = np.array([bool(one.detector.unless) for one, _ in self._rules], np.bool_)[every["rule"]]     # they ask what the others have told
        order = np.lexsort((every["beside"], every["port"], every["low"], every["high"], every["rule"], yielding, ends))
        out: list[Firing] = []
        for entry in every[order]:
            number = int(entry["rule"])
            rule, key, slot = self._rules[number][1], _key(entry)[1:-1], int(entry["slot"])
            most = self._baselines.limits(number, rule, key, slot)
            unusual = most is not None and any(int(entry[name]) > most[name] for name in most)
            if entry["fired"] or unusual:
                out.append(self._firing(entry, None if entry["fired"] else most, True))
            if rule.floor:
                self._baselines.learn(number, rule, key, slot, entry, most if unusual else None)
            self._whose.pop(_key(entry), None)
            self._known.pop(_key(entry), None)
        if self._whose:             # what nearly fired
            self._whose = {key: whose for key, whose in self._whose.items() if (key[-1] + 1) * self._rules[key[0]][1].window * SECOND > moment}
        self._fold(out)

    def _firing(self, entry: Any, learned: dict[str, float] | None, final: bool) -> Firing:
        number, slot = int(entry["rule"]), int(entry["slot"])
        one, rule = self._rules[number]
        window = rule.window * SECOND
        own, peer = self._ends(entry, rule)
        alone = rule.pair or int(entry["distinct"]) == 1 and rule.of in (1, 2)
        other = peer if alone and (rule.victim or rule.table != "segment") else ""
        source, target = (other, own) if rule.victim else (own, other)
        customers, services = self._whose.get(_key(entry), ({}, {}))
        limits = {name: float(getattr(rule.limits, name)) for name in MEASURES if getattr(rule.limits, name)}
        strength = max((int(entry[name]) / limit for name, limit in (learned or limits).items() if limit), default=1.0)
        return Firing(one.detector, rule, number, slot, slot * window, (slot + 1) * window, int(entry["first"]), int(entry["last"]), source, target,
                      int(entry["port"]) if rule.port != NO_PORT else 0, int(entry["packets"]), int(entry["bytes"]), int(entry["flows"]),
                      int(entry["distinct"]), int(entry["flow_id"]), tuple(sorted(customers)), min(services, default=""), strength, learned, final,
                      self._probe, self._capture_id, peer if rule.table == "segment" else "")

    def _ends(self, entry: Any, rule: Rule) -> tuple[str, str]:
        """The key and the peer of its example: addresses, or of messages of DNS a domain in the place of the server."""
        own, peer = (int(entry["high"]), int(entry["low"])), (int(entry["peer"][0]), int(entry["peer"][1]))
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


def _rank(alert: Alert) -> tuple[int, int, int, str]:
    """The more severe, the greater."""
    return SEVERITIES.index(alert.severity), alert.count, -alert.first_time, alert.alert_id


def _key(entry: Any) -> tuple[int, ...]:
    """Rule, address, what is beside it, port; slot."""
    return tuple(int(entry[name]) for name in ("rule", "high", "low", "beside", "port", "slot"))


def _whose(batch: Batch, side: str, row: int) -> tuple[str, str]:
    """Customer and service of an end of a row."""
    if batch.table == "flows":
        return _word(batch, f"{side}_customer_id", row), _word(batch, f"{side}_service_id", row)
    if batch.whose is None or side != "client":
        return "", ""
    return batch.whose(row if batch.places is None else int(batch.places[row]))


def _word(batch: Batch, column: str, row: int) -> str:
    found: Any = batch.columns.get(column)
    return "" if found is None else str(found[row])
